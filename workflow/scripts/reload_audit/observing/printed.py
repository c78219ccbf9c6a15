"""The numbers that a script prints as rewards, and which figure of its episodes each of them is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reload_audit.records.observation import Line, Observation, ObservedPrint, ObservedRun

_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?(?!\w|\.\d)")
"""A number, also as NumPy writes it, ``[80.]``; not a part of a name or of a version."""

_REWARD = re.compile(r"reward|return|score|(?<![a-z])(?:rews?|rets?|fitness|performance)(?![a-z])", re.IGNORECASE)
_MEAN = re.compile(r"(?<![a-z])(?:mean|avg|average|result)", re.IGNORECASE)
_OTHER = re.compile(
    r"threshold|target|expected|baseline|random|train|required|solved|number|human|range|norm|clip|scale|loss|gamma"
    r"|%|(?<![a-z])(?:std|time|secs?|seconds?|fps|success|ratio|percent|discount|seed|version|regret|cost)(?![a-z])",
    re.IGNORECASE,
)
"""Words beside which a number is no reward of the episodes that were run, or of these alone."""

_CALLED = {
    "best": r"best|max|highest|top",
    "worst": r"worst|min|lowest",
    "median": r"median",
    "first": r"first",
    "last": r"last|final|latest",
    "length": r"len|step|duration|survived",
    "of one": r"env|slot|agent|worker",
    "deviation": r"std|dev|sigma|spread",
    "sign": r"cost|loss|negative",
}
"""Words by which a script itself says which figure it prints."""

_SAID_ENOUGH = ("first", "last", "length", "of one", "deviation", "sign")
"""Kinds of figures that nobody takes for the mean of all episodes where a script says which one it prints."""


@dataclass(frozen=True)
class PrintedNumber:
    """A number that a script prints as a reward.

    :param tolerance: by which it may be off, as it has only so many digits
    :param digits: how many it has, without zeros in front
    :param certain: whether the text beside it calls it a reward
    :param text: that it is printed in
    :param start: where in that it begins
    """

    value: float
    tolerance: float
    digits: int
    certain: bool
    line: Line | None
    text: str
    start: int

    def is_near(self, value: float) -> bool:
        """Whether this number may be a value, rounded."""
        return bool(abs(self.value - value) <= self.tolerance + 1e-4 * abs(value))


def numbers_in(text: str) -> list[float]:
    """The numbers in what a script prints."""
    return [float(number) for number in _NUMBER.findall(text)]


def rewards_printed(observation: Observation, run: ObservedRun) -> list[PrintedNumber]:
    """The numbers that a script prints as rewards of episodes, in their order.

    Those beside words for rewards or means, and those of a line that is nothing but numbers. What it prints in each
    step is left out, and so are numbers of episodes and of steps.
    """
    most = 1.5 * max(len(run.episodes), sum(len(one.episodes) for one in observation.runs)) + 2
    lengths = {episode.length for episode in run.episodes}
    counts = {len(run.counted), len(run.episodes), run.steps, sum(lengths), *lengths}
    counts -= {*map(float, (*run.seen, *run.earned))}
    return [number for said in observation.prints if said.count <= most for number in _numbers_of(said, counts)]


def _numbers_of(said: ObservedPrint, counts: Iterable[float]) -> Iterator[PrintedNumber]:
    text = said.text
    words = [*_REWARD.finditer(text)] or [*_MEAN.finditer(text)]
    if not words and re.search(r"[A-Za-z]{2,}", _NUMBER.sub("", text)):
        return
    found = [*_NUMBER.finditer(text)]
    after = [one for one in found if words and one.start() > words[0].start()]
    for one in after or found:
        number = _number(one, said, certain=bool(_REWARD.search(text)))
        if "." in one[0] or number.value not in counts:
            yield number


def _number(found: re.Match[str], said: ObservedPrint, *, certain: bool) -> PrintedNumber:
    mantissa, _, exponent = found[0].lower().partition("e")
    _, point, decimals = mantissa.partition(".")
    unit = 10.0 ** (int(exponent or 0) - len(decimals))
    significant = len(re.sub(r"\D", "", mantissa).lstrip("0"))
    tolerance = unit * (0.51 if point else 1.0)
    return PrintedNumber(float(found[0]), tolerance, significant, certain, said.line, said.text, found.start())


def number_that_is_no_mean(observation: Observation, run: ObservedRun, mean: float) -> str:
    """What is to be said of the number that a script prints last as a reward, where it is not the mean of its episodes.

    Empty where that is printed, where the script shows what its episodes earn one by one, says itself what its number
    is, or prints none.

    :param mean: what its episodes earn, as it is reported
    """
    numbers = rewards_printed(observation, run)
    if not numbers or observation.stopped or observation.raised or not run.counted:
        return ""
    if any(number.is_near(value) for number in numbers for value in (mean, *_means(observation))):
        return ""
    rewards = {*map(float, (*run.seen, *run.earned))}
    shown = sum(any(number.is_near(value) for value in rewards) for number in numbers)
    if shown > 1 and 2 * shown >= len(run.counted):
        return ""
    single = [number for number in numbers if number.certain or len(_NUMBER.findall(number.text)) <= _A_PAIR]
    last = [number for number in single if (number.line, number.text) == (single[-1].line, single[-1].text)]
    figures = _figures(run)
    for number in reversed(last):
        kinds = [kind for kind, (_, values) in figures.items() if any(map(number.is_near, values))]
        own = [kind for kind in kinds if re.search(_CALLED[kind], number.text, re.IGNORECASE)]
        if {*own} & {*_SAID_ENOUGH}:
            return ""
        if kinds and number.digits > 1:
            called = " or ".join(figures[kind][0] for kind in (own or kinds)[:2])
            return f"it prints {number.value:g}{_at(number)}, {called}; their mean is {mean:.4g}"
    means = [number for number in last if any(word.end() < number.start for word in _MEAN.finditer(number.text))]
    return _of_no_figure((means or last)[0], len(run.counted), mean) if last else ""


_A_PAIR = 2
"""Numbers of a line, such as mean and deviation: more of them without a word are no reward, but an observation, say."""


def _of_no_figure(number: PrintedNumber, n: int, mean: float) -> str:
    bare = not re.search(r"[A-Za-z]{2,}", _NUMBER.sub("", number.text)) and "." in number.text
    if _OTHER.search(number.text) or not (number.certain or bare):
        return ""
    earn = f"its {n} episodes earn {mean:.4g}" if n > 1 else f"its episode earns {mean:.4g}"
    return f"it prints {number.value:g}{_at(number)}; {earn}: none of the usual figures of them gives that number"


def _at(number: PrintedNumber) -> str:
    return "" if number.line is None else f" ({number.line})"


def _means(observation: Observation) -> Iterator[float]:
    """The means of episodes that a script may rightly print: of each of its runs, of all, of half of them or more."""
    for name in ("seen", "reward"):
        counted = [[float(getattr(episode, name)) for episode in run.counted] for run in observation.runs]
        every = [[float(getattr(episode, name)) for episode in run.episodes] for run in observation.runs]
        for values in (*counted, *every, [value for own in counted for value in own]):
            half = (len(values) + 1) // 2
            yield from (float(np.mean(values[:n])) for n in range(half, len(values) + 1) if n)
            yield from (float(np.mean(values[n:])) for n in range(1, half))
    for evaluation in observation.evaluations:
        yield from (evaluation.mean, evaluation.std)


def _figures(run: ObservedRun) -> Mapping[str, tuple[str, Sequence[float]]]:
    """By their kinds, figures of episodes that are not their mean: what each is called, and its values."""
    counted = run.counted
    n, several = len(counted), len(counted) > 1
    rewards = [[float(episode.seen) for episode in counted], [float(episode.reward) for episode in counted]]
    slots = sorted({episode.slot for episode in counted})
    of_one = [
        float(np.mean([getattr(episode, name) for episode in counted if episode.slot == slot]))
        for slot in slots
        for name in ("seen", "reward")
        if len(slots) > 1
    ]
    return {
        "best": (f"the best of its {n} episodes", [max(values) for values in rewards if several]),
        "worst": (f"the worst of its {n} episodes", [min(values) for values in rewards if several]),
        "median": (f"the median of its {n} episodes", [float(np.median(values)) for values in rewards if several]),
        "first": (f"the reward of the first of its {n} episodes alone", [values[0] for values in rewards if several]),
        "last": (f"the reward of the last of its {n} episodes alone", [values[-1] for values in rewards if several]),
        "length": ("the mean length of its episodes", [float(np.mean([episode.length for episode in counted]))]),
        "deviation": (f"the deviation of its {n} episodes", [float(np.std(values)) for values in rewards if several]),
        "sign": ("the mean of its episodes with the other sign", [-float(np.mean(values)) for values in rewards]),
        "of one": (f"the mean of one of its {len(slots)} environments side by side", of_one),
    }
