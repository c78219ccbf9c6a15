"""Statistics saved as numbers, and a wrapper that shows one environment every bit of what VecNormalize would."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import planted
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecEnv,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
)

from reload_audit.evaluation.wrappers import PostedNormalizer
from reload_audit.reading.refusal import Unreadable
from reload_audit.reading.statistics import Moments
from reload_audit.remedies.normalize_as_trained import NormalizeAsTrained
from reload_audit.remedies.statistics_file import (
    Source,
    Statistics,
    load_statistics,
    save_statistics,
    statistics_of,
)

FILES = ("npz", "json")
KINDS = pytest.mark.parametrize("kind", FILES)


def bits(value: Any) -> Any:
    """All that tells two observations apart."""
    if isinstance(value, dict):
        return {key: bits(part) for key, part in value.items()}
    array = np.asarray(value)
    return array.dtype.str, array.shape, array.tobytes()


def content(statistics: Statistics) -> Any:
    """All that tells two sets of statistics apart."""
    moments = {**statistics.observations, "the rewards'": statistics.rewards}
    return statistics.settings, {key: (bits(one.mean), bits(one.var), one.count) for key, one in moments.items()}


def running(mean: Any, var: Any, count: float = 1000.0) -> RunningMeanStd:
    made = RunningMeanStd()
    made.mean, made.var, made.count = np.asarray(mean), np.asarray(var), count
    return made


def used(venv: VecEnv, steps: int = 40) -> VecNormalize:
    """A VecNormalize that has seen random actions."""
    normalize = VecNormalize(venv)
    normalize.seed(3)
    normalize.action_space.seed(3)
    normalize.reset()
    for _ in range(steps):
        normalize.step(np.array([normalize.action_space.sample() for _ in range(venv.num_envs)]))
    return normalize


class Scripted(gym.Env):
    """Returns given observations, rewards and ends, whatever is done."""

    def __init__(
        self, space: spaces.Space, observations: list[Any], rewards: list[float], ends: list[bool] | None = None
    ) -> None:
        self.observation_space, self.action_space = space, spaces.Discrete(1)
        self.observations, self.rewards = iter(observations), iter(rewards)
        self.ends = iter(ends or [False] * len(rewards))

    def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:
        return next(self.observations), {}

    def step(self, _: Any) -> planted.Step:
        return next(self.observations), next(self.rewards), next(self.ends), False, {}


# --- The wrapper against the real VecNormalize ----------------------------------------------------------------------

NUMBERS = {
    np.float16: st.floats(-6e4, 6e4, width=16),
    np.float32: st.floats(width=32, allow_nan=False),
    np.float64: st.floats(-1e30, 1e30),  # many do not fit into single precision
    np.uint8: st.integers(0, 255),
    np.int64: st.integers(-(2**62), 2**62),
}
POSITIVE = st.floats(0, 1e12) | st.sampled_from([0.0, 1e-300, 1e-12, 1e-8, 1.0])
STEPS = 6


@st.composite
def boxes(draw: st.DrawFn) -> tuple[spaces.Box, list[np.ndarray], RunningMeanStd]:
    """A space, as many observations as an episode may need, and statistics."""
    kind = draw(st.sampled_from(list(NUMBERS)))
    shape = draw(st.sampled_from([(3,), (2, 2), (1,), (4, 5, 3)]))
    low, high = (0, 255) if kind is np.uint8 else (-1, 1)  # the last shape is then that of an image
    returned = draw(st.sampled_from([kind, np.float64]) if kind is np.float32 else st.just(kind))
    observations = [draw(arrays.arrays(returned, shape, elements=NUMBERS[returned])) for _ in range(2 * STEPS + 1)]
    mean = draw(arrays.arrays(np.float64, shape, elements=st.floats(-1e6, 1e6)))
    var = draw(arrays.arrays(np.float64, shape, elements=POSITIVE))
    return spaces.Box(low, high, shape, kind), observations, running(mean, var)


ARGUMENTS = st.fixed_dictionaries(
    {
        "norm_reward": st.booleans(),
        "clip_obs": st.sampled_from([10.0, 0.5, np.inf]),
        "clip_reward": st.sampled_from([10.0, 0.1, np.inf]),
        "epsilon": st.sampled_from([1e-8, 1e-2, 1.0]),
    }
)
REWARDS = st.lists(st.floats(-1e30, 1e30), min_size=STEPS, max_size=STEPS)
ENDS = st.lists(st.booleans(), min_size=STEPS, max_size=STEPS)


def assert_every_bit_is_equal(
    env: Callable[[], gym.Env],
    moments: RunningMeanStd | dict[str, RunningMeanStd] | None,
    returns: RunningMeanStd,
    arguments: dict[str, Any],
    make: Callable[[list[Callable[[], gym.Env]]], VecEnv] = DummyVecEnv,
    steps: int = STEPS,
) -> None:
    """Run one environment under VecNormalize and, on its own, under the wrapper."""
    expected = VecNormalize(make([env]), training=False, **arguments)
    expected.ret_rms = returns
    if moments is not None:
        expected.obs_rms = moments
    found = NormalizeAsTrained(env(), statistics_of(expected), norm_reward=arguments["norm_reward"])
    assert found.observation_space == expected.observation_space
    expected.seed(5)
    assert bits(found.reset(seed=5)[0]) == bits(first(expected.reset()))
    for _ in range(steps):
        observations, rewards, dones, infos = expected.step(np.zeros(1, np.int64))
        observation, reward, terminated, truncated, _ = found.step(0)
        assert (terminated or truncated) == dones[0]
        if dones[0]:
            assert bits(observation) == bits(infos[0]["terminal_observation"])
            observation, _ = found.reset()
        assert bits(observation) == bits(first(observations))
        assert bits(np.float32(reward)) == bits(rewards[0])
    expected.close()


def first(observations: Any) -> Any:
    return {key: part[0] for key, part in observations.items()} if isinstance(observations, dict) else observations[0]


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
@settings(max_examples=150)
@given(boxes(), REWARDS, ENDS, POSITIVE, ARGUMENTS, st.booleans())
def test_one_environment_gets_bit_for_bit_the_observations_of_vecnormalize(
    box: Any, rewards: list[float], ends: list[bool], var: float, arguments: dict[str, Any], norm_obs: bool
) -> None:
    space, observations, moments = box
    assert_every_bit_is_equal(
        lambda: Scripted(space, observations, rewards, ends),
        moments if norm_obs else None,
        running(12.5, var),
        {**arguments, "norm_obs": norm_obs},
    )


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
@settings(max_examples=100)
@given(boxes(), boxes(), st.sampled_from([["a"], ["b"], ["b", "a"]]), REWARDS, ENDS, POSITIVE, ARGUMENTS)
def test_the_same_keys_of_a_dictionary_are_normalised_as_by_vecnormalize(
    a: Any, b: Any, keys: list[str], rewards: list[float], ends: list[bool], var: float, arguments: dict[str, Any]
) -> None:
    def env() -> Scripted:
        space = spaces.Dict({"a": a[0], "b": b[0], "colour": spaces.Discrete(3)})
        observations = [{"a": one, "b": two, "colour": 2} for one, two in zip(a[1], b[1], strict=True)]
        return Scripted(space, observations, rewards, ends)

    moments = {"a": a[2], "b": b[2]}
    assert_every_bit_is_equal(
        env, {key: moments[key] for key in keys}, running(0.0, var), {**arguments, "norm_obs_keys": keys}
    )


def test_environments_in_subprocesses_show_the_same_observations() -> None:
    moments, returns = running(np.full(3, 0.1), np.array([1e-3, 1.0, 0.0])), running(0.0, 7.3)
    arguments = {"clip_obs": 1.5, "norm_reward": False}
    assert_every_bit_is_equal(planted.Draws, moments, returns, arguments, SubprocVecEnv, steps=30)


def test_rewards_in_double_precision_as_a_subprocvecenv_gives_them_have_another_last_bit() -> None:
    """The exception that the wrapper's documentation names does exist."""
    normalize = VecNormalize(make_vec_env("CartPole-v1"), training=False)
    normalize.ret_rms = running(0.0, 7.3)
    rewards = np.random.default_rng(0).normal(size=1000)
    double, single = (normalize.normalize_reward(rewards.astype(kind)) for kind in (np.float64, np.float32))
    assert np.any(double != single)
    np.testing.assert_array_max_ulp(double, single, maxulp=2)


def test_the_environment_inside_keeps_its_own_spaces_and_rewards() -> None:
    image = spaces.Box(0, 255, (4, 5, 3), np.uint8)
    env = Scripted(spaces.Dict({"image": image}), [{"image": image.sample()}] * 2, [0.1])
    moments = {"image": Moments(np.zeros(image.shape), np.ones(image.shape), 1.0)}
    wrapped = NormalizeAsTrained(env, Statistics(moments, ONE, {**SETTINGS, "norm_obs_keys": ["image"]}))
    wrapped.reset()
    assert wrapped.step(0)[1] == 0.1
    assert env.observation_space == spaces.Dict({"image": image})
    assert wrapped.observation_space["image"].dtype == np.float32


def test_statistics_of_other_observations_are_refused() -> None:
    normalize = used(make_vec_env("CartPole-v1"))
    with pytest.raises(Unreadable, match=r"observations of shape \(3,\), found \(4,\)"):
        NormalizeAsTrained(gym.make("Pendulum-v1"), statistics_of(normalize))


# --- The wrapper that is commonly posted ----------------------------------------------------------------------------


def posted_and_exact(observation: float, var: float) -> tuple[float, float]:
    """The same observation, of mean 0, under the commonly posted wrapper and under this library's."""
    moments, space = Moments(np.zeros(1), np.full(1, var), 1.0), spaces.Box(-np.inf, np.inf, (1,), np.float64)
    statistics = Statistics({"": moments}, ONE, SETTINGS)
    envs = [Scripted(space, [np.array([observation])], []) for _ in range(2)]
    posted, exact = PostedNormalizer(envs[0], moments).reset()[0], NormalizeAsTrained(envs[1], statistics).reset()[0]
    return posted.item(), exact.item()


@pytest.mark.parametrize(
    ("var", "factor"),
    [(1.0, 1.0), (1e-6, 1.0050), (1e-8, 1.4141), (1e-10, 10.040), (1e-12, 99.015), (0.0, 10_000.0)],
)
def test_the_commonly_posted_wrapper_enlarges_what_hardly_varied_in_training(var: float, factor: float) -> None:
    posted, exact = posted_and_exact(1e-6, var)
    assert posted / exact == pytest.approx(factor, rel=1e-4)


def test_the_commonly_posted_wrapper_does_not_clip_what_training_clips() -> None:
    assert posted_and_exact(50.0, 1.0) == (50.0, 10.0)
    # A feature that was constant in training and now moves by a thousandth.
    posted, exact = posted_and_exact(1e-3, 0.0)
    assert (posted, exact) == pytest.approx((1e5, 10.0))


def test_the_commonly_posted_wrapper_changes_last_bits_of_ordinary_observations() -> None:
    pairs = [posted_and_exact(value, 1.0) for value in np.random.default_rng(0).normal(size=300)]
    different = np.mean([posted != exact for posted, exact in pairs])
    assert 0 < different < 0.5


# --- Files ----------------------------------------------------------------------------------------------------------

ONE = Moments(np.zeros(()), np.ones(()), 1.0)
SETTINGS = {
    "norm_obs": True,
    "norm_reward": True,
    "norm_obs_keys": None,
    "clip_obs": 10.0,
    "clip_reward": 10.0,
    "gamma": 0.99,
    "epsilon": 1e-8,
}


def moments_of(shape: tuple[int, ...]) -> st.SearchStrategy[Moments]:
    def made(kind: type) -> st.SearchStrategy[Moments]:
        width = np.dtype(kind).itemsize * 8
        finite = st.floats(width=width, allow_nan=False, allow_infinity=False)
        positive = st.floats(0, width=width, allow_infinity=False)
        return st.builds(
            Moments,
            arrays.arrays(kind, shape, elements=finite),
            arrays.arrays(kind, shape, elements=positive),
            st.floats(0, allow_infinity=False),
        )

    return st.sampled_from([np.float64, np.float32, np.float16]).flatmap(made)


KEYS = st.text(max_size=5).filter(lambda key: key.isprintable())


@st.composite
def all_statistics(draw: st.DrawFn) -> Statistics:
    norm_obs, keys = draw(st.booleans()), draw(st.none() | st.lists(KEYS, unique=True, max_size=3))
    shape = draw(arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    expected = ([""] if keys is None else keys) if norm_obs else []
    numbers = {name: draw(st.floats(allow_nan=False)) for name in ("clip_obs", "clip_reward", "gamma", "epsilon")}
    flags = {"norm_obs": norm_obs, "norm_reward": draw(st.booleans())}
    return Statistics(
        {key: draw(moments_of(shape)) for key in expected},
        draw(moments_of(())),
        {**flags, "norm_obs_keys": keys, **numbers},
    )


@KINDS
@settings(max_examples=100)
@given(statistics=all_statistics())
def test_statistics_survive_saving_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, kind: str, statistics: Statistics
) -> None:
    path = save_statistics(statistics, tmp_path_factory.getbasetemp() / f"survives.{kind}")
    assert content(load_statistics(path)) == content(statistics)


def carts(kind: type[VecEnv] = DummyVecEnv) -> VecEnv:
    return kind([partial(gym.make, "CartPole-v1")] * 2)


def sources(folder: Path) -> dict[str, Callable[[], Source]]:
    def saved() -> str:
        used(carts()).save(str(folder / "vecnormalize.pkl"))
        return str(folder / "vecnormalize.pkl")

    def venv() -> VecNormalize:
        return used(carts())

    return {
        "a VecNormalize": venv,
        "outside it a VecMonitor": lambda: VecMonitor(venv()),
        "outside it a VecFrameStack": lambda: VecFrameStack(VecMonitor(venv()), 4),
        "processes of their own": lambda: used(carts(SubprocVecEnv)),
        "a model": lambda: PPO("MlpPolicy", VecMonitor(venv()), n_steps=8, batch_size=8),
        "a vecnormalize.pkl": saved,
        "a file of statistics": lambda: save_statistics(venv(), folder / "other.json"),
    }


@pytest.mark.parametrize("source", sources(Path()))
def test_statistics_are_found_wherever_they_are(tmp_path: Path, source: str) -> None:
    expected = used(carts())
    found = sources(tmp_path)[source]()
    path = save_statistics(found, tmp_path / "statistics.npz")
    assert content(load_statistics(path)) == content(statistics_of(expected))
    assert np.any(expected.obs_rms.mean != 0)
    if isinstance(found, VecEnv):
        found.close()


@KINDS
def test_a_vecnormalize_made_of_them_is_frozen_and_goes_on_where_the_other_stopped(tmp_path: Path, kind: str) -> None:
    original = used(make_vec_env("CartPole-v1", n_envs=2))
    loaded = load_statistics(save_statistics(original, tmp_path / f"statistics.{kind}"))
    normalize = loaded.around(make_vec_env("CartPole-v1"))
    assert (normalize.training, normalize.norm_reward) == (False, False)
    assert loaded.around(make_vec_env("CartPole-v1"), norm_reward=True).norm_reward
    normalize.training = original.training = True
    for one in (original, normalize):
        one.obs_rms.update(np.ones((5, 4)))
        one.ret_rms.update(np.ones(5))
    assert bits(normalize.obs_rms.var) == bits(original.obs_rms.var)
    assert bits(np.asarray(normalize.ret_rms.var)) == bits(np.asarray(original.ret_rms.var))
    assert content(loaded) == content(load_statistics(tmp_path / f"statistics.{kind}"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (lambda: make_vec_env("CartPole-v1"), "expected one VecNormalize in DummyVecEnv, found none"),
        (lambda: VecNormalize(VecNormalize(make_vec_env("CartPole-v1"))), "in VecNormalize, found 2"),
        (lambda: PPO("MlpPolicy", "CartPole-v1"), "expected one VecNormalize in PPO, found none"),
        (lambda: "missing.pkl", "missing.pkl: cannot be read: No such file"),
    ],
)
def test_a_source_without_statistics_is_refused_with_one_message(tmp_path: Path, source: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        save_statistics(source(), tmp_path / "statistics.npz")
    assert not list(tmp_path.iterdir())


def test_a_model_loaded_without_environments_is_refused_with_the_reason(tmp_path: Path) -> None:
    PPO("MlpPolicy", "CartPole-v1").save(tmp_path / "model.zip")
    with pytest.raises(ValueError, match="loaded without any"):
        save_statistics(PPO.load(tmp_path / "model.zip"), tmp_path / "statistics.npz")


def test_statistics_that_ran_into_nan_are_not_saved(tmp_path: Path) -> None:
    normalize = used(make_vec_env("CartPole-v1"))
    normalize.obs_rms.mean[2] = np.nan
    with pytest.raises(ValueError, match="observations: expected finite means"):
        save_statistics(normalize, tmp_path / "statistics.json")


@pytest.mark.parametrize(
    "call", [lambda path: save_statistics(Statistics({"": ONE}, ONE, SETTINGS), path), load_statistics]
)
@pytest.mark.parametrize("name", ["statistics", "statistics.pkl", "statistics.npy"])
def test_another_kind_of_file_is_refused(tmp_path: Path, name: str, call: Any) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected a file of statistics named .npz or .json"):
        call(tmp_path / name)


def written(path: Path) -> Any:
    save_statistics(Statistics({"": Moments(np.zeros(3), np.ones(3), 5.0)}, ONE, SETTINGS), path)
    return json.loads(path.read_text())


DAMAGES = {
    "another version": ({"format": 2}, "expected format 1, found 2"),
    "no version": ({"format": None}, "expected format 1, found None"),
    "a flag that is none": ({"norm_obs": "yes"}, "norm_obs: expected true or false, found 'yes'"),
    "a number that is none": ({"epsilon": [1]}, "epsilon: expected a number"),
    "a number that is NaN": ({"gamma": float("nan")}, "gamma: expected a number, found nan"),
    "an endless number": ({"gamma": 10**400}, "damaged statistics"),
    "keys that are none": ({"norm_obs_keys": "ab"}, "norm_obs_keys: expected keys"),
    "other keys": ({"norm_obs_keys": ["a"]}, r"expected statistics of \['a'\], found those of \[''\]"),
    "no rewards": ({"rewards": None}, "expected 'mean', found None"),
    "a list of observations": ({"observations": [1]}, "observations: expected keys"),
}
DAMAGED_ARRAYS = {
    "another shape": ({"shape": [2]}, "cannot reshape"),
    "a negative shape": ({"shape": [-1]}, "shape: expected whole numbers"),
    "texts": ({"values": ["1", "2", "3"]}, "values: expected numbers"),
    "NaN": ({"values": [1, 2, float("nan")]}, "observations: expected finite means"),
    "an endless integer": ({"values": [1, 2, 10**400]}, "damaged statistics"),
    "objects": ({"dtype": "object"}, "dtype: expected one of"),
    "another shape than the variance": ({"shape": [1, 3]}, "expected one shape"),
}


@pytest.mark.parametrize("damage", [*DAMAGES, *DAMAGED_ARRAYS])
def test_damaged_json_is_refused_with_what_is_wrong(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "statistics.json"
    data = written(path)
    changes, message = {**DAMAGES, **DAMAGED_ARRAYS}[damage]
    (data if damage in DAMAGES else data["observations"][""]["mean"]).update(changes)
    path.write_text(json.dumps(data))
    with pytest.raises(Unreadable, match=message) as raised:
        load_statistics(path)
    assert str(path) in str(raised.value)


@KINDS
def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"statistics.{kind}"
    save_statistics(Statistics({"": ONE}, ONE, SETTINGS), path)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 2, 37):
        path.write_bytes(whole[:length])
        with pytest.raises(Unreadable, match=str(path)):
            load_statistics(path)


class Executed:
    """Says so when it is unpickled."""

    def __reduce__(self) -> Any:
        return print, ("executed",)


def test_a_pickle_inside_an_npz_is_refused_and_not_executed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save_statistics(Statistics({"": ONE}, ONE, SETTINGS), tmp_path / "statistics.npz")
    with np.load(path) as archive:
        members = dict(archive)
    np.savez(path, **{**members, "rewards.mean": np.array([Executed()], object)})
    with pytest.raises(Unreadable, match="Object arrays cannot be loaded"):
        load_statistics(path)
    path.write_bytes(pickle.dumps(Executed()))
    with pytest.raises(Unreadable, match="not a zip"):
        load_statistics(path)
    assert "executed" not in capsys.readouterr().out


def test_an_npz_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "statistics.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("description.npy", "w") as member:
        for _ in range(300):
            member.write(bytes(2**20))
    with pytest.raises(Unreadable, match="found more"):
        load_statistics(path)


def test_an_npz_without_an_array_that_it_mentions_is_refused(tmp_path: Path) -> None:
    path = save_statistics(Statistics({"": ONE}, ONE, SETTINGS), tmp_path / "statistics.npz")
    with np.load(path) as archive:
        members = {name: array for name, array in archive.items() if name != "observations.0.var"}
    np.savez(path, **members)
    with pytest.raises(Unreadable, match=r"expected an array 'observations.0.var'"):
        load_statistics(path)


def test_the_same_statistics_give_the_same_file(tmp_path: Path) -> None:
    statistics = statistics_of(used(make_vec_env("CartPole-v1")))
    for kind in FILES:
        one, two = (save_statistics(statistics, tmp_path / f"{name}.{kind}").read_bytes() for name in "ab")
        assert one == two
