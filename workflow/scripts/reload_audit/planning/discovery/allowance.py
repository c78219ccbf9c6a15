"""What all files together may take while they are planned: one may be as large as its limit, and not all of them."""

from __future__ import annotations

from reload_audit.reading import limits
from reload_audit.reading.refusal import Unreadable, shown


class Allowance:
    """Counts what files have beyond what each may have for nothing, in the order in which they are read.

    Bytes stand for memory, and values of YAML for time: no time is measured, so that every machine reads the same.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin to count anew: the files of another configuration are read."""
        self._left = limits.PLANNED_BYTES
        self._values_left = limits.PLANNED_YAML_VALUES

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

    def take_values(self, path: str, values: int) -> None:
        """Count a YAML file.

        :param values: the most that it can hold
        :raises Unreadable: the files that were read before it have taken all there is
        """
        further = max(0, values - limits.FREE_YAML_VALUES)
        if further > self._values_left:
            raise Unreadable(
                f"{shown(path)}: expected that all YAML files together have at most {limits.PLANNED_YAML_VALUES:,} "
                f"values beyond the first {limits.FREE_YAML_VALUES:,} of each, found more; audit them in several parts"
            )
        self._values_left -= further


ALLOWANCE = Allowance()
"""That of the audit which is being planned."""
