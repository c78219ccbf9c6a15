"""The finding: something that an instrument saw which may be a cause. The causes are in ``causes.catalogue``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Instrument = Literal["forensics", "probe", "conditions", "claims"]

Detail = str | int | float | bool | None | Sequence["Detail"] | Mapping[str, "Detail"]
"""A value that a fix can name or a trial can use: whatever JSON holds."""


@dataclass(frozen=True)
class Finding:
    """Something that an instrument saw and that may explain a lost reward.

    :param cause: key of :data:`reload_audit.causes.catalogue.CAUSES`
    :param proof: whether what was seen proves the cause by itself; otherwise the cause is only worth a trial
    :param evidence: one sentence, with the numbers
    :param details: what the fix names and trials use, by name: a file, an attribute, a number
    """

    cause: str
    instrument: Instrument
    proof: bool
    evidence: str
    details: Mapping[str, Detail] = field(default_factory=dict)
