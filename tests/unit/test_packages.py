"""A package that an environment lacks is named with what installs it; what is installed registers its environments."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import gymnasium as gym
import pytest

from reload_audit.environments.build import make_env
from reload_audit.environments.ids import register_environments, runnable
from reload_audit.environments.packages import KNOWN, PACKAGES, is_missing, package_of, what_to_install
from reload_audit.processes.imports import ImportProblem
from reload_audit.reading.refusal import Unreadable
from reload_audit.records.environment_spec import EnvironmentSpec

OF = {
    "HalfCheetah-v4": ("mujoco", "gymnasium[mujoco]=="),
    "Humanoid-v5": ("mujoco", "gymnasium[mujoco]=="),
    "LunarLanderContinuous-v3": ("Box2D", "gymnasium[box2d]=="),
    "BipedalWalkerHardcore-v3": ("Box2D", "gymnasium[box2d]=="),
    "CarRacing-v3": ("Box2D", "gymnasium[box2d]=="),
    "ALE/Pong-v5": ("ale_py", "gymnasium[atari]=="),
    "BreakoutNoFrameskip-v4": ("ale_py", "gymnasium[atari]=="),
    "Qbert-v4": ("ale_py", "gymnasium[atari]=="),
    "PandaReach-v3": ("panda_gym", "'panda-gym'"),
    "PandaPickAndPlaceDense-v1": ("panda_gym", "'panda-gym'"),
    "FetchReach-v4": ("gymnasium_robotics", "'gymnasium-robotics'"),
    "AntMaze_UMaze-v5": ("gymnasium_robotics", "'gymnasium-robotics'"),
    "highway-fast-v0": ("highway_env", "'highway-env'"),
    "parking-v0": ("highway_env", "'highway-env'"),
    "MiniGrid-Empty-5x5-v0": ("minigrid", "'minigrid'"),
    "BabyAI-GoToLocal-v0": ("minigrid", "'minigrid'"),
    "AntBulletEnv-v0": ("pybullet_envs_gymnasium", "'pybullet-envs-gymnasium'"),
    "CartPoleNoVel-v1": ("rl_zoo3", "'rl_zoo3', and configure trust: [rl_zoo3]"),
    "dm_control/cartpole-swingup-v0": ("dm_control", "'shimmy[dm-control]', and configure trust: [shimmy]"),
}


def environment(env: str) -> EnvironmentSpec:
    return EnvironmentSpec.from_dict(
        {"env": env, "env_kwargs": {}, "wrappers": [], "monitor": "env", "normalize": False, "frame_stack": None}
        | {"vec_wrappers": [], "python_path": []}
    )


@pytest.mark.parametrize("env", OF)
def test_a_missing_package_is_named_with_what_installs_it(env: str) -> None:
    package, install = OF[env]
    found = package_of(env)
    assert found is not None
    assert found.name == package
    if not is_missing(package):
        pytest.skip(f"{package} is installed here")
    with pytest.raises(gym.error.Error) as error:
        make_env(environment(env))
    said = what_to_install(error.value, env)
    assert said.startswith(f"{env} needs {package}, which is not installed: pip install ")
    assert install in said


def test_no_id_of_gymnasium_itself_is_taken_for_one_of_a_package() -> None:
    for env in ("CartPole-v1", "Pendulum-v1", "Acrobot-v1", "MountainCarContinuous-v0", "Taxi-v3", "Blackjack-v1"):
        assert package_of(env) is None
    assert package_of("Antenna-v0") is None
    assert getattr(package_of("LunarLanderNoVel-v2"), "name", "") == "rl_zoo3"


def test_an_id_that_nobody_registers_is_said_to_need_its_module() -> None:
    with pytest.raises(gym.error.Error) as error:
        gym.make("Unheard-v7")
    assert "module:Unheard-v7" in what_to_install(error.value, "Unheard-v7")


def test_an_error_of_another_kind_lacks_no_package() -> None:
    assert what_to_install(ValueError("no module named 'panda_gym'"), "PandaReach-v3") == ""
    with pytest.raises(TypeError) as error:
        gym.make("CartPole-v1", unknown=1)
    assert what_to_install(error.value, "CartPole-v1") == ""


@pytest.mark.parametrize(
    ("imported", "said"),
    [
        ("pybullet", "needs pybullet, which is not installed: pip install pybullet"),
        ("skimage", "needs skimage, which is not installed: pip install scikit-image"),
        ("panda_gym.envs", "needs panda_gym, which is not installed: pip install 'panda-gym'"),
        ("gym", "port it to gymnasium, in four lines: import gymnasium as gym; def reset(self, *, seed=None"),
    ],
)
def test_what_an_environment_s_own_module_imports_in_vain_is_named(
    imported: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec(imported.partition(".")[0]) is not None:
        pytest.skip(f"{imported} is installed here")
    (tmp_path / "imports_in_vain.py").write_text(f"import {imported}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportProblem) as error:
        make_env(environment("imports_in_vain:Robot"))
    assert said in f"{error.value}; {what_to_install(error.value, 'imports_in_vain:Robot')}"


ZOO = """
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv

def create():
    def make_env(render_mode=None):
        return CartPoleEnv()
    return make_env

gymnasium.register("CartPoleNoVel-v1", entry_point=create())
"""


def test_environments_of_rl_zoo_are_registered_if_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RL Zoo registers them in a module that its package does not import."""
    if not is_missing("rl_zoo3"):
        pytest.skip("RL Zoo itself is installed here")
    (tmp_path / "rl_zoo3").mkdir()
    (tmp_path / "rl_zoo3/__init__.py").touch()
    (tmp_path / "rl_zoo3/import_envs.py").write_text(ZOO)
    monkeypatch.syspath_prepend(tmp_path)
    spec = environment("CartPoleNoVel-v1")
    try:
        ran, _ = runnable(spec, (), [], {})
        with pytest.raises(gym.error.Error) as error:
            make_env(ran)
        assert "if you trust it: configure trust: [rl_zoo3]" in what_to_install(error.value, spec.env)
        ran, _ = runnable(spec, (), ["rl_zoo3"], {})
        make_env(ran).close()
    finally:
        gym.registry.pop("CartPoleNoVel-v1", None)
        for name in ("rl_zoo3", "rl_zoo3.import_envs"):
            sys.modules.pop(name, None)


def test_a_package_that_cannot_be_imported_is_said_to_be_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not is_missing("minigrid"):
        pytest.skip("minigrid itself is installed here")
    (tmp_path / "minigrid.py").write_text("import pybullet_of_another_name\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Unreadable, match=r"MiniGrid-Empty-5x5-v0 needs minigrid: importing 'minigrid': no module"):
        register_environments("MiniGrid-Empty-5x5-v0", [])


@pytest.mark.parametrize("package", [package for package in KNOWN if not is_missing(package)])
def test_a_package_that_is_installed_registers_its_environments_for_files_too(package: str) -> None:
    """Without a word of the user's, and no matter which process makes them."""
    ids = {"ale_py": "ALE/Pong-v5", "panda_gym": "PandaReach-v3", "minigrid": "MiniGrid-Empty-5x5-v0"}
    if package not in ids:
        pytest.skip(f"no environment of {package} is tried")
    ran, _ = runnable(environment(ids[package]), (), [], {})
    make_env(ran).close()


def test_every_entry_of_the_table_says_what_it_needs() -> None:
    assert len({package.name for package in PACKAGES}) == len(PACKAGES)
    for package in PACKAGES:
        assert package.install.partition("[")[0].replace("-", "_") in (package.name, "gymnasium", "shimmy")
        assert package.trusted_as or package.registers or package.install.startswith("gymnasium[")
