"""The verdicts as JUnit XML, for systems that show test results."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from reload_audit.records.since import CandidateResult
from reload_audit.reports.junit import write_junit
from reload_audit.reports.safe_text import one_line
from support.audit_contents import (
    HOSTILE,
    audit_of,
    consistent_row,
    environment_health,
    external_row,
    inconclusive_row,
    row_with_cause,
    script_entry,
    suspect_row,
    trained_row,
)

RESULT = ({"type", "message"}, frozenset())
ELEMENTS = {
    "testsuites": ({"name", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": ({"name", "tests", "failures", "errors", "skipped"}, {"testcase"}),
    "testcase": ({"name", "classname"}, {"failure", "error", "skipped", "system-out"}),
    **dict.fromkeys(("failure", "error", "skipped"), RESULT),
    "system-out": (set(), frozenset()),
}
"""Of each element its attributes and what may be in it: the part that the audit needs of Jenkins' junit-10.xsd."""


def written(tmp_path: Path, *models: dict[str, Any]) -> Path:
    path = tmp_path / "junit.xml"
    write_junit(audit_of(*models), path)
    return path


def suite(tmp_path: Path, *models: dict[str, Any]) -> TestSuite:
    (only,) = JUnitXml.fromfile(str(written(tmp_path, *models)))
    return only


def case(tmp_path: Path, one: dict[str, Any]) -> TestCase:
    (only,) = suite(tmp_path, one)
    return only


@pytest.mark.parametrize(
    ("one", "result"),
    [
        (row_with_cause("a", "clock", "it is 9:00"), [Failure]),
        (trained_row("a", "error", reason="no module"), [Error]),
        (inconclusive_row("no_claim"), [Skipped]),
        (trained_row("a", "identical"), []),
        (external_row("a", "equivalent"), []),
        (external_row("a", "retained"), []),
        (external_row("a", "improved", reason="earns more"), []),
        (consistent_row(), []),
        (suspect_row(), [Skipped]),
    ],
)
def test_a_lost_reward_fails_an_error_is_one_and_an_open_question_is_skipped(tmp_path, one, result):
    assert [type(found) for found in case(tmp_path, one).result] == result


def test_a_suspect_model_fails_where_the_gate_fails_on_those(tmp_path):
    path = tmp_path / "junit.xml"
    write_junit(audit_of(suspect_row("s"), inconclusive_row("no_claim"), trained_row()), path, failed=["suspect"])
    (shown,) = JUnitXml.fromfile(str(path))
    assert (shown.tests, shown.failures, shown.errors, shown.skipped) == (3, 1, 0, 1)
    assert [type(found) for found in next(iter(shown)).result] == [Failure]
    assert next(iter(shown)).result[0].text.startswith("inconclusive (suspect): 50.00 ± 4.00 → 47.00 ± 1.00")


def test_a_model_s_test_class_is_its_experiment(tmp_path):
    shown = case(tmp_path, trained_row("ppo-seed0-n1", experiment="ppo"))
    assert (shown.classname, shown.name) == ("ppo", "ppo-seed0-n1")


def test_the_suite_counts_its_failures_errors_and_skipped_tests(tmp_path):
    models = [
        trained_row(),
        external_row(),
        inconclusive_row("no_claim"),
        row_with_cause("a", "clock"),
        *[trained_row("b", "error")] * 2,
    ]
    shown = suite(tmp_path, *models)
    assert (shown.tests, shown.failures, shown.errors, shown.skipped) == (6, 1, 2, 1)


def test_a_failure_s_message_says_why_and_its_text_how_to_repair_it(tmp_path):
    fix = "def reset(self):\n    self.x = 0\n"
    explained = {"explanation": "Depends on the time of day.", "fix": fix}
    one = row_with_cause("a", "clock", "It is 9:00.", "It was 8:00.", reason="earns 40 less", explained=explained)
    (failure,) = case(tmp_path, one).result
    assert failure.message == "earns 40 less; clock: It is 9:00."
    assert failure.text.split("\n") == [
        "degraded: 50.00 ± 4.00 → 10.00 ± 1.00",
        "",
        "clock: Depends on the time of day.",
        "  - It is 9:00.",
        "  - It was 8:00.",
        "  docs/causes/clock.md",
        "",
        "Fix:",
        "",
        "def reset(self):",
        "    self.x = 0",
    ]


def test_a_passed_test_says_its_verdict(tmp_path):
    assert case(tmp_path, external_row("a", "improved", reason="earns more")).system_out.split("\n") == [
        "improved: 50.00 ± 4.00 → 50.00 ± 1.00",
        "earns more",
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_gives_valid_xml_and_is_shown(tmp_path, text):
    explained = {"explanation": text, "fix": text}
    one = row_with_cause(text, text, text, reason=text, experiment=text, explained=explained)
    shown = case(tmp_path, one)
    (failure,) = shown.result
    assert shown.name == shown.classname == one_line(text, 1000)
    assert all(line.isprintable() for line in [shown.name, failure.message, *failure.text.split("\n")])


def test_the_file_has_only_elements_and_attributes_that_jenkins_knows(tmp_path):
    models = [
        trained_row(),
        external_row(),
        inconclusive_row("no_claim"),
        row_with_cause("a", "clock", "-"),
        trained_row("b", "error", reason="-"),
    ]
    for element in ET.parse(written(tmp_path, *models)).iter():  # noqa: S314 - written by this test
        attributes, children = ELEMENTS[element.tag]
        assert element.attrib.keys() == attributes
        assert {child.tag for child in element} <= children


def test_ten_thousand_models_take_seconds(tmp_path):
    models = [row_with_cause(f"m{k}", "clock", "e" * 400, explained={"fix": "x = 1\n" * 50}) for k in range(10_000)]
    start = time.process_time()
    assert written(tmp_path, *models).stat().st_size < 20_000_000
    assert time.process_time() - start < 20


@pytest.mark.parametrize(("fail_on", "result"), [((), Skipped), (("environment",), Failure)])
def test_environments_are_a_suite_of_their_own_with_faults_and_fixes(tmp_path, fail_on, result):
    faulty = environment_health("corridor:Corridor", "a", problem=("global-generator", "It draws at a.py:3."))
    faulty["problems"][0]["fix"] = "self.np_random"
    path = tmp_path / "junit.xml"
    write_junit(audit_of(trained_row("a"), environments=[environment_health(), faulty]), path, fail_on)
    models, environments = JUnitXml.fromfile(str(path))
    assert (models.tests, environments.name, environments.tests) == (1, "environments", 2)
    healthy, broken = environments
    assert (healthy.name, healthy.result, healthy.system_out) == ("CartPole-v1", [], "reproducible")
    assert [type(found) for found in broken.result] == [result]
    assert broken.result[0].message == "not reproducible: global-generator"
    assert "It draws at a.py:3." in broken.result[0].text
    assert "self.np_random" in broken.result[0].text


@pytest.mark.parametrize(("fail_on", "result", "of_unknown"), [((), Skipped, Skipped), (("script",), Failure, Error)])
def test_scripts_are_a_suite_of_their_own_with_what_to_write_instead(tmp_path, fail_on, result, of_unknown):
    faulty = script_entry("lost.py", ["load-not-assigned"])
    faulty["causes"][0]["instead"] = "model = PPO.load('robot')"
    unknown = script_entry("own.py", model_mean=None, gap=None, agrees=None, problem="trained in the script itself")
    path = tmp_path / "junit.xml"
    write_junit(audit_of(trained_row("a"), scripts=[script_entry(), faulty, unknown]), path, fail_on)
    models, scripts = JUnitXml.fromfile(str(path))
    assert (models.tests, scripts.name, scripts.tests) == (1, "scripts", 3)
    sound, lost, own = scripts
    assert (sound.name, sound.result) == ("enjoy.py", [])
    assert [type(found) for found in lost.result] == [result]
    assert lost.result[0].message.endswith("lost.py:1 load-not-assigned")
    assert "write: model = PPO.load('robot')" in lost.result[0].text
    assert [type(found) for found in own.result] == [of_unknown]
    assert own.result[0].message.endswith("what robot earns is not known: trained in the script itself")


@pytest.mark.parametrize(
    ("fail_on", "results"),
    [
        ((), [None, Skipped, Skipped, Skipped]),
        (("candidate",), [None, Failure, Skipped, Failure]),
        (("candidate", "candidate_open"), [None, Failure, Failure, Failure]),
    ],
)
def test_candidates_are_a_suite_of_their_own_with_a_test_for_each_pair(tmp_path, fail_on, results):
    numbers = ("seeds", 320, -2.0, -4.0, -0.5, 1.0, 0.01, 3.0)
    kinds = ("same", "less", "open")
    compared = (*(CandidateResult(kind, "old", "", kind, *numbers) for kind in kinds), CandidateResult("-", "old", ""))
    path = tmp_path / "junit.xml"
    write_junit(replace(audit_of(trained_row("a")), candidates=compared), path, fail_on)
    _, candidates = JUnitXml.fromfile(str(path))
    assert (candidates.name, candidates.tests) == ("candidates", 4)
    assert [type(case.result[0]) if case.result else None for case in candidates] == results
    assert [*candidates][1].name == "less against old"
    assert "earns 2 less (between -4 and -0.5; margin 1, 320 episodes" in [*candidates][1].result[0].message
