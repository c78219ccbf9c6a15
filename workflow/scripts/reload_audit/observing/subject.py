"""Which model a script is about, and how an audit would evaluate it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reload_audit.forensics.search import find_statistics
from reload_audit.planning.discovery.zips import algorithm_of, settings
from reload_audit.reading.model_zip import read_model
from reload_audit.records.observation import Observation, ObservedEnvironment, ObservedModel, ObservedRun
from reload_audit.records.specs import EnvironmentSpec, ExternalPolicy, ExternalSpec, ScriptSpec


class NoSubject(ValueError):
    """Nothing can be compared; the message says why."""


@dataclass(frozen=True)
class Subject:
    """A script's run, with the model that it is about.

    :param acting: the model that acted; None where the script's own code did
    :param path: the zip that the script means; empty where it reads none
    :param spec: how an audit evaluates the model
    :param known: whether the audit knows the model otherwise than from the script
    """

    observation: Observation
    run: ObservedRun
    acting: ObservedModel | None
    environment: ObservedEnvironment
    path: str
    spec: ExternalSpec
    known: bool


def subject_of(
    observation: Observation,
    run: ObservedRun,
    models: Sequence[ExternalSpec],
    script: ScriptSpec,
    policy: ExternalPolicy,
) -> Subject:
    """Find out which model a script is about.

    :param models: those of the audit
    :raises NoSubject: no zip is read, or its environment cannot be built outside the script
    """
    acting = None if run.model is None else observation.models[run.model]
    environment = observation.environments[run.environment]
    path = _path_of(observation, run)
    chosen = script.model or path
    if not chosen and acting is not None and acting.learned:
        raise NoSubject("the model that acts was trained in the script itself, and no file of it is read")
    if not chosen:
        raise NoSubject("the model that acts was loaded from no file, and the configuration names none for this script")
    spec = next((one for one in models if one.model == chosen), None) or next(
        (one for one in models if _same(one.path, chosen)), None
    )
    known = spec is not None
    if spec is None:
        spec = _spec_of(Path(chosen), environment, script, policy)
    return Subject(observation, run, acting, environment, path, spec, known)


def _path_of(observation: Observation, run: ObservedRun) -> str:
    """The zip that a script means to let act: that of the acting model, or one that it read for it."""
    models = observation.models
    if run.model is not None:
        acting = models[run.model]
        read = [acting.path, *reversed(acting.set_from)]
        on_it = [model.path for model in models if model.loaded_on == run.model]
        for path in (*read, *reversed(on_it)):
            if path:
                return path
    idle = [model.path for model in models if model.path and not model.weights_acting]
    return idle[-1] or "" if idle else ""


def _same(one: str, other: str) -> bool:
    return Path(one).resolve() == Path(other).resolve()


def _spec_of(path: Path, environment: ObservedEnvironment, script: ScriptSpec, policy: ExternalPolicy) -> ExternalSpec:
    """What is known of a model from its zip, and of its environment from the script."""
    if not path.is_file():
        raise NoSubject(f"there is no file {path}")
    saved = read_model(str(path), trusted=policy.trust, max_bytes=policy.max_bytes)
    algo = algorithm_of(settings(str(path)) or {})
    if not algo:
        raise NoSubject(f"{path.name} does not say which algorithm saved it")
    found = find_statistics(path, saved, algo)
    return ExternalSpec(
        model=path.stem,
        source="folder",
        group=str(path.parent),
        role="final",
        algo=algo,
        device="cpu",
        deterministic=True,
        path=str(path),
        statistics=found[0].path if found else None,
        normalized=None,
        n_envs=None,
        environment=_environment_spec(environment, script),
        named_by_user=("env", "wrappers"),
    )


def _environment_spec(environment: ObservedEnvironment, script: ScriptSpec) -> EnvironmentSpec:
    """An environment as the script builds it."""
    name, wrappers = environment.env_id or environment.env_class, tuple(environment.wrappers or ())
    named = [environment.env_class, *(one.name for one in wrappers)]
    if not name or any(one.startswith("__main__:") for one in named):
        raise NoSubject("its environment is defined in the script itself, which is not imported: put it into a module")
    arguments = dict(environment.env_kwargs or {})
    folders = (str(Path(script.script).parent), script.cwd, *script.python_path)
    return EnvironmentSpec(name, arguments, wrappers, "env", (), folders)
