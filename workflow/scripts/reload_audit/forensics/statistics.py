"""What the files say of VecNormalize statistics: whether there must be any, and whether these belong to the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from reload_audit.causes.finding import Finding
from reload_audit.forensics.history import History, counted_by, history_of
from reload_audit.forensics.model_files import FoundStatistics, ModelFiles
from reload_audit.forensics.pairing import (
    Counts,
    Pairing,
    counts_of,
    environments_of,
    old_observation,
    pairing,
    setting,
)
from reload_audit.forensics.traces import Observation, Traces, space_of
from reload_audit.models import model_folder
from reload_audit.reading.model_zip import SavedModel
from reload_audit.reading.refusal import Unreadable, refusing
from reload_audit.reading.statistics import Moments, SavedStatistics
from reload_audit.records.digests import digest

MISSING = "statistics-missing"
CHECKPOINT = "statistics-of-another-checkpoint"
AGENT = "statistics-of-another-agent"
UPDATED = "statistics-updated-since"
SWAPPED = "statistics-swapped"


# --- A model without statistics --------------------------------------------------------------------------------


def missing(files: ModelFiles, traces: Traces) -> list[Finding]:
    """A finding where a model was trained with VecNormalize, for a model without statistics.

    Off-policy algorithms always keep an original observation, which proves nothing: only its type may.
    """
    if files.normalized is False or traces.never_normalized:
        return []
    proof = True
    if files.recorded.normalizer:
        evidence = "The manifest says that it was saved with VecNormalize statistics"
    elif traces.on_policy and traces.original and not _passed_on(traces):
        evidence = "The zip holds an observation from before VecNormalize (_last_original_obs)"
    elif any(other.proved for other in files.others):
        evidence = "Statistics in another place give the model's last observation bit for bit"
    elif files.normalized:
        evidence = "The run's own files say that it was trained with VecNormalize"
    elif cast := _cast(traces):
        evidence = f"The policy's last observation is float32, as VecNormalize makes it, its original {cast}"
    elif beyond := _out_of_space(files.saved, traces):
        proof = False
        evidence = f"The policy's last observation reaches {beyond:.3g}, outside its space; its original is inside"
    else:
        return []
    return [Finding(MISSING, "forensics", proof, f"{evidence}, and there are no statistics.", _file(files.others))]


def _passed_on(traces: Traces) -> bool:
    """Whether VecNormalize handed observations on as they were, by their type: then it normalised only rewards."""
    return bool(traces.last) and all(part.dtype != np.float32 for part in (traces.last or {}).values())


def _cast(traces: Traces) -> str:
    """The type of an original observation that became float32; empty where none did."""
    if traces.on_policy or not traces.original or not traces.last or traces.original.keys() != traces.last.keys():
        return ""
    kinds = [(str(part.dtype), str(traces.original[key].dtype)) for key, part in traces.last.items()]
    return next((original for last, original in kinds if last == "float32" != original), "")


def _out_of_space(saved: SavedModel, traces: Traces) -> float | None:
    """The largest number of a last observation that is outside its space while its original is not."""
    if traces.on_policy or not traces.original or not traces.last:
        return None
    outside, largest = _outside(saved, traces.last)
    return largest if outside and not _outside(saved, traces.original)[0] else None


def _file(others: Sequence[FoundStatistics]) -> dict[str, str]:
    """The statistics that a fix names: those that are proved, or the only ones that fit."""
    proved = [other.path for other in others if other.proved]
    fitting = proved or [other.path for other in others]
    return {"file": fitting[0]} if len(fitting) == 1 or proved else {}


def _outside(saved: SavedModel, observation: Observation) -> tuple[bool, float]:
    """Whether a plain observation exceeds its space, and its largest number."""
    space = space_of(saved, "observation_space")
    low, high, part = getattr(space, "low", None), getattr(space, "high", None), observation.get("")
    if low is None or high is None or part is None or part.shape[1:] != low.shape:
        return False, 0.0
    return bool(((part < low - 1e-3) | (part > high + 1e-3)).any()), float(np.abs(part).max(initial=0.0))


# --- A model with statistics --------------------------------------------------------------------------------


def belonging(files: ModelFiles, statistics: SavedStatistics, traces: Traces) -> list[Finding]:
    """A finding where statistics are not those that a model was trained with; at most one, the most certain."""
    if not statistics.observations:
        return []  # rewards alone were normalised, which no policy sees
    recorded = files.recorded.normalizer
    if recorded and recorded == _content_digest(statistics):
        return []
    paired = pairing(traces, statistics)
    if paired == "own" and not recorded:
        return []
    finding = (
        _never_normalized(files, traces, paired)
        or _of_another_shape(files.saved, statistics)
        or _changed_places(statistics, paired, recorded)
        or _of_another_moment(files, statistics, traces, paired)
        or _of_another_agent(statistics, traces, paired, bool(recorded), files.others)
    )
    if finding is None:
        return []
    return [replace(finding, details={**finding.details, **_file(files.others)})]


def _never_normalized(files: ModelFiles, traces: Traces, paired: Pairing) -> Finding | None:
    """A finding where there are statistics, but the model was trained without VecNormalize."""
    if traces.never_normalized:
        evidence = "The zip shows that training used no VecNormalize (_last_original_obs is empty)"
    elif files.recorded.without_normalizer:
        evidence = "The manifest says that it was saved without VecNormalize"
    elif files.normalized is False:
        evidence = "The run's own files say that it was trained without VecNormalize, and yet there are statistics."
        return Finding(AGENT, "forensics", paired == "other", evidence)
    else:
        return None
    return Finding(AGENT, "forensics", True, f"{evidence}, and yet there are statistics.")


def excluded(saved: SavedModel, statistics: SavedStatistics, traces: Traces) -> bool:
    """Whether statistics are certainly of another agent, though they may have counted as many steps."""
    paired = pairing(traces, statistics)
    return bool(_of_another_shape(saved, statistics) or _of_another_agent(statistics, traces, paired, False, ()))


def _of_another_shape(saved: SavedModel, statistics: SavedStatistics) -> Finding | None:
    """A finding where statistics are of observations of another shape, or of a part that the model does not have.

    Frames may have been stacked, and images transposed, after they were normalised: sizes may be multiples.

    One part of a dictionary may have been taken out (VecExtractDictObs): nothing is said then.
    """
    space = space_of(saved, "observation_space")
    parts = getattr(space, "spaces", {"": space})
    if not isinstance(parts, Mapping) or (list(parts) == [""] != list(statistics.observations)):
        return None
    for key, moments in statistics.observations.items():
        expected = getattr(parts.get(key), "shape", None)
        if key not in parts:
            evidence = f"The statistics are of observations {key!r:.50}, which the model does not have."
            return Finding(AGENT, "forensics", True, evidence)
        size = int(np.prod(expected)) if expected is not None else 0
        if expected is not None and (moments.mean.size == 0 or size % moments.mean.size):
            evidence = f"The statistics are of observations of shape {moments.mean.shape}, the model's are {expected}."
            return Finding(AGENT, "forensics", True, evidence)
    return None


def _changed_places(statistics: SavedStatistics, paired: Pairing, recorded: object) -> Finding | None:
    """A finding where mean and variance have changed places.

    :param recorded: digest of the normalizer in the manifest, if there is one
    """
    if paired == "swapped":
        evidence = "The model's last observation comes out bit for bit if mean and variance change places."
    elif recorded and recorded == _content_digest(statistics, swapped=True):
        evidence = "The statistics have the digest in the manifest if mean and variance change places."
    else:
        negative = [moments for moments in statistics.observations.values() if (moments.var < 0).any()]
        if not negative or any((moments.mean < 0).any() for moments in statistics.observations.values()):
            return None
        least = min(float(moments.var.min()) for moments in negative)
        evidence = f"A variance is {least:.6g}, and no mean is negative: they have changed places."
    return Finding(SWAPPED, "forensics", True, evidence)


def _of_another_moment(
    files: ModelFiles, statistics: SavedStatistics, traces: Traces, paired: Pairing
) -> Finding | None:
    """A finding where statistics have counted another number of steps than the model.

    Nothing is said where the files tell that training went on, and which of its steps the statistics counted.
    """
    counts, history = counts_of(statistics), history_of(files.saved, traces)
    if counts is None or history is None or (counts.steps == history.counted and not history.earlier):
        return None
    proved = paired == "other" or bool(files.recorded.normalizer)
    if not proved and _is_explained(history, statistics, traces, files.role, paired):
        return None
    in_one_go = counts.resets == traces.n_envs
    later = counts.steps > history.counted
    evidence = f"The statistics have counted {counts.steps:,} steps, the model {history.counted:,}"
    if history.earlier:
        evidence += " since learn() was called again"
    elif not in_one_go:
        evidence += f"; {counts.resets:,} observations stem from resets, where learning once makes {traces.n_envs}"
    return Finding(
        UPDATED if later and not in_one_go and files.role == "final" else CHECKPOINT,
        "forensics",
        proved or _counts_prove(statistics, traces, counts, history, files.role),
        f"{evidence}.",
        {"statistics_steps": counts.steps, "num_timesteps": history.counted},
    )


def _is_explained(history: History, statistics: SavedStatistics, traces: Traces, role: str, paired: Pairing) -> bool:
    """Whether statistics have counted all steps of a training that went on, or all since they were new."""
    counts, counted = counts_of(statistics), counted_by(history, statistics, traces, role, paired)
    if counts is None or counted == "last learn" or paired == "own":
        return True
    return counted == "more" and history.total is not None and history.total == counts.steps


def _counts_prove(statistics: SavedStatistics, traces: Traces, counts: Counts, history: History, role: str) -> bool:
    """Whether other steps than the model's prove another moment by themselves, where observations cannot be compared.

    They differ for innocent reasons if a model learned more than once, counting from zero; if it went on with new
    statistics, or with frozen ones; if they were warmed up before. The number of updates excludes the first, the step
    that learning began with the second, statistics that were frozen are saved so. Warming up takes a reset of its
    own, and shows in the bits at the end of training, unless something else used the same VecNormalize after it.
    """
    if setting(statistics, "training") is not True:
        return False
    if history.last_learn is not None and counts.steps < history.last_learn:
        return True  # even new statistics have counted the steps of the last learn()
    if not traces.counted_from_zero:
        return False
    later = counts.steps > history.counted
    if counts.resets == traces.n_envs:
        return later or traces.began_at == 0
    compared = traces.last is not None and old_observation(statistics) is not None
    return role == "final" and compared and later


def _of_another_agent(
    statistics: SavedStatistics, traces: Traces, paired: Pairing, recorded: bool, others: Sequence[FoundStatistics]
) -> Finding | None:
    """A finding where statistics with the right number of steps are still not the model's.

    :param recorded: whether the manifest has a digest of the model's statistics, which then is not that of these
    """
    counts, envs = counts_of(statistics), environments_of(statistics)
    if recorded:
        evidence = "The statistics do not have the digest in the manifest, though they have counted as many steps"
    elif paired == "other":
        evidence = "Normalising the last original observation in the zip does not give the last one that the policy saw"
    elif counts and envs and traces.last and traces.n_envs != envs == counts.resets:
        evidence = f"The statistics stem from {envs} environments, the model from {traces.n_envs}"
    elif paired == "unknown" and any(one.proved for one in others):
        evidence = "Other statistics give the model's last observation bit for bit, these do not"
    else:
        return None
    return Finding(AGENT, "forensics", True, f"{evidence}.")


def _content_digest(statistics: SavedStatistics, *, swapped: bool = False) -> str | None:
    """The digest that a manifest has of the same VecNormalize; None where something is missing."""
    names = ("norm_obs", "norm_reward", "norm_obs_keys", "clip_obs", "clip_reward", "gamma", "epsilon")
    parts = {
        key: Moments(part.var, part.mean, part.count) if swapped else part
        for key, part in statistics.observations.items()
    }
    try:
        with refusing("damaged statistics"):
            content = SimpleNamespace(
                **{name: statistics.attribute(name) for name in names},
                ret_rms=statistics.rewards,
                obs_rms=parts[""] if list(parts) == [""] else parts,
            )
            return digest(model_folder.normalizer_content(content))  # type: ignore[arg-type]
    except Unreadable:
        return None
