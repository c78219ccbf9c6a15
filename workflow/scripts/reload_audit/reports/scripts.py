"""What reports say of scripts: what each earns, what its model earns, and which lines cost the difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from reload_audit.records.script_entry import ScriptCause, ScriptEntry
from reload_audit.reports.safe_text import one_line, sentences

_LONGEST_LINE = 600
_LONGEST_NAME = 60
_STOPPED = {"enough": "stopped after enough episodes", "time": "stopped when its time was up"}


def is_faulty(script: ScriptEntry) -> bool:
    """Whether it earns something else than its model, or the number that it gives is another one; or it gives none."""
    return bool(script.causes) or script.differs or script.mean is None


def faulty_scripts(scripts: Iterable[ScriptEntry]) -> list[str]:
    """A line for each script with faults: what it earns, and which lines are to blame."""
    return [one_line(in_short(script), _LONGEST_LINE) for script in scripts if is_faulty(script)]


def in_short(script: ScriptEntry) -> str:
    """``enjoy.py earns -74.8 ± 17.3; robot earns -9.4 ± 3.1: enjoy.py:8 load-not-assigned``."""
    causes = ", ".join(f"{cause.where} {cause.cause}".strip() for cause in script.causes)
    return f"{headline(script)}{f': {causes}' if causes else ''}"


def about_scripts(scripts: tuple[ScriptEntry, ...]) -> Iterator[str]:
    """Lines on each script: a headline, then its causes, the dearest first."""
    for script in scripts:
        yield sentences(headline(script), _LONGEST_LINE)
        yield from (f"  {_indented(line)}" for line in details(script))


def scripts_answer(scripts: Sequence[ScriptEntry]) -> str:
    """``enjoy.py earns less than its model``, or of how many scripts that holds; empty where there is none."""
    if len(scripts) == 1:
        return f"{one_line(scripts[0].name, _LONGEST_NAME)} {_STATES[_state(scripts[0])][0]}"
    states = Counter(map(_state, scripts))
    counted = [(states[state], one, many) for state, (one, many) in _STATES.items() if states[state]]
    said = [f"{count:,} {one if count == 1 else many}" for count, one, many in counted]
    return ", ".join(said).replace(" ", f" of {len(scripts):,} scripts ", 1)


_STATES = {
    "less": ("earns less than its model", "earn less than their models"),
    "more": ("earns more than its model", "earn more than their models"),
    "other": ("gives another number than its model earns", "give other numbers than their models earn"),
    "faulty": ("has a fault that costs nothing beyond chance", "have faults that cost nothing beyond chance"),
    "unknown": ("could not be compared with its model", "could not be compared with their models"),
    "same": ("earns what its model earns", "earn what their models earn"),
}


def _state(script: ScriptEntry) -> str:
    if script.mean is None or script.model_mean is None:
        return "unknown"
    if not script.differs or not script.gap:
        free = all(cause.cost is not None for cause in script.causes)
        return "same" if not script.causes else "faulty" if free else "other"
    return "less" if script.gap > 0 else "more"


def _indented(line: str) -> str:
    text = line.lstrip(" ")
    return " " * (len(line) - len(text)) + sentences(text, _LONGEST_LINE)


def of_models(scripts: Iterable[ScriptEntry]) -> dict[str, str]:
    """By the names of models, what is said of the scripts that are about them, in a few sentences."""
    found: dict[str, list[str]] = {}
    for script in scripts:
        if script.model:
            found.setdefault(script.model, []).append(one_line(in_short(script), _LONGEST_LINE))
    return {model: "; ".join(lines) for model, lines in found.items()}


def headline(script: ScriptEntry) -> str:
    """``enjoy.py earns -74.8 ± 17.3; its model earns -9.4 ± 3.1.``"""
    name, model = script.name, script.model or "its model"
    if script.mean is None:
        why = "; ".join(filter(None, [script.raised, script.problem])) or "it finished no episode that was seen"
        at = f" ({script.raised_at})" if script.raised_at and script.raised else ""
        return f"{name} could not be compared{at}: {why}"
    is_other = script.earned is not None and abs(script.earned - script.mean) > 1e-3 * max(1.0, abs(script.mean))
    miscounts = is_other and any(cause.cause == "episodes-counted-wrongly" for cause in script.causes)
    verb = "prints" if miscounts else "earns"
    earns = f"{name} {verb} {script.mean:.4g} ± {script.std or 0.0:.3g} ({script.n} episodes)"
    if is_other:
        earns += f", {'where an episode earns' if miscounts else 'which is'} {script.earned:.4g} in the environment"
    if script.model_mean is None:
        return f"{earns}; what {model} earns is not known: {script.problem}"
    same = "" if script.differs or (is_other and script.causes) else ": no more than chance lies between them"
    return f"{earns}; {model} earns {script.model_mean:.4g} ± {script.model_std or 0.0:.3g}{same}"


def details(script: ScriptEntry) -> Iterator[str]:
    """The numbered causes of a script, what to write instead, and what else is to be said."""
    for number, cause in enumerate(script.causes, 1):
        yield f"{number}. {said(cause, script.gap)}"
        if cause.instead:
            yield f"   write: {cause.instead}"
        yield f"   see docs/causes/{cause.cause}.md"
    if script.harmless:
        others = "; ".join(f"{cause.where}: {cause.cause}" if cause.where else cause.cause for cause in script.harmless)
        yield f"Also otherwise than in training, without a cost that can be seen: {others}"
    yield from _together(script)
    if script.stopped:
        yield f"It was {_STOPPED[script.stopped]}: observed so far"
    if script.raised and script.mean is not None:
        yield f"It raised {script.raised} ({script.raised_at})"
    yield from script.remarks


def _together(script: ScriptEntry) -> Iterator[str]:
    """What several causes cost together."""
    gap, together = script.gap, script.together
    if gap is not None and together is not None and script.differs and len(script.causes) > 1:
        yield f"Together they {_amount(together, gap, ('cost', 'add'))}"


def said(cause: ScriptCause, gap: float | None) -> str:
    """A cause in a line: where, what, and what it costs."""
    where = f"{cause.where} `{cause.code}`: " if cause.where else ""
    cost = "" if cause.cost is None else ". What that costs is no more than chance"
    if gap is not None and cause.cost is not None and cause.share is not None:
        if cause.together_with:
            others = " and ".join(cause.together_with)
            return f"{where}{cause.evidence} ({cause.cause}). Together with {others} it {_amount(cause.cost, gap)}"
        restores = cause.restores or 0.0
        cost = f". Alone it {_amount(cause.cost, gap)}"
        if abs(restores - cause.cost) > 0.1 * abs(gap):
            gives = "nothing" if abs(restores) < 0.01 * abs(gap) else f"{restores:.3g}"
            cost += f"; put right alone, it gives back {gives}"
    return f"{where}{cause.evidence} ({cause.cause}){cost}"


def _amount(cost: float, gap: float, verbs: tuple[str, str] = ("costs", "adds")) -> str:
    """``costs 30 of 40``; of what makes a script earn more, ``adds 30 of 40``.

    :param gap: what the model earns more than the script
    """
    amount = f"{verbs[cost < 0]} {abs(cost):.3g}"
    if gap == 0.0:
        return amount
    part = cost / gap
    if part < 0.0:
        return f"{amount}, which hides as much of what else is otherwise"
    if part < 0.95:
        return f"{amount} of {abs(gap):.3g}"
    return f"{amount}, which is all" if part <= 1.05 else f"{amount}, more than the whole difference of {abs(gap):.3g}"
