"""The input of forensics: a model's files as far as they could be read, and what else is known of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gymnasium import spaces

from reload_audit.reading.model_zip import SavedModel
from reload_audit.reading.statistics import SavedStatistics
from reload_audit.records.manifest import Digests
from reload_audit.records.specs import Claim


@dataclass(frozen=True)
class FoundStatistics:
    """A file of VecNormalize statistics in or near a model's folder that may be the model's own.

    :param proved: whether their bits, not only their counts, show that they are
    """

    path: str
    proved: bool


@dataclass(frozen=True)
class RecordedDigests:
    """Digests of a model's content when it was saved, as its manifest has them; a manifest may come from anybody.

    :param parameters: of the parameters; None where none is recorded
    :param normalizer: of VecNormalize's statistics and settings; None where none is recorded
    :param without_normalizer: whether the manifest says that there was no VecNormalize
    """

    parameters: str | None = None
    normalizer: str | None = None
    without_normalizer: bool = False

    @classmethod
    def of(cls, digests: Digests | None) -> RecordedDigests:
        return cls() if digests is None else cls(digests.parameters, digests.normalizer, not digests.normalizer)


@dataclass(frozen=True)
class ModelFiles:
    """A model's files, read but not executed, and what is known of its training and of the environment as built now.

    :param statistics: None where there are none, or they cannot be read
    :param role: ``final``, ``best`` or ``checkpoint``
    :param normalized: whether the run's own files say that observations were normalised; None if they say nothing
    :param n_envs: environments in training, if the run's own files say so
    :param claims: train-time rewards that files or people state
    :param recorded: digests that were recorded when the model was saved
    :param observation_space: of the environment as built, with stacked frames, but not normalised
    :param evaluations: ``evaluations.npz`` of its run
    :param max_episode_steps: time limit of the environment as built; None where it has none, or that is not known
    :param longest_episode: steps of the longest episode that was measured in it
    :param others: other statistics that may be its own, from :func:`reload_audit.forensics.search.find_statistics`
    :param unreadable_statistics: whether there are statistics that cannot be read
    """

    saved: SavedModel
    statistics: SavedStatistics | None
    algo: str
    role: str = "final"
    normalized: bool | None = None
    n_envs: int | None = None
    claims: Sequence[Claim] = ()
    recorded: RecordedDigests = RecordedDigests()
    observation_space: spaces.Space | None = None
    action_space: spaces.Space | None = None
    evaluations: str | None = None
    max_episode_steps: int | None = None
    longest_episode: int | None = None
    others: Sequence[FoundStatistics] = ()
    unreadable_statistics: bool = False
