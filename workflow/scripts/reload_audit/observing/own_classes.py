"""Keep the environments and wrappers that a script defines itself, so that they can be built without running it.

With them their arguments, where these are no plain data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import gymnasium as gym

from reload_audit.observing.arguments import LOST, MODULE, as_data
from reload_audit.observing.describe import single_of
from reload_audit.records.observation import Observation, ObservedEnvironment, ObservedWrapper

_SOURCE = '''"""Classes that an observed script defines itself, and arguments of them, as it has left them."""

import pickle
from pathlib import Path

for _file in sorted(Path(__file__).parent.glob("class-*.pickle")):
    _kept = pickle.loads(_file.read_bytes())
    _kept.__module__ = __name__
    globals()[_file.stem.removeprefix("class-")] = _kept

for _file in Path(__file__).parent.glob("argument_*.pickle"):
    globals()[_file.stem] = pickle.loads(_file.read_bytes())
'''


def keep_classes(environments: Iterable[Sequence[Any]], folder: Path) -> dict[str, str]:
    """Write the classes of environments, and of the wrappers around them, that can be imported from no module.

    They are as they were before they were observed, and take what they use of the script along. Those that use what
    cannot be pickled are left out. This ends the observation of them.

    :param environments: the layers of each, outermost first
    :param folder: takes the module :data:`MODULE`
    :return: by the name that a class has in an observation, the one under which it can be imported
    """
    kept: dict[str, str] = {}
    for kind in dict.fromkeys(_own_classes(environments)):
        name = kind.__name__ + "_" * [one.rpartition(":")[2].rstrip("_") for one in kept.values()].count(kind.__name__)
        try:
            content = cloudpickle.dumps(kind)
        except Exception:  # noqa: S112 whatever a class of the user's may raise
            continue
        (folder / f"class-{name}.pickle").write_bytes(content)
        kept[f"{kind.__module__}:{kind.__qualname__}"] = f"{MODULE}:{name}"
    (folder / f"{MODULE}.py").write_text(_SOURCE, encoding="utf-8")
    return kept


def keep_arguments(environments: Iterable[ObservedEnvironment], folder: Path) -> list[ObservedEnvironment]:
    """Environments with names of what was written in place of arguments that are no plain data.

    An object that several of them were given is written once.
    """
    written: dict[int, Any] = {}

    def kept(value: Any) -> Any:
        if id(value) not in written:
            written[id(value)] = _written(value, folder)
        return written[id(value)]

    def with_names(wrapper: ObservedWrapper) -> ObservedWrapper:
        spec = replace(wrapper.spec, kwargs=as_data(dict(wrapper.spec.kwargs), kept))
        return replace(wrapper, spec=spec, defaults=as_data(dict(wrapper.defaults), repr))

    return [
        replace(
            one,
            env_kwargs=None if one.env_kwargs is None else as_data(dict(one.env_kwargs), kept),
            env_defaults=as_data(dict(one.env_defaults), repr),
        ).with_each_wrapper(with_names)
        for one in environments
    ]


def _written(argument: Any, folder: Path) -> dict[str, str]:
    """Write an argument that is no plain data, and name what was written."""
    try:
        content = cloudpickle.dumps(argument)
    except Exception:  # whatever an object of the user's may raise
        return LOST
    name = f"argument_{hashlib.sha256(content).hexdigest()[:16]}"
    (folder / f"{name}.pickle").write_bytes(content)
    return {"object": f"{MODULE}:{name}"}


def _own_classes(environments: Iterable[Sequence[Any]]) -> Iterator[type]:
    for layers in environments:
        for kind in dict.fromkeys(map(type, (*layers[:-1], *_chain(single_of(layers[-1]))))):
            if kind.__module__ == "__main__" or "<locals>" in kind.__qualname__:
                for base in kind.__mro__:
                    _as_written(base)
                yield kind


def _chain(env: Any) -> Iterator[Any]:
    """An environment's wrappers, outermost first, and itself; nothing of what is no environment."""
    while isinstance(env, gym.Env):
        yield env
        env = getattr(env, "env", None) if isinstance(env, gym.Wrapper) else None


def _as_written(kind: type) -> None:
    """Give a class back the methods that were replaced to observe it."""
    if kind.__module__ == "__main__" or "<locals>" in kind.__qualname__:
        for name, method in list(vars(kind).items()):
            if hasattr(method, "is_observed"):
                setattr(kind, name, method.__wrapped__)


def with_kept_classes(observation: Observation) -> Observation:
    """An observation whose environments name classes that can be imported, in place of the script's own."""
    kept = observation.own_classes
    return replace(observation, environments=[_named(one, kept) for one in observation.environments])


def _named(environment: ObservedEnvironment, kept: Mapping[str, str]) -> ObservedEnvironment:
    def renamed(wrapper: ObservedWrapper) -> ObservedWrapper:
        name = wrapper.spec.name
        return replace(wrapper, spec=replace(wrapper.spec, name=kept.get(name, name)))

    own = environment.env_class
    return replace(environment, env_class=kept.get(own, own)).with_each_wrapper(renamed)
