"""Tables that users write: models to audit, and what models earned."""

# Paths are texts here: there are many, and not all are Unicode.
# ruff: noqa: PTH111, PTH116, PTH122

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any, TypedDict

import jsonschema

from reload_audit.planning.configuration import said_twice
from reload_audit.planning.discovery import contents, names, zips
from reload_audit.planning.discovery.candidate import SET_BY_USER, Candidate
from reload_audit.planning.schema_messages import closest, explain
from reload_audit.reading import files, limits
from reload_audit.reading.plain_values import plain_data
from reload_audit.reading.refusal import Unreadable, shown
from reload_audit.reading.yaml_text import parse_yaml
from reload_audit.records.specs import Claim

_DELIMITERS = {".tsv": "\t", ".csv": ","}
_CLAIM = ("claim_mean", "claim_std", "claim_n", "claim_kind")


class ColumnSchema(TypedDict, total=False):
    """What the JSON Schema of a table's row says of one column."""

    type: str


class RowSchema(TypedDict):
    """The JSON Schema of a table's row: ``models.schema.yaml`` or ``claims.schema.yaml``."""

    properties: dict[str, ColumnSchema]


class Row(dict[str, Any]):
    """A table's row: a value for each cell that is not empty, checked against the table's JSON Schema.

    :param where: file and line, for messages
    """

    def __init__(self, where: str, cells: Mapping[str, Any]) -> None:
        super().__init__(cells)
        self.where = where

    @property
    def claim(self) -> Claim | None:
        """What the row says the model earned."""
        if "claim_mean" not in self:
            return None
        return Claim(
            kind=self.get("claim_kind", "explicit"),
            mean=float(self["claim_mean"]),
            std=None if "claim_std" not in self else float(self["claim_std"]),
            n=self.get("claim_n"),
            where=self.where,
        )


def read_models(path: str, schema: RowSchema, problems: list[str]) -> list[Row]:
    """The valid rows of a table of models; what is wrong with the others is added to ``problems``."""
    rows = _read(path, schema, problems, needed=("name", "algo", "env", "model"))
    return [row for row in rows if _has_claim(row, problems)]


def read_claims(path: str, schema: RowSchema, problems: list[str]) -> list[Row]:
    """The valid rows of a table of claims; what is wrong with the others is added to ``problems``."""
    rows = _read(path, schema, problems, needed=("claim_mean",))
    return [row for row in rows if _has_key(row, problems)]


def from_row(row: Row, table: str, path: str, real: str) -> Candidate:
    """A model that only a table knows of, without what the row says of it.

    :param path: of its zip
    :param real: the same without any link
    """
    return Candidate(
        path=path,
        real=real,
        name=row["name"],
        source="table",
        role="final",
        run=row.where,
        group=table,
    )


def take_row(candidate: Candidate, row: Row) -> Candidate:
    """Overwrite what discovery found out about a model with what the row says; the rest stays."""
    candidate.take_from_user({key: row[key] for key in row if key in SET_BY_USER})
    candidate.name = row["name"]
    candidate.claim = row.claim or candidate.claim
    if "vecnormalize" in row:
        candidate.statistics = os.path.normpath(os.path.expanduser(row["vecnormalize"]))
        candidate.answer(["vecnormalize"])
    if {"algo", "env"} <= row.keys():  # then no file is needed to know how the model is run
        candidate.problem = _problem_of_model(candidate)
    if "vecnormalize" in row and not candidate.problem:
        candidate.problem = _problem_of_file(row["vecnormalize"], candidate.statistics or "")
    return candidate


def model_path(row: Row) -> str:
    """The zip's path; SB3 lets one leave out ``.zip``."""
    path = os.path.normpath(os.path.expanduser(row["model"]))
    return path if os.path.lexists(path) or not os.path.lexists(f"{path}.zip") else f"{path}.zip"


def _problem_of_model(candidate: Candidate) -> str | None:
    """Why a zip is no model; what it says of its training is noted."""
    path = candidate.path
    try:
        data = zips.settings(path)
        if data is None:
            return f"{shown(path)}: {zips.NOT_A_MODEL} {contents.of_zip(path)}"
        candidate.trained = zips.trained(data)
        other = zips.other_library(data)
        return f"{shown(path)}: {zips.NOT_A_MODEL} a model of {other}" if other else None
    except Unreadable as error:
        return str(error)


def _problem_of_file(written: str, path: str) -> str | None:
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        return f"{shown(written)}: expected a file of statistics, found {getattr(error, 'strerror', error)}"
    kind = files.kind_of(mode)
    return None if kind == "a file" else f"{shown(written)}: expected a file of statistics, found {kind}"


def _has_claim(row: Row, problems: list[str]) -> bool:
    orphans = [key for key in _CLAIM if key in row]
    if orphans and "claim_mean" not in row:
        problems.append(f"{row.where}: {' and '.join(orphans)} without claim_mean; give the mean too, or neither")
        return False
    return True


def _has_key(row: Row, problems: list[str]) -> bool:
    if "env" in row and "env_id" in row:
        problems.append(f"{row.where}: expected env or env_id, found both")
        return False
    if "env_id" in row:
        row["env"] = row["env_id"]
    if "name" in row or {"algo", "env"} <= row.keys():
        return True
    given = ", ".join(row) or "nothing"
    problems.append(f"{row.where}: expected name, or algo and env, to say what earned this; found only {given}")
    return False


def _read(path: str, schema: RowSchema, problems: list[str], needed: tuple[str, ...]) -> list[Row]:
    delimiter = _DELIMITERS.get(os.path.splitext(path)[1].lower())
    if delimiter is None:
        problems.append(f"{shown(path)}: expected a table that ends in .tsv or .csv")
        return []
    try:
        text = files.read_bytes(os.path.expanduser(path), limits.TABLE_BYTES).decode("utf-8-sig")
    except Unreadable as error:
        problems.append(str(error))
        return []
    except UnicodeDecodeError as error:
        problems.append(f"{shown(path)}: is not UTF-8 text: {error.reason} at byte {error.start}")
        return []
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        problems.append(f"{shown(path)}, line {line}: expected text in UTF-8, found a NUL character; save it as UTF-8")
        return []
    lines = _lines(path, text, delimiter, problems)
    header = next(lines, None)
    if header is None:
        problems.append(f"{shown(path)}: expected a header and rows, found nothing; the columns are {_listed(schema)}")
        return []
    columns = header[1]
    complaints = _about_columns(columns, schema, needed)
    if complaints:
        problems.extend(f"{header[0]}: {complaint}" for complaint in complaints)
        return []
    validator = jsonschema.Draft202012Validator(schema)
    return [row for where, cells in lines if (row := _row(where, columns, cells, validator, problems)) is not None]


def _lines(path: str, text: str, delimiter: str, problems: list[str]) -> Iterator[tuple[str, list[str]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.rstrip("\r")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        where = f"{shown(path)}, line {number}"
        try:
            cells = next(csv.reader([line], delimiter=delimiter, strict=True))
        except csv.Error as error:
            problems.append(f"{where}: cannot be split into cells: {error}")
            continue
        if any(cell.strip() for cell in cells):
            yield where, [cell.strip() for cell in cells]


def _about_columns(columns: list[str], schema: RowSchema, needed: tuple[str, ...]) -> list[str]:
    known = list(schema["properties"])
    twice = [column for column in dict.fromkeys(columns) if columns.count(column) > 1]
    guesses = {column: closest(column, known) for column in columns if column not in known}
    guessed_first = sorted(guesses.items(), key=lambda pair: not pair[1])
    found = [f"unknown column {column!r}{guess}" for column, guess in guessed_first]
    missing = [column for column in needed if column not in columns and (column != "env" or "vec_env" not in columns)]
    if missing:
        found.append(f"missing column {', '.join(map(repr, missing))}")
    if missing or not all(guesses.values()):
        found[-1] += f"; the columns are {_listed(schema)}"
    return found + [f"column {column!r} appears more than once" for column in twice]


def _listed(schema: RowSchema) -> str:
    return ", ".join(schema["properties"])


def _row(
    where: str, columns: list[str], cells: list[str], validator: jsonschema.Draft202012Validator, problems: list[str]
) -> Row | None:
    if len(cells) > len(columns):
        problems.append(f"{where}: expected {len(columns)} cells, found {len(cells)}")
        return None
    properties = validator.schema["properties"]
    values = {column: _value(cell, properties[column]) for column, cell in zip(columns, cells, strict=False) if cell}
    complaints = sorted(explain(error) for error in validator.iter_errors(values))
    problems.extend(f"{where}: {complaint}" for complaint in complaints)
    twice = [] if complaints else said_twice(where, values)
    problems.extend(twice)
    return None if complaints or twice else Row(where, values)


def _value(cell: str, schema: ColumnSchema) -> Any:
    """A cell converted to the type of its column; the text itself where that is impossible."""
    match schema.get("type"):
        case "integer" | "number" as kind:
            try:
                number = float(cell)
            except ValueError:
                return cell
            if not math.isfinite(number):
                return cell
            return int(number) if kind == "integer" and number.is_integer() else number
        case "boolean":
            return {"true": True, "false": False}.get(cell.lower(), cell)
        case "object" | "array":
            try:
                return plain_data(parse_yaml(cell))
            except ValueError:
                return cell
    return cell


def key_of(row: Row) -> tuple[str, ...]:
    """What a row of a table of claims is about: a model by its name, or an algorithm and an environment."""
    if "name" in row:
        return ("name", row["name"])
    return ("algo and env", names.algorithm(row["algo"]) or row["algo"].lower(), row["env"])
