"""From ``audit.json`` to the page: what to say and what to draw; the template says how it looks."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from reload_audit.judging.comparison import VERDICTS
from reload_audit.records.storage import write_text
from reload_audit.reports.dashboard import number_format
from reload_audit.reports.dashboard.causes import cause_rows, certainty
from reload_audit.reports.dashboard.charts import COLORS, MARGINS_SHOWN, ON_DARK, compiled
from reload_audit.reports.dashboard.entries import Entry, entries
from reload_audit.reports.dashboard.episodes import read_pairs
from reload_audit.reports.dashboard.grids import MOST, experiments
from reload_audit.reports.dashboard.payload import environment_findings, pack, parts
from reload_audit.reports.dashboard.scores import band, left_edge, places
from reload_audit.reports.dashboard.vocabulary import Words, words
from reload_audit.reports.summary import headline, plain_loads, printable

_HERE = Path(__file__).parent

LIBRARIES = ("vega.min.js", "vega-interpreter.min.js", "tabulator.min.js")
"""Front-end libraries, in the order in which they are run; see ``vendor/README.md``."""

SCRIPTS = ("unpack.js", "plots.js", "filters.js", "table.js", "panel.js", "main.js")
"""The page's own script, in parts that share one scope."""

FOLDERS = {"results": "results", "logs": "logs"}
"""Where a workflow writes to unless it is told otherwise."""

_PACKAGES = {
    "stable_baselines3": "SB3",
    "gymnasium": "Gymnasium",
    "torch": "PyTorch",
    "python": "Python",
}

_VERSIONS = 5
"""Versions that saved found models which are named."""

_LONGEST_PATH = 60
"""Characters of a path in a text that are shown; of a longer one only the file's name is."""

_LONGEST_SETTING = 300
"""Characters of one setting that are shown."""

_BARS = 200
"""Environments, and folders or experiments, that can be filtered by."""


@dataclass(frozen=True)
class Tile:
    """How many models have a verdict."""

    verdict: str
    meaning: str
    count: int
    share: float


@dataclass(frozen=True)
class Bar:
    """Models that share something, by verdict; ``share`` of the longest bar."""

    name: str
    count: int
    share: float
    verdicts: tuple[tuple[str, int], ...]


def write_report(
    audit: Mapping[str, Any], path: Path, episodes: Path | None = None, folders: Mapping[str, str] = FOLDERS
) -> None:
    """Write the report of an audit as one HTML file that needs no network.

    The same audit gives the same bytes.

    :param audit: the content of ``audit.json``
    :param path: the HTML file; it appears complete or not at all
    :param episodes: ``episodes.parquet`` of the same audit; without it no single episodes are drawn
    :param folders: ``results`` and ``logs`` of the audit, for the commands that run a model again
    """
    write_text(path, render(audit, episodes, folders))


def render(audit: Mapping[str, Any], episodes: Path | None = None, folders: Mapping[str, str] = FOLDERS) -> str:
    """The report's HTML."""
    content = audit.get("models") or ()
    models = entries(content)
    said, causes = words(models), cause_rows(models)
    script = _script(_settings(audit, models) | {"folders": dict(folders)})
    libraries = {name: (_HERE / "vendor" / name).read_text(encoding="utf-8") for name in LIBRARIES}
    page: str = _template().render(
        answer=headline(content),
        plain_loads=plain_loads(content),
        settings=setting_texts(audit, models),
        words=said,
        tiles=tiles(Counter(entry.verdict for entry in models), said),
        models=models,
        scored=any(entry.random_mean is not None and entry.claim_mean is not None for entry in models),
        causes=causes,
        cause_bars=bars((entry.causes[0].name, entry.verdict) for entry in models if entry.causes),
        environment_bars=bars((entry.environment, entry.verdict) for entry in models),
        group_bars=bars((entry.experiment, entry.verdict) for entry in models),
        experiments=experiments(models),
        more_experiments=max(0, len({entry.experiment for entry in models if not entry.found}) - MOST),
        margins_shown=MARGINS_SHOWN,
        certainty=certainty,
        style=(_HERE / "vendor" / "tabulator.min.css").read_text(encoding="utf-8") + _style(),
        libraries={name.partition(".")[0]: pack(text) for name, text in libraries.items()},
        specifications=pack(json.dumps({name: json.dumps(chart) for name, chart in compiled().items()})),
        parts=parts(models, environment_findings(audit), read_pairs(episodes, models)),
        script=script,
        hashes=[_hash(script), *map(_hash, libraries.values())],
    )
    return page


def tiles(counts: Mapping[str, int], said: Words) -> list[Tile]:
    """A tile for each verdict, in the verdicts' order."""
    meanings = said.meanings
    total = sum(counts.values()) or 1
    return [
        Tile(verdict, meanings[verdict], counts.get(verdict, 0), counts.get(verdict, 0) / total) for verdict in VERDICTS
    ]


def bars(pairs: Iterable[tuple[str, str]]) -> list[Bar]:
    """A bar for each name, those with most models that lost their reward first, then those with most that failed.

    :param pairs: of each model, what it shares with others, and its verdict
    """
    counted: dict[str, Counter[str]] = {}
    for name, verdict in pairs:
        counted.setdefault(name, Counter())[verdict] += 1
    longest = max((verdicts.total() for verdicts in counted.values()), default=1)
    ordered = sorted(
        counted.items(),
        key=lambda item: (-item[1]["degraded"], -item[1]["error"], -item[1].total(), item[0]),
    )
    return [
        Bar(
            name=name,
            count=verdicts.total(),
            share=verdicts.total() / longest,
            verdicts=tuple((verdict, verdicts[verdict]) for verdict in VERDICTS if verdicts[verdict]),
        )
        for name, verdicts in ordered[:_BARS]
    ]


def setting_texts(audit: Mapping[str, Any], models: Sequence[Entry]) -> list[str]:
    """What decided the verdicts, and which software trained or saved the models: whatever of it the audit says."""
    sections = audit.get("settings") or {}
    verdict = sections.get("verdict") or {}
    said = [_margin_setting(verdict, words(models)), *_test_settings(verdict)]
    said += [*_versions(audit.get("trained_with") or ()), _saved_with(models)]
    tool = audit.get("tool") or {}
    said.append(f"{tool.get('name', '')} {tool.get('version', '')}".strip())
    return [printable(text, _LONGEST_SETTING) for text in said if text]


def _settings(audit: Mapping[str, Any], models: Sequence[Entry]) -> dict[str, Any]:
    """What the script needs to know besides the models."""
    verdict = (audit.get("settings") or {}).get("verdict") or {}
    placed = [{"x": place.x} for place in places(models) if place is not None]
    return {
        "onDark": {color: ON_DARK[verdict] for verdict, color in COLORS.items()},
        "band": band(verdict.get("margin_fraction") or 0.0),
        "left": left_edge(placed) if placed else 0.0,
    }


def _script(settings: Mapping[str, Any]) -> str:
    """The page's script: its parts in one function, so that nothing of them is seen from outside."""
    texts = [(_HERE / "page" / name).read_text(encoding="utf-8").strip() for name in SCRIPTS]
    known = json.dumps(settings, ensure_ascii=True).replace("<", "\\u003c")
    return "\n".join(['"use strict";', "(() => {", f"const SETTINGS = {known};", *texts, "})();"])


def _style() -> str:
    """The page's own style, after the colours of the verdicts."""
    light, dark = ("".join(f"--{name}:{color};" for name, color in colors.items()) for colors in (COLORS, ON_DARK))
    colors = f":root{{{light}}}\n@media screen and (prefers-color-scheme: dark) {{ :root{{{dark}}} }}"
    return f"{colors}\n{(_HERE / 'page' / 'report.css').read_text(encoding='utf-8')}"


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _margin_setting(verdict: Mapping[str, Any], said: Words) -> str:
    parts = []
    if verdict.get("margin_fraction") is not None:
        parts.append(f"{number_format.percent(verdict['margin_fraction'])} of |{said.quoted} − random policy|")
    if verdict.get("margin_std") is not None:
        parts.append(f"{verdict['margin_std']:g} {said.reward.removesuffix(' reward')} std")
    return f"margin: {'the larger of ' if len(parts) > 1 else ''}{' and '.join(parts)}" if parts else ""


def _test_settings(verdict: Mapping[str, Any]) -> list[str]:
    parts = []
    if verdict.get("alpha") is not None:
        parts.append(f"α {number_format.percent(verdict['alpha'])}")
    if verdict.get("fdr") is not None:
        parts.append(f"FDR {number_format.percent(verdict['fdr'])}")
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


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("count", "number", "signed", "percent"):
        environment.filters[name] = getattr(number_format, name)
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
