"""A model is audited in the stack that it was trained in; another order, or a layer that is left out, is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stacks
import torch as th
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack, VecNormalize

from reload_audit import record_reference
from reload_audit.evaluation.external import evaluate_external
from reload_audit.records.conditions import Condition
from reload_audit.records.environment_spec import EnvironmentSpec, WrapperEntry, vec_wrappers_of
from reload_audit.records.model_record import Evaluation
from reload_audit.records.specs import EvaluationSpec, ExternalPolicy
from support.builders import CRITERIA, external_spec
from support.external_audits import audit_models, audit_table

POLICY = ExternalPolicy(EvaluationSpec(20, 500, 4, 100, (10, 20)), (), {}, 2**28)
STACK: WrapperEntry = {"VecFrameStack": {"n_stack": 2}}
MIRRORED: WrapperEntry = {"stacks.Mirrored": {"scale": 3.0}}
CLIPPED: WrapperEntry = "stacks.Clipped"

ON_POLICY: dict[str, Any] = {"n_steps": 64, "batch_size": 64, "learning_rate": 0.02, "gamma": 0.0}
OFF_POLICY: dict[str, Any] = {"learning_starts": 16, "buffer_size": 100}

STACKS: dict[str, tuple[type[BaseAlgorithm], Callable[[VecEnv], VecEnv]]] = {
    "normalised, stacked": (PPO, lambda venv: VecFrameStack(VecNormalize(venv), 2)),
    "stacked, normalised": (DQN, lambda venv: VecNormalize(VecFrameStack(venv, 2))),
    "mirrored, normalised": (PPO, lambda venv: VecNormalize(stacks.Mirrored(venv, 3.0))),
    "normalised, clipped": (PPO, lambda venv: stacks.Clipped(VecNormalize(venv))),
}


def shifts(n_envs: int = 4) -> VecEnv:
    return make_vec_env(stacks.Shift, n_envs=n_envs, seed=0)


class Trained:
    """A model that was trained in a stack, its files, and what it earns there."""

    def __init__(self, name: str, folder: Path) -> None:
        algo, around = STACKS[name]
        th.set_num_threads(1)
        venv = around(shifts())
        arguments = ON_POLICY if algo is PPO else OFF_POLICY
        model = algo("MlpPolicy", venv, seed=0, device="cpu", **arguments).learn(64 if "stacked" in name else 2048)
        normalize = model.get_vec_normalize_env()
        assert normalize is not None
        self.algo, self.zip, self.statistics = algo.__name__, folder / "model.zip", folder / "statistics.pkl"
        model.save(self.zip)
        normalize.save(str(self.statistics))
        normalize.training = normalize.norm_reward = False
        self.rewards = evaluate_policy(model, venv, n_eval_episodes=40, return_episode_rewards=True)[0]
        self.earned = float(np.mean(self.rewards))

    def audited(self, *vec_wrappers: WrapperEntry, **changes: Any) -> Evaluation:
        environment = EnvironmentSpec("stacks:Shift", {}, (), "env", vec_wrappers_of(vec_wrappers), ())
        spec = replace(
            external_spec("model", str(self.zip)),
            algo=self.algo,
            statistics=str(self.statistics),
            environment=environment,
            named_by_user=("env", "vec_wrappers"),
        )
        return evaluate_external(
            spec, POLICY, Condition("a trial" if changes else "reload", 4, **changes), CRITERIA, None
        )

    def row(self, name: str, *vec_wrappers: WrapperEntry) -> dict[str, Any]:
        """A row of a table that says what it earned, and an order of its wrappers."""
        claim = {"claim_mean": self.earned, "claim_std": float(np.std(self.rewards)) or 0.1, "claim_n": 40}
        files = {"model": str(self.zip), "vecnormalize": str(self.statistics), "vec_wrappers": [*vec_wrappers]}
        return {"name": name, "algo": self.algo, "env": "stacks:Shift", **files, **claim}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    return {name: Trained(name, tmp_path_factory.mktemp("trained")) for name in STACKS}


def mean(evaluation: Evaluation) -> float:
    assert evaluation.problem is None
    return float(np.mean([episode.reward for episode in evaluation.episodes]))


@pytest.mark.parametrize(
    ("name", "said", "ran"),
    [
        ("normalised, stacked", [STACK], ["VecNormalize", STACK]),
        ("stacked, normalised", [STACK], [STACK, "VecNormalize"]),
        ("mirrored, normalised", [MIRRORED, "VecNormalize"], [MIRRORED, "VecNormalize"]),
    ],
)
def test_a_model_earns_in_its_stack_what_it_earned(trained, name, said, ran):
    found = trained[name].audited(*said)
    assert [*found.facts.vec_wrappers] == ran
    assert abs(mean(found) - trained[name].earned) < 2.0


def test_an_order_that_statistics_contradict_is_named_with_the_one_that_fits(trained):
    found = trained["stacked, normalised"].audited("VecNormalize", STACK)
    assert found.problem is not None
    assert 'they fit with vec_wrappers: [{"VecFrameStack": {"n_stack": 2}}, "VecNormalize"]' in found.problem


def test_an_order_that_nothing_tells_is_asked_for(trained):
    found = trained["mirrored, normalised"].audited(MIRRORED)
    assert found.problem is not None
    assert "its statistics fit inside and around Mirrored: expected vec_wrappers to say it" in found.problem
    assert '["VecNormalize", {"stacks.Mirrored": {"scale": 3.0}}]' in found.problem
    tried = trained["mirrored, normalised"].audited(MIRRORED, environment={"time_limit": 10})
    assert tried.problem == found.problem, "a trial that runs in a guessed order would seem to explain the question"


def test_another_order_and_a_layer_left_out_earn_less(trained):
    model = trained["mirrored, normalised"]
    assert model.earned > 9
    for wrong in (["VecNormalize", MIRRORED], ["VecNormalize"]):
        assert mean(model.audited(*wrong)) < 8


def test_an_order_that_gives_the_reward_back_is_the_cause_and_the_fix_says_it(trained, tmp_path):
    mirrored, clipped = trained["mirrored, normalised"], trained["normalised, clipped"]
    rows = [mirrored.row("mirrored", "VecNormalize", MIRRORED), clipped.row("clipped", CLIPPED, "VecNormalize")]
    found = audit_table(rows, tmp_path, trust=["stacks"])
    assert {model["verdict"] for model in found.values()} == {"degraded"}
    for name, order in (("mirrored", [MIRRORED, "VecNormalize"]), ("clipped", ["VecNormalize", CLIPPED])):
        cause = found[name]["causes"][0]
        assert (cause["cause"], cause["proven"]) == ("env-changed", False)
        assert cause["share"] > 0.9
        assert f"# Tell the audit `vec_wrappers: {json.dumps(order)}`, in its row of " in cause["fix"]
        names: dict[str, Any] = {}
        exec(cause["fix"], names)  # noqa: S102
        model = PPO.load(mirrored.zip if name == "mirrored" else clipped.zip)
        assert evaluate_policy(model, names["venv"], n_eval_episodes=20)[0] > 9


def knows(venv: VecEnv) -> PPO:
    """A model that tells from the first number, mirrored times 3, which action is rewarded; it needs no training."""
    model = PPO("MlpPolicy", venv, seed=0, device="cpu", policy_kwargs={"net_arch": []}, n_steps=64, batch_size=64)
    with th.no_grad():
        model.policy.action_net.weight[:] = th.tensor([[0.0, 0.0], [-1.0, 0.0]])
        model.policy.action_net.bias[:] = th.tensor([0.0, -62.0])
    return model


def test_wrappers_that_have_changed_places_since_a_recording_are_tried_in_the_recorded_order(tmp_path):
    inner, outer = {"bound": 21.5}, {"scale": 3.0}
    around = stacks.Mirrored(stacks.Clipped(shifts(), **inner), **outer)
    alone = make_vec_env(lambda: stacks.MirroredAlone(stacks.ClippedAlone(stacks.Shift(), **inner), **outer))
    runs = []
    for name, venv, option in (("alone", alone, "wrappers"), ("around", around, "vec_wrappers")):
        record_reference(knows(venv), tmp_path / name / "model", episodes=20, n_envs=4)
        suffix = "" if option == "vec_wrappers" else "Alone"
        swapped = [{f"stacks.Mirrored{suffix}": outer}, {f"stacks.Clipped{suffix}": inner}]
        runs.append({"folder": str(tmp_path / name), option: swapped})
    found = audit_models(tmp_path / "audit", runs=runs, trust=["stacks"])
    for model, option in zip(found.values(), ("wrappers", "vec_wrappers"), strict=True):
        cause = model["causes"][0]
        assert (model["verdict"], cause["cause"], cause["proven"]) == ("degraded", "env-changed", True)
        assert cause["share"] > 0.9
        names: dict[str, Any] = {}
        exec(cause["fix"], names)  # noqa: S102
        assert evaluate_policy(knows(names["venv"]), names["venv"], n_eval_episodes=20)[0] == 10
        assert f"# Tell the audit `{option}: [" in cause["fix"]


@pytest.mark.parametrize("wrapper", ["stacks.Nowhere", {"stacks.Mirrored": {"size": 1}}, "VecExtractDictObs"])
def test_a_layer_that_cannot_be_built_is_the_problem_of_its_model(trained, wrapper):
    problem = trained["normalised, stacked"].audited(wrapper).problem
    assert problem is not None
    assert (wrapper if isinstance(wrapper, str) else "stacks.Mirrored").rpartition(".")[2] in problem
