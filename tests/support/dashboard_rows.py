"""Rows of ``audit.json`` with all that the dashboard shows of a model, and audits of such rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reload_audit.judging.criteria import VERDICTS
from reload_audit.reports.audit import Audit
from reload_audit.reports.dashboard.entries import Entry
from reload_audit.reports.dashboard.entries import entries as entries_of
from support.audit_contents import CRITERIA

NASTY = "</script><img src=x onerror=alert(1)>"
SETTINGS = {
    "evaluation": {"episodes": 100, "seed": 1000000, "n_envs": 20, "max_episode_steps": 100000},
    "verdict": CRITERIA,
}


def condition(name: str, n_envs: int, mean: float | None, difference: float | None, **other: Any) -> dict[str, Any]:
    measured = {"mean_reward": mean, "difference": difference, "n_episodes": None if mean is None else 20}
    return {"condition": name, "n_envs": n_envs, "vec_env": "dummy", **measured, **other}


def trained_row(name: str = "cartpole-seed0-n1", verdict: str = "identical", **other: Any) -> dict[str, Any]:
    """A model that earned 50 in place, with a margin of 2."""
    lost = {"degraded": -53.0, "improved": 10.0, "inconclusive": -1.5}.get(verdict, 0.0)
    failed = verdict == "error"
    compared = {
        "n_episodes": 20,
        "reload_mean_reward": 50.0 + lost,
        "reload_std_reward": 4.0,
        "difference": lost,
        "ci_low": lost - 1.0,
        "ci_high": lost + 1.0,
        "margin": 2.0,
        "q": 0.01,
    }
    return {
        "model": name,
        "experiment": "cartpole",
        "algo": "PPO",
        "env_id": "CartPole-v1",
        "train_seed": 0,
        "train_n_envs": 1,
        "verdict": verdict,
        "reason": "",
        "gap": "",
        "log": "logs/reload.log",
        "train_mean_reward": 50.0,
        "random_mean_reward": 10.0,
        "reference_mean_reward": 50.0,
        "source": "trained",
        "claim_kind": "in_place",
        "claim_mean": 50.0,
        "claim_std": 4.0,
        "claim_n": 20,
        "claim_source": None,
        **(dict.fromkeys(compared) if failed else compared),
        "conditions": [
            condition("in_place", 1, 51.0, 0.0, n_episodes=100),
            condition("reference", 20, 51.0, 0.0, n_episodes=100),
            condition("reload", 20, None if failed else 50.0 + lost, None if failed else lost),
            condition("n_envs=8", 8, None if failed else 50.0 + lost, None if failed else lost),
            condition("n_envs=4", 4, None if failed else 50.0 + lost, None if failed else lost),
            condition(
                "SubprocVecEnv", 20, None if failed else 50.0 + lost, None if failed else lost, vec_env="subproc"
            ),
        ],
        **other,
    }


def external_row(
    name: str = "ppo/CartPole-v1_1/best_model", verdict: str = "equivalent", **other: Any
) -> dict[str, Any]:
    """An external model that is claimed to have earned 50."""
    claim = {"claim_kind": "explicit", "claim_mean": 50.0, "claim_std": 4.0, "claim_n": 300}
    measured = {"train_mean_reward": None, "reference_mean_reward": None, "train_n_envs": None, "train_seed": None}
    said = {
        "experiment": "zoo/agents",
        "source": "zoo",
        "reason": "earns what is claimed",
        "claim_source": "claims.csv, line 2",
        "loaded_with": "spaces of gym rebuilt as Gymnasium's",
        "plain_load_error": "ModuleNotFoundError: No module named 'gym'",
        "sb3_saved": "1.3.0",
        "sb3_loaded": "2.9.2",
        "version_changes": "stable_baselines3 1.3.0 → 2.9.2",
    }
    return {**trained_row(name, verdict), **measured, **said, **claim, "conditions": [], **other}


FIX = """class Corridor(gym.Env):
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.goal = self.np_random.integers(8)"""


def cause(name: str = "global-generator", **other: Any) -> dict[str, Any]:
    said = {"explanation": f"About {name}.", "evidence": ["It draws.", "It drew."], "proven": True, "share": 0.97}
    return {"cause": name, **said, "fix": FIX, **other}


def because(*causes: dict[str, Any], **other: Any) -> dict[str, Any]:
    """The fields of a model whose verdict has causes."""
    best = {"cause": causes[0]["cause"], "cause_share": causes[0]["share"], "causes": causes}
    divergence = {"text": "Episode 0 differs first at its reset."}
    return {
        **best,
        "ruled_out": ["files: they are as saved"],
        "not_excluded": [],
        "first_divergence": divergence,
        **other,
    }


def row_with_causes(name: str, *causes: dict[str, Any], **other: Any) -> dict[str, Any]:
    return trained_row(name, "degraded", **because(*causes, **other))


def audit_of(models: Sequence[dict[str, Any]], **other: Any) -> Audit:
    counts = {verdict: sum(m["verdict"] == verdict for m in models) for verdict in VERDICTS}
    trained_with = [{"versions": {"stable_baselines3": "2.9.2"}, "machine": None, "models": len(models)}]
    tool = {"name": "reload-audit", "version": "0.1.0"}
    known = {"tool": tool, "settings": SETTINGS, "trained_with": trained_with, "counts": counts, "models": models}
    return Audit.from_json({**known, **other})


def entries(models: Sequence[dict[str, Any]]) -> list[Entry]:
    return entries_of(audit_of(models).models)


EVERY_VERDICT = [trained_row(f"cartpole-seed{seed}-n1", verdict) for seed, verdict in enumerate(VERDICTS)]
