"""Put environments that scripts make into the terms of a configuration."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from reload_audit.repository.extract import extracted, needs_extraction
from reload_audit.repository.factories import NAME, factory
from reload_audit.repository.kinds import is_environment, is_wrapper
from reload_audit.repository.modules import Modules
from reload_audit.repository.places import Place
from reload_audit.repository.run_settings import RunSettings, filled
from reload_audit.repository.setup import Definition, Setup
from reload_audit.repository.stated import Environment, Found, Layer, Model
from reload_audit.repository.values import HOLE, UNKNOWN, Class, External, Function, Value

_RENAMED: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "GrayScaleObservation": ("GrayscaleObservation", {}),
    "FrameStack": ("FrameStackObservation", {"num_stack": "stack_size", "lz4_compress": ""}),
}
"""Wrappers of gym with another name in Gymnasium, and their arguments with other names, empty for one that is gone."""

_USUAL: tuple[list[str], ...] = ([], ["VecNormalize"], ["VecFrameStack"], ["VecNormalize", "VecFrameStack"])
"""Layers of a VecEnv that a configuration says without ``vec_wrappers``, innermost first."""


Beside = tuple[RunSettings, bool]
"""The settings that a training left beside its model, and whether they count more than what scripts say."""


class Describing:
    """Puts environments that scripts make into the terms of a configuration.

    :param folder_with: gives the folder from which a script in a folder can open a file; empty for none
    """

    def __init__(self, found: Found, modules: Modules, folder_with: Callable[[str, str], str]) -> None:
        self._found = found
        self._modules = modules
        self._folder_with = folder_with
        self._known: dict[int, tuple[Environment, Setup | None]] = {}

    def setup(self, environment: Environment, beside: Beside | None = None) -> Setup | None:
        """How a model is run there; None where nothing says which environment it is.

        :param beside: the settings beside the model, and whether they count more than what scripts say
        """
        if beside is not None:
            own = environment.own or self._registered(environment)
            full = filled(environment, beside[0], None if own is None else _taken_by(own), decides=beside[1])
            setup = None if full is None else self._setup(full)
            if setup is not None:
                return replace(setup, sources={**setup.sources, "env_kwargs": beside[0].place})
        if id(environment) not in self._known:
            self._known[id(environment)] = (environment, self._setup(environment))
        return self._known[id(environment)][1]

    def _registered(self, environment: Environment) -> Class | None:
        """The class of the repository that an environment's id is registered with."""
        registered = self._found.registrations.get(environment.env)
        return None if registered is None else self._entry(registered.entry_point, registered.place)

    def _setup(self, environment: Environment) -> Setup | None:
        gaps = _gaps(environment)
        wrappers = list(environment.wrappers)
        kwargs = dict(environment.kwargs)
        definitions: list[Definition] = []
        own = environment.own
        function = self._function(environment)
        registered = self._found.registrations.get(environment.env)
        if registered is not None and isinstance(made := registered.entry_point, Environment):
            wrappers = [*made.wrappers, *wrappers]
            own, kwargs, gaps = made.own, {**made.kwargs, **kwargs}, [*gaps, *_gaps(made)]
        elif registered is not None:
            own = self._entry(registered.entry_point, registered.place)
            kwargs = {**registered.kwargs, **kwargs}
            limit = kwargs.pop("max_episode_steps", registered.max_episode_steps)
            if own is not None and limit is not None and limit != -1:
                wrappers.insert(0, _time_limit(limit, registered.place))
        known = {**dict.fromkeys(environment.unknown, UNKNOWN), **kwargs}
        if function is not None:
            definition, wrappers = function
            definitions, kwargs, gaps = [definition], {}, []
            env = f"{definition.module}:{definition.name}"
        elif own is not None:
            definitions.append(self._definition(own))
            env = f"{definitions[0].module}:{own.name}"
        elif registered is not None:
            module = self._modules.importable(registered.place.path)[1]
            folders = self._modules.search_path(registered.place.path)
            definitions.append(Definition(registered.id, module, folders, registered.place))
            env = f"{module}:{registered.id}"
        elif environment.library:
            module, _, name = environment.library.rpartition(".")
            env = f"{module}:{name}"
        elif not environment.env or HOLE in environment.env:
            return None
        else:
            env = environment.env
        changing = any(_last(layer) != "TimeLimit" for layer in wrappers)
        monitored = wrappers[: len(wrappers) - len(environment.wrappers) + (environment.monitored or 0)]
        inside = environment.monitored is not None and all(_last(layer) == "TimeLimit" for layer in monitored)
        kwargs = self._data(kwargs, definitions)
        single = tuple(self._written(layer, definitions) for layer in wrappers)
        layers = tuple(self._written(layer, definitions) for layer in environment.layers)
        stack = next((layer for layer in environment.layers if _last(layer) == "VecFrameStack"), None)
        normalize = next((layer for layer in environment.layers if _last(layer) == "VecNormalize"), None)
        usual = [*map(_last, environment.layers)] in _USUAL
        gaps += [f"argument {name} of {layer.name} ({layer.place})" for layer in wrappers for name in layer.unknown]
        sources = {"env": environment.place, "env_kwargs": environment.place, "n_envs": environment.place}
        sources |= dict.fromkeys(("wrappers", "monitor"), wrappers[-1].place) if wrappers else {}
        sources |= dict.fromkeys(
            ("frame_stack", "vec_wrappers"), environment.layers[-1].place if environment.layers else environment.place
        )
        return Setup(
            env=env,
            id=environment.env,
            env_kwargs=kwargs,
            wrappers=single,
            monitor="wrapped" if changing and not inside else "env",
            vec_wrappers=() if usual else layers,
            frame_stack=_count(stack.kwargs.get("n_stack")) if usual and stack else None,
            normalize=None if normalize is None else normalize.kwargs,
            n_envs=environment.n_envs,
            definitions=tuple(dict.fromkeys(definitions)),
            packages=self._modules.imported_packages(environment.place.path),
            sources=sources,
            gaps=tuple(gaps),
            made_by=None if "**" in known else own,  # its spaces may depend on what is not known
            made_with=known,
        )

    def _function(self, environment: Environment) -> tuple[Definition, list[Layer]] | None:
        """A function that makes an environment with arguments that are no plain values, and the wrappers around it."""
        gaps = [bool(environment.unknown), *(bool(layer.unknown) for layer in environment.wrappers)]
        if not any(gaps):
            return None
        inner = max(index for index, gap in enumerate(gaps) if gap)
        place = environment.wrappers[inner - 1].place if inner else environment.place
        script = self._modules.scripts.get(place.path)
        if inner:
            called = {_last(environment.wrappers[inner - 1])}
        else:
            called = {environment.own.name if environment.own else environment.library.rpartition(".")[2] or "make"}
        text = "" if script is None else factory(script, place, called, self._folder_with)
        if not text:
            return None
        cell = "" if place.cell is None else f"{place.cell}_"
        module = self._taken_out(place.path, f"{cell}{place.line}")
        definition = Definition(NAME, module, self._modules.search_path(place.path), place, text)
        return definition, list(environment.wrappers[inner:])

    def of_id(self, env: str) -> Setup | None:
        """How to make an environment whose id a module of the repository registers on import; None where none does."""
        registered = self._found.registrations.get(env)
        script = None if registered is None else self._modules.scripts.get(registered.place.path)
        if registered is None or script is None or needs_extraction(script):
            return None
        module = self._modules.importable(registered.place.path)[1]
        folders = self._modules.search_path(registered.place.path)
        definition = Definition(env, module, folders, registered.place)
        return replace(Setup.of_id(f"{module}:{env}", str(registered.place)), definitions=(definition,))

    def of_model(self, model: Model, beside: Beside | None = None) -> Setup | None:
        """How a model is run in the environment that a script gives it."""
        setup = None if model.environment is None else self.setup(model.environment, beside)
        if setup is None or not model.classes:
            return setup
        return replace(
            setup, classes=tuple((self._saved_as(one, model), self._definition(one)) for one in model.classes)
        )

    def _saved_as(self, found: Class, model: Model) -> str:
        """The name that a zip has a class under: what is defined in the script that trains is of ``__main__``."""
        is_main = found.place.path == model.place.path
        return f"{'__main__' if is_main else self._modules.importable(found.place.path)[1]}.{found.name}"

    def of_class(self, found: Class, beside: Beside | None = None) -> Setup:
        """How a model is run in a class that no script makes an environment of."""
        setup = self.setup(Environment(found.place, own=found), beside)
        assert setup is not None  # it has a class
        return setup

    def _entry(self, entry: Any, place: Place) -> Class | None:
        """The class of the repository that an entry point leads to."""
        if isinstance(entry, Class):
            return entry
        if isinstance(entry, External):
            entry = ":".join(entry.name.rsplit(".", 1))
        if not isinstance(entry, str) or ":" not in entry:
            return None
        module, _, name = entry.partition(":")
        path = self._modules.find(module, place.path)
        classes = [one for one in self._found.classes if one.name == name and is_environment(one)]
        return next((one for one in sorted(classes, key=lambda one: one.place.path != path)), None)

    def _data(self, kwargs: Mapping[str, Value], definitions: list[Definition]) -> dict[str, Value]:
        """Arguments as a configuration has them: what is of the repository by its name."""
        data = dict(kwargs)
        for key, value in kwargs.items():
            if isinstance(value, Class | Function):
                definition = self._definition(value)
                definitions.append(definition)
                data[key] = {"object": f"{definition.module}:{definition.name}"}
        return data

    def _definition(self, found: Class | Function) -> Definition:
        path = found.place.path
        script, module = self._modules.scripts[path], self._modules.importable(path)[1]
        text = ""
        if needs_extraction(script):
            module = self._taken_out(path, "environment")
            own = [one for one in self._found.classes if is_environment(one) or is_wrapper(one)]
            wanted = [one for one in (*own, *self._found.parts) if one.place.path == path]
            text = extracted(script, map(_name, wanted))
        return Definition(_name(found), module, self._modules.search_path(path), found.place, text)

    def _taken_out(self, path: str, what: str) -> str:
        """A name for the module taken out of a script, unlike that of any other script or repository."""
        return _identifier(f"{posixpath.basename(self._folder_with('', ''))}/{posixpath.splitext(path)[0]}_{what}")

    def _written(self, layer: Layer, definitions: list[Definition]) -> tuple[str, Mapping[str, Value]]:
        """A layer's dotted name and its arguments."""
        given = self._data(layer.kwargs, definitions)
        if layer.own is not None:
            definition = self._definition(layer.own)
            definitions.append(definition)
            return f"{definition.module}.{definition.name}", given
        if not layer.name.startswith("gymnasium.wrappers."):
            return layer.name, given
        name, renamed = _RENAMED.get(_last(layer), (_last(layer), {}))
        kwargs = {renamed.get(key, key): value for key, value in given.items()}
        kwargs.pop("", None)
        return f"gymnasium.wrappers.{name}", kwargs


def _name(found: Class | Function) -> str:
    return found.name if isinstance(found, Class) else str(getattr(found.node, "name", ""))


def _gaps(environment: Environment) -> list[str]:
    return [f"argument {name} ({environment.place})" for name in environment.unknown]


def _time_limit(limit: int, place: Place) -> Layer:
    return Layer("gymnasium.wrappers.TimeLimit", {"max_episode_steps": limit}, place)


def _last(layer: Layer) -> str:
    return layer.name.rpartition(".")[2]


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 1 else None


def _taken_by(found: Class) -> Sequence[str] | None:
    """Names of the arguments that a class takes; None where it takes any, or where that cannot be told."""
    start = found.find("__init__")
    if not isinstance(start, Function) or start.node.args.kwarg is not None:
        return None
    return [one.arg for one in (*start.node.args.args[1:], *start.node.args.kwonlyargs)]


def _identifier(name: str) -> str:
    text = "".join(letter if letter.isalnum() else "_" for letter in name)
    return f"_{text}" if text[:1].isdecimal() else text
