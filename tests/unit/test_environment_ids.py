"""An environment that moved on is found again; a name out of a file is imported only where that is trusted."""

from __future__ import annotations

import gymnasium as gym
import planted
import pytest

from reload_audit.environments.build import build_vec_env
from reload_audit.environments.ids import (
    check_names,
    current,
    register_environments,
    registering_package,
)
from reload_audit.reading.refusal import Unreadable
from reload_audit.records.environment_spec import EnvironmentSpec, WrapperSpec


def environment(env: str, *wrappers: str) -> EnvironmentSpec:
    return EnvironmentSpec(env, {}, tuple(WrapperSpec(name, {}) for name in wrappers), "env", (), ())


MOVED = {
    "LunarLander-v2": "LunarLander-v3",
    "LunarLanderContinuous-v2": "LunarLanderContinuous-v3",
    "Pendulum-v0": "Pendulum-v1",
    "HalfCheetah-v2": "HalfCheetah-v4",
    "HalfCheetah-v3": "HalfCheetah-v4",
    "Reacher-v1": "Reacher-v4",
    "BipedalWalker-v2": "BipedalWalker-v3",
}


@pytest.mark.parametrize("env", MOVED)
def test_a_removed_id_is_replaced_by_the_oldest_version_that_exists(env):
    ran, remark = current(environment(env), {})
    assert (ran.env, remark) == (MOVED[env], f"{env} ran as {MOVED[env]}")


@pytest.mark.parametrize("env", ["CartPole-v0", "CartPole-v1", "HalfCheetah-v4", "module:Env-v0", "Unheard-v7"])
def test_an_existing_or_unknown_id_is_left_as_it_is(env):
    ran, remark = current(environment(env), {})
    assert (ran.env, remark) == (env, "")


def test_a_replacement_from_the_configuration_comes_first():
    ran, remark = current(environment("CartPole-v0"), {"CartPole-v0": "CartPole-v1"})
    assert (ran.env, remark) == ("CartPole-v1", "CartPole-v0 ran as CartPole-v1")


def test_an_older_version_never_stands_in_for_a_newer_one():
    assert current(environment("Pendulum-v7"), {})[0].env == "Pendulum-v7"


@pytest.mark.parametrize(
    "wrapper",
    [
        "gymnasium.wrappers.FlattenObservation",
        "stable_baselines3.common.atari_wrappers.AtariWrapper",
        "sb3_contrib.common.wrappers.TimeFeatureWrapper",
    ],
)
def test_wrappers_of_known_libraries_are_imported(wrapper):
    check_names(environment("CartPole-v1", wrapper), (), [])


UNTRUSTED = {
    "os:system": [],
    "planted:Draws": ["plante"],
    "CartPole-v1|os.system": [],
    "CartPole-v1|subprocess.Popen": ["sub"],
    "CartPole-v1|gymnasium_wrappers.Evil": [],
    "CartPole-v1|stable_baselines3.common.save_util.load_from_pkl": [],
    "CartPole-v1|stable_baselines3.common.monitor.Monitor": [],
    "CartPole-v1|gymnasium.wrappers.RecordVideo": [],
}


@pytest.mark.parametrize("names", UNTRUSTED)
def test_names_from_files_are_refused_unless_their_package_is_trusted(names):
    env, _, wrapper = names.partition("|")
    spec = environment(env, *filter(None, [wrapper]))
    package = (wrapper or env).replace(":", ".").partition(".")[0]
    with pytest.raises(Unreadable, match="which is not imported"):
        check_names(spec, (), UNTRUSTED[names])
    check_names(spec, (), [package])


@pytest.mark.parametrize("names", UNTRUSTED)
def test_a_package_is_advised_to_be_trusted_only_if_it_may_be_one_s_own(names):
    env, _, wrapper = names.partition("|")
    kind, key = ("wrapper", "wrappers") if wrapper else ("environment", "env")
    package = (wrapper or env).replace(":", ".").partition(".")[0]
    with pytest.raises(Unreadable) as refused:
        check_names(environment(env, *filter(None, [wrapper])), (), [])
    said = f"its files name the {kind} {wrapper or env}, which is not imported; "
    own = f"if you know it, add {package!r} to trust (and have it installed)"
    yours = f"expected {key} that you name yourself, under runs or in a table of models"
    assert str(refused.value) == said + (own if package in ("planted", "gymnasium_wrappers") else yours)


def test_names_that_the_user_wrote_need_no_trust():
    spec = environment("robot:Robot", "robot.Wrapper")
    check_names(spec, ("env", "wrappers"), [])
    for named, refused in ((("env",), "wrapper robot.Wrapper"), (("wrappers",), "environment robot:Robot")):
        with pytest.raises(Unreadable, match=refused):
            check_names(spec, named, [])


@pytest.mark.parametrize("env", ["GymV21Environment-v0", "GymV26Environment-v0"])
def test_an_environment_that_makes_others_by_name_is_refused(env):
    with pytest.raises(Unreadable, match="makes others by their names"):
        check_names(environment(env), (), [])


def test_a_trusted_package_is_imported_so_that_it_registers_its_environments(tmp_path, monkeypatch):
    (tmp_path / "registers_one.py").write_text(
        "import gymnasium\n"
        "gymnasium.register('Registered-v0', entry_point='gymnasium.envs.classic_control:CartPoleEnv')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    register_environments("Registered-v0", ["registers_one"])
    assert "Registered-v0" in gym.registry
    in_other_processes = build_vec_env(environment("Registered-v0"), 1, seed=0, kind="subproc")
    assert in_other_processes.reset().shape == (1, 4)
    in_other_processes.close()
    del gym.registry["Registered-v0"]


def test_a_trusted_package_that_does_not_import_is_named(tmp_path, monkeypatch):
    (tmp_path / "raises_at_import.py").write_text("raise RuntimeError('no licence')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Unreadable, match=r"raises_at_import.*no licence"):
        register_environments("CartPole-v1", ["raises_at_import"])


def test_the_package_that_registers_an_environment_is_known_by_where_it_is_defined():
    gym.register("Others-v0", entry_point="others_package.envs.arm:Arm")
    gym.register("Made-v0", entry_point=planted.Draws)
    try:
        found = [registering_package(env) for env in ("Others-v0", "Made-v0", "CartPole-v1", "robots:Arm", "Gone-v0")]
    finally:
        del gym.registry["Others-v0"], gym.registry["Made-v0"]
    assert found == ["others_package", "planted", "", "", ""]
