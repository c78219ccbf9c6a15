"""Whether a script trained a model, by the numbers that it gives the algorithm and those in the model's zip."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from reload_audit.repository.stated import Model

COMPARED = (
    *("learning_rate", "n_steps", "batch_size", "n_epochs", "gamma", "gae_lambda", "ent_coef", "vf_coef"),
    *("max_grad_norm", "buffer_size", "learning_starts", "tau", "gradient_steps", "policy_delay"),
    *("exploration_fraction", "exploration_initial_eps", "exploration_final_eps", "seed"),
)
"""Arguments of algorithms that a zip has as they were given."""

_SEED = "seed"
"""It differs between runs of one script."""


class _Trained(Protocol):
    @property
    def hyperparameters(self) -> Mapping[str, float]: ...


def numbers(given: Mapping[str, object]) -> dict[str, float]:
    """Those arguments of an algorithm that are numbers, and that can be compared."""
    said = {key: given.get(key) for key in COMPARED}
    return {key: value for key, value in said.items() if isinstance(value, int | float) and not isinstance(value, bool)}


def that_trained(models: Sequence[Model], asked: _Trained) -> list[Model]:
    """Of the models of scripts those whose arguments are a zip's; all where none has them."""
    fitting = [model for model in models if not [*_other(model, asked)]] or [*models]
    return [model for model in fitting if _same(model, asked, _SEED)] or fitting


def doubts_about(models: Sequence[Model], asked: _Trained) -> list[str]:
    """Why none of the models of scripts can be a zip's as the scripts are now, in words; nothing where one can."""
    differing = [[*_other(model, asked)] for model in models]
    if not all(differing):
        return []
    said = [f"{model.place} gives {', '.join(other)}" for model, other in zip(models, differing, strict=True)]
    return [
        f"{one}: as it is now it did not train this model, and may say of its environment what was not so in training"
        for one in dict.fromkeys(said)
    ]


def _other(model: Model, asked: _Trained) -> Iterator[str]:
    """In which arguments a model of a script differs from a zip."""
    for key, value in model.hyperparameters.items():
        if key != _SEED and not _same(model, asked, key):
            yield f"{key} {value:g}, in its zip {asked.hyperparameters[key]:g}"


def _same(model: Model, asked: _Trained, key: str) -> bool:
    given, saved = model.hyperparameters.get(key), asked.hyperparameters.get(key)
    return given is None or saved is None or math.isclose(given, saved, rel_tol=1e-6)
