"""What the report calls things: models trained here are compared with train time, external ones with claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reload_audit.reports.dashboard.entries import Entry
from reload_audit.reports.headline import reward_name


@dataclass(frozen=True)
class Vocabulary:
    """The words of one report, which depend on the kinds of models in it.

    :param reward: what the reloads are compared with
    :param as_before: completes "it earns what …"
    :param than: completes "earns less than …"
    :param quoted: what the reloads are compared with, in a formula
    :param measured: whether any model was measured at train time
    :param external: whether any model is external
    """

    reward: str
    as_before: str
    than: str
    quoted: str
    measured: bool
    external: bool

    @property
    def meanings(self) -> dict[str, str]:
        """What each verdict says."""
        same = "Not bit for bit the same, but enough" if self.measured else "Enough"
        difference = "the difference" if self.measured else "the difference from what is claimed"
        claims = ", among so many models it may be chance, or the claim cannot decide"
        chance = claims if self.external else ", or among so many models it may be chance"
        return {
            "identical": "Every bit of every episode is as in the reference, "
            "and the reward is within the margin of in place.",
            "equivalent": f"{same} episodes show that {difference} lies within the margin.",
            "retained": f"Shown to lose no more than the margin; whether it earns more than {self.than} is open, "
            "or may be chance among so many models.",
            "improved": f"Earns more than {self.than}, by more than the margin, and not by chance.",
            "consistent": "The claim is so imprecise, or of so weak a kind, that no number of reload episodes could "
            "show equivalence, and the reload is what such a claim predicts; the largest loss that is not excluded "
            "stands in its row.",
            "inconclusive": f"The episodes cannot tell{chance}. The reason says which.",
            "degraded": f"Earns less than {self.than}, by more than the margin, and not by chance.",
            "error": "Could not be " + ("trained, loaded" if self.measured else "read, loaded") + " or run. "
            "The reason says what happened.",
        }


IN_SHORT: dict[str, str] = {
    "identical": "every bit as before",
    "equivalent": "within the margin",
    "retained": "no loss beyond the margin",
    "improved": "earns more",
    "consistent": "fits a vague claim",
    "inconclusive": "not decided",
    "suspect": "perhaps lost",
    "degraded": "earns less",
    "error": "did not run",
}
"""What each verdict says, and the mark of suspect models, in few words."""

SUSPECT = (
    "Inconclusive, but its own bounds show a loss: only among so many models it may be chance. To be looked at first."
)
"""What it means that an inconclusive model is suspect."""


def vocabulary(models: Sequence[Entry]) -> Vocabulary:
    """What to call things in a report on these models."""
    kinds = {entry.was_measured for entry in models}
    measured, claimed = True in kinds or not models, False in kinds
    return Vocabulary(
        reward=reward_name(kinds),
        as_before=_either("it earned in place", "is claimed", measured, claimed, ", or what "),
        than=_either("in place", "is claimed", measured, claimed, ", or than "),
        quoted=_either("train", "claimed", measured, claimed, " or "),
        measured=measured,
        external=any(entry.is_external for entry in models),
    )


def _either(one: str, other: str, is_one: bool, is_other: bool, conjunction: str) -> str:
    """One of two texts, or both joined by a conjunction where both hold."""
    return conjunction.join(text for text, said in ((one, is_one), (other, is_other)) if said)
