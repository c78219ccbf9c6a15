"""What a trial gave, in words: what it earns, instead of what, and how much of the gap that may close."""

from __future__ import annotations

from reload_audit.diagnosis.effects import TrialResult
from reload_audit.diagnosis.gap import NEXT_TO_NOTHING


def what_it_earns(trial: TrialResult, goal: float | None, reward: float | None) -> str:
    """What a trial gave, as a clause of a sentence.

    :param goal: mean reward that is to be explained; None where it is not known
    :param reward: mean reward under the canonical condition; None where it failed
    """
    result = trial.result
    if result.mean is None:
        return f"{trial.name}: {result.failure or 'nothing was measured'}"
    if reward is None:
        return f"{trial.name}: it runs, and earns {result.mean:.4g}"
    if result.instead is not None and result.effect == result.error == 0.0:
        return f"{trial.name}: it earns the same in every episode that both ran, {result.mean:.4g} in the mean"
    instead = reward if result.instead is None else result.instead
    texts = _told_apart(result.mean, instead, instead if goal is None else goal)
    same = "" if instead == reward else f" in the same {result.n:,} episodes"
    earns = f"{trial.name}: it earns {texts[0]} instead of {texts[1]}{same}"
    return earns if trial.share is None else f"{earns}, {_closes(trial, trial.share, texts[2])}"


def _closes(trial: TrialResult, share: float, goal: str) -> str:
    """How much of the gap a trial closes, and how well that is known."""
    gap = f"of the gap (to {goal})"
    if trial.moved + trial.uncertain <= 0.0:
        return f"no nearer to {goal}" if trial.moved == 0.0 else f"further from {goal}"
    if not trial.helps:
        most = trial.moved + trial.uncertain
        return f"which may be chance, and closes {'all' if most >= 1.0 else _percent(most)} {gap} at most"
    if trial.moved > 1.0 + NEXT_TO_NOTHING:
        return f"which goes beyond the gap (to {goal})"
    if trial.explains or not trial.uncertain:
        return f"which closes {_percent(share) if share >= NEXT_TO_NOTHING else 'next to nothing'} {gap}"
    if trial.excluded:
        return f"which closes next to nothing {gap}"
    low, high = trial.moved - trial.uncertain, min(1.0, trial.moved + trial.uncertain)
    return f"which closes {_percent(low)} to {_percent(high)} {gap}"


def _percent(share: float) -> str:
    """A share in percent: below 1 never rounded to 100 %, above 0 never to 0 %."""
    percent = 100.0 * share
    if 0.0 < percent < 1.0:
        return "less than 1 %"
    return f"{min(percent, 99.0) if percent < 100.0 else percent:.0f} %"


def _told_apart(*numbers: float) -> list[str]:
    """Numbers with four digits, or with as many as it takes to tell those apart that differ."""
    for digits in (4, 6, 9):
        texts = [f"{number:.{digits}g}" for number in numbers]
        if len(set(texts)) == len(set(numbers)):
            return texts
    return [f"{number:.17g}" for number in numbers]
