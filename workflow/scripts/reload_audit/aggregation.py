"""From the records of all models to the result tables and ``audit.json``.

Nothing in them depends on times or process ids: two audits from scratch give the same bytes. What a job cost, and
in which process it ran, goes to ``processes.csv``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reload_audit import __version__, tables
from reload_audit.episodes import Episode, TrainTime, episodes_from, first_difference, mean_reward, rewards, std_reward
from reload_audit.records import digest, plain, read_json, write_json
from reload_audit.specs import CANONICAL, EvaluationSpec
from reload_audit.verdicts import VERDICTS, Comparison, Criteria, Judgement, compare_paired, false_discovery_q, judge

SCHEMA_VERSION = 1

Row = dict[str, Any]


@dataclass(frozen=True)
class _Measurement:
    """What one condition gave: episodes, or the reason why there are none."""

    condition: str
    n_envs: int
    vec_env: str
    deterministic: bool
    failure: str
    episodes: Sequence[Episode]
    process: Mapping[str, Any]
    checks_failed: Sequence[str]


@dataclass(frozen=True)
class _Model:
    """One model's record, decoded."""

    name: str
    manifest: Mapping[str, Any]
    log: str
    train_time: TrainTime | None
    measurements: Mapping[str, _Measurement]

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> _Model:
        manifest = record["manifest"]
        train_time = None if record["train_time"] is None else TrainTime.from_dict(record["train_time"])
        measurements: dict[str, _Measurement] = {}
        if train_time is not None:
            measurements |= _train_time_measurements(manifest, train_time)
        measurements |= {name: _measurement(name, content) for name, content in record["conditions"].items()}
        return cls(manifest["model"], manifest, record["log"], train_time, measurements)

    @property
    def failure(self) -> str:
        """Why there is no verdict on rewards, or nothing."""
        if self.manifest["failure"] is not None:
            return f"in training: {self.manifest['failure']['message']}"
        failure = self.measurements[CANONICAL].failure
        return f"on reload: {failure}" if failure else ""


def aggregate(records: Iterable[Path], criteria: Criteria, settings: Mapping[str, Any], results: Path) -> None:
    """Write every result table, and ``audit.json``, into the folder ``results``.

    :param records: one reload record a model, in the order of the tables
    :param settings: the sections of the configuration that decided, for ``audit.json``
    """
    models, conditions, processes = [], [], []
    judgements: list[Judgement | None] = []
    software: list[Mapping[str, Any]] = []
    with tables.ParquetTable(results / "episodes.parquet", tables.EPISODES) as episodes:
        for path in records:
            model = _Model.from_record(read_json(path))
            judgement = _judge(model, criteria)
            judgements.append(judgement)
            models.append(_model_row(model, judgement))
            conditions.append(_condition_rows(model, criteria))
            processes += _process_rows(model)
            software.append({key: model.manifest.get(key) for key in ("versions", "machine")})
            episodes.add(_episode_rows(model))
    _conclude(models, judgements, criteria)

    tables.write_parquet(results / "models.parquet", models, tables.MODELS)
    tables.write_csv(results / "models.csv", models, tables.MODELS)
    tables.write_parquet(
        results / "conditions.parquet", [row for rows in conditions for row in rows], tables.CONDITIONS
    )
    tables.write_csv(results / "processes.csv", processes, tables.PROCESSES)
    audit = {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "reload-audit", "version": __version__},
        "settings": settings,
        "trained_with": _distinct(software),
        "counts": count_verdicts(models),
        "models": [{**model, "conditions": rows} for model, rows in zip(models, conditions, strict=True)],
    }
    write_json(results / "audit.json", audit)


def count_verdicts(models: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many models have each verdict, in the verdicts' order, zeros included."""
    counts = dict.fromkeys(VERDICTS, 0)
    for model in models:
        counts[model["verdict"]] += 1
    return {str(verdict): count for verdict, count in counts.items()}


def _train_time_measurements(manifest: Mapping[str, Any], train_time: TrainTime) -> dict[str, _Measurement]:
    spec = manifest["spec"]
    evaluation = EvaluationSpec.from_dict(spec["evaluation"])
    process = manifest["process"]
    return {
        "in_place": _Measurement(
            "in_place", spec["n_envs"], spec["vec_env"], True, "", train_time.in_place, process, ()
        ),
        "reference": _Measurement("reference", evaluation.n_envs, "dummy", True, "", train_time.reference, process, ()),
    }


def _measurement(name: str, content: Mapping[str, Any]) -> _Measurement:
    failure = content["failure"]
    return _Measurement(
        condition=name,
        n_envs=content["n_envs"],
        vec_env=content["vec_env"],
        deterministic=content["deterministic"],
        failure="" if failure is None else failure["message"],
        episodes=episodes_from(content["episodes"]),
        process=content["process"],
        checks_failed=[check["check"] for check in content["checks"] if not check["passed"]],
    )


def _judge(model: _Model, criteria: Criteria) -> Judgement | None:
    if model.failure or model.train_time is None:
        return None
    return judge(model.train_time, model.measurements[CANONICAL].episodes, criteria)


def _model_row(model: _Model, judgement: Judgement | None) -> Row:
    """A row without verdict and reason, which need all models."""
    spec = model.manifest["spec"]
    reload = model.measurements[CANONICAL].episodes if CANONICAL in model.measurements else []
    row: Row = dict.fromkeys(tables.MODELS.names)
    row |= {
        "model": model.name,
        "experiment": spec["experiment"],
        "algo": spec["algo"],
        "env_id": spec["environment"]["env"],
        "train_seed": spec["seed"],
        "train_n_envs": spec["n_envs"],
        "num_timesteps": model.manifest.get("num_timesteps"),
        "normalized": model.manifest.get("normalized"),
        "ep_rew_mean": model.manifest.get("ep_rew_mean"),
        "gap": "",
        "reason": model.failure,
        "checks_failed": ", ".join(model.measurements[CANONICAL].checks_failed) if reload else "",
        "log": model.log,
    }
    if model.train_time is not None:
        n = len(reload) or len(model.train_time.in_place)
        row |= _moments("train", model.train_time.in_place[:n])
        row |= _moments("reference", model.train_time.reference[:n])
        row["random_mean_reward"] = model.train_time.random_mean
    if judgement is not None:
        comparison = judgement.comparison
        row |= _moments("reload", reload)
        row |= {
            "n_episodes": comparison.n_episodes,
            "difference": comparison.difference,
            "ci_low": comparison.ci_low,
            "ci_high": comparison.ci_high,
            "margin": comparison.margin,
            "p": comparison.p_degraded if comparison.difference < 0 else comparison.p_improved,
        }
    return row


def _moments(name: str, episodes: Sequence[Episode]) -> Row:
    return {f"{name}_mean_reward": mean_reward(episodes), f"{name}_std_reward": std_reward(episodes)}


def _conclude(models: Sequence[Row], judgements: Sequence[Judgement | None], criteria: Criteria) -> None:
    """Fill in q, verdict, gap and reason: the false discovery rate is controlled over all models together."""
    judged = [(model, judgement) for model, judgement in zip(models, judgements, strict=True) if judgement is not None]
    q_degraded = false_discovery_q([judgement.comparison.p_degraded for _, judgement in judged])
    q_improved = false_discovery_q([judgement.comparison.p_improved for _, judgement in judged])
    for model, judgement in zip(models, judgements, strict=True):
        if judgement is None:
            model["verdict"] = "error"
    for (model, judgement), lost, gained in zip(judged, q_degraded, q_improved, strict=True):
        q = float(lost if judgement.comparison.difference < 0 else gained)
        decision = judgement.decision
        undecided = decision is None or (decision in ("degraded", "improved") and q > criteria.fdr)
        model["q"] = q
        model["verdict"] = "inconclusive" if undecided else decision
        model["gap"] = _gap(judgement) if model["verdict"] in ("degraded", "improved") else ""
        model["reason"] = _reason(model, judgement, criteria)


def _gap(judgement: Judgement) -> str:
    """Between which two of the three measurements the difference lies."""
    gaps = {"environment": judgement.environment_gap, "process": judgement.process_gap}
    beyond = [name for name, comparison in gaps.items() if comparison.decision in ("degraded", "improved")]
    return " and ".join(beyond) or max(gaps, key=lambda name: abs(gaps[name].difference))


_GAP_MEANS = {
    "environment": "it appears as soon as environments are built anew: state that lives in them and is not saved",
    "process": "it appears in the fresh process: lost or altered in saving and loading, or bound to the process",
    "environment and process": "part of it appears when environments are built anew, part in the fresh process",
}


def _reason(model: Row, judgement: Judgement, criteria: Criteria) -> str:
    comparison = judgement.comparison
    match model["verdict"]:
        case "identical":
            reason = ""
        case "equivalent":
            reason = f"within the margin; the first bits that differ from the reference: {judgement.first_difference}"
        case "degraded" | "improved":
            word = "less" if comparison.difference < 0 else "more"
            reason = f"earns {abs(comparison.difference):.4g} {word} than in place; {_GAP_MEANS[model['gap']]}"
        case _:
            reason = _inconclusive(comparison, model["q"], criteria)
    if model["checks_failed"]:
        reason += f"{'; ' if reason else ''}differs from its manifest in {model['checks_failed']}"
    return reason


def _inconclusive(comparison: Comparison, q: float, criteria: Criteria) -> str:
    if comparison.decision is not None:
        return f"beyond the margin, but not significant over all models (q = {q:.2g} > {criteria.fdr:g})"
    return (
        f"{comparison.n_episodes} episodes cannot tell: the difference lies between {comparison.ci_low:.4g} and "
        f"{comparison.ci_high:.4g}, the margin is {comparison.margin:.4g}; "
        f"a loss of {comparison.detectable:.4g} or more would have shown"
    )


def _condition_rows(model: _Model, criteria: Criteria) -> list[Row]:
    return [_condition_row(model, measurement, criteria) for measurement in model.measurements.values()]


def _condition_row(model: _Model, measurement: _Measurement, criteria: Criteria) -> Row:
    row: Row = dict.fromkeys(tables.CONDITIONS.names)
    row |= {
        "model": model.name,
        "condition": measurement.condition,
        "n_envs": measurement.n_envs,
        "vec_env": measurement.vec_env,
        "deterministic": measurement.deterministic,
        "status": "error" if measurement.failure else "ok",
        "reason": measurement.failure,
    }
    if measurement.episodes and model.train_time is not None:
        reference = model.train_time.reference[: len(measurement.episodes)]
        difference = compare_paired(rewards(measurement.episodes) - rewards(reference), 0.0, criteria)
        differs_at = first_difference(reference, measurement.episodes)
        row |= {
            "n_episodes": len(measurement.episodes),
            "mean_reward": mean_reward(measurement.episodes),
            "std_reward": std_reward(measurement.episodes),
            "mean_ep_length": float(np.mean([episode.length for episode in measurement.episodes])),
            "difference": difference.difference,
            "ci_low": difference.ci_low,
            "ci_high": difference.ci_high,
            "identical": differs_at is None,
            "first_difference": differs_at or "",
        }
    return row


def _episode_rows(model: _Model) -> list[Row]:
    return [
        {
            "model": model.name,
            "condition": measurement.condition,
            **{name: getattr(episode, name) for name in tables.EPISODES.names[2:-1]},
            "trace": digest(episode.trace),
        }
        for measurement in model.measurements.values()
        for episode in measurement.episodes
    ]


def _process_rows(model: _Model) -> list[Row]:
    trainer = model.manifest["process"]
    identity = ("host", "pid", "started")
    rows = [{"model": model.name, "condition": "train", "fresh": None, **trainer}]
    for measurement in model.measurements.values():
        if measurement.process is not trainer:
            process = measurement.process
            same_parent = (process["host"], process["parent_pid"]) == (trainer["host"], trainer["pid"])
            fresh = not same_parent and any(process[name] != trainer[name] for name in identity)
            rows.append(
                {"model": model.name, "condition": measurement.condition, "fresh": fresh, **measurement.process}
            )
    return rows


def _distinct(entries: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Every different entry once, with the number of models it stands for."""
    counted: dict[str, Row] = {}
    for entry in entries:
        kept = counted.setdefault(digest(plain(entry)), {**entry, "models": 0})
        kept["models"] += 1
    return list(counted.values())
