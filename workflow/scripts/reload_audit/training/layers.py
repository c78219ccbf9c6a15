"""Read how environments were wrapped and constructed off the objects themselves: classes, arguments, attributes."""

from __future__ import annotations

import contextlib
import copy
import inspect
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecMonitor

from reload_audit.environments.construction import package_of
from reload_audit.environments.older_apis import layers
from reload_audit.environments.stack import layers_of
from reload_audit.records.environment_spec import Arguments
from reload_audit.training.differing import differs

_WITHOUT_EFFECT = frozenset(
    {
        *("Monitor", "OrderEnforcing", "PassiveEnvChecker", "RecordEpisodeStatistics", "RecordVideo"),
        *("HumanRendering", "RenderCollection", "VecVideoRecorder", "VecCheckNan", "VecMonitor"),
    }
)
"""Wrappers of SB3 and Gymnasium that change nothing of what an agent sees, or stand around each environment anyway."""

_LIBRARIES = ("gymnasium", "gym", "stable_baselines3")
_OWN = ("reload_audit", "shimmy")
_MOST_NUMBERS = 64
"""Numbers in an array, and characters of a text, up to which a value is compared and shown."""


Attributes = dict[str, Any]
"""Values of any type by the names of the attributes that hold them."""

_OF_LIBRARIES = frozenset({"render_mode", "_ezpickle_args", "_ezpickle_kwargs", "_saved_kwargs", "_np_random_seed"})
"""Attributes that Gymnasium keeps of a constructor's arguments and seeds, or that are about rendering alone."""

_STEPS = 3
"""Steps of a new environment after which what has changed is a part of the episode."""


_LONG = 1000
"""Steps of a new environment that is run only before it is said to be another."""

_SEED = 987_654_321
"""Seed of a new environment's episode: large, so that its draws are not those of environments trained in."""


@dataclass(frozen=True)
class Parameters:
    """What a constructor was given, as far as the object tells.

    :param read: values that are plain, by parameter; those that are the parameter's default are left out
    :param unread: parameters that the object does not keep under their name, or whose value has no name
    :param needed: those of the unread ones without which it cannot be constructed as it was
    :param objects: values without a name of those that the object keeps
    """

    read: Arguments
    unread: tuple[str, ...]
    needed: tuple[str, ...]
    objects: Attributes


def layers_with_effect(env: Any) -> list[Any]:
    """An environment's wrappers from the outside in, then itself, without those that change nothing."""
    return [layer for layer in layers(env) if not _is_without_effect(layer)]


def vec_layers_with_effect(venv: VecEnv) -> list[VecEnvWrapper]:
    """A VecEnv's wrappers, the innermost first, without those that change nothing."""
    return [layer for layer in layers_of(venv) if isinstance(layer, VecEnvWrapper) and not _is_without_effect(layer)]


def importable_name(kind: Any, separator: str = ".") -> str | None:
    """The dotted name of a class or function; None where no other process can import it."""
    module, name = getattr(kind, "__module__", None), getattr(kind, "__qualname__", "")
    return None if module in (None, "__main__") or not name.isidentifier() else f"{module}{separator}{name}"


def shown_name(layer: Any) -> str:
    """What to call a layer in a message: its class, with the module where it is one of the user's."""
    kind = type(layer)
    return kind.__name__ if package_of(kind.__module__) in _LIBRARIES else f"{kind.__module__}.{kind.__qualname__}"


def parameters_of(layer: Any) -> Parameters:
    """What a layer's constructor was given: recorded by Gymnasium, or kept as attributes of the parameters' names."""
    parameters = _constructor(layer)
    made_by_id = _is_registered(layer)
    recorded = layer.spec.kwargs if made_by_id else _recorded(layer)
    read: Attributes = {}
    objects: Attributes = {}
    unread, needed = [], []
    for parameter in parameters:
        name = parameter.name
        places = [(recorded, name)] if made_by_id else _places(layer, recorded, name)
        found = [values[key] for values, key in places if key in values]
        if not found:
            unread += [] if made_by_id else [name]
            continue
        value, default = nameable(found[0]), nameable(parameter.default)
        if value is UNNAMED and found[0] is parameter.default:
            continue
        if value is UNNAMED:
            objects[name] = found[0]
            unread.append(name)
            needed += [name] if name in recorded else []
        elif default is UNNAMED or not _equal(value, default):
            read[name] = value
    required = [one.name for one in parameters if one.default is inspect.Parameter.empty and one.name in unread]
    if not recorded and not made_by_id:
        unread += _further(layer)
    return Parameters(read, tuple(unread), tuple(dict.fromkeys([*needed, *required])), objects)


def other_objects(trained: Any, new: Any, other: Any) -> list[str]:
    """Parameters of a layer's constructor whose values have no name, and are not those of two new layers.

    :param other: runs for a few steps where that is needed to tell whether an episode changes such a value
    """
    held = parameters_of(trained).objects
    if not held:
        return []
    news = [parameters_of(layer).objects for layer in (new, other)]
    found = [name for name in held if _is_other(name, held, *news)]
    if found and isinstance(other, gym.Env):
        run_briefly(other)
        news[1] = parameters_of(other).objects
    return [name for name in found if _is_other(name, held, *news)]


def other_contents(trained: Any, new: Any, other: Any, run: Callable[[], None]) -> list[str]:
    """Attributes of a layer whose values have no name, and are not those of two new ones, where arguments are hidden.

    :param run: goes on with the episodes of ``other``: what they change is a part of them
    """
    if package_of(type(trained).__module__) in _LIBRARIES or not parameters_of(trained).unread:
        return []
    plain, held = plain_attributes(trained), getattr(trained, "__dict__", {})
    found = [name for name in held if name not in plain and name not in _OF_LIBRARIES]
    for attempt in range(3):
        if attempt and found:
            try:
                run()
            except Exception:  # it refuses random actions, so that what its episodes change cannot be told
                return []
        found = [name for name in found if _is_other(name, held, vars(new), vars(other)) and name in vars(new)]
    return found


def _is_other(name: str, held: Attributes, new: Attributes, other: Attributes) -> bool:
    if type(held[name]).__module__ == "logging" or (name in new) != (name in other):
        return False
    return name not in new or differs(held[name], new[name], other[name])


def parameter_names(layer: Any) -> list[str]:
    """The parameters of a layer's constructor, without what it is put around."""
    return [parameter.name for parameter in _constructor(layer)]


UNNAMED = object()
"""Stands for a value that is not plain."""


def nameable(value: Any) -> Any:
    """A value as a recording can hold it, which names no objects: plain, or else :data:`UNNAMED`."""
    if isinstance(value, np.generic):
        return nameable(value.item())
    if isinstance(value, np.ndarray):
        return value.tolist() if value.size <= _MOST_NUMBERS and value.dtype.kind in "biuf" else UNNAMED
    if isinstance(value, list | tuple):
        items = [nameable(item) for item in value]
        return UNNAMED if any(item is UNNAMED for item in items) else items
    if isinstance(value, Mapping):
        items = [nameable(item) for item in value.values()]
        if any(item is UNNAMED for item in items) or not all(isinstance(key, str) for key in value):
            return UNNAMED
        return dict(zip(value, items, strict=True))
    return value if value is None or isinstance(value, bool | int | float | str) else UNNAMED


def at_a_start(env: gym.Env) -> gym.Env:
    """A copy of an environment at the start of an episode; the environment itself where it cannot be copied."""
    try:
        (copied,) = copies_of([env])
    except Exception:
        return env
    copied.reset(seed=0)
    return copied


def copies_of(envs: Sequence[gym.Env]) -> list[gym.Env]:
    """Copies of environments that share nothing with them, but what all of a process share.

    :raises Exception: they hold what cannot be copied
    """
    if "pybullet" in sys.modules:  # a simulation is a number there, which a copy would share
        raise TypeError("simulations of pybullet cannot be copied")
    for env in envs:
        for layer in layers(env):
            if hasattr(layer, "__setstate__") or hasattr(layer, "__deepcopy__"):
                raise TypeError(f"a copy of {shown_name(layer)} is a new one (EzPickle, __setstate__)")
            _refuse_finalizers(layer, 3)
    with without_files(envs):
        return copy.deepcopy([*envs])


def _refuse_finalizers(value: Any, depth: int) -> None:
    """Refuse objects that release something when they are deleted, which a copy would do while it is in use."""
    held = getattr(value, "__dict__", {})
    for part in held.values():
        if isinstance(part, type) or inspect.isroutine(part) or inspect.ismodule(part):
            continue
        if hasattr(type(part), "__del__"):
            raise TypeError(f"a {type(part).__name__} releases something when it is deleted")
        if depth:
            _refuse_finalizers(part, depth - 1)


def plain_attributes(layer: Any) -> Attributes:
    """The attributes of a layer that are plain and short, by name."""
    held = getattr(layer, "__dict__", {})
    values = {name: nameable(value) for name, value in held.items() if name not in _OF_LIBRARIES}
    return {name: value for name, value in values.items() if value is not UNNAMED and len(str(value)) <= _MOST_NUMBERS}


def fixed_attributes(env: gym.Env) -> Iterator[tuple[Any, Attributes]]:
    """The layers of a new environment, from the outside in, each with what its constructor set, and no episode."""
    found = layers_with_effect(env)
    before = [plain_attributes(layer) for layer in found]
    env.reset(seed=_SEED)
    at_first = [plain_attributes(layer) for layer in found]
    step_briefly(env)
    for layer, held, first in zip(found, before, at_first, strict=True):
        yield layer, unchanged(held, first, plain_attributes(layer))


def run_briefly(env: gym.Env) -> None:
    """Begin an episode."""
    env.reset(seed=_SEED)
    step_briefly(env)


def run_on(env: gym.Env) -> None:
    """Run an episode to its end, if it is not too long."""
    env.reset(seed=_SEED)
    step_briefly(env, _LONG)


def step_briefly(env: gym.Env, steps: int = _STEPS) -> None:
    """Go on with an episode by a few steps."""
    env.action_space.seed(0)
    for _ in range(steps):
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            break


def unchanged(held: Attributes, *later: Attributes) -> Attributes:
    """Attributes that are what they were each time that they were looked at."""
    there = [name for name in held if all(name in values for values in later)]
    return {name: held[name] for name in there if _equal(held[name], *(values[name] for values in later))}


def other_values(trained: Attributes, new: Iterable[Attributes]) -> dict[str, tuple[Any, Any]]:
    """Attributes that new objects agree in and a trained one does not, with its value and theirs.

    :param new: attributes of several new ones: what they draw at random differs between them
    """
    one, *others = new
    alike = (name for name, value in one.items() if all(_equal(value, other.get(name)) for other in others))
    return {
        name: (trained[name], one[name]) for name in alike if name in trained and not _equal(trained[name], one[name])
    }


def most_common(differing: Sequence[dict[str, tuple[Any, Any]]]) -> dict[str, tuple[Any, Any]]:
    """Of what environments side by side have otherwise than a new one: what most have, where half of them have any.

    :param differing: of each environment, by attribute, its value and the new one's
    """
    found = {}
    for name, (_, new) in {name: pair for one in differing for name, pair in one.items()}.items():
        values = [one[name][0] for one in differing if name in one]
        every = [one[name][0] if name in one else new for one in differing]
        if 2 * len(values) >= len(every) and not _counts(every):
            usual = Counter(map(repr, values)).most_common(1)[0][0]
            found[name] = (next(value for value in values if repr(value) == usual), new)
    return found


def numbers_slots(values: Sequence[Any]) -> bool:
    """Whether values of environments side by side are all the same, or count these: seeds, ports, folders."""
    return all(_equal(value, values[0]) for value in values) or _counts(values)


def _counts(values: Sequence[Any]) -> bool:
    """Whether several values are one number after the other, or texts that hold these."""
    texts = [re.sub(r"\d+", "", value) for value in values if isinstance(value, str)]
    numbers = [re.sub(r"\D+", "", value) if isinstance(value, str) else value for value in values]
    if len({*texts}) > 1 or len(texts) not in (0, len(values)) or not all(str(number).isdigit() for number in numbers):
        return False
    return len({*np.diff([int(number) for number in numbers])}) == 1 and numbers[0] != numbers[-1]


@contextlib.contextmanager
def without_files(monitored: Sequence[Any]) -> Iterator[None]:
    """Keep monitors from writing: a file cannot be copied, and these are no training episodes."""
    monitors = [layer for env in monitored for layer in ([env] if isinstance(env, VecEnv) else layers(env))]
    writers = {
        id(monitor): (monitor, monitor.results_writer)
        for monitor in monitors
        if isinstance(monitor, Monitor | VecMonitor)
    }
    for monitor, _ in writers.values():
        monitor.results_writer = None
    try:
        yield
    finally:
        for monitor, writer in writers.values():
            monitor.results_writer = writer


def _is_without_effect(layer: Any) -> bool:
    package = package_of(type(layer).__module__)
    return package in _OWN or (package in _LIBRARIES and type(layer).__name__ in _WITHOUT_EFFECT)


def _is_registered(layer: Any) -> bool:
    """Whether an environment was made by an id, which stands for its class and for no function that makes it."""
    if not isinstance(layer, gym.Env) or layer is not layer.unwrapped or layer.spec is None:
        return False
    entry = layer.spec.entry_point
    return re.split("[:.]", entry if isinstance(entry, str) else getattr(entry, "__qualname__", ""))[-1] == (
        type(layer).__name__
    )


def _constructor(layer: Any) -> Sequence[inspect.Parameter]:
    """The parameters of a layer's constructor, without what it is put around and how it is rendered."""
    return [parameter for parameter in _in_order(layer) if parameter.name != "render_mode"]


def _in_order(layer: Any) -> Sequence[inspect.Parameter]:
    kind = type(layer)
    if kind.__init__ in (VecEnvWrapper.__init__, gym.Wrapper.__init__, object.__init__):
        return ()  # it has none of its own
    try:
        parameters = [*inspect.signature(kind.__init__).parameters.values()][1:]
    except (TypeError, ValueError):
        return ()
    inside = isinstance(layer, VecEnvWrapper) or layer is not layer.unwrapped
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [one for one in parameters[inside:] if one.kind not in several]


def _further(layer: Any) -> list[str]:
    """How a constructor calls arguments that it does not name one by one: ``*args``, ``**kwargs``."""
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    with contextlib.suppress(TypeError, ValueError):
        parameters = inspect.signature(type(layer).__init__).parameters.values()
        if type(layer).__init__ is not object.__init__:
            return [f"{stars[one.kind]}{one.name}" for one in parameters if one.kind in stars]
    return []


def _recorded(layer: Any) -> Arguments:
    """What Gymnasium's RecordConstructorArgs or EzPickle kept, if it is of this very constructor."""
    names = [parameter.name for parameter in _in_order(layer)]
    held = getattr(layer, "__dict__", {})
    kept = {**dict(zip(names, held.get("_ezpickle_args", ()), strict=False)), **held.get("_ezpickle_kwargs", {})}
    kept = kept or held.get("_saved_kwargs") or {}
    return kept if kept.keys() <= {*names} else {}


def _places(layer: Any, recorded: Arguments, name: str) -> list[tuple[Arguments, str]]:
    held = getattr(layer, "__dict__", {})
    return [(recorded, name), (held, name), (held, f"_{name}")]


def _equal(one: Any, *others: Any) -> bool:
    return all(type(one) is type(other) and repr(one) == repr(other) for other in others)
