"""Probe one environment: every scenario in a fresh process; a process that fails is part of the result."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reload_audit.probing.contrasts import Contrasts
from reload_audit.probing.scenario import Planned, Result, Scenario
from reload_audit.processes import isolation
from reload_audit.processes.fork_servers import RELOAD_HASH_SEED, TRAIN_HASH_SEED
from reload_audit.processes.full_disk import is_of_the_machine
from reload_audit.processes.isolation import Method
from reload_audit.processes.job_log import log_traceback
from reload_audit.processes.notes import Note, leave
from reload_audit.processes.outcome import Failure
from reload_audit.reading.refusal import unforeseen
from reload_audit.records.environment_spec import EnvironmentSpec
from reload_audit.records.probe_record import CheckerReport, NotRun, PlayedEpisode, ProbeRecord, VectorizedComparison
from reload_audit.records.specs import ExternalPolicy, ExternalSpec
from reload_audit.records.storage import json_text

_RUN, _CHECK = "reload_audit.probing.run_scenario:run", "reload_audit.probing.checkers:check"

PRELOAD = (
    "stable_baselines3",
    "sb3_contrib",
    "yaml",
    "time_machine",
    *(target.partition(":")[0] for target in (_RUN, _CHECK)),
)
_MOST_TIMEOUTS = 2
"""Scenarios that may take too long before no further one is tried."""


@dataclass(frozen=True)
class ProbeSpec:
    """How environments are probed.

    :param seeds: episodes that each scenario measures, with the actions of each source
    :param steps: of an episode, at most
    :param episodes: how many an instance runs before the measured one, in scenarios with a used instance
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
    model: Path | ExternalSpec | None,
    policy: ExternalPolicy | None,
    probe: ProbeSpec,
    record: Path,
    log: Path,
) -> None:
    """Probe an environment and write down what differs and why, or what kept this process from finding that out.

    :param environment: what ``records.probe_names.probed`` gave
    :param model: the folder of a model that this workflow trained in the environment, or an external model; episodes
        with its actions are run besides those with random ones
    :param policy: for an external model
    :param record: the JSON file to write
    :param log: takes what the processes print
    """
    prober = Prober(environment, probe, log)
    try:
        isolation.prepare(probe.isolation, hash_seed=TRAIN_HASH_SEED, preload=PRELOAD)
        if prober.probe(model, policy):
            isolation.prepare(probe.isolation, hash_seed=RELOAD_HASH_SEED, preload=PRELOAD)
            prober.probe_hash_order()
        found = prober.record()
        ProbeRecord.from_dict(json.loads(json_text(found.to_dict())))
    except Exception as error:
        if is_of_the_machine(error):
            raise
        log_traceback(log)
        found = Prober(environment, probe, log).given_up(f"it cannot be probed: {unforeseen(error)}")
    found.write(record)


class Prober:
    """Probes one environment in two parts, because PYTHONHASHSEED is that of the whole fork server."""

    def __init__(self, environment: Mapping[str, Any], probe: ProbeSpec, log: Path) -> None:
        self._start = time.monotonic()
        self._environment = environment
        self._spec = EnvironmentSpec.from_dict(environment)
        self._probe = probe
        self._log = log
        self._planned = Planned(self._spec, "", (), "")
        self._trusted: tuple[str, ...] = ()
        self._timeouts = 0
        self._processes = 0
        self._contrasts = Contrasts(self._run, probe.episodes)
        self._failure: Failure | None = None
        self._checks: tuple[CheckerReport | NotRun, ...] = ()
        self._vectorized: tuple[VectorizedComparison | NotRun, ...] = ()

    def probe(self, model: Path | ExternalSpec | None = None, policy: ExternalPolicy | None = None) -> bool:
        """Do everything but the contrast of hash order.

        :return: whether that remains to be done
        """
        planned = self._plan(model, policy)
        if isinstance(planned, Failure):
            self._failure = planned
        else:
            self._planned = planned
            self._failure = self._contrasts.compare()
        if self._failure is not None:
            return False
        self._check()
        return True

    def probe_hash_order(self) -> None:
        """Do the rest, once fresh processes have another PYTHONHASHSEED."""
        self._contrasts.compare_hash_order()

    def given_up(self, why: str) -> ProbeRecord:
        """What is recorded where probing raised what nobody foresaw."""
        self._failure = Failure("exception", why, "")
        return self.record()

    def record(self) -> ProbeRecord:
        """What is known by now."""
        return ProbeRecord(
            environment=self._environment,
            plays=tuple(PlayedEpisode(play.seed, play.source, len(play.actions)) for play in self._planned.plays),
            effects=self._contrasts.effects,
            failure=self._failure,
            checks=self._checks,
            vectorized=self._vectorized,
            remark=self._planned.remark,
            model=self._planned.model,
            processes=self._processes,
            seconds=time.monotonic() - self._start,
        )

    def _plan(self, model: Path | ExternalSpec | None, policy: ExternalPolicy | None) -> Planned | Failure:
        size = (self._probe.seeds, self._probe.steps)
        planned: Planned | Failure
        if isinstance(model, ExternalSpec):
            assert policy is not None, "an external model comes with a policy"
            self._trusted = policy.trust
            planned = self._call("reload_audit.probing.actions:plan_for_external", self._spec, model, policy, *size)
        elif model is not None:
            planned = self._call("reload_audit.probing.actions:plan_for_trained", self._spec, model.absolute(), *size)
        else:
            planned = self._call("reload_audit.probing.actions:plan_for_environment", self._spec, *size)
        return planned

    def _run(self, scenario: Scenario) -> Result | Failure:
        if self._timeouts >= _MOST_TIMEOUTS:
            return Failure("timeout", "not tried, because other scenarios did not finish in time", "")
        planned = self._planned
        outcome: Result | Failure = self._call(_RUN, planned.environment, planned.plays, scenario, self._trusted)
        return outcome

    def _check(self) -> None:
        """Ask the checkers of Gymnasium and SB3, and compare vectorised environments with single ones."""
        spec = self._planned.environment
        checks = self._call(_CHECK, spec, self._trusted)
        self._checks = (NotRun(checks),) if isinstance(checks, Failure) else checks
        plays = [play for play in self._planned.plays if play.source == "random"][:2]
        compared = self._call("reload_audit.probing.checkers:compare_vectorized", spec, plays, self._trusted)
        self._vectorized = (NotRun(compared),) if isinstance(compared, Failure) else compared

    def _call(self, target: str, *arguments: Any) -> Any:
        """What a function returns in a fresh process, or why it returned nothing."""
        outcome = isolation.call(
            target,
            arguments,
            method=self._probe.isolation,
            log=self._log,
            timeout=self._probe.timeout,
            memory=self._probe.memory,
        )
        self._processes += 1
        leave(self._log, Note(doing="probing", done=self._processes, unit="runs" if self._processes > 1 else "run"))
        self._timeouts += outcome.failure is not None and outcome.failure.kind == "timeout"
        return outcome.value if outcome.failure is None else outcome.failure
