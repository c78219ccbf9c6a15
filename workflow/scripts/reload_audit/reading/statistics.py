"""Read a saved VecNormalize as numbers, without unpickling it, and build a new VecNormalize from them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from reload_audit.reading import limits
from reload_audit.reading.by_value import besides, steps_of
from reload_audit.reading.files import read_bytes
from reload_audit.reading.instances import attributes, made_by, split
from reload_audit.reading.outlines import RUNNING_MEAN_STD, VEC_NORMALIZE
from reload_audit.reading.pickles import Call, Parsed, described, parse
from reload_audit.reading.refusal import Unreadable, refusing
from reload_audit.reading.trust import refuse_untrusted, unknown_name
from reload_audit.reading.values import Values


@dataclass(frozen=True)
class Moments:
    """Running mean and variance, of the shape of one observation or reward, and the number of samples in them."""

    mean: np.ndarray
    var: np.ndarray
    count: float

    def running(self) -> RunningMeanStd:
        """An SB3 ``RunningMeanStd`` with these numbers.

        :raises Unreadable: a variance is negative
        """
        if (self.var < 0).any():
            raise Unreadable(f"damaged statistics: expected variances of at least 0, found {self.var.min():.6g}")
        made = RunningMeanStd(shape=self.mean.shape)
        made.mean, made.var, made.count = self.mean.copy(), self.var.copy(), self.count
        return made


@dataclass(frozen=True)
class SavedStatistics:
    """The content of a ``vecnormalize.pkl``, read without executing anything in it.

    Variances may be negative here, as in a file in which mean and variance were swapped; no VecNormalize is built then.

    :param observations: for each key of a dictionary, or under ``""``; empty where observations are not normalised
    :param rewards: of the discounted returns
    :param settings: arguments of VecNormalize
    :param parsed: the pickle itself
    :param left_out: attributes that are not read because they mention what is not known, with what they mention
    """

    observations: Mapping[str, Moments]
    rewards: Moments
    settings: Mapping[str, Any]
    parsed: Parsed
    left_out: tuple[str, ...] = ()

    @refusing("damaged statistics")
    def attribute(self, name: str) -> Any:
        """Any other attribute of the saved VecNormalize, such as ``old_obs``; None where it has none of that name.

        :raises Unreadable: it cannot be rebuilt
        """
        return Values().build(attributes(self.parsed.value, VEC_NORMALIZE).get(name))

    @refusing("statistics that do not fit the environment")
    def around(self, venv: VecEnv) -> VecNormalize:
        """A VecNormalize with these statistics around ``venv``, which neither updates them nor normalises rewards.

        :raises Unreadable: the observations of ``venv`` have another shape, or a variance is negative
        """
        normalize = VecNormalize(venv, training=False, **{**self.settings, "norm_reward": False})
        normalize.ret_rms = self.rewards.running()
        if self.observations:
            known = normalize.obs_rms if isinstance(normalize.obs_rms, dict) else {"": normalize.obs_rms}
            for key, expected in known.items():
                found = self.observations.get(key)
                if found is None or found.mean.shape != np.shape(expected.mean):
                    shape = None if found is None else found.mean.shape
                    raise Unreadable(
                        f"statistics that do not fit the environment: expected them for observations "
                        f"of shape {np.shape(expected.mean)}, found {shape}"
                    )
            running = {key: self.observations[key].running() for key in known}
            normalize.obs_rms = running if isinstance(normalize.obs_rms, dict) else running[""]
        return normalize


@refusing("damaged statistics")
def read_statistics(path: str | Path, trusted: Collection[str] = ()) -> SavedStatistics:
    """Read a saved VecNormalize without executing anything in it.

    :raises Unreadable: it is damaged, is something else, or mentions what is not trusted
    """
    parsed = parse(read_bytes(path, limits.STATISTICS_BYTES))
    left_out = _check_names(parsed, trusted)
    saved = attributes(parsed.value, VEC_NORMALIZE)
    values = Values(trusted)
    settings: dict[str, Any] = {
        **{name: _flag(values.build(saved[name])) for name in ("norm_obs", "norm_reward")},
        **{name: _number(values.build(saved[name])) for name in ("clip_obs", "clip_reward", "gamma", "epsilon")},
    }
    keys = _keys(values.build(saved.get("norm_obs_keys")))
    rewards = _moments(values, saved["ret_rms"])
    observations = _observations(values, saved.get("obs_rms")) if settings["norm_obs"] else {}
    if rewards.mean.shape != ():
        raise Unreadable(f"damaged statistics: expected one mean reward, found shape {rewards.mean.shape}")
    if list(observations) != [""] and settings["norm_obs"]:
        settings["norm_obs_keys"] = keys or sorted(observations)
    return SavedStatistics(observations, rewards, settings, parsed, left_out)


_NEEDED = (
    *("norm_obs", "norm_reward", "clip_obs", "clip_reward", "gamma", "epsilon", "norm_obs_keys", "ret_rms", "obs_rms"),
)


def _check_names(parsed: Parsed, trusted: Collection[str]) -> tuple[str, ...]:
    """Refuse statistics that mention what is not trusted, where normalising needs it.

    :return: the other attributes that do, each with what it mentions
    :raises Unreadable: with the first name
    """
    kept, others = parsed.value, dict[str, Any]()
    if isinstance(kept, Call) and str(made_by(kept)) == VEC_NORMALIZE:
        kept, others = split(kept, _NEEDED)
    refuse_untrusted(replace(parsed, steps=besides(parsed, kept, others.values())), trusted)
    left_out = []
    for name, node in others.items():
        try:
            unknown: object = unknown_name(replace(parsed, steps=steps_of(parsed, node)), trusted)
        except Unreadable:
            unknown = "damaged"
        if unknown is not None:
            left_out.append(f"{name[:80]} ({str(unknown)[:80]})")
    return tuple(left_out)


def _observations(values: Values, saved: Any) -> dict[str, Moments]:
    if isinstance(saved, dict):
        return {str(key): _moments(values, item) for key, item in saved.items()}
    return {"": _moments(values, saved)}


def _moments(values: Values, saved: Any) -> Moments:
    content = attributes(saved, RUNNING_MEAN_STD)
    mean, var = (_numbers(values.build(content[name])) for name in ("mean", "var"))
    if mean.shape != var.shape or not (np.isfinite(mean).all() and np.isfinite(var).all()):
        raise Unreadable("damaged statistics: expected finite means and variances of one shape")
    return Moments(mean, var, _number(values.build(content["count"])))


def _numbers(value: Any) -> np.ndarray:
    if not isinstance(value, np.ndarray | np.number | float | int):  # a nest of lists can be without end
        raise Unreadable(f"damaged statistics: expected numbers, found {described(value)}")
    return np.asarray(value)


def _number(value: Any) -> float:
    numbers = _numbers(value)
    if numbers.shape != () or numbers.dtype.kind not in "iuf" or np.isnan(numbers):
        raise Unreadable(f"damaged statistics: expected a number, found {described(value)}")
    return float(numbers)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise Unreadable(f"damaged statistics: expected true or false, found {described(value)}")
    return bool(value)


def _keys(value: Any) -> list[str]:
    if not (value is None or (isinstance(value, list | tuple) and all(isinstance(key, str) for key in value))):
        raise Unreadable(f"damaged statistics: expected keys of observations, found {described(value)}")
    return list(value or ())
