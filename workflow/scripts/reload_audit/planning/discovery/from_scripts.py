"""Ask the scripts of the repository that models lie in how they are run, and which statistics are theirs."""

# Paths are texts here: there are many, and not all are Unicode.
# ruff: noqa: PTH118, PTH120

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from reload_audit.planning.discovery.candidate import Candidate
from reload_audit.planning.discovery.tree import Folder
from reload_audit.reading.refusal import shown
from reload_audit.repository.paths import NO_MATCH, match
from reload_audit.repository.sources import Source

if TYPE_CHECKING:
    from reload_audit.repository.repository import Answer

_VERSION = re.compile(r"-v\d+$")


def take_settings(top: Folder, models: Sequence[Candidate]) -> None:
    """Note what scripts say of models of which only names say how they are run, or nothing does.

    :param top: the repository's folder
    """
    open_ones = [model for model in models if model.env_by_name and not model.problem]
    files = list(_files(top)) if open_ones else []
    if not any(file.is_one_of(".py", ".ipynb") for file in files):
        return
    # Most folders have no scripts, and the processes of jobs plan, too: only here is it needed.
    from reload_audit.repository.repository import Asked, Repository

    repository = Repository(files)
    for model in open_ones:
        path = os.path.relpath(model.path, top.path)
        answer = repository.setups(Asked(path, model.algo, model.spaces))
        if model.env and not _speaks_of(answer, model.env):
            continue  # its own name says more than scripts that never mention it
        model.setups = answer.setups
        if len(answer.setups) == 1:
            _take_statistics(model, answer, path, files)


def _files(top: Folder) -> Iterator[Source]:
    for folder in top.walk():
        for name in (*folder.files, *folder.others):
            if folder.has(name):
                yield Source(f"{folder.relative}/{name}".lstrip("/"), os.path.join(folder.path, name))


def _speaks_of(answer: Answer, env: str) -> bool:
    """Whether an answer is about a model's own file, or about the environment that its name has."""
    return answer.by_path or any(
        _VERSION.sub("", setup.id or setup.env).lower() == _VERSION.sub("", env).lower() for setup in answer.setups
    )


def _take_statistics(model: Candidate, answer: Answer, path: str, files: Sequence[Source]) -> None:
    """The statistics that the script which saves the model saves too, if exactly one file is so called."""
    asked = [keys for keys, _ in model.open_questions if "vecnormalize" in keys]
    if model.statistics is not None and not asked:
        return
    for pattern, place in answer.statistics:
        scores = {file: match(file.path, pattern) for file in files if not file.is_one_of(".zip", ".py", ".ipynb")}
        most = max(scores.values(), default=NO_MATCH)
        best = [file for file, score in scores.items() if score == most] if most > NO_MATCH else []
        beside = [file for file in best if os.path.dirname(file.path) == os.path.dirname(path)]
        if len(beside or best) == 1:
            model.statistics = file = (beside or best)[0].file
            model.answer(["vecnormalize"])
            model.remarks.append(f"its statistics are those that its repository saves with it ({place}): {shown(file)}")
            return
