"""What the rule asks for that probes environments, each distinct one in a job."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from reload_audit.planning import job_requests, training_specs
from reload_audit.planning.job_code import JobCode
from reload_audit.planning.job_requests import Request
from reload_audit.planning.resolved import Configuration, EnvironmentData, TrainingData
from reload_audit.planning.training_plan import TrainingPlan
from reload_audit.planning.watched_files import watched_files
from reload_audit.records.probe_names import probe_name, probed
from reload_audit.records.specs import ExternalSpec


@dataclass(frozen=True)
class ProbedModel:
    """The model that stands for all models of an environment when that is probed: its own actions are tried too.

    :param trained: the name of a model that this workflow trains, or None
    :param external: an external model, or None
    :param environment: where no model is of it, as ``EnvironmentSpec.from_dict`` reads it
    """

    trained: str | None = None
    external: ExternalSpec | None = None
    environment: EnvironmentData | None = None


@dataclass(frozen=True, eq=False)
class ProbePlan:
    """All environments that are probed, by the names of their probes.

    :param config: the resolved configuration
    :param trained: training specs by the names of the models
    :param external: external models by their names
    :param training: says what training leaves
    :param policy: how external models may be loaded
    :param code: digests of code
    :param now: when planning began, in seconds since 1970
    """

    config: Configuration
    trained: Mapping[str, TrainingData]
    external: Mapping[str, ExternalSpec]
    training: TrainingPlan
    policy: dict[str, object]
    code: JobCode
    now: float

    @functools.cached_property
    def probes(self) -> dict[str, ProbedModel]:
        """For each distinct environment the model that stands for it.

        Models for which the user named the environment come before those whose files did: what a file names may not be
        imported. A VecEnv of the user's own cannot be probed, because its environments cannot be reached one by one.
        """
        first: dict[str, ProbedModel] = {}
        for name, spec in self.trained.items():
            if spec["environment"]["vec_env"] is None:
                first.setdefault(probe_name(spec["environment"]), ProbedModel(trained=name))
        for model in sorted(self.external.values(), key=lambda model: -len(model.named_by_user)):
            if model.problem is None and model.environment.env and model.environment.vec_env is None:
                first.setdefault(probe_name(model.environment.to_dict()), ProbedModel(external=model))
        for entry in self.config["environments"] if not self.config["only"] else ():
            environment = training_specs.probed_environment(self.config, entry)
            first.setdefault(probe_name(environment), ProbedModel(environment=environment))
        return first

    def environment(self, probe: str) -> dict[str, Any]:
        """An environment that is probed, as ``EnvironmentSpec.from_dict`` reads it."""
        model = self.probes[probe]
        if model.external is not None:
            return probed(model.external.environment.to_dict())
        return probed(model.environment or self.trained[model.trained or ""]["environment"])

    def inputs(self, probe: str) -> list[str]:
        """What says that a model is trained; of an external model the files that Snakemake can watch."""
        model = self.probes[probe]
        if model.external is not None:
            return list(watched_files([model.external], self.now).inputs)
        return self.training.trained([model.trained] if model.trained else [])

    def trained_model(self, probe: str) -> str | None:
        """The folder of the model that stands for an environment, if it is trained here."""
        model = self.probes[probe].trained
        return None if model is None else self.training.folder(model)

    def external_model(self, probe: str) -> dict[str, Any] | None:
        """The external model that stands for an environment, without claims, which decide nothing there."""
        model = self.probes[probe].external
        if model is None:
            return None
        unclaimed = replace(model, claim=None, evaluations=None, model_card=None, results=None, monitors=())
        return unclaimed.to_dict()

    def policy_of(self, probe: str) -> dict[str, object] | None:
        """How the external model that stands for an environment may be loaded."""
        return None if self.probes[probe].external is None else self.policy

    def code_of(self, probe: str) -> str:
        """A digest of the code that decides what probing an environment gives, which names lines of the user's code."""
        named = [self.environment(probe), self.config["env_versions"], self.config["classes"]]
        folders = named[0]["python_path"]
        trusted = self.code.of_trusted_packages(folders, with_lines=True)
        return self.code.of_script("probe.py") + self.code.of_user(named, folders, with_lines=True) + trusted

    def request(self, probe: str) -> Request:
        """What probing an environment asks a cluster for."""
        model = self.probes[probe]
        trained = self.trained[model.trained]["device"] if model.trained else "cpu"
        device = model.external.device if model.external else trained
        return job_requests.probe_request(device, self.config["reload"], self.config["probe"])

    @functools.cached_property
    def settings(self) -> dict[str, object]:
        """What ``jobs.probe.ProbeSpec.from_dict`` reads."""
        reload = self.config["reload"]
        return {**self.config["probe"], "isolation": reload["isolation"], "memory": reload["memory"]}
