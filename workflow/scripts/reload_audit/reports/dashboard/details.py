"""What a model's panel says in words: its claim, how it was loaded, versions, remarks."""

from __future__ import annotations

from reload_audit.reports.dashboard.entries import Entry
from reload_audit.reports.dashboard.number_format import count


def details(entry: Entry) -> list[tuple[str, str]]:
    """What the table of models has no column for, each under its title; whatever of it is known."""
    algo = entry.algo or "ALGO"
    plain_load = "" if entry.plain_load_error is None else entry.plain_load_error or "would work"
    known = [
        ("Trained for", f"{count(entry.steps)} steps" if entry.steps else ""),
        ("Needed to load it", entry.loaded_with),
        (f"A plain {algo}.load", f"would raise {plain_load}" if entry.plain_load_error else plain_load),
        ("Versions", entry.version_changes or _version(entry)),
        ("Checks that failed", entry.checks_failed),
        ("Remarks", entry.remarks),
    ]
    return [(title, text) for title, text in known if text]


def _version(entry: Entry) -> str:
    saved = f"stable_baselines3 {entry.sb3_saved}" if entry.sb3_saved else ""
    return f"{saved}, as saved" if saved and entry.sb3_saved == entry.sb3_loaded else saved
