"""Does a saved Stable-Baselines3 model still earn the reward it was trained to?

Plain Python, usable without Snakemake. Importing the package itself imports nothing else, so that
planning a workflow of ten thousand models stays cheap; each module says what it needs.
"""

import importlib
from typing import Any

__version__ = "0.2.0"

_HOMES = {
    "ReferenceRecorder": "training.recorder",
    "observe_as": "evaluation.wrappers",
    "record_reference": "training.recorder",
    "rescale_action": "evaluation.wrappers",
    "insert_zeros": "environments.past_observations",
    "zero_observations": "environments.past_observations",
    "NormalizeAsTrained": "remedies.normalize_as_trained",
    "load_statistics": "remedies.statistics_file",
    "save_statistics": "remedies.statistics_file",
    "unpicklable_parts": "remedies.unpicklable",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    """Import what people use in their own training scripts when they ask for it: it needs PyTorch and SB3."""
    if name in _HOMES:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
