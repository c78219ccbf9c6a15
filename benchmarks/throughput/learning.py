"""The floor of training: a grid's ``learn`` calls and nothing else, in processes that have imported everything.

usage: python -m throughput.learning CORES TIMESTEPS
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from .grid import GRID, HYPERPARAMS


def learn(seed: int, n_envs: int, timesteps: int) -> float:
    """Seconds that ``learn`` takes."""
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env

    torch.set_num_threads(1)
    model = PPO("MlpPolicy", make_vec_env("CartPole-v1", n_envs), seed=seed, device="cpu", **HYPERPARAMS)
    start = time.perf_counter()
    model.learn(timesteps)
    return time.perf_counter() - start


def main(cores: int, timesteps: int) -> None:
    """Print the seconds of all together, and of each."""
    with ProcessPoolExecutor(cores, get_context("spawn")) as pool:
        list(pool.map(learn, range(2 * cores), [1] * 2 * cores, [256] * 2 * cores))  # imports, first calls
        seeds, n_envs = zip(*GRID, strict=True)
        start = time.perf_counter()
        each = list(pool.map(learn, seeds, n_envs, [timesteps] * len(GRID)))
        print(json.dumps({"seconds": time.perf_counter() - start, "each": each}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
