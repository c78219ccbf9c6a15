"""The user's scripts that an audit observes: what each is called, how it is run, and which model it is about."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from reload_audit.planning.configuration import ConfigError
from reload_audit.planning.resolved import Configuration, Script, TrainingData
from reload_audit.planning.schema_messages import closest
from reload_audit.reading import named
from reload_audit.records.environment_spec import EnvironmentSpec
from reload_audit.records.specs import ExternalSpec, ScriptSpec

_ENDINGS = (".py", ".ipynb")

_LONGEST_NAME = 150
"""Characters, as of experiments: names of files are made of it."""


def planned_scripts(config: Configuration, models: Collection[str], source: str) -> dict[str, ScriptSpec]:
    """The scripts of a configuration by their names in results.

    :param models: names of all models of the audit
    :param source: the configuration's name, for messages
    :raises ConfigError: a script, or its folder, is not there, or it is about a model that is not
    """
    written = [entry if isinstance(entry, dict) else Script(script=entry) for entry in config["scripts"]]
    problems = [
        f"{source}: scripts[{index}]{problem}"
        for index, script in enumerate(written)
        for problem in _problems(script, models)
    ]
    if problems:
        raise ConfigError("\n".join(problems))
    names = _names(str(script["script"]) for script in written)
    specs = (_spec(name, script, config) for name, script in zip(names, written, strict=True))
    return {spec.name: spec for spec in specs}


def as_external(model: TrainingData, results: str) -> ExternalSpec:
    """A model that is trained here, evaluated by its files as one from elsewhere."""
    folder = Path(results, "trained", model["model"]).absolute()
    environment = EnvironmentSpec.from_dict(model["environment"])
    return ExternalSpec(
        model=model["model"],
        source="recorded",
        group=str(folder.parent),
        role="final",
        algo=model["algo"],
        device=model["device"],
        deterministic=True,
        path=str(folder / "model.zip"),
        statistics=None if environment.normalize is None else str(folder / "vecnormalize.pkl"),
        normalized=environment.normalize is not None,
        n_envs=model["n_envs"],
        environment=environment,
        named_by_user=("env", "wrappers", "vec_wrappers", "vec_env"),
    )


def is_outdated(record: Path, now: float) -> bool:
    """Whether a model or statistics that a script read, or was compared with, have changed since its record was made.

    :param record: of the script; one that is not there is not outdated
    :param now: seconds since 1970; files that are stamped later do not count
    """
    try:
        made, content = record.stat().st_mtime, json.loads(record.read_bytes())
        files = map(Path, filter(named.is_file, _files_read(content)))
        return any(made < file.stat().st_mtime <= now for file in files)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # it is not there, or damaged: others say so
        return False


def _files_read(record: Any) -> Iterator[str]:
    """The files that a script's record, as plain data, says were read."""
    observation = record["observation"] or {"models": [], "normalizations": []}
    for one in (*observation["models"], *observation["normalizations"]):
        yield from filter(None, (one["path"], *one.get("set_from", ())))
    yield from (one["compared"]["path"] for one in record["comparisons"])


def _spec(name: str, script: Script, config: Configuration) -> ScriptSpec:
    return ScriptSpec(
        name=name,
        script=str(named.at_home(script["script"]).absolute()),
        args=tuple(map(str, script.get("args", []))),
        cwd=str(named.at_home(script.get("cwd", ".")).absolute()),
        env={key: str(value) for key, value in script.get("env", {}).items()},
        model=script.get("model", ""),
        timeout=script.get("timeout", 600),
        memory=script.get("memory", config["reload"]["memory"]),
        python_path=tuple(str(Path(folder).absolute()) for folder in config["python_path"]),
    )


def _problems(script: Script, models: Collection[str]) -> Iterator[str]:
    path, cwd, model = named.at_home(script["script"]), script.get("cwd", "."), script.get("model", "")
    if path.suffix not in _ENDINGS:
        yield f".script: expected a file that ends in {' or '.join(_ENDINGS)}, found {str(path)!r}"
    elif not named.is_file(path):
        yield f".script: there is no file {str(path)!r}; expected a path from the folder that you run snakemake in"
    if not named.is_folder(named.at_home(cwd)):
        yield f".cwd: there is no folder {cwd!r}"
    if model and model not in models and not named.is_file(named.at_home(model)):
        yield f".model: there is no model {model!r}, and no file of that path{closest(model, models)}"


def _names(paths: Iterable[str]) -> list[str]:
    """Names made of those of the files, with a number where several would be the same."""
    taken: dict[str, int] = {}
    names: list[str] = []
    for path in paths:
        name = re.sub(r"[^A-Za-z0-9_.-]+", "_", Path(path).name).lstrip("_.-")[:_LONGEST_NAME]
        taken[name.lower()] = taken.get(name.lower(), 0) + 1
        names.append(name if taken[name.lower()] == 1 else f"{name}-{taken[name.lower()]}")
    return names
