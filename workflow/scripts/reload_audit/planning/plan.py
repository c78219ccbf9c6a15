"""The plan of an audit: all that Snakemake's rules ask for.

Which models are trained, which external models there are and in which batches, which environments are probed with
which model, what each job asks a cluster for, and digests of the code and files that decide its result. What goes to
Snakemake is plain data: it leaves dataclasses out when it compares params with those of the last run.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from reload_audit.planning import baseline, configuration, job_requests, remembered, training_specs, working_directory
from reload_audit.planning.compared import check_pairs, environments_of, names_of
from reload_audit.planning.discovery import find_models, proposal
from reload_audit.planning.discovery.usable import usable
from reload_audit.planning.experiments_check import check_experiments
from reload_audit.planning.job_code import JobCode, Source
from reload_audit.planning.job_requests import Request
from reload_audit.planning.probe_plan import ProbePlan
from reload_audit.planning.recognition import Recognition
from reload_audit.planning.resolved import ComparedPair, Configuration, TrainingData
from reload_audit.planning.scripts import as_external, is_outdated, planned_scripts
from reload_audit.planning.training_plan import TrainingPlan
from reload_audit.planning.watched_files import WatchedFiles, watched_files
from reload_audit.reading.named import at_home
from reload_audit.records.specs import ExternalSpec, ScriptSpec


@dataclass(frozen=True)
class Folders:
    """Where an audit writes, as Snakemake's path variables have it.

    :param results: the value of ``<results>``
    :param logs: the value of ``<logs>``
    """

    results: str
    logs: str


@dataclass(frozen=True, eq=False)
class Plan:
    """All that rules ask for, by the names that their wildcards hold: of a model, a batch or a probed environment.

    :param config: the resolved configuration
    :param source: the configuration's name, for messages
    :param folders: where the audit writes
    :param trained: training specs by the names of the models
    :param external: external models by their names
    :param passed_over: what lies beside them and is no model, though a user may have meant it as one
    :param scripts: scripts to observe, by their names
    :param code: digests of code
    :param now: when planning began, in seconds since 1970
    """

    config: Configuration
    source: str
    folders: Folders
    trained: Mapping[str, TrainingData]
    external: Mapping[str, ExternalSpec]
    passed_over: Sequence[str]
    scripts: Mapping[str, ScriptSpec]
    code: JobCode
    now: float

    # --- Models that are trained here ---

    @functools.cached_property
    def training(self) -> TrainingPlan:
        """All that training and reloading them takes."""
        return TrainingPlan(self.config, self.folders.results, self.trained, self.code)

    @functools.cached_property
    def reload_settings(self) -> dict[str, object]:
        """What ``specs.ReloadSpec.from_dict`` reads."""
        return {key: value for key, value in self.config["reload"].items() if key != "batch"}

    # --- External models ---

    @functools.cached_property
    def batches(self) -> dict[str, list[str]]:
        """The names of the external models of each batch."""
        size = self.config["reload"]["batch"] or find_models.usual_size(len(self.external))
        return find_models.batches(self.external, size)

    @functools.cache  # noqa: B019 there is one plan
    def _members(self, batch: str) -> list[ExternalSpec]:
        return [self.external[name] for name in self.batches[batch]]

    @functools.cache  # noqa: B019 there is one plan
    def batch_models(self, batch: str) -> list[dict[str, Any]]:
        """The models of a batch, as ``ExternalSpec.from_dict`` reads them."""
        return [model.to_dict() for model in self._members(batch)]

    @functools.cache  # noqa: B019 there is one plan
    def _batch_files(self, batch: str) -> WatchedFiles:
        return watched_files(self._members(batch), self.now)

    def batch_inputs(self, batch: str) -> list[str]:
        """The files of a batch that Snakemake watches."""
        return list(self._batch_files(batch).inputs)

    def batch_unwatched(self, batch: str) -> list[list[str | int]]:
        """Path, size and time stamp of the files of a batch that Snakemake cannot watch."""
        return [list(file) for file in self._batch_files(batch).unwatched]

    def batch_code(self, batch: str) -> str:
        """A digest of the code that decides what auditing a batch gives."""
        members, for_all = self._members(batch), [self.config["env_versions"], self.config["classes"]]
        paths = sorted({model.environment.python_path for model in members})
        named = {
            path: [model.to_dict() for model in members if model.environment.python_path == path] for path in paths
        }
        own = "".join(self.code.of_user([models, *for_all], path) for path, models in named.items())
        trusted = self.code.of_trusted_packages(folder for path in paths for folder in path)
        return self.code.of_script("audit_external.py") + own + trusted

    def batch_request(self, batch: str) -> Request:
        """What auditing a batch asks a cluster for."""
        return job_requests.batch_request([model.device for model in self._members(batch)], self.config["reload"])

    @functools.cached_property
    def external_policy(self) -> dict[str, object]:
        """What ``specs.ExternalPolicy.from_dict`` reads."""
        return {
            "evaluation": training_specs.evaluation_protocol(self.config),
            "trust": self.config["trust"],
            "env_versions": self.config["env_versions"],
            "classes": self.config["classes"],
            "max_bytes": self.config["reload"]["memory"] * 2**18,  # a quarter of what a process may hold
        }

    @functools.cached_property
    def audited_folders(self) -> list[str]:
        """The folders that external models are looked for in."""
        return [str(at_home(run if isinstance(run, str) else run["folder"])) for run in self.config["runs"]]

    # --- Environments ---

    @functools.cached_property
    def probing(self) -> ProbePlan:
        """All that probing environments takes."""
        return ProbePlan(
            self.config, self.trained, self.external, self.training, self.external_policy, self.code, self.now
        )

    # --- Scripts ---

    def script_spec(self, script: str) -> dict[str, object]:
        """How a script is run, as ``ScriptSpec.from_dict`` reads it."""
        return self.scripts[script].to_dict()

    def script_models(self, script: str) -> list[dict[str, object]]:
        """The models that a script may be about, as ``ExternalSpec.from_dict`` reads them."""
        return [model.to_dict() for model in self._models_of(script)]

    def script_inputs(self, script: str) -> list[str]:
        """The files of a script's models that Snakemake watches, and what says that those trained here are trained."""
        watched = watched_files(self._external_of(script), self.now).inputs
        return [*self.training.trained(self._trained_of(script)), *watched]

    def script_unwatched(self, script: str) -> list[list[str | int]]:
        """Path, size and time stamp of the files of a script's models that Snakemake cannot watch."""
        return [list(file) for file in watched_files(self._external_of(script), self.now).unwatched]

    def script_code(self, script: str) -> str:
        """A digest of the code that decides what observing a script gives: that of the script itself, and its lines."""
        spec = self.scripts[script]
        return self.code.of_script("observe.py") + self.code.of_users_script(spec.script, spec.cwd, spec.python_path)

    def script_request(self, script: str) -> Request:
        """What observing a script asks a cluster for."""
        spec = self.scripts[script]
        return job_requests.script_request(spec.timeout, spec.memory)

    def _models_of(self, script: str) -> list[ExternalSpec]:
        trained = [as_external(self.trained[name], self.folders.results) for name in self._trained_of(script)]
        return [*trained, *self._external_of(script)]

    def _trained_of(self, script: str) -> list[str]:
        """Names of the models trained here that a script may be about: all where the user does not say which."""
        name = self.scripts[script].model
        return [name] if name in self.trained else [] if name else [*self.trained]

    def _external_of(self, script: str) -> list[ExternalSpec]:
        name = self.scripts[script].model
        if name in self.external:
            return [self.external[name]]
        return [] if name in self.trained else [*self.external.values()]

    # --- All models together ---

    def model_records(self) -> list[str]:
        """The files with the records of all models."""
        return [*map(self.training.record, self.trained), *self._external_records()]

    def model_record_inputs(self) -> list[str]:
        """The outputs of rules that stand for the records of all models."""
        return [*self.training.reloaded(), *self._external_records()]

    def _external_records(self) -> list[str]:
        return [f"{self.folders.results}/external/{batch}.json" for batch in self.batches]

    def first_rules(self) -> list[str]:
        """The rule whose jobs start the first processes, as far as missing files tell; none where none is missing."""
        made = {
            "train": self.training.trained(self.trained),
            "audit_external": self._external_records(),
            "reload": self.training.reloaded(),
        }
        return [rule for rule, files in made.items() if not all(map(os.path.exists, files))][:1]

    def probe_records(self) -> list[str]:
        """The files with the records of all probes."""
        return [f"{self.folders.results}/probes/{probe}.json" for probe in self.probing.probes]

    def script_records(self) -> list[str]:
        """The files with the records of all scripts."""
        return [f"{self.folders.results}/scripts/{script}.json" for script in self.scripts]

    def scripts_to_observe_again(self) -> list[str]:
        """The records of scripts that read a file which has changed since: which they read, only their records say."""
        return [record for record in self.script_records() if is_outdated(Path(record), self.now)]

    @property
    def work(self) -> dict[str, dict[str, list[str]]]:
        """By rule and the values of a job's wildcards: the names of the models, environments or scripts it works on."""
        return {
            "train": self.training.batches,
            "reload": self.training.batches,
            "audit_external": self.batches,
            "probe": {name: [name] for name in self.probing.probes},
            "observe": {name: [name] for name in self.scripts},
        }

    def outputs(self, of_all: Sequence[str]) -> list[str]:
        """Everything that later jobs or people rely on.

        :param of_all: what is made of all records together
        """
        records = [*self._external_records(), *self.probe_records(), *self.script_records()]
        return [*self.training.files(), *records, *self.replay_files, *of_all]

    @functools.cached_property
    def aggregation_settings(self) -> dict[str, object]:
        """The part of the configuration that ``results.aggregate`` needs."""
        config = self.config
        return {"evaluation": config["evaluation"], "verdict": config["verdict"], "reload": self.reload_settings}

    @functools.cached_property
    def baseline_files(self) -> list[str]:
        """The ``audit.json`` of the baseline, where the user names one."""
        return baseline.baseline_files(self.config)

    @functools.cached_property
    def baseline_settings(self) -> Mapping[str, object] | None:
        """What ``results.aggregate`` needs to know of the baseline; None without one."""
        return baseline.baseline_settings(self.config, self.folders.results)

    @functools.cached_property
    def compared_pairs(self) -> list[ComparedPair]:
        """The candidates, each with the model that is shipping; without pairs that ``only`` leaves out."""
        known = {*self.trained, *self.external}
        return [pair for pair in self.config["compare"] if {pair["candidate"], pair["shipping"]} <= known]

    def compared_of_batch(self, batch: str) -> list[str]:
        """The names of the models of a batch of trained ones that are compared with other models."""
        return [name for name in self.training.members(batch) if name in names_of(self.config["compare"])]

    @functools.cached_property
    def history_files(self) -> list[str]:
        """The ``audit.json`` of each earlier audit of ``history``."""
        return baseline.history_files(self.config)

    @property
    def replay_files(self) -> list[str]:
        """The file with the replays of models; none where they are not asked for."""
        return [f"{self.folders.results}/replays.json"] if self.config["replay"] else []

    def replay_request(self) -> Request:
        """What filming two episodes of some models asks a cluster for."""
        devices = {*(spec["device"] for spec in self.trained.values()), *(one.device for one in self.external.values())}
        return job_requests.replay_request(sorted(devices) or ["cpu"], self.config["reload"])

    @property
    def compared_episodes(self) -> list[tuple[str, str, int]]:
        """The names of the models of each pair, each with the number of episodes that both run."""
        looks, episodes = self.config["verdict"]["looks"], self.config["evaluation"]["episodes"]
        pairs = [(pair["candidate"], pair["shipping"]) for pair in self.compared_pairs]
        return [(*pair, min(looks[-1], episodes) if {*pair} & self.trained.keys() else looks[-1]) for pair in pairs]

    def aggregation_request(self) -> Request:
        """What putting all records together asks a cluster for."""
        return job_requests.aggregation_request(len(self.trained) + len(self.external))

    # --- Before and after all jobs ---

    def warn_of_working_directory(self, own: Path, configuration_found: str, arguments: Sequence[str]) -> None:
        """Say on standard error what can run commands in the working directory, where that is audited: see there."""
        said = working_directory.warning(self.audited_folders, own, configuration_found, arguments)
        if said:
            print(said, file=sys.stderr)

    def remember_external_models(self) -> None:
        """Say how many external models there are, and write them down for the jobs, which then do not look for them."""
        if self.external:
            print(f"External models: {len(self.external)}", file=sys.stderr)
            if self.passed_over:
                print(f"Passed over: {'; '.join(self.passed_over)}", file=sys.stderr)
        remembered.write(self.folders.results, self.external.values(), self.passed_over)

    def keep_last_audit(self) -> None:
        """Keep the last audit, which this one replaces, where it is to be compared with that."""
        baseline.keep_last(self.config, self.folders.results)

    def check_experiments(self, script: Path) -> None:
        """Try every experiment's environment and algorithm, and leave the resolved configuration beside the results.

        :param script: ``workflow/scripts/check.py``
        :raises ConfigError: experiments cannot start
        """
        codes = f"{self.code.of_script('check.py')} {self.code.of_user(self.config['experiments'])}"
        check_experiments(
            training_specs.one_spec_per_n_envs(self.config),
            f"# Checked with {codes}\n{yaml.safe_dump(dict(self.config), sort_keys=False)}",
            Path(self.folders.results, "config.yaml"),
            script,
            self.source,
            Path(self.folders.logs, "check.log"),
            self.config["training"]["memory"],
            self.config["reload"]["isolation"],
        )

    def closing_words(self) -> str | None:
        """The summary of a finished audit, if it is about what is there now."""
        summary, audit = (Path(self.folders.results, name) for name in ("summary.txt", "audit.json"))
        if summary.exists() and summary.stat().st_mtime >= audit.stat().st_mtime:
            return summary.read_text(encoding="utf-8")
        return None


DEFAULT_CONFIGURATION = "config/config.yaml"


def default_configuration(source: Source) -> str:
    """The configuration where none is given: that of the working directory, else that of this workflow.

    :param source: gives the files of this workflow by their paths from ``workflow/``
    :raises ConfigError: it cannot be read; Snakemake would refuse it too, without saying which file it is
    """
    own = Path(DEFAULT_CONFIGURATION)
    file = own if own.exists() else source(f"../{DEFAULT_CONFIGURATION}")
    configuration.read_configuration(file)
    return str(file)


def make_plan(
    written: Mapping[str, Any], name: str, folders: Folders, source: Source, *, now: float, discover: bool
) -> Plan:
    """Resolve a configuration and find all models that it leads to.

    :param written: what the user wrote
    :param name: the configuration's name, for messages
    :param source: gives the files of this workflow by their paths from ``workflow/``
    :param now: seconds since 1970
    :param discover: whether this process looks for external models itself; if not, it reads what one that did wrote
        down, where there is that
    :raises ConfigError: the configuration cannot be used; one line says why for each problem
    """
    config = configuration.resolve(dict(written), _schema(source, "config"), name)
    top = source("Snakefile").parents[1]
    is_own = Path(name).resolve() == (top / DEFAULT_CONFIGURATION).resolve()
    config["python_path"] = configuration.on_python_path(config["python_path"], top, is_own=is_own)
    if discover:
        for folder in (folders.results, folders.logs):
            configuration.check_writable(folder)
        baseline.check_baseline(config, folders.results, name)
        baseline.check_history(config, name)
        configuration.check_python_path(config, name)
    trained = training_specs.trained_models(config)
    code = JobCode(source, config["python_path"], config["trust"])
    try:
        recognise = Recognition(config, source("scripts/recognise.py"), Path(folders.logs, "recognise.log"))
        external, passed_over = _external_models(
            config, folders, functools.partial(_schema, source), code, recognise, discover=discover
        )
    except find_models.Unanswered as question:
        raise configuration.ConfigError(proposal.with_proposal(question, config, written, folders.results)) from None
    everything = {*trained, *external}
    if discover and config["compare"]:
        check_pairs(config["compare"], environments_of(trained, external), name)
    if config["only"]:
        configuration.check_only(config["only"], [*trained, *external], name)
        trained = {model: spec for model, spec in trained.items() if model in config["only"]}
        external = {model: spec for model, spec in external.items() if model in config["only"]}
    scripts = planned_scripts(config, everything, name)
    if config["only"]:
        scripts = {script: spec for script, spec in scripts.items() if spec.model in config["only"]}
    return Plan(config, name, folders, trained, external, passed_over, scripts, code, now)


def _external_models(
    config: Configuration,
    folders: Folders,
    schema: Callable[[str], Any],
    code: JobCode,
    recognise: Recognition,
    *,
    discover: bool,
) -> tuple[Mapping[str, ExternalSpec], Sequence[str]]:
    """The external models by their names, and what was passed over."""
    if not discover and (known := remembered.read(folders.results)) is not None:
        return known
    found = find_models.find_models(config, schema("models"), schema("claims"), folders.results, recognise)
    compared = names_of(config["compare"])
    models = {model.model: model for model in usable(found.models, code.of_models)}
    marked = {name: replace(models[name], compared=True) for name in models if name in compared}
    return models | marked, found.passed_over


def _schema(source: Source, name: str) -> Any:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # several times as fast, where PyYAML was built with it
    return yaml.load(source(f"schemas/{name}.schema.yaml").read_text(encoding="utf-8"), loader)  # noqa: S506
