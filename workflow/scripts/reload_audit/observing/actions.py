"""Whether a script takes the actions that its model gives, and asks for them as an audit does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reload_audit.observing.acting_line import (
    asked_deterministically,
    state_to_empty,
    with_actions_as_chosen,
    with_actions_in_bounds,
    with_masks,
    with_state,
    without_training_mode,
)
from reload_audit.observing.altered_actions import rule_of
from reload_audit.observing.subject import Subject, models_together
from reload_audit.records.observation import ObservedActs, ObservedRun
from reload_audit.records.script_record import ScriptDifference

BY_ITSELF = "no model acts that was seen: the script's own code chooses the actions"


def action_differences(subject: Subject) -> Iterator[ScriptDifference]:
    """Compare how a script asks for actions, and what it does with them, with how an audit does."""
    acts, spec = subject.run.acts, subject.spec
    if subject.run.acts_by_itself:
        yield from _of_own_actions(subject)
        return
    yield from _changed_on_the_way(subject)
    flags = {act.deterministic for act in acts if act.deterministic is not None}
    if len(flags) == 1 and spec.deterministic not in flags:
        yield _of_mode(max(acts, key=lambda act: act.count), deterministic=spec.deterministic)
    yield from _of_the_network(subject)
    as_in_training = [act for act in acts if act.training]
    if as_in_training:
        evidence = (
            f"{sum(act.count for act in as_in_training):,} actions are of a network in training mode: dropout drops, "
            "and batch norm takes the moments of each batch"
        )
        line = as_in_training[0].line
        instead, changes = without_training_mode(line), {"training_mode": True}
        yield ScriptDifference("network-in-training-mode", line, evidence, instead, changes)
    if spec.algo == "RecurrentPPO":
        yield from _of_states(subject)
    if spec.algo == "MaskablePPO":
        yield from _of_masks(subject.run)


def _of_own_actions(subject: Subject) -> Iterator[ScriptDifference]:
    """Actions of the script's own code: those of the model, those of its network alone, or others."""
    own, evidence = subject.own_actions, BY_ITSELF
    if own is not None and own.are_of_the_model:
        yield from _of_the_network(subject)
        return
    if own is not None:
        evidence += f"; {own.alike:,} of {own.compared:,} are those that the model gives after the same observations"
    yield ScriptDifference("actions-changed", subject.run.step_line, evidence, in_doubt=True)


def _of_the_network(subject: Subject) -> Iterator[ScriptDifference]:
    """Actions that go to the environment as the policy network gives them, seen to or computed by the script itself."""
    run, own = subject.run, subject.own_actions
    if run.outside:
        evidence = f"{run.outside:,} of {run.steps:,} actions go to the environment as the policy network gives them"
    elif own is not None and own.are_of_the_model and not own.bounded:
        evidence = f"{own.alike:,} of {own.compared:,} actions of the script's own are those of the policy network"
    else:
        return
    evidence += ": predict() clips them to the action space, or rescales them to it"
    line, instead = with_actions_in_bounds(subject)
    yield ScriptDifference("action-not-clipped", line, evidence, instead, {"clip_actions": False})


def _changed_on_the_way(subject: Subject) -> Iterator[ScriptDifference]:
    """Actions that are not those which the policy gave: an error, or a conversion that some environment needs."""
    run = subject.run
    if run.together:
        evidence = models_together(subject.observation, run)
        yield ScriptDifference("actions-changed", run.step_line, evidence, in_doubt=True)
    elif run.changed:
        rule = rule_of(run.taken, subject.environment.spaces_outwards[-1].actions)
        evidence = (
            f"{run.changed:,} of {run.steps:,} actions that reach the environment are not those that the policy gave: "
            f"{'something changes or replaces them in between' if rule is None else rule.said}"
        )
        line, instead = (run.step_line, "") if rule is None else with_actions_as_chosen(run)
        changes = None if rule is None else {"environment": {"wrappers": [[*rule.wrapper]]}}
        yield ScriptDifference("actions-changed", line, evidence, instead, changes, in_doubt=True)
    elif run.repeats > 1:
        evidence = (
            f"each action of the policy is taken {run.repeats} times: it is asked for {run.steps - run.unasked:,} "
        )
        evidence += f"of {run.steps:,} steps"
        wrapper = ["reload_audit.evaluation.wrappers:RepeatsActions", {"times": run.repeats}]
        changes = {"environment": {"wrappers": [wrapper]}}
        yield ScriptDifference("actions-changed", run.step_line, evidence, "", changes, in_doubt=True)
    elif run.unasked:
        evidence = (
            f"{run.unasked:,} of {run.steps:,} steps are taken without asking the policy what to do: with actions of "
            "the script's own, or with its last one again"
        )
        yield ScriptDifference("actions-changed", run.step_line, evidence, in_doubt=True)


def _of_states(subject: Subject) -> Iterator[ScriptDifference]:
    """Whether a recurrent policy is given its state, and told where episodes begin."""
    run = subject.run
    stateless = sum(act.count for act in run.acts if not act.state)
    cause, changes = "recurrent-state-dropped", {"carry_state": False}
    if stateless == sum(act.count for act in run.acts) > len(run.episodes):
        evidence = "predict() is never given the state that it returned: every step is the first of an episode"
    elif run.begins == run.steps > len(run.episodes):
        evidence = "predict() is told in every step that an episode begins, and so begins with an empty state each time"
    elif len(run.ended) > 1 and run.begins <= 1 and stateless <= 1:
        evidence = "predict() is given the state, but not where episodes begin: each goes on with the state of the last"
        cause, changes = "episode-start-missing", {"episode_starts": False}
    else:
        return
    folder = Path(subject.script.script).parent
    name, reset, line = state_to_empty(run, folder), subject.observation.last_reset, run.acts[0].line
    instead = with_state(run)
    instead = "" if line is not None and instead == line.code else instead
    if name:
        is_there = reset is not None and line is not None and reset.sees(name, line)
        where = f"after {reset} `{reset.code}`" if reset is not None and is_there else "where an episode begins"
        evidence += f"; {'beside what is written below, ' if instead else ''}{name} = None has to stand {where}"
    yield ScriptDifference(cause, line, evidence, instead, changes)


def _of_masks(run: ObservedRun) -> Iterator[ScriptDifference]:
    """Whether a policy that masks actions is given the masks of each step."""
    line, instead = run.acts[0].line, with_masks(run)
    if not any(act.masks for act in run.acts):
        evidence = "predict() is not given action masks: the policy chooses among all actions"
        yield ScriptDifference("action-masks-missing", line, evidence, instead, {"give_masks": False})
    elif run.masks_again and run.masks_again >= run.steps - len(run.episodes):
        evidence = "predict() is given the action masks of an episode's first step in all its steps"
        changes = {"environment": {"wrappers": [["reload_audit.evaluation.wrappers:FirstMasks", {}]]}}
        yield ScriptDifference("action-masks-missing", line, evidence, instead, changes)


def _of_mode(act: ObservedActs, *, deterministic: bool) -> ScriptDifference:
    words = {True: "deterministic", False: "stochastic"}
    found, usual = words[not deterministic], words[deterministic]
    evidence = f"all {act.count:,} actions of {act.how} are {found}; the model is measured with {usual} ones"
    instead = asked_deterministically(act, deterministic=deterministic)
    return ScriptDifference("policy-mode", act.line, evidence, instead, {"deterministic": not deterministic})
