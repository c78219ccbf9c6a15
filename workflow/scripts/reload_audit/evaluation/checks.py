"""Compare a reloaded model with what was recorded when it was saved: its contents, and the steps of its episodes."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, unwrap_vec_normalize

from reload_audit.environments.construction import without_own_wrappers
from reload_audit.evaluation.divergence import first_divergence
from reload_audit.models import model_folder
from reload_audit.reading.refusal import Unreadable
from reload_audit.records.divergence import Divergence
from reload_audit.records.episodes import Episode
from reload_audit.records.manifest import ActsOn, Identity
from reload_audit.records.model_record import Check
from reload_audit.records.steps import Steps, read_steps


def check_identity(recorded: Identity, model: BaseAlgorithm, venv: VecEnv) -> list[Check]:
    """Compare a loaded model with what was recorded when it was saved: digests, spaces and wrappers, versions.

    :param venv: the environments that the loaded model acts in
    :return: a check for each thing that was recorded
    """
    normalize = unwrap_vec_normalize(venv)
    digests = asdict(model_folder.content_digests(model, normalize))
    acts_on, versions = model_folder.acts_on(model, venv), model_folder.versions()
    return [
        *(check(name, expected, digests[name]) for name, expected in asdict(recorded.digests).items()),
        *_check_acts_on(recorded.acts_on, acts_on),
        *(check(f"{name} version", of, versions.get(name), package=name) for name, of in recorded.versions.items()),
    ]


def check(name: str, expected: Any, found: Any, *, passed: bool | None = None, package: str | None = None) -> Check:
    """Make a check, which passes where both sides are equal, unless ``passed`` says otherwise."""
    return Check(name, expected == found if passed is None else passed, expected, found, package)


def recorded_divergence(
    folder: Path,
    reference: Sequence[Episode],
    reload: Sequence[Episode],
    steps: Steps,
    checks: Sequence[Check],
    computed_on: tuple[str, str] = ("", ""),
) -> Divergence | None:
    """Where a reload first differs from the reference that was recorded into a folder; None where no bit does.

    :param steps: the first steps of the reload
    :param checks: what :func:`check_identity` gave
    :param computed_on: where the policy ran when it was recorded, and in the reload; empty where that is not known
    """
    recorded = None
    if (folder / model_folder.STEPS).exists():
        with contextlib.suppress(Unreadable):  # then only the episode is known
            recorded = read_steps(folder / model_folder.STEPS)
    same_parameters = any(check.name == "parameters" and check.passed for check in checks)
    found = first_divergence(reference, reload, recorded, steps, same_parameters=same_parameters)
    elsewhere = all(computed_on) and computed_on[0] != computed_on[1]
    return replace(found, computed_on=computed_on) if found is not None and elsewhere else found


def _check_acts_on(expected: ActsOn, found: ActsOn) -> list[Check]:
    # Where this audit keeps its own wrappers changes with its version.
    stacks = [without_own_wrappers(acts_on.env_stack) for acts_on in (expected, found)]
    return [
        check("observation_space", expected.observation_space, found.observation_space),
        check("action_space", expected.action_space, found.action_space),
        check("env_spec", expected.env_spec, found.env_spec),
        check("env_stack", expected.env_stack, found.env_stack, passed=stacks[0] == stacks[1]),
    ]
