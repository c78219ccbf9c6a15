"""Write into docs/causes what stands in causes.yaml: the table of all causes, and each page's explanation and fix.

Also docs/migrations.md, of migrations.yaml. `make causes` runs it after either was edited. A page that is not there yet
is begun with empty parts.
"""

from __future__ import annotations

import json
import re
from itertools import groupby
from pathlib import Path

from reload_audit.causes.catalogue import CAUSES, Cause
from reload_audit.causes.fixes import Circumstance
from reload_audit.causes.migrations import Difference, Migration, differences

MIGRATIONS = Path(__file__).with_name("migrations.md")
PAGES = Path(__file__).parent / "causes"
PARTS = ("Symptom", "Mechanism", "How the audit proves it")
WHERE: dict[Circumstance, str] = {
    "trained": "For a model that this workflow trained:",
    "recorded": "For a model with a recording:",
    "with file": "Where the audit has found statistics that fit:",
    "with order": "Where wrappers stood in another order:",
    "with bounds": "Where the observations that it was trained on have finite bounds:",
    "with migration": "Where a known migration helps:",
    "with limit": "Where a limit of time or memory was reached:",
    "with classes": "Where the zip names classes that are elsewhere now:",
    "with trust": "Where it needs a package that you may trust:",
    "with package": "Where a package is missing:",
    "of a class": "For an environment that is not registered, but a class:",
    "stacked": "Where frames are stacked:",
    "of the VecEnv": "Where a VecEnv, or a wrapper around one, has the attribute:",
    "otherwise": "Otherwise:",
}


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
    fixes = "\n".join(
        f"{caption}```{cause.language}\n{fix}```\n"
        for caption, fix in zip(captions(cause), cause.fixes().values(), strict=True)
    )
    return f"# {name}\n\n{cause.explanation}\n\n{parts}## Fix\n\n{fixes}"


def captions(cause: Cause) -> list[str]:
    """What stands above each fix of a cause: nothing where there is only one."""
    if len(cause.fix) == 1:
        return [""]
    return [f"{WHERE[circumstance]}\n\n" for circumstance in cause.fix]


def versions() -> str:
    """The page of known differences between versions of environments."""
    introduction = MIGRATIONS.read_text(encoding="utf-8").partition("\n| ")[0]
    rows = ["| environments | from | to | between them | migration |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([introduction, *rows, *map(_row, differences()), ""])


def _row(known: Difference) -> str:
    old, new = (", ".join(f"v{version}" for version in side) for side in (known.old, known.new))
    sources = ", ".join(f"[{number}]({source})" for number, source in enumerate(known.sources, 1))
    undone = "no reward changes" if known.harmless else _keys(known.migration)
    return f"| {', '.join(known.environments)} | {old} | {new} | {known.changed} ({sources}) | {undone} |"


def _keys(migration: Migration | None) -> str:
    """A migration as keys of the audit's own configuration."""
    if migration is None:
        return ""
    wrappers = ", ".join(f"{{reload_audit.{name}: {{at: {at}}}}}" for name, at in migration.wrappers)
    env_kwargs = ", ".join(f"{name}: {json.dumps(value)}" for name, value in migration.env_kwargs.items())
    keys = [f"`env_kwargs: {{{env_kwargs}}}`"] if env_kwargs else []
    return f"{migration.name}: " + ", ".join([*keys, *([f"`wrappers: [{wrappers}]`"] if wrappers else [])])


def main() -> None:
    """Rewrite the index and all pages."""
    MIGRATIONS.write_text(versions(), encoding="utf-8")
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
