"""What others saved is read as they meant it: spaces, arrays, statistics, as every version since 2018 pickled them."""

from __future__ import annotations

import base64
import collections
import io
import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import cloudpickle
import gymnasium as gym
import numpy as np
import planted
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from reload_audit.reading.by_value import besides
from reload_audit.reading.instances import split
from reload_audit.reading.pickles import parse
from reload_audit.reading.refusal import Unreadable
from reload_audit.reading.statistics import read_statistics
from reload_audit.reading.trust import refuse_untrusted, running_names
from reload_audit.reading.values import SPACE_ATTRIBUTES, Values
from support.hostile_pickles import with_observation_moments

PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)


def read(pickled: bytes) -> Any:
    parsed = parse(pickled)
    refuse_untrusted(parsed, ())
    return Values().build(parsed.value)


# --- Spaces ------------------------------------------------------------------------------------------------------


def image() -> spaces.Box:
    return spaces.Box(0, 255, (4, 5, 3), np.uint8)


SPACES: dict[str, spaces.Space] = {
    **{f"box of {kind.__name__}": spaces.Box(-1, 1, (3,), kind) for kind in (np.float16, np.float32, np.float64)},
    **{f"box of {kind.__name__}": spaces.Box(0, 100, (2, 3), kind) for kind in (np.uint8, np.int8, np.int32, np.int64)},
    "box without bounds": spaces.Box(-np.inf, np.inf, (3,), np.float32),
    "box of whole numbers without bounds": spaces.Box(-np.inf, np.inf, (3,), np.int64),
    "box with bounds of its own": spaces.Box(np.array([-1, -2.5]), np.array([0, np.inf]), dtype=np.float64),
    "box in Fortran order": spaces.Box(
        np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.full((2, 3), 9.0), dtype=np.float64
    ),
    "box of one number": spaces.Box(0.0, 1.0, (), np.float32),
    "box of truths": spaces.Box(0, 1, (3,), np.bool_),
    "image": image(),
    "discrete": spaces.Discrete(4),
    "discrete from a start": spaces.Discrete(4, start=-2),
    "discrete of another kind": spaces.Discrete(4, dtype=np.int32),
    "multidiscrete": spaces.MultiDiscrete([2, 3, 4]),
    "multidiscrete from a start": spaces.MultiDiscrete([2, 3], start=[5, -1]),
    "multidiscrete of two axes": spaces.MultiDiscrete(np.array([[2, 3], [4, 5]]), dtype=np.int32),
    "multibinary": spaces.MultiBinary(5),
    "multibinary of two axes": spaces.MultiBinary([2, 3]),
    "dictionary": spaces.Dict({"b": spaces.Discrete(3), "a": image()}),
    "dictionary in an order of its own": spaces.Dict([("b", spaces.Discrete(3)), ("a", image())]),
    "tuple": spaces.Tuple((spaces.Discrete(3), image())),
    "nested": spaces.Dict({"x": spaces.Tuple((spaces.Dict({"y": image()}), spaces.MultiBinary(2))), "z": image()}),
    "sharing a part": spaces.Tuple([spaces.Discrete(7)] * 3),
}


def contents(space: spaces.Space) -> Any:
    """All that tells spaces apart, order of keys included, which is the order of a network's inputs."""
    if isinstance(space, spaces.Dict):
        return [(key, contents(part)) for key, part in space.spaces.items()]
    if isinstance(space, spaces.Tuple):
        return [contents(part) for part in space.spaces]
    numbers = {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name in ("low", "high", "n", "nvec", "start", "bounded_below", "bounded_above")
        if (value := getattr(space, name, None)) is not None
    }
    return type(space), space.shape, space.dtype, numbers


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", SPACES)
def test_a_space_is_read_as_gymnasium_pickles_it(name: str, protocol: int) -> None:
    original = SPACES[name]
    found = read(cloudpickle.dumps(original, protocol))
    assert found == original
    expected = pickle.loads(cloudpickle.dumps(original, protocol))
    if name != "box of whole numbers without bounds":  # its bounds have become numbers
        assert contents(found) == contents(expected)


@pytest.mark.parametrize("name", SPACES)
def test_a_space_that_was_sampled_from_is_read(name: str) -> None:
    """Its random generator is pickled with it."""
    used = pickle.loads(pickle.dumps(SPACES[name]))
    used.seed(3)
    used.sample()
    found = read(pickle.dumps(used))
    assert found == SPACES[name]
    assert found.contains(found.sample())


def test_a_space_that_is_saved_twice_is_read_as_equal_spaces() -> None:
    space = spaces.Discrete(3)
    one, two = read(pickle.dumps([space, space]))
    assert one is two


def test_a_space_of_another_kind_is_refused_by_name() -> None:
    for space in (spaces.Text(3), spaces.Sequence(spaces.Discrete(3)), spaces.OneOf([spaces.Discrete(2)])):
        with pytest.raises(Unreadable, match=type(space).__name__):
            read(pickle.dumps(space))


OLD_GYM = """
import base64, collections, json, pickle, sys, types
import numpy as np


def module(name):
    made = sys.modules[name] = types.ModuleType(name)
    return made


def space(module_name, name):
    made = type(name, (), {"__module__": module_name})
    setattr(sys.modules[module_name], name, made)
    return made


class Generator(np.random.Generator):
    def __reduce__(self):
        _, arguments, *rest = super().__reduce__()
        return Generator._generator_ctor, arguments[:1], *rest

    @staticmethod
    def _generator_ctor(name="MT19937"):
        return Generator(np.random.MT19937())


for name in ("gym", "gym.spaces", "gym.utils", "gym.utils.seeding"):
    module(name)
Generator.__module__ = "gym.utils.seeding"
for holder, name in ((Generator, "RandomNumberGenerator"), (Generator._generator_ctor, None)):
    holder.__module__ = "gym.utils.seeding"
    holder.__qualname__ = name or "RandomNumberGenerator._generator_ctor"
sys.modules["gym.utils.seeding"].RandomNumberGenerator = Generator
kinds = {}
for file, name in (("box", "Box"), ("discrete", "Discrete"), ("multi_discrete", "MultiDiscrete"),
                   ("multi_binary", "MultiBinary"), ("dict", "Dict"), ("tuple", "Tuple")):
    module("gym.spaces." + file)
    kinds[name] = space("gym.spaces." + file, name)


def made(kind, **state):
    instance = kinds[kind]()
    instance.__dict__.update(state)
    return instance


def of(version, random):
    shape, dtype = ("shape", np.float32) if version < (0, 18) else ("_shape", np.dtype(np.float32))
    whole = np.int64 if version < (0, 18) else np.dtype(np.int64)
    rng = "np_random" if version < (0, 21) else "_np_random"
    low, high = np.full(3, -1, np.float32), np.full(3, 2, np.float32)
    start = {"start": 5} if version >= (0, 22) else {}
    bounds = {"bounded_below": low > -9, "bounded_above": high < 9} if version >= (0, 12) else {}
    box = made("Box", **{shape: (3,), "dtype": dtype, rng: random}, low=low, high=high, **bounds)
    discrete = made("Discrete", **{shape: (), "dtype": whole, rng: random}, n=4, **start)
    several = made("MultiDiscrete", **{shape: (2,), "dtype": whole, rng: random}, nvec=np.array([2, 3]))
    binary = made("MultiBinary", **{shape: (3,), "dtype": np.int8, rng: random}, n=3)
    return {
        "Box": box, "Discrete": discrete, "MultiDiscrete": several, "MultiBinary": binary,
        "Dict": made("Dict", **{shape: None, "dtype": None, rng: random},
                     spaces=collections.OrderedDict([("z", box), ("a", discrete)])),
        "Tuple": made("Tuple", **{shape: None, "dtype": None, rng: random}, spaces=[box, binary]),
    }


generators = {(0, 10): None, (0, 17): np.random.RandomState(3), (0, 21): np.random.RandomState(3),
              (0, 23): Generator(np.random.PCG64(3)), (0, 26): np.random.default_rng(3)}
found = {}
for version, random in generators.items():
    for protocol in range(2, 6):
        if version == (0, 23) and protocol < 4:
            continue
        for name, value in of(version, random).items():
            key = f"{name} of gym 0.{version[1]}, protocol {protocol}"
            found[key] = base64.b64encode(pickle.dumps(value, protocol)).decode()
print(json.dumps(found))
"""


def test_spaces_of_old_gym_are_read_as_gymnasium_s() -> None:
    made = subprocess.run([sys.executable, "-c", OLD_GYM], check=True, capture_output=True, text=True).stdout
    found = {key: read(base64.b64decode(pickled)) for key, pickled in json.loads(made).items()}
    assert len(found) == 6 * (4 * 4 + 2)
    box = spaces.Box(-1, 2, (3,), np.float32)
    for key, space in found.items():
        version = int(key.split(".")[1].split(",")[0])
        discrete = spaces.Discrete(4, start=5 if version >= 22 else 0)
        expected = {
            "Box": box,
            "Discrete": discrete,
            "MultiDiscrete": spaces.MultiDiscrete([2, 3]),
            "MultiBinary": spaces.MultiBinary(3),
            "Dict": spaces.Dict([("z", box), ("a", discrete)]),
            "Tuple": spaces.Tuple((box, spaces.MultiBinary(3))),
        }[key.split(" ")[0]]
        assert contents(space) == contents(expected), key
        assert isinstance(space, gym.Space)


# --- Arrays and containers ---------------------------------------------------------------------------------------

ARRAYS: dict[str, np.ndarray] = {
    **{
        str(np.dtype(code)): np.arange(6).astype(code).reshape(2, 3)
        for code in ("f2", "f4", "f8", "i1", "i8", "u2", "?")
    },
    "big endian": np.arange(6, dtype=">f4"),
    "Fortran order": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "axes in another order": np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2),
    "every second": np.arange(10)[::2],
    "empty": np.zeros((0, 3)),
    "of no axis": np.array(2.5),
    "not finite": np.array([np.nan, np.inf, -np.inf, -0.0]),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("core", [b"numpy._core", b"numpy.core"])
@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_is_read_as_numpy_1_and_2_pickle_it(name: str, core: bytes, protocol: int) -> None:
    original = ARRAYS[name]
    pickled = pickle.dumps(original, protocol)
    if core == b"numpy.core":
        pickled = as_numpy_1(original, protocol)
    found = read(pickled)
    assert found.dtype == original.dtype.newbyteorder("=")
    assert found.shape == original.shape
    assert np.array_equal(found, original, equal_nan=original.dtype.kind == "f")
    assert found.flags.writeable


def as_numpy_1(value: Any, protocol: int) -> bytes:
    """The same pickle with the names of NumPy 1. Without frames, whose lengths would no longer be right."""

    class Renaming(pickle._Pickler):
        def save_global(self, obj: Any, name: str | None = None) -> None:
            module, found = obj.__module__, name or obj.__qualname__
            self.write(f"c{module.replace('numpy._core', 'numpy.core')}\n{found}\n".encode())
            self.memoize(obj)

        dispatch: ClassVar[dict[type, Any]] = {
            **pickle._Pickler.dispatch,
            type: save_global,
            type(len): save_global,
            type(as_numpy_1): save_global,
        }

    content = io.BytesIO()
    pickler = Renaming(content, protocol)
    pickler.dump(value)
    assert b"numpy._core" not in content.getvalue()
    return content.getvalue()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("value", [np.float32(0.1), np.float64(0.1), np.int64(-3), np.bool_(True), np.uint8(255)])
def test_a_scalar_is_read(value: Any, protocol: int) -> None:
    found = read(pickle.dumps(value, protocol))
    assert (found, type(found)) == (value, type(value))


def test_an_array_of_objects_is_refused() -> None:
    for array in (np.array([{}, []], dtype=object), np.zeros(3, dtype=[("a", "f4")]), np.array(["a"])):
        with pytest.raises(Unreadable):
            read(pickle.dumps(array))


VALUES = {
    "plain": [None, True, 3, -(2**70), 2.5, float("inf"), "text", "é\udc80", b"bytes", bytearray(b"x"), (), (1, (2,))],
    "containers": [{"a": [1], 2: {}, None: (), (1, "b"): 3}, {1, "a"}, frozenset({2}), [[], [[]]]],
    "ordered": collections.OrderedDict([("b", 1), ("a", [2])]),
    "episodes": collections.deque([{"r": 1.5, "l": 3, "t": 0.1}, {"r": np.float64(2.5), "l": 4, "t": 0.2}], maxlen=100),
    "an endless deque": collections.deque([1, 2]),
    "the same twice": [[1, 2]] * 3,
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", VALUES)
def test_plain_values_are_read(name: str, protocol: int) -> None:
    found = read(pickle.dumps(VALUES[name], protocol))
    assert found == VALUES[name]
    assert getattr(found, "maxlen", None) == getattr(VALUES[name], "maxlen", None)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_classes_of_policies_and_optimizers_are_read(protocol: int) -> None:
    classes = {"a": ActorCriticPolicy, "b": th.nn.ReLU, "c": th.optim.RMSprop, "d": int, "e": np.float32}
    assert read(pickle.dumps(classes, protocol)) == classes


def test_a_class_that_no_longer_exists_is_named() -> None:
    with pytest.raises(Unreadable, match=r"needs stable_baselines3\.common\.policies\.OldPolicy"):
        read(b"cstable_baselines3.common.policies\nOldPolicy\n.")


# --- Statistics --------------------------------------------------------------------------------------------------


class DictOfBoxes(planted.Draws):
    observation_space = spaces.Dict({key: spaces.Box(-9, 9, (2,), np.float32) for key in ("z", "a")})

    def observe(self) -> Any:
        return {key: self.np_random.normal(3, 5, 2).astype(np.float32) for key in ("z", "a")}


def one(env: Any) -> VecEnv:
    return DummyVecEnv([env])


def used(env: Any = planted.Draws, **arguments: Any) -> VecNormalize:
    normalize = VecNormalize(one(env), **arguments)
    normalize.seed(3)
    normalize.reset()
    for _ in range(40):
        normalize.step(np.array([normalize.action_space.sample()]))
    return normalize


STATISTICS: dict[str, tuple[Any, dict[str, Any]]] = {
    "of a box": (planted.Draws, {}),
    "of a dictionary": (DictOfBoxes, {}),
    "of one key": (planted.DictObservations, {"norm_obs_keys": ["position"]}),
    "of keys in another order": (DictOfBoxes, {"norm_obs_keys": ["a", "z"]}),
    "of rewards only": (planted.Draws, {"norm_obs": False}),
    "of observations only": (planted.Draws, {"norm_reward": False, "clip_obs": 0.5, "epsilon": 1e-3, "gamma": 0.9}),
    "of images": (planted.Images, {}),
    "without clipping": (planted.Draws, {"clip_obs": np.inf, "clip_reward": float("inf")}),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", STATISTICS)
def test_statistics_normalise_bit_for_bit_as_sb3_s_own_load_does(name: str, protocol: int, tmp_path: Path) -> None:
    env, arguments = STATISTICS[name]
    (tmp_path / "file.pkl").write_bytes(pickle.dumps(used(env, **arguments), protocol))
    expected = VecNormalize.load(str(tmp_path / "file.pkl"), one(env))
    found = read_statistics(tmp_path / "file.pkl").around(one(env))
    assert (found.training, found.norm_reward) == (False, False)
    venv = one(env)
    venv.seed(5)
    observation = venv.reset()
    for _ in range(20):
        same(found.normalize_obs(observation), expected.normalize_obs(observation))
        same(found.unnormalize_obs(observation), expected.unnormalize_obs(observation))
        observation, *_ = venv.step(np.array([venv.action_space.sample()]))
    for setting in ("clip_obs", "clip_reward", "gamma", "epsilon", "norm_obs"):
        assert getattr(found, setting) == getattr(expected, setting)
    assert (found.ret_rms.mean, found.ret_rms.var, found.ret_rms.count) == (
        *(expected.ret_rms.mean, expected.ret_rms.var),
        expected.ret_rms.count,
    )


def same(one: Any, other: Any) -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            same(one[key], other[key])
    else:
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes()


def test_statistics_as_numpy_1_pickled_them_are_read(tmp_path: Path) -> None:
    normalize = used()
    for protocol in PROTOCOLS:
        (tmp_path / "file.pkl").write_bytes(as_numpy_1(normalize, protocol))
        found = read_statistics(tmp_path / "file.pkl")
        assert found.observations[""].mean.tobytes() == normalize.obs_rms.mean.tobytes()


def test_statistics_from_before_keys_could_be_chosen_are_read(tmp_path: Path) -> None:
    normalize = used(DictOfBoxes)
    state = normalize.__getstate__()
    del state["norm_obs_keys"]
    made = b"\x80\x02cstable_baselines3.common.vec_env.vec_normalize\nVecNormalize\n)\x81"
    (tmp_path / "file.pkl").write_bytes(made + pickle.dumps(state, 2)[2:-1] + b"b.")
    found = read_statistics(tmp_path / "file.pkl")
    assert found.settings["norm_obs_keys"] == ["a", "z"]
    found.around(one(DictOfBoxes))


def test_statistics_that_do_not_fit_the_environment_are_refused(tmp_path: Path) -> None:
    for env, others in ((planted.Draws, (planted.Images, DictOfBoxes)), (DictOfBoxes, (planted.Draws, planted.Goals))):
        used(env).save(str(tmp_path / "file.pkl"))
        for other in others:
            with pytest.raises(Unreadable, match="do not fit the environment"):
                read_statistics(tmp_path / "file.pkl").around(one(other))


def moments_of(**changes: Any) -> bytes:
    moments = RunningMeanStd(shape=(3,))
    vars(moments).update(changes)
    return pickle.dumps(moments, 2)


@pytest.mark.parametrize(
    "pickled",
    [
        moments_of(mean=np.array([np.nan, 0, 0])),
        moments_of(var=np.array([-1.0, 1, 1])),
        moments_of(var=np.array([np.inf, 1, 1])),
        moments_of(var=np.ones(2)),
        moments_of(mean=[0.0, 0.0, 0.0]),
        moments_of(mean="0"),
        moments_of(count=None),
        moments_of(count=float("nan")),
        moments_of(count=np.ones(2)),
        *(pickle.dumps(value, 2) for value in (None, 3, [], {"a": 1}, RunningMeanStd)),
    ],
)
def test_damaged_statistics_are_refused(pickled: bytes, tmp_path: Path) -> None:
    used().save(str(tmp_path / "file.pkl"))
    original = (tmp_path / "file.pkl").read_bytes()
    (tmp_path / "file.pkl").write_bytes(with_observation_moments(original, moments_of()))
    read_statistics(tmp_path / "file.pkl").around(one(planted.Draws))
    (tmp_path / "file.pkl").write_bytes(with_observation_moments(original, pickled))
    with pytest.raises(Unreadable):
        read_statistics(tmp_path / "file.pkl").around(one(planted.Draws))


@pytest.mark.parametrize(
    "changes",
    [
        *({name: value} for name in ("clip_obs", "gamma", "epsilon") for value in (None, "1", [1], np.nan, np.ones(2))),
        *({"norm_obs": value} for value in (None, 1, "yes", np.ones(2))),
        *({"norm_obs_keys": value} for value in (3, "abc", {"a": 1}, [3])),
        {"ret_rms": RunningMeanStd(shape=(3,))},
        {"gamma": 10**5000},
    ],
)
def test_damaged_settings_of_statistics_are_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    normalize = used()
    vars(normalize).update(changes)
    normalize.save(str(tmp_path / "file.pkl"))
    with pytest.raises(Unreadable):
        read_statistics(tmp_path / "file.pkl")


def test_whatever_else_is_set_on_a_vecnormalize_is_left_out_of_its_statistics(tmp_path: Path) -> None:
    normalize = used()
    vars(normalize).update(run=Path("runs"), steps=3, hook=cloudpickle.dumps, observation_space=None)
    normalize.save(str(tmp_path / "file.pkl"))
    found = read_statistics(tmp_path / "file.pkl")
    assert found.left_out == (f"run (pathlib.{type(Path()).__name__})", "hook (cloudpickle.cloudpickle.dumps)")
    found.around(one(planted.Draws))


def test_whatever_else_is_set_on_a_space_is_left_out_of_it() -> None:
    space = spaces.Box(-1, 1, (3,), np.float32)
    vars(space).update(names=[Path("a")], hook=subprocess.run)
    parsed = parse(pickle.dumps(space))
    kept, rest = split(parsed.value, SPACE_ATTRIBUTES)
    refuse_untrusted(replace(parsed, steps=besides(parsed, kept, rest.values())), ())
    assert Values().build(parsed.value) == spaces.Box(-1, 1, (3,), np.float32)


# --- What is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "advised"),
    [
        ("my_robots.policies Net", "if it is yours, add 'my_robots' to trust"),
        ("__main__ Net", "move it into a module that can be imported"),
        ("subprocess Popen", "it is never trusted"),
        ("posix system", "it is never trusted"),
        ("pathlib PosixPath", "it is never trusted"),
        ("os.path join", "it is never trusted"),
        ("torch.hub load", "it is never trusted"),
        ("gymnasium.envs.registration make", "it is never trusted"),
    ],
)
def test_nobody_is_advised_to_trust_python_s_own_modules_a_script_or_the_libraries(name: str, advised: str) -> None:
    module, _, attribute = name.partition(" ")
    with pytest.raises(Unreadable, match=rf"untrusted_pickle {module}\.{attribute}; .*{advised}") as refused:
        read(f"c{module}\n{attribute}\n.".encode())
    assert ("to trust" in str(refused.value)) is (module == "my_robots.policies")


@pytest.mark.parametrize("name", ["os system", "posix system", "subprocess Popen", "builtins eval", "runpy run_path"])
def test_a_name_that_runs_something_is_worth_a_warning_wherever_it_stands(name: str) -> None:
    module, _, attribute = name.partition(" ")
    assert running_names(parse(f"(c{module}\n{attribute}\n0l.".encode())) == (f"{module}.{attribute}",)


def test_what_people_set_on_models_is_worth_no_warning() -> None:
    for value in (
        Path("a"),
        collections.Counter("a"),
        np.float32(1),
        spaces.Discrete(3),
        th.device("cpu"),
        used().obs_rms,
    ):
        assert running_names(parse(pickle.dumps(value))) == ()
    assert running_names(parse(cloudpickle.dumps(lambda left: left * 1e-3))) == ()
