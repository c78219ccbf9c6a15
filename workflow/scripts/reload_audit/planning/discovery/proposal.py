"""Write what a repository says of its models as a finished configuration, which the user can look through and run."""

# Paths are texts here: there are many, and not all are Unicode.
# ruff: noqa: PTH111, PTH118, PTH119

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from reload_audit.planning.discovery import advice
from reload_audit.planning.discovery.candidate import Candidate
from reload_audit.planning.discovery.find_models import Unanswered
from reload_audit.planning.resolved import Configuration, Run
from reload_audit.reading.refusal import shown
from reload_audit.repository.setup import Definition, Setup

_CODE = "proposed"
"""The folder of what was taken out of notebooks, beside the configuration."""

_SHOWN_LINES = 40
_MAGIC = re.compile(r"([*?\[])")


@dataclass(frozen=True)
class Entry:
    """An entry of ``runs`` for models that are run alike.

    :param said: what the user's own entry says
    :param setups: how the repository says that they are run, the most plausible first
    :param repository: the folder that what the repository says is relative to
    """

    folder: str
    exclude: Sequence[str]
    said: Run
    setups: Sequence[Setup]
    models: int
    repository: str


def with_proposal(question: Unanswered, config: Configuration, written: Mapping[str, object], results: str) -> str:
    """The question, with a configuration that answers it, if the repositories say enough; it is written to a file.

    :param written: the user's own configuration, without defaults
    :param results: the folder of results
    """
    answerable = [model for model in question.models if _is_answerable(model)]
    if not answerable:
        return str(question)
    entries, rest = _entries(question.models, config["runs"])
    setups = [setup for entry in entries for setup in entry.setups]
    folders, classes = [_folders(entry, results) for entry in entries], [_classes(entry) for entry in entries]
    in_common, among = _alike(folders), _agreeing(classes)
    lines = _python_path(config["python_path"], next(filter(None, folders)) if in_common else {})
    lines += [*_class_lines(among, config["classes"]), "runs:"]
    for entry, own_folders, own_classes in zip(entries, folders, classes, strict=True):
        own = {name: one for name, one in own_classes.items() if name not in among}
        lines += _lines(entry, {} if in_common else own_folders, own)
    lines += rest
    file = Path(results, advice.PROPOSAL)
    command = advice.how_to_accept(file)
    others = {key: value for key, value in written.items() if key not in ("runs", "python_path", "classes")}
    file.parent.mkdir(parents=True, exist_ok=True)
    _write_code(setups, Path(results, _CODE))
    text = "\n".join([*_HEAD, f"#   {command}", "", *lines, ""])
    file.write_text(text + (yaml.safe_dump(others, sort_keys=False) if others else ""), encoding="utf-8")
    asked = "\n".join(line for line in str(question).splitlines() if line not in advice.how_to_say())
    more = [f"  ... ({file} has all)"] if len(lines) > _SHOWN_LINES else []
    listed = [f"  {line}" for line in lines[:_SHOWN_LINES]]
    consent = "It imports and runs code of that repository. " if any(map(_runs_code, setups)) else ""
    return "\n".join(
        [asked, "Their repository says it:", "", *listed, *more, "", f"{consent}Look through it, then:", f"  {command}"]
    )


_HEAD = (
    "# What the repository itself says of its models, each line with its source. Look through it: to run it is to let",
    "# the audit import and run what `python_path` and `env` name. To accept it:",
)


def _runs_code(setup: Setup) -> bool:
    return setup.runs_own_code


def _is_answerable(model: Candidate) -> bool:
    return bool(model.setups and model.algo) and not (model.env or model.open_questions or model.problem)


# --- Entries of `runs` -----------------------------------------------------------------------------------------------


def _entries(models: Sequence[Candidate], runs: Sequence[str | Run]) -> tuple[list[Entry], list[str]]:
    """Entries for models that are asked about, and lines for the user's own entries, as far as they still find any."""
    entries: list[Entry] = []
    lines: list[str] = []
    for run in runs:
        said: Run = {"folder": run} if isinstance(run, str) else run
        own = [model for model in models if model.group == said["folder"]]
        top = os.path.expanduser(said["folder"])
        entries += _split(said["folder"], top, own, said)
        unknown = [model for model in own if _kind(model) == _UNANSWERABLE]
        if not own or any(_kind(model) == _SETTLED for model in own):
            exclude = [*said.get("exclude", []), *(_pattern(os.path.relpath(one.path, top)) for one in unknown)]
            lines += _own_entry(said, exclude)
        lines += [f"  # left out, nothing says how it is run: {shown(model.path)}" for model in unknown]
    return entries, lines


_SETTLED, _UNANSWERABLE = "settled", "unanswerable"


def _kind(model: Candidate) -> str:
    """The same text for models that are run alike, as far as an entry has to say."""
    if _is_answerable(model):
        return "\n".join(setup.key for setup in model.setups)
    return _UNANSWERABLE if model.questions() else _SETTLED


def _split(folder: str, path: str, models: Sequence[Candidate], said: Run) -> Iterator[Entry]:
    """Entries for the folders in which all models are run alike, the outermost that can be.

    :param folder: as the user wrote it, then what follows it; ``path``, the folder to open
    """
    kinds = {_kind(model): model for model in models}
    if len(kinds) == 1:
        ((kind, model),) = kinds.items()
        if kind not in (_SETTLED, _UNANSWERABLE):
            yield Entry(folder, said.get("exclude", []), said, model.setups, len(models), model.repository)
        return
    below: dict[str, list[Candidate]] = {}
    for model in models:
        inner, slash, _ = os.path.relpath(model.path, path).partition("/")
        below.setdefault(inner if slash else "", []).append(model)
    direct = below.pop("", [])
    for inner, members in below.items():
        yield from _split(f"{folder}/{inner}", os.path.join(path, inner), members, said)
    for kind in dict.fromkeys(map(_kind, direct)):
        if kind in (_SETTLED, _UNANSWERABLE):
            continue
        alike = [model for model in direct if _kind(model) == kind]
        others = [_pattern(os.path.basename(model.path)) for model in direct if _kind(model) != kind]
        exclude = [*said.get("exclude", []), *others, *(f"{_pattern(inner)}/*" for inner in below)]
        yield Entry(folder, exclude, said, alike[0].setups, len(alike), alike[0].repository)


def _pattern(path: str) -> str:
    """A pattern that matches a path and nothing else."""
    return _MAGIC.sub(r"[\1]", path)


# --- Lines -----------------------------------------------------------------------------------------------------------


def _lines(entry: Entry, folders: Mapping[str, str], classes: Mapping[str, Definition]) -> list[str]:
    """The lines of an entry.

    :param folders: of Python modules that it alone needs, each with what lies there; ``classes``, likewise
    """
    lines = [f"  - folder: {_inline(entry.folder)}  # {entry.models} model{'s' if entry.models > 1 else ''}"]
    own = {key: value for key, value in entry.said.items() if key not in ("folder", "exclude")}
    lines += [f"    exclude: {_inline(list(entry.exclude))}"] if entry.exclude else []
    lines += [f"    {key}: {_inline(value)}" for key, value in own.items()]
    lines += [f"    python_path: {_inline([*folders])}  # {'; '.join(folders.values())}"] if folders else []
    lines += ["    classes:"] if classes else []
    lines += [f"      {name}: {one.module}.{one.name}  # {one.place}" for name, one in classes.items()]
    for number, setup in enumerate(entry.setups):
        aside = "# " if number else ""
        lines += ["    # or, as another part of the repository says:"] if number == 1 else []
        lines += [f"    {aside}{line.removeprefix(aside)}" for line in _setup_lines(setup, own)]
    return lines


def _setup_lines(setup: Setup, own: Collection[str]) -> Iterator[str]:
    sources = setup.said_where()
    yield f"env: {_inline(setup.env)}  # {sources['env']}"
    values = {
        "env_kwargs": dict(setup.env_kwargs),
        "wrappers": [{name: dict(kwargs)} if kwargs else name for name, kwargs in setup.wrappers],
        "monitor": setup.monitor if setup.monitor != "env" else None,
        "vec_wrappers": [{name: dict(kwargs)} if kwargs else name for name, kwargs in setup.vec_wrappers],
        "frame_stack": setup.frame_stack,
        "n_envs": setup.n_envs,
    }
    for key, value in values.items():
        if value and key not in own:
            yield f"{key}: {_inline(value)}  # {sources[key]}"
    for gap in setup.gaps:
        yield f"# not a plain value: {gap}"


def _own_entry(said: Run, exclude: Sequence[str]) -> list[str]:
    others = [f"    {key}: {_inline(value)}" for key, value in said.items() if key not in ("folder", "exclude")]
    without = [f"    exclude: {_inline(list(exclude))}"] if exclude else []
    return [f"  - folder: {_inline(said['folder'])}", *without, *others]


def _inline(value: Any) -> str:
    """A value as YAML in one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


# --- The owner's code ------------------------------------------------------------------------------------------------


def _folders(entry: Entry, results: str) -> dict[str, str]:
    """The folders of Python modules that models of an entry need, each with what lies there."""
    folders: dict[str, str] = {}
    for setup in entry.setups:
        for definition in (*setup.definitions, *(one for _, one in setup.classes)):
            if definition.text:
                said = f"{definition.name}, taken from {definition.place}"
                folders.setdefault(str(Path(results, _CODE)), said)
            for folder in definition.folders:
                path = os.path.normpath(os.path.join(entry.repository, folder))
                folders.setdefault(path, f"{definition.place}: {definition.name}")
    return folders


def _alike(folders: Sequence[Mapping[str, str]]) -> bool:
    """Whether all entries that need folders need the same: then no module of one is in the way of another's."""
    return len({tuple(own) for own in folders if own}) == 1


def _classes(entry: Entry) -> dict[str, Definition]:
    """What zips of an entry hold as code or name, and where the repository has it."""
    return {name: definition for setup in entry.setups for name, definition in setup.classes}


def _agreeing(classes: Sequence[Mapping[str, Definition]]) -> dict[str, Definition]:
    """Those classes that all entries which name them take from the same place."""
    every = [named for own in classes for named in own.items()]
    among = dict(every)
    return {name: one for name, one in among.items() if all(one == other for key, other in every if key == name)}


def _python_path(own: Sequence[str], folders: Mapping[str, str]) -> list[str]:
    """The lines of ``python_path``, each with what lies there."""
    lines = [f"  - {_inline(folder)}" for folder in own]
    lines += [f"  - {_inline(folder)}  # {where}" for folder, where in folders.items()]
    return ["python_path:", *lines] if lines else []


def _class_lines(found: Mapping[str, Definition], own: Mapping[str, str]) -> list[str]:
    """The lines of ``classes``: what models' zips hold as code or name, and where the repository has it."""
    lines = [f"  {_inline(name)}: {_inline(found_as)}" for name, found_as in own.items()]
    lines += [f"  {name}: {one.module}.{one.name}  # {one.place}" for name, one in found.items() if name not in own]
    return ["classes:", *lines] if lines else []


def _write_code(setups: Sequence[Setup], folder: Path) -> None:
    """Write the modules that were taken out of notebooks and of scripts that would train."""
    for definition in {one for setup in setups for one in (*setup.definitions, *(one for _, one in setup.classes))}:
        if definition.text:
            folder.mkdir(parents=True, exist_ok=True)
            Path(folder, f"{definition.module}.py").write_text(definition.text, encoding="utf-8")
