"""The summary that an audit ends with: counts, the worst models with their numbers, where to read on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import get_args

from reload_audit.causes.catalogue import UNEXPLAINED
from reload_audit.judging.judgement import Obstacle
from reload_audit.reports.audit import Audit
from reload_audit.reports.audited_model import AuditedModel, finite, spread
from reload_audit.reports.environments import about_environments
from reload_audit.reports.groups import Group, groups_of_wrong, shown_evidence
from reload_audit.reports.headline import headline
from reload_audit.reports.safe_text import one_line, sentences
from reload_audit.reports.scripts import about_scripts
from reload_audit.reports.short_fix import cause_page, short_fix
from reload_audit.reports.since import about_since, candidates_of

PARAGRAPHS = 12
"""Groups of models of which it is said why, and what is seen; the others are named."""

ROWS = 8
"""Models of a group that have a line of their own, with their rewards."""

LONGEST_NAME = 60
_LONGEST_SENTENCES = 500
_LONGEST_LOAD_ERROR = 120
_LOAD_ERRORS = 3
_LONGEST_CAUSE = 60
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
    groups, fixes = groups_of_wrong(models), set[str]()
    lines += [*about_since(audit.since), *candidates_of(audit.candidates)]
    lines += [*filter(None, [cause_counts(models), plain_loads(models)]), *_groups(groups, fixes)]
    lines += [*_others(models, groups, fixes), *_environments(audit, groups), *about_scripts(audit.scripts)]
    lines += [*filter(None, [passed_over(audit), cards]), f"Report: {report}"]
    return "\n".join(lines) + "\n"


def _environments(audit: Audit, groups: Sequence[Group]) -> list[str]:
    """What is wrong with environments; evidence that a group of models has shown already is not said again."""
    said = [f"  {line}" for line in about_environments(audit, shown_evidence(groups[:PARAGRAPHS]))]
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
    """Each cause that is the best explanation of models, with their number; the most frequent first.

    That a gain is not explained is not counted: nothing is to be repaired.
    """
    told = (model for model in models if model.cause and (model.verdict, model.cause) != ("improved", UNEXPLAINED))
    return _most_common(Counter(one_line(model.cause, _LONGEST_CAUSE) for model in told))


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


def rewards(model: AuditedModel) -> str:
    """``50.00 ± 4.00 → 10.00 ± 1.00``: what the model earned or is said to have earned, and its reload."""
    claimed = _mean_and_std(model.claim_mean, spread(model.claim_kind, model.claim_std, model.claim_n))
    return f"{claimed} → {_mean_and_std(model.reload_mean_reward, model.reload_std_reward)}"


def why(model: AuditedModel) -> str:
    """The reason of a verdict."""
    return sentences(model.reason, _LONGEST_SENTENCES)


def explained(model: AuditedModel) -> str:
    """The best explanation of a verdict, with its evidence unless that is the reason; empty without a cause."""
    if not model.cause:
        return ""
    evidence = next((sentence for cause in model.causes[:1] for sentence in cause.evidence), "")
    said = [one_line(model.cause, _LONGEST_CAUSE)]
    if evidence and evidence != model.reason:
        said.append(sentences(evidence, _LONGEST_SENTENCES))
    return ": ".join(said)


def _most_common(counted: Counter[str]) -> list[tuple[str, int]]:
    """The most frequent first, by name among equals: the order of the models does not matter."""
    return sorted(counted.items(), key=lambda item: (-item[1], item[0]))


def _count(verdict: str, count: int, models: Iterable[AuditedModel]) -> str:
    """``6 inconclusive (4 no_claim, 1 best_of_k)``."""
    said = about_verdict(verdict, models)
    return f"{count:,} {verdict}{f' ({said})' if said else ''}"


def _said_besides(model: AuditedModel) -> list[str]:
    """What the user says that the model earned, where something else decides: ``370.00 (runs[0])``."""
    stated = [claim for claim in model.claims if claim.kind == "explicit" != model.claim_kind]
    shown = [(_mean_and_std(claim.mean, spread(claim.kind, claim.std, claim.n)), claim.where) for claim in stated]
    return [f"{earned} ({one_line(where, LONGEST_NAME)})" for earned, where in shown]


def _other_causes(models: Sequence[AuditedModel], groups: Sequence[Group]) -> list[str]:
    """For each cause that no model has that is listed, a model that has it, and its page; the most frequent first."""
    shown = {group.worst.cause for group in groups}
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
    more = [f"  and {len(ordered) - _OTHER_CAUSES:,} more"] if len(ordered) > _OTHER_CAUSES else []
    return ["Causes of other models, with one of them:", *lines, *more] if lines else []


def _groups(groups: Sequence[Group], fixes: set[str]) -> list[str]:
    """What is wrong with models: a paragraph for each cause in each environment, with the names of all that lost.

    :param fixes: those that are said already; new ones are added
    """
    if not groups:
        return []
    models = [model for group in groups for model in group.models]
    external = any(model.is_external for model in models)
    lines = ["", f"What is wrong, by cause and environment, with {'claimed' if external else 'in place'} → reload:"]
    for group in groups[:PARAGRAPHS]:
        lines += ["", f"  {title(group)}: {group.verdicts}", *_members(group, external)]
        lines += [f"    {line}" for line in _said_once(group, fixes)]
    if len(groups) > PARAGRAPHS:
        lines.append("")
    for group in groups[PARAGRAPHS:]:
        lines.append(f"  {title(group)}: {group.verdicts}: {_names(group.models)}")
    return [*lines, ""]


def _others(models: Sequence[AuditedModel], groups: Sequence[Group], fixes: set[str]) -> list[str]:
    """The models with which nothing is wrong: where they are few, a line for each; else what is to be said of many."""
    wrong = {model.name for group in groups for model in group.models}
    others = [model for model in models if model.name not in wrong]
    if len(others) > ROWS:
        return _other_causes(others, groups)
    if not others:
        return []
    external = any(model.is_external for model in others)
    lines = [f"{'Other models' if groups else 'Models'}, with {'claimed' if external else 'in place'} → reload:"]
    for model, row in zip(others, _aligned(others, external), strict=True):
        lines.append(f"  {row}")
        lines += [f"    also claimed: {said}" for said in _said_besides(model)]
        if model.verdict in ("inconclusive", "consistent"):
            undecided = [*([why(model)] if model.reason else []), *_new_fix(model, fixes)]
            lines += [f"    {line}" for line in undecided]
    return [*lines, ""]


def title(group: Group) -> str:
    """``global-generator, corridor:Corridor``: what the models of a group have in common."""
    worst = group.worst
    environment = "" if worst.verdict == "error" else one_line(worst.env_id, LONGEST_NAME)
    return ", ".join(filter(None, [one_line(worst.cause, _LONGEST_CAUSE), environment])) or worst.verdict


def _members(group: Group, with_claim: bool) -> list[str]:
    """A line for each of the first models, and one with the names of all others that lost."""
    lines = [f"    {row}" for row in _aligned(group.models[:ROWS], with_claim)]
    left = group.models[ROWS:]
    if left and group.worst.verdict == "error":
        return [*lines, f"    and {len(left):,} more"]
    return [*lines, *([f"    and {len(left):,} more: {_names(left)}"] if left else [])]


def _aligned(models: Sequence[AuditedModel], with_claim: bool) -> list[str]:
    """Name, verdict and rewards of models, in columns."""
    rows = [_cells(model, with_claim) for model in models]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _names(models: Sequence[AuditedModel]) -> str:
    return ", ".join(one_line(model.name, LONGEST_NAME) for model in models)


def _cells(model: AuditedModel, with_claim: bool) -> list[str]:
    kind = [(model.claim_kind or "–").replace("_", " ")] if with_claim else []
    return [one_line(model.name, LONGEST_NAME), model.called, *kind, rewards(model)]


def _said_once(group: Group, fixes: set[str]) -> Iterator[str]:
    """The reason of the worst, what explains it, and the fix, if that is a new one."""
    worst, alone = group.worst, len(group.models) == 1
    if worst.reason:
        yield f"{'' if alone or worst.verdict == 'error' else 'the worst: '}{why(worst)}"
    said = explained(worst)
    if said:
        of = "" if group.same_evidence else f" of {one_line(worst.name, LONGEST_NAME)}"
        yield f"cause{of}: {said}"
        yield from _new_fix(worst, fixes)


def _new_fix(model: AuditedModel, fixes: set[str]) -> list[str]:
    best = next((cause.fix for cause in model.causes[:1]), "")
    lines = short_fix(best, cause_page(model.cause))
    known = "\n".join(lines) in fixes
    fixes.add("\n".join(lines))
    return [] if known else lines


def _mean_and_std(mean: float | None, std: float | None) -> str:
    if mean is None:
        return "–"
    return _number(mean) if std is None else f"{_number(mean)} ± {_number(std)}"


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 1e12 else f"{value:.2e}"
