"""Look into a model's zip without loading it: is it one, and which algorithm saved it?"""

from __future__ import annotations

import base64
import binascii
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from reload_audit.planning.discovery.allowance import ALLOWANCE
from reload_audit.reading import limits
from reload_audit.reading.files import POINTER, is_pointer, opened
from reload_audit.reading.outlines import Shapes, shapes_of_space
from reload_audit.reading.plain_values import parse_json
from reload_audit.reading.refusal import Unreadable, shown

NOT_A_MODEL = "expected a zip that Stable-Baselines3 saved, found"


class Pointer(Unreadable):
    """The file is a pointer of Git LFS to a zip that is not there."""


# Modules that only one algorithm has its policy or its rollout buffer from.
_BY_MODULE = {
    "stable_baselines3.dqn.": "DQN",
    "stable_baselines3.sac.": "SAC",
    "sb3_contrib.ars.": "ARS",
    "sb3_contrib.crossq.": "CrossQ",
    "sb3_contrib.qrdqn.": "QRDQN",
    "sb3_contrib.tqc.": "TQC",
    "sb3_contrib.common.maskable.": "MaskablePPO",
    "sb3_contrib.ppo_mask.": "MaskablePPO",
    "sb3_contrib.common.recurrent.": "RecurrentPPO",
    "sb3_contrib.ppo_recurrent.": "RecurrentPPO",
}

# Modules that policies of other libraries are from, which save zips of the same form.
_OTHER_LIBRARIES = (
    (re.compile(r"stable_baselines\."), "stable-baselines 2, of TensorFlow"),
    (re.compile(r"(?:\b|c)sbx\."), "SBX, of JAX"),
)

# Algorithms that have the same attributes as another one, and those of them that are known by their policy.
_KNOWN_BY_POLICY = ("MaskablePPO", "RecurrentPPO")
_ALIKE = {"MaskablePPO": "PPO", "RecurrentPPO": "PPO", "DDPG": "TD3"}

# Attributes that tell the other algorithms apart: the first set that a zip has all of decides.
_BY_ATTRIBUTES = (
    ({"n_delta"}, "ARS"),
    ({"cg_max_steps"}, "TRPO"),
    ({"clip_range", "n_epochs"}, "PPO"),
    ({"top_quantiles_to_drop_per_net"}, "TQC"),
    ({"n_quantiles", "exploration_rate"}, "QRDQN"),
    ({"exploration_rate"}, "DQN"),
    ({"target_policy_noise", "policy_delay"}, "TD3"),
    ({"target_entropy", "policy_delay"}, "CrossQ"),
    ({"target_entropy"}, "SAC"),
    ({"gae_lambda", "n_steps", "ent_coef"}, "A2C"),
)


def members(path: str) -> list[str]:
    """The names of what is in a zip.

    :raises Unreadable: it is no zip
    """
    with _opened(path) as archive:
        return archive.namelist()


def beginning_of(path: str, member: str, limit: int) -> bytes:
    """The first bytes of what is in a zip.

    :raises Unreadable: it is no zip
    """
    with _opened(path) as archive, archive.open(member) as file:
        return file.read(limit)


def settings(path: str) -> dict[str, Any] | None:
    """What SB3 wrote into ``data``: attributes, with pickled ones left as they are; None where there is no ``data``.

    :raises Unreadable: it is no zip, or what it says cannot be read
    """
    with _opened(path) as archive:
        if "data" not in archive.namelist():
            return None
        member = archive.getinfo("data")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Unreadable(f"{shown(path)}: {NOT_A_MODEL} an unusual compression")
        with archive.open(member) as file:
            content = file.read(limits.SETTINGS_BYTES + 1)
        if len(content) > limits.SETTINGS_BYTES:
            content = _first_settings(content)
        ALLOWANCE.take(path, len(content))
        data = parse_json(content, limits.SETTINGS_VALUES)
    if not isinstance(data, dict):
        raise Unreadable(f"{shown(path)}: {NOT_A_MODEL} settings that are no mapping")
    return data


def _first_settings(content: bytes) -> bytes:
    """The first settings of a text that is too long: what SB3 sets comes before what others set.

    :param content: its beginning, in which each setting begins a line, as SB3 writes them
    """
    whole, _, _ = content.rpartition(b'\n    "')
    return whole.rstrip().removesuffix(b",") + b"\n}"


@dataclass(frozen=True)
class Trained:
    """What a zip says of its training; None for what it does not say.

    :param steps: environment steps
    :param started: when ``learn`` was last called, in nanoseconds or seconds since 1970: the same in all models that
        one call of it left
    :param normalized: whether VecNormalize was there
    :param algo: the algorithm; empty where the settings do not tell
    """

    steps: int | None = None
    started: float | None = None
    normalized: bool | None = None
    algo: str = ""

    def contradicts(self, algo: str) -> bool:
        """Whether a model is certainly not of an algorithm that somebody says it is of.

        An algorithm that only its policy tells from another one, such as MaskablePPO from PPO, may have a policy of
        the user's own.
        """
        if not self.algo or self.algo == algo:
            return False
        return self.algo in _KNOWN_BY_POLICY or _ALIKE.get(self.algo, self.algo) != _ALIKE.get(algo, algo)


def trained(data: Mapping[str, object]) -> Trained:
    """What the settings in a zip say of its training."""
    steps, started = data.get("num_timesteps"), data.get("start_time")
    # On-policy algorithms keep an original observation only where there is VecNormalize, others always.
    tells = "gae_lambda" in data and data.get("_last_obs") is not None and "_last_original_obs" in data
    return Trained(
        steps=steps if type(steps) is int and 0 < steps < limits.LARGEST_INTEGER else None,
        started=started if isinstance(started, int | float) and not isinstance(started, bool) and started > 0 else None,
        normalized=data["_last_original_obs"] is not None if tells else None,
        algo=algorithm_of(data),
    )


def observed_shapes(path: str) -> Shapes | None:
    """Shapes of the observations that a model takes; None where they are no arrays.

    :raises Unreadable: the zip cannot be read
    """
    space = (settings(path) or {}).get("observation_space")
    encoded = space.get(":serialized:") if isinstance(space, dict) else None
    if not isinstance(encoded, str):
        return None
    try:
        return shapes_of_space(base64.b64decode(encoded))
    except (binascii.Error, ValueError):
        raise Unreadable(f"{shown(path)}: its observation_space cannot be read") from None


def other_library(data: Mapping[str, object]) -> str:
    """The library that saved settings in SB3's way, but whose models SB3 cannot load; empty for SB3 and its contrib."""
    for key in ("policy", "policy_class"):
        pickled = _pickled_text(data.get(key))
        for library, name in _OTHER_LIBRARIES:
            if library.search(pickled):
                return name
    return ""


def algorithm_of(data: Mapping[str, object]) -> str:
    """The algorithm that saved these settings; empty if they do not tell."""
    for key in ("policy_class", "rollout_buffer_class"):
        pickled = _pickled_text(data.get(key))
        for module, name in _BY_MODULE.items():
            if module in pickled:
                return name
    for attributes, name in _BY_ATTRIBUTES:
        if attributes <= data.keys():
            return "DDPG" if name == "TD3" and _is_ddpg(data) else name
    return ""


def _is_ddpg(data: Mapping[str, object]) -> bool:
    """DDPG is saved as the TD3 that it is, with the parts switched off in which TD3 differs."""
    return data.get("policy_delay") == 1 and data.get("target_noise_clip") == 0


def _pickled_text(value: object) -> str:
    """The bytes of a pickle as text, to search for names of modules, which are plain in it; it is not loaded."""
    encoded = value.get(":serialized:") if isinstance(value, dict) else None
    if not isinstance(encoded, str):
        return ""
    try:
        return base64.b64decode(encoded[: limits.MIB]).decode("latin-1")
    except (binascii.Error, ValueError):
        return ""


@contextmanager
def _opened(path: str) -> Iterator[zipfile.ZipFile]:
    try:
        with opened(path) as file:
            if not os.fstat(file.fileno()).st_size:
                raise Unreadable(f"{shown(path)}: {NOT_A_MODEL} an empty file")
            if is_pointer(file.read(100)):
                raise Pointer(f"{shown(path)}: {NOT_A_MODEL} {POINTER}")
            parts = _InParts(file, limits.DIRECTORY_BYTES)
            with zipfile.ZipFile(parts) as archive:
                parts.most = limits.SETTINGS_BYTES + 1  # members are read now, which say how large they are
                yield archive
    except Unreadable:
        raise
    except OSError as error:
        raise Unreadable(f"{shown(path)}: {NOT_A_MODEL}: {error.strerror}") from None
    except (zipfile.BadZipFile, ValueError, RuntimeError, EOFError, zlib.error, struct.error) as error:
        raise Unreadable(f"{shown(path)}: {NOT_A_MODEL} something else: {shown(str(error)):.200}") from None


class _InParts:
    """A file that is read in small parts only: so Python reads no table of contents that is too large to be a model's,
    however the zip says where that is.

    :param most: bytes of a part
    """

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file = file
        self.most = most
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        """Read as a file does.

        :raises ValueError: that would be too much
        """
        content = self._file.read(self.most + 1 if size < 0 else min(size, self.most + 1))
        if len(content) > self.most:
            raise ValueError(f"a table of contents of more than {self.most:,} bytes")
        return content
