"""The verdicts as JUnit XML, which continuous integration systems show: one test case a model.

Fits the schema of Jenkins' xUnit plugin, junit-10.xsd. It has no times: two audits from scratch give the same bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET  # only written, never parsed

from reload_audit.records.storage import atomic_path
from reload_audit.reports.audit import Audit, AuditedModel
from reload_audit.reports.safe_text import code_lines, one_line
from reload_audit.reports.summary import cause_page, explained, rewards

_OUTCOMES = {"degraded": "failure", "error": "error", "inconclusive": "skipped"}
"""The XML element of each verdict that does not pass."""

_LONGEST_NAME = 1_000
_LONGEST_TEXT = 2_000
_LONGEST_FIX = 6_000


def write_junit(audit: Audit, path: Path, *, suspects_fail: bool = False) -> None:
    """Write ``junit.xml``: a test suite with a test case for each model.

    :param suspects_fail: whether a suspect model is a failed test, rather than a skipped one as all inconclusive models
    """
    outcomes = [_outcome(model, suspects_fail) for model in audit.models]
    counts = Counter(outcomes)
    totals = {"tests": str(len(outcomes)), "failures": str(counts["failure"]), "errors": str(counts["error"])}
    suites = ET.Element("testsuites", {"name": "reload-audit", **totals})
    skipped = {"skipped": str(counts["skipped"])}
    suite = ET.SubElement(suites, "testsuite", {"name": "reload-audit", **totals, **skipped})
    for model, outcome in zip(audit.models, outcomes, strict=True):
        _add_case(suite, model, outcome)
    ET.indent(suites)
    with atomic_path(path) as temporary:
        ET.ElementTree(suites).write(temporary, encoding="utf-8", xml_declaration=True)


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
