"""Probe one environment: every scenario in a fresh process, and whatever happens there is a result."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reload_audit.probing.contrasts import Contrasts
from reload_audit.probing.scenarios import Planned, Play, Result, Scenario
from reload_audit.processes import isolation
from reload_audit.processes.fork_servers import RELOAD_HASH_SEED, TRAIN_HASH_SEED
from reload_audit.processes.isolation import Failure, Method
from reload_audit.records.specs import FORMAT, EnvironmentSpec, ExternalPolicy
from reload_audit.records.storage import write_json

PRELOAD = ("stable_baselines3", "sb3_contrib", "time_machine", "yaml")
_MOST_TIMEOUTS = 2


@dataclass(frozen=True)
class ProbeSpec:
    """How environments are probed.

    :param seeds: episodes that each scenario measures, with the actions of each source
    :param steps: of an episode, at most
    :param episodes: that an instance runs before, where it is to be used
    :param isolation: where fresh processes come from
    :param timeout: seconds that one scenario may take
    :param memory: MiB that one scenario may hold
    """

    seeds: int
    steps: int
    episodes: int
    isolation: Method
    timeout: float
    memory: int

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ProbeSpec:
        return cls(**data)


def probe_environment(
    environment: Mapping[str, Any],
    model: Mapping[str, Any] | None,
    policy: ExternalPolicy | None,
    probe: ProbeSpec,
    record: Path,
    log: Path,
) -> None:
    """Probe an environment and write down what differs and why.

    :param environment: what ``probing.names.probed`` gave
    :param model: ``{"folder": ...}`` of a model that was trained in it here, what ``ExternalSpec.from_dict`` reads of
        one that others trained, or None
    :param policy: for a model that others trained
    :param record: the JSON file to write
    :param log: takes what the processes print
    """
    prober = Prober(environment, probe, log)
    isolation.prepare(probe.isolation, hash_seed=TRAIN_HASH_SEED, preload=PRELOAD)
    if prober.probe(model, policy):
        isolation.prepare(probe.isolation, hash_seed=RELOAD_HASH_SEED, preload=PRELOAD)
        prober.probe_hash_order()
    write_json(record, prober.result())


class Prober:
    """Probes one environment in two parts, because PYTHONHASHSEED is that of the whole fork server."""

    def __init__(self, environment: Mapping[str, Any], probe: ProbeSpec, log: Path) -> None:
        self._start = time.monotonic()
        self._environment = environment
        self._spec = EnvironmentSpec.from_dict(environment)
        self._probe = probe
        self._log = log
        self._plays: tuple[Play, ...] = ()
        self._trusted: tuple[str, ...] = ()
        self._timeouts = 0
        self._processes = 0
        self._contrasts = Contrasts(self._run, probe.episodes)
        self._rest: dict[str, Any] = {"failure": None, "checks": [], "vectorized": [], "remark": "", "model": ""}

    def probe(self, model: Mapping[str, Any] | None = None, policy: ExternalPolicy | None = None) -> bool:
        """Everything but hash order.

        :return: whether that remains to be done
        """
        planned = self._plan(model, policy)
        failure = planned if isinstance(planned, Failure) else None
        if isinstance(planned, Planned):
            self._spec, self._plays = planned.environment, planned.plays
            self._rest |= {"remark": planned.remark, "model": planned.model}
            failure = self._contrasts.compare()
        if failure is not None:
            self._rest["failure"] = {**asdict(failure), "message": _speaking(failure.message)}
            return False
        pair = [play for play in self._plays if play.source == "random"][:2]
        self._rest["checks"] = self._quoted("reload_audit.probing.checkers:check", self._spec, self._trusted)
        self._rest["vectorized"] = self._quoted(
            "reload_audit.probing.checkers:compare_vectorized", self._spec, pair, self._trusted
        )
        return True

    def probe_hash_order(self) -> None:
        """The rest, once fresh processes have another PYTHONHASHSEED."""
        self._contrasts.compare_hash_order()

    def result(self) -> dict[str, Any]:
        """What the file holds."""
        plays = [{"seed": play.seed, "actions": play.source, "steps": len(play.actions)} for play in self._plays]
        return {
            "format": FORMAT,
            "environment": dict(self._environment),
            "plays": plays,
            **asdict(self._contrasts.probed),
            **self._rest,
            "processes": self._processes,
            "seconds": time.monotonic() - self._start,
        }

    def _plan(self, model: Mapping[str, Any] | None, policy: ExternalPolicy | None) -> Any:
        """What is planned, or a failure."""
        size = (self._probe.seeds, self._probe.steps)
        if model is None:
            return self._call("reload_audit.probing.actions:plan_for_environment", self._spec, *size)
        if policy is None:
            return self._call("reload_audit.probing.actions:plan_for_trained", self._spec, model["folder"], *size)
        self._trusted = policy.trust
        return self._call("reload_audit.probing.actions:plan_for_found", self._spec, model, policy, *size)

    def _run(self, scenario: Scenario) -> Result | Failure:
        if self._timeouts >= _MOST_TIMEOUTS:
            return Failure("timeout", "not tried, because other scenarios did not finish in time", "")
        outcome: Result | Failure = self._call(
            "reload_audit.probing.scenario:run", self._spec, self._plays, scenario, self._trusted
        )
        return outcome

    def _quoted(self, target: str, *arguments: Any) -> list[dict[str, Any]]:
        value = self._call(target, *arguments)
        return [{"failure": asdict(value)}] if isinstance(value, Failure) else value

    def _call(self, target: str, *arguments: Any) -> Any:
        """The value, or a failure."""
        outcome = isolation.call(
            target,
            arguments,
            method=self._probe.isolation,
            log=self._log,
            timeout=self._probe.timeout,
            memory=self._probe.memory,
        )
        self._processes += 1
        self._timeouts += outcome.failure is not None and outcome.failure.kind == "timeout"
        return outcome.value if outcome.failure is None else outcome.failure


def _speaking(message: str) -> str:
    """Without the name of an error that was written for people."""
    return message.removeprefix("Unreadable: ").removeprefix("ImportProblem: ")
