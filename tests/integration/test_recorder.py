"""A recorder in somebody's training script: what is wrong is said before training, and training goes on undisturbed."""

from __future__ import annotations

import numpy as np
import planted
import pytest
import torch as th
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from reload_audit import ReferenceRecorder, record_reference
from reload_audit.models import model_folder
from reload_audit.models.recording import read_recording
from reload_audit.reading.refusal import Unreadable
from reload_audit.training import recorder
from support.builders import SCHEMA

QUICK = {"episodes": 4, "n_envs": 2}


def model() -> PPO:
    venv = VecNormalize(make_vec_env("CartPole-v1", n_envs=2))
    return PPO("MlpPolicy", venv, n_steps=32, batch_size=32, n_epochs=1, seed=0, policy_kwargs={"net_arch": [8]})


def test_training_goes_on_afterwards_bit_for_bit_as_if_nothing_had_been_recorded(tmp_path):
    digests = []
    for record in (False, True):
        trained = model()
        trained.learn(64)
        if record:
            record_reference(trained, tmp_path / "recorded", "CartPole-v1", **QUICK)
        trained.learn(64, reset_num_timesteps=False)
        drawn = np.random.rand(), th.rand(1).item()
        digests.append((model_folder.content_digests(trained, trained.get_vec_normalize_env()), drawn))
    assert digests[0] == digests[1]


def test_the_looks_of_a_recording_are_those_of_the_configuration():
    assert list(recorder._LOOKS) == SCHEMA["properties"]["verdict"]["properties"]["looks"]["default"]


def test_recording_a_second_time_replaces_the_first(tmp_path):
    first, second = model(), model()
    first.learn(64)
    record_reference(first, tmp_path, "CartPole-v1", **QUICK)
    second.learn(192)
    record_reference(second, tmp_path, "CartPole-v1", **QUICK)
    expected = model_folder.content_digests(second, second.get_vec_normalize_env())
    assert read_recording(tmp_path).identity.digests == expected


def test_a_recording_that_fails_half_way_leaves_no_reference_of_another_model(tmp_path):
    record_reference(model(), tmp_path, "CartPole-v1", **QUICK)
    with pytest.raises(Exception, match="did not end within 1 steps"):
        record_reference(model(), tmp_path, "CartPole-v1", max_episode_steps=1, **QUICK)
    with pytest.raises(Unreadable):
        read_recording(tmp_path)


def test_an_unknown_option_is_named_at_once(tmp_path):
    with pytest.raises(TypeError, match="episode"):
        ReferenceRecorder(tmp_path, "CartPole-v1", episode=3)


def test_another_environment_than_the_one_trained_in_is_named_before_training(tmp_path):
    trained = model()
    with pytest.raises(ValueError, match="not like the environment that is trained in"):
        trained.learn(64, callback=ReferenceRecorder(tmp_path, "Pendulum-v1"))
    assert trained.num_timesteps == 0


def test_a_class_is_recorded_by_the_name_under_which_others_find_it(tmp_path):
    trained = PPO("MlpPolicy", planted.Draws(), n_steps=32, batch_size=32, n_epochs=1)
    trained.learn(32, callback=ReferenceRecorder(tmp_path, planted.Draws, **QUICK))
    assert (tmp_path / "manifest.json").read_text().count("planted:Draws") == 1


def test_a_class_that_no_other_process_can_import_is_refused_with_what_to_do(tmp_path):
    class Local(planted.Draws):
        pass

    with pytest.raises(ValueError, match="move it into a module of its own"):
        ReferenceRecorder(tmp_path, Local)


def test_a_model_of_another_algorithm_is_refused(tmp_path):
    class Mine(PPO):
        pass

    mine = Mine("MlpPolicy", "CartPole-v1", n_steps=32)
    with pytest.raises(ValueError, match="expected a model of stable-baselines3 or sb3-contrib, found a Mine"):
        record_reference(mine, tmp_path, "CartPole-v1")
