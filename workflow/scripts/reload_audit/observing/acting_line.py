"""Rewrite the line of a script that asks for actions, or takes them, so that they are those of the policy."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

from reload_audit.observing.acting import DISTRIBUTION
from reload_audit.observing.statement import LEFT_OUT, Statement, last_name, owner, parsed_file
from reload_audit.observing.subject import Subject
from reload_audit.planning.discovery.zips import settings
from reload_audit.reading.refusal import Unreadable
from reload_audit.records.observation import Line, ObservedActs, ObservedRun

_PREDICT = ("predict", "evaluate_policy")
_POLICY = ("forward", "_predict", "policy", "actor")
"""Names under which scripts call a policy by itself."""

_SQUASHED = ("SAC", "TD3", "DDPG", "TQC", "CrossQ")
"""Algorithms whose policies give actions in [-1, 1]."""


def asked_deterministically(act: ObservedActs, *, deterministic: bool) -> str:
    """The line that asks for actions, with deterministic or stochastic ones; empty where it cannot be rewritten."""
    statement = Statement.of(act.line)
    if statement is None:
        return ""
    drawn = statement.call("sample", "mode") if act.how == DISTRIBUTION else None
    distribution = None if drawn is None else owner(drawn)
    if drawn is not None and distribution is not None:
        chosen = "mode" if deterministic else "sample"
        return statement.with_part(drawn.func, f"{statement.text(distribution)}.{chosen}")
    call = statement.call(*_PREDICT, "get_actions") or statement.call(*_POLICY)
    if call is None or not _takes_mode(statement, call):
        return ""
    return statement.with_arguments(call, {"deterministic": str(deterministic)})


def _takes_mode(statement: Statement, call: ast.Call) -> bool:
    """Whether it is known where a call says that actions should be deterministic, or that it does not say so."""
    if any(one.arg == "deterministic" for one in call.keywords):
        return True
    placed = statement.arguments_of(call).get("deterministic")
    is_flag = placed is None or (isinstance(placed, ast.Constant) and isinstance(placed.value, bool))
    return is_flag and not any(isinstance(one, ast.Starred) for one in call.args)


def normalized_by_its_own(line: Line | None) -> str:
    """A formula that takes a VecNormalize's ``obs_rms`` into account, with the ``normalize_obs`` of that instead."""
    statement = Statement.of(line)
    value = None if statement is None else statement.made
    if statement is None or value is None:
        return ""
    for node in ast.walk(value):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub) and isinstance(node.right, ast.Attribute):
            owned = node.right.value
            if node.right.attr == "mean" and isinstance(owned, ast.Attribute) and owned.attr == "obs_rms":
                made = f"{statement.text(owned.value)}.normalize_obs({statement.text(node.left)})"
                return statement.with_part(value, made)
    return ""


def with_masks(run: ObservedRun) -> str:
    """The line that asks for actions, with those masks that the stepped environment gives."""
    statement, step = Statement.of(run.acts[0].line), Statement.of(run.step_line)
    if statement is None:
        return ""
    if statement.call("evaluate_policy") is not None:
        return statement.following("from sb3_contrib.common.maskable.evaluation import evaluate_policy")
    call, stepping = statement.call("predict"), None if step is None else step.call("step")
    env = None if stepping is None else owner(stepping)
    if call is None or step is None or env is None or not _sees(run.acts[0].line, step.text(env), run.step_line):
        return ""
    masks = f"get_action_masks({step.text(env)})"
    given = "from sb3_contrib.common.maskable.utils import get_action_masks"
    return statement.with_arguments(call, {"action_masks": masks}, given)


def with_state(run: ObservedRun) -> str:
    """The line that asks a recurrent policy for actions, with the state that it returned, and where episodes begin."""
    statement, step = Statement.of(run.acts[0].line), Statement.of(run.step_line)
    call = None if statement is None else statement.call("predict")
    if statement is None or call is None or len(statement.tree.body) != 1:
        return ""
    targets = statement.targets
    if len(targets) == 2:
        action, name = targets
    elif len(targets) == 1 and isinstance(statement.value, ast.Subscript) and statement.value.value is call:
        action, name = targets[0], "_"
    else:
        return ""
    name = "lstm_states" if name == "_" else name
    told = statement.arguments_of(call)
    # A name that is not given to predict() may not be there yet in the first step.
    is_there = "state" in told and statement.text(told["state"]) == name
    if not is_there and not name.isidentifier():
        return ""
    if name.isidentifier() and not _sees(run.step_line, name, run.acts[0].line):
        return ""  # a function's own name does not last until it is called again
    state = name if is_there else f"locals().get({name!r})"
    arguments = {"state": state}
    over = _ends(step) if _sees(run.acts[0].line, "", run.step_line) else ""
    if over and ("episode_start" not in told or run.begins == run.steps):
        arguments["episode_start"] = f"None if {state} is None else {over}"
    made = statement.with_arguments(call, arguments)
    changed = Statement.of(Line("", 1, made))
    if changed is None or targets == [action, name]:
        return made
    asked = changed.call("predict")
    return "" if asked is None else f"{action}, {name} = {changed.text(asked)}"


def state_to_empty(run: ObservedRun, folder: Path) -> str:
    """The name of the state that a script has to empty itself where an episode begins; empty where it need not.

    It has to where the names that tell of an episode's end are set anew before the policy is asked again.

    :param folder: of the script
    """
    changed = Statement.of(Line("", 1, with_state(run)))
    if changed is None or run.step_line is None or len(changed.targets) != 2:
        return ""
    parsed = parsed_file(folder, run.step_line)
    over = _ends(Statement.of(run.step_line))
    names = {node.id for node in ast.walk(ast.parse(over)) if isinstance(node, ast.Name)}
    set_anew = parsed is not None and bool(names & _set_to_false(parsed[1]))
    return changed.targets[1] if set_anew or not over else ""


def _set_to_false(tree: ast.Module) -> set[str]:
    """The names that a file sets to False somewhere."""
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            pairs = [(target, node.value)]
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = [*zip(target.elts, node.value.elts, strict=False)]
            found |= {
                one.id
                for one, value in pairs
                if isinstance(one, ast.Name) and isinstance(value, ast.Constant) and value.value is False
            }
    return found


def _ends(step: Statement | None) -> str:
    """Code that tells which episodes ended, from the names to which the line of ``step`` assigns its results."""
    names = [] if step is None else step.targets
    if "_" in names[2:-1]:
        return ""
    if len(names) == 4:
        return names[2]
    return f"[{names[2]} or {names[3]}]" if len(names) == 5 else ""


def with_actions_in_bounds(subject: Subject) -> tuple[Line | None, str]:
    """The line that steps the environment, with actions as ``predict`` gives them: clipped, or rescaled."""
    acts, line = subject.run.acts, subject.run.step_line
    asked = acts[0].line if acts and not subject.run.acts_by_itself else line
    step, asking = Statement.of(line), Statement.of(asked)
    call = None if step is None else step.call("step")
    env = None if call is None else owner(call)
    if step is None or call is None or env is None or not call.args or isinstance(call.args[0], ast.List | ast.Tuple):
        return asked, ""
    action, space = step.text(call.args[0]), f"{step.text(env)}.action_space"
    plain = isinstance(call.args[0], ast.Name | ast.Attribute | ast.Call | ast.Subscript)
    if subject.spec.algo not in _SQUASHED:
        if _is_squashed(subject.spec.path):
            return asked, ""
        clipped = f"{action if plain else f'({action})'}.clip({space}.low, {space}.high)"
        return line, step.with_part(call.args[0], clipped)
    policy = "" if asking is None or asked is line else _policy(asking)
    if _sees(line, policy, asked) and policy:
        return line, step.with_part(call.args[0], f"{policy}.unscale_action({action})")
    if asked is not line and not policy:
        return asked, ""
    rescaled = f"{space}.low + 0.5 * (1.0 + {action if plain else f'({action})'}) * ({space}.high - {space}.low)"
    return line, step.with_part(call.args[0], rescaled)


def with_actions_as_chosen(run: ObservedRun) -> tuple[Line | None, str]:
    """The line that alters the policy's actions, before the step or in it, with the actions as the policy gives them.

    :return: the line that steps, and nothing, where neither is seen to do it
    """
    step, asking = Statement.of(run.step_line), Statement.of(run.acts[0].line)
    call = None if step is None else step.call("step")
    if step is None or call is None or not call.args or asking is None or asking.call("predict") is None:
        return run.step_line, ""
    chosen = run.acts[0].line
    if not isinstance(call.args[0], ast.Name):
        action = _named_in(call.args[0], asking.targets)
        is_known = action and _sees(run.step_line, action, chosen)
        return run.step_line, step.with_part(call.args[0], action) if is_known else ""
    formed = Statement.of(run.formed_line)
    value = None if formed is None else formed.made
    if formed is None or value is None or formed.call("predict") is not None:
        return run.step_line, ""
    action = _named_in(value, asking.targets)
    if not action or not _sees(run.formed_line, action, chosen):
        return run.formed_line, ""
    return run.formed_line, LEFT_OUT if formed.targets == [action] else formed.with_part(value, action)


def _named_in(value: ast.expr, names: Sequence[str]) -> str:
    """The one of these names that stands in an expression; empty where none does, or several."""
    found = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)} & {*names} - {"_"}
    return next(iter(found)) if len(found) == 1 else ""


def _is_squashed(path: str) -> bool:
    """Whether the policy in a zip is told to give actions in [-1, 1], or it cannot be known."""
    try:
        arguments = (settings(path) or {}).get("policy_kwargs")
    except (OSError, Unreadable):
        return True
    return isinstance(arguments, dict) and str(arguments.get("squash_output")) == "True"


def without_training_mode(line: Line | None) -> str:
    """The line that calls a policy, with the policy set to evaluation mode before."""
    statement = Statement.of(line)
    policy = "" if statement is None else _policy(statement)
    return statement.following(f"{policy}.set_training_mode(False)") if statement is not None and policy else ""


def _sees(line: Line | None, code: str, other: Line | None) -> bool:
    """Whether code of another line stands for the same on a line."""
    return line is not None and other is not None and line.sees(code, other)


def _policy(statement: Statement) -> str:
    """The policy that a line calls, as it names it; empty where it calls none."""
    call = statement.call(*_POLICY, "get_distribution")
    if call is None:
        return ""
    is_itself = last_name(call.func) in ("policy", "actor")
    found = call.func if is_itself else owner(call)
    return "" if found is None else statement.text(found)


# --- What the policy is shown ---


def with_new_observation(stepping: Line | None, asking: Line | None) -> str:
    """The line that steps the environment, with what it returns given the name that the policy is shown as well."""
    step, statement = Statement.of(stepping), Statement.of(asking)
    call = None if statement is None else statement.call("predict")
    if step is None or statement is None or call is None or not call.args or len(step.targets) < 4:
        return ""
    shown, returned = statement.text(call.args[0]), step.targets[0]
    if not isinstance(call.args[0], ast.Name) or returned == shown or not _sees(stepping, shown, asking):
        return ""
    if returned == "_":
        return step.with_targets(", ".join((shown, *step.targets[1:])))
    return step.with_targets(", ".join(step.targets), f"{shown} = {returned}")


def with_what_is_returned(stepping: Line | None, asking: Line | None) -> str:
    """The line that asks for actions, with just what the environment returned in place of what is made of it."""
    step, statement = Statement.of(stepping), Statement.of(asking)
    call = None if statement is None else statement.call("predict")
    if step is None or statement is None or call is None or not call.args or len(step.targets) < 4:
        return ""
    shown, returned = call.args[0], _named_in(call.args[0], step.targets[:1])
    if not _sees(asking, returned, stepping):
        return ""
    return statement.with_part(shown, returned) if returned and not isinstance(shown, ast.Name) else ""


def without_rounding(line: Line | None) -> str:
    """The line that asks for actions, without the call that casts or rounds what the policy is shown."""
    statement = Statement.of(line)
    call = None if statement is None else statement.call("predict")
    shown = call.args[0] if call is not None and call.args else None
    if statement is None or not isinstance(shown, ast.Call):
        return ""
    inside = owner(shown) if last_name(shown.func) in ("astype", "round", "int", "long") else None
    if isinstance(inside, ast.Name) and inside.id in ("np", "numpy", "torch", "th"):
        inside = shown.args[0] if shown.args else None
    return "" if inside is None else statement.with_part(shown, statement.text(inside))


def normalized_once(line: Line | None) -> str:
    """The line that asks for actions, without ``normalize_obs`` around what VecNormalize has normalised."""
    statement = Statement.of(line)
    call = None if statement is None else statement.call("normalize_obs")
    if statement is None or call is None or not call.args:
        return ""
    return statement.with_part(call, statement.text(call.args[0]))


def normalized_as_trained(asking: Line | None, stepping: Line | None) -> str:
    """The line that asks for actions, with VecNormalize's own formula in place of one that uses its ``obs_rms``."""
    statement, step = Statement.of(asking), Statement.of(stepping)
    call = None if statement is None else statement.call("predict")
    if statement is None or step is None or call is None or not call.args or len(step.targets) < 4:
        return ""
    parts = (node for node in ast.walk(call.args[0]) if isinstance(node, ast.Attribute) and node.attr == "obs_rms")
    statistics = next(parts, None)
    shown = {node.id for node in ast.walk(call.args[0]) if isinstance(node, ast.Name)}
    if statistics is None or step.targets[0] not in shown or not _sees(asking, step.targets[0], stepping):
        return ""
    if statement.text(statistics.value) == "self":
        return ""
    normalized = f"{statement.text(statistics.value)}.normalize_obs({step.targets[0]})"
    return statement.with_part(call.args[0], normalized)
