"""Whether the parameters that act in a script are those of the model that it means."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from reload_audit.models.algorithms import algorithm
from reload_audit.observing.setting_lines import line_that_sets
from reload_audit.observing.statement import LEFT_OUT, Statement, owner
from reload_audit.observing.subject import (
    Subject,
    is_changed_unseen,
    is_same_file,
    is_set_anew,
    path_read,
    source_of,
)
from reload_audit.planning.discovery.zips import algorithm_of, settings
from reload_audit.records.observation import Line, Observation, ObservedModel
from reload_audit.records.script_record import ScriptDifference


def weights_differences(subject: Subject, folder: str) -> Iterator[ScriptDifference]:
    """Compare what acts with what the model's file holds.

    :param folder: where the observer left the models that acted
    """
    acting, number = subject.acting, subject.run.model
    if acting is None:
        return
    changes: dict[str, object] = {"model_file": f"{folder}/model{number}.zip"}
    source = source_of(subject.observation, acting)
    read = path_read(source or acting)
    if source is None and is_untrained(acting):
        yield _never_loaded(subject, acting, changes)
    elif source is None and is_changed_unseen(acting):
        line, _, said = line_that_sets(subject, acting)
        evidence = (
            f"the parameters of the new model of {acting.line} are those of no model that was seen, as {said}: whether "
            f"they are those of {Path(subject.spec.path).name} is not known"
        )
        kept = None if acting.weights_acting == acting.weights else changes
        yield ScriptDifference("other-weights", line, evidence, changes=kept, in_doubt=True)
    elif acting.learned and read:
        yield _trained_on(subject, acting, changes)
    elif read and not is_same_file(read, subject.spec.path):
        yield _another(subject, source or acting, read)
    elif source is None and read and acting.weights_acting != acting.weights:
        line, instead, said = line_that_sets(subject, acting)
        evidence = f"the parameters that act are not those that {acting.line} loaded: {said}"
        yield ScriptDifference("other-weights", line, evidence, instead, changes)
    if is_set_anew(acting):
        line, _, said = line_that_sets(subject, acting)
        evidence = f"the parameters that act are not those with which the training of {acting.learn_line} ended: {said}"
        yield ScriptDifference("other-weights", line, evidence, in_doubt=True)
    if read and not acting.learned and acting.weights_last not in ("", acting.weights_acting):
        yield from _changed_while_acting(subject, acting)


def _changed_while_acting(subject: Subject, acting: ObservedModel) -> Iterator[ScriptDifference]:
    """Parameters that are others at the end; a network in training mode changes its moments itself."""
    if not any(act.training for act in subject.run.acts):
        evidence = (
            f"the parameters of the model of {acting.line} are others when the script ends than when it first acted"
            f"{'' if acting.set_again_line is None else f', as {acting.set_again_line} sets others'}: only what it "
            "earns with the first is measured"
        )
        yield ScriptDifference("other-weights", acting.set_again_line or acting.line, evidence, in_doubt=True)


def is_untrained(model: ObservedModel) -> bool:
    """Whether a model was made by the script, and acts with the parameters that it was made with."""
    new = model.made == "constructed" and not model.set_from and not model.learned
    return new and not is_changed_unseen(model)


def load_that_failed(observation: Observation) -> Iterator[ScriptDifference]:
    """What a ``load`` that raised was given: a model of another algorithm."""
    failed = observation.failed_load
    if failed is None or failed.path is None or failed.is_missing:
        return
    algo = algorithm_of(settings(failed.path) or {})
    if algo and algo != failed.algo:
        evidence = f"{failed.algo}.load is given a model of {algo}, and raises"
        yield ScriptDifference("other-algorithm", failed.line, evidence, _with_class(failed.line, algo))


def _never_loaded(subject: Subject, acting: ObservedModel, changes: dict[str, object]) -> ScriptDifference:
    models, number = subject.observation.models, subject.run.model
    idle = [model for model in models if model.made == "loaded" and not model.weights_acting]
    on_it = [model for model in idle if model.loaded_on == number]
    if not idle:
        return replace(untrained(subject.observation, acting, subject.spec.path), changes=changes)
    loaded = (on_it or idle)[-1]
    evidence = f"load() returns the loaded model, which never acts; the new, untrained model of {acting.line} does"
    instead = _assigned(acting, loaded)
    return ScriptDifference("load-not-assigned", loaded.line, evidence, instead, changes, certain=True)


def untrained(observation: Observation, acting: ObservedModel, path: str = "") -> ScriptDifference:
    """A new model that acts as it was made, where no other is loaded: because its ``load`` raised, or there is none.

    :param path: of the zip that the script is about; empty where that is not known
    """
    failed, line = observation.failed_load, acting.line
    instead = with_file_loaded(line, path) if path else ""
    new = f"the new, untrained model of {line}"
    evidence = f"nothing is loaded: {new} acts"
    if acting.took_nothing is not None:
        line, instead = acting.took_nothing, _of_what_is_inside(acting)
        evidence = (
            f"none of the policy's parameters is in what it is given, and strict=False lets that pass: {new} acts"
        )
    if failed is not None and failed.path is not None:
        line, missing = failed.line, f", as there is no file {failed.path}" if failed.is_missing else ""
        evidence = f"{failed.algo}.load raises {failed.raised}{missing}, and the script goes on with {new}"
        instead = _with_file(line, failed.path, path) if path else ""
    return ScriptDifference("other-weights", line, evidence, instead, certain=True)


def _of_what_is_inside(acting: ObservedModel) -> str:
    """The line of a ``load_state_dict`` that takes nothing, with the part of what it is given that has parameters."""
    statement = Statement.of(acting.took_nothing)
    call = None if statement is None else statement.call("load_state_dict")
    if statement is None or call is None or not call.args or not acting.kept_under:
        return ""
    given = statement.text(call.args[0])
    return statement.with_part(call.args[0], f"{given}[{acting.kept_under!r}]")


def _assigned(acting: ObservedModel, loaded: ObservedModel) -> str:
    """The line of ``load``, with what it returns assigned to the name that acts."""
    if acting.line is None or loaded.line is None:
        return ""
    made, loading = Statement.of(acting.line), Statement.of(loaded.line)
    if made is None or not made.targets or not loaded.line.sees(made.targets[0], acting.line):
        return ""
    call = None if loading is None else loading.call("load")
    if loading is None or call is None or len(made.targets) != 1 or loading.whole is not call:
        return ""
    constructor = _constructor(made)
    if constructor is None:
        return ""
    return loading.with_part(call.func, f"{made.targets[0]} = {made.text(constructor.func)}.load")


def _constructor(made: Statement) -> ast.Call | None:
    """The call that constructs a model, where that is all that a statement assigns; None where it may be inside it."""
    call = made.whole if made.targets else None
    if not isinstance(call, ast.Call):
        return None
    first = [*call.args, *(one.value for one in call.keywords)][:1]
    return None if any(isinstance(node, ast.Call) for part in first for node in ast.walk(part)) else call


def with_file_loaded(line: Line | None, path: str) -> str:
    """The line that constructs a model, with that of a file loaded instead."""
    made = Statement.of(line)
    call = None if made is None else _constructor(made)
    if made is None or call is None:
        return ""
    given = [*call.args[1:2], *(one.value for one in call.keywords if one.arg == "env")]
    env, first = "" if not given else f", env={made.text(given[0])}", ""
    if given and isinstance(given[0], ast.Constant):  # load() takes no id
        env = f", env=make_vec_env({made.text(given[0])})"
        first = "from stable_baselines3.common.env_util import make_vec_env"
    return made.with_part(call, f"{made.text(call.func)}.load({path!r}{env})", first)


def _trained_on(subject: Subject, acting: ObservedModel, changes: dict[str, object]) -> ScriptDifference:
    evidence = f"{acting.learn_line} trains it on for {acting.learned:,} steps before it is evaluated"
    statement = Statement.of(acting.learn_line)
    call = None if statement is None else statement.call("learn")
    model = None if call is None else owner(call)
    if subject.spec.statistics is None or acting.learn_count >= 1.0:
        instead = (
            "" if statement is None or call is None or model is None else _without_learning(statement, call, model)
        )
        return ScriptDifference("trained-while-evaluating", acting.learn_line, evidence, instead, changes)
    without = (
        "without VecNormalize" if acting.learn_count < 0 else "with a new VecNormalize, whose statistics are empty"
    )
    evidence += f", in environments {without}, while it was trained with its statistics"
    instead = ""
    if statement is not None and isinstance(model, ast.Name | ast.Attribute):
        name = statement.text(model)
        venv = f"{name}.get_env(){'.venv' if acting.learn_count >= 0 else ''}"
        load = f"{name}.set_env(VecNormalize.load({subject.spec.statistics!r}, {venv}))"
        instead = statement.following(f"from stable_baselines3.common.vec_env import VecNormalize; {load}")
    return ScriptDifference("continued-without-statistics", acting.learn_line, evidence, instead, changes)


def _without_learning(statement: Statement, call: ast.Call, model: ast.expr) -> str:
    if statement.code == statement.text(call):
        return LEFT_OUT
    return statement.with_part(call, statement.text(model))


def _another(subject: Subject, acting: ObservedModel, read: str) -> ScriptDifference:
    meant, line = subject.spec.path, acting.line
    trained = subject.trained
    if trained is None:
        evidence = f"the model that acts is {Path(read).name}, and not {Path(meant).name}, which the script is about"
    else:
        kept = f"was saved as {Path(meant).name}" if trained.saved else "is not saved"
        evidence = f"{Path(read).name} acts; the model that {trained.learn_line} trained {kept}, and never acts"
    instead = _with_file(line, read, meant) if trained is None or trained.saved else ""
    return ScriptDifference("another-model", line, evidence, instead, {"model_file": read})


def _with_file(line: Line | None, read: str, meant: str) -> str:
    """A line that loads a model, with another file: in place of the other's name where that stands there."""
    code = "" if line is None else line.code
    for name in (Path(read).name, Path(read).stem):
        if re.search(rf"[\"'/]{re.escape(name)}[\"']", code) and Path(read).parent == Path(meant).parent:
            return re.sub(rf"(?<=[\"'/]){re.escape(name)}(?=[\"'])", lambda _: Path(meant).name, code)
    statement = Statement.of(line)
    call = None if statement is None else statement.call("load", "set_parameters")
    if statement is None or call is None or not call.args:
        return ""
    return statement.with_part(call.args[0], repr(meant))


def _with_class(line: Line | None, algo: str) -> str:
    """A line that loads a model, with the class of another algorithm."""
    statement = Statement.of(line)
    call = None if statement is None else statement.call("load")
    found = None if call is None else owner(call)
    if statement is None or found is None:
        return ""
    try:
        package = algorithm(algo).__module__.partition(".")[0]
    except AttributeError:  # of somebody's own
        return ""
    return statement.with_part(found, algo, f"from {package} import {algo}")
