"""A recorder in somebody's training script: what is wrong is said before training, and training goes on undisturbed."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import failing
import fast
import gymnasium as gym
import layered
import numpy as np
import planted
import pytest
import torch as th
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecFrameStack, VecNormalize

from reload_audit import ReferenceRecorder, record_reference
from reload_audit.models import model_folder
from reload_audit.models.recording import read_recording
from reload_audit.reading.refusal import Unreadable
from reload_audit.records.storage import read_json
from reload_audit.training import recorder
from support.builders import SCHEMA
from support.external_audits import audit_models

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
    model_of_failing = PPO(
        "MlpPolicy", make_vec_env(failing.RaisesInTraining, n_envs=1), n_steps=32, batch_size=32, seed=0
    )
    with pytest.raises(RuntimeError, match="the simulator went away"):
        record_reference(model_of_failing, tmp_path, episodes=400, n_envs=1)
    with pytest.raises(Unreadable):
        read_recording(tmp_path)


def test_a_recording_that_is_refused_leaves_the_one_that_is_there(tmp_path):
    first = model()
    record_reference(first, tmp_path, "CartPole-v1", **QUICK)
    with pytest.raises(Exception, match="nonsense"):
        record_reference(model(), tmp_path, "CartPole-v1", env_kwargs={"nonsense": 1}, **QUICK)
    expected = model_folder.content_digests(first, first.get_vec_normalize_env())
    assert read_recording(tmp_path).identity.digests == expected


def test_an_unknown_option_is_named_at_once(tmp_path):
    with pytest.raises(TypeError, match="episode"):
        ReferenceRecorder(tmp_path, "CartPole-v1", episode=3)


@pytest.mark.parametrize("option", ["env_kwargs", "vec_wrappers"])
def test_an_object_that_no_recording_may_name_is_refused_at_once_with_what_to_do(option, tmp_path):
    arguments = {"opponent": {"object": "opponents:random"}}
    given = arguments if option == "env_kwargs" else [{"mine.Mirrored": arguments}]
    with pytest.raises(ValueError, match=r"name the object opponents:random: .* as env_fns"):
        ReferenceRecorder(tmp_path, "CartPole-v1", **{option: given})


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


# --- What was trained ----------------------------------------------------------------------------------------------


def small(venv: VecEnv | gym.Env) -> PPO:
    return PPO("MlpPolicy", venv, n_steps=16, batch_size=16, n_epochs=1, seed=0, policy_kwargs={"net_arch": [4]})


def environment(folder: Path) -> dict[str, Any]:
    return dict(read_json(folder / "manifest.json")["spec"]["environment"])


def rewards(folder: Path, name: str) -> list[float]:
    return [episode["reward"] for episode in read_json(folder / "evaluations.json")[name]]


def test_every_layer_is_read_off_the_environments_and_nothing_has_to_be_named(tmp_path):
    scaled = {"wrapper_class": layered.Scaled, "wrapper_kwargs": {"scale": 3.0}}
    venv = make_vec_env(layered.Level, n_envs=2, seed=0, env_kwargs={"level": 2}, **scaled)
    trained = small(VecFrameStack(VecNormalize(layered.Mirrored(venv, factor=0.5)), 2))
    trained.learn(32, callback=ReferenceRecorder(tmp_path, **QUICK))
    recorded = environment(tmp_path)
    assert (recorded["env"], recorded["env_kwargs"]) == ("layered:Level", {"level": 2})
    assert recorded["wrappers"] == [{"layered.Scaled": {"scale": 3.0}}]
    stack = [{"layered.Mirrored": {"factor": 0.5}}, "VecNormalize", {"VecFrameStack": {"n_stack": 2}}]
    assert recorded["vec_wrappers"] == stack
    assert rewards(tmp_path, "in_place") == rewards(tmp_path, "reference")
    assert read_recording(tmp_path).changed == ()


def test_arguments_of_a_registered_environment_are_read_off_it(tmp_path):
    venv = make_vec_env("CartPole-v1", n_envs=1, env_kwargs={"sutton_barto_reward": True, "max_episode_steps": 9})
    small(venv).learn(16, callback=ReferenceRecorder(tmp_path, **QUICK))
    recorded = environment(tmp_path)
    assert (recorded["env"], recorded["wrappers"]) == ("CartPole-v1", [])
    assert recorded["env_kwargs"] == {"sutton_barto_reward": True, "max_episode_steps": 9}
    assert rewards(tmp_path, "in_place") == rewards(tmp_path, "reference")


class InTheScript(layered.Mirrored):
    """Stands for a class of the script: the test gives it the module's name that a script has."""


def refused(folder: Path, venv: VecEnv | gym.Env, **options: Any) -> str:
    trained = small(venv)
    with pytest.raises(ValueError, match=r".") as raised:
        trained.learn(32, callback=ReferenceRecorder(folder / "refused", **options))
    assert trained.num_timesteps == 0
    assert not (folder / "refused").exists()
    return str(raised.value)


def test_a_layer_that_cannot_be_built_again_is_named_before_training(tmp_path, monkeypatch):
    def hidden() -> gym.Env:
        return layered.Hiding(layered.Level(), 3.0)

    venv = make_vec_env(hidden)
    said = refused(tmp_path, venv, env="layered:Level")
    assert "layered.Hiding as it is trained in differs from a new one: factor is 3.0, not 1.0" in said
    assert 'wrappers=[{"layered.Hiding": {"scale": ...}}]' in said
    named = ReferenceRecorder(tmp_path, layered.Level, wrappers=[{"layered.Hiding": {"scale": 3.0}}], **QUICK)
    small(venv).learn(16, callback=named)
    assert rewards(tmp_path, "in_place") == rewards(tmp_path, "reference")

    monkeypatch.setattr(InTheScript, "__module__", "__main__")
    said = refused(tmp_path, InTheScript(make_vec_env(layered.Level)), env="layered:Level")
    assert "the VecEnvWrapper InTheScript is defined in the training script itself" in said
    said = refused(tmp_path, make_vec_env(layered.Level, env_kwargs={"level": 2}), env_kwargs={"level": 1})
    assert "level is 2, not 1" in said
    mapped = partial(gym.wrappers.TransformReward, func=lambda reward: reward)
    said = refused(tmp_path, make_vec_env(layered.Level, wrapper_class=mapped))
    assert "what TransformReward was given cannot be read off it and written down: func" in said
    said = refused(tmp_path, make_vec_env(layered.Level), env=layered.Level, wrappers=["layered.Scaled"])
    assert "expected Level, found Scaled in Level" in said


def test_the_factory_of_the_environments_says_all_that_they_hide(tmp_path):
    factory = partial(layered.make_hiding, scale=4.0)
    small(DummyVecEnv([factory])).learn(16, callback=ReferenceRecorder(tmp_path, env_fns=[factory], **QUICK))
    assert environment(tmp_path)["env"] == "layered:make_hiding"
    assert environment(tmp_path)["env_kwargs"] == {"scale": 4.0}
    assert rewards(tmp_path, "in_place") == rewards(tmp_path, "reference")


def test_a_wrapper_that_puts_others_around_the_environment_is_named_alone(tmp_path):
    venv = make_vec_env(layered.Level, wrapper_class=layered.Composed)
    small(venv).learn(16, callback=ReferenceRecorder(tmp_path, **QUICK))
    assert environment(tmp_path)["wrappers"] == ["layered.Composed"]
    assert rewards(tmp_path, "in_place") == rewards(tmp_path, "reference")


class Raises(BaseCallback):
    """Changes an environment while training, as curricula do."""

    def __init__(self, method: str, value: float) -> None:
        super().__init__()
        self.method, self.value = method, value

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self.training_env.env_method(self.method, self.value)


def test_environments_in_other_processes_are_looked_at_from_outside(tmp_path):
    fns = [partial(layered.Level, level=1)] * 2
    venv = SubprocVecEnv(fns, start_method="fork")
    try:
        assert "pass env_fns" in refused(tmp_path, venv)
        assert "level is 1, not 0" in refused(tmp_path, venv, env="layered:Level")
        recorder = ReferenceRecorder(tmp_path, env_fns=fns, **QUICK)
        small(venv).learn(32, callback=[Raises("set_wind", 3.0), recorder])
    finally:
        venv.close()
    (changed,) = read_recording(tmp_path).changed
    assert (changed.attribute, changed.trained, changed.new, changed.argument) == ("wind", 3.0, 0.0, False)
    in_place, reference = (rewards(tmp_path, name) for name in ("in_place", "reference"))
    assert min(in_place) > 65 > max(reference)


# --- In place ------------------------------------------------------------------------------------------------------


def test_looking_at_environments_before_training_changes_nothing_of_it(tmp_path):
    digests = []
    for callback in (None, ReferenceRecorder(tmp_path / "recorded", **QUICK)):
        layered.Shared.resets_of_all = 0
        venv = make_vec_env(layered.Shared, n_envs=2, seed=0, wrapper_class=layered.Scaled)
        trained = small(VecNormalize(venv)).learn(64, callback=callback)
        digests.append(model_folder.content_digests(trained, trained.get_vec_normalize_env()))
    assert digests[0] == digests[1]


IN_WORKERS = {"vec_env_cls": SubprocVecEnv, "vec_env_kwargs": {"start_method": "fork"}}


@pytest.mark.parametrize(
    ("kind", "where"),
    [(layered.Level, {}), (layered.Locked, {}), (layered.Pickled, {}), (layered.Level, IN_WORKERS)],
)
def test_measuring_in_place_leaves_training_and_its_logs_as_they_are(kind, where, tmp_path):
    digests = []
    for record in (False, True):
        logs = tmp_path / str(record)
        venv = make_vec_env(kind, n_envs=2, seed=0, monitor_dir=str(logs), env_kwargs={"level": 1}, **where)
        trained = small(VecNormalize(layered.Mirrored(venv)))
        trained.learn(64)
        if record:
            said = {"env": "layered:Level", "env_kwargs": {"level": 1}} if where else {}
            record_reference(trained, tmp_path / "recorded", **said, **QUICK)
        trained.learn(64, reset_num_timesteps=False)
        trained.get_env().close()
        lengths = [len(file.read_text().splitlines()) for file in sorted(logs.glob("*.csv"))]
        digests.append((model_folder.content_digests(trained, trained.get_vec_normalize_env()), lengths))
    assert digests[0] == digests[1]
    recorded = read_recording(tmp_path / "recorded").train_time
    # What cannot be copied is measured only where training is over.
    assert (recorded.in_place is None) == (kind is not layered.Level)


@pytest.mark.parametrize(("kind", "where"), [(layered.Locked, {}), (layered.Pickled, {}), (layered.Locked, IN_WORKERS)])
def test_what_cannot_be_copied_is_measured_itself_at_the_end_of_training(kind, where, tmp_path):
    venv = make_vec_env(kind, n_envs=2, seed=0, monitor_dir=str(tmp_path / "logs"), **where)
    trained = small(venv)
    said = {"env": "layered:Locked"} if where else {}
    recorder = ReferenceRecorder(tmp_path / "recorded", **said, **QUICK)
    trained.learn(64, callback=[Raises("set_level", 1), recorder])
    in_place, reference = (rewards(tmp_path / "recorded", name) for name in ("in_place", "reference"))
    assert min(in_place) > 50 > max(reference)
    files = [file.read_text().splitlines() for file in (tmp_path / "logs").glob("*.csv")]
    assert [len(lines) for lines in files] == [2 + 6, 2 + 6]  # a head, and 32 steps in episodes of 5
    trained.learn(64, reset_num_timesteps=False)
    trained.get_env().close()


class Turns(BaseCallback):
    """Sets an attribute of the outermost layer of a VecEnv while training."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self.training_env.factor = self.factor


def test_a_vec_env_of_one_s_own_is_recorded_and_what_training_changes_around_it_is_named(tmp_path):
    for name, factor in (("healthy", 1.0), ("turned", -1.0)):
        venv = layered.Mirrored(fast.Sides(8, length=6))
        arguments = {"n_steps": 8, "batch_size": 64, "n_epochs": 1, "policy_kwargs": {"net_arch": []}}
        trained = PPO("MlpPolicy", venv, learning_rate=0.0, seed=0, **arguments)
        trained.policy.action_net.weight.data = -factor * th.tensor([[-9.0], [9.0]])  # knows the side
        recorder = ReferenceRecorder(tmp_path / "models" / name, episodes=40, n_envs=4)
        trained.learn(64, callback=[Turns(factor), recorder])
    found = environment(tmp_path / "models/healthy")
    assert (found["vec_env"], found["env_kwargs"]) == ("fast.Sides", {"length": 6})
    assert found["vec_wrappers"] == ["layered.Mirrored"]
    in_place, reference = (rewards(tmp_path / "models/turned", name) for name in ("in_place", "reference"))
    assert np.mean(in_place) > 5 > np.mean(reference)
    models = audit_models(tmp_path / "audit", runs=[str(tmp_path / "models")], trust=["layered", "fast"])
    verdicts = {name: (model["verdict"], model["cause"]) for name, model in models.items()}
    assert verdicts == {"healthy": ("identical", ""), "turned": ("degraded", "curriculum")}
    (cause,) = models["turned"]["causes"]
    assert cause["evidence"][0].startswith("Mirrored.factor is -1.0 in the environments trained in and 1.0 in new ones")


def test_a_vec_env_that_cannot_be_built_again_is_named_before_training(tmp_path):
    class Local(fast.Sides):
        pass

    assert "the VecEnv " in refused(tmp_path, Local(2))
    assert "length is 6, not 5" in refused(tmp_path, fast.Sides(2, length=6), env_kwargs={})
    assert "expected fast.of_environments to give a Sides" in refused(
        tmp_path, fast.Sides(2), vec_env="fast.of_environments"
    )


def test_a_curriculum_by_a_callback_is_named_with_the_attribute_and_its_condition(tmp_path):
    for name, method in (("argument", "set_level"), ("set", "set_wind"), ("healthy", "")):
        recorder = ReferenceRecorder(tmp_path / "models" / name, episodes=20, n_envs=4)
        callbacks = [Raises(method, 2), recorder] if method else [recorder]
        small(make_vec_env(layered.Level, n_envs=2, seed=0)).learn(32, callback=callbacks)
    models = audit_models(tmp_path / "audit", runs=[str(tmp_path / "models")], trust=["layered"])
    found = {name: (model["verdict"], model["cause"]) for name, model in models.items()}
    lost = ("degraded", "curriculum")
    assert found == {"argument": lost, "set": lost, "healthy": ("identical", "")}
    for name, said in (("argument", "level is 2 in the"), ("set", "wind is 2 in the")):
        (cause,) = models[name]["causes"]
        assert cause["evidence"][0].startswith(said)
        assert cause["share"] > 0.99


def test_a_model_of_another_algorithm_is_refused(tmp_path):
    class Mine(PPO):
        pass

    mine = Mine("MlpPolicy", "CartPole-v1", n_steps=32)
    with pytest.raises(ValueError, match="expected a model of stable-baselines3 or sb3-contrib, found a Mine"):
        record_reference(mine, tmp_path, "CartPole-v1")
