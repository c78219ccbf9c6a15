"""Open files that anybody may have written: regular ones only, and not more of them than there is room for."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

from reload_audit.reading.pickles import MAX_INSTRUCTIONS, Parsed, Unreadable, parse, refusing

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

_ENTRY = b"PK\x01\x02"
_MAX_ENTRIES = 100_000
_LEGACY_PICKLES = 5


@refusing("cannot be read")
def read_bytes(path: str | Path, limit: int) -> bytes:
    """A regular file's content.

    :param limit: bytes it may have
    :raises Unreadable: it is no regular file, is too large, or cannot be read
    """
    try:
        status = Path(path).stat()  # before opening it: opening a pipe waits for its writer
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable(
                f"{path}: expected a file, found {_KINDS.get(stat.S_IFMT(status.st_mode), 'another kind')}"
            )
        if status.st_size > limit:
            raise Unreadable(f"{path}: expected at most {limit:,} bytes, found {status.st_size:,}")
        with open(path, "rb") as file:
            return file.read(status.st_size)
    except OSError as error:
        raise Unreadable(f"{path}: cannot be read: {error.strerror}") from None


def open_zip(content: bytes) -> zipfile.ZipFile:
    """A zip's table of contents.

    :raises Unreadable: it is so long that reading it would take minutes
    """
    if content.count(_ENTRY) > _MAX_ENTRIES:
        raise Unreadable(f"damaged zip: more than {_MAX_ENTRIES:,} members")
    return zipfile.ZipFile(io.BytesIO(content))


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """A member's content: never more than it declares to have.

    :raises Unreadable: it is compressed in a way that cannot be unpacked piece by piece
    """
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Unreadable(f"damaged zip: {member.filename[:100]!r} has an unusual compression")
    with archive.open(member) as file:
        return file.read(member.file_size)


@refusing("damaged tensors")
def pickles_of_tensors(content: bytes, most: int = MAX_INSTRUCTIONS) -> list[Parsed]:
    """The pickles in a file of ``torch.save``: one in a zip, or five in a row (before PyTorch 1.6).

    :param most: instructions that each may have
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
