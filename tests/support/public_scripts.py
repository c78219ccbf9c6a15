"""Evaluation scripts as they stand in public repositories: long, with arguments, settings, records and helpers."""

from __future__ import annotations

from support.scripts import Case

ARGUMENTS = """
import argparse

import gymnasium as gym
import numpy as np
import planted
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize


def get_algo(path):
    if "a2c" in path.lower():
        return A2C
    if "dqn" in path.lower():
        return DQN
    return PPO


def parse_args():
    p = argparse.ArgumentParser(description="Evaluate a trained agent")
    p.add_argument("--model-path", type=str, default="a2c_runs/../PPO.zip")
    p.add_argument("--episodes", type=int, default=20)
    p.add_argument("--render", action="store_true")
    return p.parse_args()


if __name__ == "__main__":
    args = parse_args()
    __import__("os").makedirs("a2c_runs", exist_ok=True)
    venv = DummyVecEnv([lambda: gym.make("Gauge-v0")])
    venv = VecNormalize.load("PPO.pkl", venv)
    venv.training = False
    venv.norm_reward = False
    venv.seed(42)
    model = get_algo(args.model_path).load(args.model_path, env=venv)
    returns, lengths = [], []
    for i in range(args.episodes):
        obs = venv.reset()
        done = np.array([False])
        ret, n = 0.0, 0
        while not done.all():
            if args.render:
                venv.render("human")
            a, _ = model.predict(obs, deterministic=True)
            obs, r, done, info = venv.step(a)
            ret += float(r[0])
            n += 1
        returns.append(ret)
        lengths.append(n)
        print(f"[{i + 1}/{args.episodes}] return={ret:.1f} length={n}")
    print("=" * 40)
    print(f"Return: {np.mean(returns):.2f} +- {np.std(returns):.2f}")
"""

CALLED_OFTEN = """
import numpy as np
import planted
from stable_baselines3 import A2C
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize


def run_episode(seed, deterministic):
    venv = DummyVecEnv([lambda: planted.Gauge("discrete", early=True)])
    venv = VecNormalize.load("A2C.pkl", venv)
    venv.training = False
    venv.norm_reward = False
    venv.seed(seed)
    model = A2C.load("A2C.zip")
    obs = venv.reset()
    total, done = 0.0, False
    while not done:
        act, _ = model.predict(obs, deterministic=deterministic)
        obs, rew, dones, _ = venv.step(act)
        done = dones[0]
        total += rew[0]
    venv.close()
    return total


scores = [run_episode(s, True) for s in range(30)]
print("score: %.2f (+/- %.2f)" % (np.mean(scores), np.std(scores)))
"""

BATCH = """
import pickle

import numpy as np
import planted
from stable_baselines3 import PPO

model = PPO.load("PPO.zip")
with open("PPO.pkl", "rb") as f:
    stats = pickle.load(f)
envs = [planted.gym.make("Gauge-v0") for _ in range(10)]
obs = np.stack([e.reset(seed=i)[0] for i, e in enumerate(envs)])
ret, alive = np.zeros(10), np.ones(10, bool)
while alive.any():
    acts, _ = model.predict(stats.normalize_obs(obs), deterministic=True)
    for i, e in enumerate(envs):
        if alive[i]:
            o, r, term, trunc, _ = e.step(acts[i])
            obs[i] = o
            ret[i] += r
            alive[i] = not (term or trunc)
print("returns", ret, "mean", ret.mean())
"""

OWN_COPY = """
import pickle
import shutil

import numpy as np
import planted
from stable_baselines3 import A2C

FACTOR = 1.0


class Gauge(planted.Gauge):
    '''The environment, since then in other units.'''

    def observe(self):
        return super().observe() * np.float32(FACTOR)


class RewardLogger(planted.gym.Wrapper):
    def __init__(self, env, verbose=0):
        super().__init__(env)
        self.history = []

    def step(self, action):
        result = self.env.step(action)
        self.history.append(result[1])
        return result


shutil.copy("A2C.zip", "best_so_far.zip")
stats = pickle.load(open("A2C.pkl", "rb"))
env = Gauge("discrete", early=True)
model = A2C.load("best_so_far")
scores = []
for i in range(30):
    obs, _ = env.reset(seed=i)
    over, s = False, 0
    while not over:
        a, _ = model.predict(stats.normalize_obs(obs), deterministic=True)
        obs, r, te, tr, _ = env.step(int(a))
        over = te or tr
        s += r
    scores.append(s)
print("Average score over %d episodes: %s" % (len(scores), np.mean(scores)))
"""

WATCHED = """
import gymnasium as gym
import planted
from gymnasium.wrappers import RecordEpisodeStatistics
from stable_baselines3 import DQN
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize


class RewardLogger(gym.Wrapper):
    def __init__(self, env, verbose=True):
        super().__init__(env)
        self.hist = []

    def step(self, action):
        o, r, te, tr, i = self.env.step(action)
        self.hist.append(r)
        return o, r, te, tr, i


def build(render=False):
    env = planted.Gauge("discrete")
    env = planted.SwapsActions(env)
    env = RecordEpisodeStatistics(env, buffer_length=15)
    return env


venv = VecNormalize.load("DQN.pkl", DummyVecEnv([build]))
venv.training = False; venv.norm_reward = False
venv.seed(2)
model = DQN.load("DQN")
for ep in range(15):
    obs = venv.reset()
    done, tot = False, 0
    while not done:
        action, _ = model.predict(obs, deterministic=True)
        obs, rew, done, info = venv.step(action)
        tot += rew
    print(f"Episode {ep}: reward = {tot}, and as recorded {info[0]['episode']['r']}")
"""

PLOTS = """
import json
from collections import defaultdict

import gymnasium as gym
import planted
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

try:
    import matplotlib.pyplot as plt
except ImportError:
    plt = None


class Stats:
    def __init__(self):
        self.data = defaultdict(list)

    def add(self, **kw):
        for k, v in kw.items():
            self.data[k].append(float(v))


def make_env():
    return lambda: gym.make("Gauge-v0")


def evaluate(model, env, n_episodes):
    stats, cum = Stats(), 0
    for ep in range(n_episodes):
        obs = env.reset()
        ep_reward, steps = 0, 0
        while True:
            action, _ = model.predict(obs, deterministic=True)
            obs, reward, done, info = env.step(action)
            ep_reward += reward[0]
            steps += 1
            if done:
                break
        cum += ep_reward
        stats.add(reward=ep_reward, steps=steps)
        print("Episode", ep, "reward", round(float(ep_reward), 2), "steps", steps, "avg", cum / (ep + 1))
    return stats


env = VecMonitor(DummyVecEnv([make_env()]))
env.seed(11)
model = PPO.load("PPO.zip")
stats = evaluate(model, env, 20)
with open("stats.json", "w") as f:
    json.dump(stats.data, f)
if plt is not None:
    plt.plot(stats.data["reward"])
    plt.savefig("rewards.png")
    plt.show()
"""

SETTINGS = """
import json
import os
from dataclasses import dataclass

import numpy as np
import planted
import stable_baselines3 as sb3
import yaml
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

CONFIG = '''
algo: SAC
model: SAC.zip
stats: SAC.pkl
env_kwargs: {action: wide}
episodes: 20
deterministic: false
'''


@dataclass
class Cfg:
    algo: str
    model: str
    stats: str
    env_kwargs: dict
    episodes: int
    deterministic: bool


def main(cfg):
    env = make_vec_env(planted.Gauge, n_envs=1, seed=5, env_kwargs=cfg.env_kwargs)
    if os.path.exists(cfg.stats):
        env = VecNormalize.load(cfg.stats, env)
        env.training = False
        env.norm_reward = False
    model = getattr(sb3, cfg.algo).load(cfg.model)
    obs, ep_rew, ep_rews = env.reset(), 0, []
    while len(ep_rews) < cfg.episodes:
        action, _ = model.predict(obs, deterministic=cfg.deterministic)
        obs, rew, done, info = env.step(action)
        ep_rew += rew[0]
        if done[0]:
            print(f"ep {len(ep_rews)}: {ep_rew:.3f}")
            ep_rews.append(ep_rew)
            ep_rew = 0
    print(json.dumps({"mean": float(np.mean(ep_rews)), "std": float(np.std(ep_rews))}))


main(Cfg(**yaml.safe_load(CONFIG)))
"""

WORKERS = """
import gymnasium as gym
import numpy as np
import planted
from stable_baselines3 import PPO
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import SubprocVecEnv, VecNormalize


def make_env(env_id, rank, seed=0):
    def _init():
        env = gym.make(env_id)
        env.reset(seed=seed + rank)
        return env

    set_random_seed(seed)
    return _init


if __name__ == "__main__":
    num_cpu = 2
    env = SubprocVecEnv([make_env("Gauge-v0", i) for i in range(num_cpu)], start_method="fork")
    env = VecNormalize(env, norm_obs=True, norm_reward=False, training=False)  # as in training
    model = PPO.load("PPO", env=env)
    obs = env.reset()
    ep, finished = np.zeros(num_cpu), []
    for _ in range(120):
        action, _states = model.predict(obs, deterministic=True)
        obs, rewards, dones, info = env.step(action)
        ep += rewards
        for i, d in enumerate(dones):
            if d:
                finished.append(ep[i])
                ep[i] = 0
    print("Mean reward over", len(finished), "episodes:", np.mean(finished))
    env.close()
"""

DROPS = """
import numpy as np
import planted
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

env = VecNormalize.load("Drops.pkl", DummyVecEnv([planted.Gauge]))
env.training = env.norm_reward = False
env.seed(7)
torch.manual_seed(7)
model = PPO.load("Drops")
model.policy.eval()
scores = []
for i in range(20):
    obs, d, R = env.reset(), [False], 0
    while not d[0]:
        with torch.no_grad():
            a, v, lp = model.policy(model.policy.obs_to_tensor(obs)[0], deterministic=True)
        obs, r, d, info = env.step(a.numpy())
        R += r[0]
    scores.append(R)
print(np.mean(scores))
"""

A_TOTAL = """
import gymnasium as gym
import planted
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

venv = VecNormalize.load("PPO.pkl", DummyVecEnv([lambda: gym.make("Gauge-v0")]))
venv.training, venv.norm_reward = False, False
venv.seed(0)
model = PPO.load("PPO", env=venv)
obs = venv.reset()
total = 0
for i in range(500):
    action, _state = model.predict(obs, deterministic=True)
    obs, reward, done, info = venv.step(action)
    total += reward
print("Total reward:", total)
"""

OLDER_API = """
import planted
from stable_baselines3 import A2C


class OldApi:
    '''The four values that step() once returned.'''

    def __init__(self, env):
        self.env = env

    def reset(self):
        return self.env.reset()[0]

    def step(self, a):
        o, r, te, tr, i = self.env.step(a)
        return o, r, te or tr, i


env = OldApi(planted.Gauge("discrete", early=True))
env.env.reset(seed=3)
model = A2C.load("A2C.zip")
avg = 0
for e in range(30):
    s = env.reset()
    done, R = False, 0
    while not done:
        a = model.predict(s, deterministic=True)[0]
        s, r, done, _ = env.step(a)
        R += r
    avg += R / 30
    print("Episode", e, "Reward", R)
print("avg", avg)
"""

EXPLORES = """
import random

import gymnasium as gym
import planted
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

random.seed(1)
venv = VecNormalize.load("PPO.pkl", DummyVecEnv([lambda: gym.make("Gauge-v0")]))
venv.training = venv.norm_reward = False
venv.seed(1)
model = PPO.load("PPO")
scores, epsilon = [], 0.0
for i in range(25):
    obs, over, s = venv.reset(), False, 0
    while not over:
        if random.random() < epsilon:
            a = [venv.action_space.sample()]
        else:
            a, _ = model.predict(obs, deterministic=True)
        obs, r, over, _ = venv.step(a)
        s += r[0]
    scores.append(s)
print("Average score:", sum(scores) / len(scores))
"""

NEWEST = """
import glob
import os

import gymnasium as gym
import planted
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize


def latest(pattern):
    return sorted(glob.glob(os.path.join(".", pattern)))[-1]


def main():
    env = VecNormalize.load("PPO.pkl", DummyVecEnv([lambda: Monitor(gym.make("Gauge-v0"))]))
    env.training = env.norm_reward = False
    env.seed(1)
    path = latest("[Po][Pl][Od].zip")
    print("Loading", path)
    model = PPO.load(path, env=env)
    mean_reward, std_reward = evaluate_policy(model, env, n_eval_episodes=20, deterministic=True, render=False)
    print(f"Mean reward: {mean_reward} +/- {std_reward}")


if __name__ == "__main__":
    main()
"""

OF_AN_ALGORITHM_S_PAGE = """
import numpy as np
import planted
from stable_baselines3 import DDPG
from stable_baselines3.common.noise import NormalActionNoise

env = planted.Gauge("continuous")
n_actions = env.action_space.shape[-1]
action_noise = NormalActionNoise(mean=np.zeros(n_actions), sigma=0.1 * np.ones(n_actions))

model = DDPG("MlpPolicy", env, action_noise=action_noise, policy_kwargs={"net_arch": [16]}, seed=0, verbose=1)
model.learn(total_timesteps=200, log_interval=10)
model.save("ddpg_gauge")
vec_env = model.get_env()

del model  # remove to demonstrate saving and loading

model = DDPG.load("ddpg_gauge")

obs = vec_env.reset()
while True:
    action, _states = model.predict(obs)
    obs, rewards, dones, info = vec_env.step(action)
    vec_env.render("human")
"""

SOUND_IN_PUBLIC = {
    "arguments": Case("", ARGUMENTS),
    "called-often": Case("", CALLED_OFTEN),
    "batch": Case("", BATCH),
    "own-copy": Case("", OWN_COPY, edits={"early=True)": "early=True)\nenv = RewardLogger(env)"}),
    "watched": Case("", WATCHED),
    "evaluation-mode": Case("", DROPS),
    "algorithm-s-page": Case("", OF_AN_ALGORITHM_S_PAGE),
}
FAULTY_IN_PUBLIC = {
    "batch": Case("", BATCH, ("statistics-not-loaded",), {"stats.normalize_obs(obs)": "obs"}),
    "own-copy": Case("", OWN_COPY, ("environment-differs",), {"FACTOR = 1.0": "FACTOR = 1.03"}),
    "a-wrapper-less": Case("", WATCHED, ("wrappers-differ",), {"planted.SwapsActions": "RewardLogger"}),
    "plots": Case("", PLOTS, ("statistics-not-loaded",)),
    "settings": Case("", SETTINGS, ("policy-mode",)),
    "workers": Case("", WORKERS, ("statistics-not-loaded",)),
    "training-mode": Case("", DROPS, ("network-in-training-mode",), {"policy.eval()": "policy.train()"}),
    "total": Case("", A_TOTAL, ("episodes-counted-wrongly",)),
    "older-api": Case("", OLDER_API, ("statistics-not-loaded",)),
    "explores": Case("", EXPLORES, ("actions-changed",), {"epsilon = [], 0.0": "epsilon = [], 0.5"}),
    "newest": Case("", NEWEST, ("another-model",), model="PPO"),
}
