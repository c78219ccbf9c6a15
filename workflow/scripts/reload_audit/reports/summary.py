"""The summary that an audit ends with: counts, the worst models with their numbers, where to read on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import get_args

from reload_audit.causes.catalogue import CAUSES
from reload_audit.judging.judgement import Obstacle
from reload_audit.reports.audit import Audit, AuditedModel, finite, spread
from reload_audit.reports.environments import about_environments
from reload_audit.reports.headline import headline
from reload_audit.reports.safe_text import one_line
from reload_audit.reports.scripts import about_scripts

_LISTED = ("error", "degraded", "suspect")
"""Models that are listed one by one: those with these verdicts, and inconclusive ones that are suspect."""

_WORST = 5
LONGEST_NAME = 60
_LONGEST_REASON = 400
_LONGEST_LOAD_ERROR = 120
_LOAD_ERRORS = 3
_LONGEST_CAUSE = 60
_LONGEST_EVIDENCE = 240
_OTHER_CAUSES = 5
_PASSED_OVER = 5
_LONGEST_PASSED_OVER = 1000


def summarize(audit: Audit, report: str, cards: str = "") -> str:
    """A few lines of plain text for the console.

    :param report: path of the HTML report
    :param cards: what is to be said of model cards, if anything
    """
    models = audit.models
    counts = ", ".join(_count(verdict, count, models) for verdict, count in audit.counts.items() if count)
    lines = [headline(audit), *([f"Verdicts: {counts}."] if counts else [])]
    worst, left = worst_models(models)
    lines += [*filter(None, [cause_counts(models)]), *_other_causes(models, worst)]
    lines += [*filter(None, [plain_loads(models)]), *_table(worst, left)]
    lines += [*_environments(audit), *about_scripts(audit.scripts)]
    lines += [*filter(None, [passed_over(audit), cards]), f"Report: {report}"]
    return "\n".join(lines) + "\n"


def _environments(audit: Audit) -> list[str]:
    said = [f"  {line}" for line in about_environments(audit)]
    return ["Environments:", *said, ""] if said else []


def plain_loads(models: Iterable[AuditedModel]) -> str:
    """How many external models a user's own ``ALGO.load(path)`` would not have loaded, and why; empty if none."""
    external = [model for model in models if model.is_external]
    raised = [model.plain_load_error for model in external if model.plain_load_error]
    errors = Counter(one_line(error, _LONGEST_LOAD_ERROR) for error in raised)
    if not errors:
        return ""
    unread = sum(model.plain_load_error is None for model in external)
    unknown = f" ({unread:,} could not be read)" if unread else ""
    said = "; ".join(f"{error} ({count:,})" for error, count in _most_common(errors)[:_LOAD_ERRORS])
    more = f"; {len(errors) - _LOAD_ERRORS:,} other errors" if len(errors) > _LOAD_ERRORS else ""
    all_external = f"{len(external):,} external models" if len(external) > 1 else "1 external model"
    return f"{errors.total():,} of {all_external} would not load with a plain ALGO.load{unknown}: {said}{more}"


def passed_over(audit: Audit) -> str:
    """What lies beside the models and is none, in one line; empty where there is nothing."""
    if not audit.passed_over:
        return ""
    left = len(audit.passed_over) - _PASSED_OVER
    said = [*audit.passed_over[:_PASSED_OVER], *([f"{left:,} other kinds"] if left > 0 else [])]
    return one_line(f"Passed over: {'; '.join(said)}", _LONGEST_PASSED_OVER)


def cause_counts(models: Iterable[AuditedModel]) -> str:
    """``Causes: clock (2), hash-order (1).``: how many models each best explains; empty where no model has a cause."""
    said = ", ".join(f"{cause} ({count:,})" for cause, count in counted_causes(models))
    return f"Causes: {said}." if said else ""


def counted_causes(models: Iterable[AuditedModel]) -> list[tuple[str, int]]:
    """Each cause that is the best explanation of models, with their number; the most frequent first."""
    return _most_common(Counter(one_line(model.cause, _LONGEST_CAUSE) for model in models if model.cause))


def cause_page(cause: str) -> str:
    """Path of the page on a cause and its fix, from the top of the repository; empty for what is no known cause."""
    return f"docs/causes/{cause}.md" if cause in CAUSES else ""


def about_verdict(verdict: str, models: Iterable[AuditedModel]) -> str:
    """What is to be said of all models with a verdict beside their number; empty of most verdicts.

    ``2 suspect, 4 no_claim, 1 best_of_k`` of inconclusive models: which to look at, and what stands in the way of a
    verdict. ``a loss of up to 62 % of what was learned is not excluded`` of consistent ones.
    """
    found = [model for model in models if model.verdict == verdict]
    kinds = Counter[str](filter(None, (model.obstacle for model in found)))
    kinds["suspect"] = sum(model.suspect for model in found)
    said = ", ".join(f"{kinds[kind]:,} {kind}" for kind in ("suspect", *get_args(Obstacle)) if kinds[kind])
    shares = [share for model in found if (share := finite(model.largest_loss_share)) is not None]
    if verdict == "consistent" and shares:
        share = 100 * max(shares)
        most = "all that was learned" if share > 99 else f"up to {share:.0f} % of what was learned"
        return f"a loss of {most} is not excluded"
    return said


def worst_models(models: Sequence[AuditedModel]) -> tuple[list[tuple[AuditedModel, int]], int]:
    """The worst models that failed, the worst that lost their reward, and the worst that are suspect of it.

    :return: each with the number of models that it stands for, and how many are left out
    """
    groups = [_worst(model for model in models if model.is_any_of([word])) for word in _LISTED]
    left = sum(times for group in groups for _, times in group[_WORST:])
    return [one for group in groups for one in group[:_WORST]], left


def rewards(model: AuditedModel) -> str:
    """``50.00 ± 4.00 → 10.00 ± 1.00``: what the model earned or is said to have earned, and its reload."""
    claimed = _mean_and_std(model.claim_mean, spread(model.claim_kind, model.claim_std, model.claim_n))
    return f"{claimed} → {_mean_and_std(model.reload_mean_reward, model.reload_std_reward)}"


def why(model: AuditedModel, times: int = 1) -> str:
    """The reason of a verdict.

    :param times: the number of models that this one stands for
    """
    reason = one_line(model.reason, _LONGEST_REASON)
    return f"{reason} ({times - 1:,} more like it)" if times > 1 else reason


def explained(model: AuditedModel) -> str:
    """The best explanation of a verdict, with its evidence unless that is the reason; empty without a cause."""
    if not model.cause:
        return ""
    evidence = next((sentence for cause in model.causes[:1] for sentence in cause.evidence), "")
    said = [one_line(model.cause, _LONGEST_CAUSE)]
    if evidence and evidence != model.reason:
        said.append(one_line(evidence, _LONGEST_EVIDENCE))
    return ": ".join(said)


def _most_common(counted: Counter[str]) -> list[tuple[str, int]]:
    """The most frequent first, by name among equals: the order of the models does not matter."""
    return sorted(counted.items(), key=lambda item: (-item[1], item[0]))


def _count(verdict: str, count: int, models: Iterable[AuditedModel]) -> str:
    """``6 inconclusive (4 no_claim, 1 best_of_k)``."""
    said = about_verdict(verdict, models)
    return f"{count:,} {verdict}{f' ({said})' if said else ''}"


def _worst(models: Iterable[AuditedModel]) -> list[tuple[AuditedModel, int]]:
    """Models, those that lost most in units of their margin first.

    Of models that failed with the same reason and cause, the first stands for all.

    :return: each with the number of models that it stands for
    """

    def severity(model: AuditedModel) -> float:
        if model.verdict == "error" or model.difference is None or not model.margin:
            return 0.0
        return model.difference / model.margin

    alike: dict[tuple[str, str], list[AuditedModel]] = {}
    for model in sorted(models, key=severity):
        what = model.reason if model.verdict == "error" else model.name
        alike.setdefault((what, model.cause), []).append(model)
    return [(group[0], len(group)) for group in alike.values()]


def _other_causes(models: Sequence[AuditedModel], worst: Sequence[tuple[AuditedModel, int]]) -> list[str]:
    """For each cause that none of the worst models has, a model that has it, and its page; the most frequent first."""
    shown = {model.cause for model, _ in worst}
    others: dict[str, list[str]] = {}
    for model in models:
        cause = model.cause
        if cause and cause not in shown:
            others.setdefault(cause, []).append(one_line(model.name, LONGEST_NAME))
    ordered = sorted(others.items(), key=lambda item: (-len(item[1]), item[0]))
    lines = []
    for cause, names in ordered[:_OTHER_CAUSES]:
        page = cause_page(cause)
        said = f"{one_line(cause, _LONGEST_CAUSE)} ({len(names):,}): {min(names)}"
        lines.append(f"  {said}{f', {page}' if page else ''}")
    return [*lines, *([f"  and {len(ordered) - _OTHER_CAUSES:,} more"] if len(ordered) > _OTHER_CAUSES else [])]


def _table(worst: Sequence[tuple[AuditedModel, int]], left: int) -> list[str]:
    """The lines of a table of the worst models, each followed by its cause."""
    if not worst:
        return []
    external = any(model.is_external for model, _ in worst)
    heads = ["model", "verdict", *(["claim"] if external else []), f"{'claimed' if external else 'in place'} → reload"]
    rows = [[*_cells(model, external), why(model, times)] for model, times in worst]
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


def _cells(model: AuditedModel, with_claim: bool) -> list[str]:
    kind = [(model.claim_kind or "–").replace("_", " ")] if with_claim else []
    return [one_line(model.name, LONGEST_NAME), model.called, *kind, rewards(model)]


def _cause(model: AuditedModel, pages: set[str]) -> list[str]:
    """What explains a model's verdict, and where the fix is.

    :param pages: those that are named already; a new one is added
    """
    said = explained(model)
    lines = [f"    cause: {said}"] if said else []
    page = cause_page(model.cause) if said else ""
    if page and page not in pages:
        pages.add(page)
        lines.append(f"    fix: {page}")
    return lines


def _mean_and_std(mean: float | None, std: float | None) -> str:
    if mean is None:
        return "–"
    return _number(mean) if std is None else f"{_number(mean)} ± {_number(std)}"


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 1e12 else f"{value:.2e}"
