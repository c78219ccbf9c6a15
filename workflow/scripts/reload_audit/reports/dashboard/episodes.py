"""Episodes of single models, from ``episodes.parquet``: what each earned before, and after a reload."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from reload_audit.records.storage import DamagedFileError
from reload_audit.reports.audited_model import STAGES
from reload_audit.reports.dashboard.entries import Entry

_COLUMNS = ["model", "condition", "episode", "reward"]

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
        with pq.ParquetFile(path) as file:  # read_table imports pandas
            keys = {entry.key for entry in wanted}
            batches = file.iter_batches(columns=_COLUMNS)
            rows = [row for batch in batches for row in _of(batch, keys)]
    except (pa.ArrowException, OSError) as error:
        raise DamagedFileError(path, error) from None
    found: dict[str, Pairs] = {}
    for model, condition, _, reward in sorted(rows, key=lambda row: row[:3]):
        rewards = found.setdefault(model, Pairs()).rewards.setdefault(condition, [])
        if len(rewards) < MOST_EPISODES:
            rewards.append(math.nan if reward is None else reward)
    return found


def _of(batch: pa.RecordBatch, models: Set[str]) -> Iterator[tuple[str, str, int, float | None]]:
    """Model, condition, episode and reward of the rows of these models, under the conditions that are compared."""
    if models.isdisjoint(batch["model"].to_pylist()):
        return
    for row in zip(*(batch[name].to_pylist() for name in _COLUMNS), strict=True):
        if row[0] in models and row[1] in STAGES:
            yield row
