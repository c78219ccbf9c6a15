"""The ways in which people keep models: RL Zoo's, a Hugging Face repository, a recording, a folder of zips."""

# Paths are texts here: there are many, and not all are Unicode.
# ruff: noqa: PTH118, PTH119, PTH120

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from reload_audit.planning.discovery import contents, names, settings, zips
from reload_audit.planning.discovery.allowance import ALLOWANCE
from reload_audit.planning.discovery.candidate import Candidate
from reload_audit.planning.discovery.contents import PassedOver
from reload_audit.planning.discovery.tree import Folder
from reload_audit.reading import files, limits
from reload_audit.reading.plain_values import mapping, read_json
from reload_audit.reading.refusal import Unreadable, shown, unforeseen
from reload_audit.reading.yaml_text import front_matter
from reload_audit.records.environment_spec import VEC_NORMALIZE, vec_wrapper_spec
from reload_audit.records.specs import ModelRole, ModelSource

_CHECKPOINT = re.compile(r"^(?P<prefix>.*?)_?(?P<steps>\d+)_steps$")
_LETTERS = re.compile(r"\.[A-Za-z]\w*$")
_NO_MODELS = re.compile(r"^(train_eval_metrics|replay.*)\.zip$")
_SHARED_STATISTICS = ("vecnormalize.pkl", "vec_normalize.pkl", "VecNormalize.pkl")


def models_in(top: Folder, title: str) -> Iterator[Candidate | PassedOver]:
    """Every model in a folder and below, and what a user may have meant as one.

    :param title: what to call the model where there is only one
    """
    with_zips: set[str] = set()
    for folder in top.walk():
        if folder.problem:
            yield _unlisted(folder, title)
        others = _others(folder)
        yield from (other for other in others if isinstance(other, PassedOver))
        zip_names = [name for name in folder.files if name.endswith(".zip") and not _NO_MODELS.match(name)]
        zip_names = sorted([*zip_names, *(other for other in others if isinstance(other, str))])
        if not zip_names:
            if _is_run(folder) and os.path.dirname(folder.real) not in with_zips:
                yield PassedOver(folder.path, contents.NO_MODEL_IN_RUN)
            continue
        with_zips.add(folder.real)
        if {"model.zip", "manifest.json", "evaluations.json"} <= folder.files.keys():
            yield from _each(_recording, folder, ["model.zip"], title)
            zip_names.remove("model.zip")
        yield from _each(_in_folder, folder, zip_names, title)


def _others(folder: Folder) -> list[str | PassedOver]:
    """What lies beside the zips of a folder; if that raises what nobody foresaw, its zips are looked at alone."""
    try:
        return list(contents.models_among_others(folder))
    except Exception as error:
        return [PassedOver(folder.path, f"a folder whose other files cannot be used: {unforeseen(error)}")]


def _is_run(folder: Folder) -> bool:
    """Whether a folder holds the settings of a run of RL Zoo."""
    return {"args.yml", "config.yml"} <= folder.files.keys()


_Found = Candidate | PassedOver


def _each(
    find: Callable[[Folder, list[str], str], Iterable[_Found]], folder: Folder, zip_names: list[str], title: str
) -> list[_Found]:
    """The models in zips; where looking for them raises what nobody foresaw, each is looked for without the others.

    :param find: finds the models in some of the zips
    """
    try:
        return list(find(folder, zip_names, title))
    except Exception as error:
        if len(zip_names) > 1:
            return [model for name in zip_names for model in _each(find, folder, [name], title)]
        return [_instead(folder, name, title).failed(error) for name in zip_names]


def _instead(folder: Folder, zip_name: str, title: str) -> Candidate:
    return Candidate(
        path=os.path.join(folder.path, zip_name),
        real=os.path.join(folder.real, zip_name),
        name=names.joined(folder.label or title, zip_name.removesuffix(".zip")),
        source="folder",
        role="final",
        run=folder.real,
    )


def _in_folder(folder: Folder, zip_names: list[str], title: str) -> Iterator[_Found]:
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


def _unlisted(folder: Folder, title: str) -> Candidate:
    return Candidate(
        path=folder.path,
        real=folder.real,
        name=folder.label or title,
        source="folder",
        role="final",
        run=folder.real,
        problem=f"{shown(folder.path)}: {folder.problem}",
    )


def _new(folder: Folder, zip_name: str, source: ModelSource, name: str) -> Candidate:
    problem = folder.files.get(zip_name, "")
    path = os.path.join(folder.path, zip_name)
    return Candidate(
        path=path,
        real=folder.real_file(zip_name),
        name=name,
        source=source,
        role=_role(_stem(zip_name)),
        run=folder.real,
        folder=folder,
        problem=f"{shown(path)}: {problem}" if problem else None,
    )


def _stem(zip_name: str) -> str:
    return zip_name.removesuffix(".zip")


def _role(stem: str) -> ModelRole:
    stem = _LETTERS.sub("", stem)
    return "best" if stem == "best_model" else "checkpoint" if _CHECKPOINT.match(stem) else "final"


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


def _zoo(folder: Folder, run: str, zip_names: list[str], title: str) -> Iterator[_Found]:
    inner = folder.folders[run]
    known = settings.read_settings(inner)
    known.env = known.env or names.env_of_folder(run)
    in_parents = names.algorithm(os.path.basename(os.path.dirname(folder.real)))
    known.algo = known.algo or in_parents or names.algorithm(folder.name)
    for zip_name in zip_names:
        stem = _stem(zip_name)
        is_run = stem == run and folder.name.startswith(f"{run}_")
        name = (folder.label or title) if is_run else names.joined(folder.label, stem)
        candidate = _peeked(folder, zip_name, title)
        if isinstance(candidate, PassedOver):
            yield candidate
            continue
        candidate.name, candidate.source, candidate.run = name, "zoo", f"{folder.real}/{run}"
        candidate.take_settings(dataclasses.replace(known, algo=known.algo or candidate.algo))
        _take_measurements(candidate, folder)
        if candidate.normalized is not False:
            _take_statistics(candidate, *_checkpoint_statistics(folder, stem), (inner, "vecnormalize.pkl"))
        if known.rewards_only:  # a policy has never seen the statistics of rewards: they may be missing
            candidate.normalized = candidate.statistics is not None
        yield candidate


def _take_measurements(candidate: Candidate, folder: Folder) -> None:
    """Note the files with what was measured during training: evaluations, and what monitors recorded."""
    monitors = [name for name in folder.files if name.endswith("monitor.csv") and folder.has(name)]
    candidate.evaluations = folder.file("evaluations.npz")
    candidate.monitors = [os.path.join(folder.path, name) for name in sorted(monitors)]


# --- Hugging Face --------------------------------------------------------------------------------------------------


def _card(folder: Folder) -> dict[str, str]:
    """Algorithm and environment in the metadata of a model card."""
    path = folder.file("README.md")
    if path is None:
        return {}
    try:
        text = files.read_bytes(path).decode("utf-8", "replace")
        model = _first(mapping(front_matter(text, partial(ALLOWANCE.take_values, path))).get("model-index"))
        dataset = mapping(_first(model.get("results")).get("dataset"))
        card = {"algo": model.get("name"), "env": dataset.get("name")}
        return {key: value for key, value in card.items() if isinstance(value, str) and _may_be_shown(value)}
    except ValueError:
        return {}  # the user is asked for what it would have said


def _may_be_shown(text: str) -> bool:
    return text.isprintable() and len(text) <= limits.LONGEST_NAME


def _first(value: object) -> dict[str, Any]:
    return mapping(value[0]) if isinstance(value, list) and value else {}


def _hub(folder: Folder, zip_names: list[str], card: dict[str, str], title: str) -> Iterator[_Found]:
    known = settings.read_settings(folder)
    by_name = names.algorithm(card.get("algo"))
    results, deterministic = _results(folder)
    found = [_peeked(folder, name, title) for name in zip_names]
    yield from (other for other in found if isinstance(other, PassedOver))
    models = [candidate for candidate in found if isinstance(candidate, Candidate)]
    for candidate in models:
        stem = _stem(os.path.basename(candidate.path))
        words = [stem, *reversed(folder.label.split("/")), title]
        algo = known.algo or by_name or names.algorithm_in([stem]) or candidate.algo or names.algorithm_in(words)
        env = known.env or card.get("env") or names.env_in(words)
        n_envs = known.n_envs or candidate.n_envs
        candidate.take_settings(dataclasses.replace(known, algo=algo, env=env, n_envs=n_envs))
        candidate.env_by_name, candidate.words = not (known.env or card.get("env")), words
        candidate.source, candidate.deterministic = "hub", deterministic
        if len(models) == 1:
            candidate.name = folder.label or title
        if len(models) == 1 or candidate.role == "final":  # a card speaks of what a repository is about
            candidate.model_card, candidate.results = folder.file("README.md"), results
        _take_measurements(candidate, folder)
        if candidate.normalized is not False:
            _find_statistics(candidate, folder, stem)
        if known.rewards_only:  # a policy has never seen the statistics of rewards: they may be missing
            candidate.normalized = candidate.statistics is not None
        yield candidate


def _results(folder: Folder) -> tuple[str | None, bool | None]:
    path = folder.file("results.json")
    if path is None:
        return None, None
    try:
        deterministic = mapping(read_json(path)).get("is_deterministic")
    except Unreadable:
        return path, None  # what it claims cannot be read either, which is said where it is needed
    return path, deterministic if isinstance(deterministic, bool) else None


# --- Zips in a folder ----------------------------------------------------------------------------------------------


def _plain(folder: Folder, zip_names: list[str], title: str) -> Iterator[_Found]:
    found = [_peeked(folder, name, title) for name in zip_names]
    yield from (other for other in found if isinstance(other, PassedOver))
    models = [candidate for candidate in found if isinstance(candidate, Candidate)]
    of_one_run = sum(candidate.role == "final" for candidate in models) <= 1
    for candidate in models:
        stem = _stem(os.path.basename(candidate.path))
        parents = [*reversed(folder.label.split("/")), title]
        candidate.algo = candidate.algo or names.algorithm_in([stem, *parents])
        candidate.env = names.env_in([stem, names.joined(folder.label, stem), *parents])
        candidate.env_by_name, candidate.words = True, [stem, *parents]
        if of_one_run:
            _take_measurements(candidate, folder)
        _find_statistics(candidate, folder, stem)
        yield candidate


def _peeked(folder: Folder, zip_name: str, title: str) -> _Found:
    """A model with what its zip says, or what the zip is instead."""
    stem = _stem(zip_name)
    same = folder.name == stem
    candidate = _new(folder, zip_name, "folder", (folder.label or title) if same else names.joined(folder.label, stem))
    if candidate.problem:
        return candidate
    try:
        data = zips.settings(candidate.path)
    except zips.Pointer:
        return PassedOver(candidate.path, contents.POINTER)
    except Unreadable as error:
        candidate.problem = str(error)
        return candidate
    if data is None:
        return PassedOver(candidate.path, contents.of_zip(candidate.path))
    if other := zips.other_library(data):
        return PassedOver(candidate.path, f"a model of {other}")
    candidate.algo, candidate.trained = zips.algorithm_of(data), zips.trained(data)
    candidate.spaces = {key: data.get(key) for key in ("observation_space", "action_space")}
    candidate.hyperparameters = {key: value for key, value in data.items() if type(value) in (int, float)}
    candidate.n_envs = settings.positive_integer(data.get("n_envs"))
    return candidate


def _find_statistics(candidate: Candidate, folder: Folder, stem: str) -> None:
    own = [(folder, name) for name in (f"{stem}_vecnormalize.pkl", f"{stem}.vecnormalize.pkl")]
    own += [(folder, f"vecnormalize_{stem}.pkl"), *_checkpoint_statistics(folder, stem)]
    own += [(folder.folders[stem], "vecnormalize.pkl")] if stem in folder.folders else []
    if any(name in place.files for place, name in own):
        return _take_statistics(candidate, *own)
    shared = [name for name in _SHARED_STATISTICS if name in folder.files]
    if len(shared) > 1:
        question = f"which of {' and '.join(shared)} are its statistics"
        candidate.open_questions = [*candidate.open_questions, (("vecnormalize",), question)]
        return None
    return _take_statistics(candidate, *((folder, name) for name in shared))


def _checkpoint_statistics(folder: Folder, stem: str) -> list[tuple[Folder, str]]:
    checkpoint = _CHECKPOINT.match(stem)
    if checkpoint is None:
        return []
    prefix = f"{checkpoint['prefix']}_" if checkpoint["prefix"] else ""
    return [(folder, f"{prefix}vecnormalize_{checkpoint['steps']}_steps.pkl")]


def _take_statistics(candidate: Candidate, *candidates: tuple[Folder, str]) -> None:
    """The first of the candidates that is there; if it cannot be opened, the model cannot be audited."""
    for folder, name in candidates:
        if name in folder.files:
            candidate.statistics = folder.file(name)
            if candidate.statistics is None and not candidate.problem:
                candidate.problem = f"{shown(os.path.join(folder.path, name))}: {folder.files[name]}"
            return


# --- Recordings ----------------------------------------------------------------------------------------------------


def _recording(folder: Folder, zip_names: list[str], title: str) -> Iterator[Candidate]:
    (zip_name,) = zip_names
    candidate = _new(folder, zip_name, "recorded", folder.label or title)
    candidate.recording = folder.path
    candidate.deterministic = True  # so are reference episodes
    _take_statistics(candidate, (folder, "vecnormalize.pkl"))
    try:
        for name in ("manifest.json", "evaluations.json"):
            if not folder.has(name):
                raise Unreadable(f"{shown(os.path.join(folder.path, name))}: {folder.files[name]}")
        path = os.path.join(folder.path, "manifest.json")
        ALLOWANCE.take(path, Path(path).stat().st_size)
        _take_manifest(candidate, path, mapping(read_json(path, limits.MANIFEST_BYTES)))
        if candidate.normalized is False:
            candidate.statistics = None
    except Unreadable as error:
        candidate.problem = candidate.problem or str(error)
    yield candidate


def _take_manifest(candidate: Candidate, path: str, manifest: dict[str, Any]) -> None:
    spec = mapping(manifest.get("spec"))
    environment = mapping(spec.get("environment"))
    try:
        recorded = settings.RunSettings(
            algo=names.algorithm(spec.get("algo")),
            env=settings.environment_id(environment.get("env")),
            env_kwargs=settings.keyword_arguments(environment.get("env_kwargs"), "env_kwargs"),
            wrappers=settings.wrapper_list(environment.get("wrappers")),
            vec_wrappers=settings.vec_wrapper_list(environment),
            n_envs=settings.positive_integer(spec.get("n_envs")),
        )
        if not environment.keys().isdisjoint(("vec_wrappers", "normalize")):
            layers = map(vec_wrapper_spec, recorded.vec_wrappers)
            recorded.normalized = any(layer.name == VEC_NORMALIZE for layer in layers)
    except ValueError as error:
        raise Unreadable(f"{shown(path)}: in spec, {error}") from None
    candidate.take_settings(recorded)
    candidate.vec_env = settings.environment_id(environment.get("vec_env")) or None
    place = environment.get("monitor")
    candidate.monitor = "vec" if place == "vec" else "wrapped" if place == "wrapped" else "env"
