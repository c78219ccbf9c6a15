"""Made-up audits of any size whose numbers are coherent.

A fleet is drawn, but judged, diagnosed and worded by the library itself, as the aggregation does it.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle, product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from reload_audit import __version__
from reload_audit.causes.finding import Finding
from reload_audit.causes.fixes import ModelToFix
from reload_audit.diagnosis.conclude import Diagnosis, conclude
from reload_audit.diagnosis.effects import ConditionResult, TrialResult
from reload_audit.diagnosis.evidence import Evidence, only_last_bits
from reload_audit.judging.comparison import compare_paired, compare_unpaired
from reload_audit.judging.criteria import Criteria, margin
from reload_audit.judging.divergence_wording import divergence_sentence
from reload_audit.judging.judgement import Judgement, Obstacle
from reload_audit.judging.reasons import FurtherEpisodes, reason
from reload_audit.judging.verdicts import decide_verdicts
from reload_audit.probing.conclusions import CAPTIONS, findings
from reload_audit.records.audit_file import SCHEMA_VERSION
from reload_audit.records.divergence import ComponentDifference, Divergence
from reload_audit.records.environment_spec import EnvironmentSpec
from reload_audit.records.model_record import Check
from reload_audit.records.probe_names import probe_name
from reload_audit.records.probe_record import Mismatch, ProbeRecord
from reload_audit.records.specs import Claim
from reload_audit.records.storage import read_json, write_json
from reload_audit.results import tables
from reload_audit.results.aggregate import count_verdicts, environment_entry
from reload_audit.results.health import environment_health
from reload_audit.results.rows import comparison_columns, loss_columns

Row = dict[str, Any]

SHARES = {
    "identical": 70.0,
    "equivalent": 11.0,
    "retained": 2.0,
    "improved": 1.0,
    "consistent": 2.0,
    "inconclusive": 3.0,
    "suspect": 1.0,
    "degraded": 8.0,
    "error": 2.0,
}
"""How many of a hundred models are to have each verdict; ``suspect`` is inconclusive, and that mark."""
EPISODES = 100
FIRST_SEED = 1_000_000
SLOTS = 20
SETTINGS = {
    "evaluation": {"episodes": EPISODES, "seed": FIRST_SEED, "n_envs": SLOTS, "max_episode_steps": 100_000},
    "verdict": {
        "alpha": 0.05,
        "fdr": 0.05,
        "margin_fraction": 0.05,
        "margin_std": 0.2,
        "looks": [20, 40, 80, 100],
        "further_looks": [],
        "seconds": 60,
        "stop_when_retained": False,
    },
    "reload": {"n_envs": [1, 8], "other_vec_env": True, "conditions": "needed", "isolation": "forkserver"},
}
CRITERIA = Criteria.from_dict(SETTINGS["verdict"])
SB3 = "2.9.2"


@dataclass(frozen=True)
class _World:
    """A made-up environment: its scale of rewards, and its fault if it has one.

    :param gap: between which measurements the reward is lost, if it is
    :param fault: contrast that a probe of it shows, if any; ``probed``: what its file has beside that
    :param remedied: share of the loss that a trial recovers in which environments ran episodes before
    """

    env: str
    best: float
    random: float
    spread: float
    steps: int
    algos: tuple[str, ...]
    decimals: int = 12
    gap: str = ""
    fault: str = ""
    probed: Mapping[str, Any] = field(default_factory=dict)
    remedied: float | None = None

    @property
    def short(self) -> str:
        return self.env.rpartition("/")[2].rpartition(":")[2].split("-")[0].replace("NoFrameskip", "").lower()

    @property
    def spec(self) -> Row:
        path = ["examples"] if ":" in self.env else []
        made = {"env": self.env, "env_kwargs": {}, "wrappers": [], "python_path": path}
        return {**made, "monitor": "env", "vec_wrappers": [], "vec_env": None}


_PARTS = yaml.safe_load((Path(__file__).parent / "fleet.yaml").read_text(encoding="utf-8"))
WORLDS = tuple(_World(**{**world, "algos": tuple(_PARTS["algos"][world["algos"]])}) for world in _PARTS["worlds"])
_BY_ID = {world.env: world for world in WORLDS}
_HEALTHY = [world for world in WORLDS if not world.fault]
_FAULTY = [world for world in WORLDS if world.fault]


# --- Rewards -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Earned:
    """Rewards of one model. All that is drawn of it follows from its name, so that its episodes can be drawn again."""

    in_place: np.ndarray
    reference: np.ndarray
    reload: np.ndarray
    width: float

    @classmethod
    def of(cls, name: str, env: str, verdict: str, lost_to: str) -> _Earned:
        """Draw the rewards of a model.

        :param verdict: one of ``SHARES``
        :param lost_to: the gap in which the reward is lost, as in ``Judgement.gap``
        """
        if verdict in ("retained", "consistent"):
            verdict = "inconclusive"  # as it was drawn
        random, world = _random(name), _BY_ID.get(env, WORLDS[0])
        skill = random.uniform(0.8, 1.0)
        mean = world.random + skill * (world.best - world.random)
        usual = mean + world.spread * (2.0 - random.gamma(4.0, 0.5, EPISODES))
        usual = np.round(usual, world.decimals)
        width = margin(float(usual.mean()), float(usual.std()), world.random, CRITERIA)
        noise = width * random.standard_normal(EPISODES)
        centred = noise - noise.mean()
        sizes = {"degraded": -random.uniform(4.0, 19.0), "improved": random.uniform(6.0, 9.0)}
        moved = {
            "equivalent": 0.05 * noise,
            "retained": 3.0 * centred + 0.9 * width,
            "consistent": 3.0 * centred - 0.3 * width,
            "inconclusive": 6.0 * centred - 0.3 * width,
            "suspect": 3.0 * centred - width - _MORE_THAN_NOISE * _half_width(3.0 * centred),
            "degraded": width * sizes["degraded"] + 0.9 * noise,
            "improved": width * sizes["improved"] + 0.9 * noise,
        }.get(verdict)
        if moved is None:
            return cls(usual, usual, usual, width)
        changed = np.round(usual + moved, world.decimals) if verdict != "equivalent" else usual + moved
        n = (20, 40) if verdict == "equivalent" else (40, 40, 80) if verdict in sizes else (EPISODES,)
        reference = changed if lost_to.startswith("environment") else usual
        return cls(usual, reference, changed[: int(random.choice(n))], width)

    @property
    def shown(self) -> np.ndarray:
        """The reload, as far as it went: twenty episodes are enough where every bit is the same."""
        return self.reload[:20] if len(self.reload) == EPISODES and self.reload is self.in_place else self.reload


_MORE_THAN_NOISE = 1.02
"""How far a loss that is seen in one model alone lies beyond the margin, in half widths of its interval."""


def _half_width(differences: np.ndarray) -> float:
    compared = compare_paired(differences, 0.0, CRITERIA)
    return compared.ci_high - compared.difference


def _random(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode("utf-8", "surrogatepass")))


def episodes(audit: Mapping[str, Any], models: Iterable[str] | None = None) -> pa.Table:
    """The episodes in place, of reference and reload, as ``episodes.parquet`` has them.

    :param models: names of those that are wanted; all if None
    """
    wanted = None if models is None else set(models)
    columns: dict[str, list[np.ndarray]] = {name: [] for name in tables.EPISODES.names}
    for model in audit["models"]:
        if wanted is None or model["model"] in wanted:
            _add_episodes(model, columns)
    joined = {name: np.concatenate(parts) if parts else [] for name, parts in columns.items()}
    return pa.table(joined, schema=tables.EPISODES)


def _add_episodes(model: Row, columns: dict[str, list[np.ndarray]]) -> None:
    drawn = "suspect" if model["suspect"] else model["verdict"]
    earned = _Earned.of(model["model"], model["env_ran"], drawn, model["gap"])
    steps = _BY_ID.get(model["env_ran"], WORLDS[0]).steps
    digest = zlib.crc32(model["model"].encode("utf-8", "surrogatepass"))
    for row in model["conditions"]:
        rewards = getattr(earned, row["condition"], None)
        if rewards is None or row["n_episodes"] is None:
            continue
        n = row["n_episodes"]
        rewards, numbers = rewards[:n], np.arange(n)
        lengths = np.maximum(1, steps + (numbers * 7919 + digest) % (steps // 5 + 1) - steps // 10)
        same = rewards == earned.reference[:n]
        own = zlib.crc32(row["condition"].encode()) * ~same
        values: Row = {
            "model": np.full(n, model["model"], dtype=object),
            "condition": np.full(n, row["condition"], dtype=object),
            "episode": numbers,
            "seed": numbers + FIRST_SEED,
            "reward": rewards,
            "length": lengths,
            "terminated": numbers % 5 > 0,
            "monitor_reward": np.round(rewards, 6),
            "step_reward": rewards,
            "cut": np.zeros(n, dtype=bool),
            "trace": np.array([f"{one:08x}{digest:08x}" for one in numbers * 2654435761 % 2**32 ^ own], dtype=object),
        }
        for name, column in values.items():
            columns[name].append(column)


# --- What is wrong with a model --------------------------------------------------------------------------------------


def _check(check: str, expected: Any, found: Any) -> Check:
    return Check(check, False, expected, found)


@dataclass(frozen=True)
class _Story:
    """Why an external model has its verdict: what forensics find, and what the conditions give.

    :param trials: condition, its causes, and the share of the gap that it closes; None for one that fails
    :param kind: of the claim; any if empty
    :param algo: the only algorithm that it can happen to
    """

    verdict: str = ""
    findings: tuple[Finding, ...] = ()
    trials: tuple[tuple[str, tuple[str, ...], float | None], ...] = ()
    obstacle: Obstacle = ""
    reason: str = ""
    checks: tuple[Check, ...] = ()
    kind: str = ""
    algo: str = ""

    @classmethod
    def of(cls, data: Row) -> _Story:
        listed = [
            *data.get("trials", []),
            *(trial for name in data.get("also", []) for trial in _PARTS["trials"][name]),
        ]
        trials = [
            (name, (causes,) if isinstance(causes, str) else tuple(causes), share) for name, causes, share in listed
        ]
        found = [Finding(**{"instrument": "forensics", **finding}) for finding in data.get("findings", [])]
        rest = {key: value for key, value in data.items() if key not in ("also", "trials", "findings", "checks")}
        return cls(
            **rest,
            trials=tuple(trials),
            findings=tuple(found),
            checks=tuple(_check(**check) for check in data.get("checks", [])),
        )

    @property
    def details(self) -> Row:
        return {key: value for finding in self.findings for key, value in finding.details.items()}


_STORIES = tuple(_Story.of(story) for story in _PARTS["stories"])


def _diagnosis(row: Row, judgement: Judgement | None, story: _Story, world: _World) -> tuple[Diagnosis, list[Row]]:
    """What explains a verdict, and the conditions that were tried for it."""
    random = _random(f"trials of {row['model']}")
    trials = []
    for name, causes, share in story.trials:
        details = {"deterministic": False} if name == "stochastic" else story.details
        trials.append(TrialResult(name, causes, details, _tried(row, world, share, random)))
    evidence = Evidence(
        reward=row["reload_mean_reward"],
        failure=row["reason"] if row["verdict"] == "error" else "",
        checks=(14, len(story.checks)),
        findings=story.findings,
        trials=tuple(trials),
        std=float(row["reload_std_reward"] or 0.0),
        n=row["n_episodes"] or 0,
        model=ModelToFix(name=row["model"], algo=row["algo"], env=world.env, env_named=row["env_id"]),
        last_bits=only_last_bits(_as_recorded(row["first_divergence"])),
    )
    diagnosis = conclude(evidence, row["verdict"], row["gap"], judgement, _PROBED[world.env])
    return diagnosis, [_tried_row(row, world, trial.name, trial.result) for trial in trials]


def _tried(row: Row, world: _World, share: float | None, random: np.random.Generator) -> ConditionResult:
    """What a condition gave that closes this share of a gap."""
    now, goal = row["reload_mean_reward"], row["claim_mean"]
    if share is None:
        return ConditionResult(None, "its statistics cannot be swapped: a mean is negative")
    if now is None or goal is None:
        return ConditionResult(world.best, "", world.spread, 20)
    std = float(row["reload_std_reward"] or 0.0)
    moved = share * (goal - now)
    near = random.uniform(-0.3, 0.3) * std / math.sqrt(20)
    return ConditionResult(now + moved + near, "", std, 20, now, moved + near, 0.1 * std / math.sqrt(20))


def _tried_row(row: Row, world: _World, name: str, tried: ConditionResult) -> Row:
    reference = row["reference_mean_reward"]
    moved = None if tried.mean is None or reference is None else tried.mean - reference
    return _condition(row["model"], name, SLOTS, None, None) | {
        "deterministic": "stochastic" not in name,
        "earned": "step_reward" if "reward normalized" in name else "reward",
        "status": "error" if tried.mean is None else "ok",
        "reason": tried.failure,
        "n_episodes": None if tried.mean is None else 20,
        "mean_reward": tried.mean,
        "std_reward": None if tried.mean is None else tried.std,
        "mean_ep_length": None if tried.mean is None else float(world.steps),
        "difference": moved,
        "ci_low": None if moved is None else moved - 0.4 * tried.std,
        "ci_high": None if moved is None else moved + 0.4 * tried.std,
        "identical": None if moved is None else False,
        "first_difference": None if moved is None else "episode 0: policy_observations, actions, rewards",
    }


def _condition(
    model: str, name: str, n_envs: int, rewards: np.ndarray | None, reference: np.ndarray | None, steps: float = 0.0
) -> Row:
    """A row of what one condition gave; no rewards for one that failed."""
    row: Row = dict.fromkeys(tables.CONDITIONS.names)
    row |= {
        "model": model,
        "condition": name,
        "n_envs": n_envs,
        "vec_env": "subproc" if name == "SubprocVecEnv" else "dummy",
        "deterministic": True,
        "status": "error" if rewards is None else "ok",
        "reason": "",
        "migration": "",
    }
    if rewards is not None:
        row |= {
            "n_episodes": len(rewards),
            "earned": "reward",
            "mean_reward": float(rewards.mean()),
            "std_reward": float(rewards.std()),
            "mean_ep_length": steps,
        }
    if rewards is not None and reference is not None:
        differences = rewards - reference[: len(rewards)]
        compared = compare_paired(differences, 0.0, CRITERIA)
        first = next(iter(np.flatnonzero(differences)), None)
        row |= {
            "difference": compared.difference,
            "ci_low": compared.ci_low,
            "ci_high": compared.ci_high,
            "identical": first is None,
            "first_difference": "" if first is None else f"episode {first}: raw_observations, rewards, actions",
        }
    return row


# --- The models ------------------------------------------------------------------------------------------------------


@dataclass
class _Model:
    """A model whose row lacks verdict and reason, which need all models."""

    row: Row
    world: _World
    judgement: Judgement | None
    story: _Story


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
        "environments": sorted((_environment(world) for world in WORLDS if world.env in used), key=lambda e: e["name"]),
        "environment_health": sorted(_healths(finished), key=lambda health: health["name"]),
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
    for worlds, wanted in ((_FAULTY, lost[len(scattered) :]), (_HEALTHY, others)):
        places = _grids(worlds, n)
        for verdict, (world, algo, experiment, seed, n_envs) in zip(wanted, places, strict=False):
            yield _trained_model(verdict, world, algo, experiment, seed, n_envs)


def _grids(worlds: Sequence[_World], n: int) -> Iterator[tuple[_World, str, str, int, int]]:
    seeds, slots = (3, (1, 4, 8)) if n < 1_000 or worlds is _FAULTY else (10, (1, 2, 4, 8, 16))
    algos = {world.env: cycle(world.algos) for world in worlds}
    made: dict[str, int] = {}
    for world in cycle(worlds):
        algo = next(algos[world.env])
        base = f"{algo.lower()}-{world.short}"
        made[base] = made.get(base, 0) + 1
        experiment = base if made[base] == 1 else f"{base}-{made[base]}"
        for seed, n_envs in product(range(seeds), slots):
            yield world, algo, experiment, seed, n_envs


def _trained_model(verdict: str, world: _World, algo: str, experiment: str, seed: int, n_envs: int) -> _Model:
    name = f"{experiment}-seed{seed}-n{n_envs}"
    lost_to = (world.gap or "process") if verdict in ("degraded", "improved") else ""
    earned = _Earned.of(name, world.env, verdict, lost_to)
    failed = verdict == "error"
    random = _random(f"row of {name}")
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
        row["reason"] = _PARTS["errors"][zlib.crc32(name.encode()) % len(_PARTS["errors"])]
    judgement = None
    if not (failed and "training" in row["reason"]):
        n = EPISODES if failed else len(earned.shown)
        row |= _moments("train", earned.in_place[:n]) | _moments("reference", earned.reference[:n])
        quoted = earned.in_place[:n]
        row |= {"claim_mean": float(quoted.mean()), "claim_std": float(quoted.std()), "claim_n": n}
        row["conditions"] = [
            _condition(name, "in_place", n_envs, earned.in_place, earned.reference, float(world.steps)),
            _condition(name, "reference", SLOTS, earned.reference, earned.reference, float(world.steps)),
        ]
        names = (("reload", SLOTS), ("n_envs=1", 1), ("n_envs=8", 8), ("SubprocVecEnv", SLOTS))
        row["conditions"] += [
            _condition(name, condition, slots, None if failed else earned.shown, earned.reference, float(world.steps))
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
    return _Model(row, world, judgement, _Story(trials=trials))


_SOURCES = ("zoo", "zoo", "hub", "table", "recorded", "folder")
_KINDS = ("explicit", "evaluations", "model_card", "evaluations", "explicit")
_LOAD_ERRORS = ("", "", "", "ModuleNotFoundError: No module named 'gym'", "KeyError: 'policy_class'")
_SAVED = ("1.3.0", "1.5.0", "1.8.0", "2.0.0", "2.2.1", "2.3.2", SB3)


def _others(verdicts: list[str], random: np.random.Generator) -> Iterator[_Model]:
    """External models: every kind of story as often as any other of its verdict."""
    stories = {verdict: cycle([story for story in _STORIES if story.verdict == verdict]) for verdict in SHARES}
    random.shuffle(verdicts)
    for number, verdict in enumerate(verdicts):
        story = next(stories[verdict], _Story())
        world = _HEALTHY[int(random.integers(len(_HEALTHY)))]
        algo = story.algo or world.algos[int(random.integers(len(world.algos)))]
        yield _external_model(number, verdict, story, world, algo)


def _external_model(number: int, verdict: str, story: _Story, world: _World, algo: str) -> _Model:
    random = _random(f"found {number} {verdict} {world.env}")
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
    earned = _Earned.of(name, world.env, verdict, "")
    if verdict == "error":
        row |= {"reason": story.reason, "sb3_saved": None if "zip" in story.reason else saved}
        failure = story.reason.partition(": ")[2]
        row["conditions"] = [_condition(name, "reload", SLOTS, None, None) | {"reason": failure}]
        return _Model(row, world, None, story)
    reload = earned.shown
    row |= _moments("reload", reload) | {"n_episodes": len(reload)}
    if source == "recorded":
        row |= _moments("reference", reload) | _moments("train", reload)
        row |= {"claim_kind": "reference", "claim_mean": float(reload.mean()), "claim_std": float(reload.std())}
        row |= {"claim_n": len(reload), "train_mean_reward": float(reload.mean())}
        comparison = compare_paired(np.zeros(len(reload)), earned.width, CRITERIA)
        row["conditions"] = [_condition(name, "reload", SLOTS, reload, reload, float(world.steps))]
        return _Model(row, world, Judgement(comparison, process_gap=comparison), _Story())
    judgement, claims = _claimed(row, earned, verdict, story, random)
    row["claims"] = [asdict(claim) for claim in claims]
    row["conditions"] = [
        _condition(name, "reload", SLOTS, reload, None, float(world.steps)),
        _condition(name, "n_envs=8", 8, reload, reload, float(world.steps)),
    ]
    row["ep_rew_mean"] = next((claim.mean for claim in claims if claim.kind == "training"), None)
    if judgement.claim is not None:
        claim = judgement.claim
        row |= {"claim_kind": claim.kind, "claim_mean": claim.mean, "claim_std": claim.std, "claim_n": claim.n}
        row |= {"claim_source": claim.where}
    return _Model(row, world, judgement, story)


def _claimed(
    row: Row, earned: _Earned, verdict: str, story: _Story, random: np.random.Generator
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
        mean = measured[0] + earned.width + _MORE_THAN_NOISE * (alone.ci_high - alone.difference)
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


def _place(source: str, role: str, algo: str, world: _World, number: int) -> tuple[str, str]:
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


def _row(name: str, experiment: str, source: str, algo: str, world: _World, log: str) -> Row:
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


def _as_recorded(divergence: Row | None) -> Divergence | None:
    """A row's first divergence as a record has it: without its sentence."""
    if divergence is None:
        return None
    return Divergence.from_dict({key: value for key, value in divergence.items() if key != "text"})


def _divergence(episode: int, verdict: str, world: _World) -> Row:
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
    diagnosis, tried = _diagnosis(row, model.judgement, model.story, model.world)
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


_OTHER_CROP = Mismatch(0, "random", 0, "observation[1]", 0.6, 0.7)


def _probe(world: _World) -> ProbeRecord:
    """What probing an environment found, as far as the audit keeps it."""
    compared: Row = {name: {"differs": False, "difference": None, "failure": None} for name in CAPTIONS}
    if world.fault:
        effects = [effect for part in ("generators", "state", "entropy") for effect in world.probed.get(part, [])]
        difference = effects[0]["difference"] if effects else asdict(_OTHER_CROP)
        compared[world.fault] |= {"differs": True, "difference": difference}
    said = "AssertionError: Deterministic step observations are not equivalent for the same seed and action"
    low = "WARN: A Box observation space minimum value is -infinity. This is probably too low."
    return ProbeRecord.from_dict(
        {
            "environment": world.spec,
            "plays": [],
            "failure": None,
            "remark": "",
            "model": "",
            "processes": 16,
            "seconds": 2.0,
            "contrasts": compared,
            "checks": [
                {
                    "checker": "gymnasium",
                    "error": said if world.fault in ("many episodes", "repeat") else None,
                    "where": None,
                    "warnings": [
                        low,
                        low.replace("minimum", "maximum").replace("-inf", "inf").replace("low.", "high."),
                    ],
                },
                {"checker": "stable_baselines3", "error": None, "warnings": [], "where": None},
            ],
            "vectorized": [
                {"vec_env": name, "n_envs": 2, "difference": None} for name in ("DummyVecEnv", "SubprocVecEnv")
            ],
            "held": "nothing",
            **dict.fromkeys(("generators", "entropy", "state"), ()),
            **dict.fromkeys(("clock", "hash_order")),
            **world.probed,
        }
    )


_PROBED = {world.env: findings(_probe(world)) for world in WORLDS}


def _environment(world: _World) -> Row:
    return environment_entry(probe_name(world.spec), _probe(world))


def _healths(models: Sequence[Row]) -> Iterator[Row]:
    """The health of the environments that these models ran in."""
    for world in WORLDS:
        names = [model["model"] for model in models if model["env_ran"] == world.env]
        if names:
            spec = EnvironmentSpec.from_dict(world.spec)
            yield environment_health(probe_name(world.spec), spec, _probe(world), names).to_dict()


def write_fleet(folder: Path, n: int, seed: int = 0, models: Iterable[str] | None = None) -> dict[str, Any]:
    """Write ``audit.json`` and ``episodes.parquet``; the audit as it is read back.

    :param models: those whose episodes are written; all if None
    """
    audit = fleet(n, seed)
    write_json(folder / "audit.json", audit)
    pq.write_table(episodes(audit, models), folder / "episodes.parquet")
    content: dict[str, Any] = read_json(folder / "audit.json")
    return content
