"""The models that failed, lost their reward or are suspect of it, so that what is wrong with them is said once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from reload_audit.reports.audited_model import AuditedModel


@dataclass(frozen=True)
class Group:
    """Models of one cause in one environment; of models that failed, those with one cause and one reason.

    :param models: those that lost most first; all of them, however many there are
    """

    models: tuple[AuditedModel, ...]

    @property
    def worst(self) -> AuditedModel:
        return self.models[0]

    @property
    def verdicts(self) -> str:
        """``4 degraded, 1 suspect``."""
        counts = Counter("suspect" if model.suspect else model.verdict for model in self.models)
        return ", ".join(f"{count:,} {verdict}" for verdict, count in counts.items())

    @property
    def same_evidence(self) -> bool:
        """Whether all that is seen of the cause is the same for each model."""
        return len({_first_evidence(model) for model in self.models}) == 1


def groups_of_wrong(models: Iterable[AuditedModel]) -> list[Group]:
    """Groups of the models that need a look, the one with the worst model first: errors, then losses, then suspects."""
    found: dict[tuple[str, str], list[AuditedModel]] = {}
    for model in sorted(models, key=_severity):
        if model.is_any_of(("error", "degraded", "suspect")):
            shared = model.reason if model.verdict == "error" else model.env_id
            found.setdefault((model.cause, shared), []).append(model)
    return [Group(tuple(group)) for group in found.values()]


def shown_evidence(groups: Iterable[Group]) -> set[str]:
    """The sentences of evidence that are shown with groups: those on the best cause of the worst model."""
    return {sentence for group in groups for cause in group.worst.causes[:1] for sentence in cause.evidence[:1]}


def _severity(model: AuditedModel) -> tuple[tuple[int, bool], float]:
    """A sort key: the worst verdict first, then the largest loss in units of the margin."""
    if model.verdict == "error" or model.difference is None or not model.margin:
        return model.concern, 0.0
    return model.concern, model.difference / model.margin


def _first_evidence(model: AuditedModel) -> str:
    return next((sentence for cause in model.causes[:1] for sentence in cause.evidence), "")
