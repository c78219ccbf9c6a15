"""The HTML report, as it is written: rows, panels, texts and plots."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from reload_audit.causes.catalogue import CAUSES
from reload_audit.judging.criteria import VERDICTS
from reload_audit.reports.audit import Audit
from reload_audit.reports.dashboard import report
from reload_audit.reports.dashboard.causes import cause_rows, certainty
from reload_audit.reports.dashboard.charts import compiled
from reload_audit.reports.dashboard.entries import Entry
from reload_audit.reports.dashboard.entries import entries as entries_of
from reload_audit.reports.dashboard.figures import write_figures
from reload_audit.reports.dashboard.grids import cells, seeds
from reload_audit.reports.dashboard.number_format import number, signed
from reload_audit.reports.dashboard.payload import details, read
from reload_audit.reports.dashboard.report import CHARTS, bars, render, setting_texts, write_report
from reload_audit.reports.dashboard.scores import places, window
from reload_audit.results import tables
from support.audit_contents import environment_health

NASTY = "</script><img src=x onerror=alert(1)>"
SETTINGS = {
    "evaluation": {"episodes": 100, "seed": 1000000, "n_envs": 20, "max_episode_steps": 100000},
    "verdict": {
        "alpha": 0.05,
        "fdr": 0.05,
        "margin_fraction": 0.05,
        "margin_std": 0.2,
        "looks": [20, 40, 80],
        "further_looks": [],
        "seconds": 60,
    },
}


def condition(name: str, n_envs: int, mean: float | None, difference: float | None, **other: Any) -> dict[str, Any]:
    measured = {"mean_reward": mean, "difference": difference, "n_episodes": None if mean is None else 20}
    return {"condition": name, "n_envs": n_envs, "vec_env": "dummy", **measured, **other}


def trained_row(name: str = "cartpole-seed0-n1", verdict: str = "identical", **other: Any) -> dict[str, Any]:
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
        "random_mean_reward": 10.0,
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
            condition(
                "SubprocVecEnv", 20, None if failed else 50.0 + lost, None if failed else lost, vec_env="subproc"
            ),
        ],
        **other,
    }


def external_row(
    name: str = "ppo/CartPole-v1_1/best_model", verdict: str = "equivalent", **other: Any
) -> dict[str, Any]:
    """An external model that is claimed to have earned 50."""
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
    return {**trained_row(name, verdict), **measured, **said, **claim, "conditions": [], **other}


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
    return {
        **best,
        "ruled_out": ["files: they are as saved"],
        "not_excluded": [],
        "first_divergence": divergence,
        **other,
    }


def row_with_causes(name: str, *causes: dict[str, Any], **other: Any) -> dict[str, Any]:
    return trained_row(name, "degraded", **because(*causes, **other))


TEXTS = (
    *("model", "experiment", "algo", "env_id", "reason", "gap", "log", "claim_source"),
    *("loaded_with", "plain_load_error", "sb3_saved", "sb3_loaded", "version_changes", "remarks"),
)


def audit_of(models: Sequence[dict[str, Any]], **other: Any) -> Audit:
    counts = {verdict: sum(m["verdict"] == verdict for m in models) for verdict in VERDICTS}
    trained_with = [{"versions": {"stable_baselines3": "2.9.2"}, "machine": None, "models": len(models)}]
    tool = {"name": "reload-audit", "version": "0.1.0"}
    known = {"tool": tool, "settings": SETTINGS, "trained_with": trained_with, "counts": counts, "models": models}
    return Audit.from_json({**known, **other})


def entries(models: Sequence[dict[str, Any]]) -> list[Entry]:
    return entries_of(audit_of(models).models)


class Page(HTMLParser):
    """What a browser makes of a report before its script runs."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.code: list[str] = []  # every <pre>
        self._in_code = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_code = tag == "pre"
        if self._in_code:
            self.code.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_code = self._in_code and tag != "pre"

    def handle_data(self, data: str) -> None:
        if self._in_code:
            self.code[-1] += data.removeprefix("\n")  # as browsers do at the start of a <pre>

    def count(self, tag: str) -> int:
        return sum(found == tag for found, _ in self.tags)

    def buttons(self, kind: str) -> list[str | None]:
        return [attrs[f"data-{kind}"] for tag, attrs in self.tags if tag == "button" and f"data-{kind}" in attrs]


EVERY_VERDICT = [trained_row(f"cartpole-seed{seed}-n1", verdict) for seed, verdict in enumerate(VERDICTS)]


def column(html: str, name: str) -> list[Any]:
    """A column of the table, as the page's script unpacks it."""
    found = read(html)["columns"][name]
    return [found["words"][position] for position in found["at"]] if isinstance(found, dict) else found


def visible(html: str) -> str:
    """The page's own text, without what is packed and what is code."""
    return re.sub(r"<(style|script)[^>]*>.*?</\1>", "", html, flags=re.DOTALL)


# --- The page ----------------------------------------------------------------------------------------------------


def test_the_sentence_stands_at_the_top_of_the_page() -> None:
    sentence = "2 of 3 models still earn their train-time reward after reload; 1 is degraded."
    assert sentence in render(audit_of([trained_row("a"), trained_row("b"), trained_row("c", "degraded")]))


def test_every_model_has_a_row_the_worst_first_and_numbers_in_names_in_order() -> None:
    names = ["p-n16", "p-n8", "p-n1"]
    html = render(audit_of([trained_row(name, v) for v in ("identical", "error") for name in (n + v for n in names)]))
    assert column(html, "model") == [
        *("p-n1error", "p-n8error", "p-n16error"),
        *("p-n1identical", "p-n8identical", "p-n16identical"),
    ]


def test_every_verdict_has_a_tile_that_is_a_button() -> None:
    assert Page(render(audit_of(EVERY_VERDICT))).buttons("verdict") == list(VERDICTS)


def test_only_a_claim_can_be_consistent_with_a_reload() -> None:
    assert Page(render(audit_of([trained_row()]))).buttons("verdict") == [v for v in VERDICTS if v != "consistent"]
    assert Page(render(audit_of([external_row()]))).buttons("verdict") == list(VERDICTS)


SUSPECT = {"verdict": "inconclusive", "suspect": True, "difference": -3.0, "ci_low": -3.9, "ci_high": -2.1}


def test_suspect_models_stand_before_other_inconclusive_ones_and_can_be_filtered_by() -> None:
    rows = [trained_row("a", "inconclusive"), trained_row("b", **SUSPECT), trained_row("c", "degraded")]
    html = render(audit_of(rows))
    assert column(html, "model") == ["c", "b", "a"]
    assert column(html, "suspect") == [0, 1, 0]
    assert Page(html).buttons("mark") == ["suspect"]
    assert Page(render(audit_of(EVERY_VERDICT))).buttons("mark") == []


def test_the_page_says_what_consistent_means_and_which_loss_is_not_excluded() -> None:
    html = render(audit_of([external_row(verdict="consistent", largest_loss=12.34, largest_loss_share=0.31)]))
    assert "no number of reload episodes could show equivalence" in visible(html)
    assert (column(html, "largest_loss"), column(html, "loss_share")) == ([12.34], [0.31])


def test_a_row_says_in_which_other_environment_its_model_ran() -> None:
    models = [external_row("a", env_id="Pendulum-v0", env_ran="Pendulum-v1"), external_row("b", env_ran="CartPole-v1")]
    html = render(audit_of(models))
    assert [column(html, name) for name in ("model", "environment", "ran")] == [
        ["a", "b"],
        ["Pendulum-v0", "CartPole-v1"],
        ["Pendulum-v1", ""],
    ]


def test_causes_environments_and_experiments_can_be_filtered_by() -> None:
    page = Page(
        render(audit_of([row_with_causes("a", cause()), trained_row("b"), external_row("c", env_id="Pendulum-v1")]))
    )
    assert page.buttons("cause") == ["global-generator"]
    assert page.buttons("environment") == ["CartPole-v1", "Pendulum-v1"]
    assert page.buttons("group") == ["cartpole", "zoo/agents"]


def test_bars_are_sorted_by_losses_and_as_long_as_their_number_of_models() -> None:
    pairs = [("a", "identical")] * 4 + [("b", "identical"), ("b", "degraded")]
    first, second = bars(pairs)
    assert (first.name, first.count, first.share) == ("b", 2, 0.5)
    assert (second.name, second.verdicts) == ("a", (("identical", 4),))


@pytest.mark.parametrize("one", [trained_row, external_row])
@pytest.mark.parametrize("field", TEXTS)
@pytest.mark.parametrize("text", [NASTY, "\"quotes\" & 'quotes' <b>", "🤖 naïve"])
def test_texts_from_audited_files_are_shown_as_text_only(
    one: Callable[..., dict[str, Any]], field: str, text: str
) -> None:
    harmless = Page(render(audit_of([one(verdict="error")])))
    html = render(audit_of([{**one(verdict="error"), field: text}]))
    page = Page(html)
    if field == "model":
        assert column(html, "model") == [text]
    assert page.count("img") == 0
    assert page.count("script") == harmless.count("script")
    assert page.count("b") == harmless.count("b")
    assert {name for _, attributes in page.tags for name in attributes if name.startswith("on")} == set()


@pytest.mark.parametrize("field", TEXTS)
def test_characters_that_reverse_the_writing_direction_are_shown_escaped(field: str) -> None:
    html = render(audit_of([{**external_row(verdict="error"), field: "safe\u202egnp.exe\x1b[2J\u200f"}]))
    for text in (html, json.dumps(read(html), ensure_ascii=False)):
        assert not re.search("[\u200e\u200f\u202a-\u202e\u2066-\u2069\x1b]", text)


def test_very_long_texts_are_shortened() -> None:
    ordinary = len(render(audit_of([external_row(verdict="error")])))
    endless = dict.fromkeys(TEXTS, "x" * 10_000 + "1" * 10_000)
    assert len(render(audit_of([external_row(verdict="error", **endless)]))) < ordinary + 10_000


def test_a_lone_surrogate_in_a_message_does_not_prevent_the_report(tmp_path: Path) -> None:
    write_report(audit_of([trained_row(verdict="error", reason="cannot read \udcff")]), tmp_path / "report.html")
    assert column((tmp_path / "report.html").read_text(encoding="utf-8"), "reason") == ["cannot read \\udcff"]


def test_the_same_audit_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("once.html", "twice.html"):
        write_report(audit_of(EVERY_VERDICT), tmp_path / name)
    assert (tmp_path / "once.html").read_bytes() == (tmp_path / "twice.html").read_bytes()


def test_the_order_of_the_models_in_the_audit_does_not_matter() -> None:
    assert render(audit_of(EVERY_VERDICT)) == render(audit_of(EVERY_VERDICT[::-1]))


def test_nothing_is_loaded_from_elsewhere() -> None:
    html = render(audit_of([*EVERY_VERDICT, row_with_causes("a", cause())]))
    links = [attrs.get(name) for _, attrs in Page(html).tags for name in ("src", "href", "srcset", "data", "action")]
    assert all(link.startswith(("#", "../docs/causes/")) for link in links if link is not None)
    own = html.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|@import|fetch\(|XMLHttpRequest|import\(", own)


def test_the_page_itself_forbids_any_script_but_its_own() -> None:
    policy = next(a["content"] for tag, a in Page(render(audit_of([]))).tags if tag == "meta" and "http-equiv" in a)
    allowed = r"script-src( 'sha256-[\w+/]{43}='){5}"
    assert re.fullmatch(rf"default-src 'none'; style-src 'unsafe-inline'; {allowed}", policy or "")


@pytest.mark.parametrize("models", [[], [trained_row()], [trained_row(f"m{k}", "error") for k in range(6)]])
def test_audits_without_models_or_with_failed_models_only_have_a_page(models: list[dict[str, Any]]) -> None:
    columns = read(render(audit_of(models)))["columns"]
    assert {m["model"] for m in models} == set(columns.get("model", []))


def test_missing_settings_and_fields_are_left_out_of_the_page() -> None:
    assert column(render(Audit.from_json({"models": [{"model": "bare", "verdict": "error"}]})), "model") == ["bare"]
    trained_with = [{"versions": None, "machine": None, "models": 1}]
    assert setting_texts(Audit.from_json({"settings": {}, "trained_with": trained_with}), []) == []


def test_the_settings_that_decided_are_printed() -> None:
    said = setting_texts(audit_of([trained_row()]), entries([trained_row()]))
    assert said[0] == "margin: the larger of 5 % of |train − random policy| and 0.2 train-time std"
    assert "SB3 2.9.2" in said


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ([trained_row()], "it earns what it earned in place;"),
        ([external_row()], "it earns what is claimed;"),
        ([trained_row(), external_row()], "it earns what it earned in place, or what is claimed;"),
    ],
)
def test_the_wording_fits_trained_and_external_models(models: list[dict[str, Any]], said: str) -> None:
    assert f"On the dashed line {said}" in render(audit_of(models))


def test_nothing_is_said_of_claims_where_all_models_were_trained_here() -> None:
    possible = [row for row in EVERY_VERDICT if row["verdict"] != "consistent"]
    assert "claim" not in visible(render(audit_of(possible)))


def test_external_models_are_not_shown_as_experiments_with_seeds_and_n_envs() -> None:
    assert "seed by seed" not in render(audit_of([external_row()]))
    assert "seed by seed" in render(audit_of([external_row(), trained_row()]))


def test_a_long_path_in_a_text_shows_as_its_file_and_whole_where_it_is_pointed_at() -> None:
    path = f"/{'deep/' * 12}model.zip"
    html = render(audit_of([row_with_causes("a", cause(evidence=[f"{path}: it cannot be read"]))]))
    assert f'<span title="{path}">…/model.zip</span>: it cannot be read' in html


def test_plain_loads_that_would_fail_are_counted_at_the_top() -> None:
    error = "ModuleNotFoundError: No module named &#39;gym&#39; (1)"
    said = f"1 of 2 external models would not load with a plain ALGO.load: {error}"
    assert said in render(audit_of([external_row("a"), external_row("b", plain_load_error="")]))
    assert "plain ALGO.load" not in render(audit_of([trained_row()]))


def test_the_versions_that_saved_external_models_are_printed() -> None:
    models = [external_row(f"m{k}", sb3_saved=f"1.{k}.0") for k in range(7)]
    said = "external models saved with SB3 1.0.0, 1.1.0, 1.2.0, 1.3.0, 1.4.0 and 2 others, loaded with 2.9.2"
    assert said in setting_texts(audit_of(models), entries(models))


# --- Numbers -----------------------------------------------------------------------------------------------------


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


# --- Scores ------------------------------------------------------------------------------------------------------


def test_a_score_is_0_for_a_random_policy_and_1_for_the_best_of_the_environment() -> None:
    models = entries([trained_row("a"), trained_row("b", claim_mean=30.0), trained_row("c", "degraded")])
    places_of = {(place.x, round(place.y, 3), place.at) for place in places(models) if place is not None}
    assert places_of == {(1.0, 1.0, ""), (0.5, 1.0, ""), (1.0, -0.325, "")}
    assert window(models).bottom == -0.375


@pytest.mark.parametrize("earned", [-60.0, 130.0])
def test_the_chart_of_scores_fits_a_model_far_from_its_claim_unless_it_is_one_of_many(earned: float) -> None:
    far = trained_row("far", reload_mean_reward=earned)
    alone, among_many = entries([far]), entries([far, *(trained_row(f"m{number}") for number in range(20))])
    (place,) = places(alone)
    assert place is not None
    assert (place.y, place.at) == ((earned - 10.0) / 40.0, "")
    assert window(alone).bottom < place.y < window(alone).top
    arrow = places(among_many)[0]
    assert arrow is not None
    assert arrow.at == ("below" if earned < 0.0 else "above")
    assert -0.3 <= window(among_many).bottom < arrow.y < window(among_many).top <= 1.2


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


# --- Experiments -------------------------------------------------------------------------------------------------


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


def test_a_trend_of_a_number_of_evaluations_that_cannot_be_is_shown_with_its_spread_as_written() -> None:
    claim = {"kind": "trend", "mean": 50.0, "std": 2.0, "n": -1, "where": "evaluations.npz"}
    assert "2.00" in str(panel(**trained_row(claims=[claim])))


def test_a_margin_of_zero_causes_no_division_by_zero() -> None:
    rows = cells(entries([trained_row(verdict="degraded", margin=0.0)]))
    assert rows[2].margins == -1e9
    assert render(audit_of([trained_row(verdict="degraded", margin=0.0), trained_row("same", margin=0.0)]))


# --- One model ---------------------------------------------------------------------------------------------------


def panel(**fields: Any) -> dict[str, Any]:
    """What the page knows of a single model besides its row."""
    (only,) = read(render(audit_of([fields])))["details"]
    return only


def test_the_panel_of_an_external_model_says_how_it_was_loaded() -> None:
    assert dict(panel(**external_row())["details"]) == {
        "Needed to load it": "spaces of gym rebuilt as Gymnasium's",
        "A plain PPO.load": "would raise ModuleNotFoundError: No module named 'gym'",
        "Versions": "stable_baselines3 1.3.0 → 2.9.2",
    }
    assert column(render(audit_of([external_row(claim_kind="model_card")])), "kind") == ["model card"]


def test_the_panel_leaves_out_what_is_not_known_of_a_model() -> None:
    nothing = dict.fromkeys(("loaded_with", "plain_load_error", "version_changes", "sb3_saved"))
    (entry,) = entries([external_row(**nothing)])
    assert details(entry) == []
    (entry,) = entries([external_row(**{**nothing, "plain_load_error": "", "sb3_saved": "2.9.2"})])
    assert details(entry) == [
        ("A plain PPO.load", "would work"),
        ("Versions", "stable_baselines3 2.9.2, as saved"),
    ]


@pytest.mark.parametrize("one", [trained_row, external_row])
def test_remarks_on_a_model_are_in_its_panel(one: Callable[..., dict[str, Any]]) -> None:
    said = "VecMonitor.class_attributes cannot be pickled"
    assert ["Remarks", said] in panel(**one(remarks=said))["details"]


def test_all_claims_are_named_not_only_the_one_that_decides() -> None:
    claims = [
        {"kind": "explicit", "mean": 50.0, "std": 4.0, "n": 300, "where": "claims.csv, line 2"},
        {"kind": "model_card", "mean": 48.5, "std": None, "n": None, "where": "README.md"},
    ]
    assert panel(**external_row(claims=claims))["claims"] == [
        "explicit: 50.00 ± 4.00 over 300 episodes (claims.csv, line 2)",
        "model card: 48.50 (README.md)",
    ]


def test_the_first_divergence_has_the_values_of_both_sides() -> None:
    differences = [{"component": "raw_observations", "index": [2], "reference": 0.5, "reload": 0.25}]
    known = {"text": "Episode 0 differs first at step 3.", "differences": differences}
    said = panel(**row_with_causes("a", cause(), first_divergence=known))
    assert said["divergence"] == "Episode 0 differs first at step 3."
    assert said["differences"] == [["raw observations[2]", "0.5", "0.25"]]


def test_the_probe_of_a_models_environment_is_with_it() -> None:
    environment = environment_health("Corridor-1f", "a", problem=("clock", "It reads the clock."))
    content = audit_of([row_with_causes("a", cause(), probe="Corridor-1f")], environment_health=[environment])
    said = read(render(content))
    assert said["details"][0]["probe"] == "Corridor-1f"
    assert said["environments"]["Corridor-1f"]["problems"] == [{"name": "clock", "evidence": "It reads the clock."}]


def test_the_episodes_of_a_model_that_lost_its_reward_are_paired(tmp_path: Path) -> None:
    rows = [
        {"model": name, "condition": stage, "episode": episode, "seed": episode, "reward": reward + episode}
        for name in ("a", "b")
        for stage, reward in (("in_place", 50.0), ("reference", 50.0), ("reload", -3.0), ("stochastic", 1.0))
        for episode in range(3)
    ]
    tables.write_parquet(tmp_path / "episodes.parquet", tables.table(rows, tables.EPISODES))
    said = read(render(audit_of([row_with_causes("a", cause()), trained_row("b")]), tmp_path / "episodes.parquet"))[
        "details"
    ]
    assert said[0]["pairs"] == {"in_place": [50, 51, 52], "reference": [50, 51, 52], "reload": [-3, -2, -1]}
    assert "pairs" not in said[1]


# --- Causes ------------------------------------------------------------------------------------------------------


def test_each_cause_has_a_row_those_that_explain_most_first() -> None:
    both = row_with_causes("c", cause("clock"), cause("hash-order"))
    rows = cause_rows(
        entries(
            [row_with_causes("a", cause("hash-order")), row_with_causes("b", cause("clock")), both, trained_row("d")]
        )
    )
    assert [(row.name, row.models, row.best) for row in rows] == [("clock", 2, 2), ("hash-order", 2, 1)]
    assert rows[0].verdicts == (("degraded", 2),)
    assert "About clock." in render(audit_of([both]))


def test_a_cause_shows_the_model_that_shows_it_best() -> None:
    unsure, other, best = cause(proven=False), cause(share=0.81), cause(share=0.99)
    (row,) = cause_rows(
        entries([row_with_causes("a", unsure), row_with_causes("b", other), row_with_causes("c", best)])
    )
    assert (row.example.name, row.shown.share) == ("c", 0.99)


def test_a_cause_says_whether_it_is_proven_and_how_much_of_the_gap_it_closes() -> None:
    causes = [cause(), cause(proven=False, share=None), cause(share=-3.0), cause("unexplained", share=None)]
    (entry,) = entries([row_with_causes("a", *causes)])
    assert [certainty(one) for one in entry.causes] == [
        ["proven", "closes 97 % of the gap"],
        ["not proven"],
        ["proven", "closes 0 % of the gap"],
        [],
    ]


def test_a_model_shows_its_causes_with_their_evidence() -> None:
    said = panel(**row_with_causes("a", cause(), cause("clock")))
    assert [one["cause"] for one in said["causes"]] == ["global-generator", "clock"]
    assert said["causes"][0]["evidence"] == ["It draws.", "It drew."]
    assert said["causes"][0]["fix"] == FIX
    assert said["ruled_out"] == ["files: they are as saved"]


def test_without_causes_nothing_is_said_of_them() -> None:
    healthy = trained_row(cause="", causes=[], ruled_out=[], first_divergence=None)
    html = render(audit_of([healthy]))
    assert html == render(audit_of([trained_row()]))
    assert ">Causes" not in html


def test_a_fix_can_be_copied_as_it_is() -> None:
    fix = FIX + "\n        assert 0 < self.goal & 7, '<b>'"
    html = render(audit_of([row_with_causes("a", cause(fix=fix))]))
    assert Page(html).code == [fix]
    assert read(html)["details"][0]["causes"][0]["fix"] == fix


@pytest.mark.parametrize("text", [NASTY, "safe\u202egnp.exe\x1b[2J\u200f"])
def test_texts_of_causes_are_shown_as_text_only(text: str) -> None:
    said = cause(text, explanation=text, evidence=[text, text], fix=f"{text}\n{text}")
    html = render(audit_of([row_with_causes("a", said, ruled_out=[text], first_divergence={"text": text})]))
    assert not re.search("[\u200e\u200f\u202a-\u202e\u2066-\u2069\x1b]", html + json.dumps(read(html)))
    page = Page(html)
    assert (page.count("img"), page.count("script")) == (0, Page(render(audit_of([trained_row()]))).count("script"))
    assert not [attrs for tag, attrs in page.tags if tag == "a" and (attrs["href"] or "").startswith("..")]


def test_every_known_cause_leads_to_its_page() -> None:
    html = render(audit_of([row_with_causes("a", *map(cause, CAUSES), cause("of/another.tool"))]))
    links = {attrs["href"] or "" for tag, attrs in Page(html).tags if tag == "a"}
    pages = {f"../docs/causes/{name}.md" for name in CAUSES}
    assert {link for link in links if not link.startswith("#")} == pages
    assert {f"../{said['page']}" for said in read(html)["causes"].values() if said["page"]} == pages


# --- Ten thousand models -----------------------------------------------------------------------------------------


def test_details_of_the_worst_models_are_in_the_page_however_many_there_are(tmp_path: Path) -> None:
    def fix(number: int) -> str:
        return f"model = '{hashlib.sha512(str(number).encode()).hexdigest() * 4}'"

    models = [row_with_causes(f"m{k}", cause(fix=fix(k))) for k in range(4000)]
    content = read(render(audit_of([*models, trained_row("healthy")])))
    assert len(content["columns"]["model"]) == 4001
    assert 0 < content["detailed"] < 4001
    assert len(content["details"]) == content["detailed"]


# --- Figures -----------------------------------------------------------------------------------------------------


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


# --- Environments ------------------------------------------------------------------------------------------------


def test_each_faulty_environment_has_its_evidence_and_fix_and_healthy_ones_are_only_named() -> None:
    faulty = environment_health("corridor:Corridor", "a", problem=("clock", "It reads the clock at a.py:7."))
    faulty["problems"][0] |= {"fix": "self.np_random", "where": "a.py:7 in reset"}
    page = render(audit_of([trained_row("a", "equivalent")], environment_health=[environment_health(), faulty]))
    section = page.partition('id="environments-title"')[2].partition("</section>")[0]
    for said in ("not reproducible", "It reads the clock at a.py:7.", "self.np_random", "a.py:7 in reset", "#model=a"):
        assert said in section
    assert section.count("<details>") == 1
    assert re.search(r"reproducible</span> CartPole-v1", section)
    assert "1 of its models earns as before" in section
    assert 'id="environments-title"' not in render(audit_of([trained_row()]))


def test_a_verdict_has_a_shade_where_its_environment_is_not_reproducible() -> None:
    faulty = environment_health("E", "a", "b", problem=("clock", "-"))
    leaving = environment_health("F", "c", problem=("environment-checker", "-"), reproducible=True)
    models = [trained_row("a", "equivalent"), trained_row("b", "degraded"), trained_row("c")]
    said = read(render(audit_of(models, environment_health=[faulty, leaving])))
    assert [said["columns"]["model"][index] for index in said["fragile"]] == ["a"]
