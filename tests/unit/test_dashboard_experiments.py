"""The dashboard's experiments: a grid of conditions, and a line for each seed."""

from __future__ import annotations

from reload_audit.reports.dashboard.grids import cells, seeds
from reload_audit.reports.dashboard.payload import read
from reload_audit.reports.dashboard.report import render
from support.dashboard_rows import audit_of, cause, condition, entries, row_with_causes, trained_row


def test_the_grids_columns_are_the_conditions_with_n_envs_by_size() -> None:
    titles = [cell.condition for cell in sorted(cells(entries([trained_row()])), key=lambda cell: cell.place)]
    assert titles == ["in place", "reference", "reload", "n_envs=4", "n_envs=8", "SubprocVecEnv"]


def test_the_grids_rows_are_the_n_envs_of_training() -> None:
    rows = cells(entries([trained_row(f"m{n}", train_n_envs=n) for n in (8, 1, 16)]))
    assert list(dict.fromkeys(row.n_envs for row in rows)) == [1, 8, 16]


def test_a_cell_of_the_grid_averages_over_seeds_and_says_over_how_many() -> None:
    rows = cells(entries([trained_row("a"), trained_row("b", "degraded"), trained_row("c", "error")]))
    reload = rows[2]
    assert (reload.condition, reload.mean, reload.difference) == ("reload", "23.50", "−26.50")
    assert (reload.models, reload.differences) == ("2 of 3", "−26.50, −53.00 to 0")
    assert reload.margins == -13.25


def test_the_grid_averages_in_place_over_the_episodes_that_the_reload_ran() -> None:
    assert cells(entries([trained_row()]))[0].mean == "50.00"  # not 51, the mean of all train-time episodes


def test_a_condition_that_ended_after_its_first_episodes_has_the_mean_of_the_reload_it_is_as() -> None:
    """Of five episodes it would look like a gain; how many were run is said, on the model's page, too."""
    models = [trained_row(name) for name in "ab"]
    for model in models[: len(models) - 1]:
        model["conditions"][-1] |= {"mean_reward": 66.0, "n_episodes": 5, "spared": "same", "identical": True}
    grid = {cell.condition: cell for cell in cells(entries(models))}
    cell = grid["SubprocVecEnv"]
    assert (cell.mean, cell.difference, grid["reload"].episodes) == (grid["reload"].mean, "0", "20")
    assert cell.episodes == "5 to 20; every bit of 1 of 2 models as after reload, whose mean is shown"
    shown = read(render(audit_of(models)))["details"][0]["conditions"][-1]
    assert (shown["n"], shown["spared"], shown["mean"]) == (5, "same", 66)


def test_conditions_tried_on_some_models_are_on_their_pages_and_in_no_grid() -> None:
    tried = [condition(name, 20, 49.0, -1.0) for name in ("stochastic", "unseeded", "stochastic + unseeded")]
    healthy = trained_row("b", conditions=[*trained_row()["conditions"], condition("unseeded", 20, 50.0, 0.0)])
    sick = row_with_causes("a", cause(), conditions=[*trained_row()["conditions"], *tried])
    titles = [cell.condition for cell in cells(entries([sick, healthy]))]
    assert titles == ["in place", "reference", "reload", "n_envs=4", "n_envs=8", "SubprocVecEnv", "unseeded"]
    of_sick = read(render(audit_of([sick, healthy])))["details"][0]["conditions"]
    assert [found["condition"] for found in of_sick][-1] == "stochastic + unseeded"


def test_the_chart_of_seeds_has_a_line_from_in_place_to_reload_for_each_model() -> None:
    rows = seeds(entries([trained_row("a"), trained_row("b", "error")]))
    assert [(row.model, row.stage, row.mean) for row in rows if row.panel == "cartpole, n_envs=1"] == [
        *(("b", "in place", 50.0), ("b", "reference", 50.0)),
        *(("a", "in place", 50.0), ("a", "reference", 50.0), ("a", "reload", 50.0)),
    ]


def test_a_model_without_any_mean_has_no_line_in_the_chart_of_seeds() -> None:
    without = dict.fromkeys(("train_mean_reward", "reference_mean_reward", "reload_mean_reward"))
    rows = seeds(entries([trained_row("a", **without), trained_row("b", **without), trained_row("c")]))
    assert {row.model for row in rows} == {"c"}


def test_a_margin_of_zero_causes_no_division_by_zero() -> None:
    rows = cells(entries([trained_row(verdict="degraded", margin=0.0)]))
    assert rows[2].margins == -1e9
    assert render(audit_of([trained_row(verdict="degraded", margin=0.0), trained_row("same", margin=0.0)]))
