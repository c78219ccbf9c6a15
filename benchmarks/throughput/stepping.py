"""The floor of evaluating: one environment, stepped through a model's episodes with actions that are known already.

usage: python -m throughput.stepping ENV MODEL.zip STATISTICS.pkl EPISODES ACTIONS.npz
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import gymnasium as gym
import numpy as np

SEED = 1_000_000
"""Episode ``k`` is reset with ``SEED + k``, as the audit does it."""


def main(env_id: str, path: str, statistics: str, episodes: int, actions: Path) -> None:
    """Print how long the steps alone take; the actions are computed once and kept in a file."""
    if not actions.exists():
        np.savez(actions, *_actions(env_id, path, statistics, episodes))
    with np.load(actions) as kept:
        known = [list(kept[name]) for name in kept.files]
    env = gym.make(env_id)
    start = time.perf_counter()
    for index, chosen in enumerate(known):
        env.reset(seed=SEED + index)
        for action in chosen:
            env.step(action)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "steps": sum(map(len, known))}))


def _actions(env_id: str, path: str, statistics: str, episodes: int) -> list[np.ndarray]:
    """What the model does in each episode."""
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import VecNormalize

    torch.set_num_threads(1)
    model = PPO.load(path, device="cpu")
    normalize = None
    if Path(statistics).exists():
        normalize = VecNormalize.load(statistics, make_vec_env(env_id))
    env = gym.make(env_id)
    found = []
    for index in range(episodes):
        observation, _ = env.reset(seed=SEED + index)
        chosen, over = [], False
        while not over:
            seen = observation if normalize is None else normalize.normalize_obs(observation)
            chosen.append(model.predict(seen, deterministic=True)[0])
            observation, _, terminated, truncated, _ = env.step(chosen[-1])
            over = terminated or truncated
        found.append(np.asarray(chosen))
    return found


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), Path(sys.argv[5]))
