"""Which conditions are tried to find a cause, each with one factor changed.

What is tried for which cause, and when, is declared in ``causes/causes.yaml``; for another version of an environment,
in ``causes/migrations.yaml``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Literal

from reload_audit.causes.finding import Detail, Finding
from reload_audit.causes.trials import TRIALS, Circumstances
from reload_audit.records.conditions import Condition
from reload_audit.records.environment_spec import WrapperSpec
from reload_audit.records.examination import Trial

Order = tuple[Literal["vec_wrappers", "wrappers"], Sequence[WrapperSpec]]
"""Wrappers around the VecEnv or around each environment, innermost first."""


def plan(
    canonical: Condition,
    circumstances: Circumstances,
    findings: Sequence[Finding],
    migrations: Iterable[str] = (),
    orders: Iterable[Order] = (),
) -> list[Trial]:
    """Trials of one factor each, those that a finding asks for first; of those with the same name the first.

    :param migrations: names of what may make the environment as the version that the model was trained in
    :param orders: in which its wrappers may have stood in training
    """
    trials = list(_for_findings(canonical, findings)) if circumstances.lost or circumstances.forced else []
    if circumstances.runs and circumstances.lost:
        trials += _for_migrations(canonical, migrations)
        trials += _for_orders(canonical, orders)
    trials += _for_circumstances(canonical, circumstances, findings)
    if circumstances.runs and circumstances.forced:
        trials += _sensitivity(canonical, circumstances)
    return list({trial.condition.name: trial for trial in reversed(trials)}.values())[::-1]


def _for_findings(canonical: Condition, findings: Sequence[Finding]) -> Iterator[Trial]:
    """The trials that each finding's cause declares for its findings."""
    for finding in findings:
        if finding.cause in TRIALS:
            for declared in TRIALS[finding.cause].trials:
                filled = declared.filled_in(finding.details) if declared.turn is None else None
                if filled is not None:
                    name, changes = filled
                    yield Trial(replace(canonical, name=name, **changes), (finding.cause,), finding.details)


def _for_migrations(canonical: Condition, migrations: Iterable[str]) -> Iterator[Trial]:
    """A trial of each migration that the canonical condition is not already evaluated under."""
    for name in migrations:
        if name != canonical.migration:
            yield Trial(replace(canonical, name=name, migration=name), ("env-version",), {"migration": name})


def _for_orders(canonical: Condition, orders: Iterable[Order]) -> Iterator[Trial]:
    """A trial of each other order of the wrappers."""
    for of, wrappers in orders:
        name = f"{of}={','.join(re.split('[.:]', wrapper.name)[-1] for wrapper in wrappers)}"
        pairs: Detail = [[wrapper.name, dict(wrapper.kwargs)] for wrapper in wrappers]
        changes: dict[str, Detail] = {"all_wrappers": pairs}
        if of == "vec_wrappers":
            changes = {of: [wrapper.to_plain() for wrapper in wrappers]}
        yield Trial(replace(canonical, name=name, environment=changes), ("env-changed",), {"order": {of: pairs}})


def _for_circumstances(
    canonical: Condition, circumstances: Circumstances, findings: Sequence[Finding]
) -> Iterator[Trial]:
    """The trials that causes declare for models without a finding, in the order of their ``turn``."""
    found = [finding.cause for finding in findings]
    with_turn = [
        (declared.turn, cause, declared)
        for cause, declarations in TRIALS.items()
        for declared in declarations.trials
        if declared.turn is not None
    ]
    for _, cause, declared in sorted(with_turn, key=lambda entry: entry[0]):
        filled = declared.filled_in(asdict(circumstances))
        if filled is None or not circumstances.are(declared.when) or (declared.with_finding and cause not in found):
            continue
        name, changes = filled
        about = [one for one in found if declared.for_finding_about and _subject(one) == declared.for_finding_about]
        yield Trial(replace(canonical, name=name, **changes), (about[0] if about else cause,), declared.details)


def _subject(cause: str) -> str | None:
    return TRIALS[cause].subject if cause in TRIALS else None


def _sensitivity(canonical: Condition, circumstances: Circumstances) -> Iterator[Trial]:
    """Conditions that should not change a reward; they show how sensitive a model is, and speak for no cause."""
    yield Trial(replace(canonical, name="n_envs=1", n_envs=1))
    yield Trial(replace(canonical, name="SubprocVecEnv", vec_env="subproc"))
    yield Trial(replace(canonical, name="evaluate_policy", seeding="evaluate_policy"))
    yield Trial(replace(canonical, name="unseeded", seeding="unseeded"))
    yield Trial(replace(canonical, name="other processor", processor="baseline"))
    if circumstances.statistics:
        yield Trial(replace(canonical, name="wrapper", statistics="wrapper"))
        if circumstances.norm_reward:
            yield Trial(replace(canonical, name="monitor outside", reward="monitor outside"))
    if circumstances.time_limit:
        yield Trial(replace(canonical, name="time_limit=none", environment={"time_limit": -1}))
    if circumstances.other_device:
        device = circumstances.other_device
        yield Trial(replace(canonical, name=f"device={device}", device=device))
