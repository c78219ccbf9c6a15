"""Parse the pickles inside a file that ``torch.save`` wrote."""

from __future__ import annotations

import zipfile

from reload_audit.reading import limits
from reload_audit.reading.files import open_zip, read_member
from reload_audit.reading.pickles import Parsed, parse
from reload_audit.reading.refusal import Unreadable, refusing

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
