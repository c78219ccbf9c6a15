"""Find where two runs of the same episodes part first: in which episode, step and components.

Of everything that differs at that step the earliest counts. A step begins in the environment (reward, observation,
end), goes on to what the policy sees, and ends with what it does: what comes later may differ only because of that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from reload_audit.records.divergence import ABSENT, DONE, ComponentDifference, Divergence, Implied
from reload_audit.records.episodes import UNSEEDED, Episode
from reload_audit.records.steps import ASKED_AT, MARK_EVERY, STEPS, EpisodeSteps, Steps
from reload_audit.records.storage import plain

_SHOWN = 8  # numbers of an array up to which all of them are shown
_LAST_BITS = 64  # a difference of so many machine epsilons may be rounding, after a few layers of a network
_TF32 = 2**13
"""How many machine epsilons of float32 one epsilon of TF32 is, in which GPUs convolve by default: 10 bits of 23."""


def first_divergence(
    reference: Sequence[Episode],
    reload: Sequence[Episode],
    reference_steps: Steps | None = None,
    reload_steps: Steps | None = None,
    *,
    same_parameters: bool = False,
) -> Divergence | None:
    """Find the first difference between two runs, as far as both go; None where no bit differs, or none should agree.

    Whether there is one is read off the episodes' own digests, so None means the same with and without steps.

    :param reference: episodes, numbered from 0
    :param reload: the same episodes, run again
    :param reference_steps: the first steps of the first run, if they were kept
    :param reload_steps: the first steps of the second run, if they were kept
    :param same_parameters: whether both runs are known to have the same policy; then actions that differ by no more
        than a GPU rounds differ by rounding
    """
    for one, other in zip(reference, reload, strict=False):
        components = _components(one, other)
        if components and UNSEEDED in (one.seed, other.seed):
            return None  # nothing says that they should be the same
        if components:
            kept, kept_other = (
                None if steps is None else steps.episodes.get(one.episode) for steps in (reference_steps, reload_steps)
            )
            if kept is None or kept_other is None:
                return _beyond(one, other, components, None)
            return _Pair(one, other, kept, kept_other, same_parameters).divergence(components)
    return None


class _Pair:
    """One episode in two runs, with their first steps."""

    def __init__(
        self, one: Episode, other: Episode, kept: EpisodeSteps, kept_other: EpisodeSteps, same_parameters: bool
    ) -> None:
        self._one, self._other = one, other
        self._same_parameters = same_parameters
        self._kept = (kept, kept_other)
        self._rows = tuple(
            {name: _row_of_step(name, digests) for name in kept.digests if name != ASKED_AT}
            for kept in self._kept
            for digests in [kept.digests]
        )

    def divergence(self, components: list[str]) -> Divergence:
        end = min(self._one.length, self._other.length)
        for step in range(min(STEPS, end + 1)):
            found = self._differing(step)
            if found:
                differences = tuple(self._difference(name, step) for name in found)
                implied = _implied(differences, at_reset=step == 0)
                return Divergence(self._one.episode, self._one.seed, step, None, differences, implied)
        return _beyond(self._one, self._other, components, self._agree_until(end))

    def _differing(self, step: int) -> list[str]:
        """The components that differ at a step, the earliest first."""
        ended = [_ended(episode, step) for episode in (self._one, self._other)]
        names = sorted({name for rows in self._rows for name in rows}, key=_order)
        if any(ended):  # only the run that goes on acts
            names = [name for name in names if name in ("rewards", "raw_observations")]
        found = [name for name in names if self._digest(0, name, step) != self._digest(1, name, step)]
        return sorted([*found, DONE], key=_order) if ended[0] != ended[1] else found

    def _digest(self, side: int, name: str, step: int) -> int | None:
        row = self._rows[side].get(name, {}).get(step)
        return None if row is None else int(self._kept[side].digests[name][row])

    def _difference(self, name: str, step: int) -> ComponentDifference:
        if name == DONE:
            one, other = (_ended(episode, step) or "goes on" for episode in (self._one, self._other))
            return ComponentDifference(DONE, one, other)
        absent = [ABSENT if self._digest(side, name, step) is None else None for side in (0, 1)]
        if any(absent):
            return ComponentDifference(name, absent[0], absent[1])
        epsilons = _TF32 if name == "actions" and self._same_parameters else _LAST_BITS
        tolerance = epsilons * self._scale(name)
        return _first_of(name, self._values(0, name, step), self._values(1, name, step), tolerance)

    def _values(self, side: int, name: str, step: int) -> dict[str, np.ndarray]:
        """What was kept of a component: one array, or one for each key of a dictionary."""
        row = self._rows[side][name][step]
        kept = self._kept[side].values
        names = [key for key in kept if key == name or (name == "raw_observations" and key.startswith(f"{name}."))]
        return {key: kept[key][row] for key in names if row < len(kept[key])}

    def _scale(self, name: str) -> float:
        """The largest finite absolute value of a component in the first run."""
        kept = self._kept[0].values
        arrays = [kept[key] for key in kept if key.startswith(name)]
        sizes = [np.abs(array[np.isfinite(array)].astype(np.float64)).max(initial=0.0) for array in arrays]
        return float(max(sizes, default=0.0))

    def _agree_until(self, end: int) -> int | None:
        """The last step up to which nothing that was kept differs."""
        marks = [kept.digests.get("raw_observations", np.zeros(0)) for kept in self._kept]
        count = min(len(digests) for digests in marks)
        agreeing = np.flatnonzero(marks[0][:count] != marks[1][:count])
        agreed = int(agreeing[0]) if len(agreeing) else count
        steps = [step for step in map(_step_of_mark, range(agreed)) if step <= end]
        raw_decides = self._one.length != self._other.length or len(agreeing) > 0
        return None if not steps else steps[-1] if raw_decides else min(steps[-1], STEPS - 1)


def _beyond(one: Episode, other: Episode, components: list[str], after: int | None) -> Divergence:
    """The divergence of two episodes whose kept steps are all the same.

    :param components: in what the episodes differ
    :param after: the last step up to which nothing that was kept differs
    """
    shorter = min(one, other, key=lambda episode: episode.length)
    cut = one.length != other.length and not shorter.terminated
    if cut and after is not None and shorter.length - after < MARK_EVERY:
        # All was the same until just before one was truncated.
        return Divergence(one.episode, one.seed, None, after, (_ends(one, other),), "end")
    differences = tuple(
        _ends(one, other) if name == DONE else ComponentDifference(name) for name in sorted(components, key=_order)
    )
    # Where raw observations agree in the whole episode, the other components tell what differs; otherwise nothing does.
    implied = None if "raw_observations" in components else _implied(differences, at_reset=False)
    return Divergence(one.episode, one.seed, None, after, differences, implied)


def _ends(one: Episode, other: Episode) -> ComponentDifference:
    first, second = (f"{_ended(episode, episode.length)} after {episode.length}" for episode in (one, other))
    return ComponentDifference(DONE, first, second)


def _ended(episode: Episode, step: int) -> str | None:
    if step < episode.length:
        return None
    return "terminated" if episode.terminated else "truncated"


def _components(one: Episode, other: Episode) -> list[str]:
    """The components in which two runs of an episode differ anywhere."""
    names = dict.fromkeys([*one.trace, *other.trace])
    found = [name for name in names if one.trace.get(name) != other.trace.get(name)]
    if np.float64(one.reward).tobytes() != np.float64(other.reward).tobytes() and "rewards" not in found:
        found.append("rewards")
    if (one.length, one.terminated) != (other.length, other.terminated):
        found.append(DONE)
    return found


def _implied(differences: Sequence[ComponentDifference], at_reset: bool) -> Implied | None:
    """Which part is implied to differ (see ``Implied``) by the earliest of the components that differ at a step."""
    kinds: dict[str, list[ComponentDifference]] = {}
    for difference in differences:
        kinds.setdefault(difference.component.partition(".")[0], []).append(difference)
    if "raw_observations" in kinds:
        return _unless_rounded(kinds["raw_observations"], "reset" if at_reset else "dynamics")
    if "rewards" in kinds:
        return _unless_rounded(kinds["rewards"], "reward")
    if DONE in kinds:
        return "end"
    if "policy_observations" in kinds:
        seen = kinds["policy_observations"]
        absent = any(ABSENT in (difference.reference, difference.reload) for difference in seen)
        return "wrappers" if absent else _unless_rounded(seen, "statistics")
    return _unless_rounded(kinds["actions"], "policy") if "actions" in kinds else None


def _unless_rounded(differences: Iterable[ComponentDifference], implied: Implied) -> Implied:
    return "numerics" if all(difference.last_bits for difference in differences) else implied


def _first_of(
    component: str, reference: Mapping[str, np.ndarray], reload: Mapping[str, np.ndarray], tolerance: float
) -> ComponentDifference:
    """The first of a component's arrays that differs; without a value where none was kept.

    :param tolerance: the largest difference that may be rounding, in machine epsilons of 1
    """
    compared = [
        _compare(component, key.removeprefix(f"{component}."), reference[key], reload[key], tolerance)
        for key in sorted(reference.keys() & reload.keys())
        if reference[key].shape != reload[key].shape or reference[key].tobytes() != reload[key].tobytes()
    ]
    return compared[0] if compared else ComponentDifference(component)


def _compare(
    component: str, key: str, reference: np.ndarray, reload: np.ndarray, tolerance: float
) -> ComponentDifference:
    name = component if key == component else f"{component}.{key}"
    if reference.shape != reload.shape or reference.dtype != reload.dtype:
        first, second = (f"{array.dtype} of shape {array.shape}" for array in (reference, reload))
        return ComponentDifference(name, first, second, last_bits=False)
    one, other = (array.astype(np.float64) for array in (reference, reload))
    with np.errstate(invalid="ignore", over="ignore"):
        gaps = np.abs(one - other)
    largest = float(np.max(gaps, initial=0.0))
    rounded = _is_rounding(reference.dtype, largest, tolerance)
    if reference.size <= _SHOWN:
        return ComponentDifference(name, plain(reference), plain(reload), reference.shape, None, largest, rounded)
    differs = np.ascontiguousarray(reference).view(np.uint8) != np.ascontiguousarray(reload).view(np.uint8)
    index = np.unravel_index(int(np.flatnonzero(differs)[0]) // reference.dtype.itemsize, reference.shape)
    place = tuple(int(position) for position in index)
    return ComponentDifference(
        name, plain(reference[index]), plain(reload[index]), reference.shape, place, largest, rounded
    )


def _is_rounding(dtype: np.dtype, largest: float, tolerance: float) -> bool:
    return dtype.kind == "f" and largest <= tolerance * float(np.finfo(dtype).eps)


def _row_of_step(name: str, digests: Mapping[str, np.ndarray]) -> dict[int, int]:
    """The row of a component's digests at each step that has one, by step."""
    count = len(digests[name])
    if name == "raw_observations":
        return {step: step for step in range(min(count, STEPS))}
    if name == "rewards":
        return {row + 1: row for row in range(count)}
    asked_at = digests.get(ASKED_AT, range(count))
    rows: dict[int, int] = {}
    for row, step in zip(range(count), asked_at, strict=False):
        rows.setdefault(int(step), row)
    return rows


def _step_of_mark(row: int) -> int:
    return row if row < STEPS else STEPS + (row - STEPS) * MARK_EVERY


def _order(component: str) -> tuple[int, str]:
    """A sort key of components: the order in which they come about in a step."""
    kinds = ("rewards", "raw_observations", DONE, "policy_observations", "actions")
    return next((rank for rank, kind in enumerate(kinds) if component.startswith(kind)), len(kinds)), component
