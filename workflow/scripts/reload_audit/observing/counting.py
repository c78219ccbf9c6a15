"""Whether a script counts episodes as they are: where they end, which of them, and what it prints of them."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from reload_audit.observing.figure import of_first_alone
from reload_audit.observing.loops import what_stops
from reload_audit.observing.statement import LEFT_OUT, Statement, last_name, parsed_file
from reload_audit.observing.subject import Subject
from reload_audit.records.observation import Line
from reload_audit.records.script_record import Figure, ScriptDifference

_FEW = 20
"""Episodes of each environment side by side, above which it hardly matters that short ones finish first."""


def counting_differences(subject: Subject, figure: Figure | None) -> Iterator[ScriptDifference]:
    """Compare the episodes that a script counts with those that there were."""
    run, n_envs = subject.run, subject.environment.n_envs
    yield from _beyond_the_end(subject)
    yield from _stopped_by_itself(subject)
    if n_envs > 1 and not subject.observation.evaluations and not of_first_alone(subject.observation, run):
        balanced = figure is not None and bool(figure.balanced or figure.printed)
        yield from _side_by_side(subject, n_envs, balanced=balanced)
    if figure is not None and figure.printed:
        scale = "" if np.allclose(run.seen, run.earned) else " on the same scale"
        evidence = f"it prints {figure.mean:.6g}, {figure.printed}; an episode earns {run.seen.mean():.4g}{scale}"
        yield ScriptDifference("episodes-counted-wrongly", figure.where, evidence)


def _beyond_the_end(subject: Subject) -> Iterator[ScriptDifference]:
    run = subject.run
    beyond = [episode for episode in run.episodes if episode.beyond]
    if beyond:
        steps = sum(episode.beyond for episode in beyond)
        stepped = (
            "1 episode is stepped on after its"
            if len(beyond) == 1
            else f"{len(beyond)} episodes are stepped on after their"
        )
        evidence = f"{stepped} end without a reset, for {steps:,} steps: "
        evidence += "an episode is over when terminated or truncated is set"
        folder = Path(subject.script.script).parent
        line, instead = asking_for_both(folder, run.step_line)
        line = line or what_stops(folder, run.step_line)[0]
        yield ScriptDifference("episodes-counted-wrongly", line, evidence, instead)


def asking_for_both(folder: Path, step: Line | None) -> tuple[Line | None, str]:
    """Where a script asks whether an episode has terminated, and nowhere whether it was truncated: the line to blame,
    and the same line asking for both.

    None, and nothing, where that is not so, or not plain.

    :param folder: of the script
    :param step: the line that steps
    """
    statement = Statement.of(step)
    names = [] if statement is None else statement.targets
    if step is None or statement is None or len(names) != 5:
        return None, ""
    terminated, truncated = names[2:4]
    parsed = parsed_file(folder, step)
    if parsed is None:
        return None, ""
    text, tree = parsed
    if any(isinstance(node, ast.Name) and node.id == truncated and _is_read(node) for node in ast.walk(tree)):
        return None, ""
    heads = [node for node in ast.walk(tree) if isinstance(node, ast.If | ast.While)]
    asking = [node for node in heads if terminated in _names(node.test)]
    if len(asking) != 1:
        return None, ""
    (node,) = asking
    if isinstance(node, ast.If) and node.lineno == node.test.end_lineno and truncated != "_":
        head = " ".join(text.splitlines()[node.lineno - 1].split())
        name = rf"(?<![\w.]){re.escape(terminated)}(?!\w)"
        both = f"{terminated} or {truncated}" if isinstance(node.test, ast.Name) else f"({terminated} or {truncated})"
        if len(re.findall(name, head)) == 1:
            return Line(step.file, node.lineno, head), re.sub(name, both, head)
    named = "truncated" if truncated == "_" else truncated
    targets = ", ".join((*names[:3], named, names[4]))
    return step, statement.with_targets(targets, f"{terminated} = {terminated} or {named}")


def _names(test: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(test) if isinstance(node, ast.Name)}


def _is_read(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Load)


def _stopped_by_itself(subject: Subject) -> Iterator[ScriptDifference]:
    run, limit = subject.run, subject.run.own_limit
    if limit is None or subject.environment.n_envs > 1:
        return
    stopped = sum(episode.ending == "cut" for episode in run.episodes)
    stops = "1 episode" if stopped == 1 else f"{stopped} episodes"
    evidence = (
        f"the script itself stops {stops} after {limit} steps, before {'it ends' if stopped == 1 else 'they end'}"
    )
    line, instead = what_stops(Path(subject.script.script).parent, run.step_line, limit)
    if limit == 1 and run.cut_line is not None:
        evidence = f"reset() is called after each step: none of {stops} goes on"
        line = run.cut_line
        instead = without_reset(line) if subject.environment.vec_line is not None else ""
    changes = {"environment": {"time_limit": limit}}
    yield ScriptDifference("time-limit", line, evidence, instead, changes)


def _side_by_side(subject: Subject, n_envs: int, *, balanced: bool) -> Iterator[ScriptDifference]:
    run = subject.run
    ended, cut = run.ended, [episode for episode in run.episodes if episode.ending == "cut"]
    lengths = {episode.length for episode in (*ended, *cut)}
    if ended and len(cut) > max(n_envs, len(ended) / 4):
        going_on = sum(episode.ending == "open" for episode in run.episodes)  # when it stopped
        evidence = (
            f"reset() is called while episodes go on in others of the {n_envs} environments: {len(ended)} episodes "
            f"ended, and {len(cut) + going_on} were cut short"
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
            line, _ = what_stops(Path(subject.script.script).parent, run.step_line)
            yield ScriptDifference("short-episode-bias", line, evidence, counting="first")


def without_reset(line: Line | None) -> str:
    """What to write in place of a line that resets environments; empty where the line does more than that."""
    statement = Statement.of(line)
    call = None if statement is None else statement.whole
    return LEFT_OUT if isinstance(call, ast.Call) and last_name(call.func) == "reset" else ""
