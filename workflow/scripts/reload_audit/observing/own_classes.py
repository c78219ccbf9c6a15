"""Keep the environments and wrappers that a script defines itself, so that they can be built without running it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import gymnasium as gym

from reload_audit.records.observation import Observation, ObservedEnvironment

MODULE = "classes_of_script"
"""Name of the module that stands for a script's own classes."""

_SOURCE = '''"""Classes that an observed script defines itself, as it has left them."""

import pickle
from pathlib import Path

for _file in sorted(Path(__file__).parent.glob("class-*.pickle")):
    _kept = pickle.loads(_file.read_bytes())
    _kept.__module__ = __name__
    globals()[_file.stem.removeprefix("class-")] = _kept
'''


def keep_classes(environments: Iterable[Any], folder: Path) -> dict[str, str]:
    """Write the classes of environments, and of the wrappers around them, that can be imported from no module.

    They are as they were before they were observed, and take what they use of the script along. Those that use what
    cannot be pickled are left out. This ends the observation of them.

    :param environments: single ones
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
    if kept:
        (folder / f"{MODULE}.py").write_text(_SOURCE, encoding="utf-8")
    return kept


def _own_classes(environments: Iterable[Any]) -> Iterator[type]:
    for env in environments:
        layer = env
        while isinstance(layer, gym.Env):
            kind = type(layer)
            if kind.__module__ == "__main__" or "<locals>" in kind.__qualname__:
                for base in kind.__mro__:
                    _as_written(base)
                yield kind
            layer = layer.env if isinstance(layer, gym.Wrapper) else None


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
    wrappers = environment.wrappers
    if wrappers is not None:
        wrappers = [replace(one, name=kept.get(one.name, one.name)) for one in wrappers]
    return replace(environment, env_class=kept.get(environment.env_class, environment.env_class), wrappers=wrappers)
