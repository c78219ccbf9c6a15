"""Training episodes in the files of SB3's Monitor, without NumPy: when they began, and how many steps they took."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass

from reload_audit.reading import limits
from reload_audit.reading.files import read_bytes
from reload_audit.reading.plain_values import mapping, parse_json
from reload_audit.reading.refusal import Unreadable


@dataclass(frozen=True)
class Monitored:
    """The episodes of one environment.

    :param started: when it was made, in seconds since 1970
    :param steps: of all episodes that ended
    :param longest: steps of the longest of them
    """

    started: float
    steps: int
    longest: int


def read_monitor(path: str) -> Monitored | None:
    """What a file of a Monitor holds; None for a table of something else, or without episodes.

    :raises Unreadable: it cannot be read
    """
    first, _, rest = read_bytes(path, limits.NEARBY_BYTES).decode("utf-8", "replace").partition("\n")
    if not first.startswith("#{"):
        return None
    started = mapping(parse_json(first[1:].encode())).get("t_start")
    try:
        lengths = [int(row["l"]) for row in csv.DictReader(rest.splitlines())]
    except (KeyError, TypeError, ValueError, csv.Error):
        raise Unreadable(f"{path}: expected the lengths of episodes, found something else") from None
    if not lengths or min(lengths) < 1 or not isinstance(started, int | float) or not math.isfinite(started):
        return None
    return Monitored(float(started), sum(lengths), max(lengths))
