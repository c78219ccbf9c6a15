"""A script's environments are built again as it built them, and are compared with those of training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
from stable_baselines3 import PPO

from reload_audit.environments.build import build_vec_env
from reload_audit.environments.stack import layers_of
from reload_audit.observing.differences import compared_with_models
from reload_audit.observing.environment import environment_differences
from reload_audit.observing.own_classes import with_kept_classes
from reload_audit.observing.subject import subject_of
from support.observed_scripts import POLICY, observed, script_in

PLAYS = """
import gymnasium as gym
import numpy as np
from boiler import Boiler
from gymnasium.wrappers import ClipAction, RescaleAction
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnvWrapper


class Layer(VecEnvWrapper):
    def __init__(self, venv):
        super().__init__(venv, action_space=gym.spaces.Box(-1.0, 1.0, (1,), np.float32))

    def reset(self):
        return self.venv.reset()

    def step_wait(self):
        return self.venv.step_wait()


MADE = {
    "clipped": lambda: DummyVecEnv([lambda: ClipAction(Boiler())]),
    "layered": lambda: Layer(DummyVecEnv([lambda: RescaleAction(Boiler(), -8.0, 8.0)])),
    "rescaled": lambda: DummyVecEnv([lambda: RescaleAction(Boiler(), -8.0, 8.0)]),
}
for name, make in MADE.items():
    env, model = make(), PPO.load(f"alone/{name}")
    obs = env.reset()
    for step in range(100):
        obs, *_ = env.step(model.predict(obs, deterministic=True)[0])
"""

IN_ONE_ANOTHER = """
import threading
import gymnasium as gym
import numpy as np
from boiler import Boiler
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnvWrapper

class Made(gym.Wrapper):
    def __init__(self, shown=(1.0,)):
        super().__init__(gym.wrappers.ClipAction(Boiler()))

class Inner(VecEnvWrapper):
    def __init__(self, venv, then):
        super().__init__(venv)
        self.then = then

    def reset(self):
        return self.then(self.venv.reset())

    def step_wait(self):
        observations, *others = self.venv.step_wait()
        return self.then(observations), *others

class Outer(Inner):
    def __init__(self, venv, factors, then=np.negative):
        super().__init__(Inner(venv, then), lambda observations: (observations * factors).astype(np.float32))

class Locked:
    lock = threading.Lock()

    def __init__(self):
        self.held = threading.Lock()

    def __call__(self, observations):
        return observations

model = PPO.load("boiler")
envs = DummyVecEnv([lambda: Made(shown=(2.0,))])
for env in (Outer(envs, np.array([2.0], dtype=np.float32)), Inner(envs, Locked())):
    obs, over = env.reset(), [False]
    while not over[0]:
        obs, reward, over, info = env.step(model.predict(obs)[0])
"""


class OwnBox(gym.spaces.Box):
    """A space of a class of the user's own."""


def test_wrappers_of_a_vec_env_are_built_as_the_script_built_them_or_said_to_be_missing(boiler: Path) -> None:
    seen = observed(boiler, "nested.py", IN_ONE_ANOTHER)
    folder = str(boiler / "kept")
    script = script_in(boiler, "nested.py", model=str(boiler / "boiler.zip"))
    kept = with_kept_classes(seen)
    whole, without = (
        subject_of(kept, run, [], script, POLICY, folder).spec.environment for run in kept.runs if run.ended
    )
    assert (whole.env, whole.env_kwargs, whole.wrappers) == ("classes_of_script:Made", {"shown": (2.0,)}, ())
    assert [one.name for one in whole.vec_wrappers] == ["classes_of_script:Outer", "VecNormalize"]
    assert [one.name for one in without.vec_wrappers] == []
    venv = build_vec_env(replace(whole, vec_wrappers=whole.vec_wrappers[:1]), 1, seed=0)
    layers = [type(layer).__name__ for layer in layers_of(venv)]
    assert layers == ["Inner", "Outer"]
    bare = build_vec_env(replace(whole, vec_wrappers=()), 1, seed=0)
    first = [(made.env_method("begin_episodes", [(0, 5)], 100, False), made.reset())[1] for made in (venv, bare)]
    assert (first[0] == -2.0 * first[1]).all()
    subject = subject_of(kept, kept.runs[-1], [], script, POLICY, folder)
    (missing,) = environment_differences(subject, POLICY)
    assert (missing.cause, missing.in_doubt, missing.changes) == ("wrappers-differ", True, None)
    assert missing.line is not None
    assert missing.line.code.startswith("for env in (Outer(envs")


def test_spaces_other_than_those_of_training_are_tried_and_blamed_for_nothing_by_themselves(
    boiler: Path, tmp_path: Path
) -> None:
    model = PPO.load(boiler / "boiler.zip")
    for name in ("clipped", "layered", "rescaled"):
        model.save(tmp_path / "alone" / name)
    model.action_space = OwnBox(-1.0, 1.0, (1,), np.float32)
    model.save(tmp_path / "alone" / "own-space")
    seen = observed(tmp_path, "plays.py", PLAYS)
    script = script_in(tmp_path, "plays.py")
    found = compared_with_models(seen, script, [], POLICY, str(tmp_path / "kept"))
    _, layered, rescaled = found
    assert [one.compared.problem for one in found] == [""] * 3
    assert [cause for one in found for cause in one.compared.differences] == []
    assert [one.doubtful for one in found] == [False, False, True]
    assert layered.others == ()
    assert not any("its zip says" in remark for one in found for remark in one.compared.remarks)
    (without,) = rescaled.others
    (difference,) = without.compared.differences
    assert (difference.cause, difference.certain) == ("wrappers-differ", False)
    assert "presumed, as its zip says that the actions of training are Box(-1, 1, (1,), float)" in difference.evidence
    named = replace(script, model=str(tmp_path / "alone" / "own-space.zip"))
    trusting = replace(POLICY, trust=(OwnBox.__module__.partition(".")[0],))
    (unreadable,) = compared_with_models(seen, named, [], trusting, str(tmp_path / "kept"))
    assert (unreadable.compared.problem, unreadable.doubtful, unreadable.others) == ("", False, ())


def test_worker_processes_are_asked_for_no_window_whether_their_environments_have_any_or_not(boiler: Path) -> None:
    text = """
from boiler import Boiler
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import SubprocVecEnv

if __name__ == "__main__":
    window = {"render_mode": "human"}
    env = make_vec_env(lambda **kwargs: Boiler(**kwargs), 2, vec_env_cls=SubprocVecEnv, env_kwargs=window)
    evaluate_policy(PPO.load("boiler"), env, n_eval_episodes=2)
"""
    said = 'render_mode="human" was left out: no window is opened while a script is observed'
    seen = observed(boiler, "windows.py", text, said=(said,))
    assert (seen.raised, [len(run.ended) for run in seen.runs]) == ("", [2])


def test_arguments_that_a_line_gives_anew_to_each_environment_are_said_as_far_as_they_differ(boiler: Path) -> None:
    text = """
import sys
from boiler import Boiler
from stable_baselines3 import PPO

class Steep(Boiler):
    def __init__(self, slope=1.0, name="a", size=3):
        super().__init__()
        self.slope = slope

model = PPO.load("boiler.zip")
for slope, name in GIVEN:
    env = Steep(slope, name=name, size=4)
    obs, over = env.reset(seed=0)[0], False
    while not over:
        obs, reward, terminated, truncated, _ = env.step(model.predict(obs, deterministic=True)[0])
        over = terminated or truncated
"""

    def remarks(given: str) -> str:
        seen = observed(boiler, "steep.py", text.replace("GIVEN", given))
        (found,) = compared_with_models(seen, script_in(boiler, "steep.py"), [], POLICY, str(boiler / "kept"))
        return next((one for one in found.compared.remarks if "environments that the script makes" in one), "")

    assert remarks("[(1.5, 'a'), (0.25, 'b'), (2.0, 'a')]") == (
        "the model acts in 3 environments that the script makes, with other arguments each time (steep.py:13: "
        "slope=0.25 to 2, name='a' or 'b'); the last of them is compared"
    )
    assert remarks("[(1.5, 'a')] * 3") == ""


def test_modules_in_a_folder_that_the_script_puts_on_the_path_are_its_own(boiler: Path) -> None:
    (boiler / "project/eval").mkdir(parents=True)
    (boiler / "project/sources").mkdir()
    (boiler / "project/sources/cold.py").write_text(
        "import boiler\n\nclass Cold(boiler.Boiler):\n    pass\n\ndef acts(model, obs):\n"
        "    return model.predict(obs)[0]\n"
    )
    text = """
import sys
from pathlib import Path
sys.path.append(str(Path(__file__).resolve().parents[1] / "sources"))
from cold import Cold, acts
from stable_baselines3 import PPO

model, env = PPO.load("../../boiler.zip"), Cold()
for _ in range(2):
    obs, over = env.reset()[0], False
    while not over:
        obs, reward, terminated, truncated, _ = env.step(acts(model, obs))
        over = terminated or truncated
"""
    seen = observed(boiler / "project/eval", "enjoy.py", text)
    assert (seen.python_path, seen.own_packages) == ((str(boiler / "project/sources"),), ("boiler", "cold"))
    run = seen.run
    assert run is not None
    assert [str(act.line) for act in run.acts] == ["cold.py:7"]
    script = script_in(boiler / "project/eval", "enjoy.py")
    (found,) = compared_with_models(seen, script, [], POLICY, str(boiler / "project/eval/kept"))
    assert found.model is not None
    assert found.model.environment.env == "cold:Cold"
    assert str(boiler / "project/sources") in found.model.environment.python_path
