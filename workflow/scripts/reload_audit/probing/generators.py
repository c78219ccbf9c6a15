"""Generators of random numbers, global ones and others: their states, and what seeds unseeded ones.

A generator that nobody seeds takes its state from the operating system's entropy. Here that can be replaced by numbers
that are the same every time: what then repeats itself has been shown to depend on it, and on who asked for it.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any

import numpy as np
import torch as th

from reload_audit.records.digests import Digest
from reload_audit.records.probe_record import Phase, Place

WhoAsks = Callable[[FrameType | None], Place | None]


def seed_global(seeds: Mapping[str, int]) -> None:
    """Put each of the global generators into the state that its seed stands for."""
    random.seed(seeds["random"])
    np.random.seed(seeds["np.random"])
    th.default_generator.manual_seed(seeds["torch"])  # th.manual_seed looks for GPUs each time


def global_states() -> dict[str, Any]:
    return {"np.random": np.random.get_state(), "random": random.getstate(), "torch": th.get_rng_state()}


def set_global_states(states: Mapping[str, Any]) -> None:
    np.random.set_state(states["np.random"])
    random.setstate(states["random"])
    th.set_rng_state(states["torch"])


@contextlib.contextmanager
def global_states_kept() -> Iterator[None]:
    """Leave the global generators as if the block had never drawn from them."""
    states = global_states()
    try:
        yield
    finally:
        set_global_states(states)


def fingerprints() -> dict[str, int]:
    """A number for each global generator's state, quickly computed: drawing from the generator changes it."""
    numpy_state: Any = np.random.get_state()
    return {
        "np.random": hash((numpy_state[1].tobytes(), numpy_state[2:])),
        "random": hash(random.getstate()),
        "torch": hash(th.get_rng_state().numpy().tobytes()),
    }


def is_generator(value: Any) -> bool:
    return issubclass(type(value), np.random.Generator | np.random.RandomState | random.Random | th.Generator)


def state_of(generator: Any) -> str:
    """A digest of a generator's state."""
    return Digest().add(_state(generator)).hexdigest()


def copied(generator: Any) -> Any:
    """A copy of a generator's state, for :func:`put_state`."""
    return copy.deepcopy(_state(generator))


def put_state(generator: Any, state: Any) -> None:
    """Put a generator into a state that it, or one of its kind, was in."""
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    elif isinstance(generator, random.Random):
        generator.setstate(state)
    else:
        generator.set_state(state)


def _state(generator: Any) -> Any:
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    if isinstance(generator, np.random.RandomState):
        return generator.get_state(legacy=False)
    if isinstance(generator, random.SystemRandom):
        return "entropy"
    if isinstance(generator, random.Random):
        return generator.getstate()
    return generator.get_state()


class Entropy:
    """Stands in for the operating system's entropy: notes who asks for it, and can give the same answers every time.

    :param who_asks: finds the environment's own line that a call comes from; None where none does
    :param fixed: the places that get the same answers every time; None for all of them
    """

    def __init__(self, who_asks: WhoAsks, fixed: frozenset[Place] | None) -> None:
        self._who_asks = who_asks
        self._fixed = fixed
        self._counts: dict[Place | None, int] = {}
        self._urandom = os.urandom
        self.phase: Phase = "import"
        self.asked: dict[Place, Phase] = {}

    def restart(self) -> None:
        """Begin the fixed answers of every place anew: the next one is its first."""
        self._counts.clear()

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Let the block ask without effect on the fixed answers after it."""
        counts = dict(self._counts)
        try:
            yield
        finally:
            self._counts = counts

    def urandom(self, size: int) -> bytes:
        """What ``os.urandom`` gives, or fixed bytes, which depend on the place and on how often it has asked."""
        where = self._who_asks(sys._getframe(1))
        if where is not None:
            self.asked.setdefault(where, self.phase)
        if self._fixed is not None and where not in self._fixed:
            return self._urandom(size)
        count = self._counts[where] = self._counts.get(where, -1) + 1
        return hashlib.shake_256(f"{where or ''} {count}".encode()).digest(size)

    @contextlib.contextmanager
    def replaced(self) -> Iterator[None]:
        """Replace every function that asks the operating system for entropy while the block runs."""
        seed_of_random = random.Random.seed

        def seed(generator: random.Random, a: Any = None, version: int = 2) -> None:
            if a is None and not isinstance(generator, random.SystemRandom):
                a = int.from_bytes(self.urandom(32), "big")
            seed_of_random(generator, a, version)

        def torch_seed() -> int:
            chosen = int.from_bytes(self.urandom(7), "big")
            th.manual_seed(chosen)
            return chosen

        replaced: list[tuple[Any, str, Any]] = [
            (os, "urandom", self.urandom),
            (random, "_urandom", self.urandom),  # what SystemRandom, secrets and NumPy's SeedSequence call
            (random.Random, "seed", seed),
            (th, "seed", torch_seed),
        ]
        kept = [(owner, name, getattr(owner, name)) for owner, name, _ in replaced]
        for owner, name, value in replaced:
            setattr(owner, name, value)
        random.seed = random._inst.seed  # bound when ``random`` was imported
        try:
            yield
        finally:
            for owner, name, value in kept:
                setattr(owner, name, value)
            random.seed = random._inst.seed
