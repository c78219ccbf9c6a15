"""Tiny models, models with a part replaced, and what reading such a file comes to."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import planted
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from reload_audit.models.load_untrusted import load, plain_load_error
from reload_audit.reading.model_zip import SERIALIZED, read_model
from reload_audit.reading.refusal import Unreadable
from reload_audit.reading.statistics import read_statistics


def save_tiny_model(path: Path, algo: str = "PPO") -> None:
    """Save a model with four hidden units that has trained for a few steps, and its statistics beside it."""
    normalize = VecNormalize(DummyVecEnv([planted.Continuous]))
    arguments: dict[str, Any] = {"policy_kwargs": {"net_arch": [4]}, "device": "cpu", "seed": 0}
    if algo == "PPO":
        PPO("MlpPolicy", normalize, n_steps=16, batch_size=16, n_epochs=1, **arguments).learn(32).save(path)
    else:
        SAC("MlpPolicy", normalize, learning_starts=8, buffer_size=50, batch_size=8, **arguments).learn(16).save(path)
    normalize.save(str(path.with_suffix(".pkl")))


def members_of(model: bytes) -> dict[str, bytes]:
    """The members of a zip by name."""
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zip_of(members: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> bytes:
    """A zip with these members; given as pairs, a name may come twice."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, member in members.items() if isinstance(members, Mapping) else members:
            archive.writestr(name, member)
    return content.getvalue()


def with_member(model: bytes, name: str, content: bytes) -> bytes:
    """A copy of a saved model with one member of its zip replaced or added."""
    return zip_of(members_of(model) | {name: content})


def with_settings(model: bytes, **settings: Any) -> bytes:
    """A copy of a saved model with some entries of its JSON replaced or added."""
    members = members_of(model)
    data = json.loads(members["data"]) | settings
    return zip_of(members | {"data": json.dumps(data).encode()})


def with_pickled(model: bytes, attribute: str, pickled: bytes) -> bytes:
    """A copy of a saved model with a pickle as one of its attributes."""
    return with_settings(model, **{attribute: {":type:": "x", SERIALIZED: base64.b64encode(pickled).decode()}})


def pickled_attributes(model: bytes) -> dict[str, bytes]:
    """The pickles in a saved model, by attribute."""
    data = json.loads(members_of(model)["data"])
    return {
        name: base64.b64decode(item[SERIALIZED])
        for name, item in data.items()
        if isinstance(item, dict) and SERIALIZED in item
    }


def outcome(path: Path, algo: str | None) -> str:
    """What reading a file as a user would comes to: ``statistics``, ``model``, ``model: ...`` or ``refused: ...``.

    Behind ``model`` stands what is left out of it, and why. Anything else raises.
    """
    try:
        if algo is None:
            statistics = read_statistics(path)
            statistics.around(DummyVecEnv([planted.Continuous]))
            return "statistics"
        saved = read_model(path)
        plain_load_error(saved, None)
        load(saved, algo, "cpu")
    except Unreadable as unreadable:
        str(unreadable).encode()
        return f"refused: {unreadable}"
    said = [f"left out {name}: {part.reason}" for name, part in saved.left_out.items()]
    return f"model: {'; '.join(said)}" if said else "model"


def read_as_model(content: bytes, folder: Path) -> str:
    """What reading a zip of a PPO with this content comes to (:func:`outcome`); it is written into ``folder``."""
    (folder / "model.zip").write_bytes(content)
    return outcome(folder / "model.zip", "PPO")


def refused(content: bytes, folder: Path) -> str:
    """Why reading a zip of a PPO with this content is refused; fails if it is not."""
    came = read_as_model(content, folder)
    assert came.startswith("refused: ")
    return came.removeprefix("refused: ")
