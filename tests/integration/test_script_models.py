"""Of a script is seen which model acts, with which parameters, and no more is blamed on them than was seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from boiler import Boiler
from reload_audit.forensics.search import find_statistics
from reload_audit.observing.differences import compared_with_models
from reload_audit.observing.normalizing_wrapper import with_normalizing_wrapper
from reload_audit.observing.own_classes import with_kept_classes
from reload_audit.observing.statistics import statistics_differences
from reload_audit.observing.subject import is_in_both_modes, runs_of_models, subject_of
from reload_audit.observing.weights import untrained, weights_differences
from reload_audit.reading.model_zip import read_model
from reload_audit.records.observation import Observation
from support.observed_scripts import POLICY, copied, observed, script_in

BOTH_WAYS = """
from boiler import Boiler
from stable_baselines3 import PPO

rival = PPO("MlpPolicy", Boiler(), seed=1)


class Rivalled(Boiler):
    def step(self, action):
        return super().step(action + 0.1 * rival.predict(self._observe(), deterministic=True)[0])


def play(model, env, deterministic):
    for seed in range(3):
        obs, over = env.reset(seed=seed)[0], False
        while not over:
            action, _ = model.predict(obs, deterministic=deterministic)
            obs, reward, terminated, truncated, _ = env.step(action)
            over = terminated or truncated


model, env = PPO.load("boiler.zip"), Rivalled()
play(model, env, True)
play(model, env, False)
"""

SEVERAL_MODELS = """
import itertools
import sys

import numpy as np
from boiler import Boiler
from stable_baselines3 import PPO

first, second, third = (PPO("MlpPolicy", Boiler(), seed=seed, gamma=0.9) for seed in range(3))
how, env, other, turns = sys.argv[1], Boiler(), Boiler(), itertools.cycle((0, 1))


def ask(model, given):
    action, _ = model.predict(given[None].astype(np.float64) if "copied" in how else given, deterministic=True)
    action = action[0] if "copied" in how else np.array(action)
    return 0.5 * action if "scaled" in how else action


for seed in range(2):
    obs, over = env.reset(seed=seed)[0], False
    if "beside" in how:
        its, _ = other.reset(seed=seed)
    if "once" in how:
        first.predict(obs, deterministic=True)
    while not over:
        asked = [(first, obs), (third, its) if "beside" in how else (second, obs)]
        actions = [ask(*one) for one in (asked[1:] if "once" in how else asked)]
        if "mean" in how:
            action = np.mean(actions, axis=0)
        elif how == "choice":
            action = actions[next(turns)]
        else:
            action = actions[0]
        obs, reward, terminated, truncated, _ = env.step(action)
        over = terminated or truncated
        if "beside" in how:
            its, *_ = other.step(actions[1])
"""

PARAMETERS = """
from boiler import Boiler
from stable_baselines3 import PPO

SETTINGS = {"gamma": 0.9, "n_steps": 200, "batch_size": 200, "n_epochs": 1, "seed": 0}


def play(actor, env):
    (obs, _), over = env.reset(seed=0), False
    while not over:
        obs, reward, ended, cut, _ = env.step(actor.predict(obs, deterministic=True)[0])
        over = ended or cut


trained = PPO("MlpPolicy", Boiler(), **SETTINGS).learn(200)
trained.policy.save("policy.pth")
play(type(trained.policy).load("policy.pth"), Boiler())
changed = PPO("MlpPolicy", Boiler(), **SETTINGS).learn(200)
changed.policy.load_state_dict({key: 0.9 * value for key, value in changed.policy.state_dict().items()})
play(changed, Boiler())
new, checkpoint = PPO("MlpPolicy", Boiler(), **SETTINGS), {"policy": trained.policy.state_dict(), "epoch": 7}
new.policy.load_state_dict(checkpoint, strict=False)
play(new, Boiler())
"""

IN_WAYS_OF_ITS_OWN = """
import pickle

import gymnasium as gym
import numpy as np
from boiler import Boiler
from stable_baselines3 import PPO

with open("boiler.pkl", "rb") as file:
    rms = pickle.load(file).obs_rms


class Normalized(gym.ObservationWrapper):
    def observation(self, observation):
        return ((observation - rms.mean) / (rms.var + 1e-8)).astype(np.float32)


class Halved(gym.Wrapper):
    def reset(self, **kwargs):
        observation, info = self.env.reset(**kwargs)
        return observation / 2, info

    def step(self, action):
        observation, *others = self.env.step(action)
        return observation / 2, *others


class Counts(gym.Wrapper):
    episodes = 0

    def reset(self, **kwargs):
        self.episodes += 1
        return self.env.reset(**kwargs)


def play(model, env):
    for episode in range(2):
        obs, over = env.reset(seed=episode)[0], False
        while not over:
            obs, reward, terminated, truncated, info = env.step(model.predict(obs)[0])
            over = terminated or truncated


trained = PPO.load("boiler.zip")
model = PPO("MlpPolicy", Boiler())
model.policy.load_state_dict(trained.policy.state_dict())
env = Normalized(Boiler())
env = Counts(env)
play(model, env)

model = PPO("MlpPolicy", Boiler())
model.policy.evaluate_actions(*(model.policy.obs_to_tensor(np.ones((1, *Boiler().observation_space.shape)))[0],
    model.policy.action_net.bias.detach()[None]))[1].sum().backward()
model.policy.optimizer.step()
play(model, Counts(Halved(env.env)))

play(PPO("MlpPolicy", Boiler()), Boiler())
"""


def test_weights_and_observations_set_in_ways_of_a_script_s_own_are_blamed_only_as_far_as_they_are_seen(
    boiler: Path,
) -> None:
    seen = with_kept_classes(observed(boiler, "own.py", IN_WAYS_OF_ITS_OWN))
    zip_file, folder = str(boiler / "boiler.zip"), str(boiler / "kept")
    script = script_in(boiler, "own.py", model=zip_file)
    runs = [run for run in seen.runs if run.ended]
    subjects = [subject_of(seen, run, [], script, POLICY, folder) for run in runs]
    copied, stepped, new = ([*weights_differences(subject, folder)] for subject in subjects)
    assert [subject.path for subject in subjects] == [zip_file, "", zip_file]
    assert copied == []
    assert [(one.cause, one.certain, one.in_doubt) for one in stepped] == [("other-weights", False, True)]
    assert [(one.cause, one.certain, one.in_doubt) for one in new] == [("load-not-assigned", True, False)]
    subjects = [with_normalizing_wrapper(subject, ()) for subject in subjects[:2]]
    (one,), (several,) = ([*statistics_differences(subject, None, POLICY)] for subject in subjects)
    assert one.line is not None
    assert (one.cause, one.line.code, one.in_doubt) == (
        "normalizer-not-equivalent",
        "env = Normalized(Boiler())",
        False,
    )
    assert "NormalizeAsTrained(Boiler()" in one.instead
    assert (several.cause, several.line, several.instead, several.changes, several.in_doubt) == (
        "normalizer-not-equivalent",
        None,
        "",
        None,
        True,
    )
    assert "which of the wrappers Normalized, Halved does so is not known" in several.evidence


def test_a_line_that_acts_both_ways_is_compared_as_it_acts_deterministically_and_a_rival_s_actions_are_not_its_own(
    boiler: Path,
) -> None:
    seen = observed(boiler, "both.py", BOTH_WAYS)
    loaded = next(number for number, model in enumerate(seen.models) if model.made == "loaded")
    assert [(run.model, len(run.ended), run.changed, run.unasked) for run in seen.runs] == [(loaded, 3, 0, 0)] * 2
    assert [[episode.seed for episode in run.ended] for run in seen.runs] == [[0, 1, 2]] * 2
    (compared,) = runs_of_models(seen, "")
    assert [(str(act.line), act.deterministic) for act in compared.acts] == [("both.py:17", True)]
    (other,) = (run for run in seen.runs if run is not compared)
    assert is_in_both_modes(compared, other)
    assert not is_in_both_modes(other, compared)


@pytest.mark.parametrize(
    ("how", "runs"),
    [
        ("mean", [(1, (0, 1), 80)]),
        ("mean, copied", [(1, (0, 1), 80)]),
        ("choice", [(1, (0, 1), 40)]),
        ("agreement", [(0, (), 0)]),
        ("asked once, scaled", [(1, (), 80)]),
        ("beside", [(0, (), 0), (2, (), 0)]),
        ("beside, scaled", [(0, (), 80), (2, (), 80)]),
        ("beside, copied", [(0, (), 0), (2, (), 0)]),
        ("beside, copied, scaled", [(0, (), 80), (2, (), 80)]),
    ],
)
def test_models_that_are_asked_about_one_observation_are_told_from_those_that_act_side_by_side(
    boiler: Path, how: str, runs: list[tuple[int, tuple[int, ...], int]]
) -> None:
    name = f"{how.replace(', ', '_').replace(' ', '_')}.py"
    seen = observed(boiler, name, SEVERAL_MODELS, how)
    assert [(run.model, run.together, run.changed) for run in seen.runs] == runs
    assert [len(run.counted) for run in seen.runs] == [2] * len(runs)
    assert {run.unasked for run in seen.runs} == {0}
    script = script_in(boiler, name)
    found = compared_with_models(seen, script, [], POLICY, str(boiler / "kept"))
    said = "before most steps 2 models are asked about one observation" in found[-1].compared.problem
    assert said == bool(runs[0][1])


@pytest.fixture(scope="module")
def setting(small_boiler: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which parameters.py runs."""
    return copied(small_boiler, tmp_path_factory)


@pytest.fixture(scope="module")
def parameters_set(setting: Path) -> Observation:
    """A policy that was loaded by itself acts, then a model that was changed after its training, then a new one."""
    return observed(setting, "parameters.py", PARAMETERS)


def test_a_policy_that_was_loaded_by_itself_acts_as_the_model_with_its_parameters(parameters_set: Observation) -> None:
    assert [run.model for run in parameters_set.runs] == [0, 1, 2]


def test_a_model_with_other_parameters_than_its_training_ended_with_is_said_to_have_them(
    setting: Path, parameters_set: Observation
) -> None:
    script = script_in(setting, "parameters.py")
    first, changed = (
        compared_with_models(replace(parameters_set, runs=[run]), script, [], POLICY, str(setting / "kept"))[0]
        for run in parameters_set.runs[:2]
    )
    assert first.compared.differences == []
    assert first.claims != ()
    (doubt,) = changed.compared.differences
    assert (doubt.cause, doubt.in_doubt, doubt.changes) == ("other-weights", True, None)
    assert "not those with which the training of parameters.py:18 ended" in doubt.evidence
    assert changed.claims == ()


def test_the_line_is_named_that_takes_none_of_the_parameters_that_it_is_given(parameters_set: Observation) -> None:
    found = untrained(parameters_set, parameters_set.models[2])
    assert (str(found.line), found.certain) == ("parameters.py:22", True)
    assert found.instead == "new.policy.load_state_dict(checkpoint['policy'], strict=False)"


def test_a_model_that_was_trained_without_statistics_is_given_none_of_another_one(boiler: Path) -> None:
    venv = make_vec_env(Boiler, n_envs=2, seed=3)
    PPO("MlpPolicy", venv, gamma=0.9, n_steps=32, batch_size=64, n_epochs=1, seed=0).learn(64).save(boiler / "plain")
    found = {
        name: [Path(one.path).name for one in find_statistics(boiler / name, read_model(boiler / name), "PPO")]
        for name in ("boiler.zip", "plain.zip")
    }
    assert found == {"boiler.zip": ["boiler.pkl"], "plain.zip": []}


def test_parameters_that_change_while_a_model_acts_are_said_to_be_measured_as_they_were_first(boiler: Path) -> None:
    text = """
from boiler import Boiler
from stable_baselines3 import PPO

env, model = Boiler(), PPO.load("boiler.zip")
for episode in range(2):
    (obs, _), over = env.reset(), False
    while not over:
        obs, reward, ended, cut, _ = env.step(model.predict(obs, deterministic=True)[0])
        over = ended or cut
    CHANGES
"""
    script = script_in(boiler, "changes.py")

    def doubts(changes: str) -> list[str]:
        seen = observed(boiler, "changes.py", text.replace("CHANGES", changes))
        assert seen.run is not None
        subject = subject_of(seen, seen.run, [], script, POLICY, str(boiler / "kept"))
        return [one.evidence for one in weights_differences(subject, str(boiler / "kept")) if one.in_doubt]

    (doubt,) = doubts("model.policy.load_state_dict({k: 0.9 * v for k, v in model.policy.state_dict().items()})")
    assert "only what it earns with the first is measured" in doubt
    assert doubts("pass") == []


EXPORTED = """
import sys

import numpy as np
from boiler import Boiler
from stable_baselines3 import PPO

how, statistics = sys.argv[1], np.load("moments.npz")
weights = {name: part.numpy() for name, part in PPO.load("strong.zip").policy.state_dict().items()}


def act(seen):
    x = seen if "raw" in how else np.clip((seen - statistics["mean"]) / np.sqrt(statistics["var"] + 1e-8), -10.0, 10.0)
    for place in ("mlp_extractor.policy_net.0", "mlp_extractor.policy_net.2"):
        x = np.tanh(weights[place + ".weight"] @ x + weights[place + ".bias"])
    action = weights["action_net.weight"] @ x + weights["action_net.bias"]
    action = np.clip(action, -1.0, 1.0) if "clipped" in how else action
    return 0.5 * action if "halved" in how else action


env = Boiler()
for seed in range(3):
    obs, over = env.reset(seed=seed)[0], False
    while not over:
        obs, reward, terminated, truncated, _ = env.step(act(obs))
        over = terminated or truncated
"""


@pytest.mark.parametrize(
    ("how", "named"),
    [
        ("clipped", {}),
        ("not bounded", {"action-not-clipped": False}),
        ("raw, clipped", {"statistics-not-loaded": False}),
        ("clipped, halved", {"statistics-not-loaded": True, "actions-changed": True}),
    ],
)
def test_exported_weights_are_blamed_for_what_their_actions_show(
    boiler: Path, how: str, named: dict[str, bool]
) -> None:
    strong = PPO.load(boiler / "boiler.zip")
    strong.policy.action_net.weight.data *= 300.0
    strong.save(boiler / "strong.zip")
    moments = VecNormalize.load(str(boiler / "boiler.pkl"), make_vec_env(Boiler)).obs_rms
    np.savez(boiler / "moments.npz", mean=moments.mean, var=moments.var)
    seen = observed(boiler, "exported.py", EXPORTED, how)
    script = script_in(boiler, "exported.py", model=str(boiler / "strong.zip"))
    (found,) = compared_with_models(seen, script, [], POLICY, str(boiler / "kept"))
    assert {one.cause: one.in_doubt for one in found.compared.differences} == named
    for one in found.compared.differences:
        assert one.changes is not None or one.cause == "actions-changed"
    said = "no model acts that was seen: the script's own code chooses the actions, 120 of 120 as the model does"
    assert (said in found.compared.remarks) == (named == {})
