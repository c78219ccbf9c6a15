"""``reload-audit compare``: what has changed from one audit to another, on the console."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from reload_audit.command.mistake import Mistake
from reload_audit.judging.criteria import Criteria
from reload_audit.reading.named import is_folder
from reload_audit.records.audit_file import NotComparableError, read_earlier
from reload_audit.reports import console
from reload_audit.reports.since import MEANINGS, about_since, answer

STATES = tuple(MEANINGS)


def compare(old: Path, new: Path, fail_on: Collection[str]) -> int:
    """Print what has changed, and say whether it may.

    :param old: ``audit.json`` of the earlier audit, or the folder that holds it; ``new``: likewise
    :param fail_on: what must not have become of any model
    :return: 1 if it has, else 0
    :raises Mistake: one of them is no ``audit.json`` that can be compared, or a word of ``fail_on`` is unknown
    """
    unknown = [word for word in fail_on if word not in STATES]
    if unknown:
        raise Mistake(f"--fail-on: found {', '.join(unknown)}; expected one of {', '.join(STATES)}")
    from reload_audit.results.since import AuditFiles, since  # slow to import

    files = []
    for path in (old, new):
        audit = path / "audit.json" if is_folder(path) else path
        try:
            files.append(AuditFiles(read_earlier(audit), audit.parent, str(path)))
        except NotComparableError as error:
            raise Mistake(f"compare: {error}") from None
    then, now = files
    try:
        criteria = Criteria.from_dict(now.audit.verdict)
    except (KeyError, TypeError, ValueError):
        raise Mistake(f"compare: {now.called}: expected settings of verdicts, found none that can be used") from None
    changes = since(then, now, criteria)
    said = answer(changes) or "neither audit has a model"
    console.show("\n".join([f"{said[0].upper()}{said[1:]}.", *about_since(changes)]) + "\n")
    return int(any(model.state in fail_on for model in changes.models))
