"""The ways in which people keep models: RL Zoo's, a Hugging Face repository, a recording, a folder of zips."""

# Paths are texts here: there are many, and not all are Unicode.
# ruff: noqa: PTH118, PTH119, PTH120

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

from reload_audit.planning.discovery import names, settings, zips
from reload_audit.planning.discovery.candidate import Found
from reload_audit.planning.discovery.tree import Folder
from reload_audit.reading import files, texts
from reload_audit.reading.files import MIB
from reload_audit.reading.refusal import Unreadable, shown
from reload_audit.reading.texts import mapping

_CHECKPOINT = re.compile(r"^(?P<prefix>.*?)_?(?P<steps>\d+)_steps$")
_NO_MODELS = re.compile(r"^(train_eval_metrics|replay.*)\.zip$")
_SHARED_STATISTICS = ("vecnormalize.pkl", "vec_normalize.pkl", "VecNormalize.pkl")


def models_in(top: Folder, title: str) -> Iterator[Found]:
    """Every model in a folder and below.

    :param title: what to call a model that is all there is
    """
    for folder in top.walk():
        if folder.problem:
            yield _unlisted(folder, title)
        zip_names = sorted(name for name in folder.files if name.endswith(".zip") and not _NO_MODELS.match(name))
        if not zip_names:
            continue
        if {"model.zip", "manifest.json", "evaluations.json"} <= folder.files.keys():
            yield _recorded(folder, title)
            zip_names.remove("model.zip")
        yield from _in_folder(folder, zip_names, title)


def _in_folder(folder: Folder, zip_names: list[str], title: str) -> Iterator[Found]:
    runs = _zoo_runs(folder)
    in_runs = {name: run for name in zip_names if (run := _run_of(name, runs)) is not None}
    for run in dict.fromkeys(in_runs.values()):
        yield from _zoo(folder, run, [name for name in zip_names if in_runs.get(name) == run], title)
    others = [name for name in zip_names if name not in in_runs]
    if others:
        card = _card(folder)
        if card or folder.has("results.json") or "args.yml" in folder.files:
            yield from _hub(folder, others, card, title)
        else:
            yield from _plain(folder, others, title)


def _unlisted(folder: Folder, title: str) -> Found:
    return Found(
        path=folder.path,
        real=folder.real,
        name=folder.label or title,
        source="folder",
        role="final",
        run=folder.real,
        problem=f"{shown(folder.path)}: {folder.problem}",
    )


def _new(folder: Folder, zip_name: str, source: str, name: str) -> Found:
    problem = folder.files[zip_name]
    path = os.path.join(folder.path, zip_name)
    return Found(
        path=path,
        real=folder.real_file(zip_name),
        name=name,
        source=source,
        role=_role(_stem(zip_name)),
        run=folder.real,
        problem=f"{shown(path)}: {problem}" if problem else None,
    )


def _stem(zip_name: str) -> str:
    return zip_name.removesuffix(".zip")


def _role(stem: str) -> str:
    return "best" if stem == "best_model" else "checkpoint" if _CHECKPOINT.match(stem) else "final"


def _set(found: Found, **facts: Any) -> Found:
    for key, value in facts.items():
        setattr(found, key, value)
    return found


# --- RL Zoo --------------------------------------------------------------------------------------------------------


def _zoo_runs(folder: Folder) -> dict[str, Folder]:
    """Folders with the settings of a run in this folder. Their names are those of the environments."""
    return {
        name: inner
        for name, inner in folder.folders.items()
        if not inner.files.keys().isdisjoint(("args.yml", "config.yml"))
        and (f"{name}.zip" in folder.files or folder.name.startswith(name))
        and not any(file.endswith(".zip") for file in inner.files)
    }


def _run_of(zip_name: str, runs: dict[str, Folder]) -> str | None:
    stem = _stem(zip_name)
    if stem in runs:
        return stem
    return next(iter(runs)) if len(runs) == 1 and _role(stem) != "final" else None


def _zoo(folder: Folder, run: str, zip_names: list[str], title: str) -> Iterator[Found]:
    inner = folder.folders[run]
    facts = settings.read_settings(inner)
    algo = facts.pop("algo") or names.algorithm(os.path.basename(os.path.dirname(folder.real)))
    env = facts.pop("env") or names.env_of_folder(run)
    rewards_only = facts.pop("rewards_only")
    facts["algo"] = algo or names.algorithm(folder.name)
    for zip_name in zip_names:
        stem = _stem(zip_name)
        is_run = stem == run and folder.name.startswith(f"{run}_")
        name = (folder.label or title) if is_run else names.joined(folder.label, stem)
        found = _set(_new(folder, zip_name, "zoo", name), run=f"{folder.real}/{run}", env=env, **_evidence(folder))
        _set(found, **{**facts, "problem": found.problem or facts["problem"]})
        if found.normalized is not False:
            _take_statistics(found, *_checkpoint_statistics(folder, stem), (inner, "vecnormalize.pkl"))
        if rewards_only:  # a policy has never seen the statistics of rewards: they may be missing
            found.normalized = found.statistics is not None
        if not found.algo and not found.problem:
            found.algo = _algorithm_in_zip(found)
        yield found


def _evidence(folder: Folder) -> dict[str, Any]:
    """What was measured in training."""
    monitors = [name for name in folder.files if name.endswith("monitor.csv") and folder.has(name)]
    return {
        "evaluations": folder.file("evaluations.npz"),
        "monitors": [os.path.join(folder.path, name) for name in sorted(monitors)],
    }


def _algorithm_in_zip(found: Found) -> str:
    try:
        return zips.algorithm_of(zips.settings(found.path) or {})
    except Unreadable as error:
        found.problem = str(error)
        return ""


# --- Hugging Face --------------------------------------------------------------------------------------------------


def _card(folder: Folder) -> dict[str, str]:
    """Algorithm and environment in the metadata of a model card."""
    path = folder.file("README.md")
    if path is None:
        return {}
    try:
        text = files.read_bytes(path).decode("utf-8", "replace")
        model = _first(mapping(texts.front_matter(text)).get("model-index"))
        dataset = mapping(_first(model.get("results")).get("dataset"))
        card = {"algo": model.get("name"), "env": dataset.get("name")}
        return {key: value for key, value in card.items() if isinstance(value, str) and value.isprintable()}
    except ValueError:
        return {}  # whoever needs it asks for what it would have said


def _first(value: object) -> dict[str, Any]:
    return mapping(value[0]) if isinstance(value, list) and value else {}


def _hub(folder: Folder, zip_names: list[str], card: dict[str, str], title: str) -> Iterator[Found]:
    facts = settings.read_settings(folder)
    rewards_only = facts.pop("rewards_only")
    results, deterministic = _results(folder)
    by_name = names.algorithm(card.get("algo"))
    models = [found for name in zip_names if (found := _peeked(folder, name, title)) is not None]
    for found in models:
        stem = _stem(os.path.basename(found.path))
        words = [stem, *reversed(folder.label.split("/")), title]
        algo = facts["algo"] or by_name or names.algorithm_in([stem]) or found.algo or names.algorithm_in(words)
        env = facts["env"] or card.get("env") or names.env_in(words)
        problem = found.problem or facts["problem"]
        if len(models) == 1:
            found.name = folder.label or title
        n_envs = facts["n_envs"] or found.n_envs
        _set(found, **{**facts, "source": "hub", "algo": algo, "env": env, "problem": problem, "n_envs": n_envs})
        found.deterministic = deterministic
        if len(models) == 1 or found.role == "final":  # a card speaks of what a repository is about
            _set(found, model_card=folder.file("README.md"), results=results)
        _set(found, **_evidence(folder))
        if found.normalized is not False:
            _find_statistics(found, folder, stem)
        if rewards_only:  # a policy has never seen the statistics of rewards: they may be missing
            found.normalized = found.statistics is not None
        yield found


def _results(folder: Folder) -> tuple[str | None, bool | None]:
    path = folder.file("results.json")
    if path is None:
        return None, None
    try:
        deterministic = mapping(texts.read_json(path)).get("is_deterministic")
    except Unreadable:
        return path, None  # what it claims cannot be read either, which is said where it is needed
    return path, deterministic if isinstance(deterministic, bool) else None


# --- Zips in a folder ----------------------------------------------------------------------------------------------


def _plain(folder: Folder, zip_names: list[str], title: str) -> Iterator[Found]:
    models = [found for name in zip_names if (found := _peeked(folder, name, title)) is not None]
    of_one_run = sum(found.role == "final" for found in models) <= 1
    for found in models:
        stem = _stem(os.path.basename(found.path))
        parents = [*reversed(folder.label.split("/")), title]
        found.algo = found.algo or names.algorithm_in([stem, *parents])
        found.env = names.env_in([stem, names.joined(folder.label, stem), *parents])
        if of_one_run:
            _set(found, **_evidence(folder))
        _find_statistics(found, folder, stem)
        yield found


def _peeked(folder: Folder, zip_name: str, title: str) -> Found | None:
    """A model with what its zip says; None for a zip of something else."""
    stem = _stem(zip_name)
    same = folder.name == stem
    found = _new(folder, zip_name, "folder", (folder.label or title) if same else names.joined(folder.label, stem))
    if found.problem:
        return found
    try:
        data = zips.settings(found.path)
    except Unreadable as error:
        found.problem = str(error)
        return found
    if data is None:
        return None
    return _set(found, algo=zips.algorithm_of(data), n_envs=settings.positive_integer(data.get("n_envs")))


def _find_statistics(found: Found, folder: Folder, stem: str) -> None:
    own = [(folder, name) for name in (f"{stem}_vecnormalize.pkl", f"{stem}.vecnormalize.pkl")]
    own += [(folder, f"vecnormalize_{stem}.pkl"), *_checkpoint_statistics(folder, stem)]
    own += [(folder.folders[stem], "vecnormalize.pkl")] if stem in folder.folders else []
    if any(name in place.files for place, name in own):
        return _take_statistics(found, *own)
    shared = [name for name in _SHARED_STATISTICS if name in folder.files]
    if len(shared) > 1:
        question = f"which of {' and '.join(shared)} are its statistics"
        found.open_questions = [*found.open_questions, (("vecnormalize",), question)]
        return None
    return _take_statistics(found, *((folder, name) for name in shared))


def _checkpoint_statistics(folder: Folder, stem: str) -> list[tuple[Folder, str]]:
    checkpoint = _CHECKPOINT.match(stem)
    if checkpoint is None:
        return []
    prefix = f"{checkpoint['prefix']}_" if checkpoint["prefix"] else ""
    return [(folder, f"{prefix}vecnormalize_{checkpoint['steps']}_steps.pkl")]


def _take_statistics(found: Found, *candidates: tuple[Folder, str]) -> None:
    """The first of the candidates that is there; if it cannot be opened, the model cannot be audited."""
    for folder, name in candidates:
        if name in folder.files:
            found.statistics = folder.file(name)
            if found.statistics is None and not found.problem:
                found.problem = f"{shown(os.path.join(folder.path, name))}: {folder.files[name]}"
            return


# --- Recordings ----------------------------------------------------------------------------------------------------


def _recorded(folder: Folder, title: str) -> Found:
    found = _new(folder, "model.zip", "recorded", folder.label or title)
    found.recording = folder.path
    found.deterministic = True  # so are reference episodes
    _take_statistics(found, (folder, "vecnormalize.pkl"))
    try:
        for name in ("manifest.json", "evaluations.json"):
            if not folder.has(name):
                raise Unreadable(f"{shown(os.path.join(folder.path, name))}: {folder.files[name]}")
        path = os.path.join(folder.path, "manifest.json")
        _take_manifest(found, path, mapping(texts.read_json(path, 8 * MIB)))
        if found.normalized is False:
            found.statistics = None
    except Unreadable as error:
        found.problem = found.problem or str(error)
    return found


def _take_manifest(found: Found, path: str, manifest: dict[str, Any]) -> None:
    spec = mapping(manifest.get("spec"))
    environment = mapping(spec.get("environment"))
    normalize = environment.get("normalize")
    monitor = environment.get("monitor")
    try:
        _set(
            found,
            algo=names.algorithm(spec.get("algo")),
            env=settings.environment_id(environment.get("env")),
            env_kwargs=settings.keyword_arguments(environment.get("env_kwargs"), "env_kwargs"),
            wrappers=settings.wrapper_list(environment.get("wrappers")),
            frame_stack=settings.stacked_frames(environment.get("frame_stack")),
            monitor="vec" if monitor == "vec" else "env",
            n_envs=settings.positive_integer(spec.get("n_envs")),
            normalized=None if normalize is None else isinstance(normalize, dict) or normalize is True,
        )
    except ValueError as error:
        raise Unreadable(f"{shown(path)}: in spec, {error}") from None
