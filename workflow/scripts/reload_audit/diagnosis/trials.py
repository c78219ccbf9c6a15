"""Which conditions are tried to find a cause: one factor at a time, then pairs: two mistakes can mask each other.

Plain Python: the job that starts the processes plans the pairs itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from typing import Any

from reload_audit.causes.finding import Finding
from reload_audit.records.specs import Condition

EXPLAINS = 0.8
"""Share of a gap that a condition has to close to explain it."""

EXPLAINS_WITH_PROOF = 0.7
"""Share that is enough where files or probe show the cause."""

MAX_PAIRS = 30
_TOGETHER = " + "


@dataclass(frozen=True)
class Trial:
    """A condition that may be what differed when the reward was measured.

    :param causes: what it would speak for; two for a pair, none where it only shows how sensitive a model is
    """

    condition: Condition
    causes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Trial:
        return cls(Condition.from_dict(data["condition"]), tuple(data["causes"]), data["details"])

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Circumstances:
    """What decides which trials make sense for a model.

    :param claimed: whether its reward was stated by somebody, so that nobody knows how it was measured
    :param runs: whether the canonical condition gave episodes
    :param lost: whether a loss or gain is shown, or the model does not run at all
    :param environment_gap: whether the loss is known to appear as soon as environments are built anew
    :param statistics: whether there are VecNormalize statistics
    :param never_normalized: whether it is proved that the model was trained without VecNormalize
    :param paired: whether the statistics are proved to be its own
    :param norm_reward: whether they normalise rewards
    :param dictionary: whether observations are dictionaries
    :param episodes_trained: episodes that each training environment has seen
    """

    claimed: bool
    runs: bool
    lost: bool
    environment_gap: bool
    statistics: bool
    never_normalized: bool
    paired: bool
    norm_reward: bool
    dictionary: bool
    recurrent: bool
    maskable: bool
    deterministic: bool
    time_limit: bool
    other_device: str | None
    episodes_trained: int


def plan(
    canonical: Condition, facts: Circumstances, findings: Sequence[Finding], *, forced: bool = False
) -> list[Trial]:
    """Trials of one factor each, those that a finding asks for first.

    :param forced: every condition that is possible, for a table of what the model is sensitive to
    """
    trials = list(_for_findings(canonical, findings)) if facts.lost or forced else []
    if facts.runs and ((facts.lost and facts.claimed) or forced):
        trials += _other_ways_to_measure(canonical, facts, findings)
    if facts.runs and facts.lost and (facts.environment_gap or facts.claimed):
        # What training's environments had seen and new ones have not.
        warm = replace(canonical, name="used environments", episodes_before=facts.episodes_trained)
        trials.append(Trial(warm, ("curriculum",)))
    if facts.runs and forced:
        trials += _sensitivity(canonical, facts)
    return list({trial.condition.name: trial for trial in reversed(trials)}.values())[::-1]


def pairs(canonical: Condition, trials: Sequence[Trial]) -> list[Trial]:
    """Two factors at once, of those trials that speak for a cause and do not exclude each other."""
    paired = []
    for one, other in combinations([trial for trial in trials if trial.causes and not _is_long(trial)], 2):
        changed = one.condition.changes(canonical), other.condition.changes(canonical)
        if one.causes == other.causes or set(changed[0]) & set(changed[1]) or _senseless({**changed[0], **changed[1]}):
            continue
        both = replace(
            canonical, name=f"{one.condition.name}{_TOGETHER}{other.condition.name}", **changed[0], **changed[1]
        )
        paired.append(Trial(both, (*one.causes, *other.causes), {**one.details, **other.details}))
    return paired[:MAX_PAIRS]


def _is_long(trial: Trial) -> bool:
    """Many episodes come before those that count."""
    return trial.condition.episodes_before > 0


def _senseless(changes: Mapping[str, Any]) -> bool:
    """Without VecNormalize there are no normalised rewards."""
    return "reward" in changes and changes.get("statistics") in ("none", "wrapper", "posted wrapper")


def share_closed(target: float, canonical: float, tried: float) -> float:
    """How much of the gap between the canonical condition and the target a trial closes: 1 is all of it."""
    gap = target - canonical
    return 1.0 - abs(target - tried) / abs(gap) if gap else 0.0


def _for_findings(canonical: Condition, findings: Sequence[Finding]) -> Iterator[Trial]:
    for finding in findings:
        for name, changes in _REMEDIES.get(finding.cause, lambda _: [])(finding.details):
            yield Trial(replace(canonical, name=name, **changes), (finding.cause,), finding.details)


Changes = tuple[str, dict[str, Any]]


def _other_statistics(details: Mapping[str, Any]) -> list[Changes]:
    files = [details["file"]] if details.get("file") else []
    return [
        *((f"statistics={file}", {"statistics": "file", "statistics_file": file}) for file in files),
        ("statistics=fresh", {"statistics": "fresh"}),
    ]


def _wrapped(name: str, wrapper: str, kwargs: Mapping[str, Any]) -> list[Changes]:
    return [(name, {"environment": {"wrappers": [[wrapper, dict(kwargs)]]}})]


_REMEDIES: dict[str, Callable[[Mapping[str, Any]], list[Changes]]] = {
    "statistics-missing": _other_statistics,
    "statistics-of-another-checkpoint": _other_statistics,
    "statistics-of-another-agent": _other_statistics,
    "statistics-updated-since": _other_statistics,
    "statistics-swapped": lambda _: [("statistics=swapped", {"statistics": "swapped"})],
    "action-space-rescaled": lambda details: _wrapped(
        "actions rescaled",
        "reload_audit.evaluation.conditions:rescale_action",
        {key: details[key] for key in ("low", "high")},
    ),
    "observation-dtype": lambda details: _wrapped(
        f"observations as {details['dtype']}",
        "reload_audit.evaluation.conditions:observe_as",
        {key: details[key] for key in ("dtype", "low", "high") if key in details},
    ),
    "frame-stack-missing": lambda details: [
        (f"frame_stack={details['k']}", {"environment": {"frame_stack": details["k"]}})
    ],
    "time-limit": lambda details: [
        (f"time_limit={details['max_episode_steps']}", {"environment": {"time_limit": details["max_episode_steps"]}})
    ],
    "env-kwargs": lambda details: [("env_kwargs=as trained", {"environment": {"env_kwargs": details["env_kwargs"]}})],
}


def _other_ways_to_measure(canonical: Condition, facts: Circumstances, findings: Sequence[Finding]) -> Iterator[Trial]:
    """Other habits of measuring, and other files, that may be behind a reward that somebody states."""
    mode = "stochastic" if canonical.deterministic else "deterministic"
    other_mode = replace(canonical, name=mode, deterministic=not canonical.deterministic)
    yield Trial(other_mode, ("policy-mode",), {"deterministic": other_mode.deterministic})
    if facts.recurrent:
        yield Trial(replace(canonical, name="state dropped", carry_state=False), ("recurrent-state-dropped",))
    if facts.maskable:
        yield Trial(replace(canonical, name="no masks", give_masks=False), ("action-masks-missing",))
    if not facts.statistics:
        if not facts.never_normalized:
            yield Trial(replace(canonical, name="statistics=fresh", statistics="fresh"), ("statistics-missing",))
        return
    if facts.norm_reward:
        yield Trial(replace(canonical, name="reward normalized", reward="normalized"), ("reward-normalized",))
        if any(finding.cause == "monitor-outside-vecnormalize" for finding in findings):
            outside = replace(canonical, name="monitor outside", reward="monitor outside")
            yield Trial(outside, ("monitor-outside-vecnormalize",))
    yield Trial(replace(canonical, name="statistics=updating", statistics="updating"), ("training-mode",))
    yield Trial(replace(canonical, name="statistics=twice", statistics="twice"), ("vecnormalize-twice",))
    if not facts.dictionary:
        posted = replace(canonical, name="posted wrapper", statistics="posted wrapper")
        yield Trial(posted, ("normalizer-not-equivalent",))
    named = [finding.cause for finding in findings if finding.cause.startswith("statistics-")]
    none = replace(canonical, name="statistics=none", statistics="none")
    yield Trial(none, (named[0] if named else "normalizer-not-equivalent",))
    if not facts.paired:
        swapped = replace(canonical, name="statistics=swapped", statistics="swapped")
        yield Trial(swapped, ("statistics-swapped",))
        fresh = replace(canonical, name="statistics=fresh", statistics="fresh")
        yield Trial(fresh, (named[0] if named else "statistics-of-another-agent",))


def _sensitivity(canonical: Condition, facts: Circumstances) -> Iterator[Trial]:
    """What should make no difference, and shows how much it makes."""
    yield Trial(replace(canonical, name="n_envs=1", n_envs=1))
    yield Trial(replace(canonical, name="SubprocVecEnv", vec_env="subproc"))
    yield Trial(replace(canonical, name="evaluate_policy", seeding="evaluate_policy"))
    yield Trial(replace(canonical, name="unseeded", seeding="unseeded"))
    yield Trial(replace(canonical, name="other processor", processor="baseline"))
    if facts.statistics:
        yield Trial(replace(canonical, name="wrapper", statistics="wrapper"))
        if facts.norm_reward:
            yield Trial(replace(canonical, name="monitor outside", reward="monitor outside"))
    if facts.time_limit:
        yield Trial(replace(canonical, name="time_limit=none", environment={"time_limit": -1}))
    if facts.other_device:
        yield Trial(replace(canonical, name=f"device={facts.other_device}", device=facts.other_device))
