"""What is said of a run while it goes on, in words: for a terminal, a file and the page."""

from __future__ import annotations

from reload_audit.progress.state import Ended, Job, Kind, State
from reload_audit.reports.safe_text import one_line

_LONGEST_NAME = 60
_LONGEST_DOES = 80
_LONGEST_SAID = 300


def of_ended(ended: Ended) -> str:
    """``ppo-robot-seed0-n1: degraded, earns 40 less``."""
    said = one_line(ended.said, _LONGEST_SAID)
    return f"{one_line(ended.model, _LONGEST_NAME)}: {one_line(ended.verdict, 20)}{f', {said}' if said else ''}"


def of_kind(kind: Kind) -> str:
    """``trained 5/21``."""
    return f"{kind.done} {len(kind.finished):,}/{len(kind.names):,}"


def time_left(kind: Kind) -> str:
    """``about 3 min left``; empty where it is not known."""
    return "" if kind.seconds_left is None else f"about {duration(kind.seconds_left)} left"


def of_job(job: Job) -> str:
    """``ppo-robot-seed1-n8: training, 45,000 of 100,000 steps``; where the job has said nothing, what it is for."""
    note = job.note
    if not note.doing:
        return one_line(job.does, _LONGEST_DOES)
    counted = ""
    if note.done:
        done = min(note.done, note.total) if note.total else note.done  # the last rollout may have more steps
        counted = f", {done:,.0f}{f' of {note.total:,.0f}' if note.total else ''} {one_line(note.unit, 20)}"
    return f"{one_line(job.model, _LONGEST_NAME)}: {one_line(note.doing, 40)}{counted}"


def slowest(state: State) -> list[Job]:
    """Jobs under way, those first that have been so for longest."""
    return sorted(state.jobs.values(), key=lambda job: job.started)


def of_run(state: State) -> str:
    """All in one line, for where no line can be written over."""
    said = [of_kind(kind) + (f" ({left})" if (left := time_left(kind)) else "") for kind in state.kinds.values()]
    under_way = next((of_job(job) for job in slowest(state)), "")
    return "  ".join(filter(None, [elapsed(state), ", ".join(said), of_verdicts(state), under_way]))


def of_verdicts(state: State) -> str:
    """``36 identical, 2 degraded``: the verdicts that fell."""
    return ", ".join(f"{count:,} {one_line(verdict, 20)}" for verdict, count in state.counts())


def elapsed(state: State) -> str:
    """``1:04:09``: hours, where there are any, minutes and seconds."""
    minutes, seconds = divmod(round(state.seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}" if minutes >= 60 else f"{minutes}:{seconds:02d}"


def duration(seconds: float) -> str:
    """``45 s``, ``3 min``, ``2 h 05 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
