"""Environments and wrappers whose constructors take arguments, some of which the object keeps and some it hides."""

from __future__ import annotations

import threading
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

Step = tuple[Any, float, bool, bool, dict[str, Any]]


class Level(gym.Env):
    """Every step earns the level, and the wind that ``set_wind`` may raise; an episode has 5 steps."""

    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, level: int = 0) -> None:
        self.level = level
        self.wind = 0.0
        self.steps = 0

    def set_level(self, level: int) -> None:
        self.level = level

    def set_wind(self, wind: float) -> None:
        self.wind = wind

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        return self.observe(), {}

    def step(self, action: Any) -> Step:
        self.steps += 1
        reward = 1.0 + 10 * self.level + self.wind + 0.01 * self.np_random.normal()
        return self.observe(), reward, False, self.steps == 5, {}

    def observe(self) -> Any:
        return self.np_random.uniform(-1, 1, 2).astype(np.float32)


class Locked(Level):
    """:class:`Level` that cannot be copied."""

    def __init__(self, level: int = 0) -> None:
        super().__init__(level)
        self.lock = threading.Lock()


class Pickled(Level, gym.utils.EzPickle):
    """:class:`Level` whose copy is a new one, as those of MuJoCo and Box2D are."""

    def __init__(self, level: int = 0) -> None:
        gym.utils.EzPickle.__init__(self, level)
        super().__init__(level)


class Shared(Level):
    """:class:`Level` whose observations depend on the resets of all environments of the process."""

    resets_of_all = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        Shared.resets_of_all += 1
        return super().reset(seed=seed)

    def observe(self) -> Any:
        return super().observe() / (1 + Shared.resets_of_all)


class Judge:
    """What a :class:`Judged` is given, and makes itself where it is given none."""

    def __init__(self, strictness: float = 1.0) -> None:
        self.strictness = strictness
        self.judged = 0


class Judged(Level):
    """:class:`Level` that takes an object, which every reset changes, and passes on all other arguments."""

    def __init__(self, judge: Judge | None = None, port: int = 0, **kwargs: int) -> None:
        super().__init__(**kwargs)
        self.judge = judge or Judge()
        self.port = port

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.judge.judged += 1
        return super().reset(seed=seed)


class Mapping(Level):
    """:class:`Level` that hides its argument in what it makes of it, and keeps what its episodes were."""

    def __init__(self, seed_of_map: int = 0) -> None:
        super().__init__()
        self.map = np.random.default_rng(seed_of_map).normal(size=(10, 10))
        self.goal, self.board = np.random.default_rng().normal(size=(10, 10)), np.zeros((10, 10))
        self.table = {"bonus": [float(seed_of_map)] * 100}
        self.shift = lambda reward: reward + seed_of_map
        self.judge = Judge(float(seed_of_map))
        self.history: list[Any] = []
        self.last: Any = None

    def step(self, action: Any) -> Step:
        observation, reward, terminated, truncated, info = super().step(action)
        self.last, self.board[self.steps - 1] = self.np_random.normal(size=(10, 10)), reward
        if truncated:
            self.history.append([reward] * 100)
        return observation, self.shift(reward), terminated, truncated, info


class Drawn(Level, gym.utils.EzPickle):
    """:class:`Level` that is rendered, and keeps its arguments as Gymnasium's own environments do."""

    def __init__(self, render_mode: str | None = None, level: int = 0) -> None:
        gym.utils.EzPickle.__init__(self, render_mode, level)
        super().__init__(level)
        self.render_mode = render_mode


class Scaled(gym.RewardWrapper):
    """Multiplies rewards by an argument that it keeps."""

    def __init__(self, env: gym.Env, scale: float = 1.0) -> None:
        super().__init__(env)
        self.scale = scale

    def reward(self, reward: Any) -> Any:
        return self.scale * reward


class Hiding(gym.RewardWrapper):
    """Multiplies rewards by an argument that it keeps under another name."""

    def __init__(self, env: gym.Env, scale: float = 1.0) -> None:
        super().__init__(env)
        self.factor = scale

    def reward(self, reward: Any) -> Any:
        return self.factor * reward


class Composed(gym.Wrapper):
    """Puts two other wrappers around an environment by itself."""

    def __init__(self, env: gym.Env) -> None:
        super().__init__(Scaled(Scaled(env, 2.0), 3.0))


class Mirrored(VecEnvWrapper):
    """Gives observations with the other sign, times a factor."""

    def __init__(self, venv: VecEnv, factor: float = 1.0) -> None:
        super().__init__(venv)
        self.factor = factor

    def reset(self) -> Any:
        return -self.factor * self.venv.reset()

    def step_wait(self) -> Any:
        observations, rewards, dones, infos = self.venv.step_wait()
        for info in infos:
            if "terminal_observation" in info:
                info["terminal_observation"] = -self.factor * info["terminal_observation"]
        return -self.factor * observations, rewards, dones, infos


class Mapped(VecEnvWrapper):
    """Gives what a function makes of observations, and hides a factor."""

    def __init__(self, venv: VecEnv, function: Any = None, scale: float = 1.0) -> None:
        super().__init__(venv)
        self.function = function or np.negative
        self.factor = scale

    def reset(self) -> Any:
        return self.factor * self.function(self.venv.reset())

    def step_wait(self) -> Any:
        observations, rewards, dones, infos = self.venv.step_wait()
        return self.factor * self.function(observations), rewards, dones, infos


class Weighted(VecEnvWrapper):
    """Hides the weights that it gives rewards."""

    def __init__(self, venv: VecEnv, weight: float = 1.0) -> None:
        super().__init__(venv)
        self.weights = np.full(100, weight)
        self.earned: list[Any] = []

    def reset(self) -> Any:
        return self.venv.reset()

    def step_wait(self) -> Any:
        observations, rewards, dones, infos = self.venv.step_wait()
        self.earned += [[float(reward)] * 100 for reward, done in zip(rewards, dones, strict=True) if done]
        return observations, rewards * self.weights[0], dones, infos


def make_hiding(scale: float = 2.0) -> gym.Env:
    """An environment whose wrapper hides its argument."""
    return Hiding(Level(1), scale)
