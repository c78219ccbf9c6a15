"""What a script does otherwise than an audit of its model would, and than training did."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from reload_audit.observing.counting import counting_differences
from reload_audit.observing.environment import environment_differences
from reload_audit.observing.figure import figure_of
from reload_audit.observing.statistics import statistics_differences
from reload_audit.observing.subject import NoSubject, Subject, subject_of
from reload_audit.observing.weights import load_that_failed, weights_differences
from reload_audit.processes.imports import extend_path
from reload_audit.reading.refusal import Unreadable
from reload_audit.records.observation import Observation, ObservedActs, ObservedRun
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
        return Compared("", "", None, (*raised, *load_that_failed(observation)), problem=_no_episode(observation)), None
    figure = figure_of(observation, run)
    n_envs = observation.environments[run.environment].n_envs
    extend_path(script.python_path)
    try:
        subject = subject_of(observation, run, models, script, policy)
        extend_path(subject.spec.environment.python_path)
        found = [*raised, *weights_differences(subject, folder), *statistics_differences(subject, figure, policy)]
        found += [
            *_of_acting(subject),
            *environment_differences(subject, policy),
            *counting_differences(subject, figure),
        ]
    except (NoSubject, Unreadable) as problem:
        return Compared("", "", figure, raised, n_envs, str(problem)), None
    remarks = tuple(_remarks(subject))
    spec = subject.spec
    return Compared(spec.model, spec.path, figure, found, n_envs, spec.problem or "", remarks), spec


def _no_episode(observation: Observation) -> str:
    """Why there is nothing to compare."""
    failed = observation.failed_load
    if failed is not None and failed.path is not None and not Path(failed.path).is_file():
        return f"{failed.line} loads a model from {failed.path}, which is no file: does `cwd` name the right folder?"
    if observation.raised.startswith("EOFError"):
        return "it reads from standard input, which is empty here: let it take what it asks for from `args` or `env`"
    if observation.raised:
        return "it raised before its first episode ended"
    if observation.runs:
        return "it ended before any of its episodes did"
    if observation.models:
        return "it makes a model, but steps no environment that was seen"
    return (
        "it neither makes a model nor steps an environment: either another script imports it, which is the one to "
        "name, or it leaves that to processes of its own, which are not observed"
    )


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
    acted = {run.model for run in subject.observation.runs if run.counted}
    if len(acted) > 1:
        yield f"it evaluates {len(acted)} models; the last of them is compared"
    if subject.run.changed:
        yield f"{subject.run.changed:,} of {subject.run.steps:,} actions are not those that predict() gave"
    if not subject.known:
        yield "only the script says in which environment the model was trained"


# --- How actions are asked for ---


def _of_acting(subject: Subject) -> Iterator[ScriptDifference]:
    acts, spec = subject.run.acts, subject.spec
    if not acts:
        evidence = "no model acts: the script's own code chooses the actions"
        yield ScriptDifference("other-weights", subject.run.step_line, evidence)
        return
    flags = {act.deterministic for act in acts}
    if len(flags) == 1 and spec.deterministic not in flags:
        yield _of_mode(max(acts, key=lambda act: act.count), deterministic=spec.deterministic)
    if subject.run.outside:
        evidence = (
            f"{subject.run.outside:,} of {subject.run.steps:,} actions go to the environment as the policy network "
            "gives them: predict() clips them to the action space, or rescales them to it"
        )
        yield ScriptDifference("action-not-clipped", acts[0].line, evidence, changes={"clip_actions": False})
    if spec.algo == "RecurrentPPO":
        yield from _of_states(subject.run)
    if spec.algo == "MaskablePPO" and not any(act.masks for act in acts):
        evidence = "predict() is not given action masks: the policy chooses among all actions"
        instead = _with_argument(acts[0], action_masks="get_action_masks(env)")
        yield ScriptDifference("action-masks-missing", acts[0].line, evidence, instead, {"give_masks": False})


def _of_states(run: ObservedRun) -> Iterator[ScriptDifference]:
    """Whether a recurrent policy is given its state, and told where episodes begin."""
    acts = run.acts
    stateless = sum(act.count for act in acts if not act.state)
    told = {} if any(act.starts for act in acts) else {"episode_start": "episode_starts"}
    if stateless == sum(act.count for act in acts) > len(run.episodes):
        evidence = "predict() is never given the state that it returned: every step is the first of an episode"
        instead = _with_argument(acts[0], state=_returned_state(acts[0]), **told)
        yield ScriptDifference("recurrent-state-dropped", acts[0].line, evidence, instead, {"carry_state": False})
    elif run.begins == run.steps > len(run.episodes):
        evidence = "predict() is told in every step that an episode begins, and so begins with an empty state each time"
        instead = _with_argument(acts[0], episode_start="episode_starts")
        yield ScriptDifference("recurrent-state-dropped", acts[0].line, evidence, instead, {"carry_state": False})
    elif len(run.ended) > 1 and run.begins <= 1 and stateless <= 1:
        evidence = "predict() is given the state, but not where episodes begin: each goes on with the state of the last"
        instead = _with_argument(acts[0], episode_start="episode_starts")
        yield ScriptDifference("episode-start-missing", acts[0].line, evidence, instead, {"episode_starts": False})


def _of_mode(act: ObservedActs, *, deterministic: bool) -> ScriptDifference:
    words = {True: "deterministic", False: "stochastic"}
    found, usual = words[not deterministic], words[deterministic]
    evidence = f"all {act.count:,} actions of {act.how} are {found}; the model is measured with {usual} ones"
    instead = _with_argument(act, deterministic=str(deterministic))
    return ScriptDifference("policy-mode", act.line, evidence, instead, {"deterministic": not deterministic})


def _with_argument(act: ObservedActs, **arguments: str) -> str:
    """The line of a call of ``predict`` or ``evaluate_policy``, with other arguments."""
    if act.line is None:
        return ""
    code = act.line.code
    if not _CALL.search(code):
        return ""
    for name, value in arguments.items():
        code, count = re.subn(rf"\b{name}\s*=\s*[^,()]+", f"{name}={value}", code, count=1)
        if not count:
            code = _CALL.sub(rf"\1, {name}={value})", code, count=1)
    return code


def _returned_state(act: ObservedActs) -> str:
    """The name that a line gives to the state that ``predict`` returns."""
    code = "" if act.line is None else act.line.code
    found = re.match(r"\(?\s*[\w.]+\s*,\s*([A-Za-z]\w*)\s*\)?\s*=", code)
    return found[1] if found else "lstm_states"
