"""Find models that others trained, and what is known about them, without executing anything that lies there.

Runs whenever the workflow is planned, on a cluster once a job: only the standard library, a YAML reader and a JSON
Schema validator are imported.
"""

# Paths are texts here: there are many, and not all are Unicode.
# ruff: noqa: PTH114, PTH111, PTH112, PTH113, PTH118

from __future__ import annotations

import copy
import dataclasses
import hashlib
import os
from collections.abc import Iterable, Mapping
from typing import Any

from reload_audit.planning.configuration import ConfigError, closest, trained_models
from reload_audit.planning.discovery import layouts, names, tables, tree
from reload_audit.planning.discovery.candidate import GIVEN, Found
from reload_audit.reading.refusal import shown

LOOKED_FOR = (
    "RL Zoo's <env>/args.yml and <env>.zip, Hugging Face repositories, recordings with manifest.json and model.zip, "
    "and any other zip that Stable-Baselines3 saved; hidden folders and links to folders are left out"
)


def find_models(
    config: Mapping[str, Any],
    models_schema: Mapping[str, Any],
    claims_schema: Mapping[str, Any],
    results: str | None = None,
) -> list[dict[str, Any]]:
    """All models that a configuration leads to and this workflow does not train, sorted by name.

    :param config: a resolved configuration
    :param models_schema: the JSON Schema of a row of a table of models
    :param claims_schema: the JSON Schema of a row of a table of claims
    :param results: the audit's own folder, which is not looked into from a folder above it
    :return: for each model what ``specs.ExternalSpec.from_dict`` reads
    :raises ConfigError: a folder or table cannot be used, or what must be known of a model is nowhere said
    """
    problems: list[str] = []
    trained = trained_models(dict(config)) if config["experiments"] else {}
    discovered = _in_runs(config["runs"], results, problems)
    rows = _in_tables(config["models"], models_schema, trained, problems)
    found = _laid_over(rows, discovered)
    named = _named(found, trained)
    claims = [row for path in _paths(config["claims"]) for row in tables.read_claims(path, claims_schema, problems)]
    _claim(claims, named, problems)
    problems += _open_questions(named)
    if problems:
        raise ConfigError("\n".join(problems))
    return [named[name].entry(name, config["python_path"]) for name in sorted(named)]


def files(entry: Mapping[str, Any]) -> list[str]:
    """The files whose change must run the audit of this model again."""
    recording = entry["recording"]
    beside = ("manifest.json", "evaluations.json", "steps.npz")  # the last is not in older ones
    recorded = [os.path.join(recording, name) for name in beside] if recording else []
    single = [entry[key] for key in ("path", "statistics", "evaluations", "model_card", "results")]
    candidates = [*(path for path in single if path), *entry["monitors"], *recorded]
    return [path for path in dict.fromkeys(candidates) if os.path.isfile(path)]


def batches(entries: Iterable[Mapping[str, Any]], size: int) -> dict[str, list[dict[str, Any]]]:
    """Which models are audited by one job. When a model comes or goes, no batch changes but its own.

    A batch that is too large is split by the next bit of a digest of its models' names, which then is part of its name.

    :param size: models in a batch at most
    """
    ordered = sorted((dict(entry) for entry in entries), key=lambda entry: str(entry["model"]))
    waiting = [("", [(_bits(str(entry["model"])), entry) for entry in ordered])]
    found: dict[str, list[dict[str, Any]]] = {}
    while waiting:
        prefix, members = waiting.pop()
        if len(members) > size:
            waiting += [(prefix + bit, [member for member in members if member[0][len(prefix)] == bit]) for bit in "01"]
        elif members:
            found[f"batch-{prefix}" if prefix else "batch"] = [entry for _, entry in members]
    return dict(sorted(found.items()))


def usual_size(models: int) -> int:
    """Models in a batch, where nobody says: some fifty jobs for a thousand, and no job of hours for ten thousand.

    A job takes as long to start as five small models take, on a cluster longer. Few models are shared out all the same.
    """
    return min(max(4, min(models // 3, 10), models // 8), 32)


def _bits(name: str) -> str:
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return f"{int.from_bytes(digest, 'big'):0256b}"


# --- Where models come from ----------------------------------------------------------------------------------------


def _paths(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _in_runs(
    runs: list[str | dict[str, Any]], results: str | None, problems: list[str]
) -> dict[str, tuple[str, Found]]:
    """For the real path of each zip the name of its root, and the model; the first entry that finds a zip has it."""
    discovered: dict[str, tuple[str, Found]] = {}
    for index, run in enumerate(runs):
        entry = {"folder": run} if isinstance(run, str) else run
        where = f"runs[{index}]{'' if isinstance(run, str) else '.folder'}"
        folder = os.path.expanduser(entry["folder"])
        if not os.path.isdir(folder):
            kind = "a file" if os.path.isfile(folder) else "nothing there"
            problems.append(f"{where}: expected a folder with models, found {kind}: {shown(entry['folder'])}")
            continue
        top = tree.read_tree(folder, entry.get("exclude", []), results)
        title = tree.title(top)
        models = list(layouts.models_in(top, title))
        if not models:
            problems.append(f"{where}: found no model in {shown(entry['folder'])}; looked for {LOOKED_FOR}")
        # A link to a model is the model itself, under another name.
        for found in sorted(models, key=lambda found: os.path.islink(found.path)):
            found.group = entry["folder"]
            found.give({key: entry[key] for key in GIVEN if key in entry})
            discovered.setdefault(found.real, (title, found))
    return discovered


def _in_tables(
    paths: str | list[str], schema: Mapping[str, Any], trained: Mapping[str, Any], problems: list[str]
) -> list[tuple[str, tables.Row]]:
    rows = [(path, row) for path in _paths(paths) for row in tables.read_models(path, schema, problems)]
    taken = {name.lower(): "a model that is trained here" for name in trained}
    for _, row in rows:
        other = taken.setdefault(row["name"].lower(), row.where)
        if other != row.where:
            problems.append(f"{row.where}: name: {row['name']!r} is already the name of {other}; expected another")
    return rows


def _laid_over(
    rows: list[tuple[str, tables.Row]], discovered: Mapping[str, tuple[str, Found]]
) -> list[tuple[str | None, Found]]:
    """Models of tables, then those that only folders have, each with the name of its root if its name may change."""
    models: list[tuple[str | None, Found]] = []
    in_tables: set[str] = set()
    for table, row in rows:
        path = tables.model_path(row)
        folder, name = os.path.split(path)
        places = (os.path.realpath(path), os.path.join(os.path.realpath(folder), name))
        in_tables.update(places)
        known = next((discovered[place][1] for place in places if place in discovered), None)
        found = tables.from_row(row, table) if known is None else dataclasses.replace(known)
        models.append((None, tables.take_row(found, row)))
    return [*models, *(others for real, others in discovered.items() if real not in in_tables)]


# --- Names ---------------------------------------------------------------------------------------------------------


def _named(models: list[tuple[str | None, Found]], trained: Mapping[str, Any]) -> dict[str, Found]:
    """Names that differ, whatever their case: those of tables as they are, the others made longer where they clash."""
    named = {found.name: found for title, found in models if title is None}
    others = sorted(((title, found) for title, found in models if title is not None), key=lambda known: known[1].real)
    wanted = [shown(found.name) for _, found in others]
    counts = _counts([*wanted, *named, *trained])
    longer = [
        name if counts[name.lower()] == 1 else names.joined(shown(title), name)
        for name, (title, _) in zip(wanted, others, strict=True)
    ]
    taken = {name.lower() for name in (*named, *trained)} | {
        name.lower() for name, before in zip(longer, wanted, strict=True) if name == before
    }
    for name, before, (_, found) in zip(longer, wanted, others, strict=True):
        named[name if name == before else _free(name, taken)] = found
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


def _claim(rows: list[tables.Row], named: Mapping[str, Found], problems: list[str]) -> None:
    """Give models what tables of claims say of them. A model's own name counts more than its algorithm."""
    first: dict[tuple[str, ...], str] = {}
    unclaimed = {name: found for name, found in named.items() if found.claim is None}
    by_env = _main_models(unclaimed)
    for row in sorted(rows, key=lambda row: "name" not in row):
        key = tables.key_of(row)
        other = first.setdefault(key, row.where)
        if other != row.where:
            problems.append(f"{row.where}: {key[0]}: {', '.join(key[1:])} is already in {other}; expected it once")
        elif "name" not in row:
            for found in by_env.get(key[1:], []):
                found.claim = found.claim or copy.copy(row.claim)
        elif row["name"] not in named:
            hint = closest(row["name"], list(named))
            problems.append(f"{row.where}: name: expected the name of a model, found {row['name']!r}{hint}")
        elif row["name"] in unclaimed:
            unclaimed[row["name"]].claim = row.claim


def _main_models(models: Mapping[str, Found]) -> dict[tuple[str, ...], list[Found]]:
    """By algorithm and environment, the models that a published table speaks of: what each run ended with."""
    with_final = {found.run for found in models.values() if found.role == "final"}
    main: dict[tuple[str, ...], list[Found]] = {}
    for found in models.values():
        if found.recording:
            continue  # what it earned itself is known better than what others like it earn
        if found.role == "final" or (found.role == "best" and found.run not in with_final):
            main.setdefault((found.algo, found.env), []).append(found)
    return main


def _open_questions(named: Mapping[str, Found]) -> list[str]:
    asked = {name: found.questions() for name, found in sorted(named.items())}
    lines = [f"  {shown(named[name].path)}: {', '.join(questions)}" for name, questions in asked.items() if questions]
    if not lines:
        return []
    return [
        f"{len(lines)} of the models found do not say how they are run:",
        *lines,
        "  Say it for a whole folder, with an entry of `runs` such as {folder: ..., algo: PPO, env: CartPole-v1};",
        "  or for one model, with a row of a table under `models` that has the same path; or leave it out: `exclude`.",
    ]
