"""The earlier audit that an audit is compared with: one that the user names, or the last one of the same folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from reload_audit.planning.configuration import ConfigError
from reload_audit.planning.resolved import Configuration
from reload_audit.reading import named
from reload_audit.reading.refusal import shown
from reload_audit.records.audit_file import NotComparableError, read_earlier

LAST = "last"
"""What the configuration says where the last audit of the same folder is meant."""

_KEPT = ("episodes.parquet", "processes.csv", "audit.json")
"""What is kept of the last audit, ``audit.json`` at the end."""


def baseline_files(config: Configuration) -> list[str]:
    """The ``audit.json`` that the user names, which Snakemake watches; none where the last one is meant."""
    baseline = config["baseline"]
    return [] if baseline in (None, LAST) else [str(named.at_home(baseline))]


def baseline_settings(config: Configuration, results: str) -> Mapping[str, object] | None:
    """What ``results.aggregate`` needs to know of the baseline; None without one.

    :param results: the folder of results
    """
    named = baseline_files(config)
    if not named and config["baseline"] is None:
        return None
    if not named:
        return {"audit": f"{results}/{LAST}/audit.json", "called": "the last audit", "only": config["only"]}
    return {"audit": named[0], "called": shown(str(config["baseline"])), "only": config["only"]}


def check_baseline(config: Configuration, results: str, source: str) -> None:
    """Check that the baseline that the user names can be compared, before anything is trained.

    :param source: the configuration's name, for messages
    :raises ConfigError: it cannot
    """
    for name in baseline_files(config):
        if os.path.realpath(name) == os.path.realpath(Path(results, "audit.json")):
            raise ConfigError(
                f"{source}: baseline: {shown(name)} is what this audit writes itself; expected a copy of it elsewhere, "
                f"or `baseline: {LAST}`, which keeps the last one"
            )
        try:
            read_earlier(Path(name))
        except NotComparableError as error:
            raise ConfigError(f"{source}: baseline: {error}") from None


def keep_last(config: Configuration, results: str) -> None:
    """Keep what lies in the folder of results as the last audit, before a job replaces it.

    Files of results are replaced and never changed, so a second link to one keeps what it is now.
    """
    if config["baseline"] != LAST or not Path(results, "audit.json").exists():
        return
    folder = Path(results, LAST)
    folder.mkdir(parents=True, exist_ok=True)
    for name in _KEPT:
        now, kept, new = Path(results, name), folder / name, folder / f".{name}.new"
        new.unlink(missing_ok=True)
        if not now.exists():
            kept.unlink(missing_ok=True)
            continue
        try:
            os.link(now, new)
        except OSError:  # a file system without links
            shutil.copy2(now, new)
        new.replace(kept)


def history_files(config: Configuration) -> list[str]:
    """The ``audit.json`` of each earlier audit: those named, and those in a named folder or in a folder of it."""
    found: list[str] = []
    for entry in config["history"]:
        path = named.at_home(entry)
        inside = _audits_in(path) if named.is_folder(path) else [path]
        found += sorted(map(str, inside))
    return list(dict.fromkeys(found))


def check_history(config: Configuration, source: str) -> None:
    """Check that each path of ``history`` is an earlier audit, or a folder that holds some.

    :param source: the configuration's name, for messages
    :raises ConfigError: one is not
    """
    said = ((f"{source}: history[{k}]", _not_earlier(entry)) for k, entry in enumerate(config["history"]))
    problems = [f"{where}: {problem}" for where, problem in said if problem]
    if problems:
        raise ConfigError("\n".join(problems))


def _not_earlier(entry: str) -> str | None:
    """Why a path of ``history`` shows nothing; None where it does."""
    path = named.at_home(entry)
    if named.is_folder(path):
        return None if _audits_in(path) else f"expected a folder with audits, found no audit.json in {shown(entry)}"
    try:
        read_earlier(path)
    except NotComparableError as error:
        return str(error)
    return None


def _audits_in(folder: Path) -> list[Path]:
    return [*folder.glob("audit.json"), *folder.glob("*/audit.json")]
