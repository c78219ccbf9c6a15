"""Evaluation scripts: sound ones, and each with a fault or two put in, named by its cause."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from support.script_texts import (
    BY_HAND_AROUND,
    DEPLOYED,
    ENJOY,
    EVALUATE,
    EXPORTED,
    EXPORTED_ACTOR,
    HEAD,
    LEARNS,
    LOOP,
    MASKED,
    NETWORK,
    OF_THE_FIRST,
    OWN_LAYER,
    OWN_WRAPPER,
    PANEL,
    PARAMETERS,
    QUICKSTART,
    RECALL,
    SETTINGS,
    SIDE_BY_SIDE,
    STACKED,
    SWEEP,
)


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
    "exported-actor-SAC": Case("SAC", EXPORTED_ACTOR, model="SAC"),
    "swapped-back-DQN": Case(
        "DQN", LOOP, edits={"wrapper_class=WRAPPER, ": "", "venv.step(action)": "venv.step(1 - action)"}
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
    "exported-not-rescaled-SAC": Case(
        "SAC", EXPORTED_ACTOR, ("action-not-clipped",), {"2.0 * np.tanh": "np.tanh"}, "SAC"
    ),
    "halved-SAC": Case("SAC", LOOP, ("actions-changed",), {"venv.step(action)": "venv.step(0.5 * action)"}),
    "swapped-PPO": Case(
        "PPO",
        LOOP,
        ("actions-changed",),
        {"        obs, reward, done, info": "        action = 1 - action\n        obs, reward, done, info"},
    ),
    "cast-A2C": Case("A2C", LOOP, ("observation-changed",), {"predict(obs,": "predict(obs.astype(int),"}),
    "cast-by-hand-SAC": Case(
        "SAC", DEPLOYED, ("normalizer-not-equivalent",), {"normalize_obs(obs)": "normalize_obs(obs).round()"}
    ),
    "turned-PPO": Case("PPO", LOOP, ("observation-changed",), {"predict(obs,": "predict(-obs,"}),
    "until-any-ends-A2C": Case("A2C", OF_THE_FIRST, ("episodes-counted-wrongly",), {"dones[0]": "dones.any()"}),
    "last-of-the-first-SAC": Case("SAC", OF_THE_FIRST, ("episodes-counted-wrongly",), {"total +=": "total ="}),
    "in-place-SAC": Case(
        "SAC",
        LOOP,
        ("other-weights",),
        {
            "rewards = []": "import torch\nwith torch.no_grad():\n    for part in model.policy.actor.parameters():\n"
            "        part.mul_(-1.0)\nrewards = []"
        },
    ),
    "of-another-policy-PPO": Case(
        "PPO",
        LOOP,
        ("other-weights",),
        {
            "rewards = []": 'other = ALGO("MlpPolicy", venv, policy_kwargs={"net_arch": [16]}, seed=2)\n'
            "model.policy.load_state_dict(other.policy.state_dict())\nrewards = []"
        },
    ),
    "set-by-hand-A2C": Case(
        "A2C",
        LOOP,
        ("other-weights",),
        {
            "rewards = []": "erased = {name: 0.0 * part for name, part in model.policy.state_dict().items()}\n"
            'model.set_parameters({"policy": erased}, exact_match=False)\nrewards = []'
        },
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
