"""The closing words of an audit: counts, the worst models with their numbers, where to read on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_WORST = 5


def summarize(audit: Mapping[str, Any], report: str) -> str:
    """A few lines for the console.

    :param audit: the content of ``audit.json``
    :param report: path of the HTML report
    """
    counts = ", ".join(f"{count} {verdict}" for verdict, count in audit["counts"].items() if count)
    lines = [answer(audit["counts"]), *([f"Verdicts: {counts}."] if counts else [])]
    lines += _table(_worst(audit["models"]))
    lines.append(f"Report: {report}")
    return "\n".join(lines) + "\n"


def answer(counts: Mapping[str, int]) -> str:
    """One sentence: how many models still earn their train-time reward, and what became of the others."""
    total = sum(counts.values())
    if total == 0:
        return "No models were audited."
    earning = sum(counts.get(verdict, 0) for verdict in ("identical", "equivalent", "improved"))
    if earning == 0:
        return _answer_without_success(counts, total)
    more = counts.get("improved", 0)
    if total == 1:
        subject, verb, whose = "The model", "earns", "its"
    elif earning == total:
        subject, verb, whose = "Both models" if total == 2 else f"All {total:,} models", "earn", "their"
    else:
        verb, whose = ("earns", "its") if earning == 1 else ("earn", "their")
        subject = f"{earning:,} of {total:,} models"
    extra = "" if more == 0 else ", and more" if more == earning else f", {more:,} of them more"
    others = _others(counts)
    return f"{subject} still {verb} {whose} train-time reward after reload{extra}{'; ' if others else ''}{others}."


def _answer_without_success(counts: Mapping[str, int], total: int) -> str:
    """An inconclusive model may well earn its reward: only ``degraded`` says that it does not."""
    if total == 1:
        models, all_are, earn = "the model", "it is", "earns its"
    else:
        models = "both models" if total == 2 else f"all {total:,} models"
        all_are, earn = ("both" if total == 2 else "all") + " are", "earn their"
    reward = "train-time reward after reload"
    if counts.get("degraded", 0) == total:
        return f"{models.capitalize()} no longer {earn} {reward}: {all_are} degraded."
    if counts.get("error", 0) == total:
        return f"{models.capitalize()} ended in an error: there is nothing to compare."
    if counts.get("inconclusive", 0) == total:
        return f"Whether {models} still {earn} {reward} is open: {all_are} inconclusive."
    return f"None of the {total:,} models is known to still earn its {reward}: {_others(counts)}."


def _others(counts: Mapping[str, int]) -> str:
    """``6 are degraded, 2 are inconclusive and 1 ended in an error``."""
    parts = []
    for verdict in ("degraded", "inconclusive", "error"):
        n = counts.get(verdict, 0)
        if n:
            parts.append(
                f"{n:,} ended in an error" if verdict == "error" else f"{n:,} {'is' if n == 1 else 'are'} {verdict}"
            )
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def _worst(models: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Models that do not load, then those that lost most, in units of their margin."""

    def severity(model: Mapping[str, Any]) -> tuple[int, float]:
        if model["verdict"] == "error":
            return 0, 0.0
        return 1, model["difference"] / model["margin"] if model["margin"] else 0.0

    flagged = [model for model in models if model["verdict"] in ("error", "degraded")]
    return sorted(flagged, key=severity)


def _table(flagged: Sequence[Mapping[str, Any]]) -> list[str]:
    if not flagged:
        return []
    width = max(len(model["model"]) for model in flagged[:_WORST])
    lines = ["", f"  {'model':<{width}}  verdict   in place → reload"]
    lines += [
        f"  {model['model']:<{width}}  {model['verdict']:<8}  "
        f"{_reward(model, 'train')} → {_reward(model, 'reload')}  {model['reason']}"
        for model in flagged[:_WORST]
    ]
    if len(flagged) > _WORST:
        lines.append(f"  and {len(flagged) - _WORST} more")
    return [*lines, ""]


def _reward(model: Mapping[str, Any], stage: str) -> str:
    mean, std = model[f"{stage}_mean_reward"], model[f"{stage}_std_reward"]
    return "–" if mean is None else f"{mean:.2f} ± {std:.2f}"
