"""The summary on a terminal, in colour."""

from __future__ import annotations

import os

from reload_audit.reports.colours import ON_TERMINAL

_COLOURS = {**ON_TERMINAL, "suspect": ON_TERMINAL["inconclusive"]}


def show(text: str) -> None:
    """Print a summary: in colour on a terminal that has colours, otherwise, or where NO_COLOR is set, as it is.

    Without the package ``rich`` it is printed as it is, too: Snakemake's own environment need not have it.
    """
    try:
        from rich.console import Console
        from rich.highlighter import RegexHighlighter
        from rich.theme import Theme
    except ImportError:
        print(text, end="")
        return

    class Highlighter(RegexHighlighter):
        base_style = "audit."
        highlights = [  # noqa: RUF012
            r"\A(?P<headline>[^\n]+)",
            *(rf"\b(?P<{verdict}>{verdict})\b" for verdict in _COLOURS),
            r"(?m)^ +(?P<label>cause|fix):",
            r"(?P<path>docs/causes/[\w-]+\.md)",
            r"(?m)^Report: (?P<report>[^\n]+)",
        ]

    styles = {f"audit.{verdict}": f"bold {colour}" for verdict, colour in _COLOURS.items()}
    styles |= {"audit.error": "bold reverse", "audit.headline": "bold", "audit.label": "dim", "audit.path": "underline"}
    console = Console(theme=Theme(styles | {"audit.report": "underline"}), highlighter=Highlighter())
    if console.is_terminal and console.color_system and not os.environ.get("NO_COLOR"):
        console.print(text, end="", markup=False, emoji=False, soft_wrap=True)
    else:
        print(text, end="")
