"""What all files together may take while they are planned: one may be as large as its limit, and not all of them."""

from __future__ import annotations

from reload_audit.reading import limits
from reload_audit.reading.refusal import Unreadable, shown


class Allowance:
    """Counts the bytes that files have beyond what each may have for nothing, in the order in which they are read."""

    def __init__(self) -> None:
        self._left = limits.PLANNED_BYTES

    def begin(self) -> None:
        """Begin to count anew: the files of another configuration are read."""
        self._left = limits.PLANNED_BYTES

    def take(self, path: str, size: int) -> None:
        """Count a file.

        :param size: bytes that it has, or unpacks to
        :raises Unreadable: the files that were read before it have taken all there is
        """
        further = max(0, size - limits.FREE_BYTES)
        if further > self._left:
            raise Unreadable(
                f"{shown(path)}: expected that all models together have at most {limits.PLANNED_BYTES:,} bytes of "
                f"settings beyond the first {limits.FREE_BYTES:,} of each, found more; audit them in several parts"
            )
        self._left -= further


ALLOWANCE = Allowance()
"""That of the audit which is being planned."""
