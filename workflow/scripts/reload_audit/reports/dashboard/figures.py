"""The main plots as files, from the same charts as the page's: SVG for a paper, PNG for everything else."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import vl_convert

from reload_audit.reports.dashboard import charts, grids
from reload_audit.reports.dashboard.entries import Entry, entries
from reload_audit.reports.dashboard.scores import band, left_edge, places

_DOTS_PER_INCH = 200
_MANY = 300


def write_figures(audit: Mapping[str, Any], folder: Path) -> None:
    """Draw what there is to draw, each as ``.svg`` and ``.png``. The same audit gives the same SVG.

    :param audit: the content of ``audit.json``
    :param folder: made anew
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, specification in figures(audit):
        (folder / f"{name}.svg").write_text(vl_convert.vegalite_to_svg(specification), encoding="utf-8")
        (folder / f"{name}.png").write_bytes(vl_convert.vegalite_to_png(specification, ppi=_DOTS_PER_INCH))


def figures(audit: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names and Vega-Lite specifications, data included; without those that would be empty."""
    models = entries(audit.get("models") or ())
    points = _points(models)
    if points:
        fraction = ((audit.get("settings") or {}).get("verdict") or {}).get("margin_fraction") or 0.0
        many = len(points) > _MANY
        params = {"size": 14 if many else 50, "opacity": 0.5 if many else 0.8, "left": left_edge(points)}
        data = {"models": points, "band": band(fraction)}
        yield "scores", charts.drawn(charts.scores(legend=True), data, **params)
    causes = _causes(models)
    if causes:
        yield "causes", charts.drawn(charts.causes(), {"causes": causes})
    cells = grids.cells(models)
    if cells:
        yield "n_envs", charts.drawn(charts.grid(), {"cells": cells})
        yield "seeds", charts.drawn(charts.seeds(legend=True), {"seeds": grids.seeds(models)})


def _points(models: Sequence[Entry]) -> list[dict[str, Any]]:
    """The worst last, on top."""
    placed = zip(models, places(models), strict=True)
    points = [
        {"x": place.x, "y": place.y, "at": place.at, "verdict": entry.verdict, "model": entry.name}
        for entry, place in placed
        if place is not None
    ]
    return points[::-1]


def _causes(models: Sequence[Entry]) -> list[dict[str, Any]]:
    counted = Counter((entry.causes[0].name, entry.verdict) for entry in models if entry.causes)
    total = Counter(entry.causes[0].name for entry in models if entry.causes)
    rows = [{"cause": cause, "verdict": verdict, "models": count} for (cause, verdict), count in counted.items()]
    return sorted(rows, key=lambda row: (-total[row["cause"]], row["cause"], row["verdict"]))
