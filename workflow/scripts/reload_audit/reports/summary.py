"""The closing words of an audit: counts, the worst models with their numbers, where to read on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reload_audit.causes.catalogue import CAUSES

_WORST = 5
LONGEST_NAME = 60
_LONGEST_REASON = 400
_LONGEST_LOAD_ERROR = 120
_LOAD_ERRORS = 3
_LONGEST_CAUSE = 60
_LONGEST_EVIDENCE = 240
_OTHER_CAUSES = 5

TRAIN_TIME, CLAIMED = "train-time reward", "claimed reward"
OBSTACLES = ("no_claim", "claim_too_imprecise", "best_of_k", "before_last_update", "claim_with_exploration")


def summarize(audit: Mapping[str, Any], report: str, cards: str = "") -> str:
    """A few lines for the console.

    :param audit: the content of ``audit.json``
    :param report: path of the HTML report
    :param cards: what is to be said of model cards, if anything
    """
    models = audit["models"]
    counts = ", ".join(_count(verdict, count, models) for verdict, count in audit["counts"].items() if count)
    lines = [headline(models), *([f"Verdicts: {counts}."] if counts else [])]
    worst, left = flagged(models)
    lines += [*filter(None, [cause_counts(models)]), *_other_causes(models, worst)]
    lines += [*filter(None, [plain_loads(models)]), *_table(worst, left)]
    lines += [*filter(None, [cards]), f"Report: {report}"]
    return "\n".join(lines) + "\n"


def headline(models: Sequence[Mapping[str, Any]]) -> str:
    """One sentence about all models of an audit."""
    counts = Counter(model["verdict"] for model in models)
    unclaimed = sum(obstacle(model) == "no_claim" for model in models)
    return answer(counts, reward_name(was_measured(model) for model in models), unclaimed)


def answer(counts: Mapping[str, int], reward: str = TRAIN_TIME, unclaimed: int = 0) -> str:
    """One sentence: how many models still earn the reward they are compared with, and what became of the others.

    :param reward: what that reward is called, see :func:`reward_name`
    :param unclaimed: how many of the inconclusive models nothing is claimed of
    """
    total = sum(counts.values())
    if total == 0:
        return "No models were audited."
    earning = sum(counts.get(verdict, 0) for verdict in ("identical", "equivalent", "improved"))
    if earning == 0:
        return _answer_without_success(counts, total, reward, unclaimed)
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
    return f"{subject} still {verb} {whose} {reward} after reload{extra}{'; ' if others else ''}{others}."


def reward_name(measured: Iterable[bool]) -> str:
    """What the reward is called that reloads are compared with.

    :param measured: for each model, whether it was measured at train time; otherwise somebody claims it
    """
    kinds = set(measured)
    return f"train-time or {CLAIMED}" if len(kinds) == 2 else CLAIMED if kinds == {False} else TRAIN_TIME


def is_found(model: Mapping[str, Any]) -> bool:
    """Whether others trained it."""
    return (model.get("source") or "trained") != "trained"


def was_measured(model: Mapping[str, Any]) -> bool:
    """Whether its reload is compared, or would have been, with episodes of train time rather than with a claim."""
    kind = model.get("claim_kind")
    return kind in ("in_place", "reference") if kind else model.get("source") in (None, "trained", "recorded")


def obstacle(model: Mapping[str, Any]) -> str:
    """Why a claim could not decide, or nothing; an inconclusive model's reason starts with that word."""
    word = (model.get("reason") or "").partition(":")[0]
    return word if model["verdict"] == "inconclusive" and word in OBSTACLES else ""


def plain_loads(models: Iterable[Mapping[str, Any]]) -> str:
    """How many found models a user's own ``ALGO.load(path)`` would not have loaded, and why; nothing if none."""
    found = [model for model in models if is_found(model)]
    errors = Counter(printable(model["plain_load_error"], _LONGEST_LOAD_ERROR) for model in found if _fails(model))
    if not errors:
        return ""
    unread = sum(model.get("plain_load_error") is None for model in found)
    unknown = f" ({unread:,} could not be read)" if unread else ""
    said = "; ".join(f"{error} ({count:,})" for error, count in _most_common(errors)[:_LOAD_ERRORS])
    more = f"; {len(errors) - _LOAD_ERRORS:,} other errors" if len(errors) > _LOAD_ERRORS else ""
    models_found = f"{len(found):,} found models" if len(found) > 1 else "1 found model"
    return f"{errors.total():,} of {models_found} would not load with a plain ALGO.load{unknown}: {said}{more}"


def cause_counts(models: Iterable[Mapping[str, Any]]) -> str:
    """How many models each cause is the best explanation of, the most frequent first; nothing where none is needed."""
    said = ", ".join(f"{cause} ({count:,})" for cause, count in counted_causes(models))
    return f"Causes: {said}." if said else ""


def counted_causes(models: Iterable[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """Each cause that is the best explanation of models, with their number; the most frequent first."""
    return _most_common(Counter(printable(model["cause"], _LONGEST_CAUSE) for model in models if model.get("cause")))


def cause_page(cause: str) -> str:
    """Where a cause and its fix are described, from the top of the repository; nothing for what is no known cause."""
    return f"docs/causes/{cause}.md" if cause in CAUSES else ""


def why_undecided(models: Iterable[Mapping[str, Any]]) -> str:
    """``4 no_claim, 1 best_of_k``: what stands in the way of a verdict on inconclusive models."""
    kinds = Counter(filter(None, map(obstacle, models)))
    return ", ".join(f"{kinds[kind]:,} {kind}" for kind in OBSTACLES if kinds[kind])


def flagged(models: Sequence[Mapping[str, Any]]) -> tuple[list[tuple[Mapping[str, Any], int]], int]:
    """The worst models that failed, and the worst that lost their reward.

    :return: each with the number of models that it stands for, and how many are left out
    """
    failed, degraded = _worst(models, "error"), _worst(models, "degraded")
    left = sum(times for _, times in [*failed[_WORST:], *degraded[_WORST:]])
    return [*failed[:_WORST], *degraded[:_WORST]], left


def rewards(model: Mapping[str, Any]) -> str:
    """``50.00 ± 4.00 → 10.00 ± 1.00``: what the model earned or is said to have earned, and its reload."""
    claimed = _mean_and_std(model["claim_mean"], model["claim_std"])
    return f"{claimed} → {_mean_and_std(model['reload_mean_reward'], model['reload_std_reward'])}"


def why(model: Mapping[str, Any], times: int = 1) -> str:
    """The reason of a verdict.

    :param times: the number of models that this one stands for
    """
    reason = printable(model["reason"], _LONGEST_REASON)
    return f"{reason} ({times - 1:,} more like it)" if times > 1 else reason


def explained(model: Mapping[str, Any]) -> str:
    """The best explanation of a verdict, with its evidence unless that is the reason; nothing without a cause."""
    if not model.get("cause"):
        return ""
    evidence = next(iter((model.get("causes") or [{}])[0].get("evidence") or ()), "")
    said = [printable(model["cause"], _LONGEST_CAUSE)]
    if evidence and evidence != model["reason"]:
        said.append(printable(evidence, _LONGEST_EVIDENCE))
    return ": ".join(said)


def printable(text: str, longest: int) -> str:
    """On one line, with characters that a terminal or browser would obey made visible, the middle left out.

    Names and messages come from files of unknown origin. What turns the direction of writing around, moves the cursor
    or is half a character shows as its escape.
    """
    return _ends(_visible(" ".join(_ends(text, 4 * longest).split())), longest)


def printable_code(text: str, longest: int) -> str:
    """As :func:`printable`, but lines and indentation stay as they are, and what is too long is cut at its end."""
    lines = text[:longest].replace("\r\n", "\n").expandtabs(4).strip("\n").split("\n")
    return "\n".join([*(_visible(line).rstrip() for line in lines), *(["…"] if len(text) > longest else [])])


def _visible(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _ends(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    end = longest // 3
    return f"{text[: longest - end - 1]}…{text[-end:]}"


def _fails(model: Mapping[str, Any]) -> bool:
    return bool(model.get("plain_load_error"))


def _most_common(counted: Counter[str]) -> list[tuple[str, int]]:
    """The most frequent first, by name among equals: the order of the models does not matter."""
    return sorted(counted.items(), key=lambda item: (-item[1], item[0]))


def _answer_without_success(counts: Mapping[str, int], total: int, reward: str, unclaimed: int) -> str:
    """An inconclusive model may well earn its reward: only ``degraded`` says that it does not."""
    if total == 1:
        models, all_are, earn = "the model", "it is", "earns its"
    else:
        models = "both models" if total == 2 else f"all {total:,} models"
        all_are, earn = ("both" if total == 2 else "all") + " are", "earn their"
    reward = f"{reward} after reload"
    if counts.get("degraded", 0) == total:
        return f"{models.capitalize()} no longer {earn} {reward}: {all_are} degraded."
    if counts.get("error", 0) == total:
        return f"{models.capitalize()} ended in an error: there is nothing to compare."
    if unclaimed == total:
        loads, it = ("loads and runs", "it") if total == 1 else ("load and run", "they")
        return f"{models.capitalize()} {loads}, but nothing says what {it} earned: {all_are} inconclusive."
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


def _count(verdict: str, count: int, models: Iterable[Mapping[str, Any]]) -> str:
    """``6 inconclusive (4 no_claim, 1 best_of_k)``."""
    undecided = why_undecided(models) if verdict == "inconclusive" else ""
    return f"{count:,} {verdict}{f' ({undecided})' if undecided else ''}"


def _worst(models: Iterable[Mapping[str, Any]], verdict: str) -> list[tuple[Mapping[str, Any], int]]:
    """Models with a verdict, those that lost most in units of their margin first.

    Of models that failed alike, of the same cause, the first stands for all.

    :return: each with the number of models that it stands for
    """

    def severity(model: Mapping[str, Any]) -> float:
        return float(model["difference"]) / float(model["margin"]) if verdict == "degraded" and model["margin"] else 0.0

    alike: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for model in sorted((model for model in models if model["verdict"] == verdict), key=severity):
        what = model["reason"] if verdict == "error" else model["model"]
        alike.setdefault((what, model.get("cause") or ""), []).append(model)
    return [(group[0], len(group)) for group in alike.values()]


def _other_causes(models: Sequence[Mapping[str, Any]], worst: Sequence[tuple[Mapping[str, Any], int]]) -> list[str]:
    """For each cause that no flagged model shows, a model of it and its page; the most frequent causes first."""
    shown = {model.get("cause") for model, _ in worst}
    others: dict[str, list[str]] = {}
    for model in models:
        cause = model.get("cause")
        if cause and cause not in shown:
            others.setdefault(cause, []).append(printable(model["model"], LONGEST_NAME))
    ordered = sorted(others.items(), key=lambda item: (-len(item[1]), item[0]))
    lines = []
    for cause, names in ordered[:_OTHER_CAUSES]:
        page = cause_page(cause)
        said = f"{printable(cause, _LONGEST_CAUSE)} ({len(names):,}): {min(names)}"
        lines.append(f"  {said}{f', {page}' if page else ''}")
    return [*lines, *([f"  and {len(ordered) - _OTHER_CAUSES:,} more"] if len(ordered) > _OTHER_CAUSES else [])]


def _table(worst: Sequence[tuple[Mapping[str, Any], int]], left: int) -> list[str]:
    """The worst models, each with its cause."""
    if not worst:
        return []
    found = any(is_found(model) for model, _ in worst)
    heads = ["model", "verdict", *(["claim"] if found else []), f"{'claimed' if found else 'in place'} → reload"]
    rows = [[*_cells(model, found), why(model, times)] for model, times in worst]
    widths = [max(map(len, column)) for column in zip(heads, *(row[:-1] for row in rows), strict=True)]
    widths[-1] = 0
    lines = ["", _line(heads, widths)]
    pages: set[str] = set()
    for row, (model, _) in zip(rows, worst, strict=True):
        lines += [_line(row, [*widths, 0]), *_cause(model, pages)]
    if left:
        lines.append(f"  and {left:,} more")
    return [*lines, ""]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def _cells(model: Mapping[str, Any], found: bool) -> list[str]:
    kind = [(model["claim_kind"] or "–").replace("_", " ")] if found else []
    return [printable(model["model"], LONGEST_NAME), model["verdict"], *kind, rewards(model)]


def _cause(model: Mapping[str, Any], pages: set[str]) -> list[str]:
    """What explains a model's verdict, and where the fix is.

    :param pages: those that are named already; a new one is added
    """
    said = explained(model)
    lines = [f"    cause: {said}"] if said else []
    page = cause_page(model["cause"]) if said else ""
    if page and page not in pages:
        pages.add(page)
        lines.append(f"    fix: {page}")
    return lines


def _mean_and_std(mean: Any, std: Any) -> str:
    if mean is None:
        return "–"
    return _number(mean) if std is None else f"{_number(mean)} ± {_number(std)}"


def _number(value: Any) -> str:
    """A number of ``audit.json``, or the text that it has in place of one that is not finite."""
    number = float(value)
    return f"{number:.2f}" if abs(number) < 1e12 else f"{number:.2e}"
