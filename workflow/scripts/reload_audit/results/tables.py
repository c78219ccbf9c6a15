"""The result tables: their columns, and writing them so that the same rows give the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from reload_audit.records.storage import atomic_path

Row = Mapping[str, Any]

_TEXT, _INTEGER, _NUMBER, _FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()

MODELS = pa.schema(
    [
        ("model", _TEXT),
        ("experiment", _TEXT),
        ("source", _TEXT),
        ("role", _TEXT),
        ("algo", _TEXT),
        ("env_id", _TEXT),
        ("env_ran", _TEXT),
        ("train_seed", _INTEGER),
        ("train_n_envs", _INTEGER),
        ("num_timesteps", _INTEGER),
        ("normalized", _FLAG),
        ("verdict", _TEXT),
        ("reason", _TEXT),
        ("gap", _TEXT),
        ("cause", _TEXT),
        ("cause_share", _NUMBER),
        ("n_episodes", _INTEGER),
        ("claim_kind", _TEXT),
        ("claim_mean", _NUMBER),
        ("claim_std", _NUMBER),
        ("claim_n", _INTEGER),
        ("claim_source", _TEXT),
        ("ep_rew_mean", _NUMBER),
        ("train_mean_reward", _NUMBER),
        ("train_std_reward", _NUMBER),
        ("reference_mean_reward", _NUMBER),
        ("reference_std_reward", _NUMBER),
        ("reload_mean_reward", _NUMBER),
        ("reload_std_reward", _NUMBER),
        ("random_mean_reward", _NUMBER),
        ("difference", _NUMBER),
        ("ci_low", _NUMBER),
        ("ci_high", _NUMBER),
        ("margin", _NUMBER),
        ("p", _NUMBER),
        ("q", _NUMBER),
        ("checks_failed", _TEXT),
        ("loaded_with", _TEXT),
        ("plain_load_error", _TEXT),
        ("sb3_saved", _TEXT),
        ("sb3_loaded", _TEXT),
        ("version_changes", _TEXT),
        ("remarks", _TEXT),
        ("log", _TEXT),
    ]
)
"""One row per model. Means and standard deviations are over the ``n_episodes`` that were compared."""

CONDITIONS = pa.schema(
    [
        ("model", _TEXT),
        ("condition", _TEXT),
        ("n_envs", _INTEGER),
        ("vec_env", _TEXT),
        ("deterministic", _FLAG),
        ("status", _TEXT),
        ("reason", _TEXT),
        ("n_episodes", _INTEGER),
        ("earned", _TEXT),
        ("mean_reward", _NUMBER),
        ("std_reward", _NUMBER),
        ("mean_ep_length", _NUMBER),
        ("difference", _NUMBER),
        ("ci_low", _NUMBER),
        ("ci_high", _NUMBER),
        ("identical", _FLAG),
        ("first_difference", _TEXT),
    ]
)
"""One row per model and condition, in place and reference included. Differences are from the reference, paired."""

EPISODES = pa.schema(
    [
        ("model", _TEXT),
        ("condition", _TEXT),
        ("episode", _INTEGER),
        ("seed", _INTEGER),
        ("reward", _NUMBER),
        ("length", _INTEGER),
        ("terminated", _FLAG),
        ("monitor_reward", _NUMBER),
        ("step_reward", _NUMBER),
        ("trace", _TEXT),
    ]
)
"""One row per episode; ``trace`` is one digest of all that happened in it."""

PROCESSES = pa.schema(
    [
        ("model", _TEXT),
        ("condition", _TEXT),
        ("host", _TEXT),
        ("pid", _INTEGER),
        ("parent_pid", _INTEGER),
        ("started", _NUMBER),
        ("fresh", _FLAG),
        ("wall_seconds", _NUMBER),
        ("cpu_seconds", _NUMBER),
        ("peak_memory", _NUMBER),
    ]
)
"""One row per process: which it was, and what it cost. ``fresh`` says that it is not the one that trained."""


class ParquetTable:
    """A Parquet file that is written some rows at a time and appears when it is complete."""

    _ROWS_A_GROUP = 50_000

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._rows: list[Row] = []
        self._target = atomic_path(path)

    def __enter__(self) -> ParquetTable:
        self._writer = pq.ParquetWriter(self._target.__enter__(), self._schema)
        return self

    def add(self, rows: Iterable[Row]) -> None:
        self._rows.extend(rows)
        if len(self._rows) >= self._ROWS_A_GROUP:
            self._flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._flush()
        self._writer.close()
        self._target.__exit__(kind, error, trace)

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows.clear()


def write_parquet(path: Path, rows: Sequence[Row], schema: pa.Schema) -> None:
    with ParquetTable(path, schema) as table:
        table.add(rows)


def write_csv(path: Path, rows: Sequence[Row], schema: pa.Schema) -> None:
    """Numbers are written so that reading them gives the same bits; what is missing is empty."""
    frame = pa.Table.from_pylist(list(rows), schema=schema).to_pandas(integer_object_nulls=True)
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False)
