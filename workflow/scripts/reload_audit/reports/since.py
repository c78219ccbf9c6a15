"""What is said of changes since a baseline: in the headline, on the console, in Markdown, JUnit XML and on the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from reload_audit.judging.criteria import WORST_FIRST, Criteria
from reload_audit.judging.since import smallest_planned
from reload_audit.records.since import CandidateResult, Earns, ModelSince, Since, State
from reload_audit.reports.safe_text import one_line

MEANINGS: dict[State, str] = {
    "regressed": "Earns less than then, by more than the margin and not by chance; or is degraded, and was shown to "
    "earn what it earned; or ends in an error, and did not.",
    "recovered": "Earns more than then, by more than the margin and not by chance; or was degraded, and is shown to "
    "earn what it earned; or ended in an error, and does not.",
    "changed": "Has another verdict than then, which chance alone may explain.",
    "same": "Has the verdict that it had; what it earns is not shown to be less or more than then.",
    "new": "Was not in the baseline.",
    "gone": "Was in the baseline, and is not in this audit.",
}
"""What it means that a model is in a state."""

_TOLD = 12
_NAMED = 40
_LONGEST_NAME = 60
_LONGEST_LINE = 600


def when(since: Since) -> str:
    """``2026-11-20``; where that day is not known, what the baseline is called."""
    return one_line(since.date or since.baseline, _LONGEST_NAME)


def answer(since: Since) -> str:
    """``+2 degraded, 1 earns less, 3 new and 1 gone since 2026-11-20``: what has changed, in a part of a sentence."""
    if not since.models:
        return ""
    counts = Counter(_headline(model) for model in since.models)
    said = (
        (f"+{counts['degraded']:,} degraded", counts["degraded"]),
        (f"+{counts['error']:,} ended in an error", counts["error"]),
        (f"{counts['less']:,} {_verb(counts['less'], 'earns', 'earn')} less", counts["less"]),
        (f"{counts['recovered']:,} recovered", counts["recovered"]),
        (f"{sum(model.state == 'new' for model in since.models):,} new", any(m.state == "new" for m in since.models)),
        (f"{counts['gone']:,} gone", counts["gone"]),
    )
    parts = [text for text, count in said if count]
    return f"{', '.join(parts) or 'no model has changed'} since {when(since)}"


def regressed(since: Since | None) -> list[str]:
    """A line for each model that has regressed."""
    return [] if since is None else [sentence(model) for model in _worst_first(since, "regressed")]


def about_since(since: Since | None) -> Iterator[str]:
    """Lines of text on all that has changed."""
    if since is None:
        return
    counts = Counter(model.state for model in since.models)
    named = f"since {when(since)} ({one_line(since.baseline, _LONGEST_NAME)})" if since.date else f"since {when(since)}"
    said = ", ".join(f"{counts[state]:,} {_COUNTED[state]}" for state in MEANINGS if counts[state])
    yield f"S{named[1:]}: {said or 'there is nothing to compare'}"
    for state in ("regressed", "recovered"):
        models = _worst_first(since, state)
        yield from (f"  {state}: {sentence(model)}" for model in models[:_TOLD])
        if models[_TOLD:]:
            yield f"  {state}: {_names([model.model for model in models[_TOLD:]])}"
    changed = [f"{_name(model)} ({model.verdict_then} → {model.verdict})" for model in _worst_first(since, "changed")]
    new = [f"{_name(model)} ({model.verdict})" for model in _worst_first(since, "new")]
    gone = [f"{_name(model)} (was {model.verdict_then})" for model in since.models if model.state == "gone"]
    for title, models_said in (("another verdict, perhaps by chance", changed), ("new", new), ("gone", gone)):
        if models_said:
            yield f"  {title}: {_listed(models_said)}"
    packages = [f"{one.package} {one.then} → {one.now}" for one in since.packages]
    if packages:
        yield f"  packages: {one_line('; '.join(packages), _LONGEST_LINE)}"
    yield from (f"  {one_line(remark, _LONGEST_LINE)}" for remark in since.remarks)


def sentence(model: ModelSince) -> str:
    """``ppo: equivalent → degraded; earns 12.3 less than then (between -15.1 and ...``."""
    verdicts = f"{model.verdict_then} → {model.verdict}" if model.verdict_then != model.verdict else model.verdict
    return "; ".join(filter(None, [f"{_name(model)}: {verdicts}", earned(model)]))


def earned(model: ModelSince) -> str:
    """What a model earns compared with then, with the interval; empty where nothing is compared."""
    if model.difference is None or model.ci_low is None or model.ci_high is None:
        return ""
    if model.earns == "identical":
        return f"all {model.n or 0:,} episodes are as then, bit for bit"
    return _compared(model, "than then", "as then")


def about_candidates(candidates: Iterable[CandidateResult]) -> Iterator[str]:
    """A line for each candidate: what it earns, compared with the model that is shipping, and what would have shown."""
    for one in candidates:
        names = f"{one_line(one.candidate, _LONGEST_NAME)} against {one_line(one.shipping, _LONGEST_NAME)}"
        on = f" on {one_line(one.environment, _LONGEST_NAME)}" if one.environment else ""
        yield one_line(f"{names}{on}: {against(one)}", _LONGEST_LINE)


def candidates_of(candidates: Sequence[CandidateResult]) -> list[str]:
    """The same under a heading, the worst first; nothing where there are none."""
    said = [f"  {line}" for line in about_candidates(worst_candidates(candidates))]
    return ["Candidates against shipping models:", *said] if said else []


def candidates_answer(candidates: Sequence[CandidateResult]) -> str:
    """``of 4 candidates 1 earns less, 3 earn as much, or more``: how they do, in a part of a sentence."""
    total = len(candidates)
    if not total:
        return ""
    counts = Counter(one.earns for one in candidates)
    if total == 1:
        return _ONE_CANDIDATE[candidates[0].earns]
    whole = "both candidates" if total == 2 else f"all {total:,} candidates"
    lasting = total - counts["less"] - counts[""] - counts["open"]
    said = (
        (counts["less"], ("earns less", "earn less"), f"{whole} earn less"),
        (counts[""], ("could not be compared",) * 2, f"of {total:,} candidates none could be compared"),
        (
            counts["open"],
            ("is not shown to earn as much", "are not shown to earn as much"),
            f"of {total:,} candidates none is shown to earn as much",
        ),
        (lasting, ("earns as much, or more", "earn as much, or more"), f"{whole} earn as much, or more"),
    )
    for count, _, of_all in said:
        if count == total:
            return of_all
    parts = [f"{count:,} {_verb(count, *forms)}" for count, forms, _ in said if count]
    return f"of {total:,} candidates {', '.join(parts)}"


_ONE_CANDIDATE: dict[Earns, str] = {
    "less": "the candidate earns less than the shipping model",
    "": "the candidate could not be compared",
    "open": "whether the candidate earns as much as the shipping model is open",
    "same": "the candidate earns as much as the shipping model",
    "identical": "the candidate earns what the shipping model earns, bit for bit",
    "more": "the candidate earns more than the shipping model",
}


def worst_candidates(candidates: Iterable[CandidateResult]) -> list[CandidateResult]:
    """Candidates, those first that earn less, then those that could not be compared, or of which it is open."""
    order: tuple[Earns, ...] = ("less", "", "open", "same", "identical", "more")
    return sorted(candidates, key=lambda one: order.index(one.earns))


def power(pairs: Sequence[tuple[str, str, int]], criteria: Criteria) -> list[str]:
    """What is said before pairs run: how small a difference they may show.

    :param pairs: names of a candidate and of the model that is shipping, and how many episodes each of them runs
    """
    return [
        f"compare: {one_line(candidate, _LONGEST_NAME)} against {one_line(shipping, _LONGEST_NAME)}: in {n:,} episodes "
        f"a loss shows in 4 of 5 cases if it exceeds the margin by {smallest_planned(n, criteria):.2g} standard "
        "deviations of the difference of two episodes with one seed"
        for candidate, shipping, n in pairs
    ]


def is_worse(one: CandidateResult) -> bool:
    """Whether a candidate earns less than the model that is shipping, or could not be compared with it."""
    return one.earns in ("", "less")


def faulty_candidates(candidates: Iterable[CandidateResult]) -> list[str]:
    """A line for each of them."""
    return [*about_candidates(one for one in candidates if is_worse(one))]


def open_candidates(candidates: Iterable[CandidateResult]) -> list[str]:
    """A line for each candidate of which it is open whether it earns as much."""
    return [*about_candidates(one for one in candidates if one.earns == "open")]


def against(one: CandidateResult) -> str:
    """What a candidate earns, compared with the model that is shipping, and how small a loss would have shown."""
    if one.difference is None:
        return "not compared: one of them was not measured"
    if one.earns == "identical":
        return f"all {one.n or 0:,} episodes are the same, bit for bit"
    shows = "" if one.smallest is None else f"; a loss of {one.smallest:.3g} would have shown in 4 of 5 cases"
    return f"{_compared(one)}{shows}"


def _compared(one: ModelSince | CandidateResult, than: str = "", as_much: str = "") -> str:
    """``earns 12.3 less than then (between -15.1 and -9.5; margin 2, 40 episodes, same seeds)``.

    :param than: what is said behind "less" and "more"
    :param as_much: what is said behind "as much"
    """
    difference, size = f"{one.difference or 0.0:+.3g}, ", f"{abs(one.difference or 0.0):.4g}"
    said, shown = {
        "less": (f"earns {size} less {than}", ""),
        "more": (f"earns {size} more {than}", ""),
        "same": (f"earns as much {as_much}", difference),
    }.get(one.earns, (f"whether it earns as much {as_much}".rstrip() + " is open", difference))
    how = "same seeds" if one.paired == "seeds" else "other seeds: means are compared"
    over = f"{one.n:,} episodes, " if one.n else ""
    bounds = f"between {one.ci_low or 0.0:+.4g} and {one.ci_high or 0.0:+.4g}"
    return f"{said.rstrip()} ({shown}{bounds}; margin {one.margin or 0.0:.3g}, {over}{how})"


_COUNTED: dict[State, str] = {
    "regressed": "regressed",
    "recovered": "recovered",
    "changed": "with another verdict, perhaps by chance",
    "same": "as then",
    "new": "new",
    "gone": "gone",
}


def _headline(model: ModelSince) -> str:
    """Under which word of the headline a model counts; empty for none."""
    if model.state in ("regressed", "new") and model.verdict in ("degraded", "error"):
        return model.verdict if model.verdict != model.verdict_then else "less"
    return {"regressed": "less", "recovered": "recovered", "gone": "gone"}.get(model.state, "")


def _worst_first(since: Since, state: State | str) -> list[ModelSince]:
    """The models in a state, the worst verdict first, then the largest loss in units of the margin."""

    def severity(model: ModelSince) -> tuple[int, float]:
        loss = (model.difference or 0.0) / model.margin if model.margin else 0.0
        return [*WORST_FIRST, ""].index(model.verdict), loss

    return sorted((model for model in since.models if model.state == state), key=severity)


def _name(model: ModelSince) -> str:
    return one_line(model.model, _LONGEST_NAME)


def _names(names: Sequence[str]) -> str:
    return _listed([one_line(name, _LONGEST_NAME) for name in names])


def _listed(said: Sequence[str]) -> str:
    more = f" and {len(said) - _NAMED:,} more" if len(said) > _NAMED else ""
    return f"{', '.join(said[:_NAMED])}{more}"


def _verb(count: int, one: str, many: str) -> str:
    return one if count == 1 else many
