"""What a script does otherwise than an audit of its model would, and than training did."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import gymnasium as gym

from reload_audit.observing.figure import figure_of
from reload_audit.observing.statistics import statistics_differences
from reload_audit.observing.subject import NoSubject, Subject, subject_of
from reload_audit.processes.imports import extend_path
from reload_audit.reading.refusal import Unreadable
from reload_audit.records.observation import Observation, ObservedActs, ObservedModel
from reload_audit.records.script_record import Compared, ScriptDifference
from reload_audit.records.specs import ExternalPolicy, ExternalSpec, ScriptSpec

_RETURNS = re.compile(r"\.(reset|step)\(")
_CALL = re.compile(r"((?:\.predict|\bevaluate_policy)\((?:[^()]|\([^()]*\))*)\)")
"""A call of ``predict`` or ``evaluate_policy``, up to its closing bracket."""

_TUPLE = "You have passed a tuple to the predict() function"


def compared_with_model(
    observation: Observation, script: ScriptSpec, models: Sequence[ExternalSpec], policy: ExternalPolicy, folder: str
) -> tuple[Compared, ExternalSpec | None]:
    """Compare what a script did with what is known of its model.

    :param models: those of the audit
    :param folder: where the observer left what the script acted with
    :return: with how an audit evaluates the model; None where it cannot
    """
    raised = tuple(_raised(observation))
    run = observation.run
    if run is None:
        problem = "it ran no episode that was seen" if not observation.raised else "it raised before its first episode"
        return Compared("", "", None, raised, problem=problem), None
    figure = figure_of(observation, run)
    n_envs = observation.environments[run.environment].n_envs
    extend_path(script.python_path)
    try:
        subject = subject_of(observation, run, models, script, policy)
        extend_path(subject.spec.environment.python_path)
        found = [*raised, *_of_weights(subject, folder), *statistics_differences(subject, figure, policy)]
        found += [*_of_acting(subject), *_of_environment(subject), *_of_episodes(subject)]
    except (NoSubject, Unreadable) as problem:
        return Compared("", "", figure, raised, n_envs, str(problem)), None
    remarks = tuple(_remarks(subject))
    spec = subject.spec
    return Compared(spec.model, spec.path, figure, found, n_envs, spec.problem or "", remarks), spec


def _raised(observation: Observation) -> Iterator[ScriptDifference]:
    line = observation.raised_at
    if observation.raised.startswith("ValueError") and _TUPLE in observation.raised:
        instead = "obs, info = env.reset()"
        evidence = "reset() of a Gymnasium environment returns observation and info, and both went to predict()"
        yield ScriptDifference("reset-return-misread", line, evidence, instead)
    elif (
        line is not None
        and re.search(r"values to unpack", observation.raised)
        and re.search(r"\.(reset|step)\(", line.code)
    ):
        evidence = f"what {line.code} returns is taken apart into another number of values: {observation.raised}"
        yield ScriptDifference("reset-return-misread", line, evidence)


def _remarks(subject: Subject) -> Iterator[str]:
    acting, spec = subject.acting, subject.spec
    if acting is not None and acting.made == "loaded" and acting.algo != spec.algo:
        yield f"{acting.line}: {acting.algo}.load reads a model of {spec.algo}; SB3 does not object"
    if not subject.known:
        yield "only the script says in which environment the model was trained"


# --- Which weights act ---


def _of_weights(subject: Subject, folder: str) -> Iterator[ScriptDifference]:
    acting, number = subject.acting, subject.run.model
    if acting is None:
        return
    changes: dict[str, object] = {"model_file": f"{folder}/model{number}.zip"}
    intact = acting.weights_acting == acting.weights
    if acting.made == "constructed" and not acting.set_from and not acting.learned:
        yield _never_loaded(subject, acting, changes)
    elif acting.learned and (acting.made == "loaded" or acting.set_from):
        evidence = f"{acting.learn_line} trains it on for {acting.learned:,} steps before it is evaluated"
        yield ScriptDifference("trained-while-evaluating", acting.learn_line, evidence, changes=changes)
    elif acting.made == "loaded" and not acting.set_from and not intact:
        evidence = f"the parameters that act are not those that {acting.line} loaded: something set them anew"
        yield ScriptDifference("other-weights", acting.line, evidence, changes=changes)


def _never_loaded(subject: Subject, acting: ObservedModel, changes: dict[str, object]) -> ScriptDifference:
    models, number = subject.observation.models, subject.run.model
    idle = [model for model in models if model.made == "loaded" and not model.weights_acting]
    on_it = [model for model in idle if model.loaded_on == number]
    if not idle:
        evidence = f"nothing is loaded: the new, untrained model of {acting.line} acts"
        return ScriptDifference("other-weights", acting.line, evidence, changes=changes)
    loaded = (on_it or idle)[-1]
    evidence = f"load() returns the loaded model, which never acts; the new, untrained model of {acting.line} does"
    return ScriptDifference("load-not-assigned", loaded.line, evidence, _assigned(acting, loaded), changes)


def _assigned(acting: ObservedModel, loaded: ObservedModel) -> str:
    """The line of ``load``, with what it returns assigned to the name that acts."""
    if acting.line is None or loaded.line is None:
        return ""
    name = re.match(r"([A-Za-z_][\w.]*)\s*=[^=]", acting.line.code)
    call = re.search(r"[\w.]+\.load\((.*)\)\s*$", loaded.line.code)
    return f"{name[1]} = {acting.algo}.load({call[1]})" if name and call else ""


# --- How actions are asked for ---


def _of_acting(subject: Subject) -> Iterator[ScriptDifference]:
    acts, spec = subject.run.acts, subject.spec
    if not acts:
        return
    flags = {act.deterministic for act in acts}
    if len(flags) == 1 and spec.deterministic not in flags:
        yield _of_mode(max(acts, key=lambda act: act.count), deterministic=spec.deterministic)
    if spec.algo == "RecurrentPPO":
        if not any(act.state for act in acts):
            evidence = "predict() is never given the state that it returned: every step is the first of an episode"
            instead = _with_argument(acts[0], "state=lstm_states, episode_start=episode_starts")
            yield ScriptDifference("recurrent-state-dropped", acts[0].line, evidence, instead, {"carry_state": False})
        elif not any(act.starts for act in acts) and len(subject.run.episodes) > 1:
            evidence = (
                "predict() is given the state, but not where episodes begin: each goes on with the state of the last"
            )
            instead = _with_argument(acts[0], "episode_start=episode_starts")
            yield ScriptDifference("episode-start-missing", acts[0].line, evidence, instead, {"episode_starts": False})
    if spec.algo == "MaskablePPO" and not any(act.masks for act in acts):
        evidence = "predict() is not given action masks: the policy chooses among all actions"
        instead = _with_argument(acts[0], "action_masks=get_action_masks(env)")
        yield ScriptDifference("action-masks-missing", acts[0].line, evidence, instead, {"give_masks": False})


def _of_mode(act: ObservedActs, *, deterministic: bool) -> ScriptDifference:
    words = {True: "deterministic", False: "stochastic"}
    found, usual = words[not deterministic], words[deterministic]
    evidence = f"all {act.count:,} actions of {act.how} are {found}; the model is measured with {usual} ones"
    instead = _with_argument(act, f"deterministic={deterministic}")
    return ScriptDifference("policy-mode", act.line, evidence, instead, {"deterministic": not deterministic})


def _with_argument(act: ObservedActs, argument: str) -> str:
    """The line of a call of ``predict`` or ``evaluate_policy``, with another argument."""
    if act.line is None:
        return ""
    name = argument.partition("=")[0]
    code = re.sub(rf",?\s*\b{name}\s*=\s*(True|False)", "", act.line.code)
    made, count = re.subn(
        r"((?:\.predict|\bevaluate_policy)\((?:[^()]|\([^()]*\))*)\)", rf"\1, {argument})", code, count=1
    )
    return made if count else ""


# --- The environment ---


def _of_environment(subject: Subject) -> Iterator[ScriptDifference]:
    if not subject.known:
        return
    spec, seen = subject.spec.environment, subject.environment
    env_id = spec.env.rpartition(":")[2]
    registered = gym.registry.get(env_id)
    if seen.env_id and registered is not None and seen.env_id != env_id:
        evidence = f"the environment is {seen.env_id}; the model was trained in {env_id}"
        instead = "" if seen.line is None else seen.line.code.replace(seen.env_id, env_id)
        yield ScriptDifference(
            "environment-differs", seen.line, evidence, instead, {"environment": {"env": seen.env_id}}
        )
        return
    if registered is None or seen.env_id != env_id:
        return
    limit = spec.env_kwargs.get("max_episode_steps", registered.max_episode_steps)
    expected = {
        **registered.kwargs,
        **{key: value for key, value in spec.env_kwargs.items() if key != "max_episode_steps"},
    }
    expected.pop("render_mode", None)
    if seen.env_kwargs is not None and dict(seen.env_kwargs) != expected:
        other = {key: seen.env_kwargs.get(key) for key in {*expected, *seen.env_kwargs}}
        other = {key: value for key, value in other.items() if value != expected.get(key)}
        evidence = f"the environment has the arguments {dict(seen.env_kwargs)}; in training it had {expected}"
        known = all(key in seen.env_kwargs for key in other)
        changes = {"environment": {"env_kwargs": other}}
        yield ScriptDifference("env-kwargs", seen.line, evidence, changes=changes if known else None)
    if seen.time_limit is not None and seen.time_limit != limit:
        evidence = f"episodes end after {seen.time_limit} steps; in training after {limit}"
        limited: dict[str, object] = {"environment": {"time_limit": seen.time_limit}}
        yield ScriptDifference("time-limit", seen.line, evidence, changes=limited)


# --- Episodes ---


def _of_episodes(subject: Subject) -> Iterator[ScriptDifference]:
    run, n_envs = subject.run, subject.environment.n_envs
    cut = [episode for episode in run.episodes if episode.ending == "cut"]
    if n_envs > 1 and len(cut) >= len(run.ended):
        evidence = (
            f"reset() is called while episodes go on in others of the {n_envs} environments: {len(run.ended)} episodes "
            f"ended, and {len(cut)} were cut short"
        )
        yield ScriptDifference("done-of-a-vector", run.step_line, evidence)
