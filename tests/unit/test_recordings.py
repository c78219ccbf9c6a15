"""A recording may come from anywhere: what a recorder writes is read, anything else is refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reload_audit.models.recording import read_recording
from reload_audit.reading.refusal import Unreadable
from reload_audit.records.digests import digest
from reload_audit.records.episodes import TrainTime, first_difference
from reload_audit.records.storage import json_text

Content = dict[str, Any]


def episode(k: int, reward: float = 1.0, **changes: Any) -> Content:
    trace = {"raw_observations": "0a", "rewards": "1b", "actions": "2c", "policy_observations.left eye": "3d"}
    numbers = {"reward": reward, "length": 3, "monitor_reward": reward, "step_reward": reward}
    return {"episode": k, "seed": k, "terminated": True, "trace": trace, **numbers, **changes}


def recorded() -> tuple[Content, Content]:
    """What a recorder writes: manifest and evaluations."""
    evaluation = {"episodes": 2, "seed": 0, "n_envs": 2, "max_episode_steps": 10, "looks": [20, 40]}
    manifest = {
        "spec": {"evaluation": evaluation},
        "digests": {"parameters": "ab", "optimizer": "cd", "normalizer": None},
        "acts_on": {"observation_space": "Box()", "action_space": "Box()", "env_spec": None, "env_stack": []},
        "versions": {"stable_baselines3": "2.9.2"},
    }
    episodes = [episode(0), episode(1)]
    return manifest, {"in_place": None, "reference": episodes, "random_policy": [episode(0, 0.0)]}


def write(folder: Path, manifest: Any, evaluations: Any) -> Path:
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "evaluations.json").write_text(json.dumps(evaluations))
    return folder


def test_a_recording_as_the_recorder_writes_it_is_read(tmp_path):
    recording = read_recording(write(tmp_path, *recorded()))
    assert [episode.reward for episode in recording.train_time.reference] == [1.0, 1.0]
    assert (recording.evaluation.n_envs, recording.evaluation.looks) == (2, (20, 40))
    assert recording.identity.versions == {"stable_baselines3": "2.9.2"}


def test_fewer_episodes_in_place_that_are_the_reference_s_in_every_bit_stand_for_all(tmp_path):
    manifest, evaluations = recorded()
    manifest["spec"]["evaluation"]["episodes"] = 3
    evaluations |= {"reference": [episode(0), episode(1), episode(2, 5.0)], "in_place": [episode(0), episode(1)]}
    measured = read_recording(write(tmp_path, manifest, evaluations)).train_time
    assert [one.reward for one in measured.quoted] == [1.0, 1.0, 5.0]
    evaluations["in_place"][1] = episode(1, 2.0)
    with pytest.raises(Unreadable, match="in_place: expected 3 episodes, or fewer that are the reference's"):
        read_recording(write(tmp_path, manifest, evaluations))


def test_entries_that_no_recorder_writes_are_ignored(tmp_path):
    manifest, evaluations = recorded()
    manifest["versions"] |= {"<script>": "1", "numpy": "=cmd|calc", "\ud800": "1", "torch": "2.13.0+cpu"}
    manifest["digests"]["\ud800"] = "ab"
    recording = read_recording(write(tmp_path, manifest, evaluations))
    assert set(recording.identity.versions) == {"stable_baselines3", "torch"}


def evaluation(**changes: Any) -> Callable[[Content, Content], None]:
    return lambda manifest, _: manifest["spec"]["evaluation"].update(changes)


def first_episode(**changes: Any) -> Callable[[Content, Content], None]:
    return lambda _, evaluations: evaluations["reference"][0].update(changes)


SPOILED: dict[str, Callable[[Content, Content], Any]] = {
    "no protocol": lambda manifest, _: manifest.pop("spec"),
    "no digests": lambda manifest, _: manifest.pop("digests"),
    "a digest that is none": lambda manifest, _: manifest["digests"].update(parameters="<b>"),
    "no environment": lambda manifest, _: manifest["acts_on"].pop("env_spec"),
    "no episodes wanted": evaluation(episodes=0),
    "as many slots as there is memory for": evaluation(n_envs=10**9),
    "true slots": evaluation(n_envs=True),
    "no looks": evaluation(looks=[]),
    "looks that are texts": evaluation(looks=["2"]),
    "an episode too few": lambda _, evaluations: evaluations["reference"].pop(),
    "an episode twice": first_episode(episode=1),
    "a reward beyond all reason": first_episode(reward=1e308),
    "a reward that is no number": first_episode(reward="nan"),
    "a seed that no table can hold": first_episode(seed=2**70),
    "half a character": first_episode(trace={"\ud800": "0a"}),
    "a digest that is markup": first_episode(trace={"actions": "<script>"}),
    "digests that are a number": first_episode(trace=5),
    "digests that are a list": first_episode(trace=[]),
    "no random episodes": lambda _, evaluations: evaluations.update(random_policy=[]),
    "a random reward that is no number": lambda _, evaluations: evaluations.update(random_policy=[episode(0, "nan")]),
}


@pytest.mark.parametrize("what", SPOILED)
def test_a_recording_with_invalid_content_is_refused(what, tmp_path):
    manifest, evaluations = recorded()
    SPOILED[what](manifest, evaluations)
    with pytest.raises(Unreadable) as refused:
        read_recording(write(tmp_path, manifest, evaluations))
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"[" * 100_000, b"\xff\xfe", b'{"spec": NaN}'])
@pytest.mark.parametrize("name", ["manifest.json", "evaluations.json"])
def test_a_recording_whose_files_are_no_json_records_is_refused(name, content, tmp_path):
    (write(tmp_path, *recorded()) / name).write_bytes(content)
    with pytest.raises(Unreadable):
        read_recording(tmp_path)


_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=()))
_ANYTHING = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


def places_in(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to all values in plain data."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [path, *(place for key, item in items for place in places_in(item, (*path, key)))]


@given(at=st.sampled_from([place for place in places_in(list(recorded())) if len(place) > 1]), odd=_ANYTHING)
def test_whatever_stands_at_one_place_a_recording_is_read_and_can_be_used_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, at: tuple[Any, ...], odd: Any
) -> None:
    content: Any = list(recorded())
    inner = content
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = odd
    folder = tmp_path_factory.mktemp("recorded")
    try:
        recording = read_recording(write(folder, *content))
    except Unreadable:
        return
    episodes = recording.train_time.reference
    assert first_difference(episodes, episodes) is None
    assert all(digest(episode.trace) for episode in episodes)
    assert TrainTime.from_dict(json.loads(json_text(recording.train_time.to_dict()))).quoted
