"""What ``audit.json`` says of the health of an environment, and reports show."""

from __future__ import annotations

from dataclasses import dataclass

from reload_audit.records.plain_data import PlainData

CHECKER = "environment-checker"
VECTORIZED = "vectorized"
"""Names of the problems that are no causes of a lost reward: what checkers say, and other episodes in a VecEnv."""


@dataclass(frozen=True)
class EnvironmentProblem(PlainData):
    """One thing that is wrong with an environment.

    :param name: of a cause; ``environment-checker`` or ``vectorized`` for what else may be wrong
    :param explanation: what it is, in one sentence
    :param evidence: sentences with the numbers
    :param where: ``file:line in function``; empty where no line is known
    :param fix: code to paste; empty where there is none
    """

    name: str
    explanation: str
    evidence: tuple[str, ...]
    where: str
    fix: str


@dataclass(frozen=True)
class EnvironmentHealth(PlainData):
    """A distinct environment of an audit: whether it is reproducible, and what is wrong with it.

    :param name: of its probe
    :param called: its id, with the arguments and wrappers that make it another one than its namesakes
    :param models: names of the models in it
    :param reproducible: whether episodes follow from seed and actions, as far as the probe can see; None where it
        could not look
    :param problems: the most specific first
    :param unknown: what could not be looked at, and why, one sentence each
    :param remark: what was probed in place of it, or how; empty for nothing
    """

    name: str
    called: str
    models: tuple[str, ...]
    reproducible: bool | None
    problems: tuple[EnvironmentProblem, ...]
    unknown: tuple[str, ...]
    remark: str
