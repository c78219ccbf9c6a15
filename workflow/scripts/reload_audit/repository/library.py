"""What calls of Gymnasium, Stable-Baselines3, argparse and the like mean in a script that is followed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from reload_audit.reading import limits
from reload_audit.repository.arguments import as_integer, as_mapping, without_ending
from reload_audit.repository.calls import Call
from reload_audit.repository.environments import SB3, UNSEEN, Environments, layer, monitor, unseen, vec_env
from reload_audit.repository.expressions import Expressions
from reload_audit.repository.ini import Ini, Section
from reload_audit.repository.places import Place
from reload_audit.repository.plugins import Plugin, declared
from reload_audit.repository.standard import STANDARD, Parser, attribute_of_text, method_of_mapping, method_of_text
from reload_audit.repository.stated import Environment, Evaluation, Layer, Model
from reload_audit.repository.told import Told
from reload_audit.repository.training_arguments import numbers
from reload_audit.repository.values import (
    HOLE,
    UNKNOWN,
    Choice,
    Class,
    External,
    Instance,
    Made,
    Method,
    OpenFile,
    Value,
    as_text,
)

ALGORITHMS = (
    *("A2C", "ARS", "CrossQ", "DDPG", "DQN", "MaskablePPO", "PPO"),
    *("QRDQN", "RecurrentPPO", "SAC", "TD3", "TQC", "TRPO"),
)

_NO_WRAPPERS = ("Callback", "Recorder", "Buffer", "Agent", "Trainer", "Logger")
"""How names end of functions that take an environment and return none."""


class Library(Environments):
    """Says what calls mean, and notes what they say of environments and models.

    :param told: what scripts are told when they are started
    """

    def __init__(self, told: Told) -> None:
        super().__init__()
        self.told = told
        self._flags: dict[str, Value] = {}
        self._of_wandb: Any = UNKNOWN

    def call(
        self, follower: Expressions, function: Any, args: Sequence[Any], kwargs: Mapping[str, Value], place: Place
    ) -> Any:
        """The result of a call; ``NotImplemented`` for an ordinary call of a class of the repository."""
        given = self._given(function, Call(follower, args, kwargs, place))
        return self.made(given) if isinstance(given, Environment) else given

    def _given(self, function: Any, call: Call) -> Any:
        if isinstance(function, Class):
            return self.of_class(function, call)
        if isinstance(function, Method):
            return self._method(function, call)
        if isinstance(function, External):
            if function.name in STANDARD:
                return STANDARD[function.name](call)
            handle = _BY_NAME.get(function.name) or _BY_LAST.get((function.package in SB3, function.last))
            return handle(self, call) if handle else self._of_library(function, call)
        return UNKNOWN

    def attribute(self, owner: Any, name: str) -> Any:
        """An attribute of a value that is not of the repository."""
        if isinstance(owner, Environment) and name in ("unwrapped", "env", "venv"):
            return owner.unwrapped() if name == "unwrapped" else owner
        if isinstance(owner, Model) and name == "env":
            return owner.environment or UNKNOWN
        if isinstance(owner, dict) and name in owner:  # as of a configuration of OmegaConf
            return owner[name]
        found = attribute_of_text(owner, name) if isinstance(owner, str) else None
        return Method(owner, name) if found is None else found

    def constant(self, name: str) -> Any:
        """Something of a library, by its dotted name; of a flag of absl its default, of W&B a run's settings."""
        if name == "wandb.config":
            return self._of_wandb
        flag = name.removeprefix("absl.flags.FLAGS.")
        return self._flags.get(flag, UNKNOWN) if flag != name else External(name)

    def flag(self, call: Call) -> Any:
        """``absl.flags.DEFINE_string`` and the like."""
        name, usual = call.get(0, "name"), call.get(1, "default")
        if isinstance(name, str):
            self._flags.update(self.told.options({name: usual}, {name: call.kwargs.get("enum_values", ())}))
            usual = self._flags[name]
        return Instance(None, {"value": usual})

    def wandb_run(self, call: Call) -> Any:
        """``wandb.init``: a run with the settings that it is given, or those that it left beside its model."""
        given = call.kwargs.get("config")
        usual = given.attributes if isinstance(given, Instance) else as_mapping(given)
        self._of_wandb = self.told.options(usual, {}) if usual else self.told.settings(UNKNOWN)
        return Instance(None, {"config": self._of_wandb, "id": HOLE, "name": HOLE, "dir": HOLE})

    def settings(self, call: Call) -> Any:
        """``yaml.safe_load`` and the like, of a file of the repository."""
        file = call.args[0] if call.args else UNKNOWN
        return self.told.settings(file.path if isinstance(file, OpenFile) else file)

    def arguments(self, decorators: Sequence[Any], names: Sequence[str]) -> dict[str, Value]:
        """The arguments of a function with these decorators that a script begins with, by name."""
        return self.told.arguments(decorators, names)

    def setup(self, call: Call) -> None:
        """``setuptools.setup``."""
        for plugin in declared(call.kwargs.get("entry_points"), call.place):
            self.plugin(call.follower, plugin)

    def plugin(self, follower: Expressions, plugin: Plugin) -> None:
        """Follow a function that registers environments when Gymnasium is imported."""
        module, _, name = plugin.target.partition(":")
        path = follower.modules.find(module.strip(), plugin.place.path)
        if path is None:
            return
        self.namespace = plugin.namespace
        try:
            follower.call(follower.module(path).scope.get(name.strip()), [], {}, plugin.place)
        finally:
            self.namespace = ""

    def _of_library(self, function: External, call: Call) -> Any:
        if function.package in SB3 and function.last in ALGORITHMS:
            return self.model(function.last, call)
        if function.package in SB3 and function.last == "load":
            return self.load(function, call)
        inner = call.environment
        is_wrapper = function.package not in ("builtins", "print") and not function.last.endswith(_NO_WRAPPERS)
        if isinstance(inner, Environment) and is_wrapper:
            return self.wrapped(function, inner, call)
        return Made(function, call.args, call.kwargs, call.place)

    # --- Models ----------------------------------------------------------------------------------------------------

    def model(self, algo: str, call: Call) -> Model:
        """What ``PPO(...)`` and the like give."""
        environment = self.environment(call.get(1, "env"), call)
        seed = as_integer(call.kwargs.get("seed"))
        parts = [call.get(0, "policy"), *as_mapping(call.kwargs.get("policy_kwargs")).values()]
        classes = [part for part in parts if isinstance(part, Class)]
        self.found.parts += classes
        given = numbers(call.kwargs)
        return self._noted(
            Model(algo, call.place, environment, trained=True, seed=seed, classes=classes, hyperparameters=given)
        )

    def _noted(self, model: Model) -> Model:
        if len(self.found.models) < limits.SCRIPT_STATEMENTS:
            self.found.models.append(model)
        return model

    def load(self, function: External, call: Call) -> Any:
        """What ``PPO.load(...)`` and ``VecNormalize.load(...)`` give."""
        owner = function.name.split(".")[-2]
        path = call.get(0, "load_path" if owner == "VecNormalize" else "path")
        if owner == "VecNormalize":
            inner = call.get(1, "venv")
            if not isinstance(inner, Environment):
                return UNKNOWN
            inner.loaded.append((as_text(path), call.place))
            return inner.within(Layer("VecNormalize", {}, call.place))
        if owner not in ALGORITHMS:
            return UNKNOWN
        model = Model(owner, call.place, self.environment(call.get(1, "env"), call))
        model.loaded.append((without_ending(as_text(path)), call.place))
        return self._noted(model)

    def evaluate_policy(self, call: Call) -> Any:
        """``evaluate_policy`` of SB3 and sb3-contrib."""
        model, environment = call.get(0, "model"), call.get(1, "env")
        episodes, deterministic = call.get(2, "n_eval_episodes", 10), call.get(3, "deterministic", True)
        if isinstance(model, Model):
            model.environment = model.environment or (environment if isinstance(environment, Environment) else None)
            evaluated = Evaluation(as_integer(episodes), deterministic is not False, call.place)
            model.evaluations.append(evaluated)
        return UNKNOWN

    def _method(self, method: Method, call: Call) -> Any:
        of = method.of
        if isinstance(of, Model):
            return self._method_of_model(of, method.name, call)
        if isinstance(of, Environment):
            if method.name in ("reset", "step", "unwrapped", "get_wrapper_attr"):
                return of
            if method.name == "save":
                of.saved.append((as_text(call.get(0, "save_path")), call.place))
            return UNKNOWN
        if isinstance(of, Ini | Section):
            return of.method(method.name, call, self.told.settings)
        if isinstance(of, str):
            return method_of_text(of, method.name, call)
        if isinstance(of, dict):
            return method_of_mapping(of, method.name, call)
        if isinstance(of, list) and method.name == "append" and call.args:
            of.append(call.args[0])
        if isinstance(of, Parser):
            return of.method(method.name, call, self.told.options)
        return _method_of_others(method, call)

    def _method_of_model(self, model: Model, name: str, call: Call) -> Any:
        if name == "save" and len(model.files) < limits.SCRIPT_STATEMENTS:
            model.files.append((without_ending(as_text(call.get(0, "path"))), call.place))
        elif name == "learn":
            model.trained = True
            model.evaluations.clear()  # they were of other weights
            self._callbacks(model, call.get(1, "callback"), call)
            return model
        elif name == "predict":
            seen = call.get(0, "observation")
            model.environment = model.environment or (seen if isinstance(seen, Environment) else None)
        elif name == "set_env":
            self._goes_on_in(model, self.environment(call.get(0, "env"), call))
        elif name in ("get_env", "get_vec_normalize_env") and model.environment is not None:
            return model.environment
        elif name == "load":
            return self.load(External(f"stable_baselines3.{model.algo}.load"), call)
        return UNKNOWN

    def _goes_on_in(self, model: Model, environment: Environment | None) -> None:
        """Note that training goes on in another environment: what has been saved so far is of the one before."""
        if environment is None:
            return
        if model.environment is not None and (model.files or model.best or model.checkpoints):
            self._noted(replace(model))
            model.files, model.best, model.checkpoints, model.logs, model.loaded = [], [], [], [], []
        model.environment = environment

    def _callbacks(self, model: Model, callback: Any, call: Call) -> None:
        """Note what the callbacks of a training save."""
        if isinstance(callback, Choice | list | tuple):
            several = callback.values if isinstance(callback, Choice) else callback
            for one in several[: limits.SCRIPT_ROUNDS]:
                self._callbacks(model, one, call)
        elif isinstance(callback, Instance) and callback.of is not None:
            callback.attributes |= {"model": model, "training_env": model.environment or UNKNOWN}
            for name in ("_on_training_start", "_on_step", "_on_rollout_end", "_on_training_end"):
                call.again(call.follower.attribute(callback, name))
        elif isinstance(callback, Made):
            arguments = Call(call.follower, callback.args, callback.kwargs, callback.place)
            if callback.maker.last == "CallbackList":
                self._callbacks(model, arguments.get(0, "callbacks"), call)
            else:
                _saved_by(callback.maker.last, model, arguments)


def _saved_by(callback: str, model: Model, call: Call) -> None:
    """Note what a callback of SB3 saves.

    :param call: that made it
    """
    if callback == "CheckpointCallback":
        folder, prefix = call.get(1, "save_path", "."), call.get(2, "name_prefix", "rl_model")
        model.checkpoints.append((f"{as_text(folder)}/{as_text(prefix)}_{HOLE}_steps", call.place))
    elif callback.endswith("EvalCallback"):
        best, logs = call.kwargs.get("best_model_save_path"), call.kwargs.get("log_path")
        environment = call.get(0, "eval_env")
        model.environment = model.environment or (environment if isinstance(environment, Environment) else None)
        if best is not None:
            model.best.append((f"{as_text(best).rstrip('/')}/best_model", call.place))
        if logs is not None:
            model.logs.append((as_text(logs), call.place))


def _method_of_others(method: Method, call: Call) -> Any:
    if isinstance(method.of, OpenFile) and method.name == "read":
        return method.of
    if isinstance(method.of, Instance) and method.name == "parse_args":  # of tap
        return method.of
    if isinstance(method.of, Class) and method.name in ("model_validate", "parse_obj"):  # of pydantic
        return call.again(method.of, [], as_mapping(call.get(0, "obj")))
    return UNKNOWN


# --- Tables of what calls mean ---------------------------------------------------------------------------------------

_NORMALIZE = ("training", "norm_obs", "norm_reward", "clip_obs", "clip_reward", "gamma", "epsilon", "norm_obs_keys")

_Handler = Callable[[Library, Call], Any]

_BY_LAST: dict[tuple[bool, str], _Handler] = {
    (True, "make_vec_env"): Library.make_vec_env,
    (True, "make_atari_env"): Library.make_atari_env,
    (True, "evaluate_policy"): Library.evaluate_policy,
    (True, "DummyVecEnv"): vec_env("DummyVecEnv"),
    (True, "SubprocVecEnv"): vec_env("SubprocVecEnv"),
    (True, "VecNormalize"): layer("VecNormalize", *_NORMALIZE),
    (True, "VecFrameStack"): layer("VecFrameStack", "n_stack", "channels_order"),
    **{(True, name): unseen for name in UNSEEN},
    (True, "Monitor"): monitor,
}
"""By whether it is of SB3, and the last part of the name."""

_BY_NAME: dict[str, _Handler] = {
    "gymnasium.make": Library.make,
    "gymnasium.register": Library.register,
    "gymnasium.envs.registration.register": Library.register,
    "gymnasium.envs.register": Library.register,
    "setuptools.setup": Library.setup,
    **{f"configparser.{kind}": lambda *_: Ini() for kind in ("ConfigParser", "RawConfigParser", "SafeConfigParser")},
    **{f"absl.flags.DEFINE_{kind}": Library.flag for kind in ("string", "integer", "float", "bool", "boolean", "enum")},
    "distutils.core.setup": Library.setup,
    "wandb.init": Library.wandb_run,
    **dict.fromkeys(("yaml.safe_load", "yaml.load", "yaml.full_load", "json.load", "json.loads"), Library.settings),
    **dict.fromkeys(
        ("omegaconf.OmegaConf.load", "toml.load", "tomllib.load", "tomli.load", "tomllib.loads"), Library.settings
    ),
}
"""By the whole name."""
