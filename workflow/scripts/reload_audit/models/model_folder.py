"""A saved model on disk: save it, load it, say what is in it by content digests, and where it ran.

A folder holds ``model.zip``, ``vecnormalize.pkl`` (if trained with VecNormalize), ``manifest.json`` (what it is),
``evaluations.json`` (what it earned at train time) and ``steps.npz`` (how its first episodes began).
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import pickle
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.save_util import recursive_getattr
from stable_baselines3.common.utils import safe_mean
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from reload_audit.environments.stack import Normalizer
from reload_audit.models.algorithms import algorithm
from reload_audit.models.without_dynamo import spare_compiler
from reload_audit.records.digests import digest
from reload_audit.records.manifest import ActsOn, Construction, Description, Digests, Identity, Machine
from reload_audit.records.storage import plain

MODEL = "model.zip"
STATISTICS = "vecnormalize.pkl"
MANIFEST = "manifest.json"
EVALUATIONS = "evaluations.json"
STEPS = "steps.npz"

# Loaded models only act: a replay buffer takes memory for a million steps, and hindsight replay needs an environment.
_NO_REPLAY_BUFFER: dict[str, Any] = {"buffer_size": 1, "replay_buffer_class": None, "replay_buffer_kwargs": {}}

_PACKAGES = ("stable_baselines3", "sb3_contrib", "gymnasium", "torch", "numpy", "cloudpickle")


def _version(package: str) -> str:
    """The version of a package as it is installed; as it says itself where it was not, but can be imported."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return str(importlib.import_module(package).__version__)


# Found out at import, so that a fork server does it once for all its processes: it takes a tenth of reading a model.
_VERSIONS = {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}}
_PLATFORM = platform.platform()


def save(model: BaseAlgorithm, folder: Path) -> None:
    """Save a model and, if it has them, its VecNormalize statistics, as they are at this moment."""
    model.save(folder / MODEL)
    normalize = model.get_vec_normalize_env()
    if normalize is not None:
        normalize.save(str(folder / STATISTICS))


def load_model(folder: Path, algo: str, device: str) -> BaseAlgorithm:
    """Load ``model.zip``, to act and not to train on.

    SB3 seeds the global generators in doing so, if the model was trained with a seed.
    """
    spare_compiler()
    return algorithm(algo).load(folder / MODEL, device=device, custom_objects=_NO_REPLAY_BUFFER)


def normalizer_from_file(folder: Path) -> Normalizer:
    """A function that puts the saved VecNormalize around a VecEnv."""
    return lambda venv: VecNormalize.load(str(folder / STATISTICS), venv)


def normalizer_from_memory(normalize: VecNormalize) -> Normalizer:
    """A function that puts a copy of a VecNormalize that is in use around another VecEnv."""
    content = pickle.dumps(normalize)  # leaves its environments out

    def put_around(venv: VecEnv) -> VecNormalize:
        copied: VecNormalize = pickle.loads(content)
        copied.set_venv(venv)
        return copied

    return put_around


def content_digests(model: BaseAlgorithm, normalize: VecNormalize | None) -> Digests:
    """Digests of what was learned. Bytes of the zip would not do: it holds time stamps."""
    states = model.get_parameters()
    _, tensor_names = model._get_torch_save_params()
    tensors = {name: recursive_getattr(model, name) for name in tensor_names}
    optimizers = {name: state for name, state in states.items() if "optimizer" in name}
    networks = {name: state for name, state in states.items() if name not in optimizers}
    return Digests(
        parameters=digest([networks, tensors]),
        optimizer=digest(optimizers),
        normalizer=None if normalize is None else digest(normalizer_content(normalize)),
    )


def normalizer_settings(normalize: VecNormalize) -> dict[str, object]:
    """VecNormalize's arguments, defaults filled in."""
    names = ("norm_obs", "norm_reward", "norm_obs_keys", "clip_obs", "clip_reward", "gamma", "epsilon")
    return {name: getattr(normalize, name) for name in names}


def describe(model: BaseAlgorithm, venv: VecEnv) -> Description:
    """What a manifest says of a model that has just been trained.

    :param venv: environments that it acts in
    """
    normalize = model.get_vec_normalize_env()
    finished = list(model.ep_info_buffer or [])
    return Description(
        num_timesteps=model.num_timesteps,
        ep_rew_mean=float(safe_mean([episode["r"] for episode in finished])) if finished else None,
        normalized=normalize is not None,
        vecnormalize=None if normalize is None else normalizer_settings(normalize),
        identity=Identity(content_digests(model, normalize), acts_on(model, venv), versions(), computed_on(model)),
        machine=machine(),
    )


def acts_on(model: BaseAlgorithm, venv: VecEnv) -> ActsOn:
    """The spaces of a model's policy, and how the environments were built that it acts in."""
    stack: list[str] = []
    layer: Any = venv
    while layer is not None:
        stack.append(type(layer).__name__)
        layer = getattr(layer, "venv", None)
    construction: Construction = venv.env_method("construction", indices=0)[0]
    return ActsOn(
        observation_space=repr(model.observation_space),
        action_space=repr(model.action_space),
        env_spec=env_spec(venv.get_attr("spec", 0)[0]),
        env_stack=construction.wrappers,
        construction=construction,
        vec_env_stack=stack,
    )


def env_spec(spec: Any) -> dict[str, Any] | None:
    """What Gymnasium's registry says of an environment; None for one that was constructed directly."""
    if spec is None:
        return None
    fields = ("id", "entry_point", "kwargs", "max_episode_steps", "reward_threshold", "nondeterministic")
    content: dict[str, Any] = plain({field: getattr(spec, field) for field in fields})
    return content


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide what a model does."""
    return dict(_VERSIONS)


def computed_on(model: BaseAlgorithm) -> str:
    """The device that a model's policy runs on, and what it is: ``cpu (...)``, ``cuda (NVIDIA ...)``."""
    device = model.device
    return f"{device.type} ({th.cuda.get_device_name(device) if device.type == 'cuda' else _processor()})"


def machine() -> Machine:
    """The machine that this runs on."""
    return Machine(
        platform=_PLATFORM,
        processor=_processor(),
        cpu_capability=th.backends.cpu.get_cpu_capability(),
        torch_threads=th.get_num_threads(),
        omp_num_threads=os.environ.get("OMP_NUM_THREADS"),
        python_hash_seed=os.environ.get("PYTHONHASHSEED"),
    )


def normalizer_content(normalize: VecNormalize) -> dict[str, object]:
    """The statistics and settings of a VecNormalize, of which its content digest is taken."""
    settings = normalizer_settings(normalize)
    del settings["norm_reward"]  # switched off to evaluate, so that it may differ from what was saved
    statistics = {"returns": _moments(normalize.ret_rms)}
    observations = getattr(normalize, "obs_rms", {})  # absent where observations are not normalised
    for key, moments in observations.items() if isinstance(observations, dict) else [("", observations)]:
        statistics[f"observations.{key}"] = _moments(moments)
    return {"statistics": statistics, "settings": settings}


def _moments(running: Any) -> list[np.ndarray]:
    return [np.asarray(running.mean), np.asarray(running.var), np.asarray(running.count)]


def _processor() -> str:
    if sys.platform == "linux":
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    return platform.processor()
