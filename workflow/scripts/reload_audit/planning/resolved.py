"""The types of a resolved configuration: what ``config.schema.yaml`` describes, every default filled in.

They describe plain data, as YAML has it and as Snakemake hands it on to jobs.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from reload_audit.records.environment_spec import MonitorPlace, WrapperEntry


class EnvironmentSettings(TypedDict):
    """How an environment is built. What its keyword arguments are, only the environment knows."""

    env: str
    env_kwargs: dict[str, Any]
    wrappers: list[WrapperEntry]
    monitor: MonitorPlace
    vec_wrappers: list[WrapperEntry]


class TrainingSettings(TypedDict):
    """How a model is trained. What its hyperparameters are, only the algorithm knows."""

    algo: str
    total_timesteps: int
    checkpoint_every: int | None
    vec_env: str
    start_method: Literal["fork", "forkserver", "spawn"]
    hyperparams: dict[str, Any]
    device: str


class Experiment(EnvironmentSettings, TrainingSettings):
    """What to train: one model for each of the seeds and each of the numbers of environments."""

    name: str
    normalize: bool | dict[str, float | list[str]]
    frame_stack: int | None
    seeds: list[int]
    n_envs: list[int]
    resources: dict[str, int]


class FolderClaim(TypedDict, total=False):
    """What every model in a folder earned when it was trained, as a row of a table of claims says it of one."""

    mean: float
    std: float
    n: int
    kind: Literal["explicit", "best", "training"]


class Run(TypedDict, total=False):
    """A folder to look for external models in, and what the user says of every model in it.

    :param python_path: folders of Python modules for these models alone, searched before those of the configuration
    :param statistics: a pattern of the file's path, as seen from the model; None where there are none
    :param evaluations: likewise
    :param claim: likewise, of a file in the form of ``results.json``, or the claim itself
    """

    folder: str
    exclude: list[str]
    algo: str
    env: str
    env_kwargs: dict[str, Any]
    wrappers: list[WrapperEntry]
    monitor: MonitorPlace
    vec_wrappers: list[WrapperEntry]
    vec_env: str
    frame_stack: int | str | None
    n_envs: int | str
    deterministic: bool
    device: str
    classes: dict[str, str]
    python_path: list[str]
    statistics: str | None
    evaluations: str | None
    claim: FolderClaim | str


class Script(TypedDict, total=False):
    """A script of the user's that is run and observed, and how it is run."""

    script: str
    args: list[str | int | float]
    model: str
    cwd: str
    env: dict[str, str | int | float]
    timeout: int
    memory: int


class ProbedEnvironment(TypedDict, total=False):
    """An environment that is probed though no model is of it."""

    env: str
    env_kwargs: dict[str, Any]
    wrappers: list[WrapperEntry]


class Evaluation(TypedDict):
    """The episode protocol, without the looks, which the configuration has under ``verdict``."""

    episodes: int
    seed: int
    n_envs: int
    max_episode_steps: int


class Verdict(TypedDict):
    """When a difference counts: see ``judging.criteria.Criteria``."""

    alpha: float
    fdr: float
    margin_fraction: float
    margin_std: float
    looks: list[int]
    further_looks: list[int]
    seconds: float
    stop_when_retained: bool


class Training(TypedDict):
    """What training one model may take: seconds and MiB."""

    timeout: int
    memory: int


class Reload(TypedDict):
    """How models are reloaded: see ``specs.ReloadSpec``."""

    n_envs: list[int]
    other_vec_env: bool
    conditions: Literal["needed", "all"]
    batch: int | None
    isolation: Literal["forkserver", "spawn"]
    timeout: int
    memory: int


class Probe(TypedDict):
    """How each distinct environment is probed: see ``jobs.probe.ProbeSpec``."""

    seeds: int
    steps: int
    episodes: int
    timeout: int


class Gate(TypedDict):
    """What makes ``snakemake gate`` fail: verdicts, and what else: see ``config/README.md``."""

    fail_on: list[str]


class ComparedPair(TypedDict):
    """Two models on one environment, by name."""

    candidate: str
    shipping: str


class Configuration(TypedDict):
    """A resolved configuration. ``pathvars``, Snakemake's own key, may be there too."""

    experiments: list[Experiment]
    models: str | list[str]
    runs: list[str | Run]
    claims: str | list[str]
    environments: list[str | ProbedEnvironment]
    scripts: list[str | Script]
    trust: list[str]
    classes: dict[str, str]
    env_versions: dict[str, str]
    python_path: list[str]
    evaluation: Evaluation
    verdict: Verdict
    training: Training
    reload: Reload
    probe: Probe
    gate: Gate
    baseline: str | None
    compare: list[ComparedPair]
    history: list[str]
    replay: bool
    only: list[str]


class EnvironmentData(EnvironmentSettings):
    """An environment as plain data: what ``environment_spec.EnvironmentSpec.from_dict`` reads."""

    python_path: list[str]
    vec_env: str | None


class EvaluationData(Evaluation):
    """The episode protocol as plain data: what ``specs.EvaluationSpec.from_dict`` reads."""

    looks: list[int]


class TrainingData(TrainingSettings):
    """One model to train as plain data: what ``specs.TrainingSpec.from_dict`` reads."""

    model: str
    experiment: str
    seed: int
    n_envs: int
    environment: EnvironmentData
    evaluation: EvaluationData
