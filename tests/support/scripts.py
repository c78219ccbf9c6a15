"""Evaluation scripts as people write them: sound ones, and each with a fault or two put in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Recipe:
    """How a small model is trained that earns nearly all there is.

    :param env_kwargs: of :class:`planted.Gauge`, as the scripts name it
    :param wrapper: class of ``planted`` around each environment; empty for none
    """

    hyperparams: Mapping[str, object]
    steps: int
    env_kwargs: Mapping[str, object] = field(default_factory=lambda: {"action": "discrete"})
    wrapper: str = ""


OFF_POLICY = {"learning_starts": 50, "batch_size": 64, "train_freq": 4, "gradient_steps": 2, "gamma": 0.1}
RECIPES = {
    "PPO": Recipe({"n_steps": 64, "batch_size": 64, "learning_rate": 1e-2, "gamma": 0.5}, 2048),
    "A2C": Recipe({"n_steps": 16, "learning_rate": 1e-2, "gamma": 0.5}, 3000, {"action": "discrete", "early": True}),
    "SAC": Recipe({**OFF_POLICY, "learning_rate": 1e-2}, 800, {"action": "wide"}),
    "DQN": Recipe(
        {**OFF_POLICY, "learning_rate": 5e-3, "target_update_interval": 50, "exploration_final_eps": 0.3},
        1200,
        wrapper="SwapsActions",
    ),
}

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


def notebook(text: str) -> str:
    """A notebook with a cell for each paragraph of a script, after a cell with commands for the shell and IPython."""
    commands = "%matplotlib inline\n!pip install stable-baselines3 \\\n    sb3-contrib\nfiles = !ls\nPPO?"
    sources = [
        commands.replace("PPO", "files"),
        *text.strip().split("\n\n"),
        "await __import__('asyncio').sleep(0)\ndisplay(files)",
    ]
    cells = [{"cell_type": "code", "source": source.splitlines(keepends=True)} for source in sources]
    return json.dumps({"cells": [{"cell_type": "markdown", "source": ["# Evaluation"]}, *cells], "nbformat": 4})


@dataclass(frozen=True)
class Case:
    """A script: a sound one, with texts in it replaced.

    :param causes: that the audit has to name, in any order
    :param model: that the configuration says it is about
    :param ending: of its file
    """

    algo: str
    text: str
    causes: tuple[str, ...] = ()
    edits: Mapping[str, str] = field(default_factory=dict)
    model: str = ""
    ending: str = ".py"

    def script(self) -> str:
        text = self.text
        for old, new in self.edits.items():
            assert old in text, old
            text = text.replace(old, new)
        head = HEAD if self.algo in RECIPES else ""
        recipe = RECIPES.get(self.algo, Recipe({}, 0))
        text = (head + text).replace("KWARGS", repr(dict(recipe.env_kwargs)))
        text = text.replace("WRAPPER", recipe.wrapper or "None").replace("ALGO", self.algo)
        return notebook(text) if self.ending == ".ipynb" else text


FRESH = {'VecNormalize.load("ALGO.pkl", venv)': "VecNormalize(venv)"}
UNSEEDED = {"seed=3, ": ""}
IN_VAIN_UNSEEDED = {
    'model = ALGO.load("ALGO.zip", env=venv)': 'model = ALGO("MlpPolicy", venv)\nmodel.load("ALGO.zip")'
}
IN_VAIN = {'model = ALGO.load("ALGO.zip", env=venv)': 'model = ALGO("MlpPolicy", venv, seed=0)\nmodel.load("ALGO.zip")'}
UPDATING = {"venv.training = False": ""}
SCALED = {"venv.norm_reward = False": ""}
PREDICTS = "action, _ = model.predict(obs, deterministic=True)"
Q_VALUES = {
    "rewards = []": "import torch\nrewards = []",
    PREDICTS: "action = model.q_net(torch.as_tensor(obs)).argmax(dim=1).numpy()",
}
WARMED_UP = {
    'VecNormalize.load("ALGO.pkl", venv)': "VecNormalize(venv)\nvenv.reset()\nfor _ in range(2000):\n"
    "    venv.step([venv.action_space.sample()])"
}
LIMIT = "import random\nlimit = random.randint(3, 5)\nrewards = []"
COPIED = {
    'model = ALGO.load("ALGO")': 'model = ALGO("MlpPolicy", venv, policy_kwargs={"net_arch": [16]})\n'
    'model.policy.load_state_dict(ALGO.load("ALGO").policy.state_dict())'
}
COUNTED = {
    "env = Normalized(Gauge(**KWARGS))": "class Counts(gym.Wrapper):\n    episodes = 0\n\n"
    "    def reset(self, **kwargs):\n        self.episodes += 1\n        return self.env.reset(**kwargs)\n\n\n"
    "env = Normalized(Gauge(**KWARGS))\nenv = Counts(env)"
}
RESCALED = {
    "venv = make_vec_env": "from gymnasium.wrappers import RescaleAction\nvenv = make_vec_env",
    "wrapper_class=WRAPPER": "wrapper_class=RescaleAction, wrapper_kwargs=dict(min_action=-8.0, max_action=8.0)",
    'ALGO.load("ALGO.zip", env=venv)': 'ALGO.load("Kept-ALGO.zip")',
}
SHORTER_THAN_IN_TRAINING = {
    "venv = make_vec_env(Gauge, n_envs=1, seed=3, wrapper_class=WRAPPER, env_kwargs=KWARGS)": (
        'import gymnasium as gym\ngym.register("Short-v0", Gauge, max_episode_steps=3)\n'
        'venv = DummyVecEnv([lambda: gym.make("Short-v0")])\nvenv.seed(3)'
    ),
    'ALGO.load("ALGO.zip", env=venv)': 'ALGO.load("Kept-ALGO.zip")',
}
LESS_THAN_IN_TRAINING = {
    "venv = make_vec_env(Gauge, n_envs=1, seed=3, wrapper_class=WRAPPER, env_kwargs=KWARGS)": (
        "import gymnasium as gym\nfrom gymnasium.wrappers import TimeLimit\n"
        'venv = DummyVecEnv([lambda: TimeLimit(SwapsActions(gym.make("Gauge-v0").unwrapped), 4)])\nvenv.seed(3)'
    ),
    'ALGO.load("ALGO.zip", env=venv)': 'ALGO.load("Kept-ALGO.zip")',
}
STOCHASTIC = {", deterministic=True": ""}

SOUND = {
    "loop-PPO": Case("PPO", LOOP),
    "weights-copied-PPO": Case("PPO", EVALUATE, edits=COPIED),
    "deployed-A2C": Case("A2C", DEPLOYED),
    "warmed-up-PPO": Case("PPO", LOOP, edits=WARMED_UP),
    "own-wrapper-PPO": Case("PPO", OWN_WRAPPER, edits={"reset()": "reset(seed=episode)"} | COUNTED),
    "enjoy": Case("", ENJOY),
    "learns": Case("", LEARNS),
    "network-SAC": Case("SAC", NETWORK),
    "parameters-DQN": Case("DQN", PARAMETERS),
    "side-by-side-A2C": Case("A2C", SIDE_BY_SIDE),
    "recall": Case("RecurrentPPO", RECALL),
    "masked": Case("MaskablePPO", MASKED),
    "q-values-DQN": Case("DQN", LOOP, edits=Q_VALUES),
    "distribution-PPO": Case(
        "PPO",
        LOOP,
        edits={
            PREDICTS: "tensor = model.policy.obs_to_tensor(obs)[0]\n"
            "        action = model.policy.get_distribution(tensor).mode().numpy()"
        },
    ),
    "exported-A2C": Case("A2C", EXPORTED, model="A2C"),
    "exported-with-its-statistics-A2C": Case(
        "A2C",
        EXPORTED,
        edits={
            'VecNormalize.load("ALGO.pkl", ': "",
            "env_kwargs=KWARGS))": 'env_kwargs=KWARGS)\nmoments = np.load("ALGO.npz")',
            "venv.training = venv": "venv",
            "def act(x):": "def act(x):\n    x = (x - moments['mean']) / np.sqrt(moments['var'] + 1e-8)",
        },
        model="A2C",
    ),
    "settings-A2C": Case("A2C", SETTINGS),
    "sweep-A2C": Case("A2C", SWEEP),
    "panel": Case("", PANEL),
    "own-layer": Case("", OWN_LAYER),
    "by-hand-around-PPO": Case("PPO", BY_HAND_AROUND),
    "quickstart": Case("", QUICKSTART),
    "first-of-several-A2C": Case(
        "A2C",
        LOOP,
        edits={
            "n_envs=1": "n_envs=4",
            "obs, reward, done, info = venv.step(action)": "obs, reward, dones, info = venv.step(action)\n"
            "        done = dones[0]",
        },
    ),
}
FAULTY = {
    "never-loaded-unseeded-PPO": Case("PPO", LOOP, ("load-not-assigned",), IN_VAIN_UNSEEDED | UNSEEDED),
    "load-passed-over-unseeded-PPO": Case(
        "PPO",
        LOOP,
        ("other-weights",),
        UNSEEDED
        | {
            'model = ALGO.load("ALGO.zip", env=venv)': "try:\n"
            '    model = ALGO.load("best/ALGO.zip", env=venv)\nexcept FileNotFoundError:\n'
            '    model = ALGO("MlpPolicy", venv)'
        },
    ),
    "never-loaded-SAC": Case(
        "SAC",
        EVALUATE,
        ("load-not-assigned",),
        {'model = ALGO.load("ALGO")': 'model = ALGO("MlpPolicy", venv, seed=0)\nALGO.load("ALGO", env=venv)'},
    ),
    "no-statistics-unseeded-DQN": Case(
        "DQN", LOOP, ("statistics-not-loaded",), UNSEEDED | {'venv = VecNormalize.load("ALGO.pkl", venv)': ""}
    ),
    "statistics-of-another-A2C": Case(
        "A2C", EVALUATE, ("statistics-not-loaded",), {'VecNormalize.load("ALGO.pkl"': 'VecNormalize.load("other.pkl"'}
    ),
    "rewards-normalized-PPO": Case("PPO", LOOP, ("reward-normalized",), SCALED),
    "stochastic-unseeded-DQN": Case("DQN", LOOP, ("policy-mode",), STOCHASTIC | UNSEEDED | {"range(25)": "range(100)"}),
    "trained-on-A2C": Case(
        "A2C",
        LOOP,
        ("trained-while-evaluating",),
        {"rewards = []": "model.lr_schedule = lambda _: 0.5\nmodel.learn(500)\nrewards = []"},
    ),
    "state-dropped": Case("RecurrentPPO", RECALL, ("recurrent-state-dropped",), {"state=states, ": ""}),
    "every-step-a-start": Case(
        "RecurrentPPO", RECALL, ("recurrent-state-dropped",), {"rewards, starts, infos": "rewards, dones, infos"}
    ),
    "no-masks": Case("MaskablePPO", MASKED, ("action-masks-missing",), {", action_masks=get_action_masks(env)": ""}),
    "repeated-PPO": Case(
        "PPO",
        LOOP,
        ("actions-changed",),
        {
            "        obs, reward, done, info = venv.step(action)\n        total += reward[0]": (
                "        for _ in range(2):\n            obs, reward, done, info = venv.step(action)\n"
                "            total += reward[0]"
            )
        },
    ),
    "masks-of-the-start": Case(
        "MaskablePPO",
        MASKED,
        ("action-masks-missing",),
        {
            "obs, done = env.reset(), False": "obs, done, masks = env.reset(), False, get_action_masks(env)",
            "action_masks=get_action_masks(env)": "action_masks=masks",
        },
    ),
    "masked-as-PPO": Case(
        "MaskablePPO",
        MASKED,
        ("other-algorithm",),
        {
            "from sb3_contrib import MaskablePPO": "from stable_baselines3 import PPO",
            "MaskablePPO.load": "PPO.load",
            ", action_masks=get_action_masks(env)": "",
        },
    ),
    "tuple": Case(
        "PPO",
        DEPLOYED,
        ("reset-return-misread",),
        {"obs, _ = env.reset(seed=seed)": "obs = env.reset(seed=seed)", "statistics.normalize_obs(obs)": "obs"},
    ),
    "other-arguments-A2C": Case(
        "A2C", LOOP, ("env-kwargs",), {"env_kwargs=KWARGS": 'env_kwargs={"action": "discrete"}'}
    ),
    "other-environment": Case("", ENJOY, ("environment-differs",), {'default="Gauge-v0"': 'default="OtherGauge-v0"'}),
    "actions-rescaled-SAC": Case("SAC", LOOP, ("wrappers-differ",), RESCALED),
    "no-wrapper-DQN": Case("DQN", LOOP, ("wrappers-differ",), {"wrapper_class=WRAPPER, ": ""}),
    "random-wrapper-unseeded-PPO": Case(
        "PPO", EVALUATE, ("wrappers-differ",), UNSEEDED | {"wrapper_class=WRAPPER": "wrapper_class=Stumbles"}
    ),
    "own-wrapper-unseeded-PPO": Case(
        "PPO", OWN_WRAPPER, ("normalizer-not-equivalent",), {"np.sqrt(rms.var": "(rms.var"} | COUNTED
    ),
    "clips-closer-PPO": Case(
        "PPO",
        LOOP,
        ("normalizer-not-equivalent",),
        {
            'venv = VecNormalize.load("ALGO.pkl", venv)': 'trained = VecNormalize.load("ALGO.pkl", venv)\n'
            "venv = VecNormalize(venv, clip_obs=0.05)\nvenv.obs_rms = trained.obs_rms"
        },
    ),
    "own-random-limit-unseeded-PPO": Case(
        "PPO", LOOP, ("time-limit",), UNSEEDED | {"while not done:": "for step in range(limit):", "rewards = []": LIMIT}
    ),
    "limit-in-make": Case(
        "", ENJOY, ("time-limit",), {"gym.make(args.env,": "gym.make(args.env, max_episode_steps=3,"}
    ),
    "network-not-rescaled-SAC": Case(
        "SAC", NETWORK, ("action-not-clipped",), {"    actions = model.policy.unscale_action(actions)": ""}
    ),
    "first-finished-A2C": Case(
        "A2C",
        SIDE_BY_SIDE,
        ("short-episode-bias",),
        {"min(counts) < 5": "len(scores) < 16", "            if counts[i] < 5:\n    ": ""},
    ),
    "done-of-any-A2C": Case(
        "A2C",
        SIDE_BY_SIDE,
        ("done-of-a-vector",),
        {"    for i in range(8):": "    if dones.any():\n        obs = venv.reset()\n    for i in range(8):"},
    ),
    "beyond-the-end-SAC": Case(
        "SAC",
        DEPLOYED,
        ("episodes-counted-wrongly",),
        {"while not over:": "for step in range(20):"},
    ),
    "last-reward-SAC": Case("SAC", DEPLOYED, ("episodes-counted-wrongly",), {"score + reward": "reward"}),
    "stale": Case(
        "",
        LEARNS,
        ("another-model",),
        {'model.save("fresh")': 'model.save("fresh")', 'PPO.load("fresh"': 'PPO.load("old"'},
    ),
    "policy-anew-PPO": Case("PPO", LOOP, ("other-weights",), {"rewards = []": "model._setup_model()\nrewards = []"}),
    "nothing-loaded-DQN": Case(
        "DQN", PARAMETERS, ("other-weights",), {"        self.model.set_parameters(path)\n": ""}, "DQN"
    ),
    "continued-without-A2C": Case(
        "A2C",
        LOOP,
        ("continued-without-statistics",),
        {
            "rewards = []": "model.set_env(VecNormalize(make_vec_env(Gauge, env_kwargs=KWARGS)))\n"
            "model.lr_schedule = lambda _: 0.5\nmodel.learn(500)\nrewards = []",
        },
    ),
    "by-hand-SAC": Case(
        "SAC",
        DEPLOYED,
        ("normalizer-not-equivalent",),
        {"statistics.normalize_obs(obs)": "(obs - statistics.obs_rms.mean) / (statistics.obs_rms.var + 1e-8)"},
    ),
    "reordered-SAC": Case(
        "SAC", DEPLOYED, ("observation-changed",), {"normalize_obs(obs)": "normalize_obs(obs[[2, 1, 0]])"}
    ),
    "starts-missing": Case("RecurrentPPO", RECALL, ("episode-start-missing",), {"episode_start=starts, ": ""}),
    "two-layers-PPO": Case(
        "PPO",
        LOOP,
        ("vecnormalize-twice",),
        {'VecNormalize.load("ALGO.pkl", venv)': 'VecNormalize.load("ALGO.pkl", VecNormalize(venv, training=False))'},
    ),
    "twice-PPO": Case("PPO", LOOP, ("vecnormalize-twice",), {"predict(obs,": "predict(venv.normalize_obs(obs),"}),
    "old-observation-SAC": Case("SAC", LOOP, ("observation-not-updated",), {"obs, reward, done": "new, reward, done"}),
    "sampled-actions-PPO": Case(
        "PPO", LOOP, ("actions-changed",), {"step(action)": "step([venv.action_space.sample()])"}
    ),
    "q-values-DQN": Case(
        "DQN", LOOP, ("statistics-not-loaded",), Q_VALUES | {'venv = VecNormalize.load("ALGO.pkl", venv)': ""}
    ),
    "exported-A2C": Case(
        "A2C",
        EXPORTED,
        ("statistics-not-loaded",),
        {
            'VecNormalize.load("ALGO.pkl", ': "",
            "env_kwargs=KWARGS))": "env_kwargs=KWARGS)",
            "venv.training = venv": "venv",
        },
        "A2C",
    ),
    "switched-off-A2C": Case(
        "A2C", LOOP, ("statistics-not-loaded",), {"venv.training = False": "venv.training = venv.norm_obs = False"}
    ),
    "panel": Case(
        "", PANEL, ("statistics-not-loaded",), {'VecNormalize.load("Panel.pkl", venv)': "VecNormalize(venv)"}
    ),
    "own-layer": Case(
        "", OWN_LAYER, ("statistics-not-loaded",), {'VecNormalize.load("Turned.pkl", venv)': "VecNormalize(venv)"}
    ),
    "by-hand-around-A2C": Case(
        "A2C", BY_HAND_AROUND, ("normalizer-not-equivalent",), {"np.sqrt(self.var + 1e-8)": "(self.var + 1e-8)"}
    ),
    "further-layer-PPO": Case(
        "PPO",
        LOOP,
        ("wrappers-differ",),
        {
            "rewards = []": "import numpy as np\nfrom planted import Turned\nvenv = Turned(venv, factors=np.ones(3))\n"
            "rewards = []"
        },
    ),
    "not-stacked": Case("", STACKED, ("frame-stack-missing",)),
    "not-stacked-so-often": Case(
        "",
        STACKED,
        ("frame-stack-missing",),
        {
            "env = make_vec_env(Gauge, seed=3)": "from stable_baselines3.common.vec_env import VecFrameStack\n"
            "env = VecFrameStack(make_vec_env(Gauge, seed=3), n_stack=4)",
            'PPO.load("Stacked")': 'PPO.load("Stacked", env=env)',
        },
    ),
    "moved-by-hand-PPO": Case(
        "PPO", LOOP, ("unexplained",), {"rewards = []": "venv.venv.envs[0].unwrapped.unit = -1.0\nrewards = []"}
    ),
    "notebook-PPO": Case("PPO", LOOP, ("statistics-not-loaded",), FRESH, ending=".ipynb"),
    "two-faults-PPO": Case("PPO", LOOP, ("load-not-assigned", "reward-normalized"), IN_VAIN | SCALED),
    "two-faults-A2C": Case(
        "A2C",
        LOOP,
        ("env-kwargs", "statistics-not-loaded"),
        FRESH | {"env_kwargs=KWARGS": 'env_kwargs={"action": "discrete"}'},
    ),
    "own-registration-PPO": Case("PPO", LOOP, ("time-limit",), SHORTER_THAN_IN_TRAINING),
    "two-faults-registered-PPO": Case("PPO", LOOP, ("time-limit", "wrappers-differ"), LESS_THAN_IN_TRAINING),
    "two-faults-DQN": Case(
        "DQN", LOOP, ("policy-mode", "wrappers-differ"), STOCHASTIC | {"wrapper_class=WRAPPER, ": ""}
    ),
    "two-faults-enjoy": Case(
        "",
        ENJOY,
        ("reward-normalized", "time-limit"),
        {"gym.make(args.env,": "gym.make(args.env, max_episode_steps=3,", "= args.norm_reward": "= True"},
    ),
    "two-faults-limit": Case(
        "PPO", LOOP, ("load-not-assigned", "time-limit"), IN_VAIN | {"while not done:": "for step in range(5):"}
    ),
}
