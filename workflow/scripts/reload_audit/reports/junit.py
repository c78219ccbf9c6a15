"""The verdicts as JUnit XML, which continuous integration systems show: a test case a model, environment, script or
candidate.

Fits the schema of Jenkins' xUnit plugin, junit-10.xsd. It has no times: two audits from scratch give the same bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET  # only written, never parsed

from reload_audit.judging.criteria import OTHER_WORDS
from reload_audit.records.environment_health import EnvironmentHealth
from reload_audit.records.script_entry import ScriptEntry
from reload_audit.records.since import CandidateResult, ModelSince
from reload_audit.records.storage import atomic_path
from reload_audit.reports import scripts as of_script
from reload_audit.reports.audit import Audit
from reload_audit.reports.audited_model import AuditedModel
from reload_audit.reports.environments import faults_of, is_faulty, state
from reload_audit.reports.safe_text import code_lines, one_line
from reload_audit.reports.short_fix import cause_page
from reload_audit.reports.since import MEANINGS, about_candidates, is_worse, sentence, when
from reload_audit.reports.summary import explained, rewards

_OUTCOMES = {"degraded": "failure", "error": "error", "inconclusive": "skipped"}
"""The XML element of each verdict that does not pass."""

_LONGEST_NAME = 1_000
_LONGEST_TEXT = 2_000
_LONGEST_FIX = 6_000


def write_junit(audit: Audit, path: Path, failed: Collection[str] = ()) -> None:
    """Write ``junit.xml``: test suites of models, environments, scripts, models compared with a baseline, candidates.

    :param failed: where ``suspect`` is among it, a suspect model is a failed test rather than a skipped one as all
        inconclusive models; likewise the other words of the gate for environments or scripts with faults, models that
        have regressed, candidates that earn less or could not be compared, and candidates of which that is open.
        Where ``script`` is among it, a script that could not be compared is an error rather than skipped
    """
    faulty = {kind: "failure" if kind in failed else "skipped" for kind in OTHER_WORDS}
    of_models = [_outcome(model, "suspect" in failed) for model in audit.models]
    of_environments = [faulty["environment"] if is_faulty(environment) else "" for environment in audit.environments]
    of_scripts = [_outcome_of_script(script, faulty["script"]) for script in audit.scripts]
    compared = [] if audit.since is None else [model for model in audit.since.models if model.state in _COMPARED]
    of_compared = [faulty["regressed"] if model.state == "regressed" else "" for model in compared]
    of_candidates = [_outcome_of_candidate(candidate, faulty) for candidate in audit.candidates]
    outcomes = [*of_models, *of_environments, *of_scripts, *of_compared, *of_candidates]
    suites = ET.Element("testsuites", {"name": "reload-audit", **_totals(outcomes)})
    suite = _add_suite(suites, "reload-audit", of_models)
    for model, outcome in zip(audit.models, of_models, strict=True):
        _add_case(suite, model, outcome)
    if of_environments:
        suite = _add_suite(suites, "environments", of_environments)
        for environment, outcome in zip(audit.environments, of_environments, strict=True):
            _add_environment(suite, environment, outcome)
    if of_scripts:
        suite = _add_suite(suites, "scripts", of_scripts)
        for script, outcome in zip(audit.scripts, of_scripts, strict=True):
            _add_script(suite, script, outcome)
    if audit.since is not None and compared:
        suite = _add_suite(suites, one_line(f"since {when(audit.since)}", _LONGEST_NAME), of_compared)
        for one, outcome in zip(compared, of_compared, strict=True):
            _add_since(suite, one, outcome)
    if of_candidates:
        suite = _add_suite(suites, "candidates", of_candidates)
        for candidate, outcome in zip(audit.candidates, of_candidates, strict=True):
            _add_candidate(suite, candidate, outcome)
    ET.indent(suites)
    with atomic_path(path) as temporary:
        ET.ElementTree(suites).write(temporary, encoding="utf-8", xml_declaration=True)


def _outcome_of_script(script: ScriptEntry, faulty: str) -> str:
    """The XML element of a script: one of which nothing is known is an error where scripts with faults fail."""
    if of_script.is_faulty(script):
        return faulty
    if of_script.is_unknown(script):
        return "error" if faulty == "failure" else "skipped"
    return ""


def _add_script(suite: ET.Element, script: ScriptEntry, outcome: str) -> None:
    case = ET.SubElement(suite, "testcase", {"classname": "scripts", "name": one_line(script.name, _LONGEST_NAME)})
    said = "\n".join(one_line(line, _LONGEST_TEXT) for line in of_script.about_scripts((script,)))
    if not outcome:
        ET.SubElement(case, "system-out").text = said
        return
    message = one_line(of_script.in_short(script), _LONGEST_TEXT)
    ET.SubElement(case, outcome, {"type": "script", "message": message}).text = said


def _outcome_of_candidate(candidate: CandidateResult, faulty: Mapping[str, str]) -> str:
    if is_worse(candidate):
        return faulty["candidate"]
    return faulty["candidate_open"] if candidate.earns == "open" else ""


def _add_candidate(suite: ET.Element, candidate: CandidateResult, outcome: str) -> None:
    name = one_line(f"{candidate.candidate} against {candidate.shipping}", _LONGEST_NAME)
    case = ET.SubElement(suite, "testcase", {"classname": "candidates", "name": name})
    said = "\n".join(one_line(line, _LONGEST_TEXT) for line in about_candidates([candidate]))
    if not outcome:
        ET.SubElement(case, "system-out").text = said
        return
    ET.SubElement(case, outcome, {"type": "candidate", "message": said}).text = said


_COMPARED = ("regressed", "recovered", "changed", "same")
"""States of models that are in both audits."""


def _add_since(suite: ET.Element, model: ModelSince, outcome: str) -> None:
    case = ET.SubElement(suite, "testcase", {"classname": "since", "name": one_line(model.model, _LONGEST_NAME)})
    said = one_line(f"{model.state}: {sentence(model)}", _LONGEST_TEXT)
    if not outcome:
        ET.SubElement(case, "system-out").text = said
        return
    ET.SubElement(case, outcome, {"type": "regressed", "message": said}).text = MEANINGS[model.state]


def _add_suite(suites: ET.Element, name: str, outcomes: Sequence[str]) -> ET.Element:
    skipped = {"skipped": str(outcomes.count("skipped"))}
    return ET.SubElement(suites, "testsuite", {"name": name, **_totals(outcomes), **skipped})


def _totals(outcomes: Sequence[str]) -> dict[str, str]:
    counts = Counter(outcomes)
    return {"tests": str(len(outcomes)), "failures": str(counts["failure"]), "errors": str(counts["error"])}


def _add_environment(suite: ET.Element, environment: EnvironmentHealth, outcome: str) -> None:
    name = one_line(environment.called, _LONGEST_NAME)
    case = ET.SubElement(suite, "testcase", {"classname": "environments", "name": name})
    said = [state(environment), *(f"not known: {one_line(text, _LONGEST_TEXT)}" for text in environment.unknown)]
    if not outcome:
        ET.SubElement(case, "system-out").text = "\n".join(said)
        return
    message = f"{state(environment)}: {faults_of(environment)}"
    element = ET.SubElement(case, outcome, {"type": "environment", "message": message})
    element.text = "\n".join([*said, *_problems(environment)])


def _problems(environment: EnvironmentHealth) -> Iterator[str]:
    """Lines of text: every problem with its evidence, and its fix."""
    for problem in environment.problems:
        yield f"\n{one_line(problem.name, _LONGEST_NAME)}: {one_line(problem.explanation, _LONGEST_TEXT)}"
        yield from (f"  - {one_line(evidence, _LONGEST_TEXT)}" for evidence in problem.evidence)
        if problem.fix:
            yield f"\nFix:\n\n{code_lines(problem.fix, _LONGEST_FIX)}"


def _outcome(model: AuditedModel, suspects_fail: bool) -> str:
    """The XML element that says how a model's test ended; empty where it passed."""
    return "failure" if model.suspect and suspects_fail else _OUTCOMES.get(model.verdict, "")


def _add_case(suite: ET.Element, model: AuditedModel, outcome: str) -> None:
    names = {"classname": model.experiment, "name": model.name}
    case = ET.SubElement(suite, "testcase", {key: one_line(name, _LONGEST_NAME) for key, name in names.items()})
    reason = one_line(model.reason, _LONGEST_TEXT)
    said = f"{model.called}: {rewards(model)}"
    if not outcome:
        ET.SubElement(case, "system-out").text = "\n".join(filter(None, [said, reason, *_causes(model)]))
        return
    message = "; ".join(filter(None, [reason, explained(model)]))
    element = ET.SubElement(case, outcome, {"type": model.verdict, "message": message})
    element.text = "\n".join([said, *_causes(model)])


def _causes(model: AuditedModel) -> Iterator[str]:
    """Lines of text: every cause with its evidence, and the fix of the best."""
    for cause in model.causes:
        name = one_line(cause.name, _LONGEST_NAME)
        yield f"\n{name}: {one_line(cause.explanation, _LONGEST_TEXT)}"
        yield from (f"  - {one_line(evidence, _LONGEST_TEXT)}" for evidence in cause.evidence)
        page = cause_page(cause.name)
        if page:
            yield f"  {page}"
    for cause in model.causes[:1]:
        yield f"\nFix:\n\n{code_lines(cause.fix, _LONGEST_FIX)}"
