"""Read what was recorded beside a model when it was trained: its manifest and its reference episodes.

The workflow's own ``train`` rule and :class:`reload_audit.ReferenceRecorder` write the same files. They may have been
edited or come from anybody, so nothing in them is taken for granted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reload_audit.reading import limits
from reload_audit.reading.plain_values import mapping, objects_in, read_json
from reload_audit.reading.refusal import Unreadable, printable, refusing
from reload_audit.records.episodes import UNSEEDED, Episode, TrainTime, first_difference
from reload_audit.records.manifest import ActsOn, ChangedAttribute, Construction, Digests, Identity
from reload_audit.records.specs import EvaluationSpec

# The least and the most that each number of a protocol may be.
_NUMBERS = {
    "episodes": (2, limits.RECORDED_EPISODES),
    "seed": (0, 2**32),
    "n_envs": (1, limits.RECORDED_ENVIRONMENTS),
    "max_episode_steps": (1, limits.RECORDED_STEPS),
}
_DIGESTS = ("parameters", "optimizer", "normalizer")
_ACTS_ON = ("observation_space", "action_space", "env_spec", "env_stack")
_DIGEST = re.compile(r"[0-9a-f]{1,64}")
_COMPONENT = re.compile(r"(raw_observations|rewards|actions|policy_observations(\.[\w .:/-]{1,100})?)")
_ATTRIBUTE = re.compile(r"(\w+\.)?[^\W\d]\w*")
_LONGEST = 200
_MOST_LAYERS = 100
_VERSION = re.compile(r"[\w.+!-]{1,100}")


@dataclass(frozen=True)
class Recording:
    """What was recorded beside a model.

    :param identity: its manifest, as far as it is compared
    :param evaluation: the protocol of its reference episodes
    :param train_time: the episodes
    :param changed: attributes that the environments trained in had otherwise than new ones
    """

    identity: Identity
    evaluation: EvaluationSpec
    train_time: TrainTime
    changed: tuple[ChangedAttribute, ...] = ()


def read_recording(folder: str | Path) -> Recording:
    """Read what was recorded into a folder.

    :raises Unreadable: it is not what a recorder writes
    """
    with refusing(f"{folder}: no recording of a reference"):
        files = (Path(folder) / name for name in ("manifest.json", "evaluations.json"))
        manifest, evaluations = (mapping(read_json(file, limits.RECORDING_BYTES)) for file in files)
        evaluation = _evaluation(manifest["spec"]["evaluation"])
        train_time = TrainTime.from_dict(evaluations)
        _check_episodes(train_time.reference, "evaluations.json: reference", evaluation.episodes)
        if train_time.in_place is not None:
            _check_in_place(train_time.in_place, train_time.reference)
        if train_time.random_policy is not None:
            _check_episodes(train_time.random_policy, "evaluations.json: random_policy", None)
        identity = Identity(
            digests=Digests(**{name: _digest(manifest["digests"][name]) for name in _DIGESTS}),
            acts_on=_acts_on(manifest["acts_on"]),
            versions={
                name: version
                for name, version in mapping(manifest["versions"]).items()
                if name.isidentifier() and name.isascii() and _VERSION.fullmatch(version)
            },
            computed_on=_device(manifest.get("computed_on", "")),  # not in older ones
        )
        changed = tuple(_changed(one) for one in manifest.get("changed_attributes", ())[: limits.RECORDED_ATTRIBUTES])
    return Recording(identity, evaluation, train_time, changed)


def _changed(data: Any) -> ChangedAttribute:
    """Read a changed attribute: its value is set again in a trial, so it has to be plain, and its name to be one."""
    found = ChangedAttribute.from_dict(data)
    texts = (found.attribute, found.name)
    names = all(isinstance(text, str) and len(text) <= _LONGEST and _ATTRIBUTE.fullmatch(text) for text in texts)
    values = (found.trained, found.new)
    plain = all(len(json.dumps(value)) <= _LONGEST and not [*objects_in(value)] for value in values)
    flags = all(type(flag) is bool for flag in (found.argument, found.of_vec_env))
    if not names or not plain or not flags or found.name.startswith("__"):
        raise Unreadable("manifest.json: changed_attributes: expected names and short plain values")
    return found


def _acts_on(data: Any) -> ActsOn:
    construction = Construction.from_untrusted(data.get("construction"))  # not in older ones
    stack = data.get("vec_env_stack")  # likewise
    few = isinstance(stack, list) and len(stack) <= _MOST_LAYERS and all(isinstance(name, str) for name in stack)
    return ActsOn(
        **{name: data[name] for name in _ACTS_ON}, construction=construction, vec_env_stack=tuple(stack) if few else ()
    )


def _evaluation(data: Any) -> EvaluationSpec:
    evaluation = EvaluationSpec.from_dict(data)
    for name, (least, most) in _NUMBERS.items():
        number = getattr(evaluation, name)
        if type(number) is not int or not least <= number <= most:
            raise Unreadable(f"manifest.json: evaluation.{name}: expected {least} to {most}, found {number!r:.50}")
    looks = [*evaluation.looks]
    whole = all(type(look) is int and look > 1 for look in looks)
    if not 1 <= len(looks) <= limits.RECORDED_LOOKS or not whole or sorted(looks) != looks:
        raise Unreadable("manifest.json: evaluation.looks: expected increasing numbers of episodes")
    return evaluation


def _check_in_place(episodes: Sequence[Episode], reference: Sequence[Episode]) -> None:
    """Check episodes in place: as many as the reference has, or fewer that are the same in every bit."""
    where, count = "evaluations.json: in_place", min(len(episodes), len(reference))
    _check_episodes(episodes, where, count if count > 1 else len(reference))
    if count < len(reference) and first_difference(episodes, reference[:count]) is not None:
        raise Unreadable(
            f"{where}: expected {len(reference)} episodes, or fewer that are the reference's in every bit; found "
            f"{count} that are not"
        )


def _check_episodes(episodes: Sequence[Episode], where: str, count: int | None) -> None:
    """Check episodes that were read from a file that anybody may have written.

    :raises Unreadable: an episode is missing, or is not what an episode can be
    """
    expected = len(episodes) if count is None else count
    if not episodes or [episode.episode for episode in episodes] != list(range(expected)):
        raise Unreadable(f"{where}: expected episodes that are numbered from 0, {expected or 'some'} of them")
    for episode in episodes:
        numbers = (episode.reward, episode.step_reward, episode.monitor_reward or 0.0)
        whole = (0 if episode.seed == UNSEEDED else episode.seed, episode.length)
        trace = mapping(episode.trace)
        if not (
            isinstance(episode.trace, dict)
            and all(abs(number) < limits.LARGEST_REWARD for number in numbers)
            and all(type(number) is int and 0 <= number < 2**63 for number in whole)
            and type(episode.terminated) is bool
            and all(_COMPONENT.fullmatch(name) and _digest(trace[name]) for name in trace)
        ):
            raise Unreadable(
                f"{where}: expected numbers and digests, found something else in episode {episode.episode}"
            )


def _device(value: Any) -> str:
    if not isinstance(value, str) or len(value) > limits.LONGEST_NAME:
        raise Unreadable("manifest.json: computed_on: expected the name of a device")
    return printable(value)


def _digest(value: Any) -> str | None:
    if value is not None and not (isinstance(value, str) and _DIGEST.fullmatch(value)):
        raise Unreadable("expected digests, found something else")
    return value
