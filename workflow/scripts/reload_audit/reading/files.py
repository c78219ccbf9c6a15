"""Open files that anybody may have written: regular ones only, and never more bytes than a limit."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from pathlib import Path
from typing import BinaryIO

from reload_audit.reading import limits
from reload_audit.reading.refusal import Unreadable, shown

_ENTRY = b"PK\x01\x02"

_POINTER = b"version https://git-lfs.github.com/spec/"

POINTER = "a pointer of Git LFS, not the file itself, which `git lfs pull` fetches"


def is_pointer(content: bytes) -> bool:
    """Whether a file that begins with these bytes only points to one that Git LFS keeps elsewhere."""
    return content.startswith(_POINTER)


def first_bytes(path: str | Path, count: int = 256) -> bytes:
    """The first bytes of a regular file.

    :raises Unreadable: it cannot be read
    """
    with opened(path) as file:
        try:
            return file.read(count)
        except OSError as error:
            raise Unreadable(f"{shown(str(path))}: cannot be read: {error.strerror}") from None


def opened(path: str | Path) -> BinaryIO:
    """Open a regular file for reading bytes; anything else is refused, because opening it might block.

    :raises Unreadable: it is missing, or a device, a pipe or the like
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise Unreadable(f"{shown(str(path))}: cannot be read: {getattr(error, 'strerror', error)}") from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise Unreadable(f"{shown(str(path))}: expected a file, found {kind_of(mode)}")
    return open(descriptor, "rb")


def read_bytes(path: str | Path, limit: int = limits.FILE_BYTES) -> bytes:
    """Read a regular file of at most ``limit`` bytes.

    :raises Unreadable: it is missing, too large, or a device, a pipe or the like
    """
    with opened(path) as file:
        try:
            size = os.fstat(file.fileno()).st_size
            content = file.read(size + 1) if size <= limit else b""
        except OSError as error:
            raise Unreadable(f"{shown(str(path))}: cannot be read: {error.strerror}") from None
    if is_pointer(content):
        raise Unreadable(f"{shown(str(path))}: {POINTER}")
    if max(size, len(content)) > limit:
        raise Unreadable(f"{shown(str(path))}: expected at most {limit} bytes, found more")
    return content


def kind_of(mode: int) -> str:
    """What kind of file an ``st_mode`` stands for, in words for a message."""
    kinds = {
        stat.S_IFREG: "a file",
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFLNK: "a link",
    }
    return kinds.get(stat.S_IFMT(mode), "something else")


def open_zip(content: bytes) -> zipfile.ZipFile:
    """Open a zip that is in memory; only its list of members is read.

    :raises Unreadable: it lists so many members that reading the list would take minutes
    """
    if content.count(_ENTRY) > limits.ZIP_ENTRIES:
        raise Unreadable(f"damaged zip: more than {limits.ZIP_ENTRIES:,} members")
    return zipfile.ZipFile(io.BytesIO(content))


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Unpack one member of a zip; never more bytes than the zip's list of members gives as its size.

    :raises Unreadable: it is compressed in a way that cannot be unpacked piece by piece
    """
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Unreadable(f"damaged zip: {member.filename[:100]!r} has an unusual compression")
    with archive.open(member) as file:
        return file.read(member.file_size)
