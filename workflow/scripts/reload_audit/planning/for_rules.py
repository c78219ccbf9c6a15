"""Functions of wildcards, as Snakemake calls them, made from functions of the plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from reload_audit.planning.job_requests import Request

T = TypeVar("T")


def by(wildcard: str, function: Callable[[str], T]) -> Callable[[Any], T]:
    """A function of wildcards that calls the given one with the value of one wildcard, such as the name of a model."""

    def of_wildcards(wildcards: Any) -> T:
        return function(getattr(wildcards, wildcard))

    return of_wildcards


def always(function: Callable[..., T], *arguments: Any) -> Callable[[Any], T]:
    """A function of wildcards that ignores them and calls the given one, not before a job needs its value."""

    def of_wildcards(wildcards: Any) -> T:  # noqa: ARG001 Snakemake gives it by position
        return function(*arguments)

    return of_wildcards


@dataclass(frozen=True)
class Asking:
    """What the jobs of a rule ask for, as its ``threads`` and ``resources``.

    :param request: what the job of some wildcards asks for
    """

    request: Callable[[Any], Request]

    def threads(self, wildcards: Any) -> int:
        """Cores."""
        return self.request(wildcards).threads

    def mem_mb(self, wildcards: Any, attempt: int) -> int:
        """MB of memory, more at each further attempt."""
        return self.request(wildcards).memory(attempt)

    def runtime(self, wildcards: Any, attempt: int) -> int:
        """Minutes, more at each further attempt."""
        return self.request(wildcards).minutes(attempt)

    def gpu(self, wildcards: Any) -> int | None:
        """GPUs; None for none."""
        return self.request(wildcards).gpu
