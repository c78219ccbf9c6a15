"""The verdicts as JUnit XML, which continuous integration systems show: one test case a model.

Fits the schema of Jenkins' xUnit plugin, junit-10.xsd. It has no times: two audits from scratch give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET  # only written, never parsed

from reload_audit.records.storage import atomic_path
from reload_audit.reports.audit import Audit, AuditedModel
from reload_audit.reports.safe_text import code_lines, one_line
from reload_audit.reports.summary import cause_page, explained, rewards

OUTCOMES = {"degraded": "failure", "error": "error", "inconclusive": "skipped"}
"""The XML element of each verdict that does not pass."""

_LONGEST_NAME = 1_000
_LONGEST_TEXT = 2_000
_LONGEST_FIX = 6_000


def write_junit(audit: Audit, path: Path) -> None:
    """Write ``junit.xml``: a test suite with a test case for each model."""
    counts = audit.counts
    totals = {"tests": str(len(audit.models)), "failures": str(counts["degraded"]), "errors": str(counts["error"])}
    suites = ET.Element("testsuites", {"name": "reload-audit", **totals})
    skipped = {"skipped": str(counts["inconclusive"])}
    suite = ET.SubElement(suites, "testsuite", {"name": "reload-audit", **totals, **skipped})
    for model in audit.models:
        _add_case(suite, model)
    ET.indent(suites)
    with atomic_path(path) as temporary:
        ET.ElementTree(suites).write(temporary, encoding="utf-8", xml_declaration=True)


def _add_case(suite: ET.Element, model: AuditedModel) -> None:
    names = {"classname": model.experiment, "name": model.name}
    case = ET.SubElement(suite, "testcase", {key: one_line(name, _LONGEST_NAME) for key, name in names.items()})
    outcome = OUTCOMES.get(model.verdict)
    reason = one_line(model.reason, _LONGEST_TEXT)
    if outcome is None:
        ET.SubElement(case, "system-out").text = "\n".join(
            filter(None, [f"{model.verdict}: {rewards(model)}", reason, *_causes(model)])
        )
        return
    message = "; ".join(filter(None, [reason, explained(model)]))
    element = ET.SubElement(case, outcome, {"type": model.verdict, "message": message})
    element.text = "\n".join([f"{model.verdict}: {rewards(model)}", *_causes(model)])


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
