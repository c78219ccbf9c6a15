"""What an entry of ``runs`` says of every model in its folder, told to each of them."""

from __future__ import annotations

from typing import Any

from reload_audit.planning.discovery.candidate import SET_BY_USER, Candidate
from reload_audit.planning.discovery.patterns import Places
from reload_audit.planning.resolved import FolderClaim, Run
from reload_audit.reading.refusal import brief, shown
from reload_audit.records.specs import Claim

_FILES = ("statistics", "evaluations")
_COUNTED = {"frame_stack": range(2, 1_001), "n_envs": range(1, 1_000_001)}
"""What is an integer, and what it may be."""


def tell(model: Candidate, entry: Run, where: str) -> Candidate:
    """Take over what an entry of ``runs`` says of a model; what it says wrongly is the model's problem.

    :param where: how messages call the entry
    """
    places = Places(model.path, entry["folder"])
    try:
        model.take_from_user({key: _said(key, value, places) for key, value in entry.items() if key in SET_BY_USER})
        for key in _FILES:
            if key in entry:
                _take_file(model, key, entry[key], places)  # type: ignore[literal-required]
        if "claim" in entry:
            _take_claim(model, entry["claim"], where, places)
    except ValueError as problem:
        model.problem = model.problem or f"{shown(model.path)}: {where}: {problem}"
    except Exception as error:
        return model.failed(error)
    return model


def _said(key: str, value: Any, places: Places) -> Any:
    """What an entry says of a model. Where code is imported from, no name or file of somebody else decides."""
    filled = value if key == "python_path" else places.filled(value)
    if key in _COUNTED and isinstance(value, str) and (type(filled) is not int or filled not in _COUNTED[key]):
        possible = f"{_COUNTED[key][0]} to {_COUNTED[key][-1]:,}"
        raise ValueError(f"{key}: {value} stands for {brief(filled)}; expected an integer of {possible}")
    return filled


def _take_file(model: Candidate, key: str, pattern: str | None, places: Places) -> None:
    """The file that a pattern leads to. Where there are none or several, that is said, and what was found stays."""
    if pattern is None:
        setattr(model, key, None)
        model.answer(["vecnormalize"] if key == "statistics" else [])
        if key == "statistics":
            model.normalized = False
        return
    found = places.files(pattern)
    if len(found) == 1:
        setattr(model, key, found[0])
        model.answer(["vecnormalize"] if key == "statistics" else [])
        model.remarks = [remark for remark in model.remarks if key not in remark]
    else:
        several = ", ".join(map(shown, found[:5])) if found else "no file"
        model.remarks.append(f"{key}: {pattern} leads to {several}; expected one file")


def _take_claim(model: Candidate, claim: FolderClaim | str, where: str, places: Places) -> None:
    """A claim, or the file of one in the form of RL Zoo's ``results.json``."""
    if isinstance(claim, str):
        _take_file(model, "results", claim, places)
        return
    said: Any = claim
    model.claim_of_folder = Claim(
        kind=said.get("kind", "explicit"),
        mean=float(said["mean"]),
        std=None if said.get("std") is None else float(said["std"]),
        n=None if said.get("n") is None else int(said["n"]),
        where=where,
    )
