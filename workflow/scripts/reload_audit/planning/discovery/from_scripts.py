"""Ask the scripts of the repository that models lie in how they are run, and which statistics are theirs."""

# Paths are texts here: there are many, and not all are Unicode.
# ruff: noqa: PTH117, PTH118, PTH120

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from reload_audit.planning.discovery.above import files_outside, root_of
from reload_audit.planning.discovery.candidate import Candidate
from reload_audit.planning.discovery.joining import belongs
from reload_audit.planning.discovery.tree import Folder
from reload_audit.reading import limits
from reload_audit.reading.evaluations import read_evaluations
from reload_audit.reading.refusal import Unreadable, shown, unforeseen
from reload_audit.records.specs import Claim
from reload_audit.repository.paths import NO_MATCH, match
from reload_audit.repository.rewards import Reward, Subject
from reload_audit.repository.sources import Source

if TYPE_CHECKING:
    from reload_audit.repository.repository import Answer, Repository

_VERSION = re.compile(r"-v\d+$")


def take_settings(top: Folder, trusted: Collection[str], models: Sequence[Candidate]) -> None:
    """Note what a repository says of its models: how they are run, if only names say that, and what they earn.

    :param top: the folder with models, which may be a part of the repository
    :param trusted: packages that may be imported for what models' files name
    """
    sound = [model for model in models if not model.problem]
    unknown = [model for model in sound if model.source == "folder" or model.env_by_name]
    named = [model for model in sound if model.env and not model.env_by_name and not model.recording]
    if not unknown and not named:
        return
    root = root_of(top.real)
    inside = os.path.relpath(top.real, root)
    outside = list(files_outside(root, top.real))
    if not unknown and not _has_scripts(top) and not any(file.is_one_of(".py") for file in outside):
        return
    files = [*_files(top, inside), *outside]
    if not any(file.is_one_of(*_SAYING) for file in files):
        return
    # Most folders have nothing of the kind, and the processes of jobs plan, too: only here is it needed.
    from reload_audit.repository.repository import Repository

    try:
        repository = Repository(files, root)
    except Exception:  # of files that nobody foresaw: models are asked for as if there were none
        return
    for model in named:
        setup = repository.registered(model.env)
        if setup is not None and setup.definitions[0].module.partition(".")[0] not in trusted:
            model.repository = root if os.path.isabs(top.path) else os.path.relpath(root)
            model.setups, model.env_by_name = [setup], True
    is_known = not any(file.is_one_of(".zip") for file in outside) and len(models) <= limits.SPOKEN_OF_MODELS
    ends = [(_inside(top, inside, one), one.algo) for one in models if one.role != "checkpoint"] if is_known else []
    for model in unknown:
        model.repository = root if os.path.isabs(top.path) else os.path.relpath(root)
        try:
            path = _inside(top, inside, model)
            if model.source == "folder" and model.role != "checkpoint" and len(models) <= limits.SPOKEN_OF_MODELS:
                rewards = repository.rewards(_subject(model, path, ends))
                model.claims = [_claim(reward) for reward in rewards]
            _ask(repository, model, path, files)
        except Exception as error:
            model.setups = ()
            model.remarks.append(f"what its repository says of it cannot be read: {unforeseen(error)}")


def _inside(top: Folder, inside: str, model: Candidate) -> str:
    """A model's path, relative to the repository's folder."""
    return os.path.normpath(os.path.join(inside, os.path.relpath(model.path, top.path)))


def _ask(repository: Repository, model: Candidate, path: str, files: Sequence[Source]) -> None:
    """Note what a repository says of one model.

    :param path: the model's, relative to the repository's folder
    """
    from reload_audit.repository.repository import Asked

    answer = repository.setups(
        Asked(path, model.algo, model.spaces, model.hyperparameters, model.env if model.env_by_name else "")
    )
    _take_evaluations(model, answer, files)
    if model.deterministic is None and answer.deterministic is not None:
        model.deterministic = answer.deterministic
    says_less = not _speaks_of(answer, model.env) or all(setup.is_mentioned for setup in answer.setups)
    if not model.env_by_name or (model.env and says_less):
        return  # its files, or its own name, say more than scripts that never mention it
    model.setups = answer.setups
    model.remarks += answer.doubts
    if len(answer.setups) == 1 and model.role == "final":  # steps tell which statistics are those of a checkpoint
        _take_statistics(model, answer, path, files)


_SAYING = (".py", ".ipynb", ".md", ".rst", ".txt", ".json", ".csv")


def _subject(model: Candidate, path: str, ends: Sequence[tuple[str, str]]) -> Subject:
    """What a text has to be about to be about a model. What a repository calls its model is none of its checkpoints.

    :param ends: path and algorithm of each model that training ended with; none where not all are known
    """
    same = [own for own, algo in ends if algo == model.algo]
    return Subject(path, [own for own, _ in ends] == [path], model.algo if same == [path] else "", ends)


def _claim(reward: Reward) -> Claim:
    return Claim(reward.kind, reward.mean, reward.std, reward.n, shown(reward.where))


def _has_scripts(top: Folder) -> bool:
    """Whether there are any scripts in a folder: most with thousands of runs have none."""
    return any(".py/" in "/".join((*folder.others, *folder.files, "")) for folder in top.walk())


def _files(top: Folder, inside: str) -> Iterator[Source]:
    """The files of a folder.

    :param inside: the folder, relative to its repository's
    """
    for folder in top.walk():
        try:
            names = [name for name in (*folder.files, *folder.others) if folder.has(name)]
        except Exception:  # what nobody foresaw, of a folder that other models need not know of
            names = []
        for name in names:
            path = os.path.normpath(os.path.join(inside, folder.relative, name))
            yield Source(path, os.path.join(folder.path, name))


def _speaks_of(answer: Answer, env: str) -> bool:
    """Whether an answer is about a model's own file, or about the environment that its name has."""
    return answer.by_path or any(
        _VERSION.sub("", setup.id or setup.env).lower() == _VERSION.sub("", env).lower() for setup in answer.setups
    )


def _take_evaluations(model: Candidate, answer: Answer, files: Sequence[Source]) -> None:
    """The evaluations that the script which trains the model writes, if exactly one file is so called and fits it."""
    if model.evaluations is not None or model.trained.steps is None:
        return
    for pattern, place in answer.evaluations:
        named = _best_named(pattern, [file for file in files if file.is_one_of(".npz")])
        if len(named) != 1:
            continue
        try:
            held = read_evaluations(named[0].file)
        except Unreadable:
            continue
        if held is not None and belongs(held, model):
            model.evaluations = named[0].file
            said = f"its evaluations are those that its repository writes while it trains ({place}): "
            model.remarks.append(said + shown(model.evaluations))
            return


def _best_named(pattern: str, files: Sequence[Source]) -> list[Source]:
    """The files that fit a path of a script best, which may have holes."""
    scores = {file: match(file.path, pattern) for file in files}
    most = max(scores.values(), default=NO_MATCH)
    return [file for file, score in scores.items() if score == most] if most > NO_MATCH else []


def _take_statistics(model: Candidate, answer: Answer, path: str, files: Sequence[Source]) -> None:
    """The statistics that the script which saves the model saves too, if exactly one file is so called."""
    asked = [keys for keys, _ in model.open_questions if "vecnormalize" in keys]
    if model.statistics is not None and not asked:
        return
    for pattern, place in answer.statistics:
        best = _best_named(pattern, [file for file in files if not file.is_one_of(".zip", ".py", ".ipynb")])
        beside = [file for file in best if os.path.dirname(file.path) == os.path.dirname(path)]
        if len(beside or best) == 1:
            model.statistics = file = (beside or best)[0].file
            model.answer(["vecnormalize"])
            model.remarks.append(f"its statistics are those that its repository saves with it ({place}): {shown(file)}")
            return
