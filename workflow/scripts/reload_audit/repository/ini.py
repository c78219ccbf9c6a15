"""Settings in INI files, as ``configparser`` gives them: texts, in sections."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from reload_audit.reading.plain_values import mapping
from reload_audit.repository.calls import Call
from reload_audit.repository.operations import as_number, combined
from reload_audit.repository.values import UNKNOWN, OpenFile, Value

_TRUTHS = {"1": True, "yes": True, "true": True, "on": True, "0": False, "no": False, "false": False, "off": False}


class Section(dict[str, Value]):
    """The options of a section by their names in small letters, as ``configparser`` keeps them."""

    def __init__(self, options: Value) -> None:
        given = {name.lower(): value for name, value in mapping(options).items()}
        super().__init__({name: _filled(value, given) for name, value in given.items()})

    def get(self, name: Any, default: Any = None) -> Any:
        """An option, whatever the letters of its name."""
        return super().get(name.lower() if isinstance(name, str) else name, default)

    def method(self, name: str, call: Call, _: Callable[[Any], Any]) -> Any:
        """What a method of a section gives."""
        return self.option(name, call.get(0, "option"), call.get(1, "fallback", None))

    def option(self, getter: str, name: Any, fallback: Any) -> Any:
        """What ``get``, ``getint``, ``getfloat`` or ``getboolean`` gives for an option."""
        value = self.get(name, UNKNOWN)
        if getter == "items":
            return list(self.items())
        if value is UNKNOWN:
            return fallback
        match getter:
            case "getint" | "getfloat":
                return as_number(int if getter == "getint" else float, value)
            case "getboolean":
                return _TRUTHS.get(str(value).lower(), UNKNOWN)
            case "get":
                return value
        return UNKNOWN


class Ini(dict[str, Value]):
    """What a parser of ``configparser`` has read: sections by their names."""

    def method(self, name: str, call: Call, settings: Callable[[Any], Any]) -> Any:
        """What a method of the parser gives.

        :param settings: gives the content of a file of the repository
        """
        first = call.args[0] if call.args else UNKNOWN
        match name:
            case "read" | "read_file" | "read_dict":
                for one in first if isinstance(first, list | tuple) else [first]:
                    held = one if isinstance(one, dict) else settings(one.path if isinstance(one, OpenFile) else one)
                    for header, options in mapping(held).items():
                        self[header] = Section({**mapping(self.get(header)), **mapping(options)})
            case "sections":
                return [header for header in self if header != "DEFAULT"]
            case "items" if not call.args:
                return list(self.items())
            case _ if isinstance(first, str) and isinstance(section := self.get(first), Section):
                return section.option(name, call.get(1, "option"), call.kwargs.get("fallback", UNKNOWN))
            case "get" | "getint" | "getfloat" | "getboolean":
                return call.kwargs.get("fallback", UNKNOWN)
        return UNKNOWN


def _filled(value: Value, options: dict[str, Value]) -> Value:
    """A value in which ``%(name)s`` stands for another option."""
    return combined(ast.Mod(), value, options) if isinstance(value, str) and "%(" in value else value
