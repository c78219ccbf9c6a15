"""Record, in a training script of your own, what the audit needs to compare a reload with bit by bit.

Example::

    model = PPO("MlpPolicy", make_vec_env("CartPole-v1", n_envs=4))
    model.learn(100_000, callback=ReferenceRecorder("models/cartpole"))

writes ``models/cartpole/`` with the model, its VecNormalize statistics, episodes in place and reference episodes, and a
manifest. An audit that has ``models`` among its ``runs`` finds it there.
"""

from __future__ import annotations

import contextlib
import inspect
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from gymnasium import Env
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from reload_audit.environments.build import close
from reload_audit.environments.stack import LayerProblem
from reload_audit.evaluation.reference import evaluate_random_policy, evaluate_reference, fresh_environments
from reload_audit.models import model_folder
from reload_audit.models.algorithms import algorithm
from reload_audit.reading import limits
from reload_audit.reading.plain_values import objects_in
from reload_audit.reading.refusal import Unreadable
from reload_audit.records.environment_spec import Arguments, EnvironmentSpec, WrapperEntry
from reload_audit.records.episodes import TrainTime
from reload_audit.records.specs import FORMAT, EvaluationSpec
from reload_audit.records.steps import Steps
from reload_audit.records.storage import write_json
from reload_audit.training.in_place import evaluate_in_place
from reload_audit.training.trained_in import Said, changed_attributes, environment_of, factories

_LOOKS = (20, 40, 80, 160, 320)


def record_reference(
    model: BaseAlgorithm,
    folder: str | Path,
    env: str | type[Env] | None = None,
    *,
    env_kwargs: Arguments | None = None,
    wrappers: Sequence[WrapperEntry] | None = None,
    vec_wrappers: Sequence[WrapperEntry] | None = None,
    frame_stack: int | None = None,
    env_fns: Callable[[], Env] | Sequence[Callable[[], Env]] = (),
    vec_env: str | None = None,
    episodes: int = 100,
    seed: int = 1_000_000,
    n_envs: int = 20,
    max_episode_steps: int = 100_000,
) -> Path:
    """Save a model with its statistics, and what it earns now: in the environments trained in, and in new ones.

    What is not said of the environments is read off those that the model is trained in. Training can go on afterwards
    as if nothing had happened: copies of these are measured, and the global random generators are put back.

    :param folder: takes ``model.zip``, ``vecnormalize.pkl`` (if there is one), ``evaluations.json``, ``steps.npz``,
        ``manifest.json``
    :param env: as in an experiment (a registered id, ``module:Id-v0``, ``package.module:EnvClass``), or its class
    :param env_kwargs: keyword arguments of the environment
    :param wrappers: dotted names, or ``{name: kwargs}``, the innermost first
    :param vec_wrappers: of the VecEnv, likewise; VecNormalize need not be among them
    :param frame_stack: observations stacked by VecFrameStack
    :param env_fns: the functions that made the environments, or one of them, where these are in other processes
    :param vec_env: the dotted name of a VecEnv of your own, or of a function that returns it; read off it where it is
        not given
    :param episodes: how many are recorded
    :param seed: episode ``k`` is reset with ``seed + k``
    :param n_envs: environments side by side; a reload uses as many. Of a VecEnv of your own, as many as it trains in
    :param max_episode_steps: an episode that is longer is cut
    :return: the folder
    :raises ValueError: the environments cannot be found by their names in another process, or are not like those that
        the model is trained in, or the model is of no algorithm of stable-baselines3 or sb3-contrib
    :raises ImportProblem: a name leads nowhere
    """
    said = _said(env, env_kwargs, wrappers, vec_wrappers, frame_stack, env_fns, vec_env)
    evaluation = EvaluationSpec(episodes, seed, n_envs, max_episode_steps, _LOOKS)
    with _as_a_reload_would(model.device):
        environment = environment_of(model, said)
    return _record(model, Path(folder).absolute(), environment, evaluation, at_the_end=False)


class ReferenceRecorder(BaseCallback):
    """Records as :func:`record_reference` does when training ends. What is wrong is said before it begins.

    Environments that cannot be copied are measured themselves: training is over.

    :param folder: where to save
    :param env: the environment, by name or class; read off those that are trained in where it is not given
    :param options: further arguments of :func:`record_reference`
    :raises ValueError: the environment cannot be found by its name in another process, or, when training starts, is
        not like the one that is trained in
    :raises TypeError: an option is unknown
    """

    def __init__(self, folder: str | Path, env: str | type[Env] | None = None, **options: Any) -> None:
        super().__init__()
        bound = inspect.signature(record_reference).bind(None, folder, env, **options)
        bound.apply_defaults()
        self._folder = Path(folder).absolute()  # an environment may change its own until training ends
        self._said = _said(**{name: bound.arguments[name] for name in inspect.signature(_said).parameters})
        numbers = {name: bound.arguments[name] for name in ("episodes", "seed", "n_envs", "max_episode_steps")}
        self._evaluation = EvaluationSpec(**numbers, looks=_LOOKS)
        self._environment: EnvironmentSpec | None = None

    def _on_training_start(self) -> None:
        _algorithm_name(self.model)
        with _as_a_reload_would(self.model.device):
            self._environment = environment_of(self.model, self._said)
            _check_spaces(self.model, self._environment)

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        assert self._environment is not None
        _record(self.model, self._folder, self._environment, self._evaluation, at_the_end=True)


def _record(
    model: BaseAlgorithm,
    target: Path,
    environment: EnvironmentSpec,
    evaluation: EvaluationSpec,
    *,
    at_the_end: bool,
) -> Path:
    """Save a model, measure it in place and in new environments, and write what came out."""
    algo, venv = _algorithm_name(model), model.get_env()
    assert venv is not None
    if environment.vec_env is not None:  # its episodes are the same only in as many slots
        evaluation = replace(evaluation, n_envs=min(venv.num_envs, limits.RECORDED_ENVIRONMENTS))
    target.mkdir(parents=True, exist_ok=True)
    # Files of a model recorded here before; the manifest is written last, so that it vouches for all others.
    for name in (model_folder.MANIFEST, model_folder.STATISTICS, model_folder.STEPS):
        (target / name).unlink(missing_ok=True)
    model_folder.save(model, target)
    steps = Steps()
    with _as_a_reload_would(model.device):
        changed = changed_attributes(venv, environment)
        in_place, reference = evaluate_in_place(
            model,
            environment,
            evaluation,
            lambda: evaluate_reference(model, environment, evaluation, evaluation.seed, steps),
            at_the_end=at_the_end,
        )
        random_policy = evaluate_random_policy(model, environment, evaluation, evaluation.seed)
        fresh = fresh_environments(model, environment, n_envs=1, seed=evaluation.seed)
        description = model_folder.describe(model, fresh)
        close(fresh)
    write_json(target / model_folder.EVALUATIONS, TrainTime(in_place, reference, random_policy).to_dict())
    steps.save(target / model_folder.STEPS)
    spec = {
        "algo": algo,
        "seed": model.seed,
        "n_envs": model.n_envs,
        "environment": environment.to_dict(),
        "evaluation": evaluation.to_dict(),
    }
    manifest = {
        "format": FORMAT,
        "model": target.name,
        "spec": spec,
        "failure": None,
        **description.to_dict(),
        "changed_attributes": [one.to_dict() for one in changed],
    }
    write_json(target / model_folder.MANIFEST, manifest, indent=2)
    return target


def _said(
    env: str | type[Env] | None,
    env_kwargs: Arguments | None,
    wrappers: Sequence[WrapperEntry] | None,
    vec_wrappers: Sequence[WrapperEntry] | None,
    frame_stack: int | None,
    env_fns: Callable[[], Env] | Sequence[Callable[[], Env]],
    vec_env: str | None,
) -> Said:
    name = None if env is None else _name_of(env)
    for option, given in (("env_kwargs", env_kwargs), ("wrappers", wrappers), ("vec_wrappers", vec_wrappers)):
        if (named := next(objects_in(given), None)) is not None:
            raise ValueError(
                f"{option} name the object {named}: expected plain values, because no audit lets a recording name one; "
                "give it to the environment in a function in a module, such as my_env.py, that is declared to return "
                "it (`-> gymnasium.Env`): give that to make_vec_env, and as env_fns"
            )
    return Said(name, env_kwargs, wrappers, vec_wrappers, frame_stack, factories(env_fns) if env_fns else [], vec_env)


def _check_spaces(model: BaseAlgorithm, environment: EnvironmentSpec) -> None:
    """Refuse environments with other spaces than those that a model is trained in.

    :raises ValueError: with the spaces of both
    """
    unlike = f"{environment.env} is not like the environment that is trained in"
    try:
        venv = fresh_environments(model, environment, n_envs=1, seed=0)
    except (AssertionError, LayerProblem, Unreadable) as error:
        raise ValueError(f"{unlike}: {error}") from None
    close(venv)
    for kind in ("observation_space", "action_space"):
        trained, built = getattr(model, kind), getattr(venv, kind)
        if trained != built:
            raise ValueError(
                f"{unlike}: expected the {kind} {trained}, found {built}; are env_kwargs, wrappers or vec_wrappers "
                "missing?"
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
