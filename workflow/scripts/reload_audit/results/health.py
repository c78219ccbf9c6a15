"""From the probe of an environment to its health: whether it is reproducible, what is wrong, and the fix."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from reload_audit.causes.catalogue import CAUSES
from reload_audit.causes.finding import Finding
from reload_audit.causes.fixes import ANY_MODEL, ModelToFix
from reload_audit.probing.conclusions import CAPTIONS, difference_sentence, findings
from reload_audit.reading.refusal import brief, shown
from reload_audit.records.environment_health import CHECKER, VECTORIZED, EnvironmentHealth, EnvironmentProblem
from reload_audit.records.environment_spec import EnvironmentSpec, WrapperSpec
from reload_audit.records.probe_record import CheckerReport, NotRun, ProbeRecord, VectorizedComparison
from reload_audit.results.judged_model import JudgedModel

_TITLES = {"gymnasium": "Gymnasium's checker", "stable_baselines3": "SB3's checker"}

_HARMLESS = re.compile(r"must be a (float|boolean)")
"""What checkers object to and a VecEnv converts: NumPy's numbers in place of Python's."""

_NOT_DETERMINISTIC = re.compile(r"determinis|not equivalent")
"""What checkers say of an environment that is not reproducible; the probe says why."""

_ASSERTED = "AssertionError: "
"""How a checker's error begins if it is about the environment; any other error means that it did not finish."""

_FIX_OF_SPACES = """\
# What reset() and step() return must lie in the observation space, with its shape and dtype.
# In __init__, bounds that hold:
self.observation_space = gym.spaces.Box(-np.inf, np.inf, shape, np.float32)
# in reset() and step():
observation = np.asarray(observation, dtype=self.observation_space.dtype)
"""


def health_of_environments(
    judged: Sequence[JudgedModel], probed: Mapping[str, ProbeRecord]
) -> Iterator[EnvironmentHealth]:
    """The health of each distinct environment of the models, by name; without models, of all that were probed."""
    groups: dict[str, list[JudgedModel]] = {}
    for model in judged:
        if model.environment is not None:
            groups.setdefault(model.probe, []).append(model)
    for name, group in sorted(groups.items()):
        environment, models = group[0].environment, [model.row.model or "" for model in group]
        if environment is not None:
            yield environment_health(name, environment, probed.get(name), models, group[0].evidence.model)
    for name in () if judged else sorted(probed):  # the user asked for the probe alone
        yield environment_health(name, EnvironmentSpec.from_dict(probed[name].environment), probed[name])


def environment_health(
    name: str,
    environment: EnvironmentSpec,
    probe: ProbeRecord | None,
    models: Sequence[str] = (),
    fixed: ModelToFix = ANY_MODEL,
) -> EnvironmentHealth:
    """The health of an environment.

    :param name: of its probe
    :param probe: what probing it found; None where it was not probed
    :param models: names of those in it
    :param fixed: one of them, for what fixes name
    """
    said = shown(called(environment))
    if probe is None:
        why = "a VecEnv of one's own cannot be probed" if environment.vec_env else "it was not probed"
        return EnvironmentHealth(name, said, tuple(models), None, (), (why,), "")
    found = findings(probe)
    problems = [*(_of_finding(one, fixed) for one in found), *_checkers(probe, known=bool(found))]
    problems += _vectorized(probe, alone=not problems)
    return EnvironmentHealth(
        name, said, tuple(models), _reproducible(probe, found), tuple(problems), tuple(_unknown(probe)), probe.remark
    )


def called(environment: EnvironmentSpec) -> str:
    """``corridor:Corridor(length=8) in FlattenObservation``: what tells an environment from its namesakes."""
    name = environment.env + _arguments(environment.env_kwargs)
    wrappers = [_short(wrapper) for wrapper in environment.wrappers]
    return " in ".join([name if environment.vec_env is None else f"{name} of {environment.vec_env}", *wrappers])


def _short(wrapper: WrapperSpec) -> str:
    return re.split(r"[.:]", wrapper.name)[-1] + _arguments(wrapper.kwargs)


def _arguments(arguments: object) -> str:
    if not isinstance(arguments, dict) or not arguments:
        return ""
    return f"({', '.join(f'{key}={brief(value)}' for key, value in arguments.items())})"


def _of_finding(finding: Finding, model: ModelToFix) -> EnvironmentProblem:
    cause = CAUSES[finding.cause]
    return EnvironmentProblem(
        name=finding.cause,
        explanation=cause.explanation,
        evidence=(finding.evidence,),
        where=str(finding.details.get("where") or ""),
        fix=cause.fix_for(model, finding.details),
    )


def _checkers(probe: ProbeRecord, *, known: bool) -> Iterator[EnvironmentProblem]:
    """What environment checkers end with, as one problem: often it is the same of both.

    :param known: whether the probe found a fault, which then is why the checkers saw other episodes
    """
    failed = [
        report
        for report in _ended(probe)
        if str(report.error).startswith(_ASSERTED)
        and not _HARMLESS.search(str(report.error))
        and not (known and _NOT_DETERMINISTIC.search(str(report.error)))
    ]
    if not failed:
        return
    yield EnvironmentProblem(
        name=CHECKER,
        explanation="It does not keep to what it declares: its spaces, or how environments are to be used.",
        evidence=tuple(f"{_title(report)}: {str(report.error).removeprefix(_ASSERTED)}" for report in failed),
        where=next((str(report.where) for report in failed if report.where is not None), ""),
        fix=_FIX_OF_SPACES if any("space" in str(report.error) for report in failed) else "",
    )


def _ended(probe: ProbeRecord) -> list[CheckerReport]:
    """The checkers that ended with an error."""
    return [report for report in probe.checks if isinstance(report, CheckerReport) and report.error is not None]


def _title(report: CheckerReport) -> str:
    return _TITLES.get(report.checker, report.checker)


def _vectorized(probe: ProbeRecord, *, alone: bool) -> Iterator[EnvironmentProblem]:
    """Where episodes in a VecEnv are not those of single environments.

    :param alone: whether nothing else is wrong that may explain it
    """
    compared = [one for one in probe.vectorized if isinstance(one, VectorizedComparison)]
    evidence = tuple(
        f"In a {one.vec_env} of {one.n_envs}: {difference_sentence(one.difference)}."
        for one in compared
        if one.difference is not None
    )
    if not evidence:
        return
    yield EnvironmentProblem(
        name=VECTORIZED,
        explanation="In a VecEnv it does not give the episodes that it gives alone"
        + ("." if alone else ", which what else is wrong with it may explain."),
        evidence=evidence,
        where="",
        fix="",
    )


def _reproducible(probe: ProbeRecord, found: Sequence[Finding]) -> bool | None:
    """Whether every contrast gives the same episodes; None where none is seen to differ, but not all could be seen.

    :param found: its faults: one that rests on no contrast, but on a number that was set, leaves it open
    """
    compared = probe.effects.contrasts.values()
    if any(one.differs for one in compared):
        return False
    seen = all(one.differs is not None for one in compared)
    return True if probe.failure is None and seen and not found else None


def _unknown(probe: ProbeRecord) -> Iterator[str]:
    if probe.failure is not None:
        return  # the problem that it does not run says so
    for contrast, compared in probe.effects.contrasts.items():
        if compared.failure is not None:
            yield f"whether episodes differ with {CAPTIONS[contrast]}: {compared.failure.message}"
        elif compared.differs is None:
            yield f"whether episodes differ with {CAPTIONS[contrast]}: they differ from run to run"
    yield from (
        f"{_title(report)} did not finish: {report.error}"
        for report in _ended(probe)
        if not str(report.error).startswith(_ASSERTED)
    )
    parts = (("environment checkers", probe.checks), ("episodes in a VecEnv", probe.vectorized))
    for what, results in parts:
        yield from (f"{what}: {one.failure.message}" for one in results if isinstance(one, NotRun))
