"""A grid's ``learn`` calls and nothing else, in processes that have imported everything.

They are made as SB3 makes them, and then as this workflow does, which computes the same with fewer calls.

usage: python -m throughput.learning CORES TIMESTEPS
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from multiprocessing import get_context

from .grid import GRID, HYPERPARAMS


def learn(seed: int, n_envs: int, timesteps: int, as_here: bool) -> float:
    """Seconds that ``learn`` takes.

    :param as_here: as this workflow makes the call, and not as SB3 does
    """
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env

    from reload_audit.training.learning import learning

    torch.set_num_threads(1)
    model = PPO("MlpPolicy", make_vec_env("CartPole-v1", n_envs), seed=seed, device="cpu", **HYPERPARAMS)
    start = time.perf_counter()
    with learning(model) if as_here else nullcontext():
        model.learn(timesteps)
    return time.perf_counter() - start


def main(cores: int, timesteps: int) -> None:
    """Print the seconds of all together, and of each, as SB3 makes the calls and as this workflow does."""
    with ProcessPoolExecutor(cores, get_context("spawn")) as pool:
        warm = 2 * cores
        list(pool.map(learn, range(warm), [1] * warm, [256] * warm, [True, False] * cores))  # imports, first calls
        print(json.dumps([_measure(pool, timesteps, as_here) for as_here in (False, True)]))


def _measure(pool: ProcessPoolExecutor, timesteps: int, as_here: bool) -> dict[str, object]:
    seeds, n_envs = zip(*GRID, strict=True)
    start = time.perf_counter()
    each = list(pool.map(learn, seeds, n_envs, [timesteps] * len(GRID), [as_here] * len(GRID)))
    return {"seconds": time.perf_counter() - start, "each": each}


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
