"""Parse the pickles inside a file that ``torch.save`` wrote, and read the numbers of a tensor in a pickle."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reload_audit.reading import limits
from reload_audit.reading.files import open_zip, read_member
from reload_audit.reading.pickles import Parsed, parse
from reload_audit.reading.refusal import Unreadable, refusing

if TYPE_CHECKING:
    import torch as th

_LEGACY_PICKLES = 5


@refusing("damaged tensors")
def pickles_of_tensors(content: bytes, most: int = limits.INSTRUCTIONS) -> list[Parsed]:
    """The pickles in a file of ``torch.save``: one in a zip, or five in a row (before PyTorch 1.6).

    :param most: opcodes that each may have
    :raises Unreadable: one of them is damaged, or the zip would unpack to more than its own size
    """
    if content.startswith(b"PK"):
        with open_zip(content) as archive:
            members = archive.infolist()
            stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
            if not stored or sum(member.file_size for member in members) > len(content):
                raise Unreadable("damaged tensors: expected an uncompressed zip, as PyTorch writes it")
            pickles = [read_member(archive, member) for member in members if member.filename.endswith("data.pkl")]
        return [parse(pickled, most) for pickled in pickles]
    parsed = []
    for _ in range(_LEGACY_PICKLES):
        parsed.append(parse(content, most))
        content = content[parsed[-1].end :]
    return parsed


@refusing("damaged tensor")
def tensor_of(content: Any, offset: Any, size: Any, stride: Any) -> th.Tensor:
    """The tensor that a pickle describes by the file of its storage and its place in it. It is a copy of its own.

    :param content: what ``torch.save`` wrote of the storage; PyTorch reads it with ``weights_only``
    :param size: along each dimension, and ``stride`` likewise, in numbers
    :raises Unreadable: it is damaged, or reaches beyond its storage
    """
    import torch as th  # slow to import, and few files hold a tensor in a pickle

    if not isinstance(content, bytes) or not _whole([offset]) or not _whole(size) or not _whole(stride):
        raise Unreadable("damaged tensor: expected a storage, a place in it and whole numbers")
    pickles_of_tensors(content, limits.TENSOR_INSTRUCTIONS)  # PyTorch may never come to the end of some
    storage = th.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    numbers = th.tensor([], dtype=storage.dtype).set_(storage)
    if len(size) > limits.DIMENSIONS or math.prod(size) > numbers.numel():
        raise Unreadable(f"damaged tensor: expected at most the {numbers.numel():,} numbers of its storage")
    return numbers.as_strided(tuple(size), tuple(stride), offset).clone()


def _whole(values: Any) -> bool:
    return isinstance(values, Sequence) and all(
        type(value) is int and 0 <= value < limits.ARRAY_SIZE for value in values
    )
