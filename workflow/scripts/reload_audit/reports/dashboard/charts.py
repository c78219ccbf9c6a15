"""The charts, in Vega-Lite by Altair: the page draws them with the data that it shows, ``figures`` with all data.

A chart refers to its data by name and does not hold them, so it is compiled once, whatever there is to draw: those of
the page stand compiled in ``page/charts.json``, those of the figures, as Vega-Lite, in ``figures.json``. `make charts`
writes both after a change of this file; nothing else imports it, as to import Altair takes longer than to draw.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

import altair as alt
import vl_convert

from reload_audit.judging.criteria import VERDICTS
from reload_audit.reports.colours import ON_LIGHT
from reload_audit.reports.dashboard.grids import MARGINS_SHOWN

LESS, MORE = ON_LIGHT["degraded"], ON_LIGHT["identical"]

_CELLS = [f"{LESS}b0", "#8888881f", f"{MORE}b0"]
"""Colours of a cell, from a loss to a gain; see-through, so that numbers are read on a dark page as on a light one."""

Chart: TypeAlias = alt.TopLevelMixin

_WORDS = "child_x_step > 82 ? datum.label : split(datum.label, ' ')"
"""Labels of an axis whose steps are narrow, with a line for each word."""

_INK = alt.param(name="ink", value="#17202b")
_SOFT = alt.param(name="soft", value="#5a6675")
_ON_MARK = alt.param(name="onMark", value="#ffffff")

_OPACITY = "datum.label ? 1 : opacity"
"""Of a mark: one that stands for several is not see-through, so that its number is read."""


def scores(legend: bool = False) -> Chart:
    """One point for each model: train-time or claimed score against the score after reload.

    :param legend: whether the verdicts' colours are explained: the page does so elsewhere

    Data: ``models``, a row for each mark, with ``x``, ``y``, ``at``, ``verdict``, ``size`` in square pixels, and
    ``label``, how many models it stands for; ``sectors``, of marks for several verdicts, a row for each of these, with
    ``begin``, ``end`` and ``radius``; ``band``, the margin about the diagonal. Parameters: ``left``, ``right``,
    ``bottom`` and ``top``, the scores that are shown.
    """
    axis = {"tickCount": 6, "format": ".2~f"}
    titles = "score before: 0 random, 1 the best", "score after reload"
    across, scale = (
        alt.Scale(domainMin=alt.ExprRef(low), domainMax=alt.ExprRef(high), nice=False, zero=False)
        for low, high in (("left", "right"), ("bottom", "top"))
    )
    band = (
        alt.Chart(alt.NamedData("band"))
        .mark_area(opacity=0.18, color="#888888", clip=True)
        .encode(x=alt.X("score:Q", scale=across), y=alt.Y("low:Q", scale=scale), y2="high:Q")
    )
    diagonal = (
        alt.Chart(alt.NamedData("band"))
        .mark_line(strokeDash=[4, 3], strokeWidth=1, color=alt.ExprRef("soft"), clip=True)
        .encode(x="score:Q", y="score:Q")
    )
    marks = alt.Chart(alt.NamedData("models")).encode(
        x=alt.X("x:Q", scale=across, axis=alt.Axis(title=titles[0], **axis)),
        y=alt.Y("y:Q", scale=scale, axis=alt.Axis(title=titles[1], **axis)),
    )
    points = (
        marks.mark_point(filled=True, strokeWidth=1, opacity=alt.ExprRef(_OPACITY), tooltip=alt.TooltipContent("data"))
        .encode(
            color=_verdict(legend),
            size=_size(),
            shape=alt.Shape(
                "at:N",
                legend=None,
                scale=alt.Scale(
                    domain=["", "below", "above", "nowhere"],
                    range=["circle", "triangle-down", "triangle-up", "M-.7,-.7L.7,.7M-.7,.7L.7,-.7"],
                ),
            ),
            stroke=alt.condition("datum.at === 'nowhere'", _verdict(False), alt.value("transparent")),
        )
        .add_params(alt.selection_interval(name="brush"))
    )
    sectors = (
        alt.Chart(alt.NamedData("sectors"))
        .mark_arc(tooltip=alt.TooltipContent("data"))
        .encode(
            x=alt.X("x:Q", scale=across),
            y=alt.Y("y:Q", scale=scale),
            theta=alt.Theta("begin:Q", scale=None),
            theta2="end:Q",
            radius=alt.Radius("radius:Q", scale=None),
            color=_verdict(legend),
        )
    )
    values = {"opacity": 0.8, "left": 0.0, "right": 1.1, "bottom": 0.0, "top": 1.1}
    params = [_SOFT, _INK, _ON_MARK, *(alt.param(name=name, value=value) for name, value in values.items())]
    return (
        alt.layer(band, diagonal, points, sectors, _count(marks)).properties(width=520, height=330).add_params(*params)
    )


def grid() -> Chart:
    """Mean difference from the reference, averaged over seeds: n_envs in training by condition of evaluation.

    Data: ``cells`` of ``grids.cells``.
    """
    cells = alt.Chart().encode(
        x=alt.X(
            "condition:N",
            sort=alt.SortField("place"),
            axis=alt.Axis(title=None, labelAngle=0, labelLimit=82, labelFontSize=10, labelExpr=_WORDS),
        ),
        y=alt.Y("n_envs:O", axis=alt.Axis(title="n_envs", minExtent=26)),
    )
    tooltip = [
        alt.Tooltip(f"{field}:N") for field in ("condition", "mean", "differences", "margin", "episodes", "models")
    ]
    rects = cells.mark_rect(stroke="#88888833").encode(color=_margins(), tooltip=tooltip)
    means = cells.mark_text(dy=-6, fontSize=11, fontWeight=600, color=alt.ExprRef("ink")).encode(text="mean:N")
    differences = cells.mark_text(dy=8, fontSize=10, color=alt.ExprRef("ink")).encode(text="difference:N")
    return (
        alt.layer(rects, means, differences, data=alt.NamedData("cells"))
        .properties(width=alt.Step(82), height=alt.Step(34))
        .facet(_panels("experiment", 380), columns=2, spacing=24)
        .resolve_scale(x="independent", y="independent")
        .add_params(_INK)
    )


def grid_of_many() -> Chart:
    """The same for many experiments: a row each, a column for each condition and n_envs, with differences alone.

    Data: ``cells`` of ``grids.cells``.
    """
    cells = alt.Chart().encode(
        x=alt.X("n_envs:O", axis=alt.Axis(title=None, labelAngle=0, labelFontSize=10)),
        y=alt.Y(
            "experiment:N",
            sort=alt.EncodingSortField("rank", op="min"),
            axis=alt.Axis(title=None, labelLimit=230, minExtent=40),
        ),
    )
    fields = ("experiment", "condition", "n_envs", "mean", "differences", "margin", "episodes", "models")
    tooltip = [alt.Tooltip(f"{field}:N") for field in fields]
    rects = cells.mark_rect(stroke="#88888833").encode(color=_margins(), tooltip=tooltip)
    differences = cells.mark_text(fontSize=10, color=alt.ExprRef("ink")).encode(text="difference:N")
    header = alt.Header(labelFontWeight=600, labelFontSize=11, labelLimit=150)
    return (
        alt.layer(rects, differences, data=alt.NamedData("cells"))
        .properties(width=alt.Step(52), height=alt.Step(20))
        .facet(
            column=alt.Column("condition:N", title=None, sort=alt.EncodingSortField("place", op="min"), header=header),
            spacing=10,
        )
        .add_params(_INK)
    )


def seeds(legend: bool = False) -> Chart:
    """Mean reward of each model in place, as reference and after reload: a line a seed, a panel a training n_envs.

    Data: ``seeds`` of ``grids.seeds``. A line that stands for several models ends with their number.
    """
    lines = alt.Chart().encode(
        x=alt.X("stage:N", sort=None, axis=alt.Axis(title=None, labelAngle=0)),
        y=alt.Y("mean:Q", axis=alt.Axis(title=None, tickCount=4, minExtent=40), scale=alt.Scale(zero=False)),
        color=_verdict(legend),
        detail="model:N",
    )
    drawn = lines.mark_line(strokeWidth=1.5, opacity=0.8)
    points = lines.mark_point(filled=True, size=26).encode(
        tooltip=[alt.Tooltip(f"{field}:N") for field in ("model", "verdict", "stage", "reward")]
    )
    counts = lines.mark_text(align="left", dx=6, fontSize=11).encode(text="label:N")
    return (
        alt.layer(drawn, points, counts, data=alt.NamedData("seeds"))
        .properties(width=210, height=92)
        .facet(_panels("panel", 230), columns=4, spacing=20)
        .resolve_scale(y="independent")
        .resolve_axis(x="independent")
    )


def causes() -> Chart:
    """How many models each cause is the best explanation of; for the figures, as the page has buttons for it.

    Data: ``causes``.
    """
    return (
        alt.Chart(alt.NamedData("causes"))
        .mark_bar(height=13)
        .encode(
            x=alt.X("models:Q", axis=alt.Axis(title="models", tickMinStep=1)),
            y=alt.Y("cause:N", sort=None, axis=alt.Axis(title=None, labelLimit=260)),
            color=_verdict(True),
            order=alt.Order("place:Q"),
        )
        .properties(width=420, height=alt.Step(20))
    )


def conditions() -> Chart:
    """One model under every condition, against what it should earn. Data: ``conditions`` and ``target``, one row."""
    target = alt.Chart(alt.NamedData("target"))
    band = target.mark_rect(opacity=0.18, color="#888888").encode(x=alt.X("low:Q"), x2="high:Q")
    goal = target.mark_rule(strokeDash=[4, 3], color=alt.ExprRef("soft")).encode(x="mean:Q")
    rows = alt.Chart(alt.NamedData("conditions")).encode(
        y=alt.Y("condition:N", sort=alt.SortField("place"), axis=alt.Axis(title=None, labelLimit=230, grid=True))
    )
    color = alt.Color(
        "kind:N",
        legend=None,
        scale=alt.Scale(domain=["other", "reload", "closes"], range=["#7f8894", LESS, ON_LIGHT["improved"]]),
    )
    title = "mean episode reward; dashed: before, with its margin"
    axis = alt.X("mean:Q", axis=alt.Axis(title=title, tickCount=6), scale=alt.Scale(zero=False))
    spans = rows.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2="high:Q", color=color)
    tooltip = [alt.Tooltip(f"{field}:N") for field in ("condition", "reward", "interval", "episodes", "closes")]
    means = rows.mark_point(filled=True, size=55, opacity=1).encode(x=axis, color=color, tooltip=tooltip)
    said = rows.mark_text(align="left", dx=9, fontSize=11, color=alt.ExprRef("ink")).encode(x="mean:Q", text="closes:N")
    layers = alt.layer(band, goal, spans, means, said)
    return layers.properties(width=400, height=alt.Step(20)).add_params(_INK, _SOFT)


def pairs() -> Chart:
    """The episodes of one model, paired by seed: in place against reference and reload.

    Data: ``diagonal``, and ``pairs``, a row for each mark, with its ``size`` and, as ``label``, how many episodes it
    stands for.
    """
    axes = {"axis": alt.Axis(tickCount=6), "scale": alt.Scale(zero=False, padding=12)}
    diagonal = (
        alt.Chart(alt.NamedData("diagonal"))
        .mark_line(strokeDash=[4, 3], strokeWidth=1, color=alt.ExprRef("soft"))
        .encode(x="reward:Q", y="reward:Q")
    )
    marks = alt.Chart(alt.NamedData("pairs")).encode(
        x=alt.X("before:Q", title="reward in place", **axes),
        y=alt.Y("after:Q", title="reward of the same episode", **axes),
    )
    tooltip = [alt.Tooltip(f"{field}:N") for field in ("episodes", "before", "after")]
    points = marks.mark_point(filled=True, opacity=alt.ExprRef(_OPACITY)).encode(
        color=_stage(orient="top"),
        shape=alt.Shape("stage:N", sort=None, scale=alt.Scale(domain=[*_STAGES], range=["diamond", "circle"])),
        size=_size(),
        tooltip=tooltip,
    )
    params = [_SOFT, _INK, _ON_MARK, alt.param(name="opacity", value=0.75)]
    return alt.layer(diagonal, points, _count(marks)).properties(width=300, height=300).add_params(*params)


def episodes() -> Chart:
    """The reload's episodes of a model without recorded ones, against what is claimed.

    Data: ``episodes``, ``target``.
    """
    title = "reward"
    target = alt.Chart(alt.NamedData("target"))
    band = target.mark_rect(opacity=0.18, color="#888888").encode(y=alt.Y("low:Q"), y2="high:Q")
    goal = target.mark_rule(strokeDash=[4, 3], color=alt.ExprRef("soft")).encode(y="mean:Q")
    points = (
        alt.Chart(alt.NamedData("episodes"))
        .mark_point(filled=True, size=40, opacity=0.8)
        .encode(
            x=alt.X(
                "episode:Q",
                axis=alt.Axis(title="episode", tickMinStep=1, grid=False),
                scale=alt.Scale(nice=False, padding=10),
            ),
            y=alt.Y("reward:Q", axis=alt.Axis(title=title), scale=alt.Scale(zero=False, padding=10)),
            color=_verdict(False),
            tooltip=[alt.Tooltip(f"{field}:Q") for field in ("episode", "reward")],
        )
    )
    return alt.layer(band, goal, points).properties(width=400, height=180).add_params(_SOFT)


def history() -> Chart:
    """What one model was in earlier audits, by one measure. Data: ``audits``, a row each, in their order."""
    marks = alt.Chart(alt.NamedData("audits")).encode(
        x=alt.X(
            "place:O",
            axis=alt.Axis(title=None, labelAngle=0, labelOverlap=True, labelExpr="data('audits')[datum.value].when"),
        ),
        color=alt.condition("datum.verdict", _verdict(False), alt.value("#7f8894")),
    )
    value = alt.Y("value:Q", axis=alt.Axis(title=None, tickCount=3, minExtent=40), scale=alt.Scale(zero=False))
    line = marks.mark_line(strokeWidth=1.5).encode(y=value, color=alt.value("#88888880"))
    spans = marks.mark_rule(strokeWidth=1.5).encode(y="low:Q", y2="high:Q")
    tooltip = [alt.Tooltip(f"{field}:N") for field in ("when", "said", "verdict")]
    points = marks.mark_point(filled=True, size=50, opacity=1).encode(y=value, tooltip=tooltip)
    return alt.layer(line, spans, points).properties(width=300, height=80)


_OF_THE_PAGE = (scores, grid, grid_of_many, seeds, conditions, pairs, episodes, history)
CHARTS = {chart.__name__: chart for chart in _OF_THE_PAGE}
"""The charts of the page, by name."""


def compiled() -> str:
    """The Vega specification of every chart of the page, by name, as JSON with a line for each chart."""
    found = {name: _adaptable(vl_convert.vegalite_to_vega(_specification(chart()))) for name, chart in CHARTS.items()}
    return _lines(found)


def _lines(specifications: Mapping[str, object]) -> str:
    lines = ",\n".join(f'"{name}": {json.dumps(specification)}' for name, specification in specifications.items())
    return f"{{\n{lines}\n}}\n"


def for_figures() -> str:
    """The Vega-Lite specification of every chart that is drawn as a figure, by name, as JSON with a line for each."""
    drawn = {
        "scores": scores(legend=True),
        "causes": causes(),
        "grid": grid(),
        "grid_of_many": grid_of_many(),
        "seeds": seeds(legend=True),
    }
    return _lines({name: _specification(chart) for name, chart in drawn.items()})


def _specification(chart: Chart) -> dict[str, Any]:
    """A chart as Vega-Lite, without a theme."""
    content: dict[str, Any] = chart.to_dict()
    del content["config"]  # Altair's own look; whoever draws brings theirs
    return content


def _adaptable(specification: dict[str, Any]) -> dict[str, Any]:
    """A Vega specification whose plot is as wide, with as many panels in a row, as the page has room for."""
    specification.pop("background", None)
    specification["autosize"] = {"type": "pad"}
    layout = specification.get("layout")
    if layout and isinstance(layout.get("columns"), int):
        layout |= {"columns": {"signal": "columns"}, "align": "each"}
        specification["signals"] = [*specification.get("signals", []), {"name": "columns", "value": 2}]
    return specification


def _verdict(legend: bool) -> alt.Color:
    scale = alt.Scale(domain=list(VERDICTS), range=[ON_LIGHT[verdict] for verdict in VERDICTS])
    return alt.Color("verdict:N", scale=scale, legend=alt.Legend(title=None) if legend else None)


def _margins() -> alt.Color:
    scale = alt.Scale(domain=[-MARGINS_SHOWN, 0, MARGINS_SHOWN], range=_CELLS, clamp=True)
    return alt.Color("margins:Q", legend=None, scale=scale)


def _size() -> alt.Size:
    return alt.Size("size:Q", scale=None, legend=None)


def _count(marks: alt.Chart) -> alt.Chart:
    """How many each mark stands for: on a circle, beside any other shape."""
    is_circle = "datum.at === ''"
    text = marks.mark_text(
        fontSize=10,
        fontWeight=700,
        dx=alt.ExprRef(f"{is_circle} ? 0 : 12"),
        color=alt.ExprRef(f"{is_circle} ? onMark : ink"),
        tooltip=alt.TooltipContent("data"),
    )
    return text.encode(text="label:N")


_STAGES = ("reference", "reload")
"""What episodes in place are compared with."""


def _stage(**legend: Any) -> alt.Color:
    scale = alt.Scale(domain=[*_STAGES], range=["#7f8894", LESS])
    return alt.Color("stage:N", sort=None, scale=scale, legend=alt.Legend(title=None, **legend))


def _panels(field: str, limit: int) -> alt.Facet:
    """A panel for each value of a field, in the order of the rows.

    :param limit: width of a panel's title
    """
    header = alt.Header(labelAnchor="start", labelFontWeight=600, labelLimit=limit, labelFontSize=12)
    return alt.Facet(f"{field}:N", title=None, sort=alt.EncodingSortField("rank", op="min"), header=header)
