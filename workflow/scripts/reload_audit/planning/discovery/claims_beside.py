"""Tables of claims that lie among models, or above them in their repository, without being configured.

A row is a claim of the one model that its name, or its algorithm and environment, can mean. Where it can mean several,
or where tables say different things of one model, nothing is taken, and that is said.
"""

# Paths are texts here: there are many, and not all are Unicode.
# ruff: noqa: PTH118, PTH119, PTH120, PTH202, PTH208

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from reload_audit.planning.discovery import names, tables
from reload_audit.planning.discovery.above import files_outside, root_of
from reload_audit.planning.discovery.allowance import ALLOWANCE
from reload_audit.planning.discovery.candidate import Candidate
from reload_audit.planning.discovery.contents import PassedOver
from reload_audit.planning.discovery.tree import Folder
from reload_audit.reading import files, limits
from reload_audit.reading.refusal import Unreadable, shown
from reload_audit.records.specs import Claim

_HEADER_BYTES = 4096
_OTHERS = ("monitor.csv", "progress.csv")
"""How names of tables end that SB3 writes itself."""

_MOST_NAMED = 5


@dataclass(frozen=True)
class Beside:
    """Tables of claims, and the models that they may speak of.

    :param tables: their paths
    :param models: all in the folder, those that are not audited too
    :param top: the folder
    :param real: the folder without links
    """

    tables: Sequence[str]
    models: Sequence[Candidate]
    top: str
    real: str


def tables_beside(top: Folder, models: Sequence[Candidate], configured: Sequence[str]) -> Beside:
    """The tables of claims in and below a folder, and in those above it up to the root of its repository.

    They are known by their columns. Of very many files that may be tables none is looked into.

    :param configured: the real paths of tables that the user names
    """
    paths = [
        os.path.join(folder.path, name)
        for folder in top.walk()
        for name in sorted(folder.files)
        if _may_be(name) and folder.has(name)
    ]
    place, root = top.real, root_of(top.real)
    while place != root:
        place = os.path.dirname(place)
        paths += _tables_in(place)
    looked_into = paths if len(paths) <= limits.JOINED_FILES else []
    found = [path for path in looked_into if os.path.realpath(path) not in configured and _is_of_claims(path)]
    return Beside(found, models, top.path, top.real)


def give(besides: Sequence[Beside], named: Mapping[str, Candidate], schema: tables.RowSchema) -> Iterator[PassedOver]:
    """Give models the claims that tables beside them hold.

    :param besides: of each folder that models are looked for in
    :param named: the models that are audited, by their names
    :param schema: the JSON Schema of a row
    :return: what cannot be used of the tables
    """
    known = {model.real: model for model in named.values()}
    said: dict[str, list[Claim]] = {}
    for tables_of, beside in _together(besides):
        models = [known.get(model.real, model) for model in beside.models]
        for path, by_path_alone in tables_of.items():
            problems: list[str] = []
            subjects = _Subjects(path, beside.top, models, named, by_path_alone)
            meant_none = False
            for row in _rows(path, schema, problems):
                meant = subjects.of(row)
                meant_none = meant_none or not meant
                if len(meant) > 1:
                    _remark(row, meant)
                elif meant and row.claim is not None:
                    kind = "reported" if row.claim.kind == "explicit" else row.claim.kind
                    said.setdefault(meant[0].real, []).append(replace(row.claim, kind=kind))
            if problems:
                yield PassedOver(path, f"a table of claims with rows that cannot be used: {problems[0]}")
            if meant_none:
                yield PassedOver(path, "a table of claims with rows that are about no model here")
    for model in named.values():
        try:
            _take(model, said.get(model.real, []))
        except Exception as error:
            model.problem = model.failed(error).problem


def _together(besides: Sequence[Beside]) -> Iterator[tuple[dict[str, bool], Beside]]:
    """Folders of one repository together, with their tables, and whether a table's rows have to spell out paths.

    They have to in a table above the folders where other zips lie there: a name alone may mean one of these.
    """
    groups: dict[str, list[Beside]] = defaultdict(list)
    for one in besides:
        groups[root_of(one.real)].append(one)
    for root, group in groups.items():
        tables_of = {os.path.realpath(path): path for one in group for path in one.tables}
        if tables_of:
            models = {model.real: model for one in group for model in one.models}
            within = tuple(os.path.join(one.real, "") for one in group)
            others = [file.file for file in files_outside(root, group[0].real) if file.file.endswith(".zip")]
            unseen = any(os.path.realpath(file) not in models and not file.startswith(within) for file in others)
            by_path_alone = {path: unseen and not real.startswith(within) for real, path in tables_of.items()}
            yield by_path_alone, replace(group[0], models=[*models.values()])


def _rows(path: str, schema: tables.RowSchema, problems: list[str]) -> Sequence[tables.Row]:
    try:
        ALLOWANCE.take(path, os.path.getsize(path))
    except (OSError, Unreadable) as problem:
        problems.append(str(problem))
        return []
    return tables.read_claims(path, schema, problems)


def _remark(row: tables.Row, meant: Sequence[Candidate]) -> None:
    several = ", ".join(shown(model.path) for model in meant[:_MOST_NAMED])
    for model in meant:
        model.remarks.append(f"of which model {row.where} speaks cannot be told: {several} fit")


def _take(model: Candidate, claims: Sequence[Claim]) -> None:
    """Take what tables say of a model, if they agree."""
    different: dict[float, Claim] = {}
    for claim in sorted(claims, key=lambda claim: (claim.std is not None) + (claim.n is not None)):
        different[claim.mean] = claim  # of those that agree, the one that says most
    if len(different) == 1:
        model.claims = [*different.values(), *model.claims]
    elif different:
        said = ", ".join(f"{claim.mean:.6g} ({claim.where})" for claim in different.values())
        model.remarks.append(f"tables of claims say different things of it, so none is taken: {said}")


class _Subjects:
    """The models that rows of one table may be about: by a path in its folder, else by name or path, else by file.

    Names without a folder are of models in the table's folder or below.

    :param table: its path
    :param top: the folder with models
    :param audited: the models that are audited, by their names
    :param by_path_alone: whether a path in the table's folder is all that counts
    """

    def __init__(
        self,
        table: str,
        top: str,
        models: Sequence[Candidate],
        audited: Mapping[str, Candidate],
        by_path_alone: bool,
    ) -> None:
        here = os.path.dirname(_place(table))
        names_of: dict[str, set[str]] = defaultdict(set)
        for name, model in audited.items():
            names_of[model.real].add(name)
        self._levels: tuple[dict[str, list[Candidate]], ...] = (defaultdict(list), defaultdict(list), defaultdict(list))
        self._models: list[Candidate] = []
        for model in models:
            path = model.path.removesuffix(".zip")
            from_here = os.path.relpath(_place(path), here)
            by_path, by_name, by_file = {from_here}, set[str](), set[str]()
            if not by_path_alone:
                by_name, by_file = (
                    {*names_of[model.real], model.name, os.path.relpath(path, top)},
                    {os.path.basename(path)},
                )
                if from_here.startswith(os.pardir):
                    by_name, by_file = {name for name in by_name if os.sep in name}, set()
                self._models.append(model)
            for level, known_as in zip(self._levels, (by_path, by_name, by_file), strict=True):
                for key in known_as:
                    level[key].append(model)

    def of(self, row: tables.Row) -> Sequence[Candidate]:
        """The models that a row may be about."""
        if "name" not in row:
            return _of_algorithm(row, self._models)
        said = os.path.normpath(row["name"]).removesuffix(".zip")
        meant = next((level[said] for level in self._levels if said in level), [])
        return [model for model in meant if not _is_of_another(row, model)]


def _place(path: str) -> str:
    """The path of a file in its folder without links."""
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def _is_of_another(row: tables.Row, model: Candidate) -> bool:
    """Whether a row names another algorithm or environment than a model's."""
    algo, env = names.algorithm(row.get("algo", "")), row.get("env", "").rpartition(":")[2]
    return bool(algo and model.algo not in ("", algo)) or bool(env and model.env.rpartition(":")[2] not in ("", env))


def _of_algorithm(row: tables.Row, models: Sequence[Candidate]) -> Sequence[Candidate]:
    """The models that trainings of an algorithm ended with, in an environment or in one that is not known yet."""
    algo = names.algorithm(row["algo"])
    same = [model for model in models if model.role == "final" and model.algo == algo]
    return [model for model in same if model.env.rpartition(":")[2] in ("", row["env"].rpartition(":")[2])]


def _may_be(name: str) -> bool:
    return name.endswith((".csv", ".tsv")) and not name.endswith(_OTHERS)


def _tables_in(folder: str) -> list[str]:
    try:
        found = sorted(filter(_may_be, os.listdir(folder)))
    except OSError:
        return []
    return [os.path.join(folder, name) for name in found]


def _is_of_claims(path: str) -> bool:
    """Whether the columns of a table are those of claims."""
    try:
        header = files.first_bytes(path, _HEADER_BYTES).decode("utf-8-sig", "replace")
    except Unreadable:
        return False
    lines = [line for line in header.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    delimiter = "\t" if path.endswith(".tsv") else ","
    columns = {cell.strip().strip('"') for cell in lines[0].split(delimiter)} if lines else set()
    keyed = "name" in columns or ("algo" in columns and not columns.isdisjoint(("env", "env_id")))
    return "claim_mean" in columns and keyed and "model" not in columns
