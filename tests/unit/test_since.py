"""What is said of changes since an earlier audit, and how seldom chance alone is called one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

import aggregate
import gate
from reload_audit.command.main import main
from reload_audit.judging.comparison import compare_paired
from reload_audit.judging.judgement import Judgement
from reload_audit.judging.since import Earned, Episodes, earns, judge_since, smallest_planned, smallest_shown, state
from reload_audit.judging.verdicts import decide_verdicts
from reload_audit.planning.baseline import baseline_settings, check_history, history_files, keep_last
from reload_audit.planning.compared import check_pairs
from reload_audit.planning.configuration import ConfigError
from reload_audit.records.audit_file import SCHEMA_VERSION, AuditFile, NotComparableError, read_earlier
from reload_audit.records.since import CandidateResult, Earns, Since
from reload_audit.records.storage import write_json
from reload_audit.reports import markdown, summary
from reload_audit.reports.audit import Audit, read_audit
from reload_audit.reports.dashboard.entries import entries
from reload_audit.reports.dashboard.history import read_history, series
from reload_audit.reports.junit import write_junit
from reload_audit.reports.since import about_candidates, candidates_answer, power
from reload_audit.results import tables
from reload_audit.results.aggregate import NO_EARLIER
from reload_audit.results.candidates import candidates
from reload_audit.results.since import AuditFiles, since
from support.audit_contents import CRITERIA as VERDICT
from support.audit_contents import trained_row
from support.builders import CRITERIA, resolved

NOON = 1_795_000_000.0  # 2026-11-18


@dataclass(frozen=True)
class Model:
    """A model of an audit that earns about so much.

    :param first_seed: of its episodes
    """

    verdict: str
    earns: float = 50.0
    first_seed: int = 1000
    spread: float = 1.0


def audit(folder: Path, models: Mapping[str, Model], *, episodes: bool = True, noise: int = 0) -> Path:
    """Write an audit of these models, 20 episodes each, with its tables.

    :param noise: a seed of what differs from audit to audit, where rewards are not the same again
    """
    folder.mkdir(parents=True)
    rows, played = [], []
    for name, model in models.items():
        rewards = model.earns + model.spread * np.random.default_rng([noise, len(name)]).standard_normal(20)
        earned = {"reload_mean_reward": float(rewards.mean()), "reload_std_reward": float(rewards.std())}
        rows.append(trained_row(name, model.verdict, **({} if model.verdict == "error" else earned)))
        played += [
            tables.EpisodeRow(name, "reload", k, model.first_seed + k, float(r), 9, True, None, float(r), f"{r}", False)
            for k, r in enumerate(rewards)
            if model.verdict != "error"
        ]
    content = {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "reload-audit", "version": f"0.2.{noise}"},
        "settings": {"verdict": VERDICT},
        "models": rows,
    }
    write_json(folder / "audit.json", content)
    if episodes:
        tables.write_parquet(folder / "episodes.parquet", tables.table(map(asdict, played), tables.EPISODES))
    (folder / "processes.csv").write_text(f"model,started\na,{NOON}\n")
    return folder / "audit.json"


def changes(then: Path, now: Path, only: tuple[str, ...] = ()) -> Since:
    files = [AuditFiles(read_earlier(path), path.parent, path.parent.name) for path in (then, now)]
    return since(files[0], files[1], CRITERIA, only)


def reported(now: Path, found: Since) -> Audit:
    """The later audit with what has changed in it, as reports read it."""
    write_json(now, json.loads(now.read_text()) | {"since": found.to_dict()})
    return read_audit(now)


THEN = {
    "kept": Model("identical"),
    "worse": Model("equivalent"),
    "broken": Model("equivalent"),
    "better": Model("degraded", 10.0),
    "undecided": Model("inconclusive"),
    "gone": Model("equivalent"),
}
NOW = {
    "kept": Model("identical"),
    "worse": Model("degraded", 10.0),
    "broken": Model("error"),
    "better": Model("equivalent", 50.0),
    "undecided": Model("degraded"),
    "new": Model("degraded", 10.0),
}


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Audit, Path]:
    """An audit in which every kind of change has happened, and its folder."""
    folder = tmp_path_factory.mktemp("audits")
    then, now = audit(folder / "then", THEN), audit(folder / "now", NOW)
    return reported(now, changes(then, now)), folder


def test_each_model_is_new_gone_regressed_recovered_or_as_then(compared: tuple[Audit, Path]) -> None:
    found = compared[0].since
    assert found is not None
    assert found.states == {
        "kept": "same",
        "worse": "regressed",
        "broken": "regressed",
        "better": "recovered",
        "undecided": "changed",
        "new": "new",
        "gone": "gone",
    }
    by_name = {model.model: model for model in found.models}
    assert by_name["kept"].earns == "identical"
    worse = by_name["worse"]
    assert (worse.earns, worse.paired, worse.n) == ("less", "seeds", 20)
    assert worse.difference == pytest.approx(-40.0)
    assert worse.ci_high is not None
    assert worse.ci_high < 0
    assert (found.date, found.baseline) == ("2026-11-18", "then")


def test_headline_console_and_markdown_say_what_has_changed(compared: tuple[Audit, Path]) -> None:
    said = summary.summarize(compared[0], "report.html")
    assert "+2 degraded, +1 ended in an error, 1 recovered, 1 new, 1 gone since 2026-11-18." in said.splitlines()[0]
    assert "regressed: worse: equivalent → degraded; earns 40 less than then (between -40 and -40; margin" in said
    assert "another verdict, perhaps by chance: undecided (inconclusive → degraded)" in said
    assert "gone: gone (was equivalent)" in said
    assert "regressed: worse: equivalent → degraded" in markdown.summarize(compared[0], "report.html")


def test_models_that_regressed_close_the_gate_and_fail_as_tests_where_that_is_asked_for(
    compared: tuple[Audit, Path], tmp_path: Path
) -> None:
    found, folder = compared
    with pytest.raises(gate.GateClosed, match=r"regressed since 2026-11-18: 2\n  .*broken.*\n  .*worse") as closed:
        gate.main(folder / "now/audit.json", ["regressed"])
    assert "undecided" not in str(closed.value)
    for failed, failures in (((), "0"), (("regressed",), "2")):
        write_junit(found, tmp_path / "junit.xml", failed)
        (suite,) = ET.parse(tmp_path / "junit.xml").findall("testsuite[@name='since 2026-11-18']")  # noqa: S314
        assert (suite.get("tests"), suite.get("failures")) == ("5", failures)


def test_the_command_says_the_same_and_ends_as_the_gate(
    compared: tuple[Audit, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    then, now = (str(compared[1] / name) for name in ("then", "now"))
    assert main(["compare", then, now]) == 1
    assert "regressed: worse: equivalent → degraded" in capsys.readouterr().out
    assert main(["compare", then, then]) == 0
    assert capsys.readouterr().out.startswith("No model has changed since 2026-11-18.\n")
    assert main(["compare", then, now, "--fail-on", "lost"]) == 1
    assert "expected one of regressed, recovered, changed" in capsys.readouterr().err


def test_without_the_episodes_means_are_compared_and_it_is_said(tmp_path: Path) -> None:
    then = audit(tmp_path / "then", THEN, episodes=False)
    found = changes(then, audit(tmp_path / "now", NOW, noise=1))
    assert {model.paired for model in found.models} == {"means", ""}
    assert found.states["worse"] == "regressed"
    assert "then: episodes.parquet is not beside it: only mean rewards are compared" in found.remarks[0]


def test_episodes_with_other_seeds_are_not_paired(tmp_path: Path) -> None:
    then = audit(tmp_path / "then", {"a": Model("equivalent"), "b": Model("equivalent", 50.0, 5000)})
    found = changes(then, audit(tmp_path / "now", {"a": Model("equivalent"), "b": Model("equivalent")}, noise=1))
    assert [model.paired for model in found.models] == ["seeds", "means"]
    assert "other seeds" in found.remarks[0]


def test_a_model_that_is_left_out_by_only_is_not_gone(tmp_path: Path) -> None:
    then, now = audit(tmp_path / "then", THEN), audit(tmp_path / "now", {"kept": THEN["kept"]})
    assert changes(then, now, only=("kept",)).states == {"kept": "same"}


def test_packages_of_other_versions_are_named(tmp_path: Path) -> None:
    found = changes(audit(tmp_path / "then", {}), audit(tmp_path / "now", {}, noise=1))
    assert [(one.package, one.then, one.now) for one in found.packages] == [("reload-audit", "0.2.0", "0.2.1")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot read it: No such file"),
        ("{", "what is no JSON"),
        ("[]", "without a schema_version"),
        ('{"schema_version": 4, "models": []}', "of schema version 5, found 4: it was written by another version"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "audit.json").write_text(text)
    with pytest.raises(NotComparableError, match=said) as refused:
        read_earlier(tmp_path / "audit.json")
    assert "\n" not in str(refused.value)


def test_the_last_audit_is_kept_before_it_is_replaced(tmp_path: Path) -> None:
    now = audit(tmp_path / "results", {"a": Model("equivalent")})
    first = now.read_text()
    keep_last({"baseline": "last"}, str(now.parent))  # type: ignore[typeddict-item]
    now.unlink()  # as Snakemake does before the job
    write_json(now, {})
    kept = tmp_path / "results/last"
    assert (kept / "audit.json").read_text() == first
    assert {file.name for file in kept.iterdir()} == {"audit.json", "episodes.parquet", "processes.csv"}


# --- How often chance alone is called a change: docs/since.md has the whole table ---


def replayed(noise: np.ndarray, loss: float) -> tuple[Judgement, Episodes]:
    """What an audit says of a model that loses so much, and its episodes, as many as it takes.

    :param noise: of the episodes in place and after reload, shape ``(2, 320)``
    """
    rewards = noise[1] - loss
    for look in CRITERIA.looks:
        judgement = Judgement(compare_paired(rewards[:look] - noise[0, :look], 0.5, CRITERIA), first_difference="one")
        if judgement.settled(CRITERIA):
            break
    traces = np.array([f"{reward}" for reward in rewards[:look]])
    return judgement, Episodes(np.arange(look), rewards[:look], traces, np.zeros(look, bool))


def false_alarms(loss: float, trials: int) -> tuple[int, int]:
    """Of audits of 5 models, made twice without any change: how many say that one regressed, or is newly degraded."""
    rng, regressed, newly = np.random.default_rng(7), 0, 0
    for _ in range(trials):
        place = rng.standard_normal((5, 320))
        twice = [[replayed(np.array([p, rng.standard_normal(320)]), loss) for p in place] for _ in range(2)]
        verdicts = [[v.verdict for v in decide_verdicts([j for j, _ in one], CRITERIA)] for one in twice]
        earned = [[Earned(float(e.rewards.mean()), 1.0, e.rewards.size, e) for _, e in one] for one in twice]
        judged = [judge_since(then, now, None, CRITERIA)[0] for then, now in zip(*earned, strict=True)]
        said = map(earns, decide_verdicts(judged, CRITERIA))
        states = [state(then, now, one) for then, now, one in zip(*verdicts, said, strict=True)]
        regressed += "regressed" in states
        newly += any(now == "degraded" != then for then, now in zip(*verdicts, strict=True))
    return regressed, newly


@pytest.mark.parametrize("loss", [0.0, 0.5, 0.65])
def test_a_model_that_has_not_changed_has_hardly_ever_regressed_though_its_verdict_may_change(loss: float) -> None:
    regressed, newly = false_alarms(loss, 12)
    assert regressed == 0
    assert newly >= (3 if loss == 0.65 else 0)  # what a rule of verdicts alone would call a regression


def test_the_smallest_difference_that_shows_is_shown_in_four_of_five() -> None:
    rng = np.random.default_rng(3)
    model = compare_paired(rng.standard_normal(80), 0.2, CRITERIA)
    smallest = smallest_shown(model, CRITERIA)
    spread = model.reload_error * np.sqrt(80)
    drawn = spread * rng.standard_normal((1000, 80)) - smallest
    shown = np.mean([compare_paired(d, 0.2, CRITERIA).decision == "degraded" for d in drawn])
    assert 0.74 < shown < 0.86


def test_a_gate_on_regressions_needs_a_baseline() -> None:
    with pytest.raises(ConfigError, match=r"gate.fail_on: regressed: .* set baseline"):
        resolved(gate={"fail_on": ["regressed"]})
    with pytest.raises(ConfigError, match=r"gate.fail_on: candidate_open: expected models to compare; set compare"):
        resolved(gate={"fail_on": ["error", "candidate_open"]})


def test_numbers_that_are_none_are_not_compared() -> None:
    row = {"model": "a", "verdict": "equivalent", "reload_mean_reward": "nan", "n_episodes": None}
    assert AuditFile.from_json({"models": [row, 3]}).models["a"].mean is None
    assert AuditFile.from_json({"models": [{"model": "a"}]}).models == {}


# --- A candidate against the model that is shipping ---


def test_a_candidate_is_compared_on_the_same_seeds_with_what_would_have_shown(tmp_path: Path) -> None:
    models = {"new": Model("equivalent", 40.0, spread=3.0), "shipped": Model("equivalent", spread=3.0)}
    folder = audit(tmp_path / "now", {**models, "failed": Model("error")}).parent
    pairs = [{"candidate": "new", "shipping": "shipped"}, {"candidate": "failed", "shipping": "shipped"}]
    better, failed = candidates(pairs, read_earlier(folder / "audit.json"), folder, CRITERIA)
    assert (better.earns, better.paired, better.n, better.environment) == ("less", "seeds", 20, "CartPole-v1")
    assert better.smallest is not None
    assert better.margin is not None
    assert better.margin < better.smallest < 10
    assert failed.earns == ""
    said = [*about_candidates([better, failed])]
    assert "new against shipped on CartPole-v1: earns" in said[0]
    assert "would have shown in 4 of 5 cases" in said[0]
    assert said[1].endswith("not compared: one of them was not measured")
    content = json.loads((folder / "audit.json").read_text())
    content["candidates"] = [one.to_dict() for one in (replace(better, earns="same"), better, failed)]
    lines = summary.summarize(Audit.from_json(content), "report.html").splitlines()
    assert lines[0].endswith("; of 3 candidates 1 earns less, 1 could not be compared, 1 earns as much, or more.")
    place = lines.index("Candidates against shipping models:")
    words = (" less (between", "not compared", "earns as much")
    assert [word in line for word, line in zip(words, lines[place + 1 :], strict=False)] == [True] * 3, "worst first"


@pytest.mark.parametrize(
    ("earns", "said"),
    [
        (("less", "less"), "both candidates earn less"),
        (("more", "same"), "both candidates earn as much, or more"),
        (("open", "open"), "of 2 candidates none is shown to earn as much"),
        (("", "", ""), "of 3 candidates none could be compared"),
        (("less", "open"), "of 2 candidates 1 earns less, 1 is not shown to earn as much"),
        (("less", "less", "more"), "of 3 candidates 2 earn less, 1 earns as much, or more"),
        (("", "identical", "same"), "of 3 candidates 1 could not be compared, 2 earn as much, or more"),
    ],
)
def test_the_headline_says_of_every_candidate_how_it_does(earns: tuple[Earns, ...], said: str) -> None:
    assert candidates_answer([CandidateResult("new", "old", "X-v0", one) for one in earns]) == said


def test_before_it_runs_it_is_said_how_small_a_loss_may_show() -> None:
    (said,) = power([("new", "shipped", 320)], CRITERIA)
    assert "new against shipped: in 320 episodes a loss shows in 4 of 5 cases if it exceeds the margin by" in said
    few, many = smallest_planned(20, CRITERIA), smallest_planned(320, CRITERIA)
    rng = np.random.default_rng(5)
    for n, loss in ((20, few), (320, many)):
        drawn = rng.standard_normal((600, n)) - loss - 0.2
        shown = np.mean([compare_paired(d, 0.2, CRITERIA).decision == "degraded" for d in drawn])
        assert 0.73 < shown < 0.87


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        (("a", "c"), "there is no model 'c'"),
        (("a", "a"), "expected two models, found 'a' twice"),
        (("a", "b"), "expected two models on one environment, found 'a' on X-v0 {} and 'b' on X-v1 {}"),
    ],
)
def test_pairs_that_cannot_be_compared_are_refused_before_anything_runs(pair: tuple[str, str], said: str) -> None:
    environments = {"a": ("X-v0", {}), "b": ("X-v1", {})}
    with pytest.raises(ConfigError, match=re.escape(f"mine.yaml: compare[0]: {said}")):
        check_pairs([{"candidate": pair[0], "shipping": pair[1]}], environments, "mine.yaml")


def test_the_same_bits_are_no_regression_whatever_became_of_the_claim() -> None:
    assert state("equivalent", "degraded", "identical") == "changed"
    assert state("degraded", "equivalent", "identical") == "changed"
    assert state("equivalent", "degraded", "same") == "regressed"


# --- History ---


def test_a_model_s_page_has_what_it_was_in_earlier_audits_by_their_days(tmp_path: Path) -> None:
    for day, earned in ((2, 40.0), (1, 30.0)):
        folder = audit(tmp_path / f"kept/audit{day}", {"a": Model("equivalent", earned)}).parent
        (folder / "processes.csv").write_text(f"model,started\na,{NOON + day * 86_400}\n")
    write_json(tmp_path / "kept/old/audit.json", {"schema_version": 1, "models": []})
    now = audit(tmp_path / "now", {"a": Model("degraded", 10.0), "b": Model("identical")})
    files = history_files({"history": [str(tmp_path / "kept")]})  # type: ignore[typeddict-item]
    assert len(files) == 3
    found = series(read_history(map(Path, files)), entries(read_audit(now).models))
    assert [(when, verdict) for when, verdict, *_ in found["a"]] == [
        ("2026-11-19", "equivalent"),
        ("2026-11-20", "equivalent"),
        ("now", "degraded"),
    ]
    assert [round(mean or 0, -1) for _, _, mean, *_ in found["a"]] == [30, 40, 10]
    assert found.keys() == {"a"}


def test_what_is_no_earlier_audit_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut.json").write_text('{"schema_version": 5, "models": [')
    said = [str(tmp_path / name) for name in ("empty", "cut.json", "gone")]
    with pytest.raises(ConfigError) as refused:
        check_history({"history": said}, "mine.yaml")  # type: ignore[typeddict-item]
    empty, cut, gone = str(refused.value).splitlines()
    assert empty == f"mine.yaml: history[0]: expected a folder with audits, found no audit.json in {said[0]}"
    assert cut.startswith(f"mine.yaml: history[1]: {said[1]}: expected an audit.json, found what is no JSON")
    assert gone.startswith(f"mine.yaml: history[2]: {said[2]}: expected an audit.json, cannot read it")


# --- As the rule does it ---


def test_the_rule_compares_with_the_last_audit_of_its_folder(tmp_path: Path) -> None:
    results = audit(tmp_path / "results", {"a": Model("equivalent")}).parent
    config = {"baseline": "last", "only": [], "history": []}
    settings = baseline_settings(config, str(results))  # type: ignore[arg-type]
    for kept, said in ((False, Since("the last audit", "", (), remarks=(NO_EARLIER,))), (True, None)):
        if kept:
            audit(results / "last", {"a": Model("equivalent")})
        aggregate.main([], [], {"verdict": VERDICT}, results, baseline=settings)
        found = read_audit(results / "audit.json").since
        assert found is not None
        assert found.states == ({"a": "gone"} if kept else {})
        assert said is None or found == said
