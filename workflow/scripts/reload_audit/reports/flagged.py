"""``flagged.csv``: the models that need a look, in a few columns of ``models.csv``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from reload_audit.judging.criteria import AS_BEFORE
from reload_audit.reports.audited_model import AuditedModel
from reload_audit.results import tables

COLUMNS = pa.schema(
    tables.MODELS.field(name)
    for name in (
        *("model", "verdict", "suspect", "cause", "cause_share", "reason", "algo", "env_id", "experiment"),
        *("claim_mean", "claim_std", "reload_mean_reward", "reload_std_reward", "difference", "margin"),
        *("largest_loss", "largest_loss_share", "q", "log"),
    )
)


def write_flagged(path: Path, models: Iterable[AuditedModel]) -> None:
    """Write a row for each model that is not as it was before, as far as can be told, the worst first."""
    flagged = [model for model in models if model.verdict not in AS_BEFORE]
    flagged.sort(key=lambda model: (model.concern, model.name))
    columns = [name for name in COLUMNS.names if name != "model"]
    rows = [{"model": model.name, **{name: getattr(model, name) for name in columns}} for model in flagged]
    tables.write_csv(path, rows, COLUMNS)
