"""The ways in which people keep models: RL Zoo's, a Hugging Face repository, a recording, a folder of zips."""

# Paths are texts here: there are many, and not all are Unicode.
# ruff: noqa: PTH118, PTH119, PTH120

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

from reload_audit.discovery import names, zips
from reload_audit.discovery.found import Found
from reload_audit.discovery.tree import Folder
from reload_audit.reading import files, texts
from reload_audit.reading.files import MIB
from reload_audit.reading.refusal import Unreadable, shown
from reload_audit.reading.texts import mapping

_CHECKPOINT = re.compile(r"^(?P<prefix>.*?)_?(?P<steps>\d+)_steps$")
_NO_MODELS = re.compile(r"^(train_eval_metrics|replay.*)\.zip$")
_SHARED_STATISTICS = ("vecnormalize.pkl", "vec_normalize.pkl", "VecNormalize.pkl")

_TIME_FEATURE = re.compile(r"^(utils|rl_zoo3|sb3_contrib\.common)\.wrappers\.TimeFeatureWrapper$")
_OLD_GYM = re.compile(r"^gym\.wrappers\.(?:\w+\.)?(\w+)$")
_RENAMED = {"GrayScaleObservation": "GrayscaleObservation", "FrameStack": "FrameStackObservation"}

# VecEnv wrappers that change nothing that a policy sees or earns, or that SB3 adds by itself.
_HARMLESS = ("VecMonitor", "VecTransposeImage", "VecCheckNan")


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
    facts = _settings(inner)
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
    facts = _settings(folder)
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
    return _set(found, algo=zips.algorithm_of(data), n_envs=_count(data.get("n_envs")))


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
            env=_env(environment.get("env")),
            env_kwargs=_keywords(environment.get("env_kwargs"), "env_kwargs"),
            wrappers=_wrappers(environment.get("wrappers")),
            frame_stack=_frames(environment.get("frame_stack")),
            monitor="vec" if monitor == "vec" else "env",
            n_envs=_count(spec.get("n_envs")),
            normalized=None if normalize is None else isinstance(normalize, dict) or normalize is True,
        )
    except ValueError as error:
        raise Unreadable(f"{shown(path)}: in spec, {error}") from None


# --- Settings of a run ---------------------------------------------------------------------------------------------


def _settings(folder: Folder) -> dict[str, Any]:
    """What RL Zoo noted of a run: ``args.yml``, ``config.yml`` and, in repositories, ``env_kwargs.yml``."""
    facts: dict[str, Any] = {"algo": "", "env": "", "n_envs": None, "normalized": None, "rewards_only": False}
    facts["problem"] = None
    try:
        args, config = _yaml_mapping(folder, "args.yml"), _yaml_mapping(folder, "config.yml")
        env_kwargs = args.get("env_kwargs") or _yaml_mapping(folder, "env_kwargs.yml") or config.get("env_kwargs")
    except Unreadable as error:
        return {**facts, "problem": str(error)}
    algo = args.get("algo")
    if algo == "her":  # which of old wrapped another algorithm
        algo = config.get("model_class")
    where = f"{shown(folder.path)}: in args.yml and config.yml"
    try:
        facts |= {
            "algo": names.algorithm(algo),
            "env": _env(args.get("env")),
            "env_kwargs": _keywords(env_kwargs, "env_kwargs"),
            "wrappers": _wrappers(config.get("env_wrapper")),
            "frame_stack": _frames(config.get("frame_stack")),
        }
        if "config.yml" in folder.files:
            facts |= {"n_envs": _count(config.get("n_envs", 1)), "normalized": _normalized(config.get("normalize"))}
            facts |= _vec_env_wrappers(config.get("vec_env_wrapper"), facts)
            facts["rewards_only"] = not _normalizes_observations(config.get("normalize"))
    except ValueError as error:
        facts["problem"] = f"{where}, {error}"
    return facts


def _yaml_mapping(folder: Folder, name: str) -> dict[str, Any]:
    """A YAML file's keys and values; empty where there is no such file."""
    problem = folder.files.get(name)
    if problem is None:
        return {}
    path = os.path.join(folder.path, name)
    if problem:
        raise Unreadable(f"{shown(path)}: {problem}")
    content = texts.read_yaml(path)
    if not isinstance(content, dict | None):
        raise Unreadable(f"{shown(path)}: expected keys and values, found {texts.brief(content)}")
    return mapping(content)


def _env(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or not value.isprintable() or len(value) > 200:
        raise ValueError(f"expected an environment's id, found {texts.brief(value)}")
    return value


def _keywords(value: object, key: str) -> dict[str, Any]:
    """Keyword arguments; how to render is left out, because nobody watches."""
    content = texts.literal(value) if isinstance(value, str) else value
    if content is None:
        return {}
    plain = texts.plain_data(content)
    if not isinstance(plain, dict):
        raise ValueError(f"expected {key} to be a mapping, found {texts.brief(value)}")
    plain.pop("render_mode", None)
    return plain


def _wrappers(value: object) -> list[Any]:
    """Wrappers as an experiment has them, under the names that they have now."""
    if not value:
        return []
    entries = texts.plain_data(value if isinstance(value, list) else [value])
    return [_wrapper(entry) for entry in entries]


def _wrapper(entry: object) -> str | dict[str, Any]:
    name, kwargs = next(iter(entry.items())) if isinstance(entry, dict) and len(entry) == 1 else (entry, None)
    if not isinstance(name, str) or not name.isprintable() or "." not in name:
        raise ValueError(f"expected a wrapper's dotted name, or one with its arguments, found {texts.brief(entry)}")
    keywords = _keywords(kwargs, f"the arguments of {name}")
    if _TIME_FEATURE.match(name):
        name = "sb3_contrib.common.wrappers.TimeFeatureWrapper"
    old = _OLD_GYM.match(name)
    if old:
        name = f"gymnasium.wrappers.{_RENAMED.get(old[1], old[1])}"
    return {name: keywords} if keywords else name


def _vec_env_wrappers(value: object, facts: dict[str, Any]) -> dict[str, Any]:
    """Stacked frames are known; other wrappers of a VecEnv are asked for."""
    for entry in _wrappers(value):
        name, kwargs = (entry, {}) if isinstance(entry, str) else next(iter(entry.items()))
        short = name.rpartition(".")[2]
        if short == "VecFrameStack" and kwargs.keys() == {"n_stack"} and not facts["frame_stack"]:
            facts["frame_stack"] = _frames(kwargs["n_stack"])
        elif short not in _HARMLESS:
            question = f"vec_env_wrapper {name} cannot be built here"
            facts["open_questions"] = [(("wrappers", "frame_stack"), question)]
    return facts


def _frames(value: object) -> int | None:
    if value is None or value in (0, 1):
        return None
    count = _count(value)
    if count is None:
        raise ValueError(f"expected a number of frames to stack, found {texts.brief(value)}")
    return count


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value < 2**31:
        return None
    return int(value)


def _normalized(value: object) -> bool:
    return bool(_normalize_arguments(value))


def _normalizes_observations(value: object) -> bool:
    arguments = _normalize_arguments(value)
    return not isinstance(arguments, dict) or bool(arguments.get("norm_obs", True))


def _normalize_arguments(value: object) -> Any:
    """RL Zoo takes ``true``, a mapping, or a text in which Python would find one."""
    if not isinstance(value, str):
        return value
    try:
        return texts.literal(value)
    except ValueError:
        return True  # arguments of some sort
