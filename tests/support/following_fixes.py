"""Follow a printed fix as a user does: paste its code, and write into the configuration what it says."""

from __future__ import annotations

import ast
import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import yaml

from reload_audit.environments.build import build_vec_env
from reload_audit.planning.training_specs import trained_models
from reload_audit.records.specs import ExternalSpec, TrainingSpec
from support.builders import SCHEMA, resolved
from support.one_of_each_source import Audited
from support.published_layouts import CLAIMS_SCHEMA, MODELS_SCHEMA, discovered

_OF_RUNS = SCHEMA["properties"]["runs"]["items"]["oneOf"][1]["properties"]
_OF_EXPERIMENTS = SCHEMA["$defs"]["experiment"]["properties"]
_OF_TRAINED, _OF_EXTERNAL = (
    ("experiments", "training"),
    ("models", "runs", "claims", "trust", "classes", "env_versions"),
)
_ID = re.compile(r"(\w[\w.]*:)?(?P<id>[A-Z][\w/]*-v\d+)")
_FILE = re.compile(r".*\.(zip|pkl|npz|json|csv|tsv)")

SMALLER = {
    "100_000": "64",
    "10_000": "32",
    "n_eval_episodes=400": "n_eval_episodes=8",
    "n_eval_episodes=100": "n_eval_episodes=4",
    "range(1000)": "range(20)",
    "num_steps=1000": "num_steps=20",
    "SaveStatistics())": "SaveStatistics(), eval_freq=32)",
    ", episodes=1280)": ")",
    'ReferenceRecorder("models/robot", ': 'ReferenceRecorder("models/robot", episodes=2, n_envs=2, ',
}


def follow(fix: str, language: str, names: dict[str, Any], audited: Audited) -> None:
    """Follow a fix in the folder of its model, code first, then comments.

    :param names: the variables of the script that it is pasted into
    :raises AssertionError: it names what is not there, or does not apply to a model of this kind
    """
    _check_ids(fix, audited)
    for written, smaller in SMALLER.items():
        fix = fix.replace(written, smaller)
    comments = [line.strip() for line in fix.splitlines() if line.strip().startswith("#")]
    prose = " ".join(line.removeprefix("# ") for line in comments if not line.startswith("#   "))
    table = _shown_table(fix)
    if language == "python":
        exec(fix, names)  # noqa: S102
        texts = [node.value for node in ast.walk(ast.parse(fix)) if isinstance(node, ast.Constant)]
        for text in (text for text in texts if isinstance(text, str) and _FILE.fullmatch(text)):
            assert Path(text).exists(), f"no file {text}"
        if table:
            Path("told.csv").write_text(table)
            spec = _planned({**audited.config, "models": "told.csv"}, audited)
            assert isinstance(spec, ExternalSpec)
            assert spec.statistics in texts
    else:
        Path("claims.csv").write_text(table)
        if len(comments) < len(fix.splitlines()):
            _configure(yaml.safe_load(fix), audited)
    for file, key in re.findall(r"what is in (\S+\.json) as `(\w+)`", prose):
        _tell({key: json.loads(Path(file).read_text())}, audited)
    for code in re.findall(r"`([^`]+)`", prose):
        _follow_code(code, names, audited)
    loose = set(re.findall(r"\b\w+_\w+\b(?!\.\w)", re.sub(r"`[^`]+`", "", prose))) & _keys("any")
    assert not loose, f"keys that are not followed, as they do not stand in backticks: {loose}"


def _follow_code(code: str, names: dict[str, Any], audited: Audited) -> None:
    """Follow what stands in backticks: a key of the configuration, one with a value, an argument, or Python."""
    if re.fullmatch(r"\w+(\.\w+)?", code):
        section, _, key = code.partition(".")
        assert section in _keys(audited.model.source), f"{section} does not apply"
        assert not key or key in SCHEMA["properties"][section]["properties"], f"no key {code}"
    elif re.match(r"\w+: ", code):
        _tell(yaml.safe_load(code), audited)
    elif re.match(r"\w+=", code):
        assert code.partition("=")[0] in _keys(audited.model.source)
    else:
        exec(f"from reload_audit import ReferenceRecorder\n{code}", names)  # noqa: S102


def _keys(source: str | None) -> set[str]:
    """The keys of a configuration, and the columns of its tables, that apply to models of a source."""
    tables = {*MODELS_SCHEMA["properties"], *CLAIMS_SCHEMA["properties"], *_OF_RUNS}
    of_trained = {*SCHEMA["properties"], *_OF_EXPERIMENTS} - {*_OF_EXTERNAL}
    of_external = {*SCHEMA["properties"], *tables} - {*_OF_TRAINED}
    return of_trained if source == "trained" else of_external if source != "any" else of_trained | of_external


def _check_ids(fix: str, audited: Audited) -> None:
    """Every id of an environment is registered, but for the one that stands for another in ``env_versions``."""
    for word in re.split(r"[\s\"'`,(){}\[\]]+", fix):
        found = _ID.fullmatch(word.rstrip(".:"))
        if found is not None and found[0] != audited.model.env_named:
            assert found["id"] in gym.registry, f"no environment {found[0]}"


def _shown_table(fix: str) -> str:
    """The table that a fix shows in a comment, with numbers for its dots; empty where there is none."""
    lines = [line[4:] for line in fix.splitlines() if line.startswith("#   ")]
    return "".join(f"{line}\n" for line in lines).replace("...,...,...", "1.5,0.5,100")


def _configure(content: Mapping[str, Any], audited: Audited) -> None:
    """Write a part of the configuration, and plan with it."""
    source = audited.model.source
    assert content
    assert content.keys() <= _keys(source), f"{content.keys() - _keys(source)} do not apply to what is {source}"
    config = resolved(**{**audited.config, **content})
    for section, values in content.items():
        if isinstance(values, Mapping) and section != "env_versions":
            assert {key: config[section][key] for key in values} == values
    if source == "trained":
        (spec,) = trained_models(config).values()
        episodes = content.get("evaluation", {}).get("episodes", spec["evaluation"]["episodes"])
        assert spec["evaluation"]["episodes"] == episodes
    else:
        assert "episodes" not in content.get("evaluation", {}), "its episodes are not run at train time"
        assert set(content.get("env_versions", {})) <= {audited.model.env_named}
        claim = _planned({**audited.config, **content}, audited).claim
        assert "claims" not in content or (claim is not None and claim.mean == 1.5)


def _tell(content: Mapping[str, Any], audited: Audited) -> None:
    """Write keys where the audit has them for this model, plan, and build the environment that comes of it."""
    spec = _planned(_with(content, audited), audited)
    said = {**spec.environment.to_dict(), "frame_stack": spec.environment.frame_stack, "deterministic": None}
    if isinstance(spec, ExternalSpec):
        said |= {"deterministic": spec.deterministic, "vecnormalize": spec.statistics}
    for key, value in content.items():
        assert said[key] == value, f"expected {key} {value}, found {said[key]}"
    environment = replace(spec.environment.unnormalized(), env=audited.model.env)
    build_vec_env(environment, 1, seed=0).close()


def _with(content: Mapping[str, Any], audited: Audited) -> dict[str, Any]:
    """The configuration of a model with keys set where it has them: in its experiment, its row, or under ``runs``."""
    config, model = dict(audited.config), audited.model
    if model.source == "trained":
        (experiment,) = config["experiments"]
        return {**config, "experiments": [{**experiment, **content}]}
    if model.source == "table":
        row = {"name": model.name, "algo": model.algo, "env": model.env_named, "model": model.zip}
        row |= {key: value if isinstance(value, str) else json.dumps(value) for key, value in content.items()}
        with Path("told.csv").open("w") as file:
            table = csv.DictWriter(file, list(row))
            table.writeheader()
            table.writerow(row)
        return {**config, "models": "told.csv"}
    (run,) = config["runs"]
    return {**config, "runs": [{**({"folder": run} if isinstance(run, str) else run), **content}]}


def _planned(config: Mapping[str, Any], audited: Audited) -> TrainingSpec | ExternalSpec:
    """The model as a configuration plans it."""
    return next(spec for spec in _all_planned(config, audited) if spec.model == audited.model.name)


def _all_planned(config: Mapping[str, Any], audited: Audited) -> Iterator[TrainingSpec | ExternalSpec]:
    if audited.model.source == "trained":
        yield from map(TrainingSpec.from_dict, trained_models(resolved(**config)).values())
    else:
        yield from map(ExternalSpec.from_dict, discovered(**config))
