"""One model of an audit, typed: its row of ``models.csv``, and what ``audit.json`` has besides."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from reload_audit.judging.claims import OBSTACLE_OF_KIND
from reload_audit.judging.criteria import WORST_FIRST, Verdict
from reload_audit.judging.judgement import Obstacle
from reload_audit.records.conditions import CANONICAL

STAGES = ("in_place", "reference", CANONICAL)
"""The conditions that verdicts compare, by name: in place and reference at train time, then the canonical one."""


@dataclass(frozen=True)
class ConditionRow:
    """What one condition gave.

    :param name: ``in_place``, ``reference``, ``reload`` for the canonical condition, or what it changes of that
    :param difference: mean difference of episode rewards from the reference, paired by episode
    :param identical: whether every bit of every episode is as in the reference
    :param reason: why there are no episodes; empty where there are
    :param spared: why no more episodes were run: ``same``, every bit is the canonical condition's; ``excluded``, they
        exclude what it changes as a cause; empty where none were spared
    """

    name: str
    n_envs: int | None
    vec_env: str
    mean_reward: float | None
    std_reward: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    identical: bool
    n_episodes: int | None
    reason: str
    spared: str = ""


@dataclass(frozen=True)
class NamedCause:
    """One cause of a model's verdict.

    :param name: identifier, see ``docs/causes``
    :param evidence: sentences
    :param proven: whether files or a contrast show it by themselves
    :param share: how much of the gap its best trial closes, 1 for all; None where that is not known
    :param fix: code to paste
    """

    name: str
    explanation: str
    evidence: tuple[str, ...]
    proven: bool
    share: float | None
    fix: str


@dataclass(frozen=True)
class ClaimRow:
    """A train-time reward that somebody or some file states.

    :param kind: where it comes from: ``explicit``, ``model_card``, …
    :param n: episodes behind it; None where it is not stated
    :param where: the file and place it was read from; of a model card its path
    """

    kind: str
    mean: float | None
    std: float | None
    n: int | None
    where: str


@dataclass(frozen=True)
class DivergingValue:
    """A component of a step that differs between reference and reload.

    :param index: of an array the element that differs; None where the whole value is given
    :param reference: its value in the reference; None where it was not recorded
    :param reload: its value after reload; None where it was not recorded
    """

    component: str
    index: tuple[int, ...] | None
    reference: str | None
    reload: str | None


@dataclass(frozen=True)
class AuditedModel:
    """One model: its row of ``models.csv``, and what ``audit.json`` has besides. Fields are called as there.

    :param source: ``trained`` by this workflow, or the layout or table by which discovery found it
    :param suspect: whether an inconclusive model's own bounds show a loss, which the number of models overturns
    :param claim_kind: what the reload is compared with; empty where nothing is known
    :param plain_load_error: what ``ALGO.load(path)`` would raise; empty where it works, None where that is not known
    :param largest_loss: the largest loss that is not excluded, in reward, and as a share of what was learned
    :param cause: the best of ``causes``, by name; empty where there is none
    :param causes: what explains the verdict, the best explanation first
    :param ruled_out: what was looked at or tried and does not explain it
    :param not_excluded: what was tried and may explain some of it, though not shown to
    :param claims: all that is said of what it earned, the deciding claim among them
    :param probe: the environment that was probed for it, by its name in ``environments``; empty where none was
    :param divergence: where reference and reload differ first, in one sentence; empty where no bit does
    :param diverging: the values that differ there
    """

    name: str
    experiment: str
    source: str
    algo: str
    env_id: str
    env_ran: str
    train_seed: int | None
    train_n_envs: int | None
    num_timesteps: int | None
    verdict: Verdict
    suspect: bool
    reason: str
    gap: str
    cause: str
    cause_share: float | None
    n_episodes: int | None
    claim_kind: str
    claim_mean: float | None
    claim_std: float | None
    claim_n: int | None
    claim_source: str
    train_mean_reward: float | None
    reference_mean_reward: float | None
    reload_mean_reward: float | None
    reload_std_reward: float | None
    random_mean_reward: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    margin: float | None
    largest_loss: float | None
    largest_loss_share: float | None
    q: float | None
    checks_failed: str
    loaded_with: str
    plain_load_error: str | None
    sb3_saved: str
    sb3_loaded: str
    version_changes: str
    remarks: str
    log: str
    probe: str
    claims: tuple[ClaimRow, ...]
    conditions: tuple[ConditionRow, ...]
    causes: tuple[NamedCause, ...]
    ruled_out: tuple[str, ...]
    not_excluded: tuple[str, ...]
    divergence: str
    diverging: tuple[DivergingValue, ...]

    @property
    def is_external(self) -> bool:
        """Whether this workflow did not train it."""
        return self.source != "trained"

    @property
    def concern(self) -> tuple[int, bool]:
        """A sort key: the models of most concern come first, of inconclusive ones those that are suspect."""
        return WORST_FIRST.index(self.verdict), not self.suspect

    @property
    def called(self) -> str:
        """Its verdict, and whether it is suspect."""
        return f"{self.verdict} (suspect)" if self.suspect else self.verdict

    def is_any_of(self, words: Collection[str]) -> bool:
        """Whether its verdict is among these words, or ``suspect`` is and the model is that."""
        return self.verdict in words or (self.suspect and "suspect" in words)

    @property
    def was_measured(self) -> bool:
        """Whether its reload is compared, or would have been, with episodes of train time rather than with a claim."""
        if self.claim_kind:
            return self.claim_kind in ("in_place", "reference")
        return self.source in ("trained", "recorded")

    @property
    def obstacle(self) -> Obstacle:
        """Why the comparison must not decide; empty unless the model is inconclusive for that reason.

        Of inconclusive models only those without an obstacle are tested together, which gives them a ``q``. A claim
        that is beyond the margin and must not decide is of a kind that is biased; any other is too imprecise.
        """
        if self.verdict != "inconclusive" or self.q is not None:
            return ""
        if self.difference is None:
            return "no_claim"
        of_one_episode = self.claim_n is not None and self.claim_n < 2
        if of_one_episode or not self._is_beyond_the_margin:
            return "claim_too_imprecise"
        return OBSTACLE_OF_KIND.get(self.claim_kind, "")

    @property
    def _is_beyond_the_margin(self) -> bool:
        if self.ci_low is None or self.ci_high is None or self.margin is None:
            return False
        return self.ci_high < -self.margin or self.ci_low > self.margin


def spread(kind: str, std: float | None, n: int | None) -> float | None:
    """What is written after the ± of a claim: the standard deviation of its episodes, of a trend its standard error.

    :param n: episodes behind it; of a trend one less than its evaluations
    """
    return std / math.sqrt(n) if kind == "trend" and std is not None and n is not None and n > 0 else std


def finite(value: float | None) -> float | None:
    """The number, if it is finite; None for every other."""
    return value if value is not None and math.isfinite(value) else None
