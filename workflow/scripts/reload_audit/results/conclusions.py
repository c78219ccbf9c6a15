"""What is concluded of each model once all are known: its verdict, the reason in words, and the causes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from reload_audit.causes.finding import Finding
from reload_audit.diagnosis.conclude import Diagnosis, conclude
from reload_audit.judging.criteria import Criteria
from reload_audit.judging.reasons import reason
from reload_audit.judging.verdicts import JudgedVerdict, decide_verdicts
from reload_audit.probing.conclusions import findings
from reload_audit.reading.refusal import shown
from reload_audit.records.probe_record import ProbeRecord
from reload_audit.results.judged_model import JudgedModel
from reload_audit.results.tables import ModelRow


@dataclass(frozen=True)
class ConcludedModel:
    """A judged model with what is concluded of it.

    :param row: complete, with verdict, reason and best cause
    """

    judged: JudgedModel
    row: ModelRow
    diagnosis: Diagnosis


def conclude_all(
    models: Sequence[JudgedModel], criteria: Criteria, probed: Mapping[str, ProbeRecord]
) -> list[ConcludedModel]:
    """Decide the verdicts of all models together, and what explains each.

    :param probed: what probing environments found, by name
    """
    decided = decide_verdicts([model.judgement for model in models], criteria)
    found = {name: findings(probe) for name, probe in probed.items()}
    return [
        _conclude(model, _with_verdict(model, verdict), found.get(model.probe))
        for model, verdict in zip(models, decided, strict=True)
    ]


def _conclude(model: JudgedModel, row: ModelRow, probed: Sequence[Finding] | None) -> ConcludedModel:
    diagnosis = _diagnose(model, row, probed)
    return ConcludedModel(model, _with_cause(row, diagnosis), diagnosis)


def _with_verdict(model: JudgedModel, judged: JudgedVerdict) -> ModelRow:
    """The row with q, verdict, gap and reason, which need all models."""
    if judged.verdict == "consistent" and model.checks_failed:
        # What is claimed predicts what was measured, but not of this model as it was saved: its files do not agree.
        judged = replace(judged, verdict="inconclusive")
    row = replace(model.row, q=judged.q, verdict=judged.verdict, suspect=judged.suspect)
    if model.judgement is None:
        return row
    said = reason(judged, model.judgement, model.checks_failed, model.criteria, model.further, row.largest_loss_share)
    return replace(row, gap=model.judgement.gap if judged.verdict in ("degraded", "improved") else "", reason=said)


def _diagnose(model: JudgedModel, row: ModelRow, probed: Sequence[Finding] | None) -> Diagnosis:
    """What explains a model's verdict.

    :param probed: the faults that probing its environment found; None where it was not probed
    """
    if model.failed:
        return Diagnosis()
    return conclude(model.evidence, row.verdict or "", row.gap or "", model.judgement, probed)


def _with_cause(row: ModelRow, diagnosis: Diagnosis) -> ModelRow:
    """The row with its best cause, and with remarks on its environment."""
    best = diagnosis.causes[0] if diagnosis.causes else None
    return replace(
        row,
        cause="" if best is None else best.cause,
        cause_share=None if best is None else best.share,
        remarks="; ".join(filter(None, [row.remarks, *map(shown, diagnosis.remarks)])),
    )
