"""From ``audit.json`` to the page: what to say and what to draw; the template says how it looks."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from reload_audit.dashboard import numbers
from reload_audit.dashboard.entries import Entry, entries
from reload_audit.dashboard.grids import grids
from reload_audit.dashboard.scatter import SIZE, panels
from reload_audit.records import write_text
from reload_audit.summary import answer
from reload_audit.verdicts import VERDICTS

_HERE = Path(__file__).parent

MEANINGS = {
    "identical": "Every bit of every episode is as in the reference, and the reward is within the margin of in place.",
    "equivalent": "Not bit for bit the same, but enough episodes show that the difference lies within the margin.",
    "improved": "Earns more than in place, by more than the margin, and not by chance.",
    "inconclusive": "The episodes cannot tell, or among so many models it may be chance. The reason says which.",
    "degraded": "Earns less than in place, by more than the margin, and not by chance.",
    "error": "Could not be trained, loaded or run. The reason says what happened.",
}

_PACKAGES = {
    "stable_baselines3": "SB3",
    "gymnasium": "Gymnasium",
    "torch": "PyTorch",
    "python": "Python",
}

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
    models = entries(audit.get("models") or ())
    counts = Counter(entry.verdict for entry in models)
    script = (_HERE / "report.js").read_text(encoding="utf-8")
    page: str = _template().render(
        answer=answer(counts),
        settings=settings(audit),
        tiles=tiles(counts),
        models=models,
        panels=panels(models),
        panel_size=SIZE,
        grids=grids(models),
        interval=interval,
        reach=_REACH,
        style=(_HERE / "report.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    # An exception's message may hold half a character, which UTF-8 cannot write.
    return page.encode("utf-8", "replace").decode("utf-8")


def tiles(counts: Mapping[str, int]) -> list[Tile]:
    """A tile for each verdict, in the verdicts' order."""
    total = sum(counts.values()) or 1
    return [
        Tile(verdict, MEANINGS[verdict], counts.get(verdict, 0), counts.get(verdict, 0) / total) for verdict in VERDICTS
    ]


def settings(audit: Mapping[str, Any]) -> list[str]:
    """What decided the verdicts, and which software trained the models: whatever of it the audit says."""
    sections = audit.get("settings") or {}
    verdict = sections.get("verdict") or {}
    said = [_margin_setting(verdict), *_test_settings(verdict), *_versions(audit.get("trained_with") or ())]
    tool = audit.get("tool") or {}
    said.append(f"{tool.get('name', '')} {tool.get('version', '')}".strip())
    return [text for text in said if text]


def _margin_setting(verdict: Mapping[str, Any]) -> str:
    parts = []
    if verdict.get("margin_fraction") is not None:
        parts.append(f"{numbers.percent(verdict['margin_fraction'])} of |train − random policy|")
    if verdict.get("margin_std") is not None:
        parts.append(f"{verdict['margin_std']:g} train-time std")
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


def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    for name in ("count", "number", "signed", "probability", "percent"):
        environment.filters[name] = getattr(numbers, name)
    environment.filters["breakable"] = _breakable
    return environment.get_template("report.html.j2")


def _breakable(name: str) -> Markup:
    """A dotted name that may be wrapped after its dots and colons; ``join`` escapes the parts."""
    return Markup("<wbr>").join(re.split(r"(?<=[.:/])", name))
