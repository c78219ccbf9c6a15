"""The outline of a pickled VecNormalize, read without NumPy: shapes of observations, and how many steps it counted."""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reload_audit.reading import limits
from reload_audit.reading.instances import attributes, made_by, merged
from reload_audit.reading.pickles import Call, Global, parse
from reload_audit.reading.refusal import Unreadable, refusing

VEC_NORMALIZE = "stable_baselines3.common.vec_env.vec_normalize.VecNormalize"
RUNNING_MEAN_STD = "stable_baselines3.common.running_mean_std.RunningMeanStd"

_MODULE, _, _CLASS = VEC_NORMALIZE.rpartition(".")
_PICKLE = b"\x80"
_NAMED_WITHIN = 200
"""Bytes from the beginning of a pickle within which the class of its value is named."""

Shapes = Mapping[str, tuple[int, ...]]
"""Shapes of observations: by key of a dictionary, or under ``""``."""


@dataclass(frozen=True)
class StatisticsOutline:
    """The outline of saved statistics.

    :param shapes: of the observations that they normalise; empty where they leave observations alone
    :param steps: environment steps that they counted; None where their counts do not tell
    """

    shapes: Shapes
    steps: int | None


def begins_as_statistics(content: bytes) -> bool:
    """Whether a file that begins with these bytes is a pickle of a VecNormalize."""
    head = content[:_NAMED_WITHIN]
    return head.startswith(_PICKLE) and _MODULE.encode() in head and _CLASS.encode() in head


@refusing("damaged statistics")
def outline_of_statistics(content: bytes) -> StatisticsOutline:
    """Read the outline of a pickled VecNormalize; nothing in it is executed.

    :raises Unreadable: it is something else, or damaged
    """
    saved = attributes(parse(content).value, VEC_NORMALIZE)
    moments = saved.get("obs_rms") if saved.get("norm_obs") is True else {}
    parts = moments if isinstance(moments, dict) else {"": moments}
    running = {str(key): attributes(part, RUNNING_MEAN_STD) for key, part in parts.items()}
    counts = [*(part.get("count") for part in running.values())]
    counts.append(attributes(saved.get("ret_rms"), RUNNING_MEAN_STD).get("count"))
    return StatisticsOutline({key: _shape(part.get("mean")) for key, part in running.items()}, _steps(counts))


@functools.lru_cache(maxsize=100)  # the models of an audit have few different ones
def shapes_of_space(content: bytes) -> Shapes | None:
    """Shapes of the observations in a pickled space; None where it is neither a Box nor a dictionary of spaces.

    Of a dictionary's parts those that are no Box are left out: VecNormalize does not take them.

    :raises Unreadable: it is damaged
    """
    with refusing("damaged space"):
        value = parse(content).value
        if _space(value) == "Dict":
            inner = merged(value.states).get("spaces")
            pairs = [*inner.pairs, *_given(inner.args)] if isinstance(inner, Call) else [*(inner or {}).items()]
            return {str(key): _of_box(part) for key, part in pairs if _space(part) == "Box"}
        return {"": _of_box(value)} if _space(value) == "Box" else None


def _given(args: Any) -> list[Any]:
    """The pairs that ``OrderedDict`` is called with; none where it is called without arguments."""
    return list(args[0]) if isinstance(args, tuple | list) and args else []


def _space(node: Any) -> str:
    """``Box``, ``Dict`` and so on; empty for what is no space of Gymnasium or gym."""
    made = made_by(node) if isinstance(node, Call) else None
    is_space = isinstance(made, Global) and made.module.split(".")[:2] in (["gymnasium", "spaces"], ["gym", "spaces"])
    return made.name if is_space and isinstance(made, Global) else ""


def _of_box(node: Call) -> tuple[int, ...]:
    state = merged(node.states)
    shape = state.get("_shape", state.get("shape"))
    return _sizes(shape) if isinstance(shape, tuple | list) else _shape(state.get("low"))


def _shape(node: Any) -> tuple[int, ...]:
    """The shape of a pickled array; ``()`` of a number."""
    if isinstance(node, int | float) and not isinstance(node, bool):
        return ()
    if not isinstance(node, Call) or not isinstance(made_by(node), Global):
        raise Unreadable("expected an array")
    match made_by(node).name:
        case "_reconstruct":  # its state is version, shape, dtype, order and content; old ones have no version
            return _sizes(node.states[0][-4])
        case "_frombuffer":
            return _sizes(node.args[2])
        case "scalar":
            return ()
    raise Unreadable("expected an array")


def _sizes(shape: Any) -> tuple[int, ...]:
    sizes = tuple(shape) if isinstance(shape, tuple | list) else ()
    if len(sizes) > limits.DIMENSIONS or not all(type(size) is int and 0 <= size < limits.ARRAY_SIZE for size in sizes):
        raise Unreadable("expected the shape of an array")
    return sizes


def _steps(counts: list[Any]) -> int | None:
    """The steps that running statistics counted, as ``forensics.pairing.counts_of`` tells them from the resets."""
    numbers = [number - 1e-4 for count in counts if (number := _number(count)) is not None]
    if len(numbers) < len(counts) or not all(abs(number - round(number)) < 0.01 for number in numbers):
        return None
    return round(min(numbers))


def _number(node: Any) -> float | None:
    """A pickled number, which NumPy may have made."""
    if isinstance(node, Call):
        made, args = made_by(node), node.args
        is_double = isinstance(made, Global) and made.name == "scalar" and isinstance(args, tuple) and len(args) == 2
        content = args[1] if is_double else None
        node = struct.unpack("<d", content)[0] if isinstance(content, bytes) and len(content) == 8 else None
    is_number = isinstance(node, int | float) and not isinstance(node, bool)
    return float(node) if is_number and math.isfinite(node) and abs(node) < 2**53 else None
