"""Packages that register environments: which ids are theirs, how each is installed, what registers them.

A table, from the packages' own documentation, which stands behind each entry. What it names is imported where it is
installed and an id of its form is asked for: these packages are well known, and a file decides no more than which.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Collection
from dataclasses import dataclass

import gymnasium as gym

from reload_audit.environments.older_apis import registered_in_gym
from reload_audit.processes.imports import ImportProblem, import_module
from reload_audit.reading.refusal import Unreadable


@dataclass(frozen=True)
class EnvironmentPackage:
    """A package that environments need.

    :param name: as it is imported
    :param ids: a pattern that its environments' ids begin with
    :param install: what ``pip install`` is given
    :param registers: the module that registers them when it is imported; empty where Gymnasium does, and where they are
        registered only if the user trusts the package
    :param trusted_as: what then must be trusted; empty where any file may name its environments
    """

    name: str
    ids: str
    install: str
    registers: str = ""
    trusted_as: str = ""


_MUJOCO = "Ant|HalfCheetah|Hopper|Humanoid|HumanoidStandup|Inverted(Double)?Pendulum|Pusher|Reacher|Swimmer|Walker2d"
_ROBOTS = "Fetch|HandReach|HandManipulate|AntMaze|PointMaze|AdroitHand|FrankaKitchen"
_ROADS = "highway|merge|roundabout|parking|intersection|racetrack|exit|u-turn|two-way|lane-keeping"
_ATARI = "Asteroids|BeamRider|Breakout|Enduro|Freeway|MsPacman|Pong|Qbert|RoadRunner|Seaquest|SpaceInvaders"
_FOR_SB3 = r".*(NoFrameskip|Deterministic)"
_EXTRA = f"=={gym.__version__}"

PACKAGES = (
    # https://gymnasium.farama.org/environments/box2d/
    EnvironmentPackage(
        "Box2D", r"(LunarLander(Continuous)?|BipedalWalker(Hardcore)?|CarRacing)-v\d+$", f"gymnasium[box2d]{_EXTRA}"
    ),
    # https://gymnasium.farama.org/environments/mujoco/
    EnvironmentPackage("mujoco", rf"({_MUJOCO})-v\d+$", f"gymnasium[mujoco]{_EXTRA}"),
    # https://ale.farama.org/environments/
    EnvironmentPackage(
        "ale_py",
        rf"ALE/|({_FOR_SB3}|({_ATARI})(-ram)?)-v\d$",
        f"gymnasium[atari]{_EXTRA}",
        "ale_py",
    ),
    # https://panda-gym.readthedocs.io/en/latest/usage/environments.html
    EnvironmentPackage("panda_gym", r"Panda(Reach|Push|Slide|PickAndPlace|Stack|Flip)", "panda-gym", "panda_gym"),
    # https://robotics.farama.org/
    EnvironmentPackage("gymnasium_robotics", rf"({_ROBOTS})", "gymnasium-robotics", "gymnasium_robotics"),
    # https://highway-env.farama.org/quickstart/
    EnvironmentPackage("highway_env", rf"({_ROADS})(-[a-z0-9-]*)?-v\d+$", "highway-env", "highway_env"),
    # https://minigrid.farama.org/
    EnvironmentPackage("minigrid", r"(MiniGrid|BabyAI)-", "minigrid", "minigrid"),
    # https://miniworld.farama.org/
    EnvironmentPackage("miniworld", r"MiniWorld-", "miniworld", "miniworld"),
    # https://github.com/araffin/pybullet_envs_gymnasium
    EnvironmentPackage(
        "pybullet_envs_gymnasium", r".*BulletEnv-v\d+$", "pybullet-envs-gymnasium", "pybullet_envs_gymnasium"
    ),
    # https://github.com/markub3327/flappy-bird-gymnasium
    EnvironmentPackage("flappy_bird_gymnasium", r"FlappyBird-v\d+$", "flappy-bird-gymnasium", "flappy_bird_gymnasium"),
    # https://rl-baselines3-zoo.readthedocs.io/, rl_zoo3/import_envs.py
    EnvironmentPackage("rl_zoo3", r".*NoVel-v\d+$", "rl_zoo3", "rl_zoo3.import_envs", trusted_as="rl_zoo3"),
    # https://shimmy.farama.org/environments/dm_control/
    EnvironmentPackage("dm_control", r"dm_control/", "shimmy[dm-control]", trusted_as="shimmy"),
)

_OTHERS = {
    **{name: name for name in ("pandas", "pybullet", "pygame", "scipy")},
    "cv2": "opencv-python-headless",
    "dm_control": "dm-control",
    "PIL": "pillow",
    "pybullet_envs": "pybullet",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
}
"""What environments' own modules import, and what installs it."""

KNOWN = tuple(package.name for package in PACKAGES if package.registers and not package.trusted_as)
"""Packages whose environments any file may name, besides Gymnasium's own."""


def register(env: str, trusted: Collection[str] = ()) -> None:
    """Import the package of the table that registers an environment, if it is installed.

    :raises ImportProblem: it raises when it is imported
    """
    found = package_of(env)
    if found is None or not found.registers or is_missing(found.name) or is_registered(env):
        return
    if not found.trusted_as or found.trusted_as in trusted:
        try:
            import_module(found.registers)
        except ImportProblem as problem:
            raise ImportProblem(f"{env} needs {found.name}: {problem}") from None


def package_of(env: str) -> EnvironmentPackage | None:
    """The package in the table that an id is of."""
    return next((package for package in PACKAGES if re.match(package.ids, env.rpartition(":")[2])), None)


def is_registered(env: str) -> bool:
    """Whether an id is known to Gymnasium, or to ``gym``."""
    return env in gym.registry or registered_in_gym(env) is not None


def is_missing(package: str) -> bool:
    """Whether a package is not installed; also a package that the user trusts may be missing."""
    return importlib.util.find_spec(package.partition(".")[0]) is None


def what_to_install(error: BaseException, env: str) -> str:
    """Say which package an environment lacks and how to get it, judging by its error; empty where it lacks none."""
    wanted = _imported_in_vain(error)
    lacking = next((package for package in PACKAGES if package.name == wanted), None)
    if lacking is not None:
        return _said(env, lacking)
    if wanted in _OTHERS:
        return f"{env} needs {wanted}, which is not installed: pip install {_OTHERS[wanted]}"
    unknown = isinstance(error, gym.error.UnregisteredEnv)
    found = package_of(env) if isinstance(error, gym.error.Error | ImportError | ImportProblem) else None
    if found is not None and (unknown or is_missing(found.name)):
        return _said(env, found)
    if unknown:
        said = " ".join(str(error).split())
        return f"{said} Expected a registered id; one of your own is written with its module: module:{env}"
    return ""


def _said(env: str, package: EnvironmentPackage) -> str:
    trust = f"trust: [{package.trusted_as}]" if package.trusted_as else ""
    if is_missing(package.name):
        then = f", and configure {trust}" if trust else ""
        return f"{env} needs {package.name}, which is not installed: pip install '{package.install}'{then}"
    if trust:
        return f"{env} is an environment of {package.name}, which is imported if you trust it: configure {trust}"
    return f"{env} is no environment of {package.name} as it is installed; expected one of its ids, or env_versions"


def _imported_in_vain(error: BaseException | None) -> str:
    """The package that was not found when an import failed; empty where another thing failed."""
    while isinstance(error, ImportError | ImportProblem | Unreadable | gym.error.Error):
        if isinstance(error, ModuleNotFoundError) and error.name:
            return error.name.partition(".")[0]
        error = error.__cause__ or error.__context__
    return ""
