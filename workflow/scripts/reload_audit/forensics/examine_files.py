"""What a model's files alone prove: nothing in them is executed, no episode is run.

A finding is a proof only where what was seen cannot come about otherwise; any other finding only asks for a trial.
What the files cannot tell is listed with each function.
"""

from __future__ import annotations

from dataclasses import dataclass

from reload_audit.causes.finding import Finding
from reload_audit.forensics.earned import best_of_many, episode_facts, time_limit
from reload_audit.forensics.model_files import ModelFiles
from reload_audit.forensics.pairing import counts_of, environments_of, pairing
from reload_audit.forensics.parameters import examine_parameters
from reload_audit.forensics.statistics import belonging, missing
from reload_audit.forensics.surroundings import compare_actions, compare_observations
from reload_audit.forensics.traces import Traces, space_of, traces_of
from reload_audit.reading.model_zip import SavedModel
from reload_audit.reading.statistics import SavedStatistics
from reload_audit.records.examination import Facts

_WITHOUT_TRACES = ("ARS",)
"""Algorithms whose zips hold no observation, and step counts of many policies."""


@dataclass(frozen=True)
class FileFindings:
    """What a model's files tell: facts of its training, and findings that may explain another reward."""

    facts: Facts
    findings: list[Finding]


def examine_files(files: ModelFiles) -> FileFindings:
    """Examine a model's files: parameters, statistics, spaces, training episodes and claims."""
    saved, statistics, algo = files.saved, files.statistics, files.algo
    traces = traces_of(saved, algo, files.n_envs)
    parameter_facts, findings = examine_parameters(saved, traces, algo, files.recorded)
    if algo not in _WITHOUT_TRACES:
        if statistics is not None:
            findings += belonging(files, statistics, traces)
        elif not files.unreadable_statistics:
            findings += missing(files, traces)
    findings += compare_actions(space_of(saved, "action_space"), files.action_space)
    findings += compare_observations(space_of(saved, "observation_space"), files.observation_space, statistics)
    findings += time_limit(traces, files.max_episode_steps, files.longest_episode)
    findings += best_of_many(files.claims, files.evaluations)
    facts: Facts = {
        **_training_facts(saved, traces),
        **_statistics_facts(statistics, traces, algo),
        **parameter_facts,
        **episode_facts(traces, statistics),
    }
    return FileFindings(facts, findings)


def _training_facts(saved: SavedModel, traces: Traces) -> Facts:
    planned = saved.settings.get("_total_timesteps")
    return {
        "num_timesteps": traces.num_timesteps,
        "planned_timesteps": planned if type(planned) is int else None,
        "trained_steps": traces.trained_steps,
        "n_envs": traces.n_envs,
        "saved_with": dict(saved.saved_with),
    }


def _statistics_facts(statistics: SavedStatistics | None, traces: Traces, algo: str) -> Facts:
    if statistics is None:
        return {}
    counts = counts_of(statistics)
    paired = "unknown" if algo in _WITHOUT_TRACES else pairing(traces, statistics)
    return {
        "statistics_steps": None if counts is None else counts.steps,
        "statistics_resets": None if counts is None else counts.resets,
        "statistics_n_envs": environments_of(statistics),
        "statistics_pairing": paired,
        "statistics_paired": paired == "own",
    }
