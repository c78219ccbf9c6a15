"""How many frames a model was trained on at once, where a script gives it another number of them."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from reload_audit.observing.building_line import MAKERS, with_wrappers
from reload_audit.observing.statement import Statement, last_name
from reload_audit.records.environment_spec import VEC_FRAME_STACK, WrapperSpec
from reload_audit.records.observation import Line, ObservedEnvironment

_IN_AN_AXIS = "gymnasium.wrappers:FrameStackObservation"


def frames_of_training(seen: ObservedEnvironment | None, given: Sequence[int], expected: Sequence[int]) -> int | None:
    """How many frames observations of training were made of; None where their shape does not say it.

    :param seen: the script's environment; None where it is not known
    :param given: the shape of observations in the script
    :param expected: that of training
    """
    if [*expected[1:]] == [*given] and expected[0] > 1:
        return expected[0]
    other = [axis for axis, size in enumerate(expected) if size != given[axis]] if len(given) == len(expected) else []
    if len(other) != 1:
        return None
    now = _stacked(seen)
    of_one, rest = divmod(given[other[0]], now)
    if rest or not of_one or expected[other[0]] % of_one:
        return None
    return expected[other[0]] // of_one if expected[other[0]] > of_one else None


def stacked_said(seen: ObservedEnvironment | None) -> str:
    """How many frames the script stacks, in words; empty where it stacks none."""
    now = _stacked(seen)
    return "" if now == 1 else f", and here {now} are"


def with_frames_stacked(seen: ObservedEnvironment | None, frames: int) -> tuple[Line | None, str]:
    """The line that has to change for so many frames to be stacked, and what to write there."""
    if seen is None:
        return None, ""
    if _stacked(seen) > 1:
        return _with_another_number(seen, frames)
    if not seen.layers:
        added = [*(seen.wrappers or ()), WrapperSpec(_IN_AN_AXIS, {"stack_size": frames})]
        return with_wrappers(seen, added, lambda place, other: place == other)
    return seen.vec_line, _stacked_around(seen.vec_line, frames)


def _stacked(seen: ObservedEnvironment | None) -> int:
    """How many frames a script stacks; 1 for none."""
    layers = () if seen is None else seen.vec_wrappers
    numbers = (one.kwargs.get("n_stack") for one in layers if one.name == VEC_FRAME_STACK)
    return next((number for number in numbers if isinstance(number, int)), 1)


def _with_another_number(seen: ObservedEnvironment, frames: int) -> tuple[Line | None, str]:
    place = next(place for place, one in enumerate(seen.vec_wrappers) if one.name == VEC_FRAME_STACK)
    line = seen.vec_wrapper_lines[place]
    statement = Statement.of(line)
    call = None if statement is None else statement.call(VEC_FRAME_STACK)
    if statement is None or call is None:
        return line, ""
    numbers = [*call.args[1:2], *(one.value for one in call.keywords if one.arg == "n_stack")]
    return line, statement.with_part(numbers[0], str(frames)) if numbers else ""


def _stacked_around(line: Line | None, frames: int) -> str:
    """The line that makes a VecEnv, with VecFrameStack around it; empty where the line does something else."""
    statement = Statement.of(line)
    value = None if statement is None else statement.value
    if statement is None or not isinstance(value, ast.Call):
        return ""
    name = last_name(value.func)
    if name not in MAKERS and not name.endswith("VecEnv") and not name.startswith("Vec"):
        return ""
    stacked = f"VecFrameStack({statement.text(value)}, {frames})"
    return statement.with_part(value, stacked, "from stable_baselines3.common.vec_env import VecFrameStack")
