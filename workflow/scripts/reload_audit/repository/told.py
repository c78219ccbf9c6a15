"""What a script is told when it is started: settings files, options of a command line, a configuration of Hydra.

A script rarely says with which of several files of settings a model was trained. So it is followed once with each that
it may have been started with, and for a model with the settings that lie beside it, which its training left there.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from reload_audit.reading import limits
from reload_audit.repository.omegaconf import interpolated
from reload_audit.repository.values import HOLE, UNKNOWN, Made, Value, as_text

_SETTINGS = (".yaml", ".yml", ".json", ".toml", ".ini")
_OF_RUN = re.compile(r"(?:^|[-_])(?:config|cfg|args|params|hparams|settings|options|hyper_?params|hyperparameters)$")
_FOR_SCRIPTS = re.compile(r"conf|setting|param|experiment|cfg", re.IGNORECASE)


class Told:
    """What a script is told, as far as its repository says it.

    :param read: gives the content of a file of settings, by the path that a script has
    :param assumed: settings that scripts are taken to have been started with; None for what they have by default
    :param named: options that scripts are taken to have been started with
    :param keeps: whether files that scripts name keep their content, as one that they do not name is ``assumed``
    """

    def __init__(
        self,
        read: Callable[[str], Any],
        assumed: Mapping[str, Value] | None = None,
        named: Mapping[str, Value] | None = None,
        *,
        keeps: bool = False,
    ) -> None:
        self._read = read
        self._assumed = assumed
        self._named = named or {}
        self._keeps = keeps
        self.offered: dict[str, tuple[Value, Sequence[Any]]] = {}
        self.is_asked = False
        self.is_missing = False
        self.paths: list[str] = []

    def settings(self, path: Any) -> Any:
        """The content of a file of settings that a script reads.

        :param path: as far as it is known
        """
        self.is_asked = True
        if not isinstance(path, str) or HOLE in path or path == "None":
            self.is_missing = self.is_missing or self._assumed is None
            return UNKNOWN if self._assumed is None else interpolated(dict(self._assumed))
        content = interpolated(self._read(path))
        self.paths.append(path)
        told = not self._keeps and self._assumed is not None and alike(content, self._assumed)
        return interpolated(dict(self._assumed or {})) if told else content

    def options(self, usual: Mapping[str, Value], choices: Mapping[str, Sequence[Any]]) -> dict[str, Value]:
        """The values of options of a command line.

        :param usual: those that they have by default
        :param choices: for each the values that may be chosen; nothing where any may
        """
        self.is_asked = True
        self.offered |= {name: (value, choices.get(name, ())) for name, value in usual.items()}
        told = {**self._named, **(self._assumed or {})}
        return {**usual, **{key: value for key, value in told.items() if key in usual}}

    def arguments(self, decorators: Sequence[Any], names: Sequence[str]) -> dict[str, Value]:
        """What a function is given that is called as the script's beginning.

        :param decorators: of the function, the outermost first
        :param names: of its arguments
        """
        found: dict[str, Value] = {}
        choices: dict[str, Sequence[Any]] = {}
        for made in decorators:
            if not isinstance(made, Made):
                continue
            if made.maker.name == "hydra.main" and names:
                return {names[0]: self._of_hydra(made)}
            if made.maker.name in ("click.option", "click.argument"):
                flags = sorted((flag for flag in made.args if isinstance(flag, str)), key=lambda flag: flag[:1] == "-")
                named = next(iter(flags), "") if flags and flags[0][:1] != "-" else max(flags, key=len, default="")
                name = named.lstrip("-").replace("-", "_").lower()
                found[name] = made.kwargs.get("default", UNKNOWN)
                choices[name] = _choices(made.kwargs.get("type"))
        return self.options({name: value for name, value in found.items() if name in names}, choices) if found else {}

    def _of_hydra(self, made: Made) -> Any:
        """The configuration that Hydra composes by default."""
        self.is_asked = True
        if self._assumed is not None:
            return interpolated(dict(self._assumed))
        folder, name = (as_text(made.kwargs.get(key, "")) for key in ("config_path", "config_name"))
        content = self._read(f"{folder}/{name.removesuffix('.yaml')}.yaml")
        own = dict(content) if isinstance(content, dict) else {}
        defaults = own.pop("defaults", None)
        composed: dict[str, Value] = {}
        for entry in defaults[: limits.SCRIPT_ROUNDS] if isinstance(defaults, list) else []:
            for group, option in entry.items() if isinstance(entry, dict) else ():
                group = str(group).rpartition(" ")[2]
                part = self._read(f"{folder}/{group}/{option}.yaml") if isinstance(option, str) else {}
                composed[group.rpartition("/")[2]] = part
        return interpolated(composed | own)


def _choices(kind: Any) -> Sequence[Any]:
    """The values that ``click.Choice`` offers."""
    is_choice = isinstance(kind, Made) and kind.maker.name == "click.Choice" and kind.args
    return kind.args[0] if is_choice and isinstance(kind.args[0], list | tuple) else ()


def without_descriptions(content: Any) -> Any:
    """Settings as Weights & Biases writes them, each with a description, without these; any others as they are."""
    described = isinstance(content, dict) and [value for key, value in content.items() if key != "wandb_version"]
    if not described or not all(
        isinstance(one, dict) and {"value"} <= one.keys() <= {"value", "desc"} for one in described
    ):
        return content
    return {key: one["value"] for key, one in content.items() if isinstance(one, dict) and not key.startswith("_")}


def alike(one: Any, other: Any) -> bool:
    """Whether two files of settings say mostly the same kinds of things."""
    if not isinstance(one, dict) or not isinstance(other, Mapping):
        return False
    return len(one.keys() & other.keys()) * 2 >= max(len(one), len(other), 1)


def beside(path: str, files: Sequence[str]) -> Iterator[str]:
    """Files of settings that the training of a model may have left, the nearest first.

    :param path: of the model, relative to the repository's folder
    :param files: the paths of all files of the repository
    """
    stem = posixpath.splitext(posixpath.basename(path))[0]
    folder = posixpath.dirname(path)
    for run in (stem, posixpath.basename(folder)):  # what Weights & Biases calls a run is the end of its folder's name
        of_run = re.compile(rf"(?:^|/)wandb/[\w.-]*-{re.escape(run)}/files/config\.yaml$")
        yield from (file for file in files if len(run) > 5 and of_run.search(file))
    while folder and not any(posixpath.dirname(file) == folder and file.endswith(".py") for file in files):
        here = [file for file in files if posixpath.dirname(file) in (folder, f"{folder}/.hydra")]
        bare = {file: posixpath.splitext(posixpath.basename(file))[0] for file in here if file.endswith(_SETTINGS)}
        yield from (file for file, name in bare.items() if name.startswith(stem) or name.endswith(stem))
        yield from (file for file, name in bare.items() if _OF_RUN.search(name.lower()))
        folder = posixpath.dirname(folder)
    named = {part for part in posixpath.splitext(path)[0].split("/") if len(part) > 3}  # outputs/large/ of large.yaml
    yield from (file for file in files if file.endswith(_SETTINGS) and _bare(file) in named)


def _bare(path: str) -> str:
    return posixpath.splitext(posixpath.basename(path))[0]


def choices(told: Told, files: Sequence[str], read: Callable[[str], Any]) -> list[Mapping[str, Value]]:
    """Settings that scripts may have been started with, besides those that they have by default."""
    settings = [file for file in files if file.endswith(_SETTINGS)]
    read_anyway = {posixpath.normpath(path) for path in told.paths}
    possible = [file for file in settings if file not in read_anyway and _FOR_SCRIPTS.search(file)]
    found = possible if told.is_missing else []
    for path in told.paths:
        folder, ending = posixpath.dirname(posixpath.normpath(path)), posixpath.splitext(path)[1]
        usual = read(path)
        around = [file for file in settings if posixpath.dirname(file) == folder and file.endswith(ending)]
        found += [
            file
            for file in around[: limits.SCRIPT_ROUNDS]
            if file != posixpath.normpath(path) and alike(read(file), usual)
        ]
    contents = [read(file) for file in dict.fromkeys(found[: limits.SCRIPT_CHOICES])]
    return [content for content in contents if isinstance(content, dict) and content]
