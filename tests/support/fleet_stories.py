"""What is wrong with made-up models, and what examining them found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from reload_audit.causes.finding import Finding
from reload_audit.causes.fixes import ModelToFix
from reload_audit.diagnosis.conclude import Diagnosis, conclude
from reload_audit.diagnosis.effects import ConditionResult, TrialResult
from reload_audit.diagnosis.evidence import Evidence, only_last_bits
from reload_audit.judging.comparison import compare_paired
from reload_audit.judging.judgement import Judgement, Obstacle
from reload_audit.records.divergence import Divergence
from reload_audit.records.model_record import Check
from reload_audit.results import tables
from support.fleet_rewards import random_of
from support.fleet_worlds import CRITERIA, PARTS, PROBED, SLOTS, Row, World


def _check(check: str, expected: Any, found: Any) -> Check:
    return Check(check, False, expected, found)


@dataclass(frozen=True)
class Story:
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
    def of(cls, data: Row) -> Story:
        listed = [
            *data.get("trials", []),
            *(trial for name in data.get("also", []) for trial in PARTS["trials"][name]),
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


STORIES = tuple(Story.of(story) for story in PARTS["stories"])


def diagnosed(row: Row, judgement: Judgement | None, story: Story, world: World) -> tuple[Diagnosis, list[Row]]:
    """What explains a verdict, and the conditions that were tried for it."""
    random = random_of(f"trials of {row['model']}")
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
    diagnosis = conclude(evidence, row["verdict"], row["gap"], judgement, PROBED[world.env])
    return diagnosis, [_tried_row(row, world, trial.name, trial.result) for trial in trials]


def _tried(row: Row, world: World, share: float | None, random: np.random.Generator) -> ConditionResult:
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


def _tried_row(row: Row, world: World, name: str, tried: ConditionResult) -> Row:
    reference = row["reference_mean_reward"]
    moved = None if tried.mean is None or reference is None else tried.mean - reference
    return condition_row(row["model"], name, SLOTS, None, None) | {
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


def condition_row(
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
        "spared": "",
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


def _as_recorded(divergence: Row | None) -> Divergence | None:
    """A row's first divergence as a record has it: without its sentence."""
    if divergence is None:
        return None
    return Divergence.from_dict({key: value for key, value in divergence.items() if key != "text"})
