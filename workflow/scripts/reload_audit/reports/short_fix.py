"""A fix in a few lines of a console: what is to be done, and the code where it is short."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from reload_audit.causes.catalogue import CAUSES
from reload_audit.reports.safe_text import code_lines, sentences

_LONGEST_SENTENCES = 300
_LONGEST_CODE = 400
_MOST_LINES = 4
_SENTENCE_END = re.compile(r"(:|(?<!\.)\.)$")


def cause_page(cause: str) -> str:
    """Path of the page on a cause and its fix, from the top of the repository; empty for what is no known cause."""
    return f"docs/causes/{cause}.md" if cause in CAUSES else ""


def short_fix(fix: str, page: str) -> list[str]:
    """Lines that begin with ``fix:``; none where there is neither a fix nor a page.

    :param fix: code to paste, whose first comment says what it is for
    :param page: that has all of it; empty for none
    """
    lines = [line for line in fix.splitlines() if line.strip()]
    comment = [*itertools.takewhile(lambda line: line.startswith("#"), lines)]
    first = next((k for k, line in enumerate(comment, 1) if _SENTENCE_END.search(line)), len(comment))
    said = sentences(" ".join(line.lstrip("# ") for line in comment[:first]), _LONGEST_SENTENCES)
    code = _first_code(lines[len(comment[:first]) :])
    if not said:
        return [f"fix: {page}"] if page else []
    where = f" ({page})" if page else ""
    head = f"fix: {_SENTENCE_END.sub('', said)}{where}{':' if code else '.'}"
    return [head, *(f"  {line}" for line in code)]


def _first_code(lines: Sequence[str]) -> list[str]:
    """The first statements, if they are few and whole; imports, which the page shows, are left out."""
    code: list[str] = []
    for line in lines:
        if line.startswith("#") and code:
            break
        if not line.startswith(("#", "import ", "from ")):
            code.append(line)
    if len(code) > _MOST_LINES or any(line.endswith(":") or len(line) > _LONGEST_CODE for line in code):
        return []
    return code_lines("\n".join(code), 2 * _LONGEST_CODE).split("\n") if code else []
