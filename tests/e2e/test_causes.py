"""Plant one fault, or two that mask each other, and see what the audit names: the confusion matrix.

Every model is trained for real, has its reward measured as people measure it, and is audited in fresh processes. Of
each there is a healthy twin.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import planted
import pytest
import torch as th
from gymnasium.wrappers import RescaleAction, TimeLimit
from sb3_contrib import MaskablePPO, RecurrentPPO
from sb3_contrib.common.maskable.evaluation import evaluate_policy as evaluate_masked
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecEnv,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
    unwrap_vec_normalize,
)

from reload_audit.evaluation.wrappers import PostedNormalizer
from reload_audit.models.algorithms import algorithm
from reload_audit.models.model_folder import MODEL, STATISTICS, save
from reload_audit.reading.statistics import read_statistics
from support.external_audits import audit_table
from support.faults import FAULTS, Material

pytestmark = pytest.mark.slow

EPISODES = 400
MANY = 2000  # where episodes differ much
AT_ONCE = 20  # environments in which rewards are measured: SB3 takes equally many episodes of each, so none is favoured
SMALL = {"net_arch": [16]}
OFF_POLICY = {"learning_starts": 50, "batch_size": 64, "train_freq": 4, "gradient_steps": 2, "gamma": 0.1}

Row = dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """How an algorithm learns to read a gauge in two seconds.

    :param early: the part of its training after which its actions still vary
    """

    hyperparams: dict[str, Any]
    steps: int
    early: float = 0.1
    n_envs: int = 2
    action: str = "discrete"


RECIPES = {
    "PPO": Recipe({"n_steps": 64, "batch_size": 64, "learning_rate": 1e-2, "gamma": 0.5}, 2048, n_envs=4),
    "DQN": Recipe(
        {**OFF_POLICY, "learning_rate": 5e-3, "target_update_interval": 50, "exploration_final_eps": 0.3}, 1200, 0.5
    ),
    "SAC": Recipe({**OFF_POLICY, "learning_rate": 1e-2}, 800, 1.0, action="continuous"),
}


@dataclass
class Workshop:
    """Trains and saves models of one algorithm, and measures what they earn."""

    algo: str
    folder: Path
    rows: list[Row] = field(default_factory=list)
    expected: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def recipe(self) -> Recipe:
        return RECIPES.get(self.algo, RECIPES["PPO"])

    def environment(self, kind: type[gym.Env], n_envs: int | None = None, **options: Any) -> VecEnv:
        return make_vec_env(kind, n_envs or self.recipe.n_envs, env_kwargs={"action": self.recipe.action}, **options)

    def train(
        self, name: str, venv: VecEnv, *, part: float = 1.0, seed: int = 0, normalized: bool = True, **more: Any
    ) -> tuple[BaseAlgorithm, Path]:
        """Train on ``venv`` and save; the model, and the folder that it is in."""
        wrapped = VecNormalize(venv) if normalized and unwrap_vec_normalize(venv) is None else venv
        hyperparams = {**self.recipe.hyperparams, "policy_kwargs": dict(SMALL), **more}
        model = algorithm(self.algo)("MlpPolicy", wrapped, seed=seed, **hyperparams)
        model.learn(int(part * self.recipe.steps))
        return model, self.keep(model, name)

    def keep(self, model: BaseAlgorithm, name: str) -> Path:
        """Save a model; the folder that it is in."""
        folder = self.folder / name
        folder.mkdir(parents=True)
        save(model, folder)
        return folder

    def copy(self, source: Path, name: str) -> Path:
        return Path(shutil.copytree(source, self.folder / name))

    def earned(
        self, model: BaseAlgorithm, venv: VecEnv, *, deterministic: bool = True, episodes: int = EPISODES
    ) -> dict[str, Any]:
        """A claim, measured with SB3's own means."""
        venv.seed(7)
        rewards, _ = evaluate_policy(
            model, venv, n_eval_episodes=episodes, deterministic=deterministic, return_episode_rewards=True, warn=False
        )
        return {"claim_mean": float(np.mean(rewards)), "claim_std": float(np.std(rewards)), "claim_n": episodes}

    def frozen(self, folder: Path, venv: VecEnv) -> VecNormalize:
        normalize = VecNormalize.load(str(folder / STATISTICS), venv)
        normalize.training = normalize.norm_reward = False
        return normalize

    def claim(self, folder: Path, kind: type[gym.Env] = planted.Gauge, *, deterministic: bool = True) -> dict[str, Any]:
        """What the model in a folder earns when everything is done right."""
        venv = self.environment(kind, AT_ONCE if deterministic else None)
        return self.earned(
            algorithm(self.algo).load(folder / MODEL),
            self.frozen(folder, venv) if (folder / STATISTICS).exists() else venv,
            deterministic=deterministic,
        )

    def add(
        self, fault: str, folder: Path, claim: dict[str, Any], *causes: str, env: str = "Gauge", **more: Any
    ) -> None:
        """A row of the table of models, and the causes that it should be given."""
        statistics = folder / STATISTICS
        name = f"{self.algo}/{fault}".replace(",", "").replace(" ", "-")
        self.expected[name] = causes
        self.rows.append(
            {
                "name": name,
                "algo": self.algo,
                "env": f"planted:{env}",
                "env_kwargs": {"action": self.recipe.action},
                "model": str(folder / MODEL),
                "vecnormalize": str(statistics) if statistics.exists() else None,
                "n_envs": self.recipe.n_envs,
                **claim,
                **more,
            }
        )


def plant(shop: Workshop) -> None:
    """All faults of one algorithm, and the healthy twins."""
    healthy, folder = shop.train("healthy", shop.environment(planted.Gauge))
    _, early = shop.train("early", shop.environment(planted.Gauge), part=shop.recipe.early)
    _, checkpoint = shop.train("checkpoint", shop.environment(planted.OtherGauge), part=0.7)
    _, agent = shop.train("agent", shop.environment(planted.OtherGauge), seed=1)
    claim = shop.claim(folder)
    shop.add("healthy", folder, claim)
    material = Material(shop.algo, lambda: shop.environment(planted.OtherGauge, 1), checkpoint, agent)
    for name in ("lost", "of a checkpoint", "of another seed", "left in training mode"):
        broken = shop.copy(folder, f"statistics {name}")
        FAULTS[f"statistics {name}"].plant(broken, material)
        shop.add(f"statistics {name}", broken, claim, FAULTS[f"statistics {name}"].cause)
    _, untrained = shop.train("untrained", shop.environment(planted.Gauge), part=0.1, learning_rate=1e-7)
    for name, donor in {"mean and variance swapped": agent, "parameters of a checkpoint": untrained}.items():
        broken = shop.copy(folder, name)
        FAULTS[name].plant(broken, replace(material, checkpoint=donor))
        shop.add(name, broken, claim, FAULTS[name].cause)
    if shop.algo != "DQN":  # of which the files are enough
        plant_claims(shop, healthy, folder, early)
        plant_surroundings(shop)
        plant_pairs(shop, early, material)


def plant_claims(shop: Workshop, model: BaseAlgorithm, folder: Path, early: Path) -> None:
    """Rewards that were measured by mistake: the claim is not what the model earns."""
    _, another = shop.train("hardly trained", shop.environment(planted.Gauge), part=0.6, learning_rate=1e-7)
    shop.add("stated of another model", another, shop.claim(folder), "claim-of-another-model")
    shop.add("measured deterministically", early, shop.claim(early))
    shop.add("measured stochastically", early, shop.claim(early, deterministic=False), "policy-mode")

    unmonitored = DummyVecEnv([lambda: planted.Gauge(shop.recipe.action)] * AT_ONCE)
    normalize = shop.frozen(folder, unmonitored)
    normalize.norm_reward = True
    shop.add("measured normalised", folder, shop.earned(model, normalize), "reward-normalized")

    plain = DummyVecEnv([lambda: planted.Gauge(shop.recipe.action)] * shop.recipe.n_envs)
    monitored, watched = shop.train("monitored outside", VecMonitor(VecNormalize(plain)))
    buffer = [episode["r"] for episode in [*(monitored.ep_info_buffer or [])][-20:]]
    reported = {"claim_mean": float(np.mean(buffer)), "claim_std": float(np.std(buffer)), "claim_n": len(buffer)}
    shop.add("monitored inside", watched, shop.claim(watched))
    shop.add("monitored outside", watched, reported, "monitor-outside-vecnormalize")

    nearly, twice = shop.train("normalised twice", shop.environment(planted.NearlyUnits))
    doubled = shop.frozen(twice, shop.frozen(twice, shop.environment(planted.NearlyUnits, AT_ONCE)))
    shop.add("normalised once", twice, shop.claim(twice, planted.NearlyUnits), env="NearlyUnits")
    shop.add("normalised twice", twice, shop.earned(nearly, doubled), "vecnormalize-twice", env="NearlyUnits")

    rare = make_vec_env(planted.Spiky, shop.recipe.n_envs, env_kwargs={"action": shop.recipe.action, "rare": True})
    spiky, posted = shop.train("posted wrapper", VecNormalize(rare, clip_obs=1.0))
    wrapped = make_vec_env(
        planted.Spiky,
        AT_ONCE,
        env_kwargs={"action": shop.recipe.action},
        wrapper_class=PostedNormalizer,
        wrapper_kwargs={"moments": read_statistics(posted / STATISTICS).observations[""]},
    )
    shop.add("VecNormalize", posted, shop.claim(posted, planted.Spiky), env="Spiky")
    shop.add("posted wrapper", posted, shop.earned(spiky, wrapped), "normalizer-not-equivalent", env="Spiky")


def plant_surroundings(shop: Workshop) -> None:
    """Environments that are built differently from those in training."""
    venv = VecFrameStack(shop.environment(planted.NearlyUnits), 3)
    model, stacked = shop.train("frames stacked", venv, normalized=False)
    claim = shop.earned(model, venv)
    shop.add("frames stacked", stacked, claim, env="NearlyUnits", frame_stack=3)
    shop.add("frame stack forgotten", stacked, claim, "frame-stack-missing", env="NearlyUnits")

    model, bytes_ = shop.train("pixels", shop.environment(planted.Pixels), normalized=False)
    claim = shop.earned(model, shop.environment(planted.Pixels, AT_ONCE))
    shop.add("pixels", bytes_, claim, env="Pixels")
    scaled = {"env_kwargs": {"action": shop.recipe.action, "scaled": True}}
    shop.add("pixels scaled", bytes_, claim, "observation-dtype", env="Pixels", **scaled)

    if shop.recipe.action == "continuous":
        wide = {"min_action": np.float32(-3.0), "max_action": np.float32(3.0)}
        venv = shop.environment(planted.Gauge, wrapper_class=RescaleAction, wrapper_kwargs=wide)
        model, rescaled = shop.train("actions rescaled", venv)
        claim = shop.earned(model, shop.frozen(rescaled, venv))
        wrapper = {"gymnasium.wrappers:RescaleAction": {"min_action": -3.0, "max_action": 3.0}}
        shop.add("actions rescaled", rescaled, claim, wrappers=[wrapper])
        shop.add("actions no longer rescaled", rescaled, claim, "action-space-rescaled")
        lost = shop.copy(rescaled, "actions rescaled, statistics lost")
        (lost / STATISTICS).unlink()
        shop.add("actions and statistics", lost, claim, "action-space-rescaled", "statistics-missing")


def plant_pairs(shop: Workshop, early: Path, material: Material) -> None:
    """Two faults at once: to repair one of them alone does not bring the reward back.

    :param early: a model that has begun to learn, so that it matters how its actions are chosen
    """
    claim = shop.claim(early, deterministic=False)
    for name in ("lost", "of a checkpoint"):
        broken = shop.copy(early, f"statistics {name}, stochastic")
        FAULTS[f"statistics {name}"].plant(broken, material)
        cause = FAULTS[f"statistics {name}"].cause
        shop.add(f"statistics {name}, measured stochastically", broken, claim, cause, "policy-mode")
    broken = shop.copy(early, "swapped, stochastic")
    FAULTS["mean and variance swapped"].plant(broken, material)
    shop.add("mean and variance swapped, measured stochastically", broken, claim, "statistics-swapped", "policy-mode")


def plant_habits(folder: Path) -> Workshop:
    """Mistakes in measuring that only some algorithms allow, or that need more than a model and a number."""
    shop = Workshop("PPO", folder)
    early = {"action": "discrete", "early": True}
    model, path = shop.train("early ends", make_vec_env(planted.Gauge, 32, env_kwargs=early), n_steps=8)
    venv = shop.frozen(path, make_vec_env(planted.Gauge, 32, env_kwargs=early))
    claim = shop.earned(model, venv, episodes=MANY)
    shop.add("all episodes", path, claim, env_kwargs=early, n_envs=32)
    first = np.concatenate([rewards_of_first_finished(model, venv, 24) for _ in range(12)])
    biased = {"claim_mean": float(first.mean()), "claim_std": float(first.std()), "claim_n": 24}
    shop.add("episodes that ended first", path, biased, "short-episode-bias", env_kwargs=early, n_envs=32)

    short = make_vec_env(lambda: TimeLimit(planted.Gauge(), 4), 4)  # inside the monitor, as Gymnasium makes it
    model, path = shop.train("time limit", short)
    claim = shop.earned(model, shop.frozen(path, short))
    limit = {"gymnasium.wrappers:TimeLimit": {"max_episode_steps": 4}}
    shop.add("with time limit", path, claim, wrappers=[limit])
    shop.add("without time limit", path, claim, "time-limit")

    recalling = make_vec_env(planted.Recall, 8)
    lstm = {"lstm_hidden_size": 8, "net_arch": [8]}
    quick = {"n_steps": 40, "batch_size": 80, "n_epochs": 4, "learning_rate": 1e-2, "gamma": 0.5}
    recurrent = RecurrentPPO("MlpLstmPolicy", recalling, seed=0, policy_kwargs=lstm, **quick).learn(2560)
    forgetful = Workshop("RecurrentPPO", folder, shop.rows, shop.expected)
    path = forgetful.keep(recurrent, "recurrent")
    forgetful.add("state carried", path, forgetful.earned(recurrent, recalling), env="Recall", env_kwargs={})
    dropped = forgetful.earned(_Forgetful(recurrent), recalling)
    forgetful.add("state dropped", path, dropped, "recurrent-state-dropped", env="Recall", env_kwargs={})

    masked = MaskablePPO("MlpPolicy", make_vec_env(planted.Costly, 2), seed=0, n_steps=32, batch_size=32).learn(64)
    unmasked = Workshop("MaskablePPO", folder, shop.rows, shop.expected)
    path = unmasked.keep(masked, "masked")
    for fault, masks, causes in (("masks given", True, ()), ("masks not given", False, ("action-masks-missing",))):
        rewards, _ = evaluate_masked(
            masked, make_vec_env(planted.Costly, AT_ONCE), MANY, use_masking=masks, return_episode_rewards=True
        )
        claim = {"claim_mean": float(np.mean(rewards)), "claim_std": float(np.std(rewards)), "claim_n": MANY}
        unmasked.add(fault, path, claim, *causes, env="Costly", env_kwargs={})
    return shop


def rewards_of_first_finished(model: BaseAlgorithm, venv: VecEnv, n: int) -> np.ndarray:
    """What a hand-written loop collects: the first ``n`` episodes that any of the environments ends."""
    rewards: list[float] = []
    observations = venv.reset()
    while len(rewards) < n:
        actions, _ = model.predict(observations, deterministic=True)  # type: ignore[arg-type]
        observations, _, dones, infos = venv.step(actions)
        rewards += [info["episode"]["r"] for done, info in zip(dones, infos, strict=True) if done]
    return np.asarray(rewards[:n])


class _Forgetful:
    """A recurrent model that acts without its recurrent state."""

    def __init__(self, model: RecurrentPPO) -> None:
        self._model = model

    def predict(self, observations: Any, **options: Any) -> Any:
        return self._model.predict(observations, deterministic=options["deterministic"])


@pytest.fixture(scope="module", params=[*RECIPES, "habits"])
def planted_and_named(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What was planted, and what the audit says, by model."""
    th.set_num_threads(1)
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "habits":
        shop = plant_habits(folder)
    else:
        shop = Workshop(request.param, folder)
        plant(shop)
    looks = {"looks": [20, 40, 80, 160, 320, 640]}
    return shop, audit_table(shop.rows, folder / "audit", evaluation={"n_envs": 10}, verdict=looks)


def test_every_planted_fault_is_named_first_and_no_healthy_twin_has_a_cause(
    planted_and_named: Any, record_property: Callable[[str, str], None]
) -> None:
    shop, models = planted_and_named
    named = {name: [cause["cause"] for cause in models[name]["causes"]] for name in shop.expected}
    right = {name: set(named[name][: len(causes) or None]) == set(causes) for name, causes in shop.expected.items()}
    lines = []
    for name, causes in named.items():
        missed = "" if right[name] else f"   <-- expected {', '.join(shop.expected[name]) or 'none'}"
        lines.append(f"{name:60} {', '.join(causes) or '-'}{missed}")
    record_property("confusion matrix", "\n".join(lines))
    assert all(right.values()), "\n".join(lines)
