"""What has changed since a baseline: two audits' ``audit.json``, with the tables beside each of them."""

from __future__ import annotations

import csv
import datetime
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from reload_audit.judging.criteria import Criteria
from reload_audit.judging.judgement import Judgement
from reload_audit.judging.since import Earned, Episodes, earns, judge_since, state
from reload_audit.judging.verdicts import JudgedVerdict, decide_verdicts
from reload_audit.reading.refusal import shown
from reload_audit.records.audit_file import AuditFile, ComparedRow
from reload_audit.records.conditions import CANONICAL
from reload_audit.records.since import ModelSince, PackageSince, Paired, Since


@dataclass(frozen=True)
class AuditFiles:
    """An audit as it lies in a folder.

    :param folder: in which ``episodes.parquet`` and ``processes.csv`` may lie beside it
    :param called: what to call ``audit.json`` in texts
    """

    audit: AuditFile
    folder: Path
    called: str


@dataclass(frozen=True)
class _Compared:
    """One model of both audits, before the correction for the number of models."""

    then: ComparedRow
    now: ComparedRow
    judgement: Judgement | None
    paired: Paired


def since(then: AuditFiles, now: AuditFiles, criteria: Criteria, only: Collection[str] = ()) -> Since:
    """What has become of each model since a baseline, and which packages differ.

    :param then: the baseline
    :param only: names of the models that this audit is restricted to; empty where it is not
    """
    before, after = then.audit.models, now.audit.models
    both = [name for name in after if name in before]
    found = [read_episodes(files.folder, set(both)) for files in (then, now)]
    remarks = [
        f"{files.called}: {episodes}: only mean rewards are compared with it, not episodes with the same seeds"
        for files, episodes in zip((then, now), found, strict=True)
        if isinstance(episodes, str) and both
    ]
    old, new = ({} if isinstance(episodes, str) else episodes for episodes in found)
    compared = [_compare(before[name], after[name], old, new, criteria) for name in both]
    verdicts = decide_verdicts([one.judgement for one in compared], criteria)
    known = {one.now.name: _model(one, judged) for one, judged in zip(compared, verdicts, strict=True)}
    if not remarks and any(model.paired == "means" for model in known.values()):
        remarks.append("models whose episodes had other seeds then, or none, are compared by their mean rewards alone")
    gone = [row for name, row in before.items() if name not in after and (not only or name in only)]
    return Since(
        baseline=then.called,
        date=date_of(then.folder),
        models=(
            *(known.get(name) or ModelSince(name, "new", "", row.verdict) for name, row in after.items()),
            *(ModelSince(row.name, "gone", row.verdict, "") for row in gone),
        ),
        packages=tuple(_packages(then.audit, now.audit)),
        remarks=tuple(remarks),
    )


def date_of(folder: Path) -> str:
    """The day on which an audit started its last process (UTC), as ``2026-11-20``; empty where that is not known.

    A file's own time stamp would be that of a copy, or of a checkout.
    """
    try:
        with open(folder / "processes.csv", newline="", encoding="utf-8") as file:
            started = max(float(row["started"]) for row in csv.DictReader(file) if row["started"])
        return datetime.datetime.fromtimestamp(started, datetime.UTC).date().isoformat()
    except (OSError, ValueError, OverflowError, KeyError, csv.Error):
        return ""


def read_episodes(folder: Path, models: Collection[str]) -> dict[str, Episodes] | str:
    """The episodes of models after reload, by name; a text that says why they are not known."""
    file = folder / "episodes.parquet"
    if not file.exists():
        return "episodes.parquet is not beside it"
    try:
        table = pq.read_table(
            file,
            columns=["model", "episode", "seed", "reward", "trace", "cut"],
            filters=[("condition", "==", CANONICAL), ("model", "in", set(models))] if models else None,
        )
    except (pa.ArrowException, OSError, ValueError, KeyError):
        return "episodes.parquet beside it cannot be read"
    frame = table.to_pandas().sort_values(["model", "episode"], kind="stable")
    return {
        str(name): Episodes(
            group["seed"].to_numpy(), group["reward"].to_numpy(), group["trace"].to_numpy(), group["cut"].to_numpy()
        )
        for name, group in frame.groupby("model", sort=False)
    }


def _compare(
    then: ComparedRow, now: ComparedRow, old: Mapping[str, Episodes], new: Mapping[str, Episodes], criteria: Criteria
) -> _Compared:
    return _Compared(then, now, *judged_rows(then, now, old, new, criteria))


def judged_rows(
    then: ComparedRow, now: ComparedRow, old: Mapping[str, Episodes], new: Mapping[str, Episodes], criteria: Criteria
) -> tuple[Judgement | None, Paired]:
    """Compare two rows; None where one has nothing that can be compared.

    :param old: episodes by the name of the model that they are of, for ``then``
    :param new: for ``now``
    """
    before, after = _earned(then, old), _earned(now, new)
    if before is None or after is None:
        return None, ""
    random_mean = then.random_mean if now.random_mean is None else now.random_mean
    try:
        judgement, in_pairs = judge_since(before, after, random_mean, criteria)
    except ValueError:  # rewards that are not finite, or whose spread is not
        return None, ""
    return judgement, "seeds" if in_pairs else "means"


def _model(one: _Compared, judged: JudgedVerdict) -> ModelSince:
    comparison = None if one.judgement is None else one.judgement.comparison
    said = "" if comparison is None else earns(judged)
    model = ModelSince(
        model=one.now.name,
        state=state(one.then.verdict, one.now.verdict, said),
        verdict_then=one.then.verdict,
        verdict=one.now.verdict,
        earns=said,
        paired=one.paired,
        mean_then=one.then.mean,
        mean=one.now.mean,
    )
    if comparison is None:
        return model
    return replace(
        model,
        n=comparison.n_episodes if one.paired == "seeds" else min(one.then.n or 0, one.now.n or 0),
        difference=comparison.difference,
        ci_low=comparison.ci_low,
        ci_high=comparison.ci_high,
        margin=comparison.margin,
        q=judged.q,
    )


def _packages(then: AuditFile, now: AuditFile) -> Iterator[PackageSince]:
    """Packages of which models were reloaded with other versions, and this tool, by name."""
    for package in sorted(then.versions.keys() & now.versions.keys()):
        before, after = (", ".join(sorted(set(audit.versions[package]))) for audit in (then, now))
        if before != after:
            yield PackageSince(shown(package), shown(before), shown(after))


def _earned(row: ComparedRow, episodes: Mapping[str, Episodes]) -> Earned | None:
    """What a model earned; None where nothing was measured that can be compared."""
    if row.mean is None or row.std is None or row.n is None or row.n < 2:
        return None
    return Earned(row.mean, row.std, row.n, episodes.get(row.name))
