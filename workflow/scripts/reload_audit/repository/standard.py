"""What calls of Python's own library mean in a script that is followed."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from itertools import islice, product
from typing import Any

from reload_audit.reading import limits
from reload_audit.repository.calls import Call
from reload_audit.repository.omegaconf import merged
from reload_audit.repository.operations import as_number, formatted, short
from reload_audit.repository.values import (
    HOLE,
    UNKNOWN,
    External,
    Instance,
    OpenFile,
    Partial,
    Some,
    Value,
    as_text,
    choice,
    each,
)

Choices = Mapping[str, Sequence[Any]]
"""For each option the values that may be chosen."""


class Parser:
    """What ``argparse.ArgumentParser`` is told, for the values that arguments have by default."""

    def __init__(self) -> None:
        self._defaults: dict[str, Value] = {}
        self._choices: dict[str, list[Any]] = {}

    def method(self, name: str, call: Call, told: Callable[[Mapping[str, Value], Choices], dict[str, Value]]) -> Any:
        """What a method of the parser, or of a group of its arguments, gives.

        :param told: gives the values of options, from those that they have by default and those that may be chosen
        """
        if name == "add_argument":
            flags = [flag for flag in call.args if isinstance(flag, str)]
            longest = max(flags, key=lambda flag: flag.startswith("--"), default="")
            target = call.kwargs.get("dest", longest.lstrip("-").replace("-", "_"))
            stored = {"store_true": False, "store_false": True}.get(as_text(call.kwargs.get("action")), UNKNOWN)
            if isinstance(target, str):
                self._defaults[target] = call.kwargs.get("default", stored)
                choices = call.kwargs.get("choices")
                self._choices[target] = list(choices) if isinstance(choices, list | tuple | dict) else []
        elif name in ("parse_args", "parse_known_args"):
            parsed = Instance(None, told(self._defaults, self._choices))
            return parsed if name == "parse_args" else (parsed, [])
        elif name == "set_defaults":
            self._defaults |= call.kwargs
        elif name in ("add_argument_group", "add_mutually_exclusive_group", "add_subparsers", "add_parser"):
            return self
        return UNKNOWN


def _range(call: Call) -> Any:
    if all(isinstance(arg, int) for arg in call.args) and call.args:
        numbers = range(*call.args[:3]) if len(call.args) < 3 or call.args[2] else range(0)
        return list(numbers[: limits.SCRIPT_ITEMS]) or Some([UNKNOWN])
    return Some([UNKNOWN])


def _list(call: Call) -> Any:
    value = call.args[0] if call.args else []
    return list(value) if isinstance(value, tuple | dict) else value if isinstance(value, list) else Some([UNKNOWN])


def _zip(call: Call) -> Any:
    lists = [arg if isinstance(arg, list | tuple) else [UNKNOWN] for arg in call.args]
    return list(zip(*lists, strict=False)) or Some([UNKNOWN])


def _product(call: Call) -> Any:
    lists = [list(arg) if isinstance(arg, list | tuple | dict) else [UNKNOWN] for arg in call.args]
    return list(islice(product(*lists), limits.SCRIPT_ITEMS)) or Some([UNKNOWN])


def _enumerate(call: Call) -> Any:
    value = call.args[0] if call.args else UNKNOWN
    return list(enumerate(value)) if isinstance(value, list | tuple) else Some([(UNKNOWN, UNKNOWN)])


def _join(call: Call) -> Any:
    parts = [as_text(part) for part in call.args]
    return posixpath.join(*parts)[: limits.SCRIPT_CHARACTERS] if parts else UNKNOWN


def _first(call: Call) -> Any:
    return call.args[0] if call.args else UNKNOWN


def _default(call: Call) -> Any:
    return call.get(1, "default", UNKNOWN)


def _attributes(call: Call) -> Any:
    value = call.args[0] if call.args else UNKNOWN
    return value.attributes if isinstance(value, Instance) else UNKNOWN


def _dict(call: Call) -> Any:
    return {**_mapping(call.get(0, "mapping", {})), **call.kwargs}


def _partial(call: Call) -> Any:
    return Partial(call.args[0], call.args[1:], call.kwargs) if call.args else UNKNOWN


def _text(call: Call) -> Any:
    value = call.args[0] if call.args else ""
    return as_text(value)


def _number(kind: type[int] | type[float]) -> Callable[[Call], Any]:
    return lambda call: as_number(kind, call.args[0] if call.args else 0) if len(call.args) < 2 else UNKNOWN


def _length(call: Call) -> Any:
    value = call.args[0] if call.args else UNKNOWN
    is_open = isinstance(value, Some) or (isinstance(value, str) and HOLE in value)
    return len(value) if isinstance(value, str | list | tuple | dict) and not is_open else UNKNOWN


def method_of_text(text: str, name: str, call: Call) -> Any:
    match name:
        case "format":
            return formatted(text, call.args, call.kwargs)[: limits.SCRIPT_CHARACTERS]
        case "lower":
            return text.lower()
        case "upper":
            return text.upper()
        case "replace" if len(call.args) == 2 and isinstance(call.args[0], str) and call.args[0]:
            return short(text.replace(call.args[0], as_text(call.args[1]), 20))
        case "split" | "rsplit" | "partition" | "rpartition" | "startswith" | "endswith" if call.args:
            return UNKNOWN if HOLE in text else _in_parts(text, name, call)
        case "joinpath":
            return posixpath.join(text, *map(as_text, call.args))
        case "resolve" | "absolute" | "expanduser" | "as_posix" | "strip":
            return text
        case "open" | "read_text":
            return OpenFile(text)
        case "with_suffix" if call.args:
            return posixpath.splitext(text)[0] + as_text(call.args[0])
    return UNKNOWN


def _in_parts(text: str, name: str, call: Call) -> Any:
    """The result of splitting a text, or of asking how it begins or ends."""
    between, most = call.args[0], call.get(1, "maxsplit", -1)
    if not isinstance(between, str) or not between:
        return UNKNOWN
    if name.endswith("with"):
        return text.startswith(between) if name == "startswith" else text.endswith(between)
    if name.endswith("partition"):
        return text.partition(between) if name == "partition" else text.rpartition(between)
    split = text.split if name == "split" else text.rsplit
    return split(between, most if isinstance(most, int) else -1)[: limits.SCRIPT_ITEMS]


def method_of_mapping(of: dict[str, Value], name: str, call: Call) -> Any:
    match name:
        case "get" | "pop" if call.args and isinstance(call.args[0], str):
            return of.get(call.args[0], call.get(1, "default", None))
        case "items":
            return list(of.items()) or Some([(UNKNOWN, UNKNOWN)])
        case "values":
            return list(of.values()) or Some([UNKNOWN])
        case "keys":
            return list(of) or Some([UNKNOWN])
        case "copy":
            return dict(of)
        case "update":
            of |= _mapping(call.args[0] if call.args else call.kwargs)
    return UNKNOWN


def attribute_of_text(text: str, name: str) -> Any:
    """An attribute of a path of ``pathlib``, which is a text here; None where it has none."""
    match name:
        case "parent":
            return posixpath.dirname(text)
        case "name":
            return posixpath.basename(text)
        case "stem":
            return posixpath.splitext(posixpath.basename(text))[0]
    return None


def _mapping(value: Any) -> dict[str, Value]:
    return value if isinstance(value, dict) else {}


def _here(_: Call) -> str:
    return ""


def _parser(_: Call) -> Parser:
    return Parser()


def _attribute(call: Call) -> Any:
    """``getattr(stable_baselines3, "PPO")``."""
    pairs = each([call.get(0, "object"), call.get(1, "name")])
    found = [
        call.follower.attribute(owner, name) for owner, name in pairs if isinstance(name, str) and HOLE not in name
    ]
    return choice(found) if found else UNKNOWN


def _module(call: Call) -> Any:
    """``importlib.import_module("envs.snake")``: a module of the repository, or of a library."""
    name = call.get(0, "name")
    if not isinstance(name, str) or HOLE in name:
        return UNKNOWN
    own = call.follower.modules.find(name, call.place.path)
    return External(name) if own is None else call.follower.module(own)


def _target(call: Call) -> Any:
    """``hydra.utils.instantiate``: what the settings name under ``_target_``, called with the rest of them."""
    return _instantiated(call.get(0, "config"), call, call.kwargs)


def _instantiated(settings: Any, call: Call, further: Mapping[str, Value]) -> Any:
    if not isinstance(settings, dict) or not isinstance(settings.get("_target_"), str):
        return settings
    function = _by_dotted_name(settings["_target_"], call)
    given = {key: _instantiated(value, call, {}) for key, value in settings.items() if key[:1] != "_"}
    kwargs = {**given, **further}
    return Partial(function, [], kwargs) if settings.get("_partial_") is True else call.again(function, [], kwargs)


def _by_dotted_name(name: str, call: Call) -> Any:
    """A class or function, of the repository or of a library."""
    module, _, last = name.rpartition(".")
    own = call.follower.modules.find(module, call.place.path) if module else None
    return External(name) if own is None else call.follower.module(own).scope.get(last)


def _names(call: Call) -> Any:
    """``globals()``."""
    return call.follower.module(call.place.path).scope.names


def _default_of_option(call: Call) -> Any:
    """The default of an option, as ``typer.Option`` is given it."""
    return call.get(0, "default")


def _started(call: Call) -> Any:
    """``tyro.cli`` and the like: something is called with what a command line says, or with its defaults."""
    return call.again(call.args[0] if call.args else call.kwargs.get("config_class", UNKNOWN))


STANDARD: dict[str, Callable[[Call], Any]] = {
    "builtins.range": _range,
    "builtins.list": _list,
    "builtins.tuple": _list,
    "builtins.sorted": _list,
    "itertools.product": _product,
    "builtins.zip": _zip,
    "builtins.enumerate": _enumerate,
    "builtins.len": _length,
    "builtins.str": _text,
    "builtins.int": _number(int),
    "builtins.float": _number(float),
    "builtins.vars": _attributes,
    "builtins.getattr": _attribute,
    "builtins.globals": _names,
    **dict.fromkeys(("typer.Option", "typer.Argument"), _default_of_option),
    **dict.fromkeys(("tyro.cli", "draccus.parse", "pyrallis.parse", "simple_parsing.parse"), _started),
    "importlib.import_module": _module,
    "builtins.dict": _dict,
    "builtins.open": lambda call: OpenFile(as_text(call.get(0, "file"))),
    "os.path.join": _join,
    "os.path.abspath": _first,
    "os.path.realpath": _first,
    "os.path.expanduser": _first,
    "os.path.normpath": _first,
    "os.path.dirname": lambda call: posixpath.dirname(as_text(call.get(0, "p"))),
    "os.path.basename": lambda call: posixpath.basename(as_text(call.get(0, "p"))),
    "os.getcwd": _here,
    "os.getenv": _default,
    "os.environ.get": _default,
    "pathlib.Path": lambda call: _join(call) if call.args else "",
    "pathlib.Path.cwd": _here,
    "functools.partial": _partial,
    **dict.fromkeys(("types.SimpleNamespace", "argparse.Namespace"), lambda call: Instance(None, dict(call.kwargs))),
    **dict.fromkeys(("easydict.EasyDict", "munch.Munch", "munch.munchify", "addict.Dict", "box.Box"), _dict),
    **dict.fromkeys(("dataclasses.asdict", "attr.asdict", "attrs.asdict"), _attributes),
    **dict.fromkeys(("ml_collections.ConfigDict", "ml_collections.config_dict.ConfigDict"), _dict),
    "copy.deepcopy": _first,
    "copy.copy": _first,
    "argparse.ArgumentParser": _parser,
    **dict.fromkeys(("omegaconf.OmegaConf.to_container", "omegaconf.OmegaConf.create"), _first),
    **dict.fromkeys(("hydra.utils.to_absolute_path", "omegaconf.DictConfig"), _first),
    "omegaconf.OmegaConf.merge": lambda call: merged(call.args),
    **dict.fromkeys(("hydra.utils.instantiate", "hydra.utils.call"), _target),
    "hydra.utils.get_original_cwd": _here,
}
"""By the whole name."""
