"""The result tables: what a row of each has, and writing them so that the same rows give the same bytes."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, TracebackType
from typing import Any, cast, get_args, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from reload_audit.reading.refusal import shown
from reload_audit.records.storage import atomic_path

Row = Mapping[str, Any]


@dataclass(frozen=True)
class ModelRow:
    """One row of the table of models; None where there is nothing to say.

    Moments of rewards are over the ``n_episodes`` that were compared.

    :param suspect: whether an inconclusive model's own bounds show a loss, which the number of models overturns
    :param largest_loss: the largest loss that is not excluded, in reward; 0 where none is left
    :param largest_loss_share: the same as a share of what was learned
    """

    model: str | None = None
    experiment: str | None = None
    source: str | None = None
    role: str | None = None
    algo: str | None = None
    env_id: str | None = None
    env_ran: str | None = None
    train_seed: int | None = None
    train_n_envs: int | None = None
    num_timesteps: int | None = None
    normalized: bool | None = None
    verdict: str | None = None
    suspect: bool = False
    reason: str | None = None
    gap: str | None = None
    cause: str | None = None
    cause_share: float | None = None
    n_episodes: int | None = None
    episodes_cut: int | None = None
    claim_kind: str | None = None
    claim_mean: float | None = None
    claim_std: float | None = None
    claim_n: int | None = None
    claim_source: str | None = None
    ep_rew_mean: float | None = None
    train_mean_reward: float | None = None
    train_std_reward: float | None = None
    reference_mean_reward: float | None = None
    reference_std_reward: float | None = None
    reload_mean_reward: float | None = None
    reload_std_reward: float | None = None
    random_mean_reward: float | None = None
    difference: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    margin: float | None = None
    largest_loss: float | None = None
    largest_loss_share: float | None = None
    p: float | None = None
    q: float | None = None
    checks_failed: str | None = None
    loaded_with: str | None = None
    plain_load_error: str | None = None
    sb3_saved: str | None = None
    sb3_loaded: str | None = None
    version_changes: str | None = None
    remarks: str | None = None
    log: str | None = None


@dataclass(frozen=True)
class ConditionRow:
    """One row of the table of conditions, in place and reference included. Differences are from the reference, paired.

    :param earned: an episode's reward: ``reward``, ``step_reward`` or ``monitor_reward``; None without any
    :param migration: what makes the environment as the version that the model was trained in; empty where nothing does
    :param identical: whether every bit of the episodes is that of the reference
    :param spared: why no more were run: ``same``, every bit is that of the canonical condition's; ``excluded``, they
        exclude what the condition changes as a cause; empty where none were spared
    """

    model: str
    condition: str
    n_envs: int
    vec_env: str
    deterministic: bool
    status: str
    reason: str
    migration: str = ""
    n_episodes: int | None = None
    earned: str | None = None
    mean_reward: float | None = None
    std_reward: float | None = None
    mean_ep_length: float | None = None
    difference: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    identical: bool | None = None
    first_difference: str | None = None
    spared: str = ""


@dataclass(frozen=True)
class EpisodeRow:
    """One row of the table of episodes.

    :param trace: one digest of all that happened in it
    :param cut: whether it had not ended after ``evaluation.max_episode_steps``
    """

    model: str
    condition: str
    episode: int
    seed: int
    reward: float
    length: int
    terminated: bool
    monitor_reward: float | None
    step_reward: float
    trace: str
    cut: bool


@dataclass(frozen=True)
class ProcessRow:
    """One row of the table of processes: the process, and what it cost.

    :param fresh: whether it is another process than the one that trained the model; None for that one
    """

    model: str
    condition: str
    host: str
    pid: int
    parent_pid: int
    started: float
    fresh: bool | None
    wall_seconds: float
    cpu_seconds: float
    peak_memory: float


_CELLS = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def columns(row: type) -> pa.Schema:
    """The columns of a table of such rows: the fields of a dataclass, in their order. None is an empty cell."""
    return pa.schema([(name, _CELLS[_without_none(kind)]) for name, kind in get_type_hints(row).items()])


def _without_none(kind: Any) -> type:
    """The type of a field: ``int`` of ``int | None``."""
    (cell,) = {*(get_args(kind) or (kind,))} - {NoneType}
    return cast(type, cell)


MODELS, CONDITIONS, EPISODES, PROCESSES = map(columns, (ModelRow, ConditionRow, EpisodeRow, ProcessRow))


class ParquetTable:
    """A Parquet file that is written some rows at a time and appears when it is complete."""

    _ROWS_A_GROUP = 50_000

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._parts: list[pa.Table] = []
        self._rows = 0
        self._target = atomic_path(path)

    def __enter__(self) -> ParquetTable:
        self._writer = pq.ParquetWriter(self._target.__enter__(), self._schema)
        return self

    def add(self, rows: Iterable[Row]) -> None:
        """Add rows, all of them or, where one of them does not fit the columns, none."""
        part = table(rows, self._schema)
        self._parts.append(part)
        self._rows += len(part)
        if self._rows >= self._ROWS_A_GROUP:
            self._flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._flush()
        self._writer.close()
        self._target.__exit__(kind, error, trace)

    def _flush(self) -> None:
        self._writer.write_table(pa.concat_tables([table([], self._schema), *self._parts]).combine_chunks())
        self._parts.clear()
        self._rows = 0


def table(rows: Iterable[Row], schema: pa.Schema) -> pa.Table:
    """Rows as a table.

    :raises ValueError: a value does not fit its column: a text that is no Unicode, say
    :raises OverflowError: an integer is larger than columns hold
    """
    return pa.Table.from_pylist(list(rows), schema=schema)


def write_parquet(path: Path, content: pa.Table) -> None:
    with atomic_path(path) as temporary:
        pq.write_table(content, temporary)


def write_csv(path: Path, rows: Iterable[Row], schema: pa.Schema) -> None:
    """Write rows as a table for people and spreadsheets. A :func:`table` of them would cost the import of pandas.

    Numbers are written so that reading them gives the same bits; what is missing is empty. Texts are on one line, with
    escapes for what cannot be printed, and never begin as a formula does.
    """
    numbers = {field.name for field in schema if pa.types.is_floating(field.type)}
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(schema.names)
        for row in rows:
            writer.writerow([_cell(row.get(name), is_number=name in numbers) for name in schema.names])


def _cell(value: Any, *, is_number: bool) -> Any:
    """A text that a spreadsheet would take for a formula gets an apostrophe in front, as in the page's download."""
    if isinstance(value, str):
        return f"'{shown(value)}" if _FORMULA.match(value) else shown(value)
    if value is None or not is_number:
        return value
    return None if math.isnan(value) else float(value)


# Some take the wide forms of these characters, too, and pass over white space before them.
_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]")
