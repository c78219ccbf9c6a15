"""A part of a stack of environments that pickle refuses, as a trained model's manifest holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from reload_audit.records.plain_data import PlainData

Way = Literal[
    "monitor environments",
    "new wrapper",
    "new processes",
    "new environments",
    "move to module",
    "leave out",
    "leave out lock",
]
"""How to do without pickling a part: what each means in words is in ``remedies.pickling_advice``."""


@dataclass(frozen=True)
class UnpicklablePart(PlainData):
    """Something in one layer of a stack that pickle refuses.

    :param layer: the layer's class
    :param position: of the layer, counted inwards from 0 for the outermost, through the VecEnv into an environment's
        wrappers
    :param attribute: the way from the layer to the culprit, as in ``class_attributes['__dict__']``; empty where no part
        of the layer is to blame, but how it is pickled
    :param kind: the culprit's class
    :param name: the culprit's name, if it is a class or a function
    :param error: what pickle says of it
    :param cloudpickle: whether cloudpickle can take the whole attribute
    :param environments: in how many of the VecEnv's environments; 0 for a layer of the VecEnv itself
    :param way: how to do without pickling it
    """

    layer: str
    position: int
    attribute: str
    kind: str
    name: str
    error: str
    cloudpickle: bool
    environments: int
    way: Way
