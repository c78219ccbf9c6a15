"""Rows in, rows out: whatever one model's data raises is that model's row ``error``, with the reason."""

from __future__ import annotations

import csv
import errno
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

import report as report_script
import summarize as summarize_script
from reload_audit.jobs.external import audit_batch
from reload_audit.jobs.probe import Prober, probe_environment
from reload_audit.processes.outcome import Failure, Usage
from reload_audit.records.conditions import CANONICAL, Condition
from reload_audit.records.culprits import culprits
from reload_audit.records.episodes import Episode, TrainTime
from reload_audit.records.manifest import ExternalFacts, ExternalManifest, TrainedManifest
from reload_audit.records.model_record import Check, Measurement, ModelRecord, read_records, write_batch
from reload_audit.records.probe_names import probed
from reload_audit.records.probe_record import ProbeRecord
from reload_audit.records.specs import Claim, EvaluationSpec, ExternalPolicy, ReloadSpec
from reload_audit.records.storage import DamagedFileError, read_json, write_json
from reload_audit.reports.audit import Audit, read_audit, with_stand_ins
from reload_audit.reports.dashboard import payload, report
from reload_audit.reports.dashboard.figures import figures
from reload_audit.results import tables
from reload_audit.results.aggregate import aggregate
from reload_audit.results.rows import failed_row
from support.builders import CRITERIA, EXAMINATION, external_spec, training_spec
from support.external_audits import PROBE, external_plan
from support.planted_faults import Place, places, planted
from support.published_layouts import hub_repository, recording, zoo_run

PROCESS = Usage("node", 2, 1, 0.0, 1.0, 1.0, 100.0)


def episodes(mean: float) -> list[Episode]:
    trace = {"raw_observations": "a", "rewards": "b", "actions": "c"}
    return [Episode(k, 1_000_000 + k, mean + k % 5, 50, True, None, mean + k % 5, trace) for k in range(20)]


def external(name: str, mean: float = 50.0, **changes: Any) -> ModelRecord:
    """The record of a model that is said to have earned 52, and earns it unless ``mean`` says otherwise."""
    claim = Claim("explicit", 52.0, 2.0, 100, "models.tsv, line 2")
    manifest = ExternalManifest(name, external_spec(name), None, ExternalFacts(claims=(claim,)))
    measured = Measurement(Condition(CANONICAL, 20), None, PROCESS, episodes=episodes(mean))
    return replace(ModelRecord(manifest, "audit.log", conditions={CANONICAL: measured}, random_mean=0.0), **changes)


def lost(name: str) -> ModelRecord:
    """A record in which nearly everything is said that a record can say, of a model that lost its reward."""
    trial = EXAMINATION.trials[0].condition
    conditions = {
        CANONICAL: Measurement(
            Condition(CANONICAL, 20), None, PROCESS, [Check("optimizer", False, "a", "b")], episodes(10.0)
        ),
        trial.name: Measurement(trial, None, PROCESS, episodes=episodes(50.0)),
        "n_envs=1": Measurement(EXAMINATION.trials[1].condition, Failure("timeout", "too slow", ""), PROCESS),
    }
    return external(name, conditions=conditions, examination=EXAMINATION)


def recorded(name: str) -> ModelRecord:
    """A model with reference episodes, which it no longer earns."""
    train_time = TrainTime(episodes(50.0), episodes(50.0), episodes(0.0))
    return external(name, 10.0, train_time=train_time)


def untrained(name: str) -> ModelRecord:
    """A model whose training failed."""
    spec = {**training_spec(), "model": name}
    return ModelRecord(TrainedManifest(name, spec, "", Failure("exception", "no", ""), PROCESS, None), "train.log")


BAD = "bad"
MADE: dict[str, Callable[[str], ModelRecord]] = {"lost": lost, "recorded": recorded, "untrained": untrained}


def written(folder: Path, bad: ModelRecord | Mapping[str, Any]) -> list[Path]:
    """Files with the records of three models, one of them bad."""
    files = [folder / f"{number}.json" for number in range(3)]
    write_batch(files[0], [external("first")])
    write_json(files[1], bad.to_dict() if isinstance(bad, ModelRecord) else bad)
    write_batch(files[2], [external("last")])
    return files


def aggregated(files: list[Path], results: Path) -> dict[str, dict[str, Any]]:
    """The rows of ``audit.json`` by name, with what has to do with the number of models left out."""
    aggregate(files, CRITERIA, {}, results)
    rows = read_json(results / "audit.json")["models"]
    assert len((results / "models.csv").read_text().splitlines()) == 1 + len(rows)
    return {row["model"]: {key: value for key, value in row.items() if key != "q"} for row in rows}


NET = {
    *("_each", "_others", "_told", "Below._in", "read_models", "_with_what_is_said", "_questions", "_spec"),
    *("Candidate.spec", "Candidate.failed"),
    *("found_files", "shown", "printable", "_plain", "_instead", "joined", "_names_module", "_bits"),
    *("_Batch.audit", "ExternalSpec.failed", "BatchCache.add", "BatchCache._kept"),
    *("_read", "recorded_text", "failed_row", "failed_row.<locals>.text", "JudgedModel.instead"),
    *("model_or_stand_in", "stand_in"),
}
"""The functions that hold what others drop."""


_TRIED: dict[str, set[str]] = {}


def everywhere(work: Callable[[], object], tried: str = "") -> list[Place]:
    """All places but those that hold what others drop.

    :param tried: of what the places are; a later call for the same gives only those that no earlier one gave
    """
    found = [place for place in places(BAD, work) if place.code.co_qualname not in NET]
    assert len(found) >= 5, [place.name for place in found]
    if not tried:
        return found
    known = _TRIED.setdefault(tried, set())
    new = [place for place in found if place.name not in known]
    known.update(place.name for place in new)
    return new


# --- Planning ----------------------------------------------------------------------------------------------------


def rl_zoo(runs: Path, name: str) -> None:
    zoo_run(runs / "ppo" / name, args={"env_kwargs": {"x": 1}}, config={"env_wrapper": ["a.B"]}, statistics=True)


def hugging_face(runs: Path, name: str) -> None:
    hub_repository(runs / name)


def with_manifest(runs: Path, name: str) -> None:
    environment = {"env": "CartPole-v1", "env_kwargs": {"x": 1}, "monitor": "env"}
    recording(runs / name, {"algo": "PPO", "seed": 0, "n_envs": 1, "environment": environment})


LAYOUTS = [rl_zoo, hugging_face, with_manifest]


def planned(folder: Path) -> dict[str, dict[str, Any]]:
    """The external models of an audit, by their names; all that Snakemake asks for is made."""
    plan = external_plan(folder / "results", runs=[str(folder / "runs")], reload={"batch": 1})
    plan.remember_external_models()
    for batch in plan.batches:
        plan.batch_inputs(batch), plan.batch_unwatched(batch), plan.batch_code(batch), plan.batch_request(batch)
    probing = plan.probing
    for probe in probing.probes:
        probing.inputs(probe), probing.external_model(probe), probing.code_of(probe), probing.request(probe)
    return {model["model"]: model for batch in plan.batches for model in plan.batch_models(batch)}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_fault_at_any_place_of_planning_is_the_problem_of_its_model(
    layout: Callable[[Path, str], None], tmp_path: Path
) -> None:
    for name in ("first", BAD, "last"):
        layout(tmp_path / "runs", name)
    usual = planned(tmp_path)
    (bad,) = (name for name in usual if BAD in name)
    assert len(usual) == 3
    for place in everywhere(lambda: planned(tmp_path), "planning"):
        with planted(place, BAD):
            found = planned(tmp_path)
        assert len(found) in (3, 4), place.name  # a folder that cannot be listed is a row too
        assert all(found[name] == usual[name] for name in usual if BAD not in name), place.name
        said = [model["problem"] or "" for name, model in found.items() if BAD in name]
        assert found.get(bad) == usual[bad] or any("cannot be used: Planted" in problem for problem in said), place.name


# --- Aggregation -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=list(MADE))
def records(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return written(tmp_path_factory.mktemp(request.param), MADE[request.param](BAD))


def test_a_fault_at_any_place_of_the_aggregation_is_a_row_of_its_model(records: list[Path], tmp_path: Path) -> None:
    usual = aggregated(records, tmp_path)
    for place in everywhere(lambda: aggregated(records, tmp_path), "aggregation"):
        with planted(place, BAD):
            rows = aggregated(records, tmp_path)
        assert list(rows) == list(usual), place.name
        assert rows[BAD]["verdict"] == "error", place.name
        assert "its record cannot be used: Planted: planted in" in rows[BAD]["reason"], place.name
        assert {**rows, BAD: None} == {**usual, BAD: None}, place.name


def test_a_record_that_is_anything_else_is_a_row_of_its_model(tmp_path: Path) -> None:
    good = lost(BAD).to_dict()
    for key in good.keys() - {"manifest"}:
        for odd in (None, 1, "text", [1], {"a": 1}, True):
            rows = aggregated(written(tmp_path, {**good, key: odd}), tmp_path / "results")
            assert list(rows) == ["first", BAD, "last"], (key, odd)
            assert rows["last"]["verdict"] == rows["first"]["verdict"] == "equivalent", (key, odd)


@pytest.mark.parametrize("content", [[1], {}, {"manifest": {}}, [[]], 1, "text", None])
def test_a_file_of_records_that_names_no_model_is_named(tmp_path: Path, content: Any) -> None:
    files = written(tmp_path, lost(BAD))
    write_json(files[1], content)
    with pytest.raises(DamagedFileError, match=r"1\.json is no longer what the audit wrote there.*Delete it"):
        aggregated(files, tmp_path / "results")


# --- Batches -----------------------------------------------------------------------------------------------------


def test_a_fault_at_any_place_of_a_batch_is_in_the_record_of_its_model(tmp_path: Path) -> None:
    (tmp_path / f"{BAD}.zip").write_text("no zip")
    named = [external_spec(name, str(tmp_path / f"{name}.zip")) for name in ("first", BAD, "last")]
    specs = [(spec if spec.model == BAD else replace(spec, problem="it is not there")).to_dict() for spec in named]
    evaluation = EvaluationSpec(episodes=2, seed=0, n_envs=1, max_episode_steps=500, looks=(2,))
    policy, reload = ExternalPolicy(evaluation, (), {}, 2**20), ReloadSpec((), False, "forkserver", 60, 4096)

    def audited() -> list[ModelRecord]:
        audit_batch(specs, tmp_path / "batch.json", tmp_path / "log", policy, reload, CRITERIA)
        return [ModelRecord.from_dict(record) for record in read_records(tmp_path / "batch.json")]

    usual = audited()
    assert usual[1].failure == "on reload: damaged zip: BadZipFile: File is not a zip file"
    failed = []
    for place in everywhere(audited):
        if place.code.co_qualname == "PlainData.from_dict":
            continue  # reads what planning wrote
        with planted(place, BAD):
            records = audited()
        failed.append("its files cannot be used: Planted: " in records[1].failure)
        assert failed[-1] or records[1].failure == usual[1].failure, place.name  # it is only not kept
        assert [record.name for record in records] == ["first", BAD, "last"], place.name
        assert records[::2] == usual[::2], place.name
    assert sum(failed) > 5


def test_whatever_probing_raises_is_what_is_recorded_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raise_once(self: Prober, *_: Any) -> None:
        monkeypatch.undo()
        raise ValueError("nobody foresaw it")

    monkeypatch.setattr(Prober, "probe", raise_once)
    environment = probed(external_spec(BAD).environment.to_dict())
    probe_environment(environment, None, None, PROBE, tmp_path / "probe.json", tmp_path / "log")
    failure = ProbeRecord.read(tmp_path / "probe.json").failure
    assert failure is not None
    assert failure.message == "it cannot be probed: ValueError: nobody foresaw it"


# --- Reports -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of an audit in which the bad model lost its reward."""
    folder = tmp_path_factory.mktemp("results")
    aggregated(written(folder, lost(BAD)), folder)
    return folder


def on_page(results: Path) -> dict[str, str]:
    """The verdicts on the page, by the names of the models; all plots are planned, and none is drawn."""
    page = ""

    def write(audit: Audit) -> None:
        nonlocal page
        page = report.render(audit, results / "episodes.parquet")
        list(figures(audit))

    with_stand_ins(read_audit(results / "audit.json"), write)
    return verdicts_of(page)


def verdicts_of(page: str) -> dict[str, str]:
    columns = payload.read(page)["columns"]
    words = [columns["verdict"]["words"][at] for at in columns["verdict"]["at"]]
    return dict(sorted(zip(columns["model"], words, strict=True)))


def summarized(results: Path) -> dict[str, str]:
    """The verdicts in ``junit.xml``, after checks that the other reports say the same."""
    summarize_script.main(results / "audit.json")
    counts = re.findall(r"Verdicts: (.*)\.", (results / "summary.txt").read_text(encoding="utf-8"))
    flagged = list(csv.DictReader(io.StringIO((results / "flagged.csv").read_text(encoding="utf-8"))))
    assert [row["model"] for row in flagged] == [BAD]
    assert counts == [f"2 equivalent, 1 {flagged[0]['verdict']}"]
    assert f"| {flagged[0]['verdict']} | 1 |" in (results / "summary.md").read_text(encoding="utf-8")
    words = {"failure": "degraded", "error": "error", "system-out": "equivalent"}
    cases = ET.parse(results / "junit.xml").findall("testsuite[@name='reload-audit']/testcase")  # noqa: S314 our own
    return {str(case.get("name")): words[case[0].tag] for case in sorted(cases, key=lambda case: str(case.get("name")))}


@pytest.mark.parametrize("work", [on_page, summarized])
def test_a_fault_at_any_place_of_a_report_is_a_row_of_its_model(
    work: Callable[[Path], dict[str, str]], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "LIBRARIES", ())  # to pack them takes longest
    assert work(results) == {BAD: "degraded", "first": "equivalent", "last": "equivalent"}
    for place in everywhere(lambda: work(results)):
        with planted(place, BAD):
            assert work(results) == {BAD: "error", "first": "equivalent", "last": "equivalent"}, place.name


def test_the_report_of_a_model_that_cannot_be_shown_says_why(results: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "LIBRARIES", ())
        (place,) = (place for place in everywhere(lambda: on_page(results)) if place.code.co_qualname == "_detailed")
    with planted(place, BAD):
        report_script.main(
            *(results / name for name in ("audit.json", "episodes.parquet", "report.html", "figures")), report.FOLDERS
        )
    page = (results / "report.html").read_text(encoding="utf-8")
    assert verdicts_of(page)[BAD] == "error"
    assert payload.read(page)["columns"]["reason"][0].endswith("its row cannot be used: Planted: planted in _detailed")


def test_rows_of_an_audit_may_be_anything(results: Path, tmp_path: Path) -> None:
    whole = read_json(results / "audit.json")
    good = next(row for row in whole["models"] if row["model"] == BAD)
    for key in good:
        for odd in (1, "text", [1], {"a": 1}, [[]], "\ud800", 10**400):
            write_json(tmp_path / "audit.json", {**whole, "models": [{**good, key: odd}, *whole["models"][:1]]})
            summarize_script.main(tmp_path / "audit.json")
            models, _, _ = (tmp_path / "junit.xml").read_text(encoding="utf-8").partition('name="environments"')
            assert models.count("<testcase") == 2, (key, odd)


@pytest.mark.parametrize("content", [[], 1, "text", {"models": {}}, {"models": 3}])
def test_an_audit_that_is_anything_else_is_named(tmp_path: Path, content: Any) -> None:
    write_json(tmp_path / "audit.json", content)
    with pytest.raises(DamagedFileError, match="expected a mapping with a list of models"):
        read_audit(tmp_path / "audit.json")


# --- Who it is -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [set(), {0}, {99}, {3, 4, 50}, set(range(100))])
def test_the_models_that_raise_are_found_among_many(bad: set[int]) -> None:
    calls = 0

    def use(some: Sequence[int]) -> None:
        nonlocal calls
        calls += 1
        if found := bad & {*some}:
            raise ValueError(f"{found}")

    assert {at: str(error) for at, error in culprits(range(100), use).items()} == {at: f"{{{at}}}" for at in bad}
    assert calls <= 2 + 2 * 7 * len(bad)


def test_what_raises_without_any_model_is_no_model_s_fault() -> None:
    def use(_: Sequence[int]) -> None:
        raise ValueError("of itself")

    assert culprits([1, 2, 3], use) == {}


def test_a_full_disk_is_no_model_s_fault() -> None:
    def use(some: Sequence[int]) -> None:
        if some:
            raise OSError(errno.ENOSPC, "no space left on device")

    with pytest.raises(OSError, match="no space"):
        culprits([1, 2, 3], use)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["manifest", "external", "spec", "model", "environment", "env", "log", "source"]), inner
            )
        ),
    )
)
def test_what_stands_for_a_model_can_always_be_made(content: Any) -> None:
    row = failed_row({"manifest": {"model": "m"}, **(content if isinstance(content, dict) else {})}, ValueError("why"))
    tables.table([asdict(replace(row, verdict="error"))], tables.MODELS)
