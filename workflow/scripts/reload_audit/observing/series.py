"""Models that lie beside the one that a script loads, and that it may have meant."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath

from reload_audit.planning.discovery.zips import settings, trained
from reload_audit.reading.refusal import Unreadable
from reload_audit.records.observation import Line
from reload_audit.records.specs import ScriptSpec

_LAST_NUMBER = re.compile(r"\d+(?=\D*$)")
_MOST_FILES = 10_000
_MOST_BYTES = 2**20
_DIGITS_OF_A_NAME = 3
_SAYING = (".py", ".yaml", ".yml", ".json", ".toml", ".ini", ".cfg")
"""Endings of files beside a script that may say which model it loads."""


def later_of_its_series(script: ScriptSpec, line: Line, path: Path) -> Mapping[Path, str]:
    """The last checkpoint of a series, where the script loads another one, and does not name it.

    They are of one series where their names differ in the last number alone, and the later one was trained for more
    steps.

    :param line: that loads it
    :param path: of the zip that it loads
    :return: why, in words, by the path of the later one; nothing where there is none
    """
    if _is_named(script, line, path):
        return {}
    pattern = _LAST_NUMBER.sub("#", path.stem)
    alike = [file for file in _zips(path.parent) if _LAST_NUMBER.sub("#", file.stem) == pattern]
    last = max(alike, key=lambda file: [*map(int, _LAST_NUMBER.findall(file.stem))], default=path)
    steps, more = _steps(path), _steps(last)
    if steps is None or more is None or more <= steps:
        return {}
    return {
        last: f"{path.name} was trained for {steps:,} steps; of the same series {last.name} lies beside it, with "
        f"{more:,}"
    }


def _is_named(script: ScriptSpec, line: Line, path: Path) -> bool:
    """Whether a file is named by a script, its arguments or environment variables: it is meant then.

    So it is by what lies beside the script, settings and modules, but for those that train. A checkpoint's number is
    a name, too, where it is an argument of three digits or more.
    """
    words = {path.name, path.stem}
    numbers = {number for number in _LAST_NUMBER.findall(path.stem) if len(number) >= _DIGITS_OF_A_NAME}
    given = [PurePath(word.rpartition("=")[2]).name for word in (*script.args, *script.env.values())]
    if path.stem in line.code or words.intersection(given) or numbers.intersection(given[: len(script.args)]):
        return True
    in_quotes = re.compile(
        rf"""[/\\"'}}]{re.escape(path.stem)}(\.zip)?\\?["']|[:=] *(\S*/)?{re.escape(path.stem)}(\.zip)?\s"""
    )
    return any(in_quotes.search(text) for text in _texts(Path(script.script)))


def _texts(script: Path) -> Iterator[str]:
    """The texts of a script and of what lies beside it and may say which file it loads."""
    beside = (file for _, file in zip(range(_MOST_FILES), script.parent.iterdir(), strict=False))
    for file in (script, *(one for one in beside if one.suffix in _SAYING and one != script)):
        with contextlib.suppress(OSError):
            if file.stat().st_size <= _MOST_BYTES:
                text = file.read_text(encoding="utf-8", errors="replace")
                if file == script or ".learn(" not in text:
                    yield text


def best_of_its_training(script: ScriptSpec, line: Line, path: Path) -> Mapping[Path, str]:
    """The best model that an EvalCallback kept of the same training, in the folder of another one or a folder in it.

    :param line: that loads the other one; where the script names that itself, the words say that it may mean it
    """
    if path.stem == _KEPT:
        return {}
    began = _began(path)
    meant = f"; {path.name} is named, and may be meant" if _is_named(script, line, path) else ""
    kept = [path.with_name(f"{_KEPT}.zip"), *sorted(path.parent.glob(f"*/{_KEPT}.zip"))]
    return {
        file: f"of the training that {path.name} is of, {file.relative_to(path.parent)} lies beside it, which did best "
        f"in its evaluations{meant}"
        for file in kept
        if began is not None and file.is_file() and _began(file) == began
    }


_KEPT = "best_model"
"""What SB3's EvalCallback calls it."""


def _zips(folder: Path) -> Iterator[Path]:
    yield from (file for _, file in zip(range(_MOST_FILES), folder.glob("*.zip"), strict=False))


def _steps(path: Path) -> int | None:
    try:
        return trained(settings(str(path)) or {}).steps
    except Unreadable:
        return None


def _began(path: Path) -> float | None:
    """When the training of a model began; None where its zip does not say it."""
    try:
        return trained(settings(str(path)) or {}).started
    except Unreadable:
        return None
