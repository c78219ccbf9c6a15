"""What people put into a model besides its weights does not keep it from being audited; what it acts with does."""

from __future__ import annotations

import argparse
import functools
import importlib
import logging
import pathlib
import pickle
import random
import sys
import uuid
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import planted
import pytest
import torch as th
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.logger import HumanOutputFormat
from stable_baselines3.common.vec_env import DummyVecEnv

from reload_audit.models.load_untrusted import load
from reload_audit.planning.discovery import zips
from reload_audit.reading import limits
from reload_audit.reading.model_zip import read_model
from reload_audit.reading.refusal import Unreadable
from support.external_audits import audit_table
from support.tiny_models import read_as_model, with_pickled

Row = dict[str, Any]

PPO_ARGUMENTS: Row = {"n_steps": 16, "batch_size": 16, "n_epochs": 1, "seed": 0, "device": "cpu"}
SAC_ARGUMENTS: Row = {"learning_starts": 8, "buffer_size": 50, "batch_size": 8, "seed": 0, "device": "cpu"}

STUFF = """
from dataclasses import dataclass, field
from pathlib import Path
import enum
import torch as th
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import ActionNoise


@dataclass
class Config:
    run: str = "a"
    folder: Path = field(default_factory=Path)


class Mode(enum.Enum):
    FAST = 1


class Cosine:
    def __call__(self, left):
        return 1e-3 * left


def warm_up(left):
    return 1e-3


class Noise(ActionNoise):
    def __call__(self):
        return [0.0]


class Buffer(ReplayBuffer):
    pass


class Counter(BaseCallback):
    def _on_step(self):
        return True


class Slow(th.optim.SGD):
    pass
"""

NET = """
import enum
from dataclasses import dataclass, field

import torch as th
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor


class Net(BaseFeaturesExtractor):
    def __init__(self, observation_space, features_dim=4):
        super().__init__(observation_space, features_dim)
        self.layers = th.nn.Sequential(th.nn.Linear(3, 4), th.nn.BatchNorm1d(4), th.nn.Linear(4, features_dim))

    def forward(self, observations):
        return self.layers(observations)


class Policy(ActorCriticPolicy):
    pass


class Size(enum.Enum):
    SMALL = 4


@dataclass
class Layout:
    size: Size = Size.SMALL
    activation: type = th.nn.Tanh
    options: dict = field(default_factory=lambda: {"bias": [True]})


class LaidOut(BaseFeaturesExtractor):
    def __init__(self, observation_space, layout, last, args):
        super().__init__(observation_space, layout.size.value)
        first = th.nn.Linear(3, layout.size.value, bias=layout.options["bias"][0])
        self.layers = th.nn.Sequential(first, layout.activation(), last, *[args.more()] * args.times)
        self.args = args

    def forward(self, observations):
        acted = self.args.function(self.layers(observations).to(self.args.device, self.args.dtype))
        return acted * self.args.scale * sum(self.args.numbers)


class Swish(th.nn.Module):
    def forward(self, x):
        return x * th.sigmoid(x)


class Slow(th.optim.SGD):
    pass


def leaky():
    return th.nn.LeakyReLU(0.2)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("zips")


@pytest.fixture(scope="module")
def stuff(folder: Path) -> Iterator[ModuleType]:
    """A module of the author's, which whoever audits does not have."""
    (folder / "their_stuff.py").write_text(STUFF, encoding="utf-8")
    sys.path.insert(0, str(folder))
    yield importlib.import_module("their_stuff")
    sys.path.remove(str(folder))
    del sys.modules["their_stuff"]


@pytest.fixture(scope="module")
def net() -> ModuleType:
    """What stands in the script that trains: it is saved as code."""
    script = ModuleType("__main__")
    exec(NET, vars(script))  # noqa: S102
    return script


def ppo(policy: Any = "MlpPolicy", policy_kwargs: Row | None = None, **arguments: Any) -> PPO:
    given = {"net_arch": [4], **(policy_kwargs or {})}
    return PPO(policy, DummyVecEnv([planted.Draws]), policy_kwargs=given, **{**PPO_ARGUMENTS, **arguments}).learn(32)


# --- Models --------------------------------------------------------------------------------------------------------


def attributes(stuff: ModuleType) -> Row:
    """One of each kind of thing that people set on a model."""
    return {
        "tensorboard_log": pathlib.PosixPath("tb"),
        "config": stuff.Config(folder=pathlib.Path("runs")),
        "options": argparse.Namespace(lr=1e-3),
        "mode": stuff.Mode.FAST,
        "run_id": uuid.uuid4(),
        "my_logger": logging.getLogger("mine"),
        "my_random": random.Random(0),
        "factory": functools.partial(stuff.warm_up, 1),
        "hook": lambda value: value,
        "callback": stuff.Counter(),
        "evaluation": EvalCallback(DummyVecEnv([planted.Draws])),
        "memory": [stuff.Buffer(8, planted.Draws.observation_space, planted.Draws.action_space)],
        "objects": np.array([stuff.Config()], dtype=object),
        "nested": {"a": [{"path": pathlib.PurePosixPath("x")}]},
        "error": ValueError("x"),
    }


def with_anything_set(stuff: ModuleType) -> PPO:
    model = ppo(learning_rate=stuff.Cosine(), clip_range=stuff.warm_up)
    vars(model).update(attributes(stuff))
    return model


def with_a_device(stuff: ModuleType) -> SAC:
    own = {"action_noise": stuff.Noise(), "replay_buffer_class": stuff.Buffer, "policy_kwargs": {"net_arch": [4]}}
    model = SAC("MlpPolicy", DummyVecEnv([planted.Continuous]), **SAC_ARGUMENTS, **own).learn(16)
    model.policy_kwargs["device"] = th.device("cpu")  # as the first versions of SB3 did
    return model


def with_arguments_that_acting_does_not_need(stuff: ModuleType) -> PPO:
    """Some are for training alone, its schedules gave NumPy's numbers; others no policy takes."""
    numbers = {"weight_decay": np.float64(0)}
    model = ppo(
        policy_kwargs={"optimizer_class": stuff.Slow, "optimizer_kwargs": numbers, "log_std_init": th.tensor(0)}
    )
    model.policy_kwargs.update(note="mine", config=stuff.Config(), tanh=th.nn.Tanh)
    return model


class Curious(PPO):
    """Has a network of its own beside the policy's, and trains both with one optimizer."""

    def _setup_model(self) -> None:
        super()._setup_model()
        self.predictor = th.nn.Linear(3, 3)
        self.scale = th.ones(1)
        self.policy.optimizer.add_param_group({"params": self.predictor.parameters()})

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        states, _ = super()._get_torch_save_params()
        return [*states, "predictor"], ["scale"]


def with_a_network_of_its_own() -> PPO:
    return Curious("MlpPolicy", DummyVecEnv([planted.Draws]), policy_kwargs={"net_arch": [4]}, **PPO_ARGUMENTS).learn(
        32
    )


def all_models(stuff: ModuleType, net: ModuleType) -> dict[str, BaseAlgorithm]:
    extractor = {"features_extractor_class": net.Net, "features_extractor_kwargs": {"features_dim": 5}}
    args = argparse.Namespace(times=2, more=th.nn.Sigmoid, scale=th.arange(8.0)[1::2], numbers=range(3))
    vars(args).update(device=th.device("cpu"), dtype=th.float32, shape=th.Size([4]), names=defaultdict(list, a=["x"]))
    args.function = functools.partial(th.nn.functional.leaky_relu, negative_slope=0.1)
    last = th.nn.Sequential(th.nn.Linear(4, 4), th.nn.BatchNorm1d(4), th.nn.LeakyReLU(0.3))
    laid_out = {"layout": net.Layout(), "last": last, "args": args}
    objects = {"features_extractor_class": net.LaidOut, "features_extractor_kwargs": laid_out}
    return {
        "anything": with_anything_set(stuff),
        "device": with_a_device(stuff),
        "beginning": with_arguments_that_acting_does_not_need(stuff),
        "partial": ppo(policy_kwargs={"activation_fn": functools.partial(th.nn.LeakyReLU, negative_slope=0.3)}),
        "extractor": ppo(policy_kwargs=extractor),
        "policy": ppo(net.Policy),
        "activation": ppo(policy_kwargs={"activation_fn": net.Swish}),
        "function": ppo(policy_kwargs={"activation_fn": net.leaky}),
        "optimizer": ppo(policy_kwargs={"optimizer_class": net.Slow, **extractor}),
        "objects": ppo(policy_kwargs=objects),
        "derived": with_a_network_of_its_own(),
        "two": ppo(policy_kwargs={"features_extractor_class": net.Net, "activation_fn": net.Swish}),
    }


@pytest.fixture(scope="module")
def models(stuff: ModuleType, net: ModuleType, folder: Path) -> dict[str, BaseAlgorithm]:
    made = all_models(stuff, net)
    for name, model in made.items():
        model.save(folder / f"{name}.zip")
    return made


CLASSES = {
    f"__main__.{name}": f"moved.{name}" for name in ("Net", "Policy", "Swish", "leaky", "LaidOut", "Layout", "Size")
}

LINES = {
    "extractor": "classes: {__main__.Net: my_module.Net}",
    "policy": "classes: {__main__.Policy: my_module.Policy}",
    "activation": "classes: {__main__.Swish: my_module.Swish}",
    "function": "classes: {__main__.leaky: my_module.leaky}",
    "optimizer": "classes: {__main__.Net: my_module.Net}",
    "objects": "classes: {__main__.LaidOut: my_module.LaidOut, __main__.Layout: my_module.Layout, __main__.Size",
    "two": "classes: {__main__.Net: my_module.Net, __main__.Swish: my_module.Swish}",
}


@pytest.fixture(scope="module")
def moved(folder: Path) -> Path:
    """A folder of whoever audits, with a module of the script's classes."""
    (folder / "mine").mkdir()
    (folder / "mine/moved.py").write_text(NET, encoding="utf-8")
    return folder / "mine"


@pytest.fixture(scope="module")
def audited(models: dict[str, BaseAlgorithm], folder: Path, moved: Path) -> dict[str, Row]:
    rows = [
        {"name": name, "algo": "SAC" if name == "device" else "PPO", "model": str(folder / f"{name}.zip")}
        | {"env": f"planted:{'Continuous' if name == 'device' else 'Draws'}"}
        for name, model in models.items()
    ]
    for row in rows:
        row["classes"] = {"__main__.Policy": "moved.Policy"} if row["name"] == "policy" else {}
    of_all = {name: target for name, target in CLASSES.items() if "Policy" not in name}
    python_path = [str(Path(planted.__file__).parent), str(moved)]
    verdict = {"looks": [2], "further_looks": []}
    return audit_table(rows, folder / "audit", classes=of_all, python_path=python_path, verdict=verdict)


# --- What comes of them --------------------------------------------------------------------------------------------


def test_every_one_of_them_is_audited(audited: dict[str, Row]) -> None:
    assert {name: row["reason"] for name, row in audited.items() if row["verdict"] == "error"} == {}


def test_every_one_of_them_acts_as_it_did(
    models: dict[str, BaseAlgorithm], folder: Path, moved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(moved)
    observations = np.random.default_rng(0).uniform(-1, 1, (50, 3)).astype(np.float32)
    for name, model in models.items():
        found = load(
            read_model(folder / f"{name}.zip", classes=CLASSES), "SAC" if name == "device" else "PPO", "cpu"
        ).model
        for deterministic in (True, False):
            th.manual_seed(3)
            expected, _ = model.predict(observations, deterministic=deterministic)
            th.manual_seed(3)
            acted, _ = found.predict(observations, deterministic=deterministic)
            assert acted.tobytes() == expected.tobytes(), name


def test_all_that_is_left_out_is_listed(
    audited: dict[str, Row], models: dict[str, BaseAlgorithm], folder: Path
) -> None:
    said = audited["anything"]["loaded_with"]
    assert "config (their_stuff.Config)" in said
    assert "tensorboard_log (pathlib.PosixPath)" in said
    assert "hook (code)" in said
    left_out = read_model(folder / "anything.zip").left_out
    expected = {"tensorboard_log", "config", "mode", "run_id", "my_logger", "my_random", "factory"}
    expected |= {"hook", "callback", "evaluation", "memory", "objects", "nested", "error"}
    assert set(left_out) == expected | {"learning_rate", "lr_schedule", "clip_range"}
    for named in ("policy_kwargs.device (torch.device)", "action_noise (their_stuff.Noise)", "(their_stuff.Buffer)"):
        assert named in audited["device"]["loaded_with"]
    for named in ("optimizer_class (their_stuff.Slow)", "config (their_stuff.Config)", "note ('mine')", "tanh ("):
        assert f"policy_kwargs.{named}" in audited["beginning"]["loaded_with"]
    assert "policy_kwargs.optimizer_class (__main__.Slow)" in audited["optimizer"]["loaded_with"]
    for named in ("predictor.pth (of a class derived from PPO)", "the optimizers' states (of other parameters)"):
        assert named in audited["derived"]["loaded_with"]


def test_what_a_model_was_saved_without_is_named_where_acting_needs_it(
    models: dict[str, BaseAlgorithm], folder: Path
) -> None:
    model = models["optimizer"]
    model.save(folder / "spare.zip", exclude=["learning_rate", "lr_schedule", "n_steps", "num_timesteps", "_last_obs"])
    assert load(read_model(folder / "spare.zip", classes=CLASSES, trusted=["moved"]), "PPO", "cpu").model.policy
    for needed in ("policy_class", "observation_space", "action_space"):
        model.save(folder / "needed.zip", exclude=[needed])
        with pytest.raises(Unreadable, match=rf"{needed}: expected a .*, found nothing: the model was saved without"):
            load(read_model(folder / "needed.zip", classes=CLASSES, trusted=["moved"]), "PPO", "cpu")


def test_what_sb3_says_of_parameters_that_do_not_fit_is_known(audited: dict[str, Row], folder: Path) -> None:
    with pytest.raises(ValueError, match="parameter group") as raised:
        PPO.load(folder / "derived.zip", device="cpu")
    assert audited["derived"]["plain_load_error"] == f"ValueError: {raised.value}"


@pytest.mark.parametrize("name", LINES)
def test_a_class_of_a_script_is_named_with_the_line_to_write(
    name: str, models: dict[str, BaseAlgorithm], folder: Path
) -> None:
    with pytest.raises(Unreadable) as refused:
        read_model(folder / f"{name}.zip")
    assert LINES[name] in str(refused.value)
    assert "to trust" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "target", "said"),
    [
        ("extractor", "torch.nn.ReLU", "features_extractor_class: expected BaseFeaturesExtractor"),
        ("policy", "torch.nn.ReLU", "policy_class: expected a policy of SB3"),
        ("activation", "planted.Draws", "activation_fn: expected Module"),
        ("extractor", "planted.not_there", "planted.not_there cannot be imported: AttributeError"),
    ],
)
def test_a_class_that_is_mapped_to_something_else_is_refused(
    name: str, target: str, said: str, models: dict[str, BaseAlgorithm], folder: Path
) -> None:
    saved = read_model(folder / f"{name}.zip", classes=dict.fromkeys(CLASSES, target))
    with pytest.raises(Unreadable, match=said):
        load(saved, "PPO", "cpu")


def layer_that_calls(made: Any) -> th.nn.Module:
    layer = th.nn.ReLU()
    layer.forward = made  # type: ignore[method-assign]
    return layer


@pytest.mark.parametrize(
    "given",
    [
        {"activation_fn": functools.partial(th.optim.SGD, lr=1.0)},
        {"activation_fn": functools.partial(th.nn.LeakyReLU, th.nn.Tanh)},
        {"activation_fn": functools.partial(functools.partial, th.nn.Tanh)},
        {"activation_fn": functools.partial(print, "x")},
        {"net_arch": functools.partial(th.nn.LeakyReLU, 0.2)},
        {"features_extractor_kwargs": {"last": layer_that_calls(functools.partial(HumanOutputFormat, "written"))}},
        {"features_extractor_kwargs": {"args": argparse.Namespace(more=[HumanOutputFormat])}},
    ],
)
def test_only_layers_may_be_classes_with_arguments(
    given: Row, models: dict[str, BaseAlgorithm], folder: Path, tmp_path: Path
) -> None:
    content = with_pickled((folder / "partial.zip").read_bytes(), "policy_kwargs", pickle.dumps(given))
    assert read_as_model(content, tmp_path).startswith("refused: ")


def test_a_buffer_that_is_kept_on_a_model_may_be_larger_than_what_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ppo()
    model.memory = np.random.default_rng(0).random(50_000)
    model.save(tmp_path / "model.zip")
    monkeypatch.setattr(limits, "MODEL_SETTINGS_BYTES", 400_000)
    monkeypatch.setattr(limits, "SETTINGS_BYTES", 400_000)
    with pytest.raises(Unreadable, match="expected settings of at most 400,000 bytes"):
        read_model(tmp_path / "model.zip")
    monkeypatch.setattr(limits, "PICKLED_BYTES", 100_000)
    saved = read_model(tmp_path / "model.zip")
    assert {name: part.what for name, part in saved.left_out.items()} == {"memory": "too large"}
    load(saved, "PPO", "cpu")
    planned = zips.settings(str(tmp_path / "model.zip"))
    assert planned is not None
    assert zips.algorithm_of(planned) == "PPO"
    assert "memory" not in planned
    assert {"policy_class", "observation_space", "num_timesteps"} <= planned.keys()
