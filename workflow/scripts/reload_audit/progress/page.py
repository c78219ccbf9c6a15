"""``progress.html``: how far a run is, as a page that reloads itself, for whoever cannot see the console."""

from __future__ import annotations

import contextlib
import html
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from reload_audit.progress import lines
from reload_audit.progress.state import State
from reload_audit.reports.colours import ON_DARK, ON_LIGHT
from reload_audit.reports.safe_text import code_lines, one_line

Standing = Literal["running", "finished", "failed", "interrupted"]
"""``failed``: jobs of it failed; ``interrupted``: somebody or something ended it before its time."""

_SECONDS = 5.0
_SHARE = 100
"""The page is written again, at the earliest, after so many times as long as writing it took."""

_SILENT = 60
"""Seconds without a new page after which a run that has said nothing of its end was killed."""

_MOST = 50
"""Models, and jobs that failed, that are named."""

_UNDER_WAY = 12
"""Jobs under way that are named: those that have been so for longest."""


class Page:
    """The page of one run.

    :param path: the file
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._due = 0.0

    def write_if_due(self, state: State, failed: Sequence[str]) -> None:
        """Write the page of a run that goes on, unless that was done a moment ago."""
        if time.monotonic() >= self._due:
            self.write(state, "running", failed)

    def write(self, state: State, standing: Standing, failed: Sequence[str]) -> None:
        """Write the page. Where that is not possible (a full disk, say), the run goes on without it.

        :param failed: what was said of jobs that failed
        """
        began = time.monotonic()
        new = self._path.with_name(f".{self._path.name}.new")
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(content(state, standing, failed, time.time()), encoding="utf-8", errors="replace")
            os.replace(new, self._path)  # noqa: PTH105 as short as that
        took = time.monotonic() - began
        self._due = began + max(_SECONDS, _SHARE * took)


def content(state: State, standing: Standing, failed: Sequence[str], now: float) -> str:
    """The page.

    :param now: seconds since 1970
    """
    running = standing == "running"
    under_way = [lines.of_job(job) for job in lines.slowest(state)] if running else []
    counts = "".join(
        f'<span class="badge" style="--l:{ON_LIGHT.get(verdict, _SUSPECT[0])};--d:{ON_DARK.get(verdict, _SUSPECT[1])}">'
        f"{count:,} {_text(verdict)}</span> "
        for verdict, count in state.counts()
    )
    sections = [
        _section("", _kinds(state, running) + (f"<p class=counts>{counts}</p>" if counts else "")),
        _section("Failed jobs", "".join(f"<pre>{_text(code_lines(said, 4000))}</pre>" for said in failed[:_MOST])),
        _section("Models to look at", _list([lines.of_ended(one) for one in state.troubled], _MOST)),
        _section("Under way", _list(under_way, _UNDER_WAY)),
    ]
    answer, what_to_do = _ANSWERS[standing]
    return _PAGE.format(
        reload='<meta http-equiv="refresh" content="5">' if running else "",
        style=_STYLE,
        answer=answer.format(duration=lines.duration(state.seconds)),
        what_to_do=what_to_do,
        written=time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(now)),
        sections="".join(sections),
        script=_SCRIPT.format(written=now, silent=_SILENT, again=_AGAIN) if running else "",
    )


_SUSPECT = (ON_LIGHT["inconclusive"], ON_DARK["inconclusive"])


def _kinds(state: State, running: bool) -> str:
    rows = [
        f"<tr><th scope=row>{kind.done}<td class=bar><progress max={max(len(kind.names), 1)} "
        f'value={len(kind.finished)} aria-label="{kind.done}"></progress>'
        f"<td>{len(kind.finished):,} of {len(kind.names):,} {kind.of}"
        + (f"<td class=soft>{lines.time_left(kind)}" if running else "")
        for kind in state.kinds.values()
    ]
    return f"<table>{''.join(rows)}</table>"


def _section(heading: str, body: str) -> str:
    title = f"<h2>{heading}</h2>" if heading else ""
    return f"<section>{title}{body}</section>" if body else ""


def _list(texts: Sequence[str], most: int) -> str:
    items = [f"<li>{_text(text)}" for text in texts[:most]]
    if len(texts) > most:
        items.append(f"<li class=soft>and {len(texts) - most:,} more")
    return f"<ul>{''.join(items)}</ul>" if items else ""


def _text(text: str) -> str:
    return html.escape(one_line(text, 500)) if "\n" not in text else html.escape(text)


_AGAIN = "Start it again with the same command: what is finished is kept."

_ANSWERS: dict[Standing, tuple[str, str]] = {
    "running": ("The audit has been running for {duration}.", ""),
    "finished": ('The audit is finished, after {duration}: <a href="report.html">report</a>.', ""),
    "failed": ("The audit ended after {duration}, and not all of its jobs succeeded.", _AGAIN),
    "interrupted": ("The audit was interrupted after {duration}.", _AGAIN),
}
"""What is said first, and what to do then."""

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Reload audit: progress</title>
<link rel="icon" href="data:,">
{reload}
<style>{style}</style>
<main>
<h1>Reload audit</h1>
<p class=answer id=answer role=status>{answer}</p>
<p id=todo>{what_to_do}</p>
<p class=soft>As of {written}.</p>
{sections}
</main>
{script}
</html>
"""

_SCRIPT = """<script>
const silent = Date.now() / 1000 - {written:.0f};
if (silent > {silent}) {{
  document.getElementById("answer").textContent = "Nothing has been heard of the audit for " +
    (silent > 5400 ? Math.round(silent / 3600) + " h" : Math.round(silent / 60) + " min") + ".";
  document.getElementById("todo").textContent =
    "It was killed, or its folder cannot be reached. {again} " +
    "Where Snakemake finds its folder locked, it says how to unlock it.";
}}
</script>"""

_STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f8fa; --card: #fff; --line: #dfe4ea; --text: #17202b; --soft: #566271; --field: #e6eaef;
  --link: #005f96; --more: #0072b2;
}
.badge { --c: var(--l); }
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #0f141a; --card: #171d25; --line: #2e3844; --text: #e8edf2; --soft: #a3afbc; --field: #2a333e;
    --link: #8acdf3; --more: #2b90d0;
  }
  .badge { --c: var(--d); }
}
* { box-sizing: border-box; }
body {
  max-width: 960px; margin: 0 auto; padding: 26px 22px 56px; background: var(--page); color: var(--text);
  font: 14px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  font-variant-numeric: tabular-nums;
}
h1, h2, p, ul { margin: 0; }
h1 { font-size: 15px; font-weight: 600; color: var(--soft); }
h2 { font-size: 15px; font-weight: 650; margin-bottom: 6px; }
a { color: var(--link); }
.answer { margin: 6px 0 8px; font-size: clamp(20px, 2vw, 26px); font-weight: 650; line-height: 1.28; }
.soft { color: var(--soft); }
section {
  margin-top: 16px; padding: 16px 18px 18px; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; overflow-wrap: anywhere;
}
#todo:empty { display: none; }
table { width: 100%; border-collapse: collapse; }
th { text-align: left; font-weight: 600; }
th, td { padding: 3px 14px 3px 0; white-space: nowrap; }
td:last-child { padding-right: 0; }
.bar { width: 100%; }
progress {
  width: 100%; height: 8px; appearance: none; border: 0; border-radius: 4px; overflow: hidden;
  background: var(--field); vertical-align: middle;
}
progress::-webkit-progress-bar { background: var(--field); }
progress::-webkit-progress-value { background: var(--more); }
progress::-moz-progress-bar { background: var(--more); }
ul { padding-left: 18px; }
pre {
  margin: 6px 0 2px; padding: 9px 12px; white-space: pre-wrap; background: var(--page);
  border: 1px solid var(--line); border-radius: 8px; font: 11.5px/1.5 ui-monospace, Menlo, Consolas, monospace;
}
@media (max-width: 600px) {
  tr { display: flex; flex-wrap: wrap; column-gap: 14px; padding: 3px 0; }
  th, td { padding: 0; }
  .bar, td.soft { order: 1; }
  .bar + td { margin-left: auto; }
  td:empty { display: none; }
}
.counts { display: flex; flex-wrap: wrap; gap: 6px; margin-top: 10px; }
.badge {
  padding: 0 8px; border-radius: 99px; white-space: nowrap; font-size: 12px;
  background: color-mix(in srgb, var(--c) 17%, transparent);
}
.badge::before {
  content: ""; display: inline-block; width: 8px; height: 8px; margin-right: 5px; border-radius: 50%;
  background: var(--c);
}
"""
