"""What an instrument saw of a cause. The causes themselves are in ``causes``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Instrument = Literal["forensics", "probe", "conditions", "claims"]


@dataclass(frozen=True)
class Finding:
    """Something that an instrument saw and that may explain a lost reward.

    :param cause: key of :data:`reload_audit.causes.catalogue.CAUSES`
    :param proof: whether what was seen shows by itself that this is so; otherwise it is only worth trying
    :param evidence: one sentence, with the numbers
    :param details: what the fix names: a file, an attribute, a number
    """

    cause: str
    instrument: Instrument
    proof: bool
    evidence: str
    details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Finding:
        return cls(**data)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
