"""Made-up audits of any size whose numbers are coherent.

A fleet is drawn, but judged, diagnosed and worded by the library itself, as the aggregation does it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from reload_audit import __version__
from reload_audit.judging.comparison import compare_paired, compare_unpaired
from reload_audit.judging.divergence_wording import divergence_sentence
from reload_audit.judging.judgement import Judgement
from reload_audit.judging.reasons import FurtherEpisodes, reason
from reload_audit.judging.verdicts import decide_verdicts
from reload_audit.records.audit_file import SCHEMA_VERSION
from reload_audit.records.divergence import ComponentDifference, Divergence
from reload_audit.records.probe_names import probe_name
from reload_audit.records.specs import Claim
from reload_audit.records.storage import read_json, write_json
from reload_audit.results import tables
from reload_audit.results.audit_content import count_verdicts
from reload_audit.results.rows import comparison_columns, loss_columns
from support.fleet_rewards import MORE_THAN_NOISE, Earned, episodes, random_of
from support.fleet_stories import STORIES, Story, condition_row, diagnosed
from support.fleet_worlds import (
    CRITERIA,
    EPISODES,
    FAULTY,
    FIRST_SEED,
    HEALTHY,
    PARTS,
    SB3,
    SETTINGS,
    SHARES,
    SLOTS,
    WORLDS,
    Row,
    World,
    environment_of,
    healths,
)


@dataclass
class _Model:
    """A model whose row lacks verdict and reason, which need all models."""

    row: Row
    world: World
    judgement: Judgement | None
    story: Story


def fleet(n: int, seed: int = 0) -> dict[str, Any]:
    """The content of an ``audit.json`` with ``n`` models, half of them trained here and half external."""
    random = np.random.default_rng(seed)
    quotas = _quotas(n)
    trained, found = [], []
    for verdict, count in quotas.items():
        here = count // 2 + (count % 2 if len(trained) <= len(found) else 0)
        here = 0 if verdict == "consistent" else here  # only a claim can be so imprecise
        trained += [verdict] * here
        found += [verdict] * (count - here)
    models = [*_trained(trained, n, random), *_others(found, random)]
    _conclude(models)
    finished = [_finished(model) for model in models]
    machine = {"platform": "Linux-6.18.44-x86_64-with-glibc2.36", "processor": "AMD EPYC", "torch_threads": 1}
    versions = {"python": "3.11.7", "stable_baselines3": SB3, "gymnasium": "1.4.0", "torch": "2.13.0+cpu"}
    used = {model["env_ran"] for model in finished}
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "reload-audit", "version": __version__},
        "settings": SETTINGS,
        "trained_with": [{"versions": versions, "machine": machine, "models": len(trained)}] if trained else [],
        "counts": count_verdicts([row["verdict"] for row in finished]),
        "models": finished,
        "environments": sorted(
            (environment_of(world) for world in WORLDS if world.env in used), key=lambda e: e["name"]
        ),
        "environment_health": sorted(healths(finished), key=lambda health: health["name"]),
    }


def _quotas(n: int) -> dict[str, int]:
    """How many models of each verdict: the largest remainders are rounded up."""
    exact = {verdict: n * share / sum(SHARES.values()) for verdict, share in SHARES.items()}
    counts = {verdict: int(share) for verdict, share in exact.items()}
    for verdict in sorted(exact, key=lambda v: counts[v] - exact[v])[: n - sum(counts.values())]:
        counts[verdict] += 1
    return counts


def _trained(verdicts: list[str], n: int, random: np.random.Generator) -> Iterator[_Model]:
    """Grids of experiments: most losses are those of environments at fault, in experiments of their own."""
    lost = [verdict for verdict in verdicts if verdict == "degraded"]
    scattered = lost[: len(lost) // 6]
    others = [verdict for verdict in verdicts if verdict != "degraded"] + scattered
    random.shuffle(others)
    for worlds, wanted in ((FAULTY, lost[len(scattered) :]), (HEALTHY, others)):
        places = _grids(worlds, n)
        for verdict, (world, algo, experiment, seed, n_envs) in zip(wanted, places, strict=False):
            yield _trained_model(verdict, world, algo, experiment, seed, n_envs)


def _grids(worlds: Sequence[World], n: int) -> Iterator[tuple[World, str, str, int, int]]:
    seeds, slots = (3, (1, 4, 8)) if n < 1_000 or worlds is FAULTY else (10, (1, 2, 4, 8, 16))
    algos = {world.env: cycle(world.algos) for world in worlds}
    made: dict[str, int] = {}
    for world in cycle(worlds):
        algo = next(algos[world.env])
        base = f"{algo.lower()}-{world.short}"
        made[base] = made.get(base, 0) + 1
        experiment = base if made[base] == 1 else f"{base}-{made[base]}"
        for seed, n_envs in product(range(seeds), slots):
            yield world, algo, experiment, seed, n_envs


def _trained_model(verdict: str, world: World, algo: str, experiment: str, seed: int, n_envs: int) -> _Model:
    name = f"{experiment}-seed{seed}-n{n_envs}"
    lost_to = (world.gap or "process") if verdict in ("degraded", "improved") else ""
    earned = Earned.of(name, world.env, verdict, lost_to)
    failed = verdict == "error"
    random = random_of(f"row of {name}")
    row = _row(name, experiment, "trained", algo, world, f"logs/reload/{name}.log") | {
        "train_seed": seed,
        "train_n_envs": n_envs,
        "num_timesteps": int(random.integers(1, 80)) * 25_600,
        "normalized": bool(random.random() < 0.4),
        "ep_rew_mean": float(earned.in_place.mean()),
        "sb3_saved": SB3,
        "sb3_loaded": SB3,
        "version_changes": "",
        "remarks": "",
        "claim_kind": "in_place",
    }
    if failed:
        row["reason"] = PARTS["errors"][zlib.crc32(name.encode()) % len(PARTS["errors"])]
    judgement = None
    if not (failed and "training" in row["reason"]):
        n = EPISODES if failed else len(earned.shown)
        row |= _moments("train", earned.in_place[:n]) | _moments("reference", earned.reference[:n])
        quoted = earned.in_place[:n]
        row |= {"claim_mean": float(quoted.mean()), "claim_std": float(quoted.std()), "claim_n": n}
        row["conditions"] = [
            condition_row(name, "in_place", n_envs, earned.in_place, earned.reference, float(world.steps)),
            condition_row(name, "reference", SLOTS, earned.reference, earned.reference, float(world.steps)),
        ]
        names = (("reload", SLOTS), ("n_envs=1", 1), ("n_envs=8", 8), ("SubprocVecEnv", SLOTS))
        few = {"n_envs=1": 5, "n_envs=8": 8, "SubprocVecEnv": 5} if verdict == "identical" else {}
        row["conditions"] += [
            condition_row(
                name,
                condition,
                slots,
                None if failed else earned.shown[: few.get(condition)],
                earned.reference,
                float(world.steps),
            )
            | {"spared": "same" if condition in few else ""}
            | ({"reason": row["reason"].partition(": ")[2]} if failed else {})
            for condition, slots in names
        ]
    if not failed:
        n = len(earned.shown)
        row |= _moments("reload", earned.shown) | {"n_episodes": n}
        reference, in_place = earned.reference[:n], earned.in_place[:n]
        different = np.flatnonzero(earned.shown - reference)
        judgement = Judgement(
            comparison=compare_paired(earned.shown - in_place, earned.width, CRITERIA),
            environment_gap=compare_paired(reference - in_place, earned.width, CRITERIA),
            process_gap=compare_paired(earned.shown - reference, earned.width, CRITERIA),
            first_difference=f"episode {different[0]}: raw_observations, rewards" if len(different) else None,
        )
        row["first_divergence"] = _divergence(int(different[0]), verdict, world) if len(different) else None
    remedied = verdict == "degraded" and world.remedied is not None
    trials = (("used environments", ("curriculum",), world.remedied),) if remedied else ()
    return _Model(row, world, judgement, Story(trials=trials))


_SOURCES = ("zoo", "zoo", "hub", "table", "recorded", "folder")
_KINDS = ("explicit", "evaluations", "model_card", "evaluations", "explicit")
_LOAD_ERRORS = ("", "", "", "ModuleNotFoundError: No module named 'gym'", "KeyError: 'policy_class'")
_SAVED = ("1.3.0", "1.5.0", "1.8.0", "2.0.0", "2.2.1", "2.3.2", SB3)


def _others(verdicts: list[str], random: np.random.Generator) -> Iterator[_Model]:
    """External models: every kind of story as often as any other of its verdict."""
    stories = {verdict: cycle([story for story in STORIES if story.verdict == verdict]) for verdict in SHARES}
    random.shuffle(verdicts)
    for number, verdict in enumerate(verdicts):
        story = next(stories[verdict], Story())
        world = HEALTHY[int(random.integers(len(HEALTHY)))]
        algo = story.algo or world.algos[int(random.integers(len(world.algos)))]
        yield _external_model(number, verdict, story, world, algo)


def _external_model(number: int, verdict: str, story: Story, world: World, algo: str) -> _Model:
    random = random_of(f"found {number} {verdict} {world.env}")
    # What is judged by its recording has no claim, and its reload can be the same, bit for bit.
    source = "recorded" if verdict == "identical" else _SOURCES[number % len(_SOURCES)]
    if source == "recorded" and verdict != "identical":
        source = "table"
    role = "checkpoint" if number % 11 == 0 else "best" if source == "zoo" and number % 3 == 0 else "final"
    name, group = _place(source, role, algo, world, number)
    old = {"LunarLander-v3": "LunarLander-v2"}.get(world.env) if random.random() < 0.3 else None
    saved = SB3 if source == "recorded" else str(random.choice(_SAVED))
    changes = (
        "" if saved == SB3 else f"stable_baselines3 {saved} → {SB3}; gymnasium 0.29.1 → 1.4.0; torch 2.1.0 → 2.13.0"
    )
    row = _row(name, group, source, algo, world, f"logs/external/batch-{number // 50:02d}.log") | {
        "role": role,
        "train_seed": None if random.random() < 0.5 else int(random.integers(2**31)),
        "train_n_envs": None if random.random() < 0.4 else int(random.choice([1, 8, 16])),
        "num_timesteps": int(random.integers(1, 200)) * 10_000,
        "normalized": bool(random.random() < 0.5),
        "sb3_saved": saved,
        "sb3_loaded": SB3,
        "version_changes": changes,
        "plain_load_error": "" if saved == SB3 else str(random.choice(_LOAD_ERRORS)),
        "loaded_with": "" if saved == SB3 else "spaces of gym rebuilt as Gymnasium's; without its ReplayBuffer",
        "remarks": "no claim from monitor files: damaged: line 3 is no row" if number % 17 == 0 else "",
    }
    if old:
        row |= {"env_id": old, "loaded_with": f"{world.env} in place of {old}; {row['loaded_with']}".rstrip("; ")}
    earned = Earned.of(name, world.env, verdict, "")
    if verdict == "error":
        row |= {"reason": story.reason, "sb3_saved": None if "zip" in story.reason else saved}
        failure = story.reason.partition(": ")[2]
        row["conditions"] = [condition_row(name, "reload", SLOTS, None, None) | {"reason": failure}]
        return _Model(row, world, None, story)
    reload = earned.shown
    row |= _moments("reload", reload) | {"n_episodes": len(reload)}
    if source == "recorded":
        row |= _moments("reference", reload) | _moments("train", reload)
        row |= {"claim_kind": "reference", "claim_mean": float(reload.mean()), "claim_std": float(reload.std())}
        row |= {"claim_n": len(reload), "train_mean_reward": float(reload.mean())}
        comparison = compare_paired(np.zeros(len(reload)), earned.width, CRITERIA)
        row["conditions"] = [condition_row(name, "reload", SLOTS, reload, reload, float(world.steps))]
        return _Model(row, world, Judgement(comparison, process_gap=comparison), Story())
    judgement, claims = _claimed(row, earned, verdict, story, random)
    row["claims"] = [asdict(claim) for claim in claims]
    row["conditions"] = [
        condition_row(name, "reload", SLOTS, reload, None, float(world.steps)),
        condition_row(name, "n_envs=8", 8, reload, reload, float(world.steps)),
    ]
    row["ep_rew_mean"] = next((claim.mean for claim in claims if claim.kind == "training"), None)
    if judgement.claim is not None:
        claim = judgement.claim
        row |= {"claim_kind": claim.kind, "claim_mean": claim.mean, "claim_std": claim.std, "claim_n": claim.n}
        row |= {"claim_source": claim.where}
    return _Model(row, world, judgement, story)


def _claimed(
    row: Row, earned: Earned, verdict: str, story: Story, random: np.random.Generator
) -> tuple[Judgement, list[Claim]]:
    """Fill in what is claimed of a model, and judge its reload by that."""
    kind: Any = story.kind or _KINDS[int(random.integers(len(_KINDS)))]
    if kind == "none":
        return Judgement(None, obstacle="no_claim"), []
    reload = earned.shown
    stated = {"evaluations": 60, "explicit": 400, "model_card": 100, "best": 20, "last_evaluation": 20, "training": 100}
    n, obstacle = stated[kind], story.obstacle
    std = float(reload.std()) * random.uniform(0.9, 1.1)
    if obstacle == "claim_too_imprecise":
        n = 3
    if verdict == "inconclusive" and not obstacle:
        n, std = 20, 6.0 * earned.width
    # How far it was from what it earned: as the same draws would have it in place.
    usual = earned.in_place[: len(reload)]
    mean = float(usual.mean())
    if obstacle in ("best_of_k", "before_last_update", "claim_with_exploration"):
        mean = float(reload.mean() + 9.0 * earned.width)  # a loss, if such a claim could show one
    if verdict == "equivalent":
        std, n, mean = 0.3 * earned.width, max(n, 100), float(reload.mean() + 0.1 * earned.width)
    if verdict in ("retained", "suspect"):
        n = max(n, 400)
    if verdict == "suspect":
        measured = float(reload.mean()), float(reload.std()), len(reload)
        alone = compare_unpaired((mean, std, n), measured, 0.0, CRITERIA)
        mean = measured[0] + earned.width + MORE_THAN_NOISE * (alone.ci_high - alone.difference)
    claim = Claim(kind, round(mean, 6), round(std, 6), n, _where(row, kind))
    own = float(reload.std()) if verdict != "equivalent" else 0.3 * earned.width
    comparison = compare_unpaired(
        (claim.mean, claim.std or 0.0, n), (float(reload.mean()), own, len(reload)), earned.width, CRITERIA
    )
    claims = [claim]
    if kind != "training" and random.random() < 0.5:
        claims.append(
            Claim("training", round(mean - earned.width, 6), None, 100, f"{row['model']}.zip, ep_info_buffer")
        )
    return Judgement(comparison, claim, obstacle, as_claimed=verdict == "consistent"), claims


def _where(row: Row, kind: str) -> str:
    return {
        "explicit": f"claims.csv, line {zlib.crc32(row['model'].encode()) % 900 + 2}",
        "model_card": f"{row['experiment']}/README.md, metric",
        "training": f"{row['model']}.zip, ep_info_buffer",
    }.get(kind, f"{row['experiment']}/{row['model']}/evaluations.npz, row at {row['num_timesteps']:,} steps")


def _place(source: str, role: str, algo: str, world: World, number: int) -> tuple[str, str]:
    low = algo.lower()
    match source:
        case "zoo":
            run = f"{low}/{world.env.replace(':', '-')}_{number}"
            return (f"{run}/best_model" if role == "best" else run), "rl-trained-agents"
        case "hub":
            return f"sb3/{low}-{world.env.replace(':', '-')}-{number}", "hub/models--sb3"
        case "recorded":
            return f"recorded/{low}-{world.short}-{number}", "recorded"
        case "table":
            return f"table/{low}-{world.short}-{number}", "config/models.tsv"
    return f"models/{world.short}/{low}_{number}", "models"


def _row(name: str, experiment: str, source: str, algo: str, world: World, log: str) -> Row:
    row: Row = dict.fromkeys(tables.MODELS.names)
    return row | {
        "model": name,
        "experiment": experiment,
        "source": source,
        "role": "final",
        "algo": algo,
        "env_id": world.env,
        "env_ran": world.env,
        "reason": "",
        "gap": "",
        "checks_failed": "",
        "log": log,
        "random_mean_reward": world.random,
        "claims": [],
        "conditions": [],
        "first_divergence": None,
        "probe": probe_name(world.spec),
    }


def _moments(name: str, rewards: np.ndarray) -> Row:
    return {f"{name}_mean_reward": float(rewards.mean()), f"{name}_std_reward": float(rewards.std())}


def _divergence(episode: int, verdict: str, world: World) -> Row:
    """Where a reload went another way than its reference, as the library writes it."""
    if verdict == "equivalent":
        size = 2.4e-07 * max(1.0, abs(world.best) / 100)
        difference = ComponentDifference("actions", [0.125, -0.5], [0.125 + size, -0.5], (2,), None, size, True)
        found = Divergence(episode, FIRST_SEED + episode, 17, None, (difference,), "numerics")
    else:
        differences = (
            ComponentDifference("rewards", 5.0, -0.2, (), None, 5.2, False),
            ComponentDifference("raw_observations", 0.0, 1.0, (10,), (0,), 1.0, False),
            ComponentDifference("policy_observations", 0.0, 1.0, (10,), (0,), 1.0, False),
            ComponentDifference("actions", 3, 5, (), None, 2.0, False),
        )
        step = 0 if world.gap == "environment" else 1
        found = Divergence(
            episode, FIRST_SEED + episode, step, None, differences[step == 0 :], "dynamics" if step else "reset"
        )
    return {**found.to_dict(), "text": divergence_sentence(found)}


def _conclude(models: Sequence[_Model]) -> None:
    """Fill in what the comparison says, then q, verdict, gap and reason, as the library decides them."""
    decided = decide_verdicts([model.judgement for model in models], CRITERIA)
    for model, judged in zip(models, decided, strict=True):
        row, judgement = model.row, model.judgement
        row |= {"q": judged.q, "verdict": judged.verdict, "suspect": judged.suspect}
        if judgement is None:
            continue
        if judgement.comparison is not None:
            row |= comparison_columns(judgement.comparison)
            row |= loss_columns(judgement.comparison, row["claim_mean"], row["random_mean_reward"])
        checks = model.story.checks
        row["gap"] = judgement.gap if judged.verdict in ("degraded", "improved") else ""
        row["checks_failed"] = ", ".join(check.name for check in checks)
        further = FurtherEpisodes("training" if row["source"] == "trained" else "claim", 0.03)
        row["reason"] = reason(judged, judgement, checks, CRITERIA, further, row.get("largest_loss_share"))


def _finished(model: _Model) -> Row:
    row = model.row
    diagnosis, tried = diagnosed(row, model.judgement, model.story, model.world)
    best = diagnosis.causes[0] if diagnosis.causes else None
    return {
        **row,
        "cause": best.cause if best else "",
        "cause_share": best.share if best else None,
        "causes": [{**asdict(cause), "evidence": list(cause.evidence)} for cause in diagnosis.causes],
        "ruled_out": list(diagnosis.ruled_out),
        "not_excluded": list(diagnosis.not_excluded),
        "remarks": "; ".join(filter(None, [row["remarks"], *diagnosis.remarks])),
        "conditions": [*row["conditions"], *tried],
    }


def write_fleet(folder: Path, n: int, seed: int = 0, models: Iterable[str] | None = None) -> dict[str, Any]:
    """Write ``audit.json`` and ``episodes.parquet``; the audit as it is read back.

    :param models: those whose episodes are written; all if None
    """
    audit = fleet(n, seed)
    write_json(folder / "audit.json", audit)
    pq.write_table(episodes(audit, models), folder / "episodes.parquet")
    content: dict[str, Any] = read_json(folder / "audit.json")
    return content
