"""What the rules ask for that train models and reload them, a batch in each job."""

# Paths are texts here: there are many.
# ruff: noqa: PTH116

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from reload_audit.planning import job_requests
from reload_audit.planning.job_code import JobCode
from reload_audit.planning.job_requests import Request
from reload_audit.planning.resolved import Configuration, TrainingData
from reload_audit.planning.training_batches import training_batches

_TRAINED, _RELOADED = "trained", "reloaded"


@dataclass(frozen=True, eq=False)
class TrainingPlan:
    """All models that are trained here, and the batches that they travel in.

    A rule's output says that a batch is finished. Each model has a folder and a record of its own, which say themselves
    what they are made of (``jobs/finished.py``): jobs that run again make only what has changed.

    :param config: the resolved configuration
    :param results: the folder of results
    :param models: training specs by the names of the models
    :param code: digests of code
    """

    config: Configuration
    results: str
    models: Mapping[str, TrainingData]
    code: JobCode

    @functools.cached_property
    def batches(self) -> dict[str, list[str]]:
        """Names of models by the name of their batch."""
        return training_batches(self.models)

    # --- What jobs do, and what decides it ---

    def members(self, batch: str) -> list[str]:
        """The names of the models of a batch."""
        return self.batches[batch]

    def specs(self, batch: str) -> list[TrainingData]:
        """How the models of a batch are trained and measured."""
        return [self.models[model] for model in self.batches[batch]]

    def codes(self, batch: str) -> list[str]:
        """For each model of a batch a digest of the code that decides what training it gives."""
        return [self.code_of(model) for model in self.batches[batch]]

    def reload_codes(self, batch: str) -> list[str]:
        """For each model of a batch a digest of the code that decides what reloading it gives."""
        return [self.reload_code_of(model) for model in self.batches[batch]]

    @functools.cached_property
    def limits(self) -> dict[str, object]:
        """What ``specs.Limits`` takes."""
        return {**self.config["training"], "isolation": self.config["reload"]["isolation"]}

    def code_of(self, model: str) -> str:
        """A digest of the code that decides what training a model gives."""
        return self.code.of_script("train.py") + self._user_code[self.models[model]["experiment"]]

    def reload_code_of(self, model: str) -> str:
        """A digest of the code that decides what reloading a model gives."""
        return self.code.of_script("reload.py") + self._user_code[self.models[model]["experiment"]]

    @functools.cached_property
    def _user_code(self) -> dict[str, str]:
        """Digests of the user's code by experiment, whose ``resources`` are left out: they decide no result."""
        return {
            experiment["name"]: self.code.of_user({**experiment, "resources": None})
            for experiment in self.config["experiments"]
        }

    # --- What jobs ask a cluster for ---

    @functools.cache  # noqa: B019 one plan a process; Snakemake asks once for each resource
    def request(self, batch: str) -> Request:
        """What training a batch asks a cluster for."""
        limits = self.config["training"]
        said = {experiment["name"]: experiment["resources"] for experiment in self.config["experiments"]}
        alone = [job_requests.training_request(spec, limits, said[spec["experiment"]]) for spec in self.specs(batch)]
        return job_requests.together(alone)

    def reload_request(self, batch: str) -> Request:
        """What reloading a batch asks a cluster for."""
        return job_requests.reload_request([spec["device"] for spec in self.specs(batch)], self.config["reload"])

    def priority(self, batch: str) -> float:
        """From 0 to 1, the higher the longer training a batch may take, so that the longest is not last and alone."""
        return 1.0 - 1.0 / (1.0 + sum(map(job_requests.expected_seconds, self.specs(batch))))

    # --- Files ---

    def folder(self, model: str) -> str:
        """The folder of a model that was trained."""
        return f"{self.results}/{_TRAINED}/{model}"

    def record(self, model: str) -> str:
        """The record of a model that was reloaded."""
        return f"{self.results}/{_RELOADED}/{model}.json"

    def trained(self, models: Iterable[str]) -> list[str]:
        """The outputs of rules that say that models are trained."""
        of_model = {model: batch for batch, members in self.batches.items() for model in members}
        return list(dict.fromkeys(self._output(_TRAINED, of_model[model]) for model in models))

    def reloaded(self) -> list[str]:
        """The outputs of rules that say that all models are reloaded."""
        return [self._output(_RELOADED, batch) for batch in self.batches]

    def files(self) -> list[str]:
        """All outputs of rules, folders and records."""
        outputs = [*(self._output(_TRAINED, batch) for batch in self.batches), *self.reloaded()]
        return [*outputs, *map(self.folder, self.models), *map(self.record, self.models)]

    def to_make_again(self, changed: Iterable[str]) -> list[str]:
        """The outputs of rules to make again: those behind changed files, and those of which something is missing.

        :param changed: any files; those of a model are made by its batch
        """
        behind = {file: output for output, files in self._made_with() for file in files}
        return list(dict.fromkeys([*(behind.get(file, file) for file in changed), *self._left_otherwise()]))

    def _made_with(self) -> Iterator[tuple[str, list[str]]]:
        """Each output of a rule, with the folders or records that are made with it."""
        for batch, models in self.batches.items():
            yield self._output(_TRAINED, batch), [*map(self.folder, models)]
            yield self._output(_RELOADED, batch), [*map(self.record, models)]

    def _left_otherwise(self) -> Iterator[str]:
        """Outputs of rules with a folder or record that was deleted since, or made in a batch of other models."""
        for output, files in self._made_with():
            finished = _time(output)
            if finished is not None and any((time := _time(file)) is None or time > finished for file in files):
                yield output

    def _output(self, kind: str, batch: str) -> str:
        return f"{self.results}/{kind}/.batches/{batch}.json"


def _time(path: str) -> int | None:
    """When a file was changed, in nanoseconds since 1970; None where there is none."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None
