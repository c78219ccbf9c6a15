"""Read a model's zip: settings as plain data, pickled values parsed but never unpickled, parameters as bytes.

SB3 writes ``data`` (JSON, with pickled values in base64 under ``:serialized:``), one ``*.pth`` for each state
dictionary, ``_stable_baselines3_version`` and, since 1.2, ``system_info.txt``.
"""

from __future__ import annotations

import base64
import copy
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reload_audit.reading import limits
from reload_audit.reading.files import open_zip, read_bytes, read_member
from reload_audit.reading.pickles import Parsed, parse
from reload_audit.reading.refusal import Unreadable, printable, refusing
from reload_audit.reading.trust import refuse_untrusted
from reload_audit.reading.values import Values

SERIALIZED = ":serialized:"

_SYSTEM = re.compile(r"^(?:- )?(?P<name>[A-Za-z0-9 -]+): (?P<value>.*)$", re.MULTILINE)

# Attributes that are functions of the training progress, or None. Acting needs none of them.
SCHEDULES = (
    *("learning_rate", "lr_schedule", "clip_range", "clip_range_vf", "exploration_schedule", "delta_std_schedule"),
    "delta_std",
)


@dataclass(frozen=True)
class SavedModel:
    """The content of a model's zip, read without executing anything in it.

    :param settings: attributes that were saved as plain JSON
    :param pickled: attributes that were saved as pickles, parsed
    :param parameters: contents of the ``*.pth`` members, by name
    :param saved_with: versions and platform, as far as the file tells: ``stable_baselines3``, ``python``, ...
    :param trusted: packages that the pickles may mention besides those that models are made of
    """

    settings: Mapping[str, Any]
    pickled: Mapping[str, Parsed]
    parameters: Mapping[str, bytes]
    saved_with: Mapping[str, str]
    trusted: Collection[str] = field(default=())

    @refusing("damaged settings")
    def value(self, attribute: str, default: Any = None) -> Any:
        """The value of a saved attribute, rebuilt if it was pickled. It is a copy, which the caller may change.

        :param default: the value of an attribute that was not saved

        :raises Unreadable: it cannot be rebuilt
        """
        if attribute in self.pickled:
            try:
                return Values(self.trusted).build(self.pickled[attribute].value)
            except Unreadable as problem:
                raise Unreadable(f"{attribute}: {problem}") from None
        return copy.deepcopy(self.settings.get(attribute, default))


@refusing("damaged model")
def read_model(path: str | Path, *, trusted: Collection[str] = (), max_bytes: int = 2**32) -> SavedModel:
    """Read a model's zip without executing anything in it.

    :param trusted: packages whose names may be mentioned besides those that models are made of
    :param max_bytes: size that the file may have, and that its content may unpack to
    :raises Unreadable: it is damaged, is no model, is too large, or mentions what is not trusted
    """
    members = _unpack(read_bytes(path, max_bytes), max_bytes)
    settings, pickled = {}, {}
    instructions = limits.INSTRUCTIONS
    for attribute, item in _data(members).items():
        if isinstance(item, dict) and SERIALIZED in item:
            pickled[attribute] = _parsed(attribute, item[SERIALIZED], trusted, instructions)
            instructions -= pickled[attribute].instructions
        else:
            settings[attribute] = item
    return SavedModel(
        settings=settings,
        pickled=pickled,
        parameters={name: content for name, content in members.items() if name.endswith(".pth")},
        saved_with=_saved_with(members),
        trusted=tuple(trusted),
    )


def _unpack(content: bytes, max_bytes: int) -> dict[str, bytes]:
    with refusing("damaged zip"), open_zip(content) as archive:
        members = archive.infolist()
        unpacked = sum(member.file_size for member in members)
        if len(members) > limits.MODEL_MEMBERS or unpacked > max_bytes:
            raise Unreadable(
                f"expected a model's zip, found one of {len(members):,} members that unpacks to {unpacked:,} bytes; "
                f"at most {limits.MODEL_MEMBERS:,} members and {max_bytes:,} bytes are unpacked (reload.memory)"
            )
        if len(members) > len({member.filename for member in members}):
            raise Unreadable("damaged zip: two members of one name")
        return {
            member.filename: read_member(archive, member)
            for member in members
            if member.filename.endswith(".pth") or member.filename in _WANTED
        }


_WANTED = ("data", "_stable_baselines3_version", "system_info.txt")


def _data(members: Mapping[str, bytes]) -> dict[str, Any]:
    if "data" not in members:
        raise Unreadable(f"expected a model saved by SB3, found a zip of {', '.join(members)[:200] or 'other things'}")
    if len(members["data"]) > limits.MODEL_SETTINGS_BYTES:
        raise Unreadable(
            f"expected settings of at most {limits.MODEL_SETTINGS_BYTES:,} bytes, found {len(members['data']):,}"
        )
    with refusing("damaged settings"):
        data = json.loads(members["data"].decode())
    if not isinstance(data, dict):
        raise Unreadable(f"damaged settings: expected keys and values, found a {type(data).__name__}")
    return data


def _parsed(attribute: str, text: Any, trusted: Collection[str], most: int) -> Parsed:
    try:
        with refusing("damaged settings"):
            parsed = parse(base64.b64decode(text, validate=True), most)
            refuse_untrusted(parsed, trusted, schedule=attribute in SCHEDULES)
            return parsed
    except Unreadable as problem:
        raise Unreadable(f"{attribute[:100]}: {problem}") from None


def _saved_with(members: Mapping[str, bytes]) -> dict[str, str]:
    saved = {}
    names = {
        "Stable-Baselines3": "stable_baselines3",
        "Numpy": "numpy",
        "PyTorch": "torch",
        "Cloudpickle": "cloudpickle",
        "Gymnasium": "gymnasium",
        "OpenAI Gym": "gym",
        "Gym": "gym",
        "Python": "python",
        "OS": "platform",
    }
    for found in _SYSTEM.finditer(members.get("system_info.txt", b"")[:10_000].decode(errors="replace")):
        if found["name"] in names:
            saved[names[found["name"]]] = printable(found["value"])[:200]
    if "platform" in saved:  # SB3 appends the kernel's build to what Python calls the platform
        saved["platform"] = saved["platform"].partition(" ")[0]
    version = printable(members.get("_stable_baselines3_version", b"")[:100].decode(errors="replace"))[:200]
    return saved | ({"stable_baselines3": version} if version else {})
