"""From the records of all models to the result tables and ``audit.json``.

Nothing in them depends on times or process ids: two audits from scratch give the same bytes. What a job cost, and
in which process it ran, goes to ``processes.csv``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reload_audit import __version__
from reload_audit.diagnosis.conclude import Diagnosis, conclude
from reload_audit.diagnosis.evidence import Evidence
from reload_audit.judging.claims import strongest
from reload_audit.judging.comparison import Comparison, compare_paired
from reload_audit.judging.criteria import VERDICTS, Criteria
from reload_audit.judging.judgement import Judgement
from reload_audit.judging.reasons import reason
from reload_audit.judging.verdicts import decide_verdicts
from reload_audit.probing.conclusions import findings
from reload_audit.reading.refusal import shown
from reload_audit.records.episodes import Episode, first_difference, mean_reward, rewards, std_reward
from reload_audit.records.model_record import Measurement, ModelRecord, read_records
from reload_audit.records.probe_names import probe_name
from reload_audit.records.specs import CANONICAL
from reload_audit.records.storage import digest, plain, read_json, write_json
from reload_audit.records.unpicklable_part import UnpicklablePart
from reload_audit.remedies.pickling_advice import advice
from reload_audit.results import tables

SCHEMA_VERSION = 3

Row = dict[str, Any]


@dataclass(frozen=True)
class _Judged:
    """A model's row, and what its verdict, reason and causes rest on."""

    row: Row
    judgement: Judgement | None
    checks_failed: Sequence[Mapping[str, Any]]
    evidence: Evidence
    environment: Mapping[str, Any]


def aggregate(
    records: Iterable[Path],
    criteria: Criteria,
    settings: Mapping[str, Any],
    results: Path,
    probes: Sequence[Path] = (),
) -> None:
    """Write every result table, and ``audit.json``, into the folder ``results``.

    :param records: reload records, one a model trained here and one a batch of others', in the order of the tables
    :param probes: what probing the models' environments found
    :param settings: the sections of the configuration that decided, for ``audit.json``
    """
    models, claims, conditions, processes, divergences = [], [], [], [], []
    judged: list[_Judged] = []
    software: list[Mapping[str, Any]] = []
    with tables.ParquetTable(results / "episodes.parquet", tables.EPISODES) as episodes:
        for path in records:
            for model in read_records(path):
                judgement = model.judge(criteria)
                models.append(_model_row(model, judgement))
                judged.append(
                    _Judged(models[-1], judgement, _checks_failed(model), Evidence.of(model), model.environment)
                )
                divergences.append(None if model.canonical is None else model.canonical.divergence)
                claims.append([asdict(claim) for claim in model.claims])
                conditions.append([_condition_row(model, found, criteria) for found in model.measurements.values()])
                processes += _process_rows(model)
                if model.external is None:
                    software.append({key: model.manifest.get(key) for key in ("versions", "machine")})
                episodes.add(_episode_rows(model))
    _conclude(judged, criteria)
    probed = {path.stem: read_json(path) for path in probes}
    probe_names = [probe_name(model.environment) for model in judged]
    diagnoses = [_diagnose(model, probed.get(name)) for model, name in zip(judged, probe_names, strict=True)]

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
        "models": [
            {
                **model,
                "causes": [cause.to_dict() for cause in diagnosis.causes],
                "ruled_out": diagnosis.ruled_out,
                "first_divergence": divergence,
                "probe": probe if probe in probed else None,
                "claims": said,
                "conditions": rows,
            }
            for model, diagnosis, divergence, probe, said, rows in zip(
                models, diagnoses, divergences, probe_names, claims, conditions, strict=True
            )
        ],
        "environments": [_environment(name, probed[name]) for name in sorted(probed)],
    }
    write_json(results / "audit.json", audit)


def count_verdicts(models: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many models have each verdict, in the verdicts' order, zeros included."""
    counts = dict.fromkeys(VERDICTS, 0)
    for model in models:
        counts[model["verdict"]] += 1
    return {str(verdict): count for verdict, count in counts.items()}


def _model_row(model: ModelRecord, judgement: Judgement | None) -> Row:
    """A row without q, verdict and gap, which need all models; ``reason`` says as yet why it failed."""
    row: Row = dict.fromkeys(tables.MODELS.names)
    row |= _trained_row(model) if model.external is None else _external_row(model)
    canonical = model.canonical
    row |= {
        "model": model.name,
        "gap": "",
        "reason": model.failure,
        "checks_failed": ", ".join(check["check"] for check in _checks_failed(model)),
        "random_mean_reward": model.random_mean,
        "log": model.log,
    }
    if model.train_time is not None:
        n = len(canonical.episodes) if canonical and canonical.episodes else None
        row |= _moments("reference", model.train_time.reference[:n])
        quoted = model.train_time.quoted[:n]
        row |= _moments("train", quoted)
        row |= {
            "claim_kind": "reference" if model.train_time.in_place is None else "in_place",
            "claim_mean": mean_reward(quoted),
            "claim_std": std_reward(quoted),
            "claim_n": len(quoted),
        }
    if canonical is not None and canonical.episodes:
        row |= _moments("reload", canonical.episodes)
        row["n_episodes"] = len(canonical.episodes)
    claim = judgement.claim if judgement is not None else strongest(model.claims)
    if claim is not None and (model.train_time is None or judgement is not None):
        row |= {
            "claim_kind": claim.kind,
            "claim_mean": claim.mean,
            "claim_std": claim.std,
            "claim_n": claim.n,
            "claim_source": claim.where,
        }
    if judgement is not None and judgement.comparison is not None:
        row |= comparison_columns(judgement.comparison)
    return {name: shown(value) if isinstance(value, str) else value for name, value in row.items()}


def comparison_columns(comparison: Comparison) -> Row:
    """What the tables say of a comparison; ``p`` is of a loss where the difference is negative, else of a gain."""
    return {
        "difference": comparison.difference,
        "ci_low": comparison.ci_low,
        "ci_high": comparison.ci_high,
        "margin": comparison.margin,
        "p": comparison.p_degraded if comparison.difference < 0 else comparison.p_improved,
    }


def _checks_failed(model: ModelRecord) -> Sequence[Mapping[str, Any]]:
    """Versions are no part of it: they nearly always differ, and have a column of their own."""
    failed = [] if model.canonical is None else model.canonical.checks_failed
    return [check for check in failed if not check["check"].endswith(" version")]


def _trained_row(model: ModelRecord) -> Row:
    manifest, spec = model.manifest, model.manifest["spec"]
    checks = [] if model.canonical is None else model.canonical.checks
    now = {check["check"].removesuffix(" version"): check["found"] for check in checks if "version" in check["check"]}
    return {
        "experiment": spec["experiment"],
        "source": "trained",
        "role": "final",
        "algo": spec["algo"],
        "env_id": spec["environment"]["env"],
        "env_ran": spec["environment"]["env"],
        "train_seed": spec["seed"],
        "train_n_envs": spec["n_envs"],
        "num_timesteps": manifest.get("num_timesteps"),
        "normalized": manifest.get("normalized"),
        "ep_rew_mean": manifest.get("ep_rew_mean"),
        "remarks": "; ".join([*_resumed(manifest), *map(_cannot_be_pickled, manifest.get("unpicklable", []))]),
        **_versions(manifest.get("versions", {}), now),
    }


def _resumed(manifest: Mapping[str, Any]) -> list[str]:
    steps = manifest.get("resumed_from")
    if steps is None:
        return []
    return [f"training was interrupted and went on from {steps:,} steps, on environments that started anew"]


def _cannot_be_pickled(data: Mapping[str, Any]) -> str:
    part = UnpicklablePart.from_dict(data)
    return f"{part.layer}.{part.attribute} cannot be pickled ({part.error}): {advice(part).remedy}"


def _external_row(model: ModelRecord) -> Row:
    manifest, external = model.manifest, model.external or {}
    training = [claim.mean for claim in model.claims if claim.kind == "training"]
    return {
        "experiment": external["group"],
        "source": external["source"],
        "role": external["role"],
        "algo": external["algo"],
        "env_id": external["environment"]["env"],
        "env_ran": manifest.get("env_ran"),
        "train_seed": manifest.get("train_seed"),
        "train_n_envs": external["n_envs"],
        "num_timesteps": manifest.get("num_timesteps"),
        "normalized": manifest.get("normalized"),
        "ep_rew_mean": training[0] if training else None,
        "loaded_with": "; ".join(manifest.get("loaded_with", [])),
        "remarks": "; ".join(manifest.get("remarks", [])),
        **_versions(manifest.get("saved_with", {}), manifest.get("versions", {})),
        "plain_load_error": manifest.get("plain_load_error"),
    }


def _versions(saved: Mapping[str, str], now: Mapping[str, str]) -> Row:
    changes = [f"{name} {saved[name]} → {now[name]}" for name in now if name in saved and saved[name] != now[name]]
    return {
        "sb3_saved": saved.get("stable_baselines3"),
        "sb3_loaded": now.get("stable_baselines3"),
        "version_changes": "; ".join(changes),
    }


def _moments(name: str, episodes: Sequence[Episode]) -> Row:
    return {f"{name}_mean_reward": mean_reward(episodes), f"{name}_std_reward": std_reward(episodes)}


def _conclude(models: Sequence[_Judged], criteria: Criteria) -> None:
    """Fill in q, verdict, gap and reason, which need all models."""
    decided = decide_verdicts([model.judgement for model in models], criteria)
    for model, judged in zip(models, decided, strict=True):
        row, judgement = model.row, model.judgement
        row |= {"q": judged.q, "verdict": judged.verdict}
        if judgement is None:
            continue
        row["gap"] = judgement.gap if judged.verdict in ("degraded", "improved") else ""
        row["reason"] = reason(
            judged, judgement, model.checks_failed, criteria, env_id=row["env_id"], env_ran=row["env_ran"]
        )


def _environment(name: str, probe: Mapping[str, Any]) -> Row:
    """What is said of an environment that was probed; how long that took is nothing that a result may depend on."""
    return {
        "name": name,
        "environment": probe["environment"],
        "findings": [finding.to_dict() for finding in findings(probe)],
        **{key: _without_details(probe[key]) for key in ("failure", "remark", "contrasts", "checks", "vectorized")},
    }


def _without_details(content: Any) -> Any:
    """Failures without the ends of logs, which hold paths and addresses."""
    if isinstance(content, Mapping):
        failure = content.keys() == {"kind", "message", "details"}
        return {key: _without_details(value) for key, value in content.items() if not (failure and key == "details")}
    return [_without_details(item) for item in content] if isinstance(content, list) else content


def _diagnose(model: _Judged, probe: Mapping[str, Any] | None) -> Diagnosis:
    """Fill in what explains a model's verdict.

    :param probe: what probing its environment found; None where it was not probed
    """
    row = model.row
    found = None if probe is None else findings(probe)
    diagnosis = conclude(model.evidence, row["verdict"], row["gap"], model.judgement, found)
    row["cause"] = diagnosis.causes[0].cause if diagnosis.causes else ""
    row["cause_share"] = diagnosis.causes[0].share if diagnosis.causes else None
    return diagnosis


def _condition_row(model: ModelRecord, measurement: Measurement, criteria: Criteria) -> Row:
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
    if measurement.episodes:
        row |= {
            "n_episodes": len(measurement.episodes),
            "earned": measurement.earned,
            "mean_reward": float(measurement.rewards.mean()),
            "std_reward": float(measurement.rewards.std()),
            "mean_ep_length": float(np.mean([episode.length for episode in measurement.episodes])),
        }
    reference = model.reference[: len(measurement.episodes)]
    comparable = measurement.paired and (model.train_time is not None or measurement.condition != CANONICAL)
    if len(reference) > 1 and comparable and np.isfinite(measurement.rewards).all():
        episodes = measurement.episodes[: len(reference)]
        earned = measurement.rewards[: len(reference)]
        difference = compare_paired(earned - rewards(reference), 0.0, criteria)
        differs_at = first_difference(reference, episodes)
        row |= {
            "difference": difference.difference,
            "ci_low": difference.ci_low,
            "ci_high": difference.ci_high,
            "identical": differs_at is None,
            "first_difference": differs_at or "",
        }
    return row


def _episode_rows(model: ModelRecord) -> list[Row]:
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


def _process_rows(model: ModelRecord) -> list[Row]:
    trainer = model.manifest.get("process")
    rows = [] if trainer is None else [{"model": model.name, "condition": "train", "fresh": None, **trainer}]
    for measurement in model.measurements.values():
        process = measurement.process
        if process is not None and process is not trainer:
            fresh = trainer is None or _is_another(process, trainer)
            rows.append({"model": model.name, "condition": measurement.condition, "fresh": fresh, **process})
    return rows


def _is_another(process: Mapping[str, Any], trainer: Mapping[str, Any]) -> bool:
    same_parent = (process["host"], process["parent_pid"]) == (trainer["host"], trainer["pid"])
    return not same_parent and any(process[name] != trainer[name] for name in ("host", "pid", "started"))


def _distinct(entries: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Every different entry once, with the number of models it stands for."""
    counted: dict[str, Row] = {}
    for entry in entries:
        kept = counted.setdefault(digest(plain(entry)), {**entry, "models": 0})
        kept["models"] += 1
    return list(counted.values())
