"""The record of one script: what it was seen to do, what of it training did otherwise, and what that costs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from reload_audit.processes.outcome import Failure, Usage
from reload_audit.records.model_record import Measurement
from reload_audit.records.observation import Line, Observation
from reload_audit.records.plain_data import PlainData
from reload_audit.records.specs import Claim, ExternalSpec, ScriptSpec
from reload_audit.records.storage import read_json, write_json

AS_MODEL = "model"
"""The condition under which the script's model is evaluated as an audit does: nothing of it is the script's."""

AS_SCRIPT = "script"
"""The condition with everything that the script does otherwise."""


def alone(cause: str) -> str:
    """The name of the condition that takes over from the script only what speaks for one cause."""
    return f"only {cause}"


def put_right(cause: str) -> str:
    """The name of the condition that takes over all from the script except what speaks for one cause."""
    return f"script without {cause}"


def only(causes: Collection[str], of: Collection[str]) -> str:
    """The name of the condition that takes over from the script only what speaks for some of the causes tried."""
    others = [cause for cause in of if cause not in causes]
    if not others:
        return AS_SCRIPT
    if len(causes) > 1 and len(others) == 1:
        return put_right(others[0])
    return alone(" and ".join(causes))


Counting = Literal["", "first", "rounds"]
"""Which episodes of environments side by side are counted: all; those that are finished first; or only the first that
is finished each time that all begin anew."""


@dataclass(frozen=True)
class ScriptDifference(PlainData):
    """Something that a script does otherwise than training did.

    :param cause: key of the catalogue of causes
    :param line: that does it; None where no line of the user's code does
    :param evidence: one sentence, with the numbers
    :param instead: what to write in place of that line; empty where that is not known
    :param changes: fields of :class:`Condition` that do the same; None where no condition can
    :param counting: which episodes are counted, where that is the difference
    :param in_doubt: whether it may be as it should be: a fault only where nothing else explains what the script earns
    :param certain: whether it is a fault whatever it costs: the untrained model that acts may earn much by luck
    """

    cause: str
    line: Line | None
    evidence: str
    instead: str = ""
    changes: Mapping[str, object] | None = None
    counting: Counting = ""
    in_doubt: bool = False
    certain: bool = False


@dataclass(frozen=True)
class Figure(PlainData):
    """The reward that a script gives its user.

    :param rewards: of each episode, as the script was given them
    :param mean: of ``rewards``; or what ``evaluate_policy`` returned
    :param where: the line that it comes from
    :param earned: what the environment gave in these episodes
    :param balanced: whether it is known to count equally many episodes of each of the environments side by side
    :param printed: what the printed number is, where it is not what an episode earns; empty where it is
    :param one_seed: whether all of its episodes begin with one seed
    :param parts: of how many parts of the episodes these are the best, as the script prints a mean of each; 0 for all
    """

    rewards: tuple[float, ...]
    mean: float
    std: float
    n: int
    where: Line | None
    earned: tuple[float, ...] = ()
    balanced: bool = False
    printed: str = ""
    one_seed: bool = False
    parts: int = 0

    @property
    def drawn(self) -> np.ndarray:
        """What independent episodes of it earned: those that all begin with one seed are no more than one."""
        earned = np.asarray(self.earned)
        return earned.mean(keepdims=True) if self.one_seed and earned.size else earned

    @classmethod
    def of(cls, rewards: np.ndarray, earned: np.ndarray, where: Line | None) -> Figure:
        """The figure of episodes, at least one.

        :param rewards: as the script was given them
        :param earned: in the environment
        """
        values = tuple(map(float, rewards))
        return cls(values, float(rewards.mean()), float(rewards.std()), len(values), where, tuple(map(float, earned)))


@dataclass(frozen=True)
class Compared(PlainData):
    """What a script was seen to do, compared with what is known of its model.

    :param model: name of the model in this audit, or of its file
    :param path: of its zip
    :param figure: the script's reward; None where it finished no episode
    :param n_envs: environments side by side in the script
    :param problem: why the model cannot be evaluated as an audit does; empty where it can
    :param remarks: what else a user should know, one sentence each
    :param shown: what is to be said of the number that it prints, where that is not the mean of its episodes
    :param contradicted: what its zip says that it earned in training, where it earns less in the script's environment
        and nothing explains that; empty otherwise
    """

    model: str
    path: str
    figure: Figure | None
    differences: Sequence[ScriptDifference] = ()
    n_envs: int = 1
    problem: str = ""
    remarks: tuple[str, ...] = ()
    shown: str = ""
    contradicted: str = ""


@dataclass(frozen=True)
class Found:
    """A model of a script, compared with what is known of it, and how to measure what the script costs.

    :param model: how an audit evaluates it; None where it cannot
    :param others: the same for environments that training may have had instead of the script's, the likeliest first
    :param doubtful: whether the model's spaces are not those of the script's environment, and so speak for one of those
    :param claims: what the model earned in training, where only its zip tells something of that
    :param trained: the same in words
    :param suspects: what of the script's environment may not be that of training
    :param stated: as one of ``others``, the environment that the model's repository says training had; None where it
        says none, or that of the script
    :param beside: the same script compared with models that it may have meant in place of the one that it loads
    """

    compared: Compared
    model: ExternalSpec | None
    others: tuple[Found, ...] = ()
    doubtful: bool = False
    claims: tuple[Claim, ...] = ()
    trained: str = ""
    suspects: tuple[str, ...] = ()
    stated: Found | None = None
    beside: tuple[Found, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """What a script does with one of its models, compared with what is known of it, and measured.

    :param conditions: what the model earned under each condition that was run, by the condition's name
    """

    compared: Compared
    conditions: Mapping[str, Measurement] = field(default_factory=dict)


@dataclass(frozen=True)
class ScriptRecord(PlainData):
    """What became of a script.

    :param observation: None where it could not be run, or did not end in time; ``failure`` says why
    :param process: that ran it
    :param log: file that took what it printed
    :param comparisons: one of each model that acted in it; none where there is nothing to compare
    """

    spec: ScriptSpec
    observation: Observation | None
    failure: Failure | None
    process: Usage | None
    log: str
    comparisons: Sequence[Comparison] = ()

    @classmethod
    def read(cls, path: Path) -> ScriptRecord:
        """Read what :meth:`write` wrote."""
        content = read_json(path)
        comparisons = [
            Comparison(
                Compared.from_dict(one["compared"]),
                {name: Measurement.from_dict(measured) for name, measured in one["conditions"].items()},
            )
            for one in content.pop("comparisons")
        ]
        return replace(cls.from_dict(content), comparisons=comparisons)

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        comparisons = [
            {
                "compared": one.compared.to_dict(),
                "conditions": {name: measured.to_dict() for name, measured in one.conditions.items()},
            }
            for one in self.comparisons
        ]
        write_json(path, {**replace(self, comparisons=()).to_dict(), "comparisons": comparisons})
