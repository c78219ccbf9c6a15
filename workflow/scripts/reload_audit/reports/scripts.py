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
    """Whether it has a cause, or earns something else than its model."""
    return bool(script.causes) or script.differs


def is_unknown(script: ScriptEntry) -> bool:
    """Whether nothing is known of it: it gave no number, or there was no model to compare it with; and no cause."""
    return not is_faulty(script) and (script.mean is None or script.model_mean is None)


def faulty_scripts(scripts: Iterable[ScriptEntry]) -> list[str]:
    """A line for each script with faults: what it earns, and which lines are to blame."""
    return [one_line(in_short(script), _LONGEST_LINE) for script in scripts if is_faulty(script)]


def unknown_scripts(scripts: Iterable[ScriptEntry]) -> list[str]:
    """A line for each script that could not be compared: why."""
    return [one_line(in_short(script), _LONGEST_LINE) for script in scripts if is_unknown(script)]


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
    "shown": (
        "earns what its model earns, but the number that it prints is another",
        "earn what their models earn, but print other numbers",
    ),
    "contradicted": (
        "earns what its model earns there, which is less than in training",
        "earn what their models earn there, which is less than in training",
    ),
    "same": ("earns what its model earns", "earn what their models earn"),
}


def _state(script: ScriptEntry) -> str:
    if script.mean is None or script.model_mean is None:
        return "unknown"
    if not script.differs or not script.gap:
        free = all(cause.cost is not None for cause in script.causes) or not _is_another(script)
        if not script.causes:
            return "contradicted" if script.contradicted else "shown" if script.shown else "same"
        return "faulty" if free else "other"
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
    """``enjoy.py earns -74.8 ± 17.3 (20 episodes); robot earns -9.4 ± 3.1 (200 episodes).``"""
    name, model = script.name, script.model or "its model"
    if script.mean is None:
        why = "; ".join(filter(None, [script.raised, script.problem])) or "it finished no episode that was seen"
        at = f" ({script.raised_at})" if script.raised_at and script.raised else ""
        return f"{name} could not be compared{at}: {why}"
    is_other = _is_another(script)
    if script.std is None and script.earned is not None:  # the number is none that an episode earns
        earned = f"{script.earned:.4g} in the environment ({_episodes(script.n)})"
        earns = f"{name} prints {script.mean:.4g}, where an episode earns {earned}"
    else:
        earns = f"{name} earns {script.mean:.4g} ± {script.std or 0.0:.3g} ({_episodes(script.n)})"
        earns += f", which is {script.earned:.4g} in the environment" if is_other else ""
    if script.model_mean is None:
        return f"{earns}; what {model} earns is not known: {script.problem}"
    same = "" if script.differs or (is_other and script.causes) else ": no more than chance lies between them"
    if script.contradicted:
        same = f" there, but {script.contradicted}"
    n = "" if script.model_n is None else f" ({_episodes(script.model_n)})"
    return f"{earns}; {model} earns {script.model_mean:.4g} ± {script.model_std or 0.0:.3g}{n}{same}"


def _is_another(script: ScriptEntry) -> bool:
    """Whether its number is another one than what its episodes earn in the environment."""
    if script.earned is None or script.mean is None:
        return False
    return script.std is None or abs(script.earned - script.mean) > 1e-3 * max(1.0, abs(script.mean))


def _episodes(n: int | None) -> str:
    return "1 episode" if n == 1 else f"{n} episodes"


def details(script: ScriptEntry) -> Iterator[str]:
    """The numbered causes of a script, what to write instead, and what else is to be said."""
    if script.shown:
        yield script.shown
    written: dict[str, tuple[int, str]] = {}
    for number, cause in enumerate(script.causes, 1):
        yield f"{number}. {said(cause, script)}"
        if cause.instead:
            first, text = written.setdefault(cause.where, (number, cause.instead))
            if first == number:
                yield f"   write: {cause.instead}"
            elif text == cause.instead:
                yield f"   write: as for {first}, which is the same line"
            else:
                yield f"   write, together with what {first} changes in the same line: {cause.instead}"
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
    measured = [cause for cause in script.causes if cause.share is not None]
    if script.together is not None and script.differs and len(measured) > 1:
        yield f"Together they {_amount(script.together, script, ('cost', 'add'))}"


def said(cause: ScriptCause, script: ScriptEntry) -> str:
    """A cause in a line: where, what, and what it costs."""
    where, gap = f"{cause.where} `{cause.code}`: " if cause.where else "", script.gap
    cost = "" if cause.cost is None else ". What that costs is no more than chance"
    if gap is not None and cause.cost is not None and cause.share is not None:
        if cause.together_with:
            others = " and ".join(cause.together_with)
            return f"{where}{cause.evidence} ({cause.cause}). Together with {others} it {_amount(cause.cost, script)}"
        restores = cause.restores or 0.0
        cost = f". Alone it {_amount(cause.cost, script)}"
        if abs(restores - cause.cost) > 0.1 * abs(gap):
            gives = "nothing" if abs(restores) < 0.01 * abs(gap) else f"{restores:.3g}"
            cost += f"; put right alone, it gives back {gives}"
    return f"{where}{cause.evidence} ({cause.cause}){cost}"


_BY_CHANCE = 0.05
"""Part of the difference of two figures from which it is not said that something else is all of it."""


def _amount(cost: float, script: ScriptEntry, verbs: tuple[str, str] = ("costs", "adds")) -> str:
    """``costs 30 of 40``; of what makes a script earn more, ``adds 30 of 40``.

    The gap is what the model earns more than the script; or, where that may be chance, more than in equal episodes
    under the script's conditions, and then a cost is one in equal episodes.
    """
    amount, gap = f"{verbs[cost < 0]} {abs(cost):.3g}", script.gap
    if not gap:
        return amount
    seen = None if script.model_mean is None or script.earned is None else script.model_mean - script.earned
    if seen is not None and abs(seen - gap) > _BY_CHANCE * max(abs(seen), abs(gap)):
        amount += " in equal episodes"
    part = cost / gap
    if part < 0.0:
        return f"{amount}, which hides as much of what else is otherwise"
    if part < 0.95:
        return f"{amount} of {abs(gap):.3g}"
    if part > 1.05:
        return f"{amount}, more than the whole difference of {abs(gap):.3g}"
    return amount if amount.endswith("episodes") else f"{amount}, which is all"
