"""The verdicts as JUnit XML, which continuous integration systems show: one test case a model.

Fits the schema of Jenkins' xUnit plugin, junit-10.xsd. It has no times: two audits from scratch give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET  # only written, never parsed

from reload_audit.records.storage import atomic_path
from reload_audit.reports.summary import cause_page, explained, printable, printable_code, rewards

OUTCOMES = {"degraded": "failure", "error": "error", "inconclusive": "skipped"}
"""The element of each verdict that is no pass."""

_LONGEST_NAME = 1_000
_LONGEST_TEXT = 2_000
_LONGEST_FIX = 6_000


def write_junit(audit: Mapping[str, Any], path: Path) -> None:
    """Write ``junit.xml``.

    :param audit: the content of ``audit.json``
    """
    counts = audit["counts"]
    totals = {"tests": str(len(audit["models"])), "failures": str(counts["degraded"]), "errors": str(counts["error"])}
    suites = ET.Element("testsuites", {"name": "reload-audit", **totals})
    skipped = {"skipped": str(counts["inconclusive"])}
    suite = ET.SubElement(suites, "testsuite", {"name": "reload-audit", **totals, **skipped})
    for model in audit["models"]:
        _add_case(suite, model)
    ET.indent(suites)
    with atomic_path(path) as temporary:
        ET.ElementTree(suites).write(temporary, encoding="utf-8", xml_declaration=True)


def _add_case(suite: ET.Element, model: Mapping[str, Any]) -> None:
    names = {
        key: printable(model[name], _LONGEST_NAME) for key, name in (("classname", "experiment"), ("name", "model"))
    }
    case = ET.SubElement(suite, "testcase", names)
    outcome = OUTCOMES.get(model["verdict"])
    reason = printable(model["reason"], _LONGEST_TEXT)
    if outcome is None:
        ET.SubElement(case, "system-out").text = "\n".join(
            filter(None, [f"{model['verdict']}: {rewards(model)}", reason, *_causes(model)])
        )
        return
    message = "; ".join(filter(None, [reason, explained(model)]))
    element = ET.SubElement(case, outcome, {"type": model["verdict"], "message": message})
    element.text = "\n".join([f"{model['verdict']}: {rewards(model)}", *_causes(model)])


def _causes(model: Mapping[str, Any]) -> Iterator[str]:
    """Every cause with its evidence, and the fix of the best."""
    for cause in model["causes"]:
        name = printable(cause["cause"], _LONGEST_NAME)
        yield f"\n{name}: {printable(cause['explanation'], _LONGEST_TEXT)}"
        yield from (f"  - {printable(evidence, _LONGEST_TEXT)}" for evidence in cause["evidence"])
        page = cause_page(cause["cause"])
        if page:
            yield f"  {page}"
    for cause in model["causes"][:1]:
        yield f"\nFix:\n\n{printable_code(cause['fix'], _LONGEST_FIX)}"
