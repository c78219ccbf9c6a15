"""Episodes of single models, from ``episodes.parquet``: what each earned before, and after a reload."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from reload_audit.records.storage import DamagedFileError
from reload_audit.reports.audit import STAGES
from reload_audit.reports.dashboard.entries import Entry

MOST_MODELS = 1500
"""Models whose episodes are read, the worst first; none of those that are identical."""

MOST_EPISODES = 100
"""Episodes that are kept of each model and stage."""


@dataclass(frozen=True)
class Pairs:
    """Rewards of one model's episodes, by stage, in the order of their seeds."""

    rewards: dict[str, list[float]] = field(default_factory=dict)

    def to_dict(self, short: Callable[[float], float | int]) -> dict[str, list[float | int | None]]:
        """Rewards by stage, shortened; None for those that are not finite."""
        return {
            stage: [short(reward) if np.isfinite(reward) else None for reward in rewards]
            for stage, rewards in self.rewards.items()
        }


def read_pairs(path: Path | None, models: Sequence[Entry]) -> dict[str, Pairs]:
    """The episodes of models that are not identical, by the models' keys.

    :param path: ``episodes.parquet``; None where there is none
    :param models: the worst first
    :raises DamagedFileError: if the file is no Parquet any more
    """
    wanted = [entry for entry in models if entry.verdict != "identical"][:MOST_MODELS]
    if path is None or not wanted:
        return {}
    try:
        table = pq.read_table(
            path,
            columns=["model", "condition", "episode", "reward"],
            filters=[("model", "in", {entry.key for entry in wanted}), ("condition", "in", set(STAGES))],
        )
    except (pa.ArrowException, OSError) as error:
        raise DamagedFileError(path, error) from None
    frame = table.to_pandas().sort_values(["model", "condition", "episode"], kind="stable")
    found: dict[str, Pairs] = {}
    for (model, condition), group in frame.groupby(["model", "condition"], sort=False):
        pairs = found.setdefault(model, Pairs())
        pairs.rewards[condition] = group["reward"].to_numpy(np.float64)[:MOST_EPISODES].tolist()
    return found
