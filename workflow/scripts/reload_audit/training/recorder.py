"""Record, in a training script of your own, what the audit needs to compare a reload with bit by bit.

Example::

    model = PPO("MlpPolicy", make_vec_env("CartPole-v1", n_envs=4))
    model.learn(100_000, callback=ReferenceRecorder("models/cartpole", env="CartPole-v1"))

writes ``models/cartpole/`` with the model, its VecNormalize statistics, reference episodes and a manifest. An audit
that has ``models`` among its ``runs`` finds it there.
"""

from __future__ import annotations

import contextlib
import inspect
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from gymnasium import Env
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from reload_audit.evaluation.reference import evaluate_random_policy, evaluate_reference, fresh_environments
from reload_audit.models import model_folder
from reload_audit.models.algorithms import algorithm
from reload_audit.records.episodes import TrainTime
from reload_audit.records.specs import FORMAT, EnvironmentSpec, EvaluationSpec, vec_wrappers_of, wrapper_spec
from reload_audit.records.steps import Steps
from reload_audit.records.storage import write_json

_LOOKS = (20, 40, 80, 160, 320)


def record_reference(
    model: BaseAlgorithm,
    folder: str | Path,
    env: str | type[Env],
    *,
    env_kwargs: Mapping[str, Any] | None = None,
    wrappers: Sequence[str | Mapping[str, Any]] = (),
    frame_stack: int | None = None,
    episodes: int = 100,
    seed: int = 1_000_000,
    n_envs: int = 20,
    max_episode_steps: int = 100_000,
) -> Path:
    """Save a model with its statistics, and what it earns now, on environments built anew.

    Training can go on afterwards as if nothing had happened: the environments it is trained in are not touched, and the
    global random generators are put back.

    :param folder: takes ``model.zip``, ``vecnormalize.pkl`` (if there is one), ``evaluations.json``, ``steps.npz``,
        ``manifest.json``
    :param env: as in an experiment (a registered id, ``module:Id-v0``, ``package.module:EnvClass``), or its class
    :param env_kwargs: keyword arguments of the environment
    :param wrappers: dotted names, or ``{name: kwargs}``, the innermost first
    :param frame_stack: observations stacked by VecFrameStack
    :param episodes: how many are recorded
    :param seed: episode ``k`` is reset with ``seed + k``
    :param n_envs: environments side by side; a reload uses as many
    :param max_episode_steps: an episode that is longer is an error
    :return: the folder
    :raises ValueError: the environment cannot be found by its name in another process, or the model is of no
        algorithm of stable-baselines3 or sb3-contrib
    :raises ImportProblem: a name leads nowhere
    """
    algo = _algorithm_name(model)
    environment = _environment(model, _name_of(env), env_kwargs, wrappers, frame_stack)
    evaluation = EvaluationSpec(episodes, seed, n_envs, max_episode_steps, _LOOKS)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    # Files of a model recorded here before; the manifest is written last, so that it vouches for all others.
    for name in (model_folder.MANIFEST, model_folder.STATISTICS, model_folder.STEPS):
        (target / name).unlink(missing_ok=True)
    model_folder.save(model, target)
    steps = Steps()
    with _as_a_reload_would(model.device):
        reference = evaluate_reference(model, environment, evaluation, seed, steps)
        random_policy = evaluate_random_policy(model, environment, evaluation, seed)
        venv = fresh_environments(model, environment, n_envs=1, seed=seed)
        description = model_folder.describe(model, venv)
        venv.close()
    write_json(target / model_folder.EVALUATIONS, TrainTime(None, reference, random_policy).to_dict())
    steps.save(target / model_folder.STEPS)
    spec = {
        "algo": algo,
        "seed": model.seed,
        "n_envs": model.n_envs,
        "environment": environment.to_dict(),
        "evaluation": evaluation.to_dict(),
    }
    manifest = {"format": FORMAT, "model": target.name, "spec": spec, "failure": None, **description.to_dict()}
    write_json(target / model_folder.MANIFEST, manifest, indent=2)
    return target


class ReferenceRecorder(BaseCallback):
    """Calls :func:`record_reference` when training ends. What is wrong with its arguments is said before it begins.

    :param folder: where to save
    :param env: the environment, by name or class
    :param options: further arguments of :func:`record_reference`
    :raises ValueError: the environment cannot be found by its name in another process, or, when training starts, is
        not like the one that is trained in
    :raises TypeError: an option is unknown
    """

    def __init__(self, folder: str | Path, env: str | type[Env], **options: Any) -> None:
        super().__init__()
        inspect.signature(record_reference).bind(None, folder, env, **options)
        self._folder = Path(folder)
        self._env = _name_of(env)
        self._options = options

    def _on_training_start(self) -> None:
        chosen = {key: self._options[key] for key in ("env_kwargs", "wrappers", "frame_stack") if key in self._options}
        environment = _environment(self.model, self._env, **chosen)
        with _as_a_reload_would(self.model.device):
            try:
                venv = fresh_environments(self.model, environment, n_envs=1, seed=0)
            except AssertionError as error:
                raise ValueError(f"{self._env} is not like the environment that is trained in: {error}") from None
            venv.close()
        for kind in ("observation_space", "action_space"):
            trained, built = getattr(self.model, kind), getattr(venv, kind)
            if trained != built:
                raise ValueError(
                    f"{self._env} is not like the environment that is trained in: expected the {kind} {trained}, "
                    f"found {built}; are env_kwargs, wrappers or frame_stack missing?"
                )

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        record_reference(self.model, self._folder, self._env, **self._options)


def _environment(
    model: BaseAlgorithm,
    env: str,
    env_kwargs: Mapping[str, Any] | None = None,
    wrappers: Sequence[str | Mapping[str, Any]] = (),
    frame_stack: int | None = None,
) -> EnvironmentSpec:
    return EnvironmentSpec(
        env=env,
        env_kwargs=dict(env_kwargs or {}),
        wrappers=tuple(map(wrapper_spec, wrappers)),
        monitor="env",
        vec_wrappers=vec_wrappers_of(normalize=model.get_vec_normalize_env() is not None, frame_stack=frame_stack),
        python_path=(),
    )


@contextlib.contextmanager
def _as_a_reload_would(device: th.device) -> Iterator[None]:
    """Compute in one thread, because more change the last bits; put the global generators back at the end.

    :param device: of the model. Environments that are built seed the generators of all devices, and on a GPU a policy
        draws its actions from the GPU's own.
    """
    threads = th.get_num_threads()
    states = random.getstate(), np.random.get_state()
    th.set_num_threads(1)
    try:
        with th.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        th.set_num_threads(threads)
        random.setstate(states[0])
        np.random.set_state(states[1])


def _algorithm_name(model: BaseAlgorithm) -> str:
    name = type(model).__name__
    try:
        known = algorithm(name)
    except AttributeError:
        known = None
    if known is not type(model):
        raise ValueError(f"expected a model of stable-baselines3 or sb3-contrib, found a {name}")
    return name


def _name_of(env: str | type[Env]) -> str:
    if isinstance(env, str):
        return env
    if not isinstance(env, type):
        raise ValueError(f"expected an environment's name or class, found {env!r}")
    if env.__module__ == "__main__" or "<locals>" in env.__qualname__:
        raise ValueError(
            f"{env.__qualname__} is defined in the training script itself, where no other process can import it; "
            "move it into a module of its own, such as my_env.py, and pass my_env.EnvClass or 'my_env:EnvClass'"
        )
    return f"{env.__module__}:{env.__qualname__}"
