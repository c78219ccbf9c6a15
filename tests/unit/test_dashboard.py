"""The HTML report: what it promises to whoever opens it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from reload_audit.causes import CAUSES
from reload_audit.dashboard import write_report
from reload_audit.dashboard.causes import cause_rows, certainty
from reload_audit.dashboard.entries import entries
from reload_audit.dashboard.found import groups, particulars
from reload_audit.dashboard.grids import grids
from reload_audit.dashboard.numbers import number, probability, signed
from reload_audit.dashboard.report import interval, render, settings
from reload_audit.dashboard.scatter import SIZE, panels
from reload_audit.verdicts import VERDICTS

NASTY = "</script><img src=x onerror=alert(1)>"
SETTINGS = {
    "evaluation": {"episodes": 100, "seed": 1000000, "n_envs": 20, "max_episode_steps": 100000},
    "verdict": {"alpha": 0.05, "fdr": 0.05, "margin_fraction": 0.05, "margin_std": 0.2, "looks": [20, 40, 80]},
}


def condition(name: str, n_envs: int, mean: float | None, difference: float | None, **other: Any) -> dict[str, Any]:
    measured = {"mean_reward": mean, "difference": difference, "n_episodes": None if mean is None else 20}
    return {"condition": name, "n_envs": n_envs, "vec_env": "dummy", **measured, **other}


def model(name: str = "cartpole-seed0-n1", verdict: str = "identical", **other: Any) -> dict[str, Any]:
    """A model that earned 50 in place, with a margin of 2."""
    lost = {"degraded": -53.0, "improved": 10.0, "inconclusive": -1.5}.get(verdict, 0.0)
    failed = verdict == "error"
    compared = {
        "n_episodes": 20,
        "reload_mean_reward": 50.0 + lost,
        "reload_std_reward": 4.0,
        "difference": lost,
        "ci_low": lost - 1.0,
        "ci_high": lost + 1.0,
        "margin": 2.0,
        "q": 0.01,
    }
    return {
        "model": name,
        "experiment": "cartpole",
        "algo": "PPO",
        "env_id": "CartPole-v1",
        "train_seed": 0,
        "train_n_envs": 1,
        "verdict": verdict,
        "reason": "",
        "gap": "",
        "log": "logs/reload.log",
        "train_mean_reward": 50.0,
        "reference_mean_reward": 50.0,
        "source": "trained",
        "claim_kind": "in_place",
        "claim_mean": 50.0,
        "claim_std": 4.0,
        "claim_n": 20,
        "claim_source": None,
        **(dict.fromkeys(compared) if failed else compared),
        "conditions": [
            condition("in_place", 1, 51.0, 0.0, n_episodes=100),
            condition("reference", 20, 51.0, 0.0, n_episodes=100),
            condition("reload", 20, None if failed else 50.0 + lost, None if failed else lost),
            condition("n_envs=8", 8, None if failed else 50.0 + lost, None if failed else lost),
            condition("n_envs=4", 4, None if failed else 50.0 + lost, None if failed else lost),
            condition("SubprocVecEnv", 1, None if failed else 50.0 + lost, None if failed else lost),
        ],
        **other,
    }


def found(name: str = "ppo/CartPole-v1_1/best_model", verdict: str = "equivalent", **other: Any) -> dict[str, Any]:
    """A model that others trained and say to have earned 50."""
    claim = {"claim_kind": "explicit", "claim_mean": 50.0, "claim_std": 4.0, "claim_n": 300}
    measured = {"train_mean_reward": None, "reference_mean_reward": None, "train_n_envs": None, "train_seed": None}
    said = {
        "experiment": "zoo/agents",
        "source": "zoo",
        "reason": "earns what is claimed",
        "claim_source": "claims.csv, line 2",
        "loaded_with": "spaces of gym rebuilt as Gymnasium's",
        "plain_load_error": "ModuleNotFoundError: No module named 'gym'",
        "sb3_saved": "1.3.0",
        "sb3_loaded": "2.9.2",
        "version_changes": "stable_baselines3 1.3.0 → 2.9.2",
    }
    return {**model(name, verdict), **measured, **said, **claim, "conditions": [], **other}


FIX = """class Corridor(gym.Env):
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.goal = self.np_random.integers(8)"""


def cause(name: str = "global-generator", **other: Any) -> dict[str, Any]:
    said = {"explanation": f"About {name}.", "evidence": ["It draws.", "It drew."], "proven": True, "share": 0.97}
    return {"cause": name, **said, "fix": FIX, **other}


def because(*causes: dict[str, Any], **other: Any) -> dict[str, Any]:
    """The fields of a model whose verdict has causes."""
    best = {"cause": causes[0]["cause"], "cause_share": causes[0]["share"], "causes": causes}
    divergence = {"text": "Episode 0 differs first at its reset."}
    return {**best, "ruled_out": ["files: they are as saved"], "first_divergence": divergence, **other}


def lost(name: str, *causes: dict[str, Any], **other: Any) -> dict[str, Any]:
    return model(name, "degraded", **because(*causes, **other))


TEXTS = (
    *("model", "experiment", "algo", "env_id", "reason", "gap", "log", "claim_source"),
    *("loaded_with", "plain_load_error", "sb3_saved", "sb3_loaded", "version_changes", "remarks"),
)


def audit(models: Sequence[dict[str, Any]]) -> dict[str, Any]:
    counts = {verdict: sum(m["verdict"] == verdict for m in models) for verdict in VERDICTS}
    trained_with = [{"versions": {"stable_baselines3": "2.9.2"}, "machine": None, "models": len(models)}]
    tool = {"name": "reload-audit", "version": "0.1.0"}
    return {"tool": tool, "settings": SETTINGS, "trained_with": trained_with, "counts": counts, "models": models}


class Page(HTMLParser):
    """What a browser makes of a report: its elements, and the text of its table of models."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.row_heads: list[str] = []
        self.code: list[tuple[dict[str, str | None], str]] = []  # every <pre>
        self._in_head = self._in_code = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_code = tag == "pre"
        if self._in_code:
            self.code.append((dict(attrs), ""))
        if tag in ("th", "td"):
            self._in_head = tag == "th" and ("scope", "row") in attrs
            if self._in_head:
                self.row_heads.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_code = self._in_code and tag != "pre"

    def handle_data(self, data: str) -> None:
        if self._in_code:
            attributes, text = self.code[-1]
            self.code[-1] = attributes, text + data.removeprefix("\n")  # as browsers do at the start of a <pre>
        if self._in_head:
            self.row_heads[-1] += data

    def count(self, tag: str) -> int:
        return sum(found == tag for found, _ in self.tags)


EVERY_VERDICT = [model(f"cartpole-seed{seed}-n1", verdict) for seed, verdict in enumerate(VERDICTS)]


def test_the_sentence_stands_at_the_top_of_the_page() -> None:
    sentence = "2 of 3 models still earn their train-time reward after reload; 1 is degraded."
    assert sentence in render(audit([model("a"), model("b"), model("c", "degraded")]))


def test_every_model_has_a_row_the_worst_first_and_numbers_in_names_in_order() -> None:
    names = ["p-n16", "p-n8", "p-n1"]
    page = Page(render(audit([model(name, v) for v in ("identical", "error") for name in (n + v for n in names)])))
    rows = [head for head in page.row_heads if head.startswith("p-")]
    assert rows == ["p-n1error", "p-n8error", "p-n16error", "p-n1identical", "p-n8identical", "p-n16identical"]


def test_every_verdict_has_a_tile_that_is_a_button() -> None:
    page = Page(render(audit(EVERY_VERDICT)))
    tiles = [attrs["data-verdict"] for tag, attrs in page.tags if tag == "button" and "data-verdict" in attrs]
    assert tiles == list(VERDICTS)


@pytest.mark.parametrize("one", [model, found])
@pytest.mark.parametrize("field", TEXTS)
@pytest.mark.parametrize("text", [NASTY, "\"quotes\" & 'quotes' <b>", "🤖 naïve"])
def test_what_others_wrote_appears_as_text_only(one: Callable[..., dict[str, Any]], field: str, text: str) -> None:
    harmless = Page(render(audit([one(verdict="error")])))
    page = Page(render(audit([{**one(verdict="error"), field: text}])))
    if field == "model":
        assert text in page.row_heads
    assert page.count("img") == 0
    assert page.count("script") == harmless.count("script") == 1
    assert page.count("b") == harmless.count("b")
    assert {name for _, attributes in page.tags for name in attributes if name.startswith("on")} == set()


@pytest.mark.parametrize("field", TEXTS)
def test_what_turns_the_direction_of_writing_around_shows_as_its_escape(field: str) -> None:
    html = render(audit([{**found(verdict="error"), field: "safe\u202egnp.exe\x1b[2J\u200f"}]))
    assert not re.search("[\u200e\u200f\u202a-\u202e\u2066-\u2069\x1b]", html)


def test_the_longest_texts_leave_a_page_that_can_be_read() -> None:
    ordinary = len(render(audit([found(verdict="error")])))
    endless = dict.fromkeys(TEXTS, "x" * 10_000 + "1" * 10_000)
    assert len(render(audit([found(verdict="error", **endless)]))) < ordinary + 10_000


def test_half_a_character_in_a_message_does_not_lose_the_report(tmp_path: Path) -> None:
    write_report(audit([model(verdict="error", reason="cannot read \udcff")]), tmp_path / "report.html")
    assert "cannot read \\udcff" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_same_audit_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("once.html", "twice.html"):
        write_report(audit(EVERY_VERDICT), tmp_path / name)
    assert (tmp_path / "once.html").read_bytes() == (tmp_path / "twice.html").read_bytes()


def test_the_order_of_the_models_in_the_audit_does_not_matter() -> None:
    assert render(audit(EVERY_VERDICT)) == render(audit(EVERY_VERDICT[::-1]))


def test_nothing_is_loaded_from_elsewhere() -> None:
    html = render(audit([*EVERY_VERDICT, lost("a", cause())]))
    links = [attrs.get(name) for _, attrs in Page(html).tags for name in ("src", "href", "srcset", "data", "action")]
    assert all(link.startswith(("#", "../docs/causes/")) for link in links if link is not None)
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttpRequest|import\(", html)


def test_the_page_itself_forbids_any_script_but_its_own() -> None:
    policy = next(a["content"] for tag, a in Page(render(audit([]))).tags if tag == "meta" and "http-equiv" in a)
    assert re.fullmatch(r"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-[\w+/]{43}='", policy or "")


@pytest.mark.parametrize("models", [[], [model()], [model(f"m{k}", "error") for k in range(6)]])
def test_no_one_and_only_failed_models_give_a_page_too(models: list[dict[str, Any]]) -> None:
    page = Page(render(audit(models)))
    assert {m["model"] for m in models} <= set(page.row_heads)
    assert page.count("caption") >= 1


def test_models_that_never_trained_are_counted_though_they_cannot_be_drawn() -> None:
    nothing = {"train_mean_reward": None, "claim_mean": None, "reference_mean_reward": None, "conditions": []}
    (panel,) = panels(entries([model("a", "error", **nothing), model("b")]))
    assert (panel.models, panel.unplaced, len(panel.marks)) == (2, 1, 1)


def test_missing_settings_and_fields_leave_a_page_with_less_in_it() -> None:
    html = render({"models": [{"model": "bare", "verdict": "error"}]})
    assert "bare" in Page(html).row_heads
    assert settings({"settings": {}, "trained_with": [{"versions": None, "machine": None, "models": 1}]}, []) == []


def test_the_settings_that_decided_are_printed() -> None:
    said = settings(audit([model()]), entries([model()]))
    assert said[0] == "margin: the larger of 5 % of |train − random policy| and 0.2 train-time std"
    assert "SB3 2.9.2" in said


@pytest.mark.parametrize("missing", [None, "nan", "inf", float("nan")])
def test_a_number_that_is_none_shows_as_a_dash(missing: Any) -> None:
    (entry,) = entries([model(claim_std=missing, difference=missing)])
    assert entry.claim_std is None
    assert number(entry.claim_std) == signed(entry.difference) == "–"
    assert interval(entry) is None


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


def test_tiny_probabilities_do_not_pretend_to_digits() -> None:
    assert (probability(1e-12), probability(0.0123), probability(1.0)) == ("< 0.0001", "0.012", "1")


def test_a_point_lies_on_the_diagonal_where_the_reload_earns_the_same() -> None:
    (panel,) = panels(entries(EVERY_VERDICT))
    same = next(mark for mark in panel.marks if mark.verdict == "identical")
    assert same.x + same.y == pytest.approx(SIZE)


def test_every_point_leads_to_its_models_row() -> None:
    page = Page(render(audit(EVERY_VERDICT)))
    targets = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    rows = {attrs["id"] for tag, attrs in page.tags if tag == "tr" and "id" in attrs}
    assert len(targets) == len(EVERY_VERDICT)
    assert {(target or "")[1:] for target in targets} == rows


def test_environments_have_panels_of_their_own() -> None:
    found = panels(entries([model("a"), model("b", env_id="Pendulum-v1", claim_mean=-1200.0)]))
    assert [panel.environment for panel in found] == ["CartPole-v1", "Pendulum-v1"]


def test_columns_are_the_conditions_with_n_envs_by_size() -> None:
    (grid,) = grids(entries([model()]))
    titles = [column.title for column in grid.columns]
    assert titles == ["in place", "reference", "reload", "n_envs=4", "n_envs=8", "SubprocVecEnv"]


def test_rows_are_the_n_envs_of_training() -> None:
    (grid,) = grids(entries([model(f"m{n}", train_n_envs=n) for n in (8, 1, 16)]))
    assert [row.n_envs for row in grid.rows] == [1, 8, 16]


def test_a_cell_averages_over_seeds_and_says_how_many_it_could() -> None:
    (grid,) = grids(entries([model("a"), model("b", "degraded"), model("c", "error")]))
    reload = grid.rows[0].cells[2]
    assert (reload.mean, reload.difference, reload.evaluated, reload.models) == (23.5, -26.5, 2, 3)


def test_in_place_is_averaged_over_the_episodes_that_the_reload_ran() -> None:
    (grid,) = grids(entries([model()]))
    assert grid.rows[0].cells[0].mean == 50.0  # not 51, the mean of all train-time episodes


@pytest.mark.parametrize(("verdict", "tone"), [("identical", ""), ("inconclusive", ""), ("degraded", "less")])
def test_a_cell_is_coloured_only_beyond_the_margin(verdict: str, tone: str) -> None:
    (grid,) = grids(entries([model(verdict=verdict)]))
    assert grid.rows[0].cells[2].tone == tone


def test_an_interval_beyond_the_drawing_is_an_arrow() -> None:
    (lost,) = entries([model(verdict="degraded")])
    (kept,) = entries([model()])
    assert (interval(lost).beyond, interval(kept).beyond) == ("left", "")  # type: ignore[union-attr]


def test_a_margin_of_zero_divides_nothing() -> None:
    (same,) = entries([model(margin=0.0, ci_low=0.0, ci_high=0.0)])
    (lost,) = entries([model(verdict="degraded", margin=0.0)])
    assert interval(same).difference == 0.0  # type: ignore[union-attr]
    assert interval(lost).beyond == "left"  # type: ignore[union-attr]
    assert render(audit([model(verdict="degraded", margin=0.0)]))


def test_models_of_others_are_no_experiment_with_seeds_and_n_envs() -> None:
    html = render(audit([found()]))
    assert grids(entries([found()])) == []
    assert "averaged over seeds" not in html
    assert "averaged over seeds" in render(audit([found(), model()]))
    assert [grid.experiment for grid in grids(entries([found(), model()]))] == ["cartpole"]


def test_a_point_without_train_time_reward_lies_at_what_is_claimed() -> None:
    (panel,) = panels(entries([found()]))
    assert panel.marks[0].x + panel.marks[0].y == pytest.approx(SIZE)
    assert panel.reward == "claimed reward"
    assert panels(entries([found(), model()]))[0].reward == "train-time or claimed reward"


def test_a_claim_beyond_all_bounds_spoils_no_plot() -> None:
    (panel,) = panels(entries([found(), found("boast", claim_mean=1e308, margin=1e308)]))
    assert (len(panel.marks), panel.unplaced) == (1, 1)
    assert render(audit([found(claim_mean=1e308, claim_std=1e308, difference=-1e308, margin=1e-300)]))


def test_what_cannot_be_drawn_comes_after_what_can() -> None:
    unclaimed = found("a", "error", env_id="Alien-v0", claim_mean=None)
    assert [panel.environment for panel in panels(entries([unclaimed, found()]))] == ["CartPole-v1", "Alien-v0"]


@pytest.mark.parametrize(
    ("models", "title", "head"),
    [
        ([model()], "Train-time reward and reload reward", "Train mean ± std"),
        ([found()], "Claimed reward and reload reward", "Claimed mean ± std"),
        ([model(), found()], "Train-time or claimed reward and reload reward", "Claimed mean ± std"),
    ],
)
def test_the_words_fit_the_kind_of_models(models: list[dict[str, Any]], title: str, head: str) -> None:
    html = render(audit(models))
    assert f">{title}<" in html
    assert f">{head}<" in html


def test_nothing_is_said_of_claims_where_all_models_were_trained_here() -> None:
    assert "claim" not in re.sub(r"<(style|script)>.*?</\1>", "", render(audit(EVERY_VERDICT)), flags=re.DOTALL)


def test_without_train_time_measurements_nothing_is_said_of_gaps() -> None:
    assert ">Gap<" not in render(audit([found()]))
    assert ">Gap<" in render(audit([found(source="recorded", claim_kind="reference")]))


def test_the_kind_of_claim_stands_beside_it() -> None:
    html = render(audit([found(claim_kind="model_card"), model()]))
    assert '<small class="kind">model card</small>' in html
    assert '<small class="kind">in place</small>' in html


def test_a_claim_without_standard_deviation_shows_none() -> None:
    assert "± –" not in render(audit([found(claim_std=None)]))


def test_groups_are_folders_and_tables_with_losses_first() -> None:
    mine = {"experiment": "mine.csv", "source": "table", "plain_load_error": None, "claim_kind": None}
    first, second = groups(
        entries([model(), found("a"), found("b", "degraded", plain_load_error=""), found("c", **mine)])
    )
    assert (first.name, first.models, first.unloadable, first.unread) == ("zoo/agents", 2, 1, 0)
    assert (first.verdicts, first.claims) == ((("equivalent", 1), ("degraded", 1)), (("explicit", 2),))
    assert (second.name, second.sources, second.unread, second.claims) == ("mine.csv", "table", 1, ())


def test_every_row_of_a_found_model_belongs_to_a_group_that_can_be_picked() -> None:
    many = [found(f"m{k}", experiment=f"folder{k}") for k in range(30)]
    page = Page(render(audit([*many, model()])))
    picks = [attrs["data-group"] for tag, attrs in page.tags if tag == "button" and "data-group" in attrs]
    rows = [attrs["data-group"] for tag, attrs in page.tags if tag == "tr" and "data-group" in attrs]
    assert sorted(picks) == sorted(rows) == sorted(map(str, range(30)))


def test_the_particulars_of_a_found_model() -> None:
    (entry,) = entries([found(conditions=[condition("reload", 20, 50.0, None), condition("n_envs=4", 4, 49.0, -1.0)])])
    assert dict(particulars(entry, groups=2)) == {
        "Found by": "zoo/agents",
        "Claim": "explicit, over 300 episodes in claims.csv, line 2",
        "Needed to load it": "spaces of gym rebuilt as Gymnasium's",
        "A plain PPO.load": "would raise ModuleNotFoundError: No module named 'gym'",
        "Versions": "stable_baselines3 1.3.0 → 2.9.2",
        "Other conditions": "n_envs=4 49.00 (−1.00)",
    }


def test_what_is_not_known_of_a_found_model_is_left_out() -> None:
    nothing = dict.fromkeys(
        ("claim_n", "claim_source", "loaded_with", "plain_load_error", "version_changes", "sb3_saved")
    )
    (entry,) = entries([found(**nothing)])
    assert particulars(entry, groups=1) == []
    (entry,) = entries([found(**{**nothing, "plain_load_error": "", "sb3_saved": "2.9.2"})])
    assert particulars(entry, groups=1) == [
        ("A plain PPO.load", "would work"),
        ("Versions", "stable_baselines3 2.9.2, as saved"),
    ]


@pytest.mark.parametrize("one", [model, found])
def test_remarks_on_a_model_are_in_its_details(one: Callable[..., dict[str, Any]]) -> None:
    said = "VecMonitor.class_attributes cannot be pickled"
    assert f"<dt>Remarks<dd>{said}" in render(audit([one(remarks=said)]))
    assert "Remarks" not in render(audit([one(remarks="")]))


def test_a_long_path_in_a_text_shows_as_its_file_and_whole_where_it_is_pointed_at() -> None:
    path = f"/{'deep/' * 12}model.zip"
    html = render(audit([lost("a", cause(evidence=[f"{path}: it cannot be read"]), reason=f"{path} and b/short.zip")]))
    shown = f'<span title="{path}">…/model.zip</span>'
    assert f"{shown} and b/short.zip" in html
    assert html.count(f"{shown}: it cannot be read") == 2
    assert path not in html.replace(shown, "")


def test_plain_loads_that_would_fail_are_counted_at_the_top() -> None:
    error = "ModuleNotFoundError: No module named &#39;gym&#39; (1)"
    said = f"1 of 2 found models would not load with a plain ALGO.load: {error}"
    assert said in render(audit([found("a"), found("b", plain_load_error="")]))
    assert "plain ALGO.load" not in render(audit([model()]))


def test_the_versions_that_saved_found_models_are_printed() -> None:
    models = [found(f"m{k}", sb3_saved=f"1.{k}.0") for k in range(7)]
    assert "found models saved with SB3 1.0.0, 1.1.0, 1.2.0, 1.3.0, 1.4.0 and 2 others, loaded with 2.9.2" in settings(
        audit(models), entries(models)
    )


def test_thousands_of_models_are_all_in_the_page_but_not_all_on_show() -> None:
    html = render(audit([found(f"m{k}") for k in range(2000)]))
    rows = [attrs for tag, attrs in Page(html).tags if tag == "tr" and "id" in attrs]
    assert len(rows) == 2000
    assert sum("hidden" not in attrs for attrs in rows) == 300
    assert len(html) < 2000 * 1000


def test_each_cause_has_a_row_those_that_explain_most_first() -> None:
    both = lost("c", cause("clock"), cause("hash-order"))
    rows = cause_rows(entries([lost("a", cause("hash-order")), lost("b", cause("clock")), both, model("d")]))
    assert [(row.name, row.models, row.best) for row in rows] == [("clock", 2, 2), ("hash-order", 2, 1)]
    assert rows[0].verdicts == (("degraded", 2),)
    assert "About clock." in render(audit([both]))


def test_a_cause_shows_the_model_that_shows_it_best() -> None:
    unsure, other, best = cause(proven=False), cause(share=0.81), cause(share=0.99)
    (row,) = cause_rows(entries([lost("a", unsure), lost("b", other), lost("c", best)]))
    assert (row.example.name, row.shown.share) == ("c", 0.99)


def test_what_is_proven_and_how_much_of_the_gap_is_closed() -> None:
    causes = [cause(), cause(proven=False, share=None), cause(share=-3.0), cause("unexplained", share=None)]
    (entry,) = entries([lost("a", *causes)])
    assert [certainty(one) for one in entry.causes] == [
        ["proven", "closes 97 % of the gap"],
        ["not proven"],
        ["proven", "closes 0 % of the gap"],
        [],
    ]


def test_every_row_with_causes_can_be_picked_by_each_of_them() -> None:
    page = Page(render(audit([lost("a", cause("clock"), cause("hash-order")), lost("b", cause("clock")), model("c")])))
    picks = {attrs["data-cause"] for tag, attrs in page.tags if tag == "button" and "data-cause" in attrs}
    rows = [attrs["data-causes"] for tag, attrs in page.tags if tag == "tr" and "data-causes" in attrs]
    assert (picks, rows) == ({"0", "1"}, ["0 1", "0"])


def test_a_model_trained_here_shows_its_cause_and_all_that_speaks_for_it() -> None:
    html = render(audit([lost("a", cause())]))
    assert '<a class="why" href="#cause-0">global-generator</a>' in html
    for said in ("It draws.", "It drew.", "files: they are as saved", "Episode 0 differs first at its reset."):
        assert f">{said}" in html


def test_without_causes_nothing_is_said_of_them() -> None:
    healthy = model(cause="", causes=[], ruled_out=[], first_divergence=None)
    html = render(audit([healthy]))
    assert html == render(audit([model()]))
    assert "<details>" not in html
    assert ">Causes" not in html


def test_a_fix_can_be_copied_as_it_is() -> None:
    fix = FIX + "\n        assert 0 < self.goal & 7, '<b>'"
    page = Page(render(audit([lost("a", cause(fix=fix))])))
    assert page.code[0] == ({}, fix)
    assert page.count("b") == Page(render(audit([lost("a", cause())]))).count("b")


def test_a_row_holds_only_the_lines_of_a_fix_that_are_its_own() -> None:
    others = FIX.replace("integers(8)", "integers(9)")
    models = [lost("a", cause()), lost("b", cause()), lost("c", cause(fix=others)), lost("d", cause(fix="x = 1"))]
    _, *rows = Page(render(audit(models))).code
    assert rows == [
        ({"data-of": "0", "data-lines": ""}, ""),
        ({"data-of": "0", "data-lines": ""}, ""),
        ({"data-of": "0", "data-lines": "3"}, others.splitlines()[3]),
        ({}, "x = 1"),
    ]


@pytest.mark.parametrize("text", [NASTY, "safe\u202egnp.exe\x1b[2J\u200f"])
def test_what_the_causes_say_appears_as_text_only(text: str) -> None:
    said = cause(text, explanation=text, evidence=[text, text], fix=f"{text}\n{text}")
    own = {**said, "fix": f"# own\n{text}"}
    more = {"ruled_out": [text], "first_divergence": {"text": text}}
    html = render(audit([lost("a", said, **more), lost("b", own, **more)]))
    assert not re.search("[\u200e\u200f\u202a-\u202e\u2066-\u2069\x1b]", html)
    page = Page(html)
    assert (page.count("img"), page.count("script")) == (0, 1)
    assert not [attrs for tag, attrs in page.tags if tag == "a" and (attrs["href"] or "").startswith("..")]


def test_every_known_cause_leads_to_its_page() -> None:
    page = Page(render(audit([lost("a", *map(cause, CAUSES), cause("of/another.tool"))])))
    links = {attrs["href"] or "" for tag, attrs in page.tags if tag == "a"}
    assert {link for link in links if not link.startswith("#")} == {f"../docs/causes/{name}.md" for name in CAUSES}


def test_conditions_tried_on_some_models_are_in_their_details_and_in_no_grid() -> None:
    tried = [condition(name, 20, 49.0, -1.0) for name in ("stochastic", "unseeded", "stochastic + unseeded")]
    healthy = model("b", conditions=[*model()["conditions"], condition("unseeded", 20, 50.0, 0.0)])
    sick = lost("a", cause(), conditions=[*model()["conditions"], *tried])
    models = entries([sick, healthy])
    (grid,) = grids(models)
    titles = [column.title for column in grid.columns]
    assert titles == ["in place", "reference", "reload", "n_envs=4", "n_envs=8", "SubprocVecEnv", "unseeded"]
    (_, others), *_ = particulars(models[0], groups=0)
    assert others.endswith("stochastic 49.00 (−1.00), unseeded 49.00 (−1.00)")


def test_a_cause_of_thousands_of_models_leaves_a_page_that_can_be_loaded() -> None:
    def fixed(file: str) -> str:
        return "\n".join([f"venv = VecNormalize.load('{file}', venv)", *(["# what everybody has to know"] * 40)])

    html = render(audit([lost(f"m{k}", cause(fix=fixed(f"runs/{k}/vecnormalize.pkl"))) for k in range(1000)]))
    assert len(fixed("")) > 1000
    assert len(html) < 1000 * 1700
