"""Find external models, and what is known about them, without executing anything that lies there.

Runs whenever the workflow is planned, on a cluster once a job: only the standard library, a YAML reader and a JSON
Schema validator are imported.
"""

# Paths are texts here: there are many, and not all are Unicode.
# ruff: noqa: PTH114, PTH111, PTH112, PTH113, PTH118, PTH120

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial

from reload_audit.planning.configuration import ConfigError
from reload_audit.planning.discovery import (
    advice,
    claims_beside,
    copies,
    entries,
    from_scripts,
    joining,
    layouts,
    names,
    settling,
    tables,
    tree,
)
from reload_audit.planning.discovery.allowance import ALLOWANCE
from reload_audit.planning.discovery.candidate import Candidate
from reload_audit.planning.discovery.claims_beside import Beside
from reload_audit.planning.discovery.contents import PassedOver, counted
from reload_audit.planning.resolved import Configuration, Run
from reload_audit.planning.schema_messages import closest
from reload_audit.planning.training_specs import names_of_trained_models
from reload_audit.reading.refusal import shown
from reload_audit.records.guesses import Guess, Tried
from reload_audit.records.specs import ExternalSpec

LOOKED_FOR = (
    "RL Zoo's <env>/args.yml and <env>.zip, Hugging Face repositories, recordings with manifest.json and model.zip, "
    "and any other file that Stable-Baselines3 saved a model in, whatever its name ends in; "
    "hidden folders and links to folders are left out"
)


@dataclasses.dataclass(frozen=True)
class Discovery:
    """What a configuration leads to besides what this workflow trains.

    :param models: sorted by name
    :param passed_over: what lies in the folders that a user may have meant as a model, though it is none: for each kind
        how many there are, and which
    """

    models: list[ExternalSpec]
    passed_over: list[str]


class Unanswered(ConfigError):
    """What must be known of models is said by none of their files, or only by code that the user has to consent to.

    :param models: all that were found, those of which nothing is open too
    """

    def __init__(self, message: str, models: list[Candidate]) -> None:
        super().__init__(message)
        self.models = models


def _unknown(guesses: Sequence[Guess]) -> list[Tried]:
    """The answer where no guess can be tried: each may be right."""
    return [Tried((guess.env,) if guess.env else (), known=True) for guess in guesses]


def find_models(
    config: Configuration,
    models_schema: tables.RowSchema,
    claims_schema: tables.RowSchema,
    results: str | None = None,
    recognise: settling.Recognise = _unknown,
) -> Discovery:
    """All models that a configuration leads to and this workflow does not train.

    :param models_schema: the JSON Schema of a row of a table of models
    :param claims_schema: the JSON Schema of a row of a table of claims
    :param results: the audit's own folder of results, which is skipped where a folder above it is searched
    :param recognise: tries guesses of environments
    :raises Unanswered: what must be known of a model is nowhere said
    :raises ConfigError: a folder or table cannot be used
    """
    ALLOWANCE.begin()
    problems: list[str] = []
    trained = names_of_trained_models(config)
    passed_over: list[PassedOver] = []
    beside: list[Beside] = []
    in_runs = _in_runs(config, results, problems, passed_over, beside)
    rows = _in_tables(config["models"], models_schema, trained, problems)
    named = _named(_laid_over(rows, in_runs), trained)
    claims = [row for path in _paths(config["claims"]) for row in tables.read_claims(path, claims_schema, problems)]
    _claim(claims, named, problems)
    for candidate in named.values():
        try:
            candidate.correct_algorithm()
        except Exception as error:
            candidate.problem = candidate.failed(error).problem
    settling.settle(list(named.values()), recognise)
    passed_over += claims_beside.give(beside, named, claims_schema)
    asked = {name: _questions(candidate) for name, candidate in sorted(named.items())}
    if any(asked.values()):
        said = "\n".join([*problems, *_open_questions(named, asked)])
        raise Unanswered(said, [] if problems else list(named.values()))
    if problems:
        raise ConfigError("\n".join(problems))
    models = [_spec(named[name], name, config["python_path"]) for name in sorted(named)]
    distinct = {other.path: other for other in passed_over}
    return Discovery(models, counted([distinct[path] for path in sorted(distinct)]))


def _spec(candidate: Candidate, name: str, python_path: Sequence[str]) -> ExternalSpec:
    try:
        return candidate.spec(name, python_path)
    except Exception as error:
        return candidate.failed(error).spec(name, python_path)


def batches(models: Iterable[str], size: int) -> dict[str, list[str]]:
    """Which models are audited by one job. When a model comes or goes, no batch changes but its own.

    :param models: their names
    :param size: models in a batch at most
    :return: for each batch's name those of its models, in their order
    """
    return split_by_name(models, lambda members: len(members) <= size)


def split_by_name(
    models: Iterable[str], fits: Callable[[Sequence[str]], bool], name: str = "batch"
) -> dict[str, list[str]]:
    """Split models into batches, by digests of their names.

    A batch that is too large is split by the next bit of the digests, which then is part of its name.

    :param models: their names
    :param fits: whether models may be one batch; a single one always may
    :param name: of the batch that all would be
    :return: for each batch's name those of its models, in their order
    """
    waiting = [("", [(_bits(model), model) for model in sorted(models)])]
    found: dict[str, list[str]] = {}
    while waiting:
        prefix, members = waiting.pop()
        if len(members) > 1 and not fits([model for _, model in members]):
            waiting += [(prefix + bit, [member for member in members if member[0][len(prefix)] == bit]) for bit in "01"]
        elif members:
            found[f"{name}-{prefix}" if prefix else name] = [model for _, model in members]
    return dict(sorted(found.items()))


def usual_size(models: int) -> int:
    """Models in a batch, by default: some fifty jobs for a thousand models, and no job of hours for ten thousand.

    A job takes as long to start as five small models take, on a cluster longer. Even few models are spread over jobs.
    """
    return min(max(4, min(models // 3, 10), models // 8), 32)


def _bits(name: str) -> str:
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return f"{int.from_bytes(digest, 'big'):0256b}"


# --- Where models come from ----------------------------------------------------------------------------------------


def _paths(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _in_runs(
    config: Configuration,
    results: str | None,
    problems: list[str],
    passed_over: list[PassedOver],
    beside: list[Beside],
) -> dict[str, tuple[str, Candidate]]:
    """For the real path of each zip the name of its root, and the model; the first entry that finds a zip has it."""
    in_runs: dict[str, tuple[str, Candidate]] = {}
    configured = [os.path.realpath(os.path.expanduser(path)) for path in _paths(config["claims"])]
    for index, run in enumerate(config["runs"]):
        entry: Run = {"folder": run} if isinstance(run, str) else run
        where = f"runs[{index}]{'' if isinstance(run, str) else '.folder'}"
        folder = os.path.expanduser(entry["folder"])
        one = os.path.normpath(folder) if os.path.isfile(folder) else ""
        if not os.path.isdir(folder) and not one:
            problems.append(
                f"{where}: expected a folder with models, or a model, found nothing there: {shown(entry['folder'])}"
            )
            continue
        top = tree.read_tree(os.path.dirname(one) or "." if one else folder, entry.get("exclude", []), results, one)
        title = tree.title(top)
        found = list(layouts.models_in(top, title))
        models = [candidate for candidate in found if isinstance(candidate, Candidate)]
        others = [other for other in found if isinstance(other, PassedOver) and one in ("", other.path)]
        passed_over += others
        for tell in (
            partial(from_scripts.take_settings, top, config["trust"]),
            partial(joining.join, top),
            copies.remark,
        ):
            models = _told(models, tell)
        beside.append(claims_beside.tables_beside(top, models, configured))
        if one:
            models = [candidate for candidate in models if candidate.path == one]
        if not models:
            instead = f"; passed over: {'; '.join(counted(others))}" if others else ""
            looked_for = "a file that Stable-Baselines3 saved a model in" if one else LOOKED_FOR
            problems.append(f"{where}: found no model in {shown(entry['folder'])}; looked for {looked_for}{instead}")
        # A link to a model is the model itself, under another name.
        for candidate in sorted(models, key=lambda candidate: os.path.islink(candidate.path)):
            candidate.group = entry["folder"]
            try:
                told = entries.tell(candidate, entry, where.removesuffix(".folder"))
            except Exception as error:
                told = candidate.failed(error)
            in_runs.setdefault(candidate.real, (title, told))
    return in_runs


def _told(models: list[Candidate], tell: Callable[[Sequence[Candidate]], None]) -> list[Candidate]:
    """Tell all models at once what other places know of them; if that raises an unforeseen error, one by one."""
    try:
        tell(models)
    except Exception as error:
        if len(models) > 1:
            return [told for model in models for told in _told([model], tell)]
        return [model.failed(error) for model in models]
    return models


def _in_tables(
    paths: str | list[str], schema: tables.RowSchema, trained: Collection[str], problems: list[str]
) -> list[tuple[str, tables.Row]]:
    rows = [(path, row) for path in _paths(paths) for row in tables.read_models(path, schema, problems)]
    taken = {name.lower(): "a model that is trained here" for name in trained}
    for _, row in rows:
        other = taken.setdefault(row["name"].lower(), row.where)
        if other != row.where:
            problems.append(f"{row.where}: name: {row['name']!r} is already the name of {other}; expected another")
    return rows


def _laid_over(
    rows: list[tuple[str, tables.Row]], in_runs: Mapping[str, tuple[str, Candidate]]
) -> list[tuple[str | None, Candidate]]:
    """Models of tables, then those that only folders have, each with the name of its root if its name may change."""
    models: list[tuple[str | None, Candidate]] = []
    in_tables: set[str] = set()
    for table, row in rows:
        path = tables.model_path(row)
        folder, name = os.path.split(path)
        place = os.path.join(os.path.realpath(folder), name)
        real = os.path.realpath(path) if os.path.islink(path) or name in ("", ".", "..") else place
        in_tables.update((real, place))
        known = next((in_runs[found][1] for found in (real, place) if found in in_runs), None)
        candidate = tables.from_row(row, table, path, real) if known is None else dataclasses.replace(known)
        try:
            candidate = tables.take_row(candidate, row)
        except Exception as error:
            candidate = candidate.failed(error)
        models.append((None, candidate))
    return [*models, *(others for real, others in in_runs.items() if real not in in_tables)]


# --- Names ---------------------------------------------------------------------------------------------------------


def _named(models: list[tuple[str | None, Candidate]], trained: Collection[str]) -> dict[str, Candidate]:
    """Names that differ, whatever their case: those of tables as they are, the others made longer where they clash."""
    named = {candidate.name: candidate for title, candidate in models if title is None}
    others = sorted(
        ((title, candidate) for title, candidate in models if title is not None), key=lambda known: known[1].real
    )
    wanted = [shown(candidate.name) for _, candidate in others]
    counts = _counts([*wanted, *named, *trained])
    longer = [
        name if counts[name.lower()] == 1 else names.joined(shown(title), name)
        for name, (title, _) in zip(wanted, others, strict=True)
    ]
    taken = {name.lower() for name in (*named, *trained)} | {
        name.lower() for name, before in zip(longer, wanted, strict=True) if name == before
    }
    for name, before, (_, candidate) in zip(longer, wanted, others, strict=True):
        named[name if name == before else _free(name, taken)] = candidate
    return named


def _counts(texts: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for text in texts:
        counts[text.lower()] = counts.get(text.lower(), 0) + 1
    return counts


def _free(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free.lower() in taken:
        number += 1
        free = f"{name}-{number}"
    taken.add(free.lower())
    return free


# --- What they earned, and what is not known -----------------------------------------------------------------------


def _claim(rows: list[tables.Row], named: Mapping[str, Candidate], problems: list[str]) -> None:
    """Give models what tables of claims say of them. A model's own name counts more than its algorithm."""
    first: dict[tuple[str, ...], str] = {}
    unclaimed = {name: candidate for name, candidate in named.items() if candidate.claim is None}
    by_env = _main_models(unclaimed)
    for row in sorted(rows, key=lambda row: "name" not in row):
        key = tables.key_of(row)
        other = first.setdefault(key, row.where)
        if other != row.where:
            problems.append(f"{row.where}: {key[0]}: {', '.join(key[1:])} is already in {other}; expected it once")
        elif "name" not in row:
            for candidate in by_env.get(key[1:], []):
                candidate.claim = candidate.claim or row.claim
        elif row["name"] not in named:
            hint = closest(row["name"], list(named))
            problems.append(f"{row.where}: name: expected the name of a model, found {row['name']!r}{hint}")
        elif row["name"] in unclaimed:
            unclaimed[row["name"]].claim = row.claim
    for candidate in unclaimed.values():
        candidate.claim = candidate.claim or candidate.claim_of_folder


def _main_models(models: Mapping[str, Candidate]) -> dict[tuple[str, ...], list[Candidate]]:
    """By algorithm and environment, the models that a published table speaks of: what each run ended with."""
    with_final = {candidate.run for candidate in models.values() if candidate.role == "final"}
    main: dict[tuple[str, ...], list[Candidate]] = {}
    for candidate in models.values():
        if candidate.recording:
            continue  # a claim about the model itself counts more
        if candidate.role == "final" or (candidate.role == "best" and candidate.run not in with_final):
            main.setdefault((candidate.algo, candidate.env), []).append(candidate)
    return main


def _open_questions(named: Mapping[str, Candidate], asked: Mapping[str, list[str]]) -> list[str]:
    lines = [f"  {shown(named[name].path)}: {', '.join(questions)}" for name, questions in asked.items() if questions]
    return [
        f"{len(lines)} of the models found do not say how they are run:",
        *lines,
        *advice.how_to_say(),
    ]


def _questions(candidate: Candidate) -> list[str]:
    try:
        return candidate.questions()
    except Exception as error:
        candidate.problem = candidate.failed(error).problem
        return []
