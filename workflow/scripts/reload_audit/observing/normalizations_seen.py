"""The VecNormalize layers of a script, how their switches are set, and what is in their statistics."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stable_baselines3.common.vec_env import VecNormalize

from reload_audit.records.digests import digest
from reload_audit.records.observation import Line, Made, ObservedNormalization
from reload_audit.records.storage import plain


@dataclass
class NormalizationSeen:
    """A VecNormalize of the script, and in how many steps of its environments each of its switches was on."""

    normalize: VecNormalize
    seen: ObservedNormalization
    steps: int = 0
    updating: int = 0
    scaling: int = 0
    normalizing: int = 0

    def begin_anew(self) -> None:
        """Training changed its statistics: what was seen before does not count."""
        self.steps = self.updating = self.scaling = self.normalizing = 0

    def was_stepped(self) -> None:
        """Environments under it were stepped."""
        normalize = self.normalize
        self.steps += 1
        self.updating += bool(normalize.training)
        self.scaling += bool(normalize.norm_reward)
        self.normalizing += bool(normalize.norm_obs)

    def record(self) -> ObservedNormalization:
        """What was seen of it."""
        return replace(
            self.seen,
            steps=self.steps,
            updating=self.updating,
            scaling=self.scaling,
            normalizing=self.normalizing,
            count_last=observed_samples(self.normalize) if self.steps else self.seen.count_last,
        )


class NormalizationsSeen:
    """The VecNormalize layers that a script has made, numbered in this order.

    :param folder: takes the statistics that the script's environments began with
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._normalizations: list[NormalizationSeen] = []

    def __getitem__(self, number: int) -> NormalizationSeen:
        return self._normalizations[number]

    def number_of(self, normalize: Any) -> int | None:
        """The number of a VecNormalize; None for one that is not known."""
        for number in range(len(self._normalizations) - 1, -1, -1):
            if self._normalizations[number].normalize is normalize:
                return number
        return None

    def made(self, normalize: VecNormalize, made: Made, line: Line | None, path: str | None) -> None:
        """A VecNormalize was constructed, loaded or unpickled; what is loaded is unpickled before."""
        seen = ObservedNormalization(made, line, path)
        if self._normalizations and self._normalizations[-1].normalize is normalize:
            self._normalizations[-1].seen = seen
        else:
            self._normalizations.append(NormalizationSeen(normalize, seen))

    def begins(self, normalize: VecNormalize, line: Line | None) -> int:
        """Environments under a VecNormalize are about to be reset or stepped for the first time.

        :param line: of the script
        :return: the number of the VecNormalize
        """
        number = self.number_of(normalize)
        if number is None:
            self.made(normalize, "unpickled", line, None)
            number = len(self._normalizations) - 1
        self._keep(number)
        return number

    def begins_anew(self, one: NormalizationSeen) -> None:
        """What was seen of a VecNormalize before does not count: from now on a model acts under it."""
        one.begin_anew()
        self._keep(self._normalizations.index(one))

    def _keep(self, number: int) -> None:
        """Write down the statistics of a VecNormalize as they are now."""
        one = self._normalizations[number]
        content = _moments(one.normalize)
        if content is not None:
            inputs = str(self._folder / f"statistics{number}.pkl")
            one.normalize.save(inputs)
            samples, moments = observed_samples(one.normalize), digest(plain(content))
            one.seen = replace(one.seen, count=samples, moments=moments, inputs=inputs)

    def record(self) -> list[ObservedNormalization]:
        """The layers at the script's end."""
        return [one.record() for one in self._normalizations]


def observed_samples(normalize: VecNormalize) -> float:
    """How many observations are in the statistics of a VecNormalize; of a dictionary, in those of its first part."""
    statistics = getattr(normalize, "obs_rms", None)
    if isinstance(statistics, dict):
        statistics = next(iter(statistics.values()), None)
    return 0.0 if statistics is None else float(statistics.count)


def _moments(normalize: VecNormalize) -> dict[str, list[object]] | None:
    """Means and variances of observations, by the key of a dictionary; None where none are kept."""
    statistics = getattr(normalize, "obs_rms", None)
    if statistics is None:
        return None
    parts = statistics if isinstance(statistics, dict) else {"": statistics}
    return {key: [part.mean.tolist(), part.var.tolist()] for key, part in parts.items()}
