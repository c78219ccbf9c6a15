"""Small environments for tests: healthy ones of every kind, and some with one fault each.

Faults that must not show in training ask which process they are in: train time and reload have different, fixed
hash seeds.
"""

from __future__ import annotations

import os
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from reload_audit.processes.fork_servers import RELOAD_HASH_SEED

Step = tuple[Any, float, bool, bool, dict[str, Any]]


def reloading() -> bool:
    """Whether this process reloads a model: it has the hash seed of reloads."""
    return os.environ.get("PYTHONHASHSEED") == str(RELOAD_HASH_SEED)


class Draws(gym.Env):
    """Every observation and reward is a draw from the environment's own generator; an episode has 3 to 8 steps."""

    observation_space: gym.Space = gym.spaces.Box(-1, 1, (3,), np.float32)
    action_space: gym.Space = gym.spaces.Discrete(2)
    steps_of_all = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.left = int(self.np_random.integers(3, 9))
        return self.observe(), {}

    def step(self, action: Any) -> Step:
        Draws.steps_of_all += 1
        self.left -= 1
        return self.observe(), float(self.np_random.normal()) + float(np.sum(action)), self.left == 0, False, {}

    def observe(self) -> Any:
        return self.np_random.uniform(-1, 1, 3).astype(np.float32)


class Continuous(Draws):
    """:class:`Draws` with continuous actions."""

    action_space = gym.spaces.Box(-2, 2, (1,), np.float32)


class WritesToActions(Continuous):
    """Changes the array of actions that it is given."""

    def step(self, action: Any) -> Step:
        outcome = super().step(action)
        action *= 0.5
        return outcome


class DictObservations(Draws):
    """Observes a dictionary: a position that wants normalising, and a colour that cannot be normalised."""

    observation_space = gym.spaces.Dict(
        {"position": gym.spaces.Box(-100, 100, (2,), np.float32), "colour": gym.spaces.Discrete(3)}
    )

    def observe(self) -> Any:
        return {
            "position": self.np_random.normal(50, 10, 2).astype(np.float32),
            "colour": int(self.np_random.integers(3)),
        }


class Goals(Continuous):
    """Has goals, as hindsight experience replay needs them."""

    observation_space = gym.spaces.Dict(
        {key: gym.spaces.Box(-1, 1, (3,), np.float32) for key in ("observation", "achieved_goal", "desired_goal")}
    )

    def observe(self) -> Any:
        return {key: self.np_random.uniform(-1, 1, 3).astype(np.float32) for key in self.observation_space.spaces}

    def compute_reward(self, achieved: np.ndarray, desired: np.ndarray, _info: Any) -> np.ndarray:
        return -np.linalg.norm(achieved - desired, axis=-1)


class Images(Draws):
    """Observes an image of 36 by 36 pixels."""

    observation_space = gym.spaces.Box(0, 255, (36, 36, 3), np.uint8)

    def observe(self) -> Any:
        return self.np_random.integers(0, 256, (36, 36, 3), dtype=np.uint8)


class Masked(Draws):
    """One action of four is allowed; raises where another is taken, and where a mask is asked for after the end."""

    action_space = gym.spaces.Discrete(4)

    def action_masks(self) -> np.ndarray:
        if self.left == 0:
            raise RuntimeError("the game is over: there are no moves")
        return np.arange(4) == self.left % 4

    def step(self, action: Any) -> Step:
        if not self.action_masks()[int(action)]:
            raise ValueError(f"action {action} is masked")
        return super().step(action)


class MaskedAsAnotherVariant(Continuous):
    """Has masks for a variant of it with discrete actions, and continuous actions itself."""

    def action_masks(self) -> np.ndarray:
        return np.ones(2, dtype=bool)


class MasksFromOutside(gym.Wrapper):
    """A wrapper that offers the action masks of the environment inside."""

    def action_masks(self) -> np.ndarray:
        return self.unwrapped.action_masks()


class Lives(Draws):
    """Three lives; a life is lost at every second step."""

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        observation, info = super().reset(**kwargs)
        self.left = 6
        return observation, info

    @property
    def lives(self) -> int:
        return -(-self.left // 2)


class EndsWithLife(gym.Wrapper):
    """Ends an episode with each life and goes on in the next, as is customary in training on Atari."""

    over = True

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        if self.over:
            observation, info = self.env.reset(**kwargs)
        else:
            observation, _, terminated, truncated, info = self.env.step(0)
            if terminated or truncated:
                observation, info = self.env.reset(**kwargs)
        self.over = False
        self.lives = self.unwrapped.lives
        return observation, info

    def step(self, action: Any) -> Step:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.over = terminated or truncated
        return observation, reward, terminated or self.unwrapped.lives < self.lives, truncated, info


class Clips(gym.RewardWrapper):
    """Rewards are reduced to their sign."""

    def reward(self, reward: Any) -> float:
        return float(np.sign(reward))


class Endless(Draws):
    """An episode never ends."""

    def step(self, action: Any) -> Step:
        self.left = 10
        return super().step(action)


class NoNumber(Draws):
    """Earns NaN, but only after a reload."""

    def step(self, action: Any) -> Step:
        observation, reward, *rest = super().step(action)
        return observation, float("nan") if reloading() else reward, *rest


class AddsOne(gym.RewardWrapper):
    """Adds a given amount to every reward."""

    def __init__(self, env: gym.Env, amount: float = 1.0) -> None:
        super().__init__(env)
        self.amount = amount

    def reward(self, reward: Any) -> float:
        return float(reward) + self.amount


class ConstructionDraws(Draws):
    """A level that is drawn at construction is added to every reward: it is gone with the instance."""

    def __init__(self) -> None:
        self.level = float(np.random.default_rng().normal(0, 10)) if reloading() else 100.0

    def step(self, action: Any) -> Step:
        observation, reward, *rest = super().step(action)
        return observation, reward + self.level, *rest


class WarmsUp(Draws):
    """Rewards rise after 20 episodes of an instance, whose number is saved nowhere: a curriculum."""

    episodes = 0

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        self.episodes += 1
        return super().reset(**kwargs)

    def step(self, action: Any) -> Step:
        observation, reward, *rest = super().step(action)
        return observation, reward + (100.0 if self.episodes > 20 else 0.0), *rest


class Tires(Draws):
    """Pays nothing from some episode of an instance on.

    :param after: how many it pays for
    """

    def __init__(self, after: int = 1) -> None:
        self._left = after

    def reset(self, **given: Any) -> tuple[Any, dict[str, Any]]:
        self._left -= 1
        return super().reset(**given)

    def step(self, action: Any) -> Step:
        observation, reward, *others = super().step(action)
        return observation, reward if self._left >= 0 else 0.0, *others


class Gauge(gym.Env):
    """Observe a number in odd units and answer at once: easy to learn where observations are normalised, not without.

    A step earns up to 10 for the right answer, and a wrong one costs 10. Episodes have 8 steps, or where some end
    ``early``, half of them 2. Actions are ``discrete``, ``continuous`` in [-1, 1], or ``wide`` in [-2, 2].
    """

    observation_space: gym.Space = gym.spaces.Box(-np.inf, np.inf, (3,), np.float32)
    offset = np.array([300.0, 3.0, 5000.0])
    unit = np.array([4.0, 0.02, 90.0])

    def __init__(self, action: str = "discrete", *, early: bool = False) -> None:
        self.bound = 2.0 if action == "wide" else 1.0
        box = gym.spaces.Box(-self.bound, self.bound, (1,), np.float32)
        self.action_space = gym.spaces.Discrete(2) if action == "discrete" else box
        self.early = early

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.left = 2 if self.early and self.np_random.random() < 0.5 else 8
        return self.observe(), {}

    def step(self, action: Any) -> Step:
        if self.action_space.shape == ():
            reward = 10.0 if (action == 1) == (self.pointer > 0.0) else -10.0
        else:
            answer = float(np.sum(action)) / self.bound
            reward = max(-10.0, 10.0 - 20.0 * abs(answer - float(np.clip(self.pointer, -1.0, 1.0))))
        self.left -= 1
        return self.observe(), reward, self.left == 0, False, {}

    def observe(self) -> Any:
        self.hidden = self.np_random.normal(size=3)
        self.pointer = float(self.hidden[0] + 0.5 * self.hidden[2])
        return (self.offset + self.unit * self.hidden).astype(np.float32)


gym.register("Gauge-v0", "planted:Gauge", kwargs={"action": "discrete"}, max_episode_steps=100)
gym.register("OtherGauge-v0", "planted:OtherGauge", max_episode_steps=100)


class SwapsActions(gym.ActionWrapper):
    """Takes the two actions the other way round."""

    def action(self, action: Any) -> Any:
        return 1 - action


class Turned(VecEnvWrapper):
    """Turns observations round, and multiplies them and rewards."""

    def __init__(self, venv: VecEnv, factors: np.ndarray, *, pays: float = 1.0) -> None:
        super().__init__(venv)
        self.factors, self.pays = factors, pays

    def reset(self) -> Any:
        return self.turned(self.venv.reset())

    def step_wait(self) -> Any:
        observations, rewards, dones, infos = self.venv.step_wait()
        for info in infos:
            if "terminal_observation" in info:
                info["terminal_observation"] = self.turned(info["terminal_observation"])
        return self.turned(observations), rewards * self.pays, dones, infos

    def turned(self, observations: Any) -> Any:
        return (-observations * self.factors.astype(np.float32)).astype(np.float32)


class Stumbles(gym.ActionWrapper):
    """Takes the other of two actions half of the time, as a generator says that nobody seeds."""

    def action(self, action: Any) -> Any:
        return 1 - action if np.random.rand() < 0.5 else action


class OtherGauge(Gauge):
    """:class:`Gauge` with observations in other units."""

    offset = np.array([290.0, 3.05, 5150.0])
    unit = np.array([9.0, 0.01, 300.0])


class Backed(Gauge):
    """:class:`Gauge` with a spare sensor: nothing is observed where neither is left.

    :param spare: whether it has one
    """

    main = True

    def __init__(self, *, spare: bool = True) -> None:
        super().__init__()
        self.spare = spare

    def observe(self) -> Any:
        shown = super().observe()
        return shown if self.main or self.spare else np.zeros_like(shown)


class Unplugs(gym.Wrapper):
    """Takes the main sensor of :class:`Backed` away."""

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        self.unwrapped.main = False
        return super().reset(**kwargs)


class Panel(Gauge):
    """:class:`Gauge`, which is one part of what is observed; the other says nothing."""

    observation_space = gym.spaces.Dict(
        {"gauge": Gauge.observation_space, "lamp": gym.spaces.Box(0, 1, (1,), np.float32)}
    )

    def observe(self) -> Any:
        return {"gauge": super().observe(), "lamp": self.np_random.random(1).astype(np.float32)}


class Delayed(Gauge):
    """:class:`Gauge`, where the right answer is to what was observed one step before: needs two frames."""

    before = 0.0

    def observe(self) -> Any:
        before, shown = self.before, super().observe()
        self.before, self.pointer = self.pointer, before
        return shown


class NearlyUnits(Gauge):
    """A gauge in nearly normal units: wrong normalisation costs part of the reward, each mistake another part."""

    offset = np.array([2.0, 2.0, 2.0])
    unit = np.array([3.0, 3.0, 3.0])


class Spiky(Gauge):
    """A gauge with three more readings that mean nothing, and have spikes: rarely in training, often afterwards.

    :param rare: whether spikes are rare
    """

    observation_space: gym.Space = gym.spaces.Box(-np.inf, np.inf, (6,), np.float32)

    def __init__(self, action: str = "discrete", *, rare: bool = False) -> None:
        super().__init__(action)
        self.often = 0.02 if rare else 0.5

    def observe(self) -> Any:
        spikes = np.where(self.np_random.random(3) < self.often, self.np_random.choice([-1e3, 1e3], 3), 0.0)
        return np.concatenate([super().observe(), spikes]).astype(np.float32)


class Pixels(Gauge):
    """The gauge's pointer as a picture.

    :param scaled: whether pixels are numbers from 0 to 1 instead of bytes
    """

    def __init__(self, action: str = "discrete", *, scaled: bool = False) -> None:
        super().__init__(action)
        self.scaled = scaled
        kind, high = (np.float32, 1) if scaled else (np.uint8, 255)
        self.observation_space = gym.spaces.Box(0, high, (6, 6, 1), kind)

    def observe(self) -> Any:
        super().observe()
        brightness = self.pointer if self.action_space.shape else 1000.0 * self.pointer
        picture = np.full((6, 6, 1), 127.5 + 127.5 * np.clip(brightness, -1.0, 1.0)).astype(np.uint8)
        return (picture / 255.0).astype(np.float32) if self.scaled else picture


class Recall(gym.Env):
    """The first observation shows which action is right at every later step, where nothing is shown: needs memory."""

    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.shown = int(self.np_random.integers(2))
        self.left = 5
        return np.array([2 * self.shown - 1, 1], np.float32), {}

    def step(self, action: Any) -> Step:
        self.left -= 1
        return np.zeros(2, np.float32), 10.0 if action == self.shown else -10.0, self.left == 0, False, {}


class Costly(Draws):
    """Only the action mask tells which action earns; the other one costs more than that."""

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        outcome = super().reset(**kwargs)
        self.allowed = int(self.np_random.integers(2))
        return outcome

    def action_masks(self) -> np.ndarray:
        return np.arange(2) == self.allowed

    def step(self, action: Any) -> Step:
        observation, _, *rest = super().step(action)
        reward = 10.0 if action == self.allowed else -30.0
        self.allowed = int(self.np_random.integers(2))
        return observation, reward, *rest


class Bandit(gym.Env):
    """One action of four pays in each step; which one is drawn anew, as a sample of the action space would be."""

    observation_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gym.spaces.Discrete(4)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.left = 15
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Step:
        self.left -= 1
        return np.zeros(1, np.float32), float(action == self.np_random.integers(4)), self.left == 0, False, {}
