"""Whether the parameters that act in a script are those of the model that it means."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from reload_audit.observing.subject import Subject, is_same_file
from reload_audit.planning.discovery.zips import algorithm_of, settings
from reload_audit.records.observation import Observation, ObservedModel
from reload_audit.records.script_record import ScriptDifference


def weights_differences(subject: Subject, folder: str) -> Iterator[ScriptDifference]:
    """Compare what acts with what the model's file holds.

    :param folder: where the observer left the models that acted
    """
    acting, number = subject.acting, subject.run.model
    if acting is None:
        return
    changes: dict[str, object] = {"model_file": f"{folder}/model{number}.zip"}
    read = _path_read(acting)
    if acting.made == "constructed" and not acting.set_from and not acting.learned:
        yield _never_loaded(subject, acting, changes)
    elif acting.learned and read:
        yield _trained_on(subject, acting, changes)
    elif read and not is_same_file(read, subject.spec.path):
        yield _another(subject, acting, read)
    elif read and acting.weights_acting != acting.weights:
        evidence = f"the parameters that act are not those that {acting.line} loaded: something set them anew"
        yield ScriptDifference("other-weights", acting.line, evidence, changes=changes)


def load_that_failed(observation: Observation) -> Iterator[ScriptDifference]:
    """What a ``load`` that raised was given: a model of another algorithm."""
    failed = observation.failed_load
    if failed is None or failed.path is None or not Path(failed.path).is_file():
        return
    algo = algorithm_of(settings(failed.path) or {})
    if algo and algo != failed.algo:
        evidence = f"{failed.algo}.load is given a model of {algo}, and raises"
        instead = "" if failed.line is None else _with_class(failed.line.code, failed.algo, algo)
        yield ScriptDifference("other-algorithm", failed.line, evidence, instead)


def _path_read(acting: ObservedModel) -> str:
    """The zip whose parameters were read into a model last; empty for none."""
    return next((path for path in (*reversed(acting.set_from), acting.path) if path), "")


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


def _trained_on(subject: Subject, acting: ObservedModel, changes: dict[str, object]) -> ScriptDifference:
    evidence = f"{acting.learn_line} trains it on for {acting.learned:,} steps before it is evaluated"
    if subject.spec.statistics is None or acting.learn_count >= 1.0:
        return ScriptDifference("trained-while-evaluating", acting.learn_line, evidence, changes=changes)
    without = (
        "without VecNormalize" if acting.learn_count < 0 else "with a new VecNormalize, whose statistics are empty"
    )
    evidence += f", in environments {without}, while it was trained with its statistics"
    return ScriptDifference("continued-without-statistics", acting.learn_line, evidence, changes=changes)


def _another(subject: Subject, acting: ObservedModel, read: str) -> ScriptDifference:
    meant, line = subject.spec.path, acting.line
    trained = subject.trained
    if trained is None:
        evidence = f"the model that acts is {Path(read).name}, and not {Path(meant).name}, which the script is about"
    else:
        kept = f"was saved as {Path(meant).name}" if trained.saved else "is not saved"
        evidence = f"{Path(read).name} acts; the model that {trained.learn_line} trained {kept}, and never acts"
    code = "" if line is None else line.code
    stems = [name for name in (Path(read).name, Path(read).stem) if re.search(rf"\b{re.escape(name)}\b", code)]
    instead = "" if not stems or trained is None or not trained.saved else code.replace(stems[0], Path(meant).name)
    return ScriptDifference("another-model", line, evidence, instead, {"model_file": read})


def _with_class(code: str, found: str, expected: str) -> str:
    made, count = re.subn(rf"\b{re.escape(found)}\.load\b", f"{expected}.load", code)
    return made if count else ""
