"""Save VecNormalize's statistics to a file that is no pickle, and load them.

For models that are shipped without their statistics because a stack of VecEnvs cannot be pickled: only the statistics
need saving, and they are numbers::

    save_statistics(model, "robot.npz")  # at train time; or .json
    venv = load_statistics("robot.npz").around(make_vec_env("Robot-v0", n_envs=8))  # as a VecNormalize again
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from stable_baselines3.common.vec_env.base_vec_env import VecEnvWrapper

from reload_audit.reading.files import open_zip, read_bytes, read_member
from reload_audit.reading.pickles import Parsed
from reload_audit.reading.plain_values import read_json
from reload_audit.reading.refusal import Unreadable, brief, refusing, shown
from reload_audit.reading.statistics import Moments, SavedStatistics, read_statistics
from reload_audit.records.storage import atomic_path, plain, write_json

FORMAT = 1

_MAX_BYTES = 2**28
_FLAGS = ("norm_obs", "norm_reward")
_NUMBERS = ("clip_obs", "clip_reward", "gamma", "epsilon")
_DATA_TYPES = ("float16", "float32", "float64")
_NO_PICKLE = Parsed(None, (), 0, 0)


@dataclass(frozen=True)
class Statistics:
    """What a VecNormalize has learned, and its arguments.

    :param observations: for each normalised key of a dictionary, or under ``""``; empty where none is normalised
    :param rewards: mean and variance of discounted returns, of shape ``()``
    :param settings: ``norm_obs``, ``norm_reward``, ``norm_obs_keys``, ``clip_obs``, ``clip_reward``, ``gamma`` and
        ``epsilon``
    :raises ValueError: they cannot be those of a VecNormalize that works
    """

    observations: Mapping[str, Moments]
    rewards: Moments
    settings: Mapping[str, Any]

    def __post_init__(self) -> None:
        keys = self.settings["norm_obs_keys"]
        expected = [] if not self.settings["norm_obs"] else [""] if keys is None else keys
        if set(self.observations) != set(expected):
            raise ValueError(f"expected statistics of {brief(expected)}, found those of {brief([*self.observations])}")
        for key, moments in self.observations.items():
            _check(moments, f"observations {brief(key)}" if key else "observations")
        _check(self.rewards, "rewards")
        if self.rewards.mean.shape != ():
            raise ValueError(f"rewards: expected one mean, found shape {self.rewards.mean.shape}")

    def around(self, venv: VecEnv, norm_reward: bool = False) -> VecNormalize:
        """A VecNormalize with these statistics around ``venv``, frozen.

        :param norm_reward: whether it rescales rewards, as it did in training
        :raises Unreadable: the observations there have another shape
        """
        normalize = SavedStatistics(self.observations, self.rewards, self.settings, _NO_PICKLE).around(venv)
        normalize.norm_reward = norm_reward
        return normalize


Source = Statistics | SavedStatistics | VecEnv | BaseAlgorithm | str | Path


def statistics_of(source: Source) -> Statistics:
    """The statistics in a model, in a stack of VecEnvs, or in a file. Nothing in a file is executed.

    :param source: a model or a stack with one VecNormalize somewhere in it; or the path of a file that
        :func:`save_statistics` or ``VecNormalize.save`` wrote
    :raises ValueError: there is not exactly one VecNormalize, or its numbers are unusable
    :raises Unreadable: the file is damaged or something else
    """
    if isinstance(source, Statistics):
        return source
    if isinstance(source, str | Path):
        if Path(source).suffix in _KINDS:
            return load_statistics(source)
        source = read_statistics(source)
    if isinstance(source, SavedStatistics):
        return Statistics(source.observations, source.rewards, {"norm_obs_keys": None, **source.settings})
    return _of_vec_normalize(_the_vec_normalize(source))


def save_statistics(source: Source, path: str | Path) -> Path:
    """Write statistics to a file that holds numbers only, every bit of them. It appears complete or not at all.

    ``.json`` holds the settings, the format's version, and for ``rewards`` and every key of ``observations`` (``""``
    where they are no dictionary) ``mean``, ``var`` and ``count``; an array is its ``dtype``, ``shape`` and flat
    ``values``. ``.npz`` holds the same JSON in ``description``, where each array is the name of another member.

    :param source: as in :func:`statistics_of`
    :param path: ends in ``.npz`` or ``.json``
    :raises ValueError: it ends otherwise, or the source has no usable statistics
    """
    write, _ = _kind(path)
    statistics = statistics_of(source)
    write(statistics, Path(path))
    return Path(path)


def load_statistics(path: str | Path) -> Statistics:
    """Read what :func:`save_statistics` wrote. No pickle is involved.

    :raises ValueError: the name ends neither in ``.npz`` nor in ``.json``
    :raises Unreadable: the file is damaged, or of another version
    """
    _, read = _kind(path)
    with refusing(f"{shown(str(path))}: damaged statistics"):
        try:
            return read(Path(path))
        except Unreadable:
            raise
        except ValueError as error:
            raise Unreadable(f"{shown(str(path))}: damaged statistics: {error}") from None


def _the_vec_normalize(source: Any) -> VecNormalize:
    layer = source.get_env() if isinstance(source, BaseAlgorithm) else source
    if layer is None:
        raise ValueError("expected a model with its environments, found one that was loaded without any")
    found = []
    while isinstance(layer, VecEnvWrapper):
        if isinstance(layer, VecNormalize):
            found.append(layer)
        layer = layer.venv
    if len(found) != 1:
        raise ValueError(f"expected one VecNormalize in {type(source).__name__}, found {len(found) or 'none'}")
    return found[0]


def _of_vec_normalize(normalize: VecNormalize) -> Statistics:
    running: Any = {}
    if normalize.norm_obs:
        running = normalize.obs_rms if isinstance(normalize.obs_rms, dict) else {"": normalize.obs_rms}
    keys = normalize.norm_obs_keys
    settings = {
        **{name: bool(getattr(normalize, name)) for name in _FLAGS},
        "norm_obs_keys": None if keys is None else list(keys),
        **{name: float(getattr(normalize, name)) for name in _NUMBERS},
    }
    return Statistics({key: _moments_of(one) for key, one in running.items()}, _moments_of(normalize.ret_rms), settings)


def _moments_of(running: Any) -> Moments:
    return Moments(np.array(running.mean), np.array(running.var), float(running.count))


def _check(moments: Moments, what: str) -> None:
    """:raises ValueError: no VecNormalize can work with them."""
    mean, var = moments.mean, moments.var
    if mean.dtype.name not in _DATA_TYPES or var.dtype.name not in _DATA_TYPES:
        raise ValueError(f"{what}: expected numbers of {', '.join(_DATA_TYPES)}, found {mean.dtype} and {var.dtype}")
    if mean.shape != var.shape:
        raise ValueError(f"{what}: expected one shape, found a mean of {mean.shape} and a variance of {var.shape}")
    finite = np.isfinite(mean).all() and np.isfinite(var).all() and np.isfinite(moments.count)
    if not (finite and (var >= 0).all() and moments.count >= 0):
        raise ValueError(f"{what}: expected finite means, and variances and a count that are not negative")


# --- Files ---------------------------------------------------------------------------------------------------------


def _kind(path: str | Path) -> tuple[Callable[[Statistics, Path], None], Callable[[Path], Statistics]]:
    try:
        return _KINDS[Path(path).suffix]
    except KeyError:
        raise ValueError(f"{shown(str(path))}: expected a file of statistics named .npz or .json") from None


def _write_json(statistics: Statistics, path: Path) -> None:
    write_json(path, _description(statistics, lambda _, array: _array_as_json(array)), indent=2)


def _read_json(path: Path) -> Statistics:
    return _from_description(read_json(path, _MAX_BYTES), _array_from_json)


def _write_npz(statistics: Statistics, path: Path) -> None:
    members: dict[str, Any] = {}

    def store(name: str, array: np.ndarray) -> str:
        members[name] = array
        return name

    description = json.dumps(plain(_description(statistics, store)), allow_nan=False)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, description=np.array(description), **members)


def _read_npz(path: Path) -> Statistics:
    content = read_bytes(path, _MAX_BYTES)
    with refusing(f"{shown(str(path))}: expected statistics in a .npz"), open_zip(content) as archive:
        if sum(member.file_size for member in archive.infolist()) > _MAX_BYTES:
            raise Unreadable(f"{shown(str(path))}: expected at most {_MAX_BYTES} bytes of statistics, found more")
        arrays = {
            member.filename.removesuffix(".npy"): np.load(io.BytesIO(read_member(archive, member)), allow_pickle=False)
            for member in archive.infolist()
        }
        description = json.loads(str(arrays["description"]))
    return _from_description(description, lambda name: _member(arrays, name))


_KINDS: dict[str, tuple[Callable[[Statistics, Path], None], Callable[[Path], Statistics]]] = {
    ".npz": (_write_npz, _read_npz),
    ".json": (_write_json, _read_json),
}


def _description(statistics: Statistics, store: Callable[[str, np.ndarray], Any]) -> dict[str, object]:
    def stored(name: str, moments: Moments) -> dict[str, object]:
        arrays = {"mean": moments.mean, "var": moments.var}
        return {**{part: store(f"{name}.{part}", array) for part, array in arrays.items()}, "count": moments.count}

    return {
        "format": FORMAT,
        **{name: statistics.settings[name] for name in (*_FLAGS, "norm_obs_keys", *_NUMBERS)},
        "rewards": stored("rewards", statistics.rewards),
        "observations": {
            key: stored(f"observations.{index}", moments)
            for index, (key, moments) in enumerate(statistics.observations.items())
        },
    }


def _from_description(description: Any, array: Callable[[Any], np.ndarray]) -> Statistics:
    """:raises ValueError: it is not what :func:`_description` gives."""
    version = _part(description, "format")
    if version != FORMAT:
        raise ValueError(f"expected format {FORMAT}, found {brief(version)}: another version of reload_audit wrote it")

    def moments(content: Any) -> Moments:
        mean, var = array(_part(content, "mean")), array(_part(content, "var"))
        return Moments(mean, var, _number(content, "count"))

    observations = _part(description, "observations")
    if not isinstance(observations, dict):
        raise ValueError(f"observations: expected keys and statistics, found {brief(observations)}")
    settings = {
        **{name: _flag(description, name) for name in _FLAGS},
        "norm_obs_keys": _keys(description),
        **{name: _number(description, name) for name in _NUMBERS},
    }
    return Statistics(
        {key: moments(content) for key, content in observations.items()},
        moments(_part(description, "rewards")),
        settings,
    )


def _array_as_json(array: np.ndarray) -> dict[str, object]:
    return {"dtype": array.dtype.name, "shape": list(array.shape), "values": array.ravel().tolist()}


def _array_from_json(content: Any) -> np.ndarray:
    kind, shape, values = (_part(content, name) for name in ("dtype", "shape", "values"))
    if kind not in _DATA_TYPES:
        raise ValueError(f"dtype: expected one of {', '.join(_DATA_TYPES)}, found {brief(kind)}")
    if not (isinstance(shape, list) and all(type(length) is int and length >= 0 for length in shape)):
        raise ValueError(f"shape: expected whole numbers, found {brief(shape)}")
    if not (isinstance(values, list) and all(type(value) in (int, float) for value in values)):
        raise ValueError(f"values: expected numbers, found {brief(values)}")
    return np.array(values, kind).reshape(shape)


def _member(arrays: Mapping[str, np.ndarray], name: Any) -> np.ndarray:
    if not (isinstance(name, str) and name in arrays):
        raise ValueError(f"expected an array {brief(name)}, found {brief(sorted(arrays))}")
    return arrays[name]


def _part(content: Any, name: str) -> Any:
    if not (isinstance(content, dict) and name in content):
        raise ValueError(f"expected {name!r}, found {brief(content)}")
    return content[name]


def _flag(content: Any, name: str) -> bool:
    value = _part(content, name)
    if not isinstance(value, bool):
        raise ValueError(f"{name}: expected true or false, found {brief(value)}")
    return value


def _number(content: Any, name: str) -> float:
    value = _part(content, name)
    if value in ("inf", "-inf") or (type(value) in (int, float) and not math.isnan(value)):
        return float(value)  # JSON has no infinity, but not to clip is a setting
    raise ValueError(f"{name}: expected a number, found {brief(value)}")


def _keys(content: Any) -> list[str] | None:
    value = _part(content, "norm_obs_keys")
    if not (value is None or (isinstance(value, list) and all(isinstance(key, str) for key in value))):
        raise ValueError(f"norm_obs_keys: expected keys of observations, found {brief(value)}")
    return value
