"""The numbers that a script prints as rewards, and which figure of its episodes each of them is."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reload_audit.records.observation import Line, Observation, ObservedPrint, ObservedRun

_NUMBER = re.compile(
    r"(?<![\w.])[-+]?(?:[1-9]\d{0,2}(?:,\d{3})+(?!\d|,\d)|\d+)(?:\.\d*)?(?:[eE][-+]?\d{1,2})?(?!\w|\.\d)"
)
"""A number, also as NumPy writes it, ``[80.]``, or by thousands, ``1,234.5``; not a part of a name or of a version."""

_REWARD = re.compile(r"reward|return|score|(?<![a-z])(?:rews?|rets?|fitness|performance)(?![a-z])", re.IGNORECASE)
_MEAN = re.compile(r"(?<![a-z])(?:mean|avg|average|result)", re.IGNORECASE)
_OTHER = re.compile(
    r"threshold|target|expected|baseline|random|train|required|solved|number|human|range|norm|clip|scale|loss|gamma"
    r"|discount|component|weight|checkpoint|shap|penalt|bonus|intrinsic|estimat|predict|(?:per|a|/)[ _-]?step|out of|%"
    r"|(?<![a-z])(?:std|time|secs?|seconds?|fps|success|rate|ratio|percent|seed|version|regret|cost|iqm)(?![a-z])",
    re.IGNORECASE,
)
"""Words beside which a number is no reward of the episodes that were run, or of these alone."""

_DEVIATION = re.compile(r"(?<![a-z])std\w*[\s:='\"]*" + _NUMBER.pattern, re.IGNORECASE)
"""A deviation beside a mean, which says nothing of that."""

_BETWEEN = re.compile(
    r"s?(?:_?mean)?\s*(?:\((?:mean|avg|average)\))?\s*"
    r"(?:(?:over|of|in|from|across|for|per)\s+(?:the\s+|all\s+)?(?:\d+\s+)?(?:\w+\s+)?(?:episodes?|runs?|games?)(?:\s+\d+)?)?"
    r"[\s:=|│┃\[(>\"']*(?:(?:is|was)[\s:=]+)?(?:(?:np\.\w+|tensor)\()?",
    re.IGNORECASE,
)
"""What may stand between a word for a reward and its number."""

_UNIT = re.compile(
    r"\s*(?:%|/|(?:of|out|m?s|secs?|seconds?|min|minutes?|h|hours?|steps?|episodes?|fps|hz|k|m|x)\b(?![\s:=]*[-+\d]))",
    re.IGNORECASE,
)
"""What follows a number that is no reward, or one of so many."""

_LIST = re.compile(rf"(?:[\s,]+{_NUMBER.pattern}){{2}}")

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

_PARTS = ("best", "worst", "median", "first", "last", "length")
"""Kinds of figures that may also be those of rewards of steps, where a script says which one it prints."""

_SAID_ENOUGH = ("first", "last", "length", "of one", "deviation", "sign")
"""Kinds of figures that nobody takes for the mean of all episodes where a script says which one it prints."""


@dataclass(frozen=True)
class PrintedNumber:
    """A number that a script prints as a reward.

    :param tolerance: by which it may be off, as it has only so many digits
    :param digits: how many it has, without zeros in front
    :param is_round: whether all but one of these are zeros, as of a success or of a hundred percent
    :param whole: whether it has no decimals, as also one has that was cut off
    :param certain: whether the text beside it calls it a reward
    :param direct: whether it directly follows a word for a reward or a mean, or is alone on its line
    :param text: that it is printed in
    :param start: where in that it begins
    """

    value: float
    tolerance: float
    digits: int
    is_round: bool
    whole: bool
    certain: bool
    direct: bool
    line: Line | None
    text: str
    start: int

    def is_near(self, value: float) -> bool:
        """Whether this number is a value, rounded."""
        return bool(abs(self.value - value) <= self.tolerance + 1e-4 * abs(value))

    def may_be_one_of(self, values: np.ndarray) -> bool:
        """Whether this number may be one of some values, rounded or cut off."""
        tolerance = 1.0 if self.whole else self.tolerance
        return bool((np.abs(values - self.value) <= tolerance + 1e-4 * np.abs(values)).any())

    @property
    def says_other(self) -> bool:
        """Whether the text beside it has words for something else than the rewards of all episodes."""
        return bool(_OTHER.search(_DEVIATION.sub("", self.text)))

    @property
    def bare(self) -> bool:
        """Whether the text beside it has no words."""
        return not re.search(r"[A-Za-z]{2,}", _NUMBER.sub("", self.text))

    def says_it_is(self, way: str) -> bool:
        """Whether the text beside it may itself say that the number is made in one of :func:`ways_of_counting`."""
        words = (
            "last|final|latest" if "last" in way else "sum|cumul|running|so far|added|overall|(?<![a-z])all(?![a-z])"
        )
        return bool(re.search(words, self.text, re.IGNORECASE))


def numbers_in(text: str) -> list[float]:
    """The finite numbers in what a script prints; one by thousands may also be several, beside which it stands."""
    found = _NUMBER.findall(text)
    parts = [part for number in found if "," in number for part in number.split(",")]
    return [value for number in (*parts, *found) if math.isfinite(value := float(number.replace(",", "")))]


def rewards_printed(observation: Observation, run: ObservedRun) -> list[PrintedNumber]:
    """The numbers that a script prints as rewards of episodes, in their order.

    Those beside words for rewards or means, and those of a line that is nothing but numbers. What it prints in each
    step is left out, and so are numbers of episodes and of steps.
    """
    most = 1.5 * max(len(run.episodes), sum(len(one.episodes) for one in observation.runs)) + 2
    lengths = [episode.length for episode in run.episodes]
    of_counted = sum(episode.length for episode in run.counted)
    counts = {len(run.counted), len(run.episodes), run.steps, sum(lengths), of_counted, *lengths}
    counts -= {*map(float, (*run.seen, *run.earned))}
    return [number for said in observation.prints if said.count <= most for number in _numbers_of(said, counts)]


def _numbers_of(said: ObservedPrint, counts: Iterable[float]) -> Iterator[PrintedNumber]:
    text = said.text
    words = [*_REWARD.finditer(text)] or [*_MEAN.finditer(text)]
    if not words and re.search(r"[A-Za-z]{2,}", _NUMBER.sub("", text)):
        return
    found = [one for one in _NUMBER.finditer(text) if math.isfinite(float(one[0].replace(",", "")))]
    after = [one for one in found if words and one.start() > words[0].start()]
    for one in after or found:
        direct = _is_direct(text, one) if words else one == found[0] and len(found) <= _A_PAIR
        number = _number(one, said, certain=bool(_REWARD.search(text)), direct=direct)
        if "." in one[0] or number.value not in counts:
            yield number


def _is_direct(text: str, number: re.Match[str]) -> bool:
    """Whether a number follows a word for a reward or a mean, and is neither one of several nor has a unit."""
    words = [*_REWARD.finditer(text), *_MEAN.finditer(text)]
    ends = [word.end() for word in words if word.end() <= number.start()]
    between = [text[end : number.start()] for end in ends if _BETWEEN.fullmatch(text, end, number.start())]
    rest = text[number.end() :]
    several = any("[" in one for one in between) and not rest.lstrip().startswith("]")
    return bool(between) and not several and not _UNIT.match(rest) and not _LIST.match(rest)


def _number(found: re.Match[str], said: ObservedPrint, *, certain: bool, direct: bool) -> PrintedNumber:
    written = found[0].lower().replace(",", "")
    mantissa, _, exponent = written.partition("e")
    _, point, decimals = mantissa.partition(".")
    tolerance = 0.51 * 10.0 ** (int(exponent or 0) - len(decimals))
    digits = re.sub(r"\D", "", mantissa).lstrip("0")
    return PrintedNumber(
        float(written),
        tolerance,
        digits=len(digits),
        is_round=len(digits.rstrip("0")) < 2,
        whole=not point,
        certain=certain,
        direct=direct,
        line=said.line,
        text=said.text,
        start=found.start(),
    )


def number_that_is_no_mean(observation: Observation, run: ObservedRun, mean: float) -> str:
    """What is to be said of the number that a script prints last as a reward, where it is not the mean of its episodes.

    Empty where that is printed, where the script shows what its episodes earn one by one, says itself what its number
    is, or prints none.

    :param mean: what its episodes earn, as it is reported
    """
    numbers = rewards_printed(observation, run)
    if not numbers or observation.stopped or observation.raised or not run.counted:
        return ""
    if shows_a_mean(observation, numbers, mean):
        return ""
    rewards = np.asarray([*run.seen, *run.earned], dtype=float)
    shown = sum(number.may_be_one_of(rewards) for number in numbers)
    if shown > 1 and 2 * shown >= len(run.counted):
        return ""
    told = [number for number in numbers if number.direct]
    last = [number for number in told if (number.line, number.text) == (told[-1].line, told[-1].text)]
    if not last or last[0].says_other:
        return ""
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
    number = (means or last)[0]
    n_envs = observation.environments[run.environment].n_envs
    ways = ways_of_counting(run, n_envs) if len(run.counted) > 1 else {}
    made = [said for said, (value, _) in ways.items() if number.is_near(value)]
    if made and number.certain and not number.says_it_is(made[0]):
        return f"it prints {number.value:g}{_at(number)}, {made[0]}; their mean is {mean:.4g}"
    return "" if made else _of_no_figure(number, len(run.counted), mean)


def shows_a_mean(observation: Observation, numbers: Iterable[PrintedNumber], mean: float) -> bool:
    """Whether a script shows the mean of episodes, in whatever it prints.

    :param numbers: that it prints as rewards
    :param mean: what its episodes earn, as it is reported
    """
    means = np.asarray([mean, *_means(observation)])
    printed = np.asarray(observation.printed)[:, None]
    exactly = np.abs(printed - means) <= 0.0051 + 1e-4 * np.abs(means)
    numbers = [*numbers]
    return (
        bool(exactly.any())
        or any(number.may_be_one_of(means) for number in numbers)
        or any(parts_shown(run, numbers) for run in observation.runs)
    )


def parts_shown(run: ObservedRun, numbers: Sequence[PrintedNumber]) -> int:
    """Of how many equal parts of a run's episodes the means are printed, as of one evaluation after the other; or 0."""
    for name in ("seen", "reward"):
        values = np.asarray([float(getattr(episode, name)) for episode in run.counted])
        for parts in (n for n in range(2, values.size // 2 + 1) if values.size % n == 0):
            means = values.reshape(parts, -1).mean(axis=1)
            if all(any(number.is_near(mean) for number in numbers) for mean in means):
                return parts
    return 0


_A_PAIR = 2
"""Numbers of a line, such as mean and deviation: more of them without a word are no reward, but an observation, say."""


def _of_no_figure(number: PrintedNumber, n: int, mean: float) -> str:
    called = any(re.search(words, number.text, re.IGNORECASE) for kind, words in _CALLED.items() if kind in _PARTS)
    if called or not (number.certain or (number.bare and "." in number.text)):
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
            n, sums = np.arange(1, len(values) + 1), np.cumsum(values)
            half = (len(values) + 1) // 2
            yield from (sums / n)[max(half - 1, 0) :]
            yield from ((sums[-1:] - sums) / np.maximum(len(values) - n, 1))[: max(half - 1, 0)]
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


def _until_any_ends(run: ObservedRun, n_envs: int) -> dict[str, tuple[float, Sequence[float]]]:
    """What a script counts for episodes that goes by ``dones.any()``: the mean, and each of these.

    Nothing where that is whenever an episode of the first environment ends: then it may count that one's alone.
    """
    if len(run.until_any) <= max(1, sum(episode.slot == 0 for episode in run.ended)):
        return {}
    made = {
        "of the rewards of one environment": [one.first for one in run.until_any],
        f"of the mean of the rewards of all {n_envs} environments": [one.every / n_envs for one in run.until_any],
        f"of the rewards of all {n_envs} environments added up": [one.every for one in run.until_any],
        "of the last reward of one environment": [one.last for one in run.until_any],
    }
    when = f"each time that an episode of any of {n_envs} environments ends"
    return {f"the mean {what}, {when}": (float(np.mean(values)), values) for what, values in made.items()}


def ways_of_counting(run: ObservedRun, n_envs: int) -> dict[str, tuple[float, Sequence[float]]]:
    """What a script may make of episodes in place of their mean: the number, and those that it is made of."""
    counted, rewards = run.counted, run.seen
    n, total, sums = rewards.size, float(rewards.sum()), np.cumsum(rewards)
    last, lengths = ([float(getattr(episode, name)) for episode in counted] for name in ("last", "length"))
    ways: dict[str, tuple[float, Sequence[float]]] = {
        "the mean of sums that go on from one episode to the next": (float(sums.mean()), [*map(float, sums)]),
        "the mean reward of a step": (total / sum(lengths), ()),
        f"the sum of {n} episodes, divided by {n + 1}": (total / (n + 1), ()),
        f"the sum of {n} episodes, divided by {n - 1}": (total / (n - 1), ()),
        f"the sum of {n} episodes": (total, [*map(float, sums)]),
    }
    if len({*last}) > 1:
        ways = {f"the mean of the last reward of each of {n} episodes": (float(np.mean(last)), last), **ways}
    every = float(sum(episode.seen for episode in run.episodes))
    if every != total:
        ways[f"the sum of {n} episodes, and of what was not over"] = (every, ())
    if n_envs > 1:
        of_each = [sum(one.seen for one in run.episodes if one.slot == slot) for slot in range(n_envs)]
        several = f"about {n / n_envs:.3g}" if n % n_envs else f"{n // n_envs}"
        ways[f"the rewards of all {n_envs} environments, added up"] = (n_envs * total / n, ())
        first = [float(one.last) for one in counted if one.slot == 0]
        if len({*first}) > 1:
            ways[f"the mean of the last reward of each of the {len(first)} episodes of one environment"] = (
                float(np.mean(first)),
                first,
            )
        ways |= _until_any_ends(run, n_envs)
        if n > n_envs:
            ways[f"the sum of {several} episodes of each environment"] = (every / n_envs, of_each)
    return ways
