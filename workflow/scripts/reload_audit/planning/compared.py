"""Pairs of models that are compared with each other: whether there are such models, on one environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reload_audit.planning.configuration import ConfigError
from reload_audit.planning.resolved import ComparedPair, TrainingData
from reload_audit.planning.schema_messages import closest
from reload_audit.records.specs import ExternalSpec

Environments = Mapping[str, tuple[str, object]]
"""By the names of models, the id of the environment of each, and its arguments; an empty id where it is not known."""


def environments_of(trained: Mapping[str, TrainingData], external: Mapping[str, ExternalSpec]) -> Environments:
    """The environments of all models."""
    ours = {name: (spec["environment"]["env"], spec["environment"]["env_kwargs"]) for name, spec in trained.items()}
    return {**ours, **{name: (spec.environment.env, spec.environment.env_kwargs) for name, spec in external.items()}}


def names_of(pairs: Sequence[ComparedPair]) -> set[str]:
    """The names of all models that are compared with another one."""
    return {name for pair in pairs for name in (pair["candidate"], pair["shipping"])}


def check_pairs(pairs: Sequence[ComparedPair], environments: Environments, source: str) -> None:
    """Check that both models of each pair are there, and are on one environment.

    :param source: the configuration's name, for messages
    :raises ConfigError: they are not
    """
    problems = []
    for index, pair in enumerate(pairs):
        names = (pair["candidate"], pair["shipping"])
        unknown = [name for name in names if name not in environments]
        where = f"{source}: compare[{index}]"
        problems += [f"{where}: there is no model {name!r}{closest(name, environments)}" for name in unknown]
        if unknown:
            continue
        if names[0] == names[1]:
            problems.append(f"{where}: expected two models, found {names[0]!r} twice")
        one, other = (environments[name] for name in names)
        if one[0] and other[0] and one != other:
            problems.append(
                f"{where}: expected two models on one environment, found {names[0]!r} on {one[0]} {one[1]} and "
                f"{names[1]!r} on {other[0]} {other[1]}"
            )
    if problems:
        raise ConfigError("\n".join(problems))
