"""Compare a reloaded model with what was recorded when it was saved: its contents, and the steps of its episodes."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, unwrap_vec_normalize

from reload_audit.evaluation.divergence import first_divergence
from reload_audit.models import model_folder
from reload_audit.reading.refusal import Unreadable
from reload_audit.records.episodes import Episode
from reload_audit.records.steps import Steps, read_steps


def check_against_manifest(manifest: Mapping[str, Any], model: BaseAlgorithm, venv: VecEnv) -> list[dict[str, Any]]:
    """Whether what was loaded is what was saved: one entry a check, with what was expected and found."""
    normalize = unwrap_vec_normalize(venv)
    acts_on = model_folder.spaces_and_spec(model, venv)
    expected = {
        **manifest["digests"],
        **{name: manifest["acts_on"][name] for name in ("observation_space", "action_space", "env_spec", "env_stack")},
        **{f"{name} version": version for name, version in manifest["versions"].items()},
    }
    found = {
        **model_folder.content_digests(model, normalize),
        **acts_on,
        **{f"{name} version": version for name, version in model_folder.versions().items()},
    }
    return [check(name, value, found.get(name)) for name, value in expected.items()]


def check(name: str, expected: Any, found: Any, *, passed: bool | None = None) -> dict[str, Any]:
    """One entry of a list of checks."""
    return {
        "check": name,
        "passed": expected == found if passed is None else passed,
        "expected": expected,
        "found": found,
    }


def divergence(
    folder: Path, reference: Sequence[Episode], reload: Sequence[Episode], steps: Steps
) -> dict[str, Any] | None:
    """Where a reload first differs from the recorded reference, with a sentence about it; None where no bit does."""
    recorded = None
    if (folder / model_folder.STEPS).exists():
        with contextlib.suppress(Unreadable):  # then only the episode is known
            recorded = read_steps(folder / model_folder.STEPS)
    found = first_divergence(reference, reload, recorded, steps)
    return None if found is None else {**found.to_dict(), "text": found.text}
