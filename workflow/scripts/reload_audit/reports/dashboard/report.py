"""From ``audit.json`` to the page: what to say and what to draw; the template says how it looks."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from reload_audit.judging.criteria import AS_BEFORE, VERDICTS, Criteria, Verdict
from reload_audit.records.replay import Replay
from reload_audit.records.storage import write_text
from reload_audit.reports.audit import Audit
from reload_audit.reports.colours import ON_DARK, ON_LIGHT
from reload_audit.reports.dashboard import number_format
from reload_audit.reports.dashboard.causes import cause_rows, certainty
from reload_audit.reports.dashboard.entries import Entry, entries
from reload_audit.reports.dashboard.environments import environment_rows, healthy
from reload_audit.reports.dashboard.episodes import read_pairs
from reload_audit.reports.dashboard.grids import MARGINS_SHOWN, MOST, experiments
from reload_audit.reports.dashboard.history import EarlierAudit, series
from reload_audit.reports.dashboard.payload import pack, parts
from reload_audit.reports.dashboard.scores import band, window
from reload_audit.reports.dashboard.since import candidate_rows, since_section
from reload_audit.reports.dashboard.vocabulary import IN_SHORT, SUSPECT, Vocabulary, vocabulary
from reload_audit.reports.headline import headline
from reload_audit.reports.safe_text import one_line
from reload_audit.reports.scripts import about_scripts
from reload_audit.reports.summary import plain_loads

_HERE = Path(__file__).parent

LIBRARIES = ("vendor/vega.min.js", "vendor/vega-interpreter.min.js", "vendor/tabulator.min.js")
"""Front-end libraries, in the order in which they are run; see ``vendor/README.md``."""

UNPACK = "page/unpack.js"
"""What stands uncompressed in the page, and unpacks the rest."""

SCRIPTS = (
    *(UNPACK, "page/values.js", "page/marks.js", "page/plots.js", "page/filters.js", "page/address.js"),
    *("page/table.js", "page/experiments.js", "page/replay.js", "page/panel.js", "page/main.js"),
)
"""The page's own script, in parts that share one scope."""

CHARTS = "page/charts.json"
"""The Vega specifications of the page's charts: see ``charts``."""

FOLDERS = {"results": "results", "logs": "logs"}
"""Where a workflow writes to unless it is told otherwise."""

_PACKAGES = {
    "stable_baselines3": "SB3",
    "gymnasium": "Gymnasium",
    "torch": "PyTorch",
    "python": "Python",
}

_VERSIONS = 5
"""Versions of SB3 that are named, of those that saved external models."""

_LONGEST_PATH = 60
"""Characters of a path in a text that are shown; a longer one is shortened to its file's name."""

_LONGEST_SETTING = 300
"""Characters of one setting that are shown."""

_BARS = 200
"""The most buttons there are to filter by environment, and by experiment, folder or table."""


@dataclass(frozen=True)
class Tile:
    """How many models have a verdict, or a mark beside it.

    :param kind: ``verdict`` or ``mark``: which filter it is
    """

    name: str
    verdict: Verdict
    meaning: str
    count: int
    share: float
    kind: str = "verdict"

    @property
    def in_short(self) -> str:
        """The meaning in few words."""
        return IN_SHORT[self.name]


@dataclass(frozen=True)
class Bar:
    """Models that share something, by verdict; ``share`` of the longest bar."""

    name: str
    count: int
    share: float
    verdicts: tuple[tuple[str, int], ...]


def write_report(
    audit: Audit,
    path: Path,
    episodes: Path | None = None,
    folders: Mapping[str, str] = FOLDERS,
    history: Sequence[EarlierAudit] = (),
    replays: Mapping[str, Replay] = MappingProxyType({}),
) -> None:
    """Write the report of an audit as one HTML file that needs no network.

    The same audit gives the same bytes.

    :param path: the HTML file; it appears complete or not at all
    :param episodes: ``episodes.parquet`` of the same audit; without it no single episodes are drawn
    :param folders: ``results`` and ``logs`` of the audit, for the commands that run a model again
    :param history: earlier audits, the earliest first
    :param replays: two episodes of models side by side, by the names of the models
    """
    write_text(path, render(audit, episodes, folders, history, replays))


def render(
    audit: Audit,
    episodes: Path | None = None,
    folders: Mapping[str, str] = FOLDERS,
    history: Sequence[EarlierAudit] = (),
    replays: Mapping[str, Replay] = MappingProxyType({}),
) -> str:
    """The report's HTML."""
    models = entries(audit.models)
    words, causes = vocabulary(models), cause_rows(models)
    charts = json.loads(_text(CHARTS))
    libraries = {name: (_HERE / name).read_text(encoding="utf-8") for name in LIBRARIES}
    libraries["page"] = _script(_settings(audit, models) | {"folders": dict(folders)})
    start = _in_one_scope(_text(UNPACK), 'runLibrary("page");')
    page: str = _template().render(
        answer=headline(audit),
        plain_loads=plain_loads(audit.models),
        scripts=[*about_scripts(audit.scripts)],
        settings=setting_texts(audit, models),
        words=words,
        tiles=tiles(models, words),
        since=since_section(audit.since, models),
        candidates=candidate_rows(audit.candidates, models),
        models=models,
        scored=any(entry.random_mean_reward is not None and entry.claim_mean is not None for entry in models),
        causes=causes,
        environments=environment_rows(audit, models),
        healthy=healthy(audit),
        as_before=f"{', '.join(AS_BEFORE[:-1])} or {AS_BEFORE[-1]}",
        cause_bars=bars((entry.causes[0].name, entry.verdict) for entry in models if entry.causes),
        environment_bars=bars((entry.env_id, entry.verdict) for entry in models),
        group_bars=bars((entry.experiment, entry.verdict) for entry in models),
        experiments=experiments(models),
        more_experiments=max(0, len({entry.experiment for entry in models if not entry.is_external}) - MOST),
        margins_shown=MARGINS_SHOWN,
        certainty=certainty,
        style=(_HERE / "vendor/tabulator.min.css").read_text(encoding="utf-8") + _style(),
        libraries={Path(name).name.partition(".")[0]: pack(text) for name, text in libraries.items()},
        specifications=pack(json.dumps({name: json.dumps(chart) for name, chart in charts.items()})),
        parts=parts(models, audit, read_pairs(episodes, models), series(history, models), replays),
        script=start,
        hashes=[_hash(start), *map(_hash, libraries.values())],
    )
    return page


def tiles(models: Sequence[Entry], words: Vocabulary) -> list[Tile]:
    """A tile for each verdict that is possible, in the verdicts' order; for suspect models, if any, before degraded."""
    counts = Counter(entry.verdict for entry in models)
    total, suspect = len(models) or 1, sum(entry.suspect for entry in models)
    found = []
    for verdict in VERDICTS:
        if verdict == "degraded" and suspect:
            found.append(Tile("suspect", "inconclusive", SUSPECT, suspect, suspect / total, "mark"))
        if words.external or verdict != "consistent" or counts[verdict]:
            found.append(Tile(verdict, verdict, words.meanings[verdict], counts[verdict], counts[verdict] / total))
    return found


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


def setting_texts(audit: Audit, models: Sequence[Entry]) -> list[str]:
    """What decided the verdicts, and which software trained or saved the models: whatever of it the audit says."""
    said = [] if audit.criteria is None else _criteria_texts(audit.criteria, vocabulary(models))
    said += [*_versions(audit.trained_with), _saved_with(models)]
    said += [*(f"passed over: {kind}" for kind in audit.passed_over), audit.tool]
    return [one_line(text, _LONGEST_SETTING) for text in said if text]


def _settings(audit: Audit, models: Sequence[Entry]) -> dict[str, object]:
    """What the script needs to know besides the models."""
    shown = window(models)
    return {
        "onDark": {color: ON_DARK[verdict] for verdict, color in ON_LIGHT.items()},
        "band": band(0.0 if audit.criteria is None else audit.criteria.margin_fraction, shown),
        "window": asdict(shown),
        "meanings": {**vocabulary(models).meanings, "suspect": SUSPECT},
    }


def _script(settings: Mapping[str, object]) -> str:
    """The page's script."""
    known = json.dumps(settings, ensure_ascii=True).replace("<", "\\u003c")
    return _in_one_scope(f"const SETTINGS = {known};", *map(_text, SCRIPTS))


def _in_one_scope(*texts: str) -> str:
    """Parts of a script in one function, so that nothing of them is seen from outside."""
    return "\n".join(['"use strict";', "(() => {", *texts, "})();"])


def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8").strip()


def _style() -> str:
    """The page's own style, after the verdicts' colours: ``--c`` of whatever has a verdict as its class."""
    light, dark = (
        "".join(f".{verdict}{{--c:{colours[verdict]}}}" for verdict in VERDICTS) for colours in (ON_LIGHT, ON_DARK)
    )
    coloured = f"{light}\n@media screen and (prefers-color-scheme: dark) {{ {dark} }}"
    return f"{coloured}\n{(_HERE / 'page/report.css').read_text(encoding='utf-8')}"


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _criteria_texts(criteria: Criteria, words: Vocabulary) -> list[str]:
    of_learned = f"{number_format.percent(criteria.margin_fraction)} of |{words.quoted} − random policy|"
    of_noise = f"{criteria.margin_std:g} {words.reward.removesuffix(' reward')} std"
    return [
        f"margin: the larger of {of_learned} and {of_noise}",
        f"α {number_format.percent(criteria.alpha)}, spent over the looks",
        f"FDR {number_format.percent(criteria.fdr)}",
        f"looks at {', '.join(map(str, criteria.looks))} episodes" if criteria.looks else "",
    ]


def _versions(trained_with: Sequence[Mapping[str, str]]) -> list[str]:
    """``SB3 2.9.2``, ``Gymnasium 1.2.0, 1.2.1``: all versions of the main packages that models were trained with."""
    said = []
    for package, title in _PACKAGES.items():
        versions = {software[package] for software in trained_with if package in software}
        if versions:
            said.append(f"{title} {', '.join(sorted(versions))}")
    return said


def _saved_with(models: Sequence[Entry]) -> str:
    """Which versions of SB3 saved external models, the most frequent few, and which loaded them."""
    external = [entry for entry in models if entry.is_external]
    saved = Counter(entry.sb3_saved for entry in external if entry.sb3_saved)
    loaded = sorted({entry.sb3_loaded for entry in external if entry.sb3_loaded})
    if not saved or not loaded:
        return ""
    shown = sorted(sorted(saved, key=lambda version: (-saved[version], version))[:_VERSIONS])
    left = len(saved) - _VERSIONS
    more = f" and {left:,} other{'s' if left > 1 else ''}" if left > 0 else ""
    return f"external models saved with SB3 {', '.join(shown)}{more}, loaded with {', '.join(loaded)}"


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("count", "number", "signed", "percent"):
        environment.filters[name] = getattr(number_format, name)
    environment.filters["breakable"] = _breakable
    environment.filters["short_paths"] = _short_paths
    return environment.get_template("page/report.html.j2")


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
