"""Content digests of arrays and plain values."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


class Digest:
    """A running content digest of arrays and plain values; equal exactly where every bit is.

    Dictionary order does not count. ``-0.0`` and ``0.0`` differ, so do data types and shapes.
    """

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=8)

    def add_array(self, array: np.ndarray) -> Digest:
        """Add an array with its data type and shape."""
        if array.dtype.hasobject:
            return self.add(array.tolist())
        self._hash.update(_array_mark(array.dtype, array.shape) + array.tobytes())
        return self

    def add_arrays(self, dtype: np.dtype, shape: tuple[int, ...], contents: Sequence[bytes]) -> Digest:
        """Add arrays of one kind by their bytes, as ``add_array`` does one by one."""
        mark = _array_mark(dtype, shape)
        self._hash.update(mark + mark.join(contents))
        return self

    def add_each(self, dtype: np.dtype, shape: tuple[int, ...], contents: Sequence[bytes]) -> list[bytes]:
        """Add arrays as :meth:`add_arrays` does, and return what :meth:`start` gives after each of them."""
        mark = _array_mark(dtype, shape)
        update, current = self._hash.update, self._hash.digest
        starts = []
        for content in contents:
            update(mark + content)
            starts.append(current()[:2])
        return starts

    def add_bytes(self, array: np.ndarray) -> Digest:
        """Add an array's bytes without data type and shape: rows added at once or one by one give the same digest."""
        self._hash.update(array.tobytes())
        return self

    def add_observation(self, observation: Any) -> Digest:
        """Add what an environment returned: an array, a number or a dictionary of them."""
        if type(observation) is np.ndarray:  # in every step of nearly every environment
            return self.add_array(observation)
        if isinstance(observation, Mapping):
            self._mark(f"{{{len(observation)}")
            for key in sorted(observation):
                self._mark(str(key))
                self.add_observation(observation[key])
            return self
        return self.add_array(np.asarray(observation))

    def add(self, value: Any) -> Digest:
        """Add anything that state dictionaries hold: tensors, arrays, numbers, texts, lists, dictionaries."""
        if isinstance(value, str | int | float):  # the usual case first: the other checks take longer
            self._mark(repr(value))
        elif isinstance(value, Mapping):
            self._mark(f"{{{len(value)}")
            for key in sorted(value, key=str):
                self._mark(repr(key))
                self.add(value[key])
        elif isinstance(value, list | tuple):
            self._mark(f"[{len(value)}")
            for item in value:
                self.add(item)
        elif hasattr(value, "detach"):
            self.add_array(_tensor_content(value))
        elif isinstance(value, np.ndarray):
            self.add_array(value)
        else:
            self._mark(repr(value))
        return self

    def hexdigest(self) -> str:
        return self._hash.hexdigest()

    def start(self) -> bytes:
        """The first two bytes of the digest."""
        return self._hash.digest()[:2]

    def _mark(self, text: str) -> None:
        """Add a text after its length, so that it cannot be confused with parts of its neighbours."""
        self._hash.update(_mark(text))


def _mark(text: str) -> bytes:
    content = text.encode("utf-8", "surrogatepass")
    return b"%d:" % len(content) + content


@functools.lru_cache(maxsize=1000)
def _array_mark(dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    return _mark(f"{dtype.str}{shape}")


def digest(value: Any) -> str:
    """The content digest of a value: see :class:`Digest`."""
    return Digest().add(value).hexdigest()


def _tensor_content(tensor: Any) -> np.ndarray:
    """A PyTorch tensor as an array; NumPy has no bfloat16, but float32 holds every one of its numbers."""
    detached = tensor.detach().cpu()
    content: np.ndarray = (detached.float() if str(detached.dtype) == "torch.bfloat16" else detached).numpy()
    return content
