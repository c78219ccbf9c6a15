"""An entry of ``runs`` says of a whole folder what a row of a table says of one model."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from reload_audit.environments.build import make_env
from reload_audit.processes.imports import with_objects
from support.builders import external_spec
from support.published_layouts import by_name, sb3_zip, text, zoo_run


def found(folder: Path, **entry: Any) -> dict[str, dict[str, Any]]:
    return by_name(runs=[{"folder": str(folder), "env": "CartPole-v1", **entry}])


def arguments(folder: Path, **env_kwargs: Any) -> dict[str, Any]:
    """The arguments of each model's environment, or why it has none."""
    entries = found(folder, env_kwargs=env_kwargs)
    return {name: entry["problem"] or entry["environment"]["env_kwargs"] for name, entry in entries.items()}


def test_arguments_that_differ_by_folder_come_from_its_name(tmp_path: Path) -> None:
    for weight in ("w_0.3", "w_2"):
        sb3_zip(tmp_path / f"sweep/{weight}/ppo.zip")
    written = {"weight": "{folder:w_*}", "label": "{parent}/{folder}", "agent": ["{name}"], "kept": "{weight}"}
    assert arguments(tmp_path, **written) == {
        "sweep/w_0.3/ppo": {"weight": 0.3, "label": "sweep/w_0.3", "agent": ["ppo"], "kept": "{weight}"},
        "sweep/w_2/ppo": {"weight": 2, "label": "sweep/w_2", "agent": ["ppo"], "kept": "{weight}"},
    }


def test_the_environment_itself_may_be_the_name_of_a_folder(tmp_path: Path) -> None:
    sb3_zip(tmp_path / "MountainCar-v0/agent.zip")
    (entry,) = found(tmp_path, env="{folder}").values()
    assert entry["environment"]["env"] == "MountainCar-v0"


@pytest.mark.parametrize("place", ["a/config.yaml", "config.yaml"])
def test_arguments_come_from_the_configuration_of_each_folder(tmp_path: Path, place: str) -> None:
    sb3_zip(tmp_path / "a/ppo.zip")
    text(tmp_path / place, "env: {weight: 0.25, sizes: [1, 2]}\n")
    assert arguments(tmp_path, weight="{config.yaml:env.weight}", all="{config.yaml:env}") == {
        "a/ppo": {"weight": 0.25, "all": {"weight": 0.25, "sizes": [1, 2]}}
    }


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{folder:w_*}", "expected 'w_*' with a star to match the folder 'a'"),
        ("{missing.yaml:x}", "expected a file missing.yaml beside the model or above it, found none"),
        ("{config.yaml:env.x}", "config.yaml to say env.x, found nothing of that name"),
        ("{config.yaml:code}", "may name code: write such a value yourself"),
        ("{config.yaml:object}", "may name code"),
    ],
)
def test_what_cannot_be_filled_in_is_the_problem_of_that_model(tmp_path: Path, written: str, said: str) -> None:
    """A file beside a model may be anybody's: it puts no name of code into the user's words."""
    sb3_zip(tmp_path / "a/ppo.zip")
    text(tmp_path / "config.yaml", "env: {weight: 1}\ncode: os.system\nobject: {object: 'os:system'}\n")
    assert said in arguments(tmp_path, weight=written)["a/ppo"]


def test_wrappers_and_what_is_counted_differ_by_folder_too(tmp_path: Path) -> None:
    for name in ("k_2", "k_4", "k_one"):
        sb3_zip(tmp_path / f"{name}/ppo.zip")
    limit = "gymnasium.wrappers.TimeLimit"
    wrapped = [{limit: {"max_episode_steps": "{folder:k_*}"}}]
    entries = found(tmp_path, wrappers=wrapped, frame_stack="{folder:k_*}", n_envs="{folder:k_*}")
    for n in (2, 4):
        of_one = entries[f"k_{n}/ppo"]
        assert of_one["environment"]["wrappers"] == [{limit: {"max_episode_steps": n}}]
        assert of_one["environment"]["vec_wrappers"] == [{"VecFrameStack": {"n_stack": n}}]
        assert of_one["n_envs"] == n
    said = "frame_stack: {folder:k_*} stands for 'one'; expected an integer of 2 to 1,000"
    assert entries["k_one/ppo"]["problem"].endswith(f"runs[0]: {said}")
    stacked = [{"VecFrameStack": {"n_stack": "{folder:k_*}"}}]
    entry = found(tmp_path, vec_wrappers=stacked)["k_4/ppo"]
    assert entry["environment"]["vec_wrappers"] == [{"VecFrameStack": {"n_stack": 4}}]


def test_statistics_and_evaluations_are_named_by_patterns(tmp_path: Path) -> None:
    for name in ("one", "two"):
        sb3_zip(tmp_path / f"models/{name}.zip")
        text(tmp_path / f"scales/{name}-final.pkl")
        text(tmp_path / f"logs/{name}/evaluations.npz")
    entries = found(tmp_path, statistics="../scales/{name}-*.pkl", evaluations=f"{tmp_path}/logs/{{name}}/*.npz")
    assert {name: (entry["statistics"], entry["evaluations"]) for name, entry in entries.items()} == {
        f"models/{name}": (f"{tmp_path}/scales/{name}-final.pkl", f"{tmp_path}/logs/{name}/evaluations.npz")
        for name in ("one", "two")
    }


def test_a_pattern_that_leads_to_no_file_or_to_several_is_said(tmp_path: Path) -> None:
    sb3_zip(tmp_path / "agent.zip")
    own = text(tmp_path / "vecnormalize.pkl")
    text(tmp_path / "other.pkl")
    for pattern, said in (("*.pkl", f"{tmp_path}/other.pkl, {own}"), ("no*.pkl", "no file")):
        entry = found(tmp_path, statistics=pattern)["agent"]
        assert entry["statistics"] == str(own)
        assert entry["remarks"] == [f"statistics: {pattern} leads to {said}; expected one file"]


def test_a_folder_may_be_said_to_have_no_statistics(tmp_path: Path) -> None:
    sb3_zip(tmp_path / "agent.zip")
    text(tmp_path / "vecnormalize.pkl")
    entry = found(tmp_path, statistics=None)["agent"]
    assert (entry["statistics"], entry["normalized"]) == (None, False)


def test_a_claim_of_a_folder_is_one_of_every_model_that_has_none_of_its_own(tmp_path: Path) -> None:
    for name in ("one", "two"):
        sb3_zip(tmp_path / f"{name}.zip")
    claims = text(tmp_path / "claims.csv", "name,claim_mean\ntwo,7\n")
    runs = [{"folder": str(tmp_path), "env": "CartPole-v1", "claim": {"mean": 500, "std": 1, "n": 20}}]
    entries = by_name(runs=runs, claims=str(claims))
    claimed = {"kind": "explicit", "mean": 500.0, "std": 1.0, "n": 20, "where": "runs[0]"}
    assert entries["one"]["claim"] == claimed
    assert entries["two"]["claim"]["mean"] == 7


def test_a_claim_may_be_read_from_a_file_beside_each_model(tmp_path: Path) -> None:
    sb3_zip(tmp_path / "agent.zip")
    results = text(tmp_path / "agent.json", '{"mean_reward": 500}')
    assert found(tmp_path, claim="{name}.json")["agent"]["results"] == str(results)


# --- Arguments that are objects ----------------------------------------------------------------------------------


class Duel(gym.Env):
    """An environment that wants an opponent, which is a function or an object."""

    observation_space = action_space = gym.spaces.Discrete(2)

    def __init__(self, opponent: Any = None, others: Any = ()) -> None:
        self.opponent, self.others = opponent, others


class Opponent:
    def __init__(self, skill: int) -> None:
        self.skill = skill


def test_an_argument_may_be_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    here = "opponents"
    monkeypatch.setitem(sys.modules, here, sys.modules[__name__])
    made = {"object": f"{here}:Opponent", "arguments": {"skill": 2}}
    given = {"opponent": {"object": f"{here}:found"}, "others": [made, {"object": "cube"}]}
    spec = dataclasses.replace(external_spec("duel").environment, env=f"{here}:Duel", env_kwargs=given)
    duel = make_env(spec).unwrapped
    assert isinstance(duel, Duel)
    assert duel.opponent is found
    assert (duel.others[0].skill, duel.others[1]) == (2, {"object": "cube"})
    assert with_objects({"name": "os:system"}) == {"name": "os:system"}, "a text alone stands for itself"


def test_a_file_may_not_name_an_object(tmp_path: Path) -> None:
    """Whoever names the environment has not thereby consented to what the file beside the model names."""
    zoo_run(tmp_path / "ppo/CartPole-v1_1", args={"env_kwargs": {"opponent": {"object": "os:system"}}})
    (entry,) = found(tmp_path).values()
    assert "env_kwargs name the object os:system, which only your own configuration may" in entry["problem"]
