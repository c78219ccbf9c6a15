"""Tell what files hold whose names do not say it: models, models of other libraries, pointers to files elsewhere."""

# Paths are texts here: there are many, and not all are Unicode.
# ruff: noqa: PTH118

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reload_audit.planning.discovery import zips
from reload_audit.planning.discovery.tree import Folder
from reload_audit.reading import files, limits
from reload_audit.reading.refusal import Unreadable, shown

NO_MODEL = "a zip that holds no model"
POINTER = "a pointer of Git LFS (`git lfs pull` fetches what it stands for)"
NO_MODEL_IN_RUN = "the folder of a run, without a model"

_NAMED = 3
"""Paths that are named of each kind, at most."""

_ZIP, _PICKLE, _HDF5 = b"PK\x03\x04", b"\x80", b"\x89HDF"
_WEIGHTS = (".pth", ".pt", ".cleanrl_model", ".bin", ".ckpt")
_OLD_LIBRARY = re.compile(rb"stable_baselines[.\n]")

# Names of parameters in files of weights, which tell whose policy it is.
_POLICIES = (
    (
        re.compile(rb"state_dict.*observation_space|observation_space.*state_dict", re.S),
        "a policy that SB3's policy.save() wrote, without its model",
    ),
    (
        re.compile(rb"actor_mean\.|actor_logstd|q_network\.|critic\.0\.weight|network\.0\.weight"),
        "weights of PyTorch, named as CleanRL names them",
    ),
    (re.compile(rb"preprocess\.model"), "weights of PyTorch, named as Tianshou names them"),
)


@dataclass(frozen=True)
class PassedOver:
    """A file or folder that is no model of SB3, though a user may have meant it as one.

    :param what: what it is, in words: equal for all of a kind
    """

    path: str
    what: str


def counted(others: Sequence[PassedOver]) -> list[str]:
    """How many there are of each kind and which, most frequent first: ``2 of: a graph in ONNX (a.onnx, b.onnx)``."""
    kinds: dict[str, list[str]] = {}
    for other in others:
        kinds.setdefault(other.what, []).append(shown(other.path))
    ordered = sorted(kinds.items(), key=lambda kind: (-len(kind[1]), kind[0]))
    return [f"{len(paths):,} of: {what} ({_first(paths)})" for what, paths in ordered]


def _first(paths: Sequence[str]) -> str:
    return ", ".join([*paths[:_NAMED], *(["…"] if len(paths) > _NAMED else [])])


def models_among_others(folder: Folder) -> Iterator[str | PassedOver]:
    """The names of the files of a folder that are models by what they hold, and what looks like a model but is none.

    Files whose names end in ``.zip`` are not looked into here.
    """
    for name in sorted({*folder.others, *_pickles(folder)}):
        path = os.path.join(folder.path, name)
        try:
            what = _what(path, name)
        except Unreadable:
            continue
        if what:
            yield name if what == _MODEL else PassedOver(path, what)
    if "rllib_checkpoint.json" in folder.files:
        yield PassedOver(folder.path, "a checkpoint of RLlib")


_MODEL = "a model"


def _pickles(folder: Folder) -> Iterator[str]:
    """Pickles that are not called like statistics or a replay buffer."""
    for name in folder.files:
        if name.endswith(".pkl") and folder.has(name) and "norm" not in name.lower() and "buffer" not in name:
            yield name


def _what(path: str, name: str) -> str:
    """What a file is whose name does not say it: a model, or what else a user may have taken for one; else empty."""
    head = files.first_bytes(path)
    if head.startswith(_ZIP):
        members = zips.members(path)
        ours = any(member.endswith(".pth") or member == "_stable_baselines3_version" for member in members)
        return _MODEL if ours and "data" in members else _of_weights(path, members)
    if files.is_pointer(head):
        return POINTER
    if name.endswith(".pkl"):
        is_old = _OLD_LIBRARY.search(files.first_bytes(path, limits.MIB // 16))
        return "a model of stable-baselines 2, of TensorFlow" if is_old else ""
    if head.startswith(_HDF5):
        return "weights in HDF5, as Keras saves them" if name.endswith((".h5", ".hdf5", ".keras")) else ""
    if name.endswith(".onnx"):
        return "a graph in ONNX"
    if name.endswith(_WEIGHTS) and head.startswith(_PICKLE):
        return "weights of PyTorch"
    return ""


def of_zip(path: str) -> str:
    """What a zip is that holds no model of SB3."""
    try:
        return _of_weights(path, zips.members(path)) or NO_MODEL
    except Unreadable:
        return NO_MODEL


def _of_weights(path: str, members: Sequence[str]) -> str:
    """Whose weights a zip of PyTorch holds, by the names in its pickle; empty for another zip."""
    pickled = next((member for member in members if member.endswith("/data.pkl")), None)
    if pickled is None:
        return ""
    content = zips.beginning_of(path, pickled, limits.MIB)
    return next((what for names, what in _POLICIES if names.search(content)), "weights of PyTorch")
