"""What the user says of all models in a folder, made to fit each: ``{folder}`` and the like stand for what differs.

``{folder}`` is the name of the folder that a model lies in, ``{parent}`` of the one above, ``{name}`` of the model's
file without its ending; ``{folder:w_*}`` is what the star stands for. ``{config.yaml:env.weight}`` is a value of a
file that lies there, or in a folder above. A text that is nothing else becomes the number that it spells.
"""

# Paths are texts here: there are many, and not all are Unicode.
# ruff: noqa: PTH111, PTH113, PTH118, PTH119, PTH120, PTH207

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reload_audit.planning.discovery.names import own_name
from reload_audit.reading.plain_values import plain_data, read_json
from reload_audit.reading.refusal import Unreadable, brief, shown
from reload_audit.reading.yaml_text import read_yaml

_PLACE = re.compile(r"\{(?P<what>folder|parent|name|[\w./-]+\.(?:ya?ml|json))(?::(?P<of>[^{}]*))?\}")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")

# What names of folders and files of somebody else may put into the user's words: nothing that names code.
_CODE = re.compile(r":|[^\W\d]\w*\.[^\W\d]")


@dataclass(frozen=True)
class Places:
    """What differs between the models of a folder.

    :param path: of the model's zip
    :param top: of the folder that the user named
    """

    path: str
    top: str

    def filled(self, value: Any) -> Any:
        """Plain data with what its texts stand for.

        :raises ValueError: a name does not match, or a file does not say it
        """
        if isinstance(value, Mapping):
            return {key: self.filled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.filled(item) for item in value]
        if not isinstance(value, str):
            return value
        whole = _PLACE.fullmatch(value)
        if whole:
            return _checked(value, self._value(whole, typed=True))
        return _PLACE.sub(lambda place: str(_checked(value, self._value(place, typed=False))), value)

    def files(self, pattern: str) -> list[str]:
        """The files that a pattern on paths relative to the model's folder, or on absolute ones, leads to."""
        written = _PLACE.sub(lambda place: glob.escape(str(self._value(place, typed=False))), pattern)
        found = glob.glob(os.path.join(glob.escape(os.path.dirname(self.path)), os.path.expanduser(written)))
        return sorted(os.path.normpath(path) for path in found if os.path.isfile(path))

    def _value(self, place: re.Match[str], *, typed: bool) -> Any:
        what, of = place["what"], place["of"]
        if what not in ("folder", "parent", "name"):
            return self._in_file(what, of or "")
        text = self._names()[what]
        if of is not None:
            stars = re.compile(fnmatch.translate(of).replace(".*", "(.*)")).fullmatch(text)
            if stars is None or not stars.groups():
                raise ValueError(f"expected {of!r} with a star to match the {what} {shown(text)!r}")
            text = stars[1]
        return _number(text) if typed else text

    def _names(self) -> dict[str, str]:
        folder = os.path.dirname(self.path)
        return {
            "folder": own_name(folder or "."),
            "parent": own_name(os.path.join(folder, "..")),
            "name": os.path.basename(self.path).removesuffix(".zip"),
        }

    def _in_file(self, name: str, key: str) -> Any:
        """A value of a file in the model's folder, or in the nearest folder above that has it."""
        folder = os.path.dirname(self.path)
        while not os.path.isfile(os.path.join(folder, name)):
            if os.path.realpath(folder) == os.path.realpath(self.top) or len(folder) <= len(self.top):
                raise ValueError(f"expected a file {shown(name)} beside the model or above it, found none")
            folder = os.path.dirname(folder)
        path = os.path.join(folder, name)
        try:
            found = read_json(path) if name.endswith(".json") else read_yaml(path)
            for part in filter(None, key.split(".")):
                found = found[part]
            return plain_data(found)
        except Unreadable:
            raise
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"expected {shown(path)} to say {key}, found nothing of that name") from None


def _number(text: str) -> str | int | float:
    if not _NUMBER.fullmatch(text):
        return text
    return int(text) if text.lstrip("+-").isdigit() else float(text)


def _checked(written: str, value: Any) -> Any:
    """What files say, in words that name no code.

    :raises ValueError: it may name some
    """
    if isinstance(value, Mapping):
        return {key: _checked(written, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_checked(written, item) for item in value]
    if isinstance(value, str) and not _NUMBER.fullmatch(value) and _CODE.search(value):
        raise ValueError(f"{written} stands for {brief(value)}, which may name code: write such a value yourself")
    return value
