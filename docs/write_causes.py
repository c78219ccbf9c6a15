"""Write into docs/causes what stands in causes.yaml: the table of all causes, and each page's explanation and fix.

`make causes` runs it after a cause was added or reworded. A page that is not there yet is begun with empty parts.
"""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

from reload_audit.causes.catalogue import CAUSES, Cause

PAGES = Path(__file__).parent / "causes"
PARTS = ("Symptom", "Mechanism", "How the audit proves it")


def table() -> str:
    """The index without its introduction: a table for each group."""
    sections = []
    for group, causes in groupby(CAUSES.items(), key=lambda item: item[1].group):
        rows = [f"| [{name}]({name}.md) | {cause.explanation} |" for name, cause in causes]
        sections.append("\n".join([f"## {group}", "", "| cause | |", "| --- | --- |", *rows, ""]))
    return "\n".join(sections)


def page(name: str, cause: Cause, parts: str) -> str:
    """A cause's page.

    :param parts: from the first heading up to the fix, as somebody wrote them
    """
    fix = f"## Fix\n\n```{cause.language}\n{cause.fix_with({})}```\n"
    return f"# {name}\n\n{cause.explanation}\n\n{parts}{fix}"


def main() -> None:
    """Rewrite the index and all pages."""
    index = PAGES / "README.md"
    introduction = index.read_text(encoding="utf-8").partition("## ")[0]
    index.write_text(introduction + table(), encoding="utf-8")
    empty = "".join(f"## {part}\n\n" for part in PARTS)
    for name, cause in CAUSES.items():
        file = PAGES / f"{name}.md"
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        written = re.search(r"^## Symptom\n.*?(?=^## Fix$)", before, re.MULTILINE | re.DOTALL)
        file.write_text(page(name, cause, written[0] if written else empty), encoding="utf-8")


if __name__ == "__main__":
    main()
