"""How many frames a model was trained on at once, where a script gives it another number of them."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from reload_audit.observing.building_line import MAKERS, with_wrappers
from reload_audit.observing.statement import Statement, last_name
from reload_audit.records.environment_spec import VEC_FRAME_STACK, WrapperSpec
from reload_audit.records.observation import Line, ObservedEnvironment

_WITH_AXIS = "gymnasium.wrappers:FrameStackObservation"


@dataclass(frozen=True)
class Frames:
    """Frames of which observations of training were made.

    :param number: how many
    :param have_axis: whether they are in an axis of their own, where FrameStackObservation puts them, not VecFrameStack
    """

    number: int
    have_axis: bool


def frames_of_training(
    seen: ObservedEnvironment | None, given: Sequence[int], expected: Sequence[int]
) -> Frames | None:
    """What frames observations of training may have been made of; None where their shape does not say it.

    :param seen: the script's environment; None where it is not known
    :param given: the shape of observations in the script
    :param expected: that of training
    """
    have_axis = _place_with_axis(seen) is not None
    of_one = given[1:] if have_axis else given
    if len(expected) > 0 and [*expected[1:]] == [*of_one] and expected[0] > 1:
        return Frames(expected[0], have_axis=True)
    other = [axis for axis, size in enumerate(expected) if size != given[axis]] if len(given) == len(expected) else []
    if have_axis or len(other) != 1:
        return None
    size, rest = divmod(given[other[0]], _stacked(seen))
    if rest or not size or expected[other[0]] % size or expected[other[0]] == size:
        return None
    return Frames(expected[other[0]] // size, have_axis=False)


def stacked_said(seen: ObservedEnvironment | None) -> str:
    """How many frames the script stacks, in words; empty where it stacks none."""
    now = _stacked(seen)
    return "" if now == 1 else f", and here {now} are"


def with_frames_stacked(seen: ObservedEnvironment | None, frames: Frames) -> tuple[Line | None, str]:
    """The line that has to change for these frames to be stacked, and what to write there; no text for no such line."""
    if seen is None:
        return None, ""
    if frames.have_axis:
        return _with_axis(seen, frames.number)
    if seen.stacks_frames:
        return _with_another_number(seen, frames.number)
    return seen.vec_line, _stacked_around(seen.vec_line, frames.number) if seen.layers else ""


def _stacked(seen: ObservedEnvironment | None) -> int:
    """How many frames a script stacks; 1 for none."""
    if seen is None:
        return 1
    numbers = [one.spec.kwargs.get("n_stack") for one in seen.vec_wrappers if one.spec.name == VEC_FRAME_STACK]
    place = _place_with_axis(seen)
    if place is not None and seen.wrappers is not None:
        numbers.append(seen.wrappers[place].spec.kwargs.get("stack_size"))
    return next((number for number in numbers if isinstance(number, int)), 1)


def _place_with_axis(seen: ObservedEnvironment | None) -> int | None:
    """The place of FrameStackObservation among the wrappers of a script; None for none."""
    own = () if seen is None else seen.wrappers or ()
    return next((place for place, one in enumerate(own) if one.spec.name.endswith(":FrameStackObservation")), None)


def _with_axis(seen: ObservedEnvironment, frames: int) -> tuple[Line | None, str]:
    """The line that has to change for each environment to have FrameStackObservation around it, and its text."""
    if seen.wrappers is None or seen.stacks_frames:
        return None, ""
    place = _place_with_axis(seen)
    own = [one.spec for one in seen.wrappers]
    start, end = (len(own),) * 2 if place is None else (place, place + 1)
    kwargs = {} if place is None else dict(own[place].kwargs)
    stacking = WrapperSpec(_WITH_AXIS, {**kwargs, "stack_size": frames})
    added = [*own[:start], stacking, *own[end:]]
    return with_wrappers(seen, added, lambda own, other: own == other and own != place)


def _with_another_number(seen: ObservedEnvironment, frames: int) -> tuple[Line | None, str]:
    line = next(one.line for one in seen.vec_wrappers if one.spec.name == VEC_FRAME_STACK)
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
