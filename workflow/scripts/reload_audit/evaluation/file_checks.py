"""Whether a model's files belong together, by what they alone say."""

from __future__ import annotations

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from reload_audit.evaluation.checks import check, check_identity
from reload_audit.forensics.history import counted_by, history_of
from reload_audit.forensics.pairing import counts_of
from reload_audit.forensics.traces import traces_of
from reload_audit.models.recording import Recording
from reload_audit.reading.model_zip import SavedModel
from reload_audit.reading.statistics import SavedStatistics
from reload_audit.records.model_record import Check
from reload_audit.records.specs import ExternalSpec


def check_files(
    spec: ExternalSpec,
    saved: SavedModel,
    statistics: SavedStatistics | None,
    recording: Recording | None,
    model: BaseAlgorithm,
    venv: VecEnv,
) -> list[Check]:
    """Check the loaded model against its recording, and its statistics against what the zip and the run say of them."""
    checks = [] if recording is None else check_identity(recording.identity, model, venv)
    # What a run says of itself comes first: only rewards may have been normalised, which no policy sees.
    normalized = trained_normalized(saved) if spec.normalized is None else spec.normalized
    if normalized is not None:
        words = {True: "VecNormalize statistics", False: "none"}
        checks.append(check("statistics", words[normalized], words[statistics is not None]))
    if statistics is not None and spec.algo != "ARS":
        checks += _check_steps(spec, saved, statistics)
    return checks


def _check_steps(spec: ExternalSpec, saved: SavedModel, statistics: SavedStatistics) -> list[Check]:
    """Whether statistics have counted the model's steps; training that went on, or began anew, explains other ones."""
    traces = traces_of(saved, spec.algo, spec.n_envs)
    history, counts = history_of(saved, traces), counts_of(statistics)
    counted = None if history is None else counted_by(history, statistics, traces, spec.role)
    if history is None or counts is None or counted is None:
        return []
    return [check("statistics' steps", history.counted, counts.steps, passed=counted != "other")]


def trained_normalized(saved: SavedModel) -> bool | None:
    """Whether a zip shows that its model was trained with VecNormalize; None if it does not tell.

    On-policy algorithms keep the original of their first observation only if it was normalised. Off-policy ones keep
    an original always, of the step before, so it proves nothing.
    """
    on_policy = "gae_lambda" in saved.settings
    if not on_policy or saved.settings.get("_last_obs", "pickled") is None:
        return None
    return "_last_original_obs" in saved.pickled
