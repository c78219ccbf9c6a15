"""What a careful user writes to look at one saved model again, with nothing but Stable-Baselines3.

usage: python -m throughput.script ENV MODEL.zip STATISTICS.pkl EPISODES
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv, VecNormalize


def main(env: str, path: str, statistics: str, episodes: int) -> None:
    """Evaluate and print what came of it.

    :param statistics: what VecNormalize learned, if there is such a file
    """
    torch.set_num_threads(1)
    venv: VecEnv = make_vec_env(env, n_envs=1, seed=0)
    if Path(statistics).exists():
        normalize = VecNormalize.load(statistics, venv)
        normalize.training = normalize.norm_reward = False
        venv = normalize
    model = PPO.load(path, device="cpu")
    rewards, _ = evaluate_policy(model, venv, n_eval_episodes=episodes, return_episode_rewards=True)
    print(json.dumps({"episodes": np.size(rewards), "reward": float(np.mean(rewards))}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
