"""The grid of models that every contender trains: PPO on CartPole-v1, over seeds and numbers of environments."""

from __future__ import annotations

from typing import Any

ENV = "CartPole-v1"
SEEDS = (0, 1)
N_ENVS = (1, 4, 8)

GRID = [(seed, n_envs) for n_envs in N_ENVS for seed in SEEDS]
"""Pairs of a seed and a number of environments; the slow ones first, so that no core waits long at the end."""

HYPERPARAMS: dict[str, Any] = {
    "n_steps": 128,
    "batch_size": 128,
    "n_epochs": 10,
    "learning_rate": 0.001,
    "gamma": 0.98,
    "gae_lambda": 0.95,
}
