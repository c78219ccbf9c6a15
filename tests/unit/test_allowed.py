"""What a model's files name is called only if it is what is asked for, and is defined in a package that is trusted."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from reload_audit.environments import ids
from reload_audit.environments.allowed import names_code
from reload_audit.environments.build import make_env
from reload_audit.evaluation.external import random_policy_reward
from reload_audit.probing.actions import plan_for_external
from reload_audit.processes.outcome import Failure
from reload_audit.reading.pickles import Global
from reload_audit.reading.refusal import Unreadable
from reload_audit.reading.trust import is_trusted
from reload_audit.reading.values import Values
from reload_audit.records.environment_spec import EnvironmentSpec, WrapperSpec
from reload_audit.records.specs import EvaluationSpec, ExternalPolicy
from support.builders import external_spec

PACKAGE = """
import functools
import importlib
import os
import subprocess
from gymnasium.envs.classic_control import CartPoleEnv
from subprocess import Popen, run

import gymnasium as gym

part = functools.partial(subprocess.run)
through_lambda = lambda command: os.system(command)


def shell(command):
    os.system(command)


@functools.wraps(subprocess.run)
def wrapped(command):
    os.system(command)


class Runner:
    def __init__(self, *args, command):
        os.system(command)

    def __call__(self, command):
        os.system(command)


class Environment(CartPoleEnv):
    pass


class Wrapper(gym.Wrapper):
    pass


class Adapter(gym.Wrapper):
    def __init__(self, env_id=None, make_kwargs=None):
        importlib.import_module(env_id.partition(":")[0])
        super().__init__(gym.make(env_id.partition(":")[2], **(make_kwargs or {})))


def factory() -> gym.Env:
    return Environment()


def typed() -> gym.Env[int, int]:
    return Environment()


def checked() -> "gymnasium.Env":
    return Environment()


def anything(command) -> "Any":
    os.system(command)


ready = Runner.__new__(Runner)
made = functools.partial(Environment)
gym.register("Theirs-v0", entry_point="theirs:Environment")
gym.register("theirs/Made-v3", entry_point=lambda: Environment())
gym.register("Theirs/Runs-v0", entry_point=run)
gym.register("RunsByName-v0", entry_point="subprocess:run")
gym.register("RunsInPart-v1", entry_point=functools.partial(run))
gym.register("Adapts-v0", entry_point=Adapter)
gym.register("Elsewhere-v0", entry_point="elsewhere.compatibility:GymV26CompatibilityV0")
"""

FACTORIES = ("theirs:factory", "theirs:typed", "theirs:checked", "theirs:made")

LEAVES_A_FILE = "from pathlib import Path\nPath({marker!r}).touch()\n"


@pytest.fixture
def marker(tmp_path: Path) -> Iterator[Path]:
    """The file that exists if anything was executed; fails if it does when the test is over."""
    yield tmp_path / "marker"
    assert not (tmp_path / "marker").exists()


@pytest.fixture(autouse=True)
def _packages(tmp_path: Path, marker: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A trusted package ``theirs``, and one that leaves a file when it is imported, ``evil``."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/__init__.py").write_text(PACKAGE)
    (tmp_path / "theirs/__main__.py").write_text(LEAVES_A_FILE.format(marker=str(marker)) + PACKAGE)
    (tmp_path / "evil.py").write_text(LEAVES_A_FILE.format(marker=str(marker)))
    monkeypatch.syspath_prepend(tmp_path)
    before = dict(gym.registry)
    yield
    gym.registry.clear()
    gym.registry.update(before)
    for name in [name for name in sys.modules if name.partition(".")[0] in ("theirs", "evil")]:
        del sys.modules[name]


def environment(env: str, *wrappers: WrapperSpec, **env_kwargs: Any) -> EnvironmentSpec:
    return EnvironmentSpec(env, env_kwargs, wrappers, "env", (), ())


def made(spec: EnvironmentSpec, *named_by_user: str) -> gym.Env:
    """The environment, made as for a model whose files name it, with ``theirs`` trusted."""
    return make_env(ids.runnable(spec, named_by_user, ["theirs"], {})[0])


@pytest.mark.parametrize("env", ["theirs:Environment", *FACTORIES, "theirs:CartPoleEnv"])
def test_an_environment_of_a_trusted_package_is_made(env: str) -> None:
    assert made(environment(env)).reset(seed=0)


@pytest.mark.parametrize("env", ["Theirs-v0", "Theirs", "theirs:Theirs-v0", "theirs/Made-v3", "theirs/Made"])
def test_an_environment_that_a_trusted_package_registers_is_made(env: str) -> None:
    assert made(environment(env)).reset(seed=0)


def test_a_wrapper_of_a_trusted_package_is_put_around() -> None:
    wrappers = (WrapperSpec("theirs.Wrapper", {}), WrapperSpec("gymnasium.wrappers.FlattenObservation", {}))
    assert "Wrapper" in str(made(environment("CartPole-v1", *wrappers)))


@pytest.mark.parametrize(
    "name",
    [
        *(
            "run",
            "Popen",
            "part",
            "wrapped",
            "through_lambda",
            "shell",
            "Runner",
            "ready",
            "os",
            "subprocess",
            "anything",
        ),
        *(
            "os",
            "subprocess",
            "os.system",
            "subprocess:run",
            "Theirs/Runs-v0",
            "RunsByName-v0",
            "RunsInPart-v1",
            "Elsewhere-v0",
        ),
    ],
)
@pytest.mark.parametrize("package", ["theirs", "theirs.__main__"])
def test_what_a_trusted_package_merely_imports_or_what_is_no_environment_is_not_called(
    package: str, name: str, marker: Path
) -> None:
    for arguments in ({"args": ["touch", str(marker)]}, {"command": f"touch {marker}"}):
        with pytest.raises((Unreadable, ids.ImportProblem)):
            made(environment(f"{package}:{name}", **arguments))


def test_neither_an_evaluation_nor_a_probe_calls_what_is_no_environment(tmp_path: Path, marker: Path) -> None:
    policy = ExternalPolicy(EvaluationSpec(2, 0, 1, 100, (2,)), ("theirs",), {}, 2**20)
    for env in ("theirs:run", "theirs:shell", "theirs:Runner", "Adapts"):
        named = environment(env, command=f"touch {marker}", args=["touch", str(marker)], env_id="evil:CartPole-v1")
        spec = replace(external_spec("model", str(tmp_path / "model.zip")), environment=named)
        with pytest.raises(Unreadable, match="its files"):
            random_policy_reward(spec, policy, None)
        probed = plan_for_external(named, spec, policy, 1, 1)
        assert isinstance(probed, Failure)
        assert probed.message.startswith("its files")


@pytest.mark.parametrize("env", ["Theirs/Runs-v0", "Theirs/Runs", "RunsByName-v0", "RunsInPart", "Elsewhere"])
def test_an_id_that_leads_out_of_the_trusted_packages_is_not_made(env: str, marker: Path) -> None:
    with pytest.raises(Unreadable, match="not defined in a package that you trust"):
        made(environment(env, args=["touch", str(marker)]))


@pytest.mark.parametrize(
    "name", ["run", "Popen", "part", "wrapped", "shell", "Runner", "Environment", "__main__.Wrapper"]
)
def test_what_is_no_wrapper_of_a_trusted_package_is_not_put_around(name: str, marker: Path) -> None:
    with pytest.raises(Unreadable):
        made(environment("CartPole-v1", WrapperSpec(f"theirs.{name}", {"command": f"touch {marker}"})))


@pytest.mark.parametrize(
    "env",
    [
        *("GymV21Environment-v0", "GymV26Environment-v0", "GymV21Environment", "GymV26Environment"),
        *("theirs:GymV26Environment-v0", "theirs:GymV26Environment"),
    ],
)
def test_an_id_that_makes_others_by_their_names_is_refused_however_it_is_spelt(env: str) -> None:
    with pytest.raises(Unreadable, match="makes others by their names"):
        made(environment(env, env_id="evil:Any-v0"))
    with pytest.raises(Unreadable, match="makes others by their names"):
        ids.check_names(environment(env), (), ["theirs"])


@pytest.mark.parametrize("env", ["Adapts-v0", "Adapts", "theirs:Adapts-v0", "theirs:Adapter"])
def test_an_environment_that_imports_what_its_arguments_name_is_not_given_a_name(env: str, marker: Path) -> None:
    for arguments in ({"env_id": "evil:CartPole-v1"}, {"env_id": "x", "make_kwargs": {"a": [{"b": "evil.thing"}]}}):
        with pytest.raises(Unreadable, match="which names code to import"):
            made(environment(env, **arguments))


def test_a_wrapper_is_not_given_the_name_of_anything_to_import() -> None:
    with pytest.raises(Unreadable, match=r"'os\.system', which names code to import; expected wrappers that you name"):
        made(environment("CartPole-v1", WrapperSpec("theirs.Wrapper", {"call": "os.system"})))


def test_what_the_user_names_is_called_whatever_it_is() -> None:
    spec = environment("Adapts-v0", env_id="theirs:CartPole-v1")
    importlib.import_module("theirs")
    assert made(spec, "env").reset(seed=0)
    replaced, _ = ids.runnable(environment("Gone-v0"), (), ["theirs"], {"Gone-v0": "Adapts-v0"})
    assert replaced.env == "Adapts-v0"


@pytest.mark.parametrize(
    "text", ["os:system", "subprocess.run", "gymnasium.envs:Any-v0", "__main__:x", " os.path.join "]
)
def test_a_text_that_names_code_is_told(text: str) -> None:
    assert names_code(text)


@pytest.mark.parametrize(
    "text", ["", "CartPole-v1", "ant.xml", "test.xml", "0.5", "human", "a:b", "no_such.thing", "4x4"]
)
def test_a_text_that_names_no_code_is_told(text: str) -> None:
    assert not names_code(text)


def test_a_class_that_a_trusted_package_merely_imports_is_not_built_into_a_policy() -> None:
    values = Values(["theirs"])
    assert values.class_named(Global("theirs", "Environment")).__name__ == "Environment"
    for name in ("Popen", "run", "CartPoleEnv"):
        with pytest.raises(Unreadable, match=f"untrusted_pickle theirs.{name}"):
            values.class_named(Global("theirs", name))


def test_a_package_s_program_is_never_trusted() -> None:
    assert is_trusted("theirs.policies", ["theirs"])
    for module in ("__main__", "theirs.__main__", "theirs.__main__.inner"):
        assert not is_trusted(module, ["theirs", "__main__", "theirs.__main__"])
