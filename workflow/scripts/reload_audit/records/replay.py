"""Two episodes of a model side by side, as they are shown in the report: one as before, one after reload.

``jobs.replay`` writes those of an audit into one file, ``reports.dashboard.replays`` reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reload_audit.reading.refusal import unforeseen
from reload_audit.records.plain_data import PlainData
from reload_audit.records.storage import DamagedFileError, read_json, write_json

MOST_STEPS = 2000
"""Steps of an episode that are filmed, at most."""


@dataclass(frozen=True)
class Moment(PlainData):
    """One step of the policy in an episode that was filmed.

    :param frame: what the environment rendered before the action: a WebP picture in Base64
    :param observation: what the policy was given; of a large one its first numbers
    :param action: what it chose, likewise
    :param reward: of this step, as the VecEnv gave it
    :param earned: of all steps up to this one
    :param digest: of observation, action and reward: equal exactly where every bit is
    """

    frame: str
    observation: str
    action: str
    reward: float
    earned: float
    digest: str


@dataclass(frozen=True)
class Film(PlainData):
    """One episode under one condition.

    :param length: how many steps of the policy the whole episode has
    :param moments: its first :data:`MOST_STEPS` steps
    :param raw_observations: content digest of all that the environment gave
    :param rewards: content digest of all its rewards
    :param last_frame: what the environment rendered after the last step; empty where it rendered nothing
    """

    length: int
    moments: tuple[Moment, ...]
    raw_observations: str
    rewards: str
    last_frame: str = ""


@dataclass(frozen=True)
class Side(PlainData):
    """What is shown of one of two episodes.

    :param condition: under which it ran, by its name
    :param length: how many steps the whole episode has
    :param moments: one for each step that is shown; fewer where the episode ended before
    :param last_frame: what the environment rendered after the last step; empty where it rendered nothing
    """

    condition: str
    length: int
    moments: tuple[Moment, ...]
    last_frame: str = ""


@dataclass(frozen=True)
class Replay(PlainData):
    """The two episodes of a model that part first, from the step where they part.

    :param problem: why there is nothing to show, in one sentence; all the rest is empty then
    :param closes: how much of the gap the condition of the first of them closes, 1 for all; None where that episode is
        the reference's, step for step
    :param steps: the steps that are shown, the first of which is where they part; one that equals the length of an
        episode is its end
    :param sides: as before, and after reload
    """

    problem: str = ""
    episode: int = 0
    seed: int = 0
    closes: float | None = None
    steps: tuple[int, ...] = ()
    sides: tuple[Side, ...] = ()


def write_replays(path: Path, replays: Mapping[str, Replay]) -> None:
    """Write the replays of an audit's models, by the names of the models."""
    write_json(path, {name: replay.to_dict() for name, replay in replays.items()})


def read_replays(path: Path) -> dict[str, Replay]:
    """Read what :func:`write_replays` wrote.

    :raises DamagedFileError: it is something else now
    """
    content = read_json(path)
    try:
        return {name: Replay.from_dict(replay) for name, replay in content.items()}
    except Exception as error:
        raise DamagedFileError(path, unforeseen(error)) from None
