"""What a model's files alone prove: nothing in them is executed, no episode is run.

A finding is a proof only where what was seen cannot come about otherwise; all other signs are worth trying, no more.
What the files cannot tell is listed with each function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gymnasium import spaces

from reload_audit.causes.finding import Finding
from reload_audit.forensics.earned import (
    best_of_many,
    episode_facts,
    time_limit,
)
from reload_audit.forensics.pairing import counts_of, environments_of, pairing
from reload_audit.forensics.parameters import examine_parameters
from reload_audit.forensics.statistics import FoundStatistics, belonging, missing
from reload_audit.forensics.surroundings import compare_actions, compare_observations
from reload_audit.forensics.traces import Traces, space_of, traces_of
from reload_audit.reading.model_zip import SavedModel
from reload_audit.reading.statistics import SavedStatistics
from reload_audit.records.specs import Claim

_WITHOUT_TRACES = ("ARS",)
"""It counts steps of many policies, and keeps no observation of its own."""


@dataclass(frozen=True)
class FileFindings:
    """What the files say.

    :param facts: numbers and texts that JSON can hold
    """

    facts: dict[str, Any]
    findings: list[Finding]


def examine_files(
    saved: SavedModel,
    statistics: SavedStatistics | None,
    *,
    algo: str,
    role: str = "final",
    normalized: bool | None = None,
    n_envs: int | None = None,
    claims: Sequence[Claim] = (),
    manifest: Mapping[str, Any] | None = None,
    observation_space: spaces.Space | None = None,
    action_space: spaces.Space | None = None,
    evaluations: str | None = None,
    max_episode_steps: int | None = None,
    longest_episode: int | None = None,
    others: Sequence[FoundStatistics] = (),
    unreadable_statistics: bool = False,
) -> FileFindings:
    """Everything that the files of a model say against it.

    :param role: ``final``, ``best`` or ``checkpoint``
    :param normalized: whether the run's own files say that observations were normalised
    :param n_envs: environments in training, if the run's own files say so
    :param manifest: what was recorded when the model was saved
    :param observation_space: of the environment as built, with stacked frames, but not normalised
    :param evaluations: ``evaluations.npz`` of its run
    :param max_episode_steps: time limit of the environment as built
    :param longest_episode: steps of the longest episode that was measured in it
    :param others: other statistics that may be its own, from :func:`find_statistics`
    :param unreadable_statistics: whether there are statistics that cannot be read
    """
    traces = traces_of(saved, algo, n_envs)
    recorded = manifest or {}
    parameter_facts, findings = examine_parameters(saved, traces, algo, recorded)
    if algo not in _WITHOUT_TRACES:
        if statistics is not None:
            findings += belonging(
                saved, statistics, traces, role=role, normalized=normalized, manifest=recorded, others=others
            )
        elif not unreadable_statistics:
            findings += missing(saved, traces, normalized, recorded, others)
    findings += compare_actions(space_of(saved, "action_space"), action_space)
    findings += compare_observations(space_of(saved, "observation_space"), observation_space, statistics)
    findings += time_limit(traces, max_episode_steps, longest_episode)
    findings += best_of_many(claims, evaluations)
    facts = {
        **_training_facts(saved, traces),
        **_statistics_facts(statistics, traces, algo),
        **parameter_facts,
        **episode_facts(traces, statistics),
    }
    return FileFindings(facts, findings)


def _training_facts(saved: SavedModel, traces: Traces) -> dict[str, Any]:
    planned = saved.settings.get("_total_timesteps")
    return {
        "num_timesteps": traces.num_timesteps,
        "planned_timesteps": planned if type(planned) is int else None,
        "trained_steps": traces.trained_steps,
        "n_envs": traces.n_envs,
        "saved_with": dict(saved.saved_with),
    }


def _statistics_facts(statistics: SavedStatistics | None, traces: Traces, algo: str) -> dict[str, Any]:
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
