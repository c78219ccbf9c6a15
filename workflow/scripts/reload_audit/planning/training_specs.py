"""What a resolved configuration says of each model that is trained and of each environment, as plain data."""

from __future__ import annotations

from reload_audit.planning.resolved import (
    Configuration,
    EnvironmentData,
    EvaluationData,
    Experiment,
    ProbedEnvironment,
    TrainingData,
)
from reload_audit.records.environment_spec import WrapperSpec, vec_wrappers_of
from reload_audit.records.specs import VEC_ENV_KINDS


def trained_models(config: Configuration) -> dict[str, TrainingData]:
    """What to train: for every model's name its training spec, as plain data. Those of an experiment share parts."""
    models: dict[str, TrainingData] = {}
    for experiment in config["experiments"]:
        name, first = experiment["name"], experiment["seeds"][0]
        alike = [training_spec(config, experiment, first, n_envs) for n_envs in experiment["n_envs"]]
        for seed in experiment["seeds"]:
            for spec in alike:
                model = model_name(name, seed, spec["n_envs"])
                models[model] = {**spec, "model": model, "seed": seed}
    return models


def names_of_trained_models(config: Configuration) -> list[str]:
    """The names of the models that are trained."""
    return [
        model_name(experiment["name"], seed, n_envs)
        for experiment in config["experiments"]
        for seed in experiment["seeds"]
        for n_envs in experiment["n_envs"]
    ]


def one_spec_per_n_envs(config: Configuration) -> list[tuple[str, TrainingData]]:
    """Of each experiment and ``n_envs``, its place in the configuration and the training spec of its first seed."""
    return [
        (f"experiments[{index}] ({experiment['name']})", training_spec(config, experiment, experiment["seeds"][0], n))
        for index, experiment in enumerate(config["experiments"])
        for n in experiment["n_envs"]
    ]


def model_name(experiment: str, seed: int, n_envs: int) -> str:
    """The name of the model that an experiment trains with a seed and a number of environments."""
    return f"{experiment}-seed{seed}-n{n_envs}"


def training_spec(config: Configuration, experiment: Experiment, seed: int, n_envs: int) -> TrainingData:
    """Everything that decides how one model is trained and measured, and nothing else: see ``specs.TrainingSpec``."""
    own_vec_env = experiment["vec_env"] not in VEC_ENV_KINDS
    return {
        "model": model_name(experiment["name"], seed, n_envs),
        "experiment": experiment["name"],
        "seed": seed,
        "n_envs": n_envs,
        "algo": experiment["algo"],
        "total_timesteps": experiment["total_timesteps"],
        "checkpoint_every": experiment["checkpoint_every"],
        "vec_env": "dummy" if own_vec_env else experiment["vec_env"],
        "start_method": experiment["start_method"],
        "hyperparams": experiment["hyperparams"],
        "device": experiment["device"],
        "environment": {
            "env": experiment["env"],
            "env_kwargs": experiment["env_kwargs"],
            "wrappers": experiment["wrappers"],
            "monitor": experiment["monitor"],
            "vec_wrappers": [wrapper.to_plain() for wrapper in _vec_wrappers(experiment)],
            "python_path": config["python_path"],
            "vec_env": experiment["vec_env"] if own_vec_env else None,
        },
        "evaluation": evaluation_protocol(config),
    }


def probed_environment(config: Configuration, entry: str | ProbedEnvironment) -> EnvironmentData:
    """An environment that no model is of: see ``specs.EnvironmentSpec``.

    :param entry: of ``environments``
    """
    said: ProbedEnvironment = {"env": entry} if isinstance(entry, str) else entry
    return {
        "env": said["env"],
        "env_kwargs": said.get("env_kwargs", {}),
        "wrappers": said.get("wrappers", []),
        "monitor": "env",
        "vec_wrappers": [],
        "python_path": config["python_path"],
        "vec_env": None,
    }


def evaluation_protocol(config: Configuration) -> EvaluationData:
    """The episode protocol, looks included: see ``specs.EvaluationSpec``."""
    return {**config["evaluation"], "looks": config["verdict"]["looks"]}


def _vec_wrappers(experiment: Experiment) -> tuple[WrapperSpec, ...]:
    return vec_wrappers_of(
        experiment["vec_wrappers"],
        monitor=experiment["monitor"],
        normalize=experiment["normalize"],
        frame_stack=experiment["frame_stack"],
    )
