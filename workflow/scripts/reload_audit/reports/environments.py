"""What is said of the health of environments: in the headline, on the console, in Markdown and JUnit XML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set

from reload_audit.judging.criteria import AS_BEFORE
from reload_audit.records.environment_health import CHECKER, VECTORIZED, EnvironmentHealth, EnvironmentProblem
from reload_audit.reports.audit import Audit
from reload_audit.reports.safe_text import one_line, sentences
from reload_audit.reports.short_fix import cause_page, short_fix

LONGEST_CALLED = 120
LONGEST_SENTENCE = 500
_TOLD = 20


def is_faulty(environment: EnvironmentHealth) -> bool:
    """Whether it is not reproducible, or something else is wrong with it."""
    return environment.reproducible is False or bool(environment.problems)


def state(environment: EnvironmentHealth) -> str:
    """``not reproducible``, ``reproducible``, that its checks fail, or that it is not known."""
    if environment.reproducible is None:
        return "not known to be reproducible"
    if not environment.reproducible:
        return "not reproducible"
    return "reproducible, but fails its checks" if environment.problems else "reproducible"


def worst_first(environments: Sequence[EnvironmentHealth]) -> list[EnvironmentHealth]:
    """Those that are not reproducible, then those with other faults, then those of which too little is known."""

    def concern(environment: EnvironmentHealth) -> tuple[bool, bool, bool, str]:
        known = environment.reproducible is not None
        return environment.reproducible is not False, not is_faulty(environment), known, environment.called

    return sorted(environments, key=concern)


def fragile(audit: Audit) -> set[str]:
    """Names of the models that earn what they earned, as far as can be told, in irreproducible environments."""
    irreproducible = {
        model for environment in audit.environments if environment.reproducible is False for model in environment.models
    }
    return {
        model.name
        for model in audit.models
        if model.name in irreproducible and model.verdict in (*AS_BEFORE, "improved")
    }


def environments_answer(environments: Sequence[EnvironmentHealth], *, alone: bool = False) -> str:
    """``1 of 3 environments is not reproducible, 1 fails its checks``; empty where all are in order, or not known.

    :param alone: whether nothing else is audited: then it is said of environments that are in order, too
    """
    total = len(environments)
    broken = sum(environment.reproducible is False for environment in environments)
    faulty = sum(_fails_checks(environment) for environment in environments)
    if not broken and not faulty:
        return _in_order(environments) if alone else ""
    whole = "the environment" if total == 1 else f"{broken or faulty:,} of {total:,} environments"
    fails = f"{_verb(faulty, 'fails its', 'fail their')} checks"
    if not broken:
        return f"{whole} {fails}"
    return f"{whole} {_verb(broken, 'is', 'are')} not reproducible" + (f", {faulty:,} {fails}" if faulty else "")


def _in_order(environments: Sequence[EnvironmentHealth]) -> str:
    """``both environments are reproducible, as far as a probe can see``, where no fault was found."""
    total = len(environments)
    unknown = sum(environment.reproducible is None for environment in environments)
    all_of_them = {1: "the environment is", 2: "both environments are"}.get(total, f"all {total:,} environments are")
    if not unknown:
        return f"{all_of_them} reproducible, as far as a probe can see"
    if unknown < total:
        return f"{unknown:,} of {total:,} environments {_verb(unknown, 'is', 'are')} not known to be reproducible"
    none_of_them = {1: "the environment", 2: "both environments"}.get(total, f"all {total:,} environments")
    return f"whether {none_of_them} {_verb(total, 'is', 'are')} reproducible is not known"


def about_environments(audit: Audit, known: Set[str] = frozenset()) -> Iterator[str]:
    """Lines of text on the environments with which something is wrong.

    :param known: sentences of evidence that are not to be said again
    """
    told = [one for one in worst_first(audit.environments) if is_faulty(one)]
    shaded = fragile(audit)
    for environment in told[:_TOLD]:
        models = len(environment.models)
        counted = f" ({models:,} model{'s' if models != 1 else ''})" if models else ""
        yield f"{one_line(environment.called, LONGEST_CALLED)}{counted}: {state(environment)}"
        for problem in environment.problems:
            yield from (f"  {line}" for line in about_problem(problem, known))
        kept = sum(model in shaded for model in environment.models)
        if kept:
            yield f"  {kept:,} of its models {_verb(kept, 'earns', 'earn')} as before, which with other draws may end"
    if len(told) > _TOLD:
        yield f"and {len(told) - _TOLD:,} more environments with faults"


def faults(environments: Sequence[EnvironmentHealth]) -> list[str]:
    """A line for each environment with faults: which."""
    return [
        f"{one_line(environment.called, LONGEST_CALLED)}: {state(environment)}: {faults_of(environment)}"
        for environment in worst_first(environments)
        if is_faulty(environment)
    ]


def faults_of(environment: EnvironmentHealth) -> str:
    """``global-generator, vectorized``: what is wrong with it, by name."""
    return ", ".join(dict.fromkeys(one_line(problem.name, LONGEST_CALLED) for problem in environment.problems))


def about_problem(problem: EnvironmentProblem, known: Set[str] = frozenset()) -> Iterator[str]:
    """What is wrong, its evidence and its fix, in lines.

    :param known: sentences that are not to be said again; the fix was said with them
    """
    first, *others = [sentences(said, LONGEST_SENTENCE) for said in problem.evidence if said not in known] or [
        "see above"
    ]
    yield f"{one_line(problem.name, LONGEST_CALLED)}: {first}"
    yield from (f"  {said}" for said in others)
    if not known & {*problem.evidence}:
        yield from (f"  {line}" for line in short_fix(problem.fix, cause_page(problem.name)))


def _fails_checks(environment: EnvironmentHealth) -> bool:
    """Whether it is not known to be irreproducible, but a check of it failed."""
    checks = any(problem.name in (CHECKER, VECTORIZED) for problem in environment.problems)
    return environment.reproducible is not False and checks


def _verb(count: int, one: str, many: str) -> str:
    return one if count == 1 else many
