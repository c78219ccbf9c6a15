"""What a repository says that its models earn: outputs of notebooks, files of results, sentences, tables, names."""

from __future__ import annotations

import csv
import math
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from reload_audit.reading import limits
from reload_audit.reading.plain_values import mapping
from reload_audit.repository.scripts import Script
from reload_audit.repository.stated import Evaluation
from reload_audit.repository.values import Value

_NUMBER = r"[-+]?\d[\d,]*(?:\.\d+)?"
_PAIR = re.compile(rf"(?P<mean>{_NUMBER})\s*(?:\+/-|\+-|±)\s*(?P<std>\d[\d,]*(?:\.\d+)?)")
_OF_MEAN = r"(?:mean|average|avg\.?|final|evaluation|eval)"
_OF_REWARD = r"(?:rewards?|returns?|scores?)"
_SAID = re.compile(
    rf"\b{_OF_MEAN}[\w \t*`]{{0,30}}?{_OF_REWARD}\b[^\d\n|+-]{{0,40}}(?P<mean>{_NUMBER})"
    rf"(?:\s*(?:\+/-|\+-|±)\s*(?P<std>\d[\d,]*(?:\.\d+)?))?"
    rf"(?:[^\n\d]{{0,40}}\b(?:over|across)\s+(?P<n>\d{{1,6}})\s+\w*\s?episodes)?",
    re.IGNORECASE,
)
_ANOTHER = re.compile(
    r"\b(?:random|before|untrained|threshold|solved|requires?|target|baseline|human|goal)\b", re.IGNORECASE
)
"""Words of sentences about another policy, or about what is aimed at."""

_MEAN_KEY = re.compile(
    r"^(?:(?:eval|test)_?)?(?:mean|avg|average)_?(?:eval_?|episode_?|ep_?)?(?:reward|return|score)s?$"
    r"|^(?:reward|return|score)s?_(?:mean|avg|average)$"
)
_STD_KEY = re.compile(r"^(?:\w+_)?std(?:_\w+)?$|^(?:reward|return|score)s?_std$")
_N_KEY = re.compile(r"^(?:n_eval_episodes|n_episodes|num_episodes|episodes|eval_episodes)$")
_OF_NAME = re.compile(r"[-_ ]?(?P<mean>-?\d+(?:\.\d+)?)_?(?:mean_?)?reward(?![a-z])", re.IGNORECASE)

_GENERIC = {
    "model",
    "bestmodel",
    "finalmodel",
    "agent",
    "policy",
    "best",
    "final",
    "last",
    "checkpoint",
    "trainedmodel",
}
"""Names of files that say nothing of a model."""

_ALGORITHMS = {
    *("a2c", "ars", "crossq", "ddpg", "dqn", "maskableppo", "ppo"),
    *("qrdqn", "recurrentppo", "sac", "td3", "tqc", "trpo"),
}

Kind = Literal["reported", "stated"]


@dataclass(frozen=True)
class Reward:
    """A mean reward that somebody says a model earns.

    :param kind: ``reported`` by an evaluation of this model, in a notebook's output or a file of results; ``stated`` in
        a text, or in the file's name, without how it was measured
    :param std: of the episodes; None where it is not said, as ``n``
    :param where: file and line or cell
    """

    kind: Kind
    mean: float
    std: float | None
    n: int | None
    where: str


@dataclass(frozen=True)
class Subject:
    """The model that is spoken of.

    :param path: its file, relative to the repository's folder
    :param alone: whether it is the only model that training ended with
    :param algo: its algorithm, if it is the only one of it; else empty
    :param among: path and algorithm of each model that training ended with, this one too
    """

    path: str
    alone: bool
    algo: str
    among: Sequence[tuple[str, str]] = ()

    @cached_property
    def name(self) -> str:
        """Letters of what it is called: its file, or the folder of a file that is called like any other."""
        parts = [_letters(part) for part in posixpath.splitext(self.path)[0].split("/")]
        return next((part for part in reversed(parts) if part not in _GENERIC), parts[-1])

    def is_meant(self, text: str, *, by_algorithm: bool = False) -> bool:
        """Whether a text is about it."""
        if self.alone or (len(self.name) >= 4 and self._whole_name.search(_letters(text))):
            return True
        return bool(by_algorithm and self.algo and re.search(rf"\b{self.algo}\b", text, re.IGNORECASE))

    @cached_property
    def _whole_name(self) -> re.Pattern[str]:
        word = rf"(?<![0-9]){self.name}" if self.name[:1].isdecimal() else self.name
        return re.compile(f"{word}(?![0-9])" if self.name[-1:].isdecimal() else word)  # trial 1 is not trial 10

    def rows(self, rows: Sequence[Sequence[str]]) -> list[int]:
        """Which rows of a table are about it and about no other model, by the cells that say something of models.

        A column says something of models where one of its cells is in a model's path, or names an algorithm.
        """
        if len(rows) > limits.TABLE_ROWS or len(self.among) > limits.TABLE_MODELS:
            return []  # the curve of a training, or too many models to be told apart by words
        letters = [[_letters(cell) for cell in row] for row in rows]
        models = {path: (_letters(posixpath.splitext(path)[0]), _letters(algo)) for path, algo in self.among}
        telling = {
            column
            for row in letters
            for column, cell in enumerate(row)
            if cell in _ALGORITHMS or any(_is_part(cell, *model) for model in models.values())
        }
        found = []
        for number, row in enumerate(letters):
            cells = [cell for column, cell in enumerate(row) if column in telling]
            fitting = [path for path, one in models.items() if cells and all(_is_part(cell, *one) for cell in cells)]
            found += [number] if fitting == [self.path] else []
        return found


def in_outputs(script: Script, evaluations: Sequence[Evaluation]) -> Iterator[Reward]:
    """What cells of a notebook printed that evaluate a model; nothing where one printed several rewards."""
    for evaluation in evaluations:
        cell = next((cell for cell in script.cells if cell.number == evaluation.place.cell), None)
        printed = "\n".join(cell.outputs)[: limits.FILE_BYTES] if cell is not None and script.is_notebook else ""
        found = {(one["mean"], one["std"]) for one in _PAIR.finditer(printed)}
        if len(found) == 1:
            ((mean, std),) = found
            yield Reward("reported", _number(mean), _number(std), evaluation.episodes, str(evaluation.place))


def in_results(path: str, content: Value, subject: Subject) -> Iterator[Reward]:
    """What a file of results says of a model, as JSON: under its name, or in a file of its name."""
    for words, entry in _entries(content, posixpath.splitext(path)[0], 0):
        reward = _reward(entry, path)
        if reward is not None and subject.is_meant(words, by_algorithm=True):
            yield reward


def in_table(path: str, text: str, subject: Subject) -> Iterator[Reward]:
    """What a table of comma-separated values says of a model, in a row with its name."""
    rows = _rows(text)
    about = subject.rows([cells for _, cells in rows[: limits.SCRIPT_ITEMS]])
    for number, (row, cells) in enumerate(rows):
        words = " ".join(cells)
        is_about = number in about if about else subject.is_meant(words if len(rows) > 1 else f"{path} {words}")
        reward = _reward(row, f"{path}:{number + 2}") if is_about else None
        if reward is not None:
            yield reward


@lru_cache(maxsize=8)
def _rows(text: str) -> Sequence[tuple[Mapping[str, object], Sequence[str]]]:
    """The rows of a table of comma-separated values, each with its cells; every model of a repository asks for them."""
    try:
        rows = list(csv.DictReader(text.splitlines()[: limits.YAML_VALUES]))
    except csv.Error:
        return []
    return [(row, [str(cell) for cell in row.values()]) for row in rows]


def in_text(path: str, text: str, subject: Subject) -> list[Reward]:
    """What sentences and tables of a text say of a model; nothing where they say several things."""
    found, header = [], list[str]()
    about = {line: is_about for table in _tables(text) for line, is_about in _rows_about(table, subject).items()}
    for number, line in enumerate(text[: limits.FILE_BYTES].splitlines(), start=1):
        cells = [cell.strip(" *`") for cell in line.strip().strip("|").split("|")] if "|" in line else []
        if cells and not header:
            header = cells
        elif not cells:
            header = []
        is_meant = about[number] if number in about else subject.is_meant(line, by_algorithm=True)
        for one in [*_SAID.finditer(line[: limits.PLAIN_CHARACTERS]), *_in_cells(header, cells)]:
            if is_meant and not _ANOTHER.search(line):
                mean, std, n = (one.groupdict().get(key) for key in ("mean", "std", "n"))
                std_said = None if std is None else _number(std)
                episodes = int(n) if n else None
                found.append(Reward("stated", _number(mean or ""), std_said, episodes, f"{path}:{number}"))
    return found[:1] if len({reward.mean for reward in found}) == 1 else []


def _tables(text: str) -> Iterator[dict[int, list[str]]]:
    """Tables of a text: for the number of each line its cells."""
    table: dict[int, list[str]] = {}
    for number, line in enumerate([*text[: limits.FILE_BYTES].splitlines()[: limits.SCRIPT_ITEMS], ""], start=1):
        if "|" in line:
            table[number] = [cell.strip(" *`") for cell in line.strip().strip("|").split("|")]
        elif table:
            yield table
            table = {}


def _rows_about(table: Mapping[int, Sequence[str]], subject: Subject) -> dict[int, bool]:
    """For each line of a table whether it is about a model; nothing where its cells do not tell models apart."""
    numbers = list(table)
    about = subject.rows(list(table.values()))
    return {number: row in about for row, number in enumerate(numbers)} if about else {}


def in_name(path: str) -> Iterator[Reward]:
    """What the name of a model's file says: ``ppo--224reward.zip``."""
    found = _OF_NAME.search(posixpath.basename(path))
    if found:
        yield Reward("stated", _number(found["mean"]), None, None, f"its name, {posixpath.basename(path)}")


def _in_cells(header: Sequence[str], cells: Sequence[str]) -> list[re.Match[str]]:
    """The rewards in a row of a table."""
    if cells == header or len(cells) != len(header):
        return []
    columns = [index for index, name in enumerate(header) if re.search(rf"\b{_OF_REWARD}\b", name, re.IGNORECASE)]
    whole = re.compile(rf"(?P<mean>{_NUMBER})(?:\s*(?:\+/-|\+-|±)\s*(?P<std>\d[\d,]*(?:\.\d+)?))?")
    found = [whole.fullmatch(cells[index].replace("**", "")) for index in columns]
    return [one for one in found if one is not None]


def _entries(content: Value, words: str, depth: int) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Mappings in a value, each with the names that lead to it and the texts in it."""
    if isinstance(content, dict):
        entry = mapping(content)
        texts = [value for value in entry.values() if isinstance(value, str) and len(value) <= limits.LONGEST_NAME]
        yield " ".join([words, *texts]), entry
        for key, value in entry.items():
            if depth < 3:
                yield from _entries(value, f"{words} {key}", depth + 1)
    elif isinstance(content, list) and depth < 3:
        for value in content[: limits.SCRIPT_ITEMS]:
            yield from _entries(value, words, depth + 1)


def _reward(entry: Mapping[str, object], where: str) -> Reward | None:
    """The mean reward in a mapping or a row."""
    named = {re.sub(r"\W+", "_", str(key).strip().lower()): value for key, value in entry.items()}
    mean = next((_value(value) for key, value in named.items() if _MEAN_KEY.match(key)), None)
    if mean is None:
        of_study = _value(named.get("value")) if {"value", "params"} <= named.keys() else None
        return None if of_study is None else Reward("stated", of_study, None, None, f"{where}, of a study")
    std = next((_value(value) for key, value in named.items() if _STD_KEY.match(key)), None)
    n = next((_value(value) for key, value in named.items() if _N_KEY.match(key)), None)
    return Reward("reported", mean, std if std is None or std >= 0 else None, int(n) if n and n >= 1 else None, where)


def _value(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and abs(number) < limits.LARGEST_REWARD else None


def _number(text: str) -> float:
    return float(text.replace(",", "")[: limits.YAML_NUMBER])


def _is_part(cell: str, path: str, algo: str) -> bool:
    """Whether a cell of a table says something of a model: its algorithm, or a part of its path; all of letters."""
    return bool(re.search("[a-z]", cell)) and (cell == algo or (len(cell) > 2 and cell in path))


@lru_cache(maxsize=4096)
def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
