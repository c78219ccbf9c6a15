"""The dashboard's numbers, its scores and the figures that are written as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from reload_audit.reports.dashboard import figures, report
from reload_audit.reports.dashboard.charts import compiled, for_figures
from reload_audit.reports.dashboard.figures import write_figures
from reload_audit.reports.dashboard.number_format import number, signed
from reload_audit.reports.dashboard.report import CHARTS, render
from reload_audit.reports.dashboard.scores import places, window
from support.dashboard_rows import EVERY_VERDICT, audit_of, cause, entries, row_with_causes, trained_row
from support.read_pages import column


@pytest.mark.parametrize("missing", [None, "nan", "inf", float("nan")])
def test_a_number_that_is_none_shows_as_a_dash(missing: Any) -> None:
    (entry,) = entries([trained_row(claim_std=missing, difference=missing)])
    assert entry.claim_std is None
    assert number(entry.claim_std) == signed(entry.difference) == "–"
    assert column(render(audit_of([trained_row(difference=missing)])), "difference") == [None]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (7201.2, "7,201"),
        (313.85, "313.9"),
        (-3.02, "−3.02"),
        (0.0134, "0.013"),
        (1e300, "1.0e+300"),
    ],
)
def test_numbers_have_few_digits_and_a_true_minus(value: float, text: str) -> None:
    assert number(value) == text


def test_a_reward_that_did_not_change_is_stored_once() -> None:
    """Most models are unchanged, and a page has to hold ten thousand of them."""
    html = render(audit_of([trained_row("a"), trained_row("b", "degraded")]))
    assert dict(zip(column(html, "model"), column(html, "same"), strict=True)) == {"a": 1, "b": 0}
    assert dict(zip(column(html, "model"), column(html, "after"), strict=True)) == {"a": None, "b": -3}


def test_a_score_is_0_for_a_random_policy_and_1_for_the_best_of_the_environment() -> None:
    models = entries([trained_row("a"), trained_row("b", claim_mean=30.0), trained_row("c", "degraded")])
    places_of = {(place.x, round(place.y, 3), place.at) for place in places(models) if place is not None}
    assert places_of == {(1.0, 1.0, ""), (0.5, 1.0, ""), (1.0, -0.325, "")}
    assert window(models).bottom == pytest.approx(-0.325 - 1.375 / 20, abs=1e-4)


@pytest.mark.parametrize("earned", [-180.0, -60.0, 130.0, 400.0])
def test_the_chart_of_scores_fits_a_model_far_from_its_claim_unless_it_is_one_of_many(earned: float) -> None:
    far = trained_row("far", reload_mean_reward=earned)
    alone, among_many = entries([far]), entries([far, *(trained_row(f"m{number}") for number in range(20))])
    (place,) = places(alone)
    assert place is not None
    assert (place.y, place.at) == ((earned - 10.0) / 40.0, "")
    room = (window(alone).top - window(alone).bottom) / 25  # 10 pixels, where a point is 9 pixels high
    assert window(alone).bottom + room < place.y < window(alone).top - room
    arrow = places(among_many)[0]
    assert arrow is not None
    assert arrow.at == ("below" if earned < 0.0 else "above")
    assert -0.4 <= window(among_many).bottom < arrow.y < window(among_many).top <= 1.3


def test_the_chart_of_scores_shows_no_more_than_its_models_need() -> None:
    sound = [trained_row("a"), trained_row("b", claim_mean=48.0, reload_mean_reward=47.0)]
    assert window(entries(sound)).bottom == window(entries(sound)).left == 0.65
    lost = [*sound, trained_row("c", "degraded", reload_mean_reward=20.0)]
    bottom = window(entries(lost)).bottom
    assert 0.0 < bottom < 0.4
    assert min(place.y for place in places(entries(lost)) if place) > bottom


def test_each_environment_has_a_scale_of_its_own() -> None:
    models = [trained_row("a"), trained_row("b", env_id="Pendulum-v1", claim_mean=-200.0, random_mean_reward=-1200.0)]
    assert [place and place.x for place in places(entries(models))] == [1.0, 1.0]


def test_models_that_could_not_be_reloaded_are_drawn_at_the_lower_edge() -> None:
    (place,) = places(entries([trained_row(verdict="error")]))
    assert place is not None
    assert (place.x, place.at) == (1.0, "nowhere")
    assert place.y == pytest.approx(window(entries([trained_row(verdict="error")])).bottom, abs=0.01)


@pytest.mark.parametrize(
    "unknown", [{"claim_mean": None}, {"random_mean_reward": None}, {"random_mean_reward": 50.0}, {"claim_mean": 1e308}]
)
def test_a_model_without_a_score_is_not_drawn_and_the_page_says_so(unknown: dict[str, Any]) -> None:
    assert places(entries([trained_row(**unknown)])) == [None]
    html = render(audit_of([trained_row(**unknown)]))
    assert column(html, "x") == [None]


def test_a_score_after_reload_is_written_where_it_is_not_the_one_before() -> None:
    html = render(audit_of([trained_row("a"), trained_row("b", "improved")]))
    assert column(html, "x") == [1.0, 1.0]
    assert column(html, "y") == [1.25, None]


def test_of_a_model_that_is_the_same_in_every_bit_nothing_is_said_of_chance() -> None:
    html = render(audit_of([trained_row("a", q=1.0), trained_row("b", "degraded", q=0.01)]))
    assert dict(zip(column(html, "model"), column(html, "q"), strict=True)) == {"a": None, "b": 0.01}


def test_the_charts_of_the_page_are_compiled_from_those_of_the_library() -> None:
    written = Path(report.__file__).with_name("page").joinpath(Path(CHARTS).name).read_text(encoding="utf-8")
    assert written == compiled(), "run `make charts`"
    assert Path(figures.__file__).with_name(figures.CHARTS).read_text(encoding="utf-8") == for_figures()


def test_the_main_plots_are_written_as_files_too(tmp_path: Path) -> None:
    write_figures(audit_of([*EVERY_VERDICT, row_with_causes("a", cause())]), tmp_path / "figures")
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert names == {f"{name}.{kind}" for name in ("scores", "causes", "n_envs", "seeds") for kind in ("svg", "png")}
    for path in (tmp_path / "figures").glob("*.svg"):
        assert ElementTree.parse(path).getroot().tag.endswith("}svg")  # noqa: S314
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (tmp_path / "figures").glob("*.png"))


def test_a_plot_without_data_is_not_written(tmp_path: Path) -> None:
    write_figures(audit_of([]), tmp_path / "figures")
    assert list((tmp_path / "figures").iterdir()) == []
