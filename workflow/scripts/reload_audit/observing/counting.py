"""Whether a script counts episodes as they are: where they end, which of them, and what it prints of them."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator

from reload_audit.observing.figure import of_first_alone
from reload_audit.observing.statement import LEFT_OUT, Statement, last_name
from reload_audit.observing.subject import Subject
from reload_audit.records.observation import Line, ObservedRun
from reload_audit.records.script_record import Figure, ScriptDifference

_FEW = 20
"""Episodes of each environment side by side, above which it hardly matters that short ones finish first."""


def counting_differences(subject: Subject, figure: Figure | None) -> Iterator[ScriptDifference]:
    """Compare the episodes that a script counts with those that there were."""
    run, n_envs = subject.run, subject.environment.n_envs
    yield from _beyond_the_end(run)
    yield from _stopped_by_itself(run, n_envs)
    if n_envs > 1 and not subject.observation.evaluations and not of_first_alone(subject.observation, run):
        yield from _side_by_side(run, n_envs, balanced=figure is not None and figure.balanced)
    if figure is not None and figure.printed:
        evidence = f"it prints {figure.mean:.6g}, {figure.printed}; an episode earns {run.seen.mean():.4g}"
        yield ScriptDifference("episodes-counted-wrongly", figure.where, evidence)


def _beyond_the_end(run: ObservedRun) -> Iterator[ScriptDifference]:
    beyond = [episode for episode in run.episodes if episode.beyond]
    if beyond:
        steps = sum(episode.beyond for episode in beyond)
        evidence = (
            f"{len(beyond)} episodes are stepped on after their end without a reset, for {steps:,} steps: "
            "an episode is over when terminated or truncated is set"
        )
        yield ScriptDifference("episodes-counted-wrongly", run.step_line, evidence)


def _stopped_by_itself(run: ObservedRun, n_envs: int) -> Iterator[ScriptDifference]:
    limit = run.own_limit
    if limit is not None and n_envs == 1:
        stopped = sum(episode.ending == "cut" for episode in run.episodes)
        evidence = f"the script itself stops {stopped} episodes after {limit} steps, before they end"
        yield ScriptDifference("time-limit", run.step_line, evidence, changes={"environment": {"time_limit": limit}})


def _side_by_side(run: ObservedRun, n_envs: int, *, balanced: bool) -> Iterator[ScriptDifference]:
    ended, cut = run.ended, [episode for episode in run.episodes if episode.ending == "cut"]
    lengths = {episode.length for episode in (*ended, *cut)}
    if ended and len(cut) > max(n_envs, len(ended) / 4):
        evidence = (
            f"reset() is called while episodes go on in others of the {n_envs} environments: {len(ended)} episodes "
            f"ended, and {len(cut)} were cut short"
        )
        line, instead = (run.step_line, "") if run.cut_line is None else (run.cut_line, without_reset(run.cut_line))
        yield ScriptDifference("done-of-a-vector", line, evidence, instead, counting="rounds")
    elif not balanced and len(lengths) > 1 and len(ended) < _FEW * n_envs:
        counts = Counter(episode.slot for episode in ended)
        most, fewest = max(counts.values()), min(counts[slot] for slot in range(n_envs))
        if most > fewest + 1 or len(ended) < 2 * n_envs:
            evidence = (
                f"the {len(ended)} episodes that {n_envs} environments finished first are counted, {fewest} to {most} "
                "of each: long ones were still going on"
            )
            yield ScriptDifference("short-episode-bias", run.step_line, evidence, counting="first")


def without_reset(line: Line | None) -> str:
    """What to write in place of a line that resets environments; empty where the line does more than that."""
    statement = Statement.of(line)
    call = None if statement is None else statement.whole
    return LEFT_OUT if isinstance(call, ast.Call) and last_name(call.func) == "reset" else ""
