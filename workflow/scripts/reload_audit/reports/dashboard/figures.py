"""The main plots as files, from the same charts as the page's: SVG for a paper, PNG for everything else."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import vl_convert

from reload_audit.reports.audit import Audit
from reload_audit.reports.dashboard import grids
from reload_audit.reports.dashboard.entries import Entry, entries
from reload_audit.reports.dashboard.scores import Place, band, places, window

CHARTS = "figures.json"
"""The charts, without data: see ``charts``."""

Chart: TypeAlias = dict[str, Any]
"""A Vega-Lite specification."""

Row: TypeAlias = Mapping[str, str | float | None]
"""A row of the data that a chart draws."""

_DOTS_PER_INCH = 200
_IN_PANELS = 6
"""Experiments that have a panel each; of more, each is a row."""

_SIZES = (120, 190, 300, 430, 580)
"""Of marks for several models, by the number of digits that stand on them."""

_MANY = 300
"""Points above which they are drawn smaller."""


def write_figures(audit: Audit, folder: Path) -> None:
    """Draw each plot that has data, as ``.svg`` and ``.png``. The same audit gives the same SVG.

    :param folder: made anew
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, specification in figures(audit):
        drawn = vl_convert.vegalite_to_svg(specification)
        (folder / f"{name}.svg").write_text(drawn, encoding="utf-8")
        (folder / f"{name}.png").write_bytes(vl_convert.svg_to_png(drawn, ppi=_DOTS_PER_INCH))


def figures(audit: Audit) -> Iterator[tuple[str, Chart]]:
    """Names and Vega-Lite specifications, data included; without those that would be empty, or show a single model."""
    models = entries(audit.models)
    if len(models) < 2:
        return
    charts = json.loads(Path(__file__).with_name(CHARTS).read_text(encoding="utf-8"))
    placed = [(entry, place) for entry, place in zip(models, places(models), strict=True) if place is not None]
    if placed:
        fraction = 0.0 if audit.criteria is None else audit.criteria.margin_fraction
        many = len(placed) > _MANY
        shown = window(models)
        params = {"opacity": 0.5 if many else 0.8, **asdict(shown)}
        points, sectors = _points(placed, 14 if many else 50)
        data: dict[str, Sequence[Row]] = {"models": points, "sectors": sectors, "band": band(fraction, shown)}
        yield "scores", _drawn(charts["scores"], data, **params)
    causes = _causes(models)
    if causes:
        yield "causes", _drawn(charts["causes"], {"causes": causes})
    cells = grids.cells(models)
    if cells:
        chart = charts["grid" if len({cell.group for cell in cells}) <= _IN_PANELS else "grid_of_many"]
        yield "n_envs", _drawn(chart, {"cells": [asdict(cell) for cell in cells]})
        yield "seeds", _drawn(charts["seeds"], {"seeds": [asdict(mean) for mean in grids.seeds(models)]})


def _drawn(chart: Chart, data: Mapping[str, Sequence[Row]], **params: float) -> Chart:
    """A chart's Vega-Lite specification with its data, and values of its parameters, to be drawn on paper."""
    known = [{**param, "value": params.get(param["name"], param.get("value"))} for param in chart.get("params", [])]
    known = [{key: value for key, value in param.items() if value is not None} for param in known]
    datasets = {name: list(rows) for name, rows in data.items()}
    return {**chart, "params": known, "background": "white", "datasets": datasets}


def _points(placed: Sequence[tuple[Entry, Place]], size: int) -> tuple[list[Row], list[Row]]:
    """Marks for models, the worst last, so that they are drawn on top; one for all that coincide.

    :param size: of a mark for one model, in square pixels
    :return: the marks, and of those for several verdicts the sectors
    """
    found: dict[tuple[float, float, str, str], list[tuple[Entry, Place]]] = {}
    for entry, place in placed:  # only circles show several verdicts
        look = (place.at, entry.verdict) if place.at else ("", "")
        found.setdefault((round(place.x, 2), round(place.y, 2), *look), []).append((entry, place))
    points: list[Row] = []
    sectors: list[Row] = []
    for alike in reversed(found.values()):
        first, place = alike[0]
        count = len(alike)
        area = size if count == 1 else _SIZES[min(len(str(count)), len(_SIZES)) - 1]
        mark: dict[str, str | float | None] = {
            "x": place.x,
            "y": place.y,
            "at": place.at,
            "verdict": first.verdict,
            "model": first.name,
            "size": area,
            "label": str(count) if count > 1 else "",
        }
        points.append(mark)
        verdicts: Counter[str] = Counter(entry.verdict for entry, _ in alike)
        sectors.extend({**mark, **sector} for sector in _sectors(verdicts, area))
    return points, sectors


def _sectors(verdicts: Mapping[str, int], area: float) -> Iterator[Row]:
    """The sectors of a mark that stands for models of several verdicts.

    :param verdicts: how many models have each
    :param area: of the mark in square pixels
    :return: of each verdict the angles in radians, and the radius in pixels
    """
    total, end = sum(verdicts.values()), 0.0
    for verdict, count in verdicts.items() if len(verdicts) > 1 else ():
        begin, end = end, end + math.tau * count / total
        yield {"verdict": verdict, "begin": begin, "end": end, "radius": math.sqrt(area / math.pi)}


def _causes(models: Sequence[Entry]) -> list[Row]:
    """How many models with each verdict each cause best explains, the most frequent causes first."""
    counted = Counter((entry.causes[0].name, entry.verdict) for entry in models if entry.causes)
    total = Counter(entry.causes[0].name for entry in models if entry.causes)
    ordered = sorted(counted.items(), key=lambda item: (-total[item[0][0]], item[0]))
    return [{"cause": cause, "verdict": verdict, "models": count} for (cause, verdict), count in ordered]
