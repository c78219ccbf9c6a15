"""Whether a zip's parameters belong to the rest of it: digests when it was saved, and how often they were updated."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from typing import Any

import torch as th

from reload_audit.causes.finding import Finding
from reload_audit.forensics.history import steps_between_updates
from reload_audit.forensics.model_files import RecordedDigests
from reload_audit.forensics.traces import Traces, whole
from reload_audit.reading.model_zip import SavedModel
from reload_audit.reading.plain_values import mapping
from reload_audit.reading.refusal import Unreadable, refusing
from reload_audit.reading.tensors import pickles_of_tensors
from reload_audit.records.digests import digest
from reload_audit.records.examination import Facts

CAUSE = "parameters-of-another-checkpoint"

_SUFFIX = ".pth"
_VARIABLES = "pytorch_variables.pth"

# Algorithms whose every update is one step of each optimizer, except for actors that are updated less often.
_ONE_STEP_AN_UPDATE = ("A2C", "DQN", "QRDQN", "SAC", "TQC", "CrossQ", "DDPG", "TD3")
_DELAYED_ACTOR = ("CrossQ", "DDPG", "TD3")
_MINIBATCHES = ("PPO", "MaskablePPO", "RecurrentPPO", "TRPO")

_INTERRUPTIONS = 10
"""Calls of ``learn`` that may have been interrupted in the middle of an update."""


def examine_parameters(
    saved: SavedModel, traces: Traces, algo: str, digests: RecordedDigests
) -> tuple[Facts, list[Finding]]:
    """Facts (optimizer steps made and expected, whether all parameters are finite), and a finding if they do not fit.

    A digest proves it. Steps of an optimizer do not: whoever starts from the parameters of another model, or begins
    with a new optimizer in the middle, has other ones. An interrupted ``learn`` leaves those of an unfinished update.
    """
    read = {name.removesuffix(_SUFFIX): _tensors(content) for name, content in saved.parameters.items()}
    tensors = {name: state for name, state in read.items() if state is not None}
    made = {name: steps for name, state in tensors.items() if (steps := _steps(state)) is not None}
    expected = {name: number for name in made if (number := _expected(saved, traces, algo, name)) is not None}
    facts: Facts = {
        "optimizer_steps": made,
        "optimizer_steps_expected": expected,
        "parameters_finite": all(_finite(state) for name, state in tensors.items() if "optimizer" not in name),
    }
    recorded = digests.parameters
    found = _digest(tensors) if recorded and len(tensors) == len(read) else None
    if recorded and found:
        evidence = f"The parameters have the digest {found}; those that were saved had {recorded!s:.64}."
        return facts, [] if found == recorded else [Finding(CAUSE, "forensics", True, evidence)]
    fewest, most = _interrupted(saved, traces, algo)
    for name, number in expected.items():
        if not number - fewest <= made[name] <= number + most:
            details = {"optimizer_steps": made[name], "optimizer_steps_expected": number}
            evidence = f"{name} has made {made[name]:,} steps; the model's updates come to {number:,}."
            return facts, [Finding(CAUSE, "forensics", False, evidence, details)]
    return facts, []


def _expected(saved: SavedModel, traces: Traces, algo: str, optimizer: str) -> int | None:
    """Steps that an optimizer has made, by the updates that a model has counted; None where that is not exact."""
    updates = whole(saved.settings.get("_n_updates"))
    if updates is None:
        return None
    if algo in _ONE_STEP_AN_UPDATE:
        delay = whole(saved.settings.get("policy_delay")) if algo in _DELAYED_ACTOR else 1
        if optimizer == "actor.optimizer":
            return updates // delay if delay else None
        return updates
    batch = whole(saved.settings.get("batch_size"))
    if algo == "TRPO":
        updates *= whole(saved.settings.get("n_critic_updates")) or 0
    if algo not in _MINIBATCHES or not updates or not batch or not traces.rollout or not traces.counted_from_zero:
        return None
    return updates * -(-traces.rollout // batch)


def _interrupted(saved: SavedModel, traces: Traces, algo: str) -> tuple[int, int]:
    """How many steps fewer, and how many more, an optimizer may have made where ``learn`` was interrupted in an update.

    Updates are counted when they are done; only algorithms with delayed actors count each one first. Off-policy, where
    training that went on is not excluded, several of its calls may have been interrupted.
    """
    if traces.on_policy:
        batch = whole(saved.settings.get("batch_size"))
        minibatches = -(-traces.rollout // batch) if traces.rollout and batch else 1
        each = (whole(saved.settings.get("n_critic_updates")) or 1) if algo == "TRPO" else 1
        return 0, max(1, each * minibatches - 1) if algo in _MINIBATCHES else 1
    if algo in _DELAYED_ACTOR:
        return _INTERRUPTIONS, 0
    known = steps_between_updates(saved, traces.n_envs)
    longest = max((episode.length for episode in traces.episodes), default=0) * (traces.n_envs or 1)
    return 0, _INTERRUPTIONS * (max(1, longest) if known is None else known[1])


@refusing("damaged parameters")
def _loaded(content: bytes) -> Any:
    pickles_of_tensors(content)  # refuses what would never come to its end
    return th.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _tensors(content: bytes) -> dict[str, object] | None:
    with contextlib.suppress(Unreadable):
        return mapping(_loaded(content))
    return None


def _steps(state: Mapping[str, object]) -> int | None:
    """The most steps that any parameter of an optimizer has made; None for what is no optimizer, or does not count."""
    counts = []
    moments = state.get("state")
    for entry in moments.values() if isinstance(moments, dict) else ():
        step = mapping(entry).get("step")
        if isinstance(step, int | float) or (isinstance(step, th.Tensor) and step.numel() == 1):
            counts.append(float(step))
    return int(max(counts)) if counts and all(0 <= count < 2**53 for count in counts) else None


def _finite(state: Mapping[str, object]) -> bool:
    tensors = [item for item in state.values() if isinstance(item, th.Tensor) and item.is_floating_point()]
    return all(bool(th.isfinite(tensor).all()) for tensor in tensors)


def _digest(tensors: Mapping[str, Mapping[str, object]]) -> str | None:
    """The digest that ``model_folder.content_digests`` makes of the parameters of the loaded model."""
    variables = _VARIABLES.removesuffix(_SUFFIX)
    states = {name: state for name, state in tensors.items() if "optimizer" not in name and name != variables}
    try:
        with refusing("damaged parameters"):
            return digest([states, dict(tensors.get(variables, {}))])
    except Unreadable:
        return None
