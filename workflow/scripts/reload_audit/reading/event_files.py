"""Scalars in TensorBoard's event files: records of TFRecord, each an ``Event`` of Protocol Buffers.

Checksums are not read. The fields are those of ``tensorflow/core/util/event.proto`` and
``tensorflow/core/framework/summary.proto``: an event has a step (2) and a summary (5) of values (1), and a value a tag
(1) and a number (2), or a tensor (8) of one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from reload_audit.reading.refusal import Unreadable

_STEP, _SUMMARY, _VALUE, _TAG, _NUMBER, _TENSOR = 2, 5, 1, 1, 2, 8
_TENSOR_CONTENT, _TENSOR_FLOATS = 4, 5
_HEAD, _FOOT = 12, 4
_SIZES = {1: 8, 5: 4}  # of numbers of fixed length, by their wire type


class Scalar(NamedTuple):
    """One number that was logged."""

    tag: str
    step: int
    value: float


def scalars(content: bytes) -> Iterator[Scalar]:
    """The scalars of an event file, in its order. A last record that was cut off is left out, as after a crash.

    :raises Unreadable: it is no event file
    """
    for record in _records(content):
        fields = list(_fields(record))
        step = next((value for number, value in fields if number == _STEP and isinstance(value, int)), 0)
        for number, summary in fields:
            if number == _SUMMARY and isinstance(summary, bytes):
                yield from _in_summary(summary, step)


def _in_summary(summary: bytes, step: int) -> Iterator[Scalar]:
    for number, value in _fields(summary):
        if number != _VALUE or not isinstance(value, bytes):
            continue
        parts = dict(_fields(value))
        tag, found = parts.get(_TAG), parts.get(_NUMBER)
        tensor = parts.get(_TENSOR)
        if found is None and isinstance(tensor, bytes):
            inside = dict(_fields(tensor))
            found = inside.get(_TENSOR_FLOATS, inside.get(_TENSOR_CONTENT))
        if isinstance(tag, bytes) and isinstance(found, bytes) and len(found) == 4:
            yield Scalar(tag.decode("utf-8", "replace"), step, struct.unpack("<f", found)[0])


def _records(content: bytes) -> Iterator[bytes]:
    place = 0
    while place + _HEAD <= len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        end = place + _HEAD + length
        if end + _FOOT > len(content):
            return
        yield content[place + _HEAD : end]
        place = end + _FOOT


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message by their numbers: integers as such, all else as bytes."""
    place = 0
    while place < len(message):
        key, place = _integer(message, place)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, place = _integer(message, place)
            yield number, value
            continue
        if kind == 2:
            size, place = _integer(message, place)
        elif kind in _SIZES:
            size = _SIZES[kind]
        else:
            raise Unreadable("expected an event of TensorBoard, found something else")
        if place + size > len(message):
            raise Unreadable("expected an event of TensorBoard, found one that is cut off")
        yield number, message[place : place + size]
        place += size


def _integer(message: bytes, place: int) -> tuple[int, int]:
    """An integer of variable length, and the place after it."""
    value = shift = 0
    while place < len(message) and shift < 64:
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
    raise Unreadable("expected an event of TensorBoard, found something else")
