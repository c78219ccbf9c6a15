"""Whether the spaces of a class of the repository, as far as its text tells, contradict those in a model's zip."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from reload_audit.reading.plain_values import mapping
from reload_audit.repository.values import UNKNOWN, Made, Value

Shape = tuple[str, tuple[int, ...]]
"""A kind of space with its shape, or with its number of choices."""

_NUMBER = re.compile(r"\d+")


def saved_shape(space: Any) -> Shape | None:
    """The shape of a space that SB3 wrote into a zip's settings; None where it is of another kind or not readable."""
    said = mapping(space)
    kind = str(said.get(":type:", "")).rpartition(".")[2].rstrip("'>")
    shape = said.get("_shape", said.get("shape"))
    if kind == "Box" and isinstance(shape, list | str):
        numbers = shape if isinstance(shape, list) else _NUMBER.findall(shape)
        return kind, tuple(int(number) for number in numbers if isinstance(number, int | str))
    if kind == "Discrete" and isinstance(said.get("n"), int | str) and str(said["n"]).isdecimal():
        return kind, (int(said["n"]),)
    return (kind, ()) if kind in ("Dict", "MultiDiscrete", "MultiBinary", "Tuple") else None


def stated_shape(space: Any) -> Shape | None:
    """The shape of a space that a script makes; None where that cannot be told."""
    if not isinstance(space, Made) or ".spaces." not in f".{space.maker.name}":
        return None
    kind = space.maker.last
    if kind == "Discrete":
        n = space.args[0] if space.args else space.kwargs.get("n")
        return (kind, (n,)) if isinstance(n, int) else None
    if kind == "Box":
        shape = space.args[2] if len(space.args) > 2 else space.kwargs.get("shape", UNKNOWN)
        low = space.args[0] if space.args else space.kwargs.get("low")
        if shape is UNKNOWN and isinstance(low, Made) and low.args and isinstance(low.args[0], list):
            shape = (len(low.args[0]),) if not any(isinstance(one, list) for one in low.args[0]) else UNKNOWN
        known = isinstance(shape, list | tuple) and all(isinstance(one, int) for one in shape)
        return (kind, tuple(shape)) if known else None
    return (kind, ()) if kind in ("Dict", "MultiDiscrete", "MultiBinary", "Tuple") else None


def contradict(stated: Mapping[str, Value], settings: Mapping[str, object]) -> bool:
    """Whether a class has other spaces than a zip.

    :param stated: attributes of an object of the class
    :param settings: of the zip
    """
    for key in ("observation_space", "action_space"):
        saved, said = saved_shape(settings.get(key)), stated_shape(stated.get(key))
        if saved is not None and said is not None and saved != said:
            return True
    return False
