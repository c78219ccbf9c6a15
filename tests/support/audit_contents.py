"""Rows of ``audit.json``, as far as reports need them, and audits of such rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reload_audit.judging.criteria import VERDICTS
from reload_audit.reports.audit import Audit

HOSTILE = (
    "a|b\\|c",
    "```",
    "`a` ``b``",
    "<img src=x onerror=alert(1)>",
    "</details><script>",
    "@everyone #123 GH-1 https://a.example www.a.example me@a.example 0123456789abcdef0123456789abcdef01234567",
    "![x](https://a.example/x.png) [y](javascript:alert(1)) $\\sqrt{3}$ **bold** ~~gone~~",
    "a\nb\r\n| c | d |\n# heading",
    "\x00\x1b[2J\x07",
    "\u202egnp.exe\u2066",
    "half \udcff of \ud800",
    "\ufffe\uffff",
    "]]> &amp; &#x0; <!-- -->",
    "[bold red]no[/] :smile:",
    " ",
)
"""Names and messages that must be shown and not obeyed."""

CRITERIA = {
    "alpha": 0.05,
    "fdr": 0.05,
    "margin_fraction": 0.05,
    "margin_std": 0.2,
    "looks": [20, 40, 80],
    "further_looks": [],
    "seconds": 60,
    "stop_when_retained": False,
}


def trained_row(name: str = "small-seed0-n1", verdict: str = "identical", **other: Any) -> dict[str, Any]:
    """A model trained here that earned 50 in place, and 10 after reload if it is degraded."""
    earned = {"degraded": 10.0, "error": None}.get(verdict, 50.0)
    return {
        "model": name,
        "experiment": "small",
        "source": "trained",
        "env_id": "CartPole-v1",
        "env_ran": "CartPole-v1",
        "verdict": verdict,
        "reason": "",
        "train_mean_reward": 50.0,
        "train_std_reward": 4.0,
        "reload_mean_reward": earned,
        "reload_std_reward": None if earned is None else 1.0,
        "random_mean_reward": 0.0,
        "n_episodes": None if earned is None else 20,
        "difference": None if earned is None else earned - 50.0,
        "ci_low": None if earned is None else earned - 51.0,
        "ci_high": None if earned is None else earned - 49.0,
        "margin": 2.0,
        "q": None if earned is None else 0.01,
        "claim_kind": "in_place",
        "claim_mean": 50.0,
        "claim_std": 4.0,
        "claims": [],
        "causes": [],
        "plain_load_error": None,
        **other,
    }


def external_row(name: str = "ppo/CartPole-v1_1", verdict: str = "equivalent", **other: Any) -> dict[str, Any]:
    """An external model that is said to have earned 50 and earns it, or 10 if it is degraded."""
    claim = {"source": "zoo", "claim_kind": "explicit", "train_mean_reward": None, "train_std_reward": None}
    return trained_row(name, verdict, **{**claim, "plain_load_error": "", **other})


_BEYOND = {"difference": -40.0, "ci_low": -41.0, "ci_high": -39.0}
_OBSTACLES: dict[str, dict[str, Any]] = {
    "no_claim": {**dict.fromkeys(("claim_kind", "claim_mean", "claim_std", "margin")), **dict.fromkeys(_BEYOND)},
    "claim_too_imprecise": {"ci_low": -9.0, "ci_high": 9.0},
    "best_of_k": {"claim_kind": "best", **_BEYOND},
    "before_last_update": {"claim_kind": "last_evaluation", **_BEYOND},
    "claim_with_exploration": {"claim_kind": "training", **_BEYOND},
}


def inconclusive_row(obstacle: str, **other: Any) -> dict[str, Any]:
    """An external model whose claim must not decide."""
    reason = f"{obstacle}: for a reason"
    return external_row(verdict="inconclusive", **{"reason": reason, "q": None, **_OBSTACLES[obstacle], **other})


def suspect_row(name: str = "small-seed1-n1", **other: Any) -> dict[str, Any]:
    """A model trained here that lost 3, beyond its margin of 2, if it were the only one."""
    lost = {"difference": -3.0, "ci_low": -3.9, "ci_high": -2.1, "q": 0.3, "reload_mean_reward": 47.0}
    return trained_row(name, "inconclusive", **{"suspect": True, **lost, **other})


def consistent_row(name: str = "ppo/CartPole-v1_2", **other: Any) -> dict[str, Any]:
    """An external model whose claim of 3 episodes does not exclude a loss of 30, 60 % of what it learned."""
    open_loss = {"ci_low": -30.0, "ci_high": 30.0, "largest_loss": 30.0, "largest_loss_share": 0.6}
    claim = {"claim_kind": "model_card", "claim_n": 3, "q": None}
    return external_row(name, "consistent", **{"difference": 0.0, **open_loss, **claim, **other})


def row_with_cause(name: str, cause: str, *evidence: str, verdict: str = "degraded", **other: Any) -> dict[str, Any]:
    """A model whose verdict has a cause, with this evidence."""
    explained = {"cause": cause, "explanation": "", "evidence": evidence, "proven": True, "share": None, "fix": ""}
    return trained_row(name, verdict, **{"cause": cause, "causes": [explained | other.pop("explained", {})], **other})


def environment_health(
    name: str = "CartPole-v1",
    *models: str,
    problem: tuple[str, ...] = (),
    reproducible: bool | None = None,
    **other: Any,
) -> dict[str, Any]:
    """An environment with a problem, which makes it irreproducible, or a healthy one.

    :param problem: its name and its evidence
    """
    told = {"explanation": "", "where": "", "fix": ""}
    return {
        "name": name,
        "called": name,
        "models": list(models),
        "reproducible": not problem if reproducible is None else reproducible,
        "problems": [{"name": problem[0], "evidence": list(problem[1:]), **told}] if problem else [],
        "unknown": [],
        "remark": "",
        **other,
    }


def script_entry(name: str = "enjoy.py", causes: Sequence[str] = (), **other: Any) -> dict[str, Any]:
    """A script that earns what its model does, or loses 40 by its causes, in lines 1, 2 and so on."""
    lost = 40.0 if causes else 0.0
    told = {
        "code": "-",
        "evidence": "-",
        "instead": "",
        "cost": lost,
        "restores": lost,
        "share": 1.0,
        "together_with": [],
    }
    named = [{"cause": cause, "where": f"{name}:{line}", **told} for line, cause in enumerate(causes, 1)]
    figure = {"mean": 50 - lost, "std": 1.0, "n": 20, "where": f"{name}:9", "earned": 50 - lost}
    measured = {
        "model_mean": 50.0,
        "model_std": 2.0,
        "model_n": 200,
        "reproduced": 50 - lost,
        "agrees": True,
        "gap": lost,
    }
    empty = {
        "harmless": [],
        "problem": "",
        "raised": "",
        "raised_at": "",
        "stopped": "",
        "remarks": [],
        "together": lost,
    }
    return {
        "name": name,
        "model": "robot",
        **figure,
        **measured,
        "differs": bool(causes),
        "causes": named,
        **empty,
        **other,
    }


def audit_of(
    *models: dict[str, Any], environments: Sequence[dict[str, Any]] = (), scripts: Sequence[dict[str, Any]] = ()
) -> Audit:
    """An audit of these models, read from its JSON.

    :param environments: the health of their environments
    :param scripts: entries of scripts
    """
    counts = {verdict: sum(one["verdict"] == verdict for one in models) for verdict in VERDICTS}
    content = {"settings": {"verdict": CRITERIA}, "counts": counts, "models": models}
    return Audit.from_json({**content, "environment_health": list(environments), "scripts": list(scripts)})
