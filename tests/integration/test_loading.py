"""A model that was read acts as the one that SB3 loads itself, bit for bit."""

from __future__ import annotations

import json
import pickle
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import gymnasium as gym
import numpy as np
import planted
import pytest
import torch as th
from stable_baselines3 import PPO, SAC, HerReplayBuffer
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from reload_audit.models.algorithms import algorithm, default_policy
from reload_audit.models.load_untrusted import load, plain_load_error
from reload_audit.models.model_folder import content_digests
from reload_audit.reading.model_zip import read_model
from reload_audit.reading.refusal import Unreadable
from reload_audit.reading.statistics import read_statistics
from support.tiny_models import members_of, pickled_attributes, with_member, with_pickled, with_settings, zip_of

SHARED = Path(__file__).parents[3] / "shared/models/rl-trained-agents"

OFF_POLICY = {"learning_starts": 8, "buffer_size": 50, "batch_size": 8, "train_freq": 4}
LSTM = {"policy_kwargs": {"lstm_hidden_size": 4, "net_arch": [4]}, "n_steps": 8, "batch_size": 8}
ON_POLICY = {"n_steps": 16, "batch_size": 16}

# Algorithm, environment, arguments.
Case = tuple[str, type[gym.Env], dict[str, Any]]

CASES: dict[str, Case] = {
    "A2C": ("A2C", planted.Draws, {}),
    "ARS": ("ARS", planted.Continuous, {"n_delta": 1, "n_eval_episodes": 1}),
    "CrossQ": ("CrossQ", planted.Continuous, OFF_POLICY),
    "DDPG": ("DDPG", planted.Continuous, OFF_POLICY),
    "DQN": ("DQN", planted.Draws, OFF_POLICY),
    "MaskablePPO": ("MaskablePPO", planted.Masked, ON_POLICY),
    "PPO": ("PPO", planted.Draws, ON_POLICY),
    "QRDQN": ("QRDQN", planted.Draws, OFF_POLICY),
    "RecurrentPPO": ("RecurrentPPO", planted.Draws, LSTM),
    "SAC": ("SAC", planted.Continuous, OFF_POLICY),
    "TD3": ("TD3", planted.Continuous, OFF_POLICY),
    "TQC": ("TQC", planted.Continuous, OFF_POLICY),
    "TRPO": ("TRPO", planted.Draws, ON_POLICY),
    "several inputs": ("PPO", planted.DictObservations, ON_POLICY),
    "images": (
        "PPO",
        planted.Images,
        {**ON_POLICY, "policy_kwargs": {"features_extractor_kwargs": {"features_dim": 4}}},
    ),
    "an activation": (
        "PPO",
        planted.Draws,
        {**ON_POLICY, "policy_kwargs": {"activation_fn": th.nn.ReLU, "net_arch": [4]}},
    ),
    "an optimizer": (
        "PPO",
        planted.Draws,
        {**ON_POLICY, "policy_kwargs": {"optimizer_class": th.optim.RMSprop, "optimizer_kwargs": {"alpha": 0.9}}},
    ),
    "an architecture": ("PPO", planted.Draws, {**ON_POLICY, "policy_kwargs": {"net_arch": {"pi": [4, 4], "vf": [4]}}}),
    "a policy by class": ("PPO", planted.Draws, {**ON_POLICY, "policy": ActorCriticPolicy}),
    "hindsight": ("SAC", planted.Goals, {**OFF_POLICY, "replay_buffer_class": HerReplayBuffer}),
    "state-dependent exploration": ("PPO", planted.Continuous, {**ON_POLICY, "use_sde": True}),
    "a fixed entropy coefficient": ("SAC", planted.Continuous, {**OFF_POLICY, "ent_coef": 0.25}),
    "schedules as code": ("PPO", planted.Draws, {**ON_POLICY, "learning_rate": lambda left: 1e-3 * left}),
    "schedules of SB3": ("PPO", planted.Draws, {**ON_POLICY, "clip_range": LinearSchedule(0.2, 0.1, 0.5)}),
    "noise": (
        "TD3",
        planted.Continuous,
        {**OFF_POLICY, "action_noise": NormalActionNoise(np.zeros(1), np.full(1, 0.1))},
    ),
    "numbers of NumPy": (
        "SAC",
        planted.Continuous,
        {**OFF_POLICY, "ent_coef": np.float32(0.25), "gamma": np.float32(0.5)},
    ),
    "a tuple of a frequency": ("SAC", planted.Continuous, {**OFF_POLICY, "train_freq": (2, "step")}),
}

NO_TRAINING = {"buffer_size": 1, "replay_buffer_class": None, "replay_buffer_kwargs": {}}


def trained(case: Case, path: Path, steps: int = 16) -> None:
    algo, env, arguments = case
    small = {"net_arch": [4]} if algo not in ("ARS", "RecurrentPPO") else {}
    arguments = {"policy_kwargs": small, **arguments}
    policy = arguments.pop("policy", None)
    venv = DummyVecEnv([env])
    kind = algorithm(algo)
    kind(policy or default_policy(algo, venv.observation_space), venv, seed=0, device="cpu", **arguments).learn(
        steps
    ).save(path)


def actions(model: BaseAlgorithm, venv: Any) -> list[bytes]:
    """What it does, deterministically and at random, on the same observations."""
    venv.seed(5)
    observation = venv.reset()
    taken = []
    for deterministic in (True, False) * 8:
        th.manual_seed(7)
        np.random.seed(7)
        model.action_space.seed(7)
        if model.use_sde:
            model.policy.reset_noise()
        masks = {"action_masks": np.ones(4, bool)} if type(model).__name__ == "MaskablePPO" else {}
        action, _ = model.predict(observation, deterministic=deterministic, **masks)
        taken.append(action.tobytes())
        observation = venv.reset()
    return taken


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_model_acts_as_the_one_that_sb3_loads(name: str, tmp_path: Path) -> None:
    algo, env, _ = CASES[name]
    trained(CASES[name], tmp_path / "model.zip")
    found = load(read_model(tmp_path / "model.zip"), algo, "cpu").model
    expected = algorithm(algo).load(tmp_path / "model.zip", device="cpu", custom_objects=NO_TRAINING)
    assert content_digests(found, None) == content_digests(expected, None)
    assert found.observation_space == expected.observation_space
    assert found.action_space == expected.action_space
    assert actions(found, DummyVecEnv([env])) == actions(expected, DummyVecEnv([env]))


@pytest.fixture(scope="module")
def plain_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an ordinary PPO."""
    made = tmp_path_factory.mktemp("model") / "model.zip"
    trained(CASES["PPO"], made)
    return made


def test_reading_and_loading_twice_gives_the_same_model(plain_model: Path) -> None:
    saved = read_model(plain_model)
    one, two = (load(saved, "PPO", "cpu").model for _ in range(2))
    assert content_digests(one, None) == content_digests(two, None)


def test_arguments_that_sb3_modifies_are_read_anew_for_each_load(plain_model: Path, tmp_path: Path) -> None:
    """SB3 takes the device, and the list around an architecture, out of the arguments it is given."""
    changed = with_settings(
        plain_model.read_bytes(), policy_kwargs={"net_arch": [{"pi": [4], "vf": [4]}], "device": "cpu"}
    )
    (tmp_path / "model.zip").write_bytes(changed)
    saved = read_model(tmp_path / "model.zip")
    for _ in range(2):
        load(saved, "PPO", "cpu")
        assert saved.settings["policy_kwargs"] == {"net_arch": [{"pi": [4], "vf": [4]}], "device": "cpu"}


def test_the_order_of_a_dictionary_space_is_that_of_the_network_s_inputs(tmp_path: Path) -> None:
    class Unsorted(planted.Draws):
        box = gym.spaces.Box(-1, 1, (2,), np.float32)
        observation_space = gym.spaces.Dict([("z", box), ("a", box)])

        def observe(self) -> Any:
            return {key: self.np_random.uniform(-1, 1, 2).astype(np.float32) for key in ("z", "a")}

    trained(("PPO", Unsorted, ON_POLICY), tmp_path / "model.zip")
    found = load(read_model(tmp_path / "model.zip"), "PPO", "cpu").model
    expected = PPO.load(tmp_path / "model.zip", device="cpu")
    assert list(found.observation_space.spaces) == ["z", "a"]
    assert actions(found, DummyVecEnv([Unsorted])) == actions(expected, DummyVecEnv([Unsorted]))


def test_the_notes_on_a_model_say_which_parts_were_not_loaded(tmp_path: Path) -> None:
    trained(CASES["hindsight"], tmp_path / "her.zip")
    trained(CASES["schedules as code"], tmp_path / "code.zip")
    assert "without its HerReplayBuffer" in load(read_model(tmp_path / "her.zip"), "SAC", "cpu").notes
    (note,) = (note for note in load(read_model(tmp_path / "code.zip"), "PPO", "cpu").notes if "code" in note)
    assert "learning_rate" in note


def test_a_model_of_another_algorithm_is_refused(plain_model: Path) -> None:
    for algo in ("SAC", "DQN", "RecurrentPPO", "NoSuchAlgorithm"):
        with pytest.raises(Unreadable, match=f"{algo} cannot be built"):
            load(read_model(plain_model), algo, "cpu")


def test_a_model_saved_on_another_device_loads(plain_model: Path, tmp_path: Path) -> None:
    (tmp_path / "model.zip").write_bytes(with_settings(plain_model.read_bytes(), device="cuda:7", env="x", _logger=3))
    assert str(load(read_model(tmp_path / "model.zip"), "PPO", "cpu").model.device) == "cpu"


def test_the_versions_that_saved_a_model_are_read(plain_model: Path, tmp_path: Path) -> None:
    import stable_baselines3

    saved = read_model(plain_model)
    assert saved.saved_with["stable_baselines3"] == stable_baselines3.__version__
    assert {"python", "torch", "gymnasium", "platform"} <= set(saved.saved_with)
    odd = with_member(plain_model.read_bytes(), "system_info.txt", b"- OS: a\x1b[31m\xff\n- Python: " + b"3" * 10**6)
    (tmp_path / "odd.zip").write_bytes(with_member(odd, "_stable_baselines3_version", b"\xff\n\0" * 1000))
    for text in read_model(tmp_path / "odd.zip").saved_with.values():
        assert text.isprintable()
        assert len(text) <= 200


# --- Trust -------------------------------------------------------------------------------------------------------

PACKAGE = """
import numpy as np
import torch as th
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import FlattenExtractor


class Policy(ActorCriticPolicy):
    pass


class Extractor(FlattenExtractor):
    def forward(self, observations):
        return super().forward(observations) * 2


class Squared(th.nn.Module):
    def forward(self, x):
        return x * x


class Slow(th.optim.SGD):
    pass


def linear(left):
    return 1e-3 * left


def make_activation():
    return th.nn.ReLU()


class Buffer:
    pass
"""


@pytest.fixture
def user_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An importable package of the user's own, removed after the test."""
    (tmp_path / "my_agents").mkdir()
    (tmp_path / "my_agents/__init__.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path)
    import my_agents

    yield my_agents
    del sys.modules["my_agents"]


USED = {
    "policy": lambda package: {"policy": package.Policy},
    "features_extractor_class": lambda package: {"policy_kwargs": {"features_extractor_class": package.Extractor}},
    "activation_fn": lambda package: {"policy_kwargs": {"activation_fn": package.Squared}},
}


@pytest.mark.parametrize("what", USED)
def test_classes_of_a_user_s_package_load_only_if_it_is_trusted(what: str, user_package: Any, tmp_path: Path) -> None:
    trained(("PPO", planted.Draws, {**ON_POLICY, **USED[what](user_package)}), tmp_path / "model.zip")
    for trusted in ((), ("my",), ("my_agents.sub",), ("my_agents2",)):
        with pytest.raises(Unreadable, match=r"untrusted_pickle my_agents\.\w+; .* add 'my_agents' to trust"):
            read_model(tmp_path / "model.zip", trusted=trusted)
    found = load(read_model(tmp_path / "model.zip", trusted=("my_agents",)), "PPO", "cpu").model
    expected = PPO.load(tmp_path / "model.zip", device="cpu")
    assert content_digests(found, None) == content_digests(expected, None)
    assert actions(found, DummyVecEnv([planted.Draws])) == actions(expected, DummyVecEnv([planted.Draws]))


def test_a_trusted_package_that_is_not_installed_is_named(user_package: Any, tmp_path: Path) -> None:
    trained(("PPO", planted.Draws, {**ON_POLICY, "policy": user_package.Policy}), tmp_path / "model.zip")
    content = (tmp_path / "model.zip").read_bytes()
    renamed = pickled_attributes(content)["policy_class"].replace(b"my_agents", b"no_agents")
    (tmp_path / "model.zip").write_bytes(with_pickled(content, "policy_class", renamed))
    saved = read_model(tmp_path / "model.zip", trusted=("no_agents",))
    with pytest.raises(Unreadable, match=r"policy_class: needs no_agents\.Policy"):
        load(saved, "PPO", "cpu")
    assert plain_load_error(saved, None) == "ModuleNotFoundError: No module named 'no_agents'"


def test_a_trusted_function_where_a_class_is_expected_is_refused(
    user_package: Any, plain_model: Path, tmp_path: Path
) -> None:
    pickled = pickle.dumps({"activation_fn": user_package.make_activation})
    (tmp_path / "model.zip").write_bytes(with_pickled(plain_model.read_bytes(), "policy_kwargs", pickled))
    with pytest.raises(Unreadable, match="expected a class"):
        load(read_model(tmp_path / "model.zip", trusted=("my_agents",)), "PPO", "cpu")


def test_a_schedule_of_another_package_is_not_imported(user_package: Any, plain_model: Path, tmp_path: Path) -> None:
    pickled = pickle.dumps(user_package.linear).replace(b"my_agents", b"no_agents")
    (tmp_path / "model.zip").write_bytes(with_pickled(plain_model.read_bytes(), "learning_rate", pickled))
    for trusted in ((), ("no_agents",)):
        load(read_model(tmp_path / "model.zip", trusted=trusted), "PPO", "cpu")
    assert "no_agents" not in sys.modules


def test_schedules_of_rl_zoo_need_no_rl_zoo(plain_model: Path, tmp_path: Path) -> None:
    pickled = b"crl_zoo3.utils\nlinear_schedule\n."
    content = plain_model.read_bytes()
    for schedule in ("learning_rate", "lr_schedule", "clip_range"):
        content = with_pickled(content, schedule, pickled)
    (tmp_path / "model.zip").write_bytes(content)
    saved = read_model(tmp_path / "model.zip")
    load(saved, "PPO", "cpu")
    assert plain_load_error(saved, None) == really_raised(tmp_path / "model.zip", "PPO")
    (tmp_path / "model.zip").write_bytes(with_pickled(plain_model.read_bytes(), "policy_class", pickled))
    with pytest.raises(Unreadable, match="rl_zoo3"):
        read_model(tmp_path / "model.zip")


# --- What a plain load says --------------------------------------------------------------------------------------


def really_raised(path: Path, algo: str, statistics: Path | None = None, env: Any = planted.Draws) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            algorithm(algo).load(path, device="cpu")
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        try:
            if statistics is not None:
                VecNormalize.load(str(statistics), DummyVecEnv([env]))
        except Exception as error:
            return f"VecNormalize.load: {type(error).__name__}: {error}"
    return ""


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["PPO", "SAC", "ARS", "hindsight", "schedules as code", "schedules of SB3", "several inputs"]
)
def test_a_plain_load_error_is_predicted_for_models_saved_with_this_sb3(name: str, tmp_path: Path) -> None:
    trained(CASES[name], tmp_path / "model.zip")
    said = plain_load_error(read_model(tmp_path / "model.zip"), None)
    assert said == really_raised(tmp_path / "model.zip", CASES[name][0])
    assert (said == "") == (name != "hindsight")


def by_name(dotted: str) -> bytes:
    module, _, name = dotted.rpartition(".")
    return b"\x80\x04" + f"c{module}\n{name}\n.".encode()


CHANGED: dict[str, dict[str, bytes]] = {
    "a space of gym": {"observation_space": by_name("gym.spaces.box.Box")},
    "a policy that is gone": {"policy_class": by_name("stable_baselines3.common.policies.OldPolicy")},
    "a module that is gone": {"policy_class": by_name("stable_baselines3.old.OldPolicy")},
    "a space that is gone": {"action_space": by_name("gymnasium.spaces.box.Bag")},
    "something unneeded that is gone": {"rollout_buffer_class": by_name("stable_baselines3.common.buffers.OldBuffer")},
    "an unneeded module that is gone": {"rollout_buffer_class": by_name("stable_baselines3.old.OldBuffer")},
    "a policy first, then a module": {
        "policy_class": by_name("stable_baselines3.common.policies.OldPolicy"),
        "_last_obs": by_name("gym.spaces.box.Box"),
    },
    "a space and a policy": {
        "policy_class": by_name("stable_baselines3.common.policies.OldPolicy"),
        "action_space": by_name("gymnasium.spaces.box.Bag"),
    },
    "a name of Python 2": {"_last_obs": pickle.dumps({1, 2}, 2)},
    "a schedule for Python 3.7": {
        "learning_rate": b"\x80\x04ccloudpickle.cloudpickle\n_builtin_type\nX\x08\x00\x00\x00CodeType\x85R"
        + b"(K\x00K\x00tR."
    },
    "a schedule for Python 3.7 that goes on": {
        "learning_rate": b"\x80\x04ccloudpickle.cloudpickle\n_builtin_type\nX\x08\x00\x00\x00CodeType\x85R"
        + b"(K\x00K\x00tR0crl_zoo3.utils\nlinear\n."
    },
    "a schedule that goes on for Python 3.7": {
        "learning_rate": b"\x80\x04crl_zoo3.utils\nlinear\n0ccloudpickle.cloudpickle\n_builtin_type\n"
        + b"X\x08\x00\x00\x00CodeType\x85R(K\x00K\x00tR."
    },
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_plain_load_error_is_predicted_for_models_that_do_not_fit(
    name: str, plain_model: Path, tmp_path: Path
) -> None:
    content = plain_model.read_bytes()
    for attribute, pickled in CHANGED[name].items():
        content = with_pickled(content, attribute, pickled)
    (tmp_path / "model.zip").write_bytes(content)
    assert plain_load_error(read_model(tmp_path / "model.zip"), None) == really_raised(tmp_path / "model.zip", "PPO")


def test_a_predicted_load_error_is_printable(plain_model: Path, tmp_path: Path) -> None:
    name = b"\x80\x04X\x13\x00\x00\x00cloudpickle.\x1b\xed\xa0\x80abcX\x01\x00\x00\x00x\x93."
    (tmp_path / "model.zip").write_bytes(with_pickled(plain_model.read_bytes(), "learning_rate", name))
    said = plain_load_error(read_model(tmp_path / "model.zip"), None)
    assert said == r"ModuleNotFoundError: No module named 'cloudpickle.\x1b\ud800abc'"


@pytest.mark.parametrize("attribute", ["observation_space", "action_space", "policy_class"])
def test_a_plain_load_error_is_predicted_for_models_that_lack_a_setting(
    attribute: str, plain_model: Path, tmp_path: Path
) -> None:
    members = members_of(plain_model.read_bytes())
    data = {name: value for name, value in json.loads(members["data"]).items() if name != attribute}
    (tmp_path / "model.zip").write_bytes(zip_of(members | {"data": json.dumps(data).encode()}))
    said = plain_load_error(read_model(tmp_path / "model.zip"), None)
    assert said == really_raised(tmp_path / "model.zip", "PPO")
    assert said.startswith("KeyError")


@pytest.mark.parametrize("old", ["gym.spaces.box.Box", "stable_baselines3.common.running_mean_std.OldMoments", None])
def test_a_plain_load_error_is_predicted_for_statistics(old: str | None, plain_model: Path, tmp_path: Path) -> None:
    normalize = VecNormalize(DummyVecEnv([planted.Draws]))
    normalize.reset()
    made = b"\x80\x04cstable_baselines3.common.vec_env.vec_normalize\nVecNormalize\n)\x81"
    state = pickle.dumps(normalize.__getstate__(), 3)[2:-1]
    more = b"" if old is None else b"}X\x01\x00\x00\x00x" + by_name(old)[2:-1] + b"sb"
    (tmp_path / "file.pkl").write_bytes(made + more + state + b"b.")
    said = plain_load_error(read_model(plain_model), read_statistics(tmp_path / "file.pkl").parsed)
    assert said == really_raised(plain_model, "PPO", tmp_path / "file.pkl")
    assert (said == "") == (old is None)


def shared_models() -> list[Path]:
    return sorted(SHARED.rglob("*.zip"))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder of models that others published is not here")
def test_models_that_others_published_are_read_and_loaded() -> None:
    assert len(shared_models()) == 9
    for path in shared_models():
        saved = read_model(path)
        statistics = [read_statistics(found) for found in path.parent.glob("*/vecnormalize.pkl")]
        algo = path.relative_to(SHARED).parts[0].upper()
        model = load(saved, algo, "cpu").model
        assert model.predict(model.observation_space.sample())[0] in model.action_space
        said = plain_load_error(saved, statistics[0].parsed if statistics else None)
        venv = gym.make(path.parts[-2].rpartition("_")[0])
        files = list(path.parent.glob("*/vecnormalize.pkl"))
        assert said == really_raised(path, algo, files[0] if files else None, lambda venv=venv: venv), path
        assert (
            "gym" in {name.module.partition(".")[0] for parsed in saved.pickled.values() for name in parsed.names}
            or not said
        )


def test_no_pickled_content_is_passed_to_sb3(
    plain_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even harmless content: the test notices whenever unpickling imports anything."""
    noticed: list[str] = []
    watching = [True]
    sys.addaudithook(lambda event, _: noticed.append(event) if watching[0] and event == "pickle.find_class" else None)
    load(read_model(plain_model), "PPO", "cpu")
    read = list(noticed)
    cloudpickle.loads(pickle.dumps(SAC))
    watching[0] = False
    assert read == []
    assert noticed == ["pickle.find_class"]
