"""Which model a script is about, and how an audit would evaluate it."""

from __future__ import annotations

import filecmp
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import gymnasium as gym

from reload_audit.environments.packages import is_registered
from reload_audit.forensics.model_files import FoundStatistics
from reload_audit.forensics.search import find_statistics, has_name_of
from reload_audit.forensics.traces import traces_of
from reload_audit.observing.arguments import is_lost
from reload_audit.planning.discovery.training_script import training_of
from reload_audit.planning.discovery.zips import algorithm_of, settings
from reload_audit.reading.model_zip import read_model
from reload_audit.records.environment_spec import VEC_FRAME_STACK, VEC_NORMALIZE, EnvironmentSpec, WrapperSpec
from reload_audit.records.observation import (
    Observation,
    ObservedEnvironment,
    ObservedModel,
    ObservedRun,
    ObservedWrapper,
)
from reload_audit.records.specs import ExternalPolicy, ExternalSpec, ScriptSpec

_NEARLY_ALL = 0.99


class NoSubject(ValueError):
    """Nothing can be compared; the message says why."""


@dataclass(frozen=True)
class NormalizingWrapper:
    """A wrapper of the script's own that normalises in place of VecNormalize.

    :param others: wrappers that change observations, too: which of all these normalises is not known
    :param of_vec_env: whether it is around the VecEnv
    """

    wrapper: ObservedWrapper
    others: tuple[ObservedWrapper, ...] = ()
    of_vec_env: bool = False


@dataclass(frozen=True)
class OwnActions:
    """What was found of actions that a script's own code chose.

    :param compared: how many were compared with those of the model, after the same observations
    :param alike: how many of these are the model's
    :param bounded: whether as ``predict`` gives them, clipped or rescaled; False for those of the policy network
    :param as_in_training: whether after observations that are normalised as in training; False where they are as the
        script was given them
    """

    compared: int
    alike: int
    bounded: bool = True
    as_in_training: bool = True

    @property
    def are_of_the_model(self) -> bool:
        """Whether nearly all are the model's: a script computes in another precision, and may break ties otherwise."""
        return self.alike >= _NEARLY_ALL * self.compared


@dataclass(frozen=True)
class Subject:
    """A script's run, with the model that it is about.

    :param acting: the model that acted; None where the script's own code did
    :param path: the zip that the script means; empty where it reads none
    :param spec: how an audit evaluates the model
    :param trained: the model that the script trains, where it means that one and another acts; None otherwise
    :param known: whether the audit knows the model otherwise than from the script
    :param script: how the user runs it
    :param normalizing: what normalises in place of VecNormalize, which ``environment`` is then without
    :param own_actions: what was found of actions that its own code chose; None for none, or nothing
    """

    observation: Observation
    run: ObservedRun
    acting: ObservedModel | None
    environment: ObservedEnvironment
    path: str
    trained: ObservedModel | None
    spec: ExternalSpec
    known: bool
    script: ScriptSpec
    normalizing: NormalizingWrapper | None = None
    own_actions: OwnActions | None = None


def subject_of(
    observation: Observation,
    run: ObservedRun,
    models: Sequence[ExternalSpec],
    script: ScriptSpec,
    policy: ExternalPolicy,
    folder: str,
) -> Subject:
    """Find out which model a script is about.

    :param models: those of the audit
    :param folder: where the observer left the classes that the script defines itself
    :raises NoSubject: no zip is read, its environment cannot be built outside the script, or its statistics are missing
    """
    acting = None if run.model is None else observation.models[run.model]
    environment = observation.environments[run.environment]
    if run.together and not script.model:
        raise NoSubject(
            f"{models_together(observation, run)}: name the one to compare the script with as --model, or `model:` of "
            "the script"
        )
    trained = _trained_in_vain(observation, acting)
    path = _path_of(observation, run) if trained is None else (trained.kept, *trained.saved)[-1]
    chosen = script.model or path
    if not chosen and acting is not None and acting.learned:
        if acting.learn_count >= 0 and not acting.learn_statistics:
            raise NoSubject("the model was trained with VecNormalize, whose statistics could not be saved")
        kept = Path(folder) / f"model{run.model}.zip"
        own = _spec_of(kept, observation, environment, script, policy)
        name = f"{acting.algo} trained in {acting.learn_line or observation.script}"
        own = replace(own, model=name, statistics=acting.learn_statistics or None)
        own = _importing(_with_layers(own, environment), folder)
        return Subject(observation, run, acting, environment, "", None, own, False, script)
    chosen = chosen or _beside_the_missing(observation, script)
    if not chosen:
        raise NoSubject(
            "the model that acts was loaded from no file: name its zip as --model, or `model:` of the script"
        )
    matches = (
        lambda one: one.model == chosen,
        lambda one: Path(one.path).resolve() == Path(chosen).resolve(),
        lambda one: is_same_file(one.path, chosen),
    )
    spec = next((one for is_it in matches for one in models if is_it(one)), None)
    known = spec is not None
    if spec is None:
        spec = _with_layers(_spec_of(Path(chosen), observation, environment, script, policy), environment)
    spec = _importing(spec, folder)
    return Subject(observation, run, acting, environment, path, trained, spec, known, script)


def models_together(observation: Observation, run: ObservedRun) -> str:
    """That several models are asked for an action, and which, and that it is not always that of one of them."""
    seen = [observation.models[number] for number in run.together]
    listed = ", ".join(f"{Path(path_read(one)).name or 'a new one'} ({one.line})" for one in seen)
    return (
        f"before most steps {len(seen)} models are asked about one observation, {listed}, and the actions are not all "
        "those of one of them"
    )


def path_read(model: ObservedModel) -> str:
    """The zip whose parameters were read into a model last; empty for none."""
    return next((path for path in (*reversed(model.set_from), model.path) if path), "")


def source_of(observation: Observation, acting: ObservedModel) -> ObservedModel | None:
    """The loaded model whose parameters were copied into the one that acts; None where they were not."""
    unchanged = acting.weights_acting == acting.weights
    if acting.learned or not acting.weights_acting or (unchanged and (path_read(acting) or not acting.set_from)):
        return None
    loaded = (one for one in reversed(observation.models) if one.path and one.weights == acting.weights_acting)
    return next(loaded, None)


def is_changed_unseen(model: ObservedModel) -> bool:
    """Whether a new model got other parameters than those it was made with, by something that is not observed.

    A ``load_state_dict`` does this, and a training loop of the script's own.
    """
    if model.made != "constructed" or any(model.set_from) or model.learned or not model.weights_acting:
        return False
    return not {model.weights_acting, model.weights_last} <= {model.weights, ""}


def is_set_anew(model: ObservedModel) -> bool:
    """Whether a model that the script trained acts with other parameters than that training ended with."""
    return bool(model.learned) and model.weights_acting not in ("", model.weights_learned, model.weights)


def _beside_the_missing(observation: Observation, script: ScriptSpec) -> str:
    """A file of the name that ``load`` did not find, in the script's folder or working directory; empty for none."""
    failed = observation.failed_load
    if failed is None or failed.path is None or not failed.is_missing:
        return ""
    folders = (Path(failed.path).parent.parent, Path(script.cwd), Path(script.script).parent)
    found = (folder / Path(failed.path).name for folder in folders)
    return next((str(path) for path in found if path.is_file()), "")


def _importing(spec: ExternalSpec, folder: str) -> ExternalSpec:
    """How a model is evaluated, able to import the classes that the script defines itself."""
    built = spec.environment
    return replace(spec, environment=replace(built, python_path=(*built.python_path, folder)))


def runs_of_models(observation: Observation, meant: str) -> list[ObservedRun]:
    """The last run of each model that acts in a script, with episodes that ended; of models of one zip the last.

    Where the same line acts deterministically and then stochastically, the deterministic run stands for both.
    The script's last run alone, where none of them is of a file, or was trained in the script.

    :param meant: the zip that the configuration says it is about, whose run is the only one then; empty for none
    """
    last = observation.run
    if last is None:
        return []
    runs: dict[str, ObservedRun] = {}
    for run in observation.runs:
        if run.counted and run.model is not None:
            key = _path_of(observation, run) or f"model {run.model}"
            before = runs.pop(key, None)
            runs[key] = run if before is None or not is_in_both_modes(before, run) else before
    if meant:
        return [run for path, run in runs.items() if is_same_file(path, meant)] or [last]
    models = observation.models
    of_files = [
        run
        for run in runs.values()
        if _path_of(observation, run) or (run.model is not None and models[run.model].learned)
    ]
    return of_files if last.model is not None and of_files else [last]


def in_environments_of_its_line(observation: Observation, run: ObservedRun) -> list[ObservedRun]:
    """Runs of the same model in environments that the same line made with other arguments, the last one first.

    So it is where a script evaluates a model under several of them.
    """
    own = observation.environments[run.environment]
    others = []
    for one in reversed(observation.runs):
        its = observation.environments[one.environment]
        is_alike = its.line == own.line and own.line is not None and its.env_kwargs != own.env_kwargs
        if (
            is_alike
            and one.counted
            and one.model is not None
            and _path_of(observation, one) == _path_of(observation, run)
        ):
            others.append(one)
    return others


def is_in_both_modes(one: ObservedRun, other: ObservedRun) -> bool:
    """Whether lines that act deterministically in one run act stochastically in another, as a script compares both."""
    first, second = ({(str(act.line), act.deterministic) for act in run.acts} for run in (one, other))
    usual = {(line, True) for line, _ in first}
    return bool(first) and first == usual and second == {(line, False) for line, _ in usual}


def _path_of(observation: Observation, run: ObservedRun) -> str:
    """The zip that a script means to let act: that of the acting model, or one that it read for it."""
    models = observation.models
    if run.model is not None:
        acting = models[run.model]
        source = source_of(observation, acting)
        if source is not None:
            return path_read(source)
        read = [acting.path, *reversed(acting.set_from)]
        on_it = [model.path for model in models if model.loaded_on == run.model]
        for path in (*read, *reversed(on_it)):
            if path:
                return path
        if is_changed_unseen(acting):
            return ""
    idle = [model.path for model in models if model.path and not model.weights_acting]
    return idle[-1] or "" if idle else ""


def _trained_in_vain(observation: Observation, acting: ObservedModel | None) -> ObservedModel | None:
    """The model that the script trained last, where it never acts, nor any file that it was saved to."""
    if acting is None or acting.made != "loaded" or acting.learned:
        return None
    loaded = {model.path for model in observation.models if model.path}
    trained = [model for model in observation.models if model.learned and model.algo == acting.algo]
    if not trained or any(model.weights_acting for model in trained):
        return None
    saved = {path for model in observation.models for path in model.saved}
    return None if any(is_same_file(one, other) for one in saved for other in loaded) else trained[-1]


def is_same_file(one: str, other: str) -> bool:
    """Whether two paths name the same file, or files with the same content."""
    first, second = Path(one), Path(other)
    if first.resolve() == second.resolve():
        return True
    return first.is_file() and second.is_file() and filecmp.cmp(first, second, shallow=False)


def _spec_of(
    path: Path, observation: Observation, environment: ObservedEnvironment, script: ScriptSpec, policy: ExternalPolicy
) -> ExternalSpec:
    """What is known of a model from its zip, and of its environment from the script."""
    if not path.is_file():
        was_there = any(path.resolve() in map(_resolved, (one.path, *one.saved)) for one in observation.models)
        raise NoSubject(
            f"{path} was loaded, and is no longer there when the script ends"
            if was_there
            else f"there is no file {path}"
        )
    saved = read_model(str(path), trusted=policy.trust, max_bytes=policy.max_bytes)
    algo = algorithm_of(settings(str(path)) or {})
    if not algo:
        raise NoSubject(f"{path.name} does not say which algorithm saved it")
    found, traces = own_statistics(find_statistics(path, saved, algo), path), traces_of(saved, algo, None)
    if not found and traces.original is not None:
        found = _loaded_statistics(observation, environment)
    return ExternalSpec(
        model=path.stem,
        source="folder",
        group=str(path.parent),
        role="final",
        algo=algo,
        device="cpu",
        deterministic=True,
        path=str(path),
        statistics=found[0] if found else None,
        normalized=False if traces.never_normalized and not found else None,
        n_envs=None,
        environment=_environment_spec(environment, script, path),
        named_by_user=("env", "wrappers", "vec_wrappers"),
    )


def own_statistics(found: Sequence[FoundStatistics], path: Path) -> list[str]:
    """Of statistics that may be a model's, the proved ones; else those of its name, or all, if all are the same."""
    proved = [one.path for one in found if one.proved]
    paths = [one.path for one in found]
    likely = [one for one in paths if has_name_of(Path(one), path)] or paths
    return proved or (likely if all(is_same_file(likely[0], one) for one in likely) else [])


def _loaded_statistics(observation: Observation, environment: ObservedEnvironment) -> list[str]:
    """The file from which the script's VecNormalize was loaded; none where it was not, or the file is gone."""
    number = environment.normalization
    path = None if number is None else observation.normalizations[number].path
    return [path] if path is not None and Path(path).is_file() else []


def _with_layers(spec: ExternalSpec, environment: ObservedEnvironment) -> ExternalSpec:
    """How a model is evaluated, with the wrappers of the script's VecEnv that can be built.

    VecNormalize stands where the script has it, or else around all but stacked frames; beside SB3's own wrappers it
    gets the place that its statistics fit.
    """
    layers = [one.spec for one in environment.vec_wrappers if can_be_built(one.spec)]
    names = [one.name for one in layers]
    if spec.statistics is None or not {*names} - {VEC_NORMALIZE, VEC_FRAME_STACK}:
        layers = [one for one in layers if one.name != VEC_NORMALIZE]
    elif VEC_NORMALIZE not in names:
        place = names.index(VEC_FRAME_STACK) if VEC_FRAME_STACK in names else len(layers)
        layers.insert(place, WrapperSpec(VEC_NORMALIZE, {}))
    return replace(spec, environment=replace(spec.environment, vec_wrappers=tuple(layers)))


def can_be_built(wrapper: WrapperSpec) -> bool:
    """Whether a wrapper of a script can be made again outside it."""
    return not wrapper.name.startswith("__main__:") and not is_lost(wrapper.kwargs)


def _resolved(path: str | None) -> Path | None:
    return None if path is None else Path(path).resolve()


def _environment_spec(environment: ObservedEnvironment, script: ScriptSpec, path: Path) -> EnvironmentSpec:
    """An environment as the script builds it; one that its processes build, as the script that trains its model does.

    :param path: of the model
    """
    name, wrappers = buildable(environment), tuple(one.spec for one in environment.wrappers or ())
    folders = (str(Path(script.script).parent), script.cwd, *script.python_path)
    if not (name or environment.env_class):
        spec = _of_training(path, script)
        spec = replace(spec, python_path=(*spec.python_path, *folders))
    elif not name or not all(map(can_be_built, wrappers)) or is_lost(environment.env_kwargs):
        raise NoSubject(
            "its environment is defined in the script itself, and cannot be taken out of it: put it into a module"
        )
    else:
        spec = EnvironmentSpec(name, dict(environment.env_kwargs or {}), wrappers, "env", (), folders)
    return spec if environment.time_limit is None else replace(spec, time_limit=environment.time_limit)


def _of_training(path: Path, script: ScriptSpec) -> EnvironmentSpec:
    """The environment of a model's training, as its repository says.

    :raises NoSubject: it does not say it
    """
    training = training_of(str(path), script.script, script.cwd, "")
    if training is None:
        raise NoSubject(
            "which environment its worker processes make is not seen, and no script beside it is found that trains its "
            "model: evaluate in a DummyVecEnv, or register the environment"
        )
    return training.environment


def buildable(environment: ObservedEnvironment) -> str:
    """What an environment of a script can be built from: an id of Gymnasium's own, or its class; empty for neither."""
    if environment.env_id in gym.registry or is_registered(environment.env_id):
        return environment.env_id
    if not environment.env_class:
        return environment.env_id
    return "" if environment.env_class.startswith("__main__:") else environment.env_class
