"""External models are found in the layouts that people use, with what is known about them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import sb3_contrib
import stable_baselines3

from reload_audit.planning.configuration import ConfigError
from reload_audit.planning.discovery.names import ALGORITHMS
from reload_audit.planning.discovery.zips import algorithm_of, settings
from reload_audit.records.specs import ExternalSpec
from support.builders import ROOT
from support.published_layouts import (
    by_name,
    discovered,
    files_of_model,
    hub_repository,
    ordered,
    other_zip,
    recording,
    sb3_zip,
    text,
    the_only,
    zoo_run,
)

SHARED = ROOT.parent / "shared/models"


def test_a_run_of_rl_zoo_is_known_by_its_settings(tmp_path: Path) -> None:
    wrapper = "stable_baselines3.common.atari_wrappers.AtariWrapper"
    config = {"normalize": True, "frame_stack": 4, "env_wrapper": [{wrapper: {"frame_skip": 2}}]}
    run = zoo_run(tmp_path / "a2c/CartPole-v1_1", args={"env_kwargs": {"gravity": 9}}, config=config, statistics=True)
    found = the_only(runs=[str(tmp_path)])

    assert ExternalSpec.from_dict(found).model == "a2c/CartPole-v1_1"
    assert (found["source"], found["role"], found["group"]) == ("zoo", "final", str(tmp_path))
    assert (found["algo"], found["n_envs"], found["normalized"]) == ("A2C", 8, True)
    assert found["path"] == str(run / "CartPole-v1.zip")
    assert found["statistics"] == str(run / "CartPole-v1/vecnormalize.pkl")
    assert (found["evaluations"], found["monitors"]) == (str(run / "evaluations.npz"), [str(run / "0.monitor.csv")])
    assert found["environment"] == {
        "env": "CartPole-v1",
        "env_kwargs": {"gravity": 9},
        "wrappers": [{wrapper: {"frame_skip": 2}}],
        "monitor": "env",
        "vec_wrappers": [{"VecFrameStack": {"n_stack": 4}}],
        "python_path": [],
        "vec_env": None,
    }, "where VecNormalize stands is told from its statistics"
    assert not found["named_by_user"]
    assert not found["deterministic"], "RL Zoo evaluates Atari with stochastic actions"


def test_a_checkpoint_gets_the_statistics_that_users_would_load_with_it(tmp_path: Path) -> None:
    run = zoo_run(tmp_path / "ppo/CartPole-v1_1", config={"normalize": True}, statistics=True)
    for name in ("best_model", "rl_model_100_steps", "rl_model_200_steps"):
        sb3_zip(run / f"{name}.zip")
    own = text(run / "rl_model_vecnormalize_100_steps.pkl")
    found = by_name(runs=[str(tmp_path)])

    final = str(run / "CartPole-v1/vecnormalize.pkl")
    assert {name: (entry["role"], entry["statistics"]) for name, entry in found.items()} == {
        "ppo/CartPole-v1_1": ("final", final),
        "ppo/CartPole-v1_1/best_model": ("best", final),
        "ppo/CartPole-v1_1/rl_model_100_steps": ("checkpoint", str(own)),
        "ppo/CartPole-v1_1/rl_model_200_steps": ("checkpoint", final),
    }


@pytest.mark.parametrize(
    ("normalize", "expected"),
    [
        (True, True),
        (False, False),
        ("{'norm_obs': True, 'norm_reward': False}", True),
        ("dict(norm_obs=True, norm_reward=False)", True),
        ({"norm_reward": False}, True),
        ("__import__('os').system('true')", True),
    ],
)
def test_all_ways_to_ask_for_normalisation_are_understood(tmp_path: Path, normalize: Any, expected: bool) -> None:
    zoo_run(tmp_path / "ppo/CartPole-v1_1", config={"normalize": normalize}, statistics=True)
    found = the_only(runs=[str(tmp_path)])
    assert found["normalized"] is expected
    assert (found["statistics"] is not None) is expected, "RL Zoo loads statistics only where it normalises"


def test_statistics_of_rewards_alone_are_not_missed(tmp_path: Path) -> None:
    zoo_run(tmp_path / "ppo/CartPole-v1_1", config={"normalize": "dict(norm_obs=False, norm_reward=True)"})
    assert the_only(runs=[str(tmp_path)])["normalized"] is False


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("gym.wrappers.FlattenObservation", ["gymnasium.wrappers.FlattenObservation"]),
        ("gym.wrappers.time_limit.TimeLimit", ["gymnasium.wrappers.TimeLimit"]),
        ("utils.wrappers.TimeFeatureWrapper", ["sb3_contrib.common.wrappers.TimeFeatureWrapper"]),
        (["rl_zoo3.wrappers.TimeFeatureWrapper"], ["sb3_contrib.common.wrappers.TimeFeatureWrapper"]),
        ([{"rl_zoo3.wrappers.HistoryWrapper": {"horizon": 2}}], [{"rl_zoo3.wrappers.HistoryWrapper": {"horizon": 2}}]),
        (None, []),
    ],
)
def test_renamed_wrappers_get_their_present_names(tmp_path: Path, written: Any, read: list[Any]) -> None:
    zoo_run(tmp_path / "ppo/CartPole-v1_1", config={"env_wrapper": written})
    assert the_only(runs=[str(tmp_path)])["environment"]["wrappers"] == read


def test_stacked_frames_may_be_asked_for_as_a_wrapper(tmp_path: Path) -> None:
    stacked = {"vec_env_wrapper": [{"stable_baselines3.common.vec_env.VecFrameStack": {"n_stack": 4}}]}
    zoo_run(tmp_path / "ppo/CartPole-v1_1", config=stacked)
    assert the_only(runs=[str(tmp_path)])["environment"]["vec_wrappers"] == [{"VecFrameStack": {"n_stack": 4}}]


def test_ones_own_wrapper_of_the_vec_env_stands_inside_vec_normalize_as_rl_zoo_puts_it(tmp_path: Path) -> None:
    config = {"vec_env_wrapper": "mine.VecOdd", "normalize": True, "frame_stack": 2}
    zoo_run(tmp_path / "ppo/CartPole-v1_1", config=config, statistics=True)
    found = the_only(runs=[str(tmp_path)])
    assert found["environment"]["vec_wrappers"] == ["mine.VecOdd", "VecNormalize", {"VecFrameStack": {"n_stack": 2}}]
    assert not found["named_by_user"], "mine is to be trusted first"


@pytest.mark.parametrize(
    ("algo", "expected"), [("ppo_lstm", "RecurrentPPO"), ("PPO", "PPO"), ("tqc", "TQC"), ("crossq", "CrossQ")]
)
def test_names_of_algorithms_become_those_of_their_classes(tmp_path: Path, algo: str, expected: str) -> None:
    zoo_run(tmp_path / algo / "CartPole-v1_1")
    assert the_only(runs=[str(tmp_path)])["algo"] == expected


def test_folder_names_give_what_the_settings_do_not(tmp_path: Path) -> None:
    run = tmp_path / "ppo_lstm/ALE-Pong-v5_3"
    sb3_zip(run / "ALE-Pong-v5.zip")
    text(run / "ALE-Pong-v5/config.yml", "n_envs: 4")
    found = the_only(runs=[str(tmp_path)])
    assert (found["algo"], found["environment"]["env"], found["n_envs"]) == ("RecurrentPPO", "ALE/Pong-v5", 4)
    assert found["model"] == "ppo_lstm/ALE-Pong-v5_3"


def test_runs_without_a_folder_of_their_own_are_told_apart(tmp_path: Path) -> None:
    zoo_run(tmp_path / "ppo", env="CartPole-v1")
    zoo_run(tmp_path / "ppo", env="Acrobot-v1", args={"algo": "ppo"})
    text(tmp_path / "ppo/CartPole-v1/args.yml", ordered({"algo": "ppo", "env": "CartPole-v1"}))
    found = by_name(runs=[str(tmp_path)])
    assert {name: entry["environment"]["env"] for name, entry in found.items()} == {
        "ppo/Acrobot-v1": "Acrobot-v1",
        "ppo/CartPole-v1": "CartPole-v1",
    }


def in_cache(root: Path, org: str = "sb3", name: str = "ppo-CartPole-v1", revision: str = "abc") -> Path:
    """A repository in Hugging Face's cache: files are links into ``blobs``."""
    repository = root / f"models--{org}--{name}"
    snapshot = hub_repository(repository / "snapshots" / revision, zip_name=f"{name}.zip")
    for number, file in enumerate(sorted(snapshot.iterdir())):
        blob = repository / "blobs" / f"{revision}{number}"
        blob.parent.mkdir(exist_ok=True)
        file.rename(blob)
        file.symlink_to(os.path.relpath(blob, snapshot))
    return snapshot


def test_a_repository_is_known_by_its_card(tmp_path: Path) -> None:
    folder = hub_repository(tmp_path / "mine", zip_name="agent.zip", env="LunarLander-v2")
    text(folder / "vec_normalize.pkl")
    found = the_only(runs=[str(tmp_path)])

    assert (found["model"], found["source"], found["algo"]) == ("mine", "hub", "PPO")
    assert (found["environment"]["env"], found["deterministic"], found["n_envs"]) == ("LunarLander-v2", True, 4)
    assert found["model_card"] == str(folder / "README.md")
    assert found["results"] == str(folder / "results.json")
    assert found["statistics"] == str(folder / "vec_normalize.pkl")
    assert found["normalized"] is None, "nothing says how it was trained"


def test_a_repository_with_settings_is_known_by_them(tmp_path: Path) -> None:
    folder = hub_repository(tmp_path / "qrdqn-PongNoFrameskip-v4", zip_name="qrdqn-PongNoFrameskip-v4.zip", env="other")
    text(folder / "args.yml", ordered({"algo": "qrdqn", "env": "PongNoFrameskip-v4", "env_kwargs": None}))
    text(folder / "config.yml", ordered({"frame_stack": 4, "normalize": False}))
    text(folder / "env_kwargs.yml", "{render_mode: rgb_array, full_action_space: true}")
    text(folder / "results.json", json.dumps({"is_deterministic": False}))
    found = the_only(runs=[str(tmp_path)])

    assert (found["algo"], found["deterministic"], found["normalized"]) == ("QRDQN", False, False)
    assert found["environment"]["env"] == "PongNoFrameskip-v4"
    assert found["environment"]["env_kwargs"] == {"full_action_space": True}, "nobody watches, so nothing is rendered"
    assert found["environment"]["vec_wrappers"] == [{"VecFrameStack": {"n_stack": 4}}]


def test_the_cache_of_hugging_face_is_read(tmp_path: Path) -> None:
    in_cache(tmp_path)
    found = the_only(runs=[str(tmp_path)])
    assert (found["model"], found["problem"], found["algo"]) == ("sb3/ppo-CartPole-v1", None, "PPO")
    assert found["results"] is not None


def test_one_repository_of_the_cache_can_be_named_itself(tmp_path: Path) -> None:
    snapshot = in_cache(tmp_path)
    for folder in (snapshot, snapshot.parents[1]):
        found = the_only(runs=[str(folder)])
        assert (found["model"], found["problem"]) == ("sb3/ppo-CartPole-v1", None)


def test_revisions_of_a_repository_are_told_apart(tmp_path: Path) -> None:
    in_cache(tmp_path, revision="abc")
    in_cache(tmp_path, revision="def")
    assert list(by_name(runs=[str(tmp_path)])) == ["sb3/ppo-CartPole-v1/abc", "sb3/ppo-CartPole-v1/def"]


def test_a_link_from_one_repository_into_another_leads_out(tmp_path: Path) -> None:
    other = in_cache(tmp_path, name="other")
    (other.parent.parent / "secret.zip").touch()
    snapshot = in_cache(tmp_path)
    (snapshot / "ppo-CartPole-v1.zip").unlink()
    (snapshot / "ppo-CartPole-v1.zip").symlink_to(other.parent.parent / "secret.zip")
    assert "which is outside of it" in by_name(runs=[str(tmp_path)])["sb3/ppo-CartPole-v1"]["problem"]


@pytest.fixture(scope="module")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a saved, untrained model of each algorithm."""
    folder = tmp_path_factory.mktemp("saved")
    for name in ALGORITHMS:
        kind = getattr(stable_baselines3, name, None) or getattr(sb3_contrib, name)
        continuous = name in ("CrossQ", "DDPG", "SAC", "TD3", "TQC")
        small: dict[str, Any] = {"policy_kwargs": {"net_arch": [2]}} if name != "ARS" else {}
        if name == "RecurrentPPO":
            small["policy_kwargs"] |= {"lstm_hidden_size": 2}
        if continuous or name in ("DQN", "QRDQN"):
            small["buffer_size"] = 1
        policy = "MlpLstmPolicy" if name == "RecurrentPPO" else "MlpPolicy"
        kind(policy, "Pendulum-v1" if continuous else "CartPole-v1", device="cpu", **small).save(folder / f"of-{name}")
    for name in ALGORITHMS:  # no name that tells
        (folder / f"of-{name}.zip").rename(folder / f"{ALGORITHMS.index(name)}.zip")
    return folder


def test_the_algorithm_is_recognised_from_the_zip(saved_models: Path) -> None:
    assert [entry["algo"] for entry in sorted(_unnamed(saved_models), key=lambda e: int(e["model"]))] == list(
        ALGORITHMS
    )


def _unnamed(folder: Path) -> list[dict[str, Any]]:
    return discovered(runs=[{"folder": str(folder), "env": "CartPole-v1"}])


def test_the_algorithm_of_a_custom_policy_is_recognised_from_attributes(saved_models: Path) -> None:
    for index, name in enumerate(ALGORITHMS):
        data = {**(settings(str(saved_models / f"{index}.zip")) or {}), "policy_class": {}}
        assert algorithm_of(data) == name or name in ("MaskablePPO", "RecurrentPPO")


@pytest.mark.parametrize(
    ("path", "env"),
    [
        ("ppo-CartPole-v1.zip", "CartPole-v1"),
        ("best_LunarLanderContinuous-v2_final.zip", "LunarLanderContinuous-v2"),
        ("sac/MiniGrid-Empty-5x5-v0/model.zip", "MiniGrid-Empty-5x5-v0"),
        ("PPO/ALE/Pong-v5/agent.zip", "ALE/Pong-v5"),
        ("ppo_BreakoutNoFrameskip-v4.zip", "BreakoutNoFrameskip-v4"),
    ],
)
def test_the_environment_is_recognised_from_file_and_folder_names(tmp_path: Path, path: str, env: str) -> None:
    sb3_zip(tmp_path / path)
    found = the_only(runs=[str(tmp_path)])
    assert (found["environment"]["env"], found["source"]) == (env, "folder")
    assert found["model"] == path.removesuffix(".zip")


@pytest.mark.parametrize(
    ("model", "statistics"),
    [
        ("a", "a_vecnormalize.pkl"),
        ("a", "a.vecnormalize.pkl"),
        ("a", "vecnormalize_a.pkl"),
        ("a", "a/vecnormalize.pkl"),
        ("a", "vecnormalize.pkl"),
        ("a", "vec_normalize.pkl"),
        ("a", "VecNormalize.pkl"),
        ("a_500_steps", "a_vecnormalize_500_steps.pkl"),
    ],
)
def test_statistics_are_found_under_the_names_that_people_give_them(
    tmp_path: Path, model: str, statistics: str
) -> None:
    sb3_zip(tmp_path / "CartPole-v1" / f"{model}.zip")
    expected = text(tmp_path / "CartPole-v1" / statistics)
    text(tmp_path / "CartPole-v1/b_vecnormalize.pkl")
    assert the_only(runs=[str(tmp_path)])["statistics"] == str(expected)


def test_a_model_s_own_statistics_count_more_than_those_of_its_folder(tmp_path: Path) -> None:
    sb3_zip(tmp_path / "CartPole-v1.zip")
    own = text(tmp_path / "CartPole-v1_vecnormalize.pkl")
    text(tmp_path / "vecnormalize.pkl")
    assert the_only(runs=[str(tmp_path)])["statistics"] == str(own)


def test_of_two_possible_statistics_the_user_has_to_choose(tmp_path: Path) -> None:
    sb3_zip(tmp_path / "CartPole-v1.zip")
    text(tmp_path / "vecnormalize.pkl")
    text(tmp_path / "vec_normalize.pkl")
    with pytest.raises(ConfigError, match=r"which of vecnormalize\.pkl and vec_normalize\.pkl are its statistics"):
        discovered(runs=[str(tmp_path)])


def test_evaluations_and_monitor_files_count_only_where_they_can_belong_to_one_final_model(tmp_path: Path) -> None:
    for name in ("one/CartPole-v1", "one/best_model", "two/CartPole-v1", "two/Acrobot-v1"):
        sb3_zip(tmp_path / f"{name}.zip")
    for folder in ("one", "two"):
        text(tmp_path / folder / "evaluations.npz")
        text(tmp_path / folder / "monitor.csv")
    found = by_name(runs=[{"folder": str(tmp_path), "env": "CartPole-v1"}])
    assert {name: bool(entry["evaluations"] and entry["monitors"]) for name, entry in found.items()} == {
        "one/CartPole-v1": True,
        "one/best_model": True,
        "two/CartPole-v1": False,
        "two/Acrobot-v1": False,
    }


def test_zips_that_are_no_models_are_skipped(tmp_path: Path) -> None:
    sb3_zip(tmp_path / "CartPole-v1.zip")
    other_zip(tmp_path / "holiday.zip")
    sb3_zip(tmp_path / "replay_buffer.zip")
    assert list(by_name(runs=[str(tmp_path)])) == ["CartPole-v1"]


def test_all_missing_information_is_asked_for_at_once(tmp_path: Path) -> None:
    sb3_zip(tmp_path / "first.zip", {})
    sb3_zip(tmp_path / "second.zip")
    with pytest.raises(ConfigError) as raised:
        discovered(runs=[str(tmp_path)])
    message = str(raised.value)
    assert f"{tmp_path}/first.zip: no algorithm, no environment" in message
    assert f"{tmp_path}/second.zip: no environment" in message
    assert "`runs`" in message
    assert "`exclude`" in message


SPEC = {
    "algo": "SAC",
    "n_envs": 2,
    "device": "cuda",
    "environment": {
        "env": "mine:Env",
        "env_kwargs": {"payload": 2.0},
        "wrappers": ["a.B"],
        "monitor": "vec",
        "vec_wrappers": ["VecMonitor", {"VecFrameStack": {"n_stack": 2}}, {"VecNormalize": {"gamma": 0.9}}],
        "python_path": ["/somewhere"],
        "vec_env": None,
    },
}


def test_a_recording_is_known_by_its_manifest(tmp_path: Path) -> None:
    folder = recording(tmp_path / "sac-seed0-n2", SPEC)
    text(folder / "vecnormalize.pkl")
    found = the_only(runs=[str(tmp_path)], python_path=["examples"])

    assert (found["model"], found["source"], found["recording"]) == ("sac-seed0-n2", "recorded", str(folder))
    assert (found["algo"], found["n_envs"], found["normalized"]) == ("SAC", 2, True)
    assert found["environment"] == {
        **SPEC["environment"],  # type: ignore[dict-item]
        "python_path": ["examples"],
    }, "folders to import from are the user's to name"
    assert not found["named_by_user"]
    assert the_only(runs=[str(folder)])["model"] == "sac-seed0-n2"


@pytest.mark.parametrize(
    "manifest",
    [
        "{",
        "[1]",
        '{"spec": {"algo": "PPO", "environment": {"env": 3}}}',
        '{"spec": {"environment": {"wrappers": [3]}}}',
    ],
)
def test_a_manifest_of_something_else_is_a_problem_or_has_to_be_explained(tmp_path: Path, manifest: str) -> None:
    folder = recording(tmp_path / "odd", SPEC)
    text(folder / "manifest.json", manifest)
    try:
        found = the_only(runs=[str(tmp_path)])
    except ConfigError as error:
        assert "no algorithm, no environment" in str(error)  # noqa: PT017
    else:
        assert "manifest.json" in found["problem"]


def test_a_recording_s_episodes_are_among_its_files(tmp_path: Path) -> None:
    recording(tmp_path / "one", SPEC)
    assert [Path(file).name for file in files_of_model(the_only(runs=[str(tmp_path)]))] == [
        "model.zip",
        "manifest.json",
        "evaluations.json",
    ]


@pytest.mark.skipif(not SHARED.exists(), reason="the published models are not here")
def test_the_published_agents_are_discovered_with_their_settings(tmp_path: Path) -> None:
    found = discovered(runs=[str(SHARED / "rl-trained-agents")], claims=str(SHARED / "claims.csv"))
    specs = [ExternalSpec.from_dict(entry) for entry in found]

    assert len(specs) == 9
    assert all(spec.algo in ALGORITHMS and spec.environment.env and spec.problem is None for spec in specs)
    assert [bool(spec.statistics) for spec in specs] == [bool(spec.normalized) for spec in specs]
    assert sum(spec.statistics is not None for spec in specs) == 4
    assert [spec.model for spec in specs if spec.claim is None] == ["ars/CartPole-v1_1/best_model"]
    assert all(spec.evaluations and spec.monitors for spec in specs)

    shutil.copytree(SHARED / "rl-trained-agents", tmp_path / "copy")
    moved = discovered(runs=[str(tmp_path / "copy")])
    assert [entry["model"] for entry in moved] == [entry["model"] for entry in found]
