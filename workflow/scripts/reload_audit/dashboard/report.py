"""From ``audit.json`` to the page: what to say and what to draw; the template says how it looks."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from reload_audit.dashboard import numbers
from reload_audit.dashboard.causes import cause_rows, certainty, own_lines
from reload_audit.dashboard.entries import Entry, entries
from reload_audit.dashboard.found import groups, particulars
from reload_audit.dashboard.grids import grids
from reload_audit.dashboard.scatter import SIZE, panels
from reload_audit.dashboard.words import Words, words
from reload_audit.records import write_text
from reload_audit.summary import headline, plain_loads
from reload_audit.verdicts import VERDICTS

_HERE = Path(__file__).parent

_PACKAGES = {
    "stable_baselines3": "SB3",
    "gymnasium": "Gymnasium",
    "torch": "PyTorch",
    "python": "Python",
}

_ROWS_SHOWN = 300
"""Models in the table until more are asked for: a browser takes seconds to lay out thousands."""

_VERSIONS = 5
"""Versions that saved found models which are named."""

_LONGEST_PATH = 60
"""Characters of a path in a text that are shown; of a longer one only the file's name is."""

_REACH = 3.2
"""Margins on either side of zero that an interval's drawing shows."""


@dataclass(frozen=True)
class Tile:
    """How many models have a verdict."""

    verdict: str
    meaning: str
    count: int
    share: float


@dataclass(frozen=True)
class Interval:
    """A tested difference in units of the margin; beyond the drawing's reach it is cut there.

    :param beyond: ``left`` or ``right`` where the difference itself is out of reach
    """

    low: float
    difference: float
    high: float
    beyond: str


def write_report(audit: Mapping[str, Any], path: Path) -> None:
    """Write the report of an audit as one HTML file that needs no network.

    The same audit gives the same bytes.

    :param audit: the content of ``audit.json``
    :param path: the HTML file; it appears complete or not at all
    """
    write_text(path, render(audit))


def render(audit: Mapping[str, Any]) -> str:
    """The report's HTML."""
    content = audit.get("models") or ()
    models = entries(content)
    said, found, causes = words(models), groups(models), cause_rows(models)
    script = (_HERE / "report.js").read_text(encoding="utf-8")
    page: str = _template().render(
        answer=headline(content),
        plain_loads=plain_loads(content),
        settings=settings(audit, models),
        words=said,
        tiles=tiles(Counter(entry.verdict for entry in models), said),
        models=models,
        panels=panels(models),
        panel_size=SIZE,
        grids=grids(models),
        groups=found,
        group_numbers={group.name: position for position, group in enumerate(found)},
        particulars=particulars,
        causes=causes,
        cause_numbers={cause.name: position for position, cause in enumerate(causes)},
        certainty=certainty,
        own_lines=own_lines,
        rows_shown=_ROWS_SHOWN,
        interval=interval,
        reach=_REACH,
        style=(_HERE / "report.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    return page


def tiles(counts: Mapping[str, int], said: Words) -> list[Tile]:
    """A tile for each verdict, in the verdicts' order."""
    meanings = said.meanings
    total = sum(counts.values()) or 1
    return [
        Tile(verdict, meanings[verdict], counts.get(verdict, 0), counts.get(verdict, 0) / total) for verdict in VERDICTS
    ]


def settings(audit: Mapping[str, Any], models: Sequence[Entry]) -> list[str]:
    """What decided the verdicts, and which software trained or saved the models: whatever of it the audit says."""
    sections = audit.get("settings") or {}
    verdict = sections.get("verdict") or {}
    said = [_margin_setting(verdict, words(models)), *_test_settings(verdict)]
    said += [*_versions(audit.get("trained_with") or ()), _saved_with(models)]
    tool = audit.get("tool") or {}
    said.append(f"{tool.get('name', '')} {tool.get('version', '')}".strip())
    return [text for text in said if text]


def _margin_setting(verdict: Mapping[str, Any], said: Words) -> str:
    parts = []
    if verdict.get("margin_fraction") is not None:
        parts.append(f"{numbers.percent(verdict['margin_fraction'])} of |{said.quoted} − random policy|")
    if verdict.get("margin_std") is not None:
        parts.append(f"{verdict['margin_std']:g} {said.reward.removesuffix(' reward')} std")
    return f"margin: {'the larger of ' if len(parts) > 1 else ''}{' and '.join(parts)}" if parts else ""


def _test_settings(verdict: Mapping[str, Any]) -> list[str]:
    parts = []
    if verdict.get("alpha") is not None:
        parts.append(f"α {numbers.percent(verdict['alpha'])}")
    if verdict.get("fdr") is not None:
        parts.append(f"FDR {numbers.percent(verdict['fdr'])}")
    if verdict.get("looks"):
        parts.append(f"looks at {', '.join(str(look) for look in verdict['looks'])} episodes")
    return parts


def _versions(trained_with: Sequence[Mapping[str, Any]]) -> list[str]:
    said = []
    for package, title in _PACKAGES.items():
        found = {
            str(software["versions"][package])
            for software in trained_with
            if (software.get("versions") or {}).get(package)
        }
        if found:
            said.append(f"{title} {', '.join(sorted(found))}")
    return said


def _saved_with(models: Sequence[Entry]) -> str:
    """Which versions saved the models of others, the most frequent few, and which loaded them."""
    saved = Counter(entry.sb3_saved for entry in models if entry.found and entry.sb3_saved)
    loaded = sorted({entry.sb3_loaded for entry in models if entry.found and entry.sb3_loaded})
    if not saved or not loaded:
        return ""
    shown = sorted(sorted(saved, key=lambda version: (-saved[version], version))[:_VERSIONS])
    left = len(saved) - _VERSIONS
    more = f" and {left:,} other{'s' if left > 1 else ''}" if left > 0 else ""
    return f"found models saved with SB3 {', '.join(shown)}{more}, loaded with {', '.join(loaded)}"


def interval(entry: Entry) -> Interval | None:
    """A model's interval, to be drawn against its margin; None where nothing was compared."""
    if entry.difference is None or entry.ci_low is None or entry.ci_high is None or entry.margin is None:
        return None
    low, difference, high = (
        _in_margins(value, entry.margin) for value in (entry.ci_low, entry.difference, entry.ci_high)
    )
    return Interval(
        low, difference, high, beyond="left" if difference <= -_REACH else "right" if difference >= _REACH else ""
    )


def _in_margins(value: float, margin: float) -> float:
    if margin == 0.0:
        return 0.0 if value == 0.0 else _REACH if value > 0 else -_REACH
    return round(max(-_REACH, min(_REACH, value / margin)), 2)


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    for name in ("count", "number", "signed", "probability", "percent"):
        environment.filters[name] = getattr(numbers, name)
    environment.filters["breakable"] = _breakable
    environment.filters["short_paths"] = _short_paths
    return environment.get_template("report.html.j2")


def _short_paths(text: str) -> Markup:
    """A text in which a long path is only its file's name, with the path as title; ``join`` and ``format`` escape."""
    parts: list[str] = re.split(r"""((?:[^\s/:;,'"()]*/)+[^\s/:;,'"()]+)""", text)
    return Markup("").join(
        Markup('<span title="{}">…/{}</span>').format(part, part.rpartition("/")[2])
        if position % 2 and len(part) > _LONGEST_PATH
        else part
        for position, part in enumerate(parts)
    )


def _breakable(name: str) -> Markup:
    """A dotted name that may be wrapped after its dots and colons; ``join`` escapes the parts."""
    return Markup("<wbr>").join(re.split(r"(?<=[.:/])", name))
