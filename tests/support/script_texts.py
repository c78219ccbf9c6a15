"""Evaluation scripts as people write them; ALGO, KWARGS and WRAPPER stand for those of a trained model."""

HEAD = """
from planted import Gauge, Stumbles, SwapsActions
from stable_baselines3 import ALGO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecNormalize

"""

LOOP = """
venv = make_vec_env(Gauge, n_envs=1, seed=3, wrapper_class=WRAPPER, env_kwargs=KWARGS)
venv = VecNormalize.load("ALGO.pkl", venv)
venv.training = False
venv.norm_reward = False
model = ALGO.load("ALGO.zip", env=venv)

rewards = []
for episode in range(25):
    obs = venv.reset()
    done, total = False, 0.0
    while not done:
        action, _ = model.predict(obs, deterministic=True)
        obs, reward, done, info = venv.step(action)
        total += reward[0]
    rewards.append(total)
print(f"mean reward: {sum(rewards) / len(rewards):.2f}")
"""

EVALUATE = """
venv = VecNormalize.load("ALGO.pkl", make_vec_env(Gauge, 4, seed=3, wrapper_class=WRAPPER, env_kwargs=KWARGS))
venv.training = False
venv.norm_reward = False
model = ALGO.load("ALGO")
lengths = []
mean, std = evaluate_policy(model, venv, n_eval_episodes=40, callback=lambda now, _: lengths.append(now["i"]))
print(mean, std)
"""

DEPLOYED = """
import pickle
import numpy as np

with open("ALGO.pkl", "rb") as file:
    statistics = pickle.load(file)
model = ALGO.load("ALGO.zip")
env = Gauge(**KWARGS)
scores = []
for seed in range(25):
    obs, _ = env.reset(seed=seed)
    score, over = 0.0, False
    while not over:
        action, _ = model.predict(statistics.normalize_obs(obs), deterministic=True)
        obs, reward, terminated, truncated, _ = env.step(action)
        over, score = terminated or truncated, score + reward
    scores.append(score)
print(np.mean(scores))
"""

SWEEP = """
for early in (True, False):
    arguments = {"action": "discrete", "early": early}
    venv = VecNormalize.load("ALGO.pkl", make_vec_env(Gauge, 4, seed=3, env_kwargs=arguments))
    venv.training = venv.norm_reward = False
    model = ALGO.load("ALGO")
    print("mean reward", evaluate_policy(model, venv, n_eval_episodes=40)[0])
"""

SETTINGS = """
import pickle
import numpy as np

with open("ALGO.pkl", "rb") as file:
    statistics = pickle.load(file)
model, env, generator = ALGO.load("ALGO.zip"), Gauge(**KWARGS), np.random.default_rng(0)
for noise in (0.0, 1.0, 9.0):
    scores = []
    for seed in range(25):
        obs, _ = env.reset(seed=seed)
        score, over = 0.0, False
        while not over:
            shown = statistics.normalize_obs(obs) + noise * generator.normal(size=3).astype(np.float32)
            action, _ = model.predict(shown, deterministic=True)
            obs, reward, terminated, truncated, _ = env.step(action)
            over, score = terminated or truncated, score + reward
        scores.append(score)
    print(f"noise {noise}: mean reward {np.mean(scores):.3f}")
"""

OWN_WRAPPER = """
import pickle
import gymnasium as gym
import numpy as np

with open("ALGO.pkl", "rb") as file:
    rms = pickle.load(file).obs_rms


class Normalized(gym.ObservationWrapper):
    def observation(self, observation):
        return np.clip((observation - rms.mean) / np.sqrt(rms.var + 1e-8), -10, 10).astype(np.float32)


env = Normalized(Gauge(**KWARGS))
model = ALGO.load("ALGO")
scores = []
for episode in range(25):
    obs, _ = env.reset()
    score, over = 0.0, False
    while not over:
        action, _ = model.predict(obs, deterministic=True)
        obs, reward, terminated, truncated, _ = env.step(action)
        over, score = terminated or truncated, score + reward
    scores.append(score)
print(np.mean(scores))
"""

RECALL = """
import numpy as np
from planted import Recall
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.env_util import make_vec_env

venv = make_vec_env(Recall, n_envs=2, seed=3)
model = RecurrentPPO.load("RecurrentPPO")
obs, states, starts = venv.reset(), None, np.ones(2, dtype=bool)
for _ in range(120):
    action, states = model.predict(obs, state=states, episode_start=starts, deterministic=True)
    obs, rewards, starts, infos = venv.step(action)
"""

MASKED = """
from planted import Costly
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.utils import get_action_masks
from stable_baselines3.common.env_util import make_vec_env

env = make_vec_env(Costly, n_envs=1, seed=3)
model = MaskablePPO.load("MaskablePPO")
for _ in range(30):
    obs, done = env.reset(), False
    while not done:
        action, _ = model.predict(obs, action_masks=get_action_masks(env), deterministic=True)
        obs, reward, done, info = env.step(action)
"""

ENJOY = """
import argparse

import gymnasium as gym
import numpy as np
import torch as th
import planted
from stable_baselines3 import A2C, DQN, PPO, SAC
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

ALGOS = {"a2c": A2C, "dqn": DQN, "ppo": PPO, "sac": SAC}


def enjoy():
    parser = argparse.ArgumentParser()
    parser.add_argument("--env", default="Gauge-v0")
    parser.add_argument("--algo", default="ppo", choices=list(ALGOS))
    parser.add_argument("-n", "--n-timesteps", default=240, type=int)
    parser.add_argument("--n-envs", default=1, type=int)
    parser.add_argument("--no-render", action="store_true", default=False)
    parser.add_argument("--stochastic", action="store_true", default=False)
    parser.add_argument("--norm-reward", action="store_true", default=False)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    th.manual_seed(args.seed)
    np.random.seed(args.seed)

    def make(rank):
        def init():
            return Monitor(gym.make(args.env, render_mode=None if args.no_render else "human"))

        return init

    env = DummyVecEnv([make(rank) for rank in range(args.n_envs)])
    env = VecNormalize.load(f"{args.algo.upper()}.pkl", env)
    env.training = False
    env.norm_reward = args.norm_reward
    env.seed(args.seed)
    model = ALGOS[args.algo].load(args.algo.upper(), env=env, custom_objects={"learning_rate": 0.0}, device="cpu")
    deterministic = not args.stochastic
    obs = env.reset()
    episode_rewards, episode_reward, state = [], 0.0, None
    episode_start = np.ones((env.num_envs,), dtype=bool)
    for _ in range(args.n_timesteps):
        action, state = model.predict(obs, state=state, episode_start=episode_start, deterministic=deterministic)
        obs, reward, done, infos = env.step(action)
        episode_start = done
        episode_reward += reward[0]
        if done[0]:
            episode_rewards.append(episode_reward)
            episode_reward = 0.0
    print(f"Mean reward: {np.mean(episode_rewards):.2f} +/- {np.std(episode_rewards):.2f}")
    env.close()


if __name__ == "__main__":
    enjoy()
"""

LEARNS = """
import gymnasium as gym
import planted
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecNormalize

vec_env = VecNormalize(make_vec_env("Gauge-v0", n_envs=2))
model = PPO("MlpPolicy", vec_env, n_steps=64, batch_size=64, learning_rate=1e-2, gamma=0.5, seed=1, verbose=0)
model.learn(total_timesteps=1500)
model.save("fresh")
vec_env.save("fresh.pkl")
del model  # remove to demonstrate saving and loading

model = PPO.load("fresh", env=vec_env)
vec_env = VecNormalize.load("fresh.pkl", make_vec_env("Gauge-v0", n_envs=2, seed=3))
vec_env.training = False
vec_env.norm_reward = False
mean_reward, std_reward = evaluate_policy(model, vec_env, n_eval_episodes=30, deterministic=True)
print(f"mean_reward:{mean_reward:.2f} +/- {std_reward:.2f}")
"""

QUICKSTART = """
import planted
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

vec_env = VecNormalize(make_vec_env("Gauge-v0", n_envs=2, seed=0))
model = PPO("MlpPolicy", vec_env, n_steps=64, batch_size=64, learning_rate=1e-2, gamma=0.5, seed=1)
model.learn(total_timesteps=1000)
vec_env.training = vec_env.norm_reward = False
vec_env.seed(3)
obs = vec_env.reset()
for i in range(200):
    action, _states = model.predict(obs, deterministic=True)
    obs, rewards, dones, info = vec_env.step(action)
    vec_env.render("human")
"""

NETWORK = """
import torch
from stable_baselines3.common.utils import obs_as_tensor

venv = VecNormalize.load("ALGO.pkl", DummyVecEnv([lambda: Gauge(**KWARGS)] * 2))
venv.training, venv.norm_reward = False, False
model = ALGO.load("ALGO.zip")
venv.seed(8)
obs = venv.reset()
returns, running = [], [0.0, 0.0]
while len(returns) < 30:
    with torch.no_grad():
        actions = model.policy._predict(obs_as_tensor(obs, model.device), deterministic=True).cpu().numpy()
    actions = model.policy.unscale_action(actions)
    obs, rewards, dones, infos = venv.step(actions)
    for i in range(2):
        running[i] += rewards[i]
        if dones[i]:
            returns.append(running[i])
            running[i] = 0.0
print(f"{sum(returns) / len(returns):.3f}")
"""

PARAMETERS = """
class Evaluator:
    def __init__(self, path, n_episodes=30):
        self.env = make_vec_env(Gauge, n_envs=3, seed=3, env_kwargs=dict(KWARGS), wrapper_class=WRAPPER)
        self.env = VecNormalize.load(path + ".pkl", self.env)
        self.env.training = False
        self.env.norm_reward = False
        self.model = ALGO("MlpPolicy", self.env, seed=3, policy_kwargs={"net_arch": [16]})
        self.model.set_parameters(path)
        self.n_episodes = n_episodes

    def run(self):
        mean, std = evaluate_policy(self.model, self.env, n_eval_episodes=self.n_episodes)
        return mean


print("score", Evaluator("ALGO").run())
"""

SIDE_BY_SIDE = """
venv = VecNormalize.load("ALGO.pkl", make_vec_env(Gauge, n_envs=8, env_kwargs=KWARGS))
venv.training = venv.norm_reward = False
model = ALGO.load("ALGO.zip")
scores, totals, counts = [], [0.0] * 8, [0] * 8
venv.seed(7)
obs = venv.reset()
while min(counts) < 5:
    action, _ = model.predict(obs, deterministic=True)
    obs, rewards, dones, infos = venv.step(action)
    for i in range(8):
        totals[i] += rewards[i]
        if dones[i]:
            if counts[i] < 5:
                scores.append(totals[i])
            counts[i] += 1
            totals[i] = 0.0
print("mean", sum(scores) / len(scores))
"""

PANEL = """
from planted import Panel
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecNormalize

venv = make_vec_env(Panel, n_envs=2, seed=3)
venv = VecNormalize.load("Panel.pkl", venv)
venv.training, venv.norm_reward = False, False
model = PPO.load("Panel", env=venv)
print(evaluate_policy(model, venv, n_eval_episodes=25))
"""

STACKED = """
from planted import Gauge
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

env = make_vec_env(Gauge, seed=3)
model = PPO.load("Stacked")
obs = env.reset()
for _ in range(100):
    action, _ = model.predict(obs, deterministic=True)
    obs, reward, done, info = env.step(action)
"""

OWN_LAYER = """
from dataclasses import dataclass

import numpy as np
from planted import Gauge
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnvWrapper, VecNormalize


@dataclass
class Factors:
    each: np.ndarray


class Turns(VecEnvWrapper):
    def __init__(self, venv, factors, then):
        super().__init__(venv)
        self.factors, self.then = factors, then

    def reset(self):
        return self.then(self.venv.reset() * self.factors.each).astype(np.float32)

    def step_wait(self):
        observations, rewards, dones, infos = self.venv.step_wait()
        return self.then(observations * self.factors.each).astype(np.float32), rewards, dones, infos


venv = make_vec_env(Gauge, n_envs=2, seed=3)
venv = VecNormalize.load("Turned.pkl", venv)
venv.training = venv.norm_reward = False
env = Turns(venv, Factors(np.array([2.0, 1.0, 0.5])), lambda observations: -observations)
model = PPO.load("Turned")
obs = env.reset()
for _ in range(120):
    action, _ = model.predict(obs, deterministic=True)
    obs, reward, done, info = env.step(action)
"""

BY_HAND_AROUND = """
import pickle
import numpy as np
from stable_baselines3.common.vec_env import VecEnvWrapper

with open("ALGO.pkl", "rb") as file:
    rms = pickle.load(file).obs_rms


class Normalized(VecEnvWrapper):
    def __init__(self, venv, mean, var):
        super().__init__(venv)
        self.mean, self.var = mean, var

    def normal(self, observations):
        return np.clip((observations - self.mean) / np.sqrt(self.var + 1e-8), -10, 10).astype(np.float32)

    def reset(self):
        return self.normal(self.venv.reset())

    def step_wait(self):
        observations, *others = self.venv.step_wait()
        return self.normal(observations), *others


venv = make_vec_env(Gauge, n_envs=2, seed=3, wrapper_class=WRAPPER, env_kwargs=KWARGS)
env = Normalized(venv, rms.mean, rms.var)
model = ALGO.load("ALGO.zip")
print(evaluate_policy(model, env, n_eval_episodes=30))
"""

EXPORTED = """
import numpy as np
import torch


class Exported(torch.nn.Module):
    def __init__(self, policy):
        super().__init__()
        self.policy = policy

    def forward(self, observation):
        return self.policy._predict(observation, deterministic=True)


torch.jit.trace(Exported(ALGO.load("ALGO").policy), torch.ones(1, 3))

venv = VecNormalize.load("ALGO.pkl", make_vec_env(Gauge, n_envs=1, seed=3, env_kwargs=KWARGS))
venv.training = venv.norm_reward = False
weights = {name: value.numpy() for name, value in ALGO.load("ALGO").policy.state_dict().items()}


def act(x):
    for place in ("mlp_extractor.policy_net.0", "action_net"):
        x = x @ weights[place + ".weight"].T + weights[place + ".bias"]
        x = np.tanh(x) if place != "action_net" else x
    return x.argmax(axis=1)


rewards = []
for episode in range(25):
    obs, total, done = venv.reset(), 0.0, [False]
    while not done[0]:
        obs, reward, done, info = venv.step(act(obs))
        total += reward[0]
    rewards.append(total)
print(np.mean(rewards))
"""

EXPORTED_ACTOR = """
import numpy as np

venv = VecNormalize.load("ALGO.pkl", make_vec_env(Gauge, n_envs=1, seed=3, env_kwargs=KWARGS))
venv.training = venv.norm_reward = False
weights = {name: value.numpy() for name, value in ALGO.load("ALGO").policy.actor.state_dict().items()}


def act(x):
    x = np.maximum(x @ weights["latent_pi.0.weight"].T + weights["latent_pi.0.bias"], 0.0)
    return 2.0 * np.tanh(x @ weights["mu.weight"].T + weights["mu.bias"])


rewards = []
for episode in range(25):
    obs, total, done = venv.reset(), 0.0, [False]
    while not done[0]:
        obs, reward, done, info = venv.step(act(obs))
        total += reward[0]
    rewards.append(total)
print(np.mean(rewards))
"""

OF_THE_FIRST = """
venv = VecNormalize.load("ALGO.pkl", make_vec_env(Gauge, n_envs=4, seed=3, env_kwargs=KWARGS))
venv.training = venv.norm_reward = False
model = ALGO.load("ALGO.zip")
scores, total = [], 0.0
obs = venv.reset()
while len(scores) < 30:
    action, _ = model.predict(obs, deterministic=True)
    obs, rewards, dones, infos = venv.step(action)
    total += rewards[0]
    if dones[0]:
        scores.append(total)
        total = 0.0
print("mean reward", sum(scores) / len(scores))
"""

HIDDEN_PAIR = """
from planted import Backed, Unplugs
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecNormalize

venv = make_vec_env(Backed, n_envs=2, seed=3, wrapper_class=Unplugs, env_kwargs={"spare": False})
venv = VecNormalize.load("Backed.pkl", venv)
venv.training = venv.norm_reward = False
model = PPO("MlpPolicy", venv, seed=0)
model.load("Backed")
print(evaluate_policy(model, venv, n_eval_episodes=30))
"""

SEVERAL = """
from planted import Gauge
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecNormalize

for algo in (PPO, A2C):
    venv = make_vec_env(Gauge, n_envs=2, seed=3, env_kwargs={"action": "discrete", "early": algo is A2C})
    if algo is PPO:
        venv = VecNormalize.load("PPO.pkl", venv)
        venv.training = venv.norm_reward = False
    mean, std = evaluate_policy(algo.load(algo.__name__), venv, n_eval_episodes=30)
    print(f"{algo.__name__}: {mean:.2f} +/- {std:.2f}")
"""
