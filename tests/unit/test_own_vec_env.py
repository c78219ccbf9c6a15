"""Episodes of a VecEnv of the user's own are told apart and recorded as far as it lets anybody."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from reload_audit.environments.build import build_vec_env
from reload_audit.environments.stack import order_of, unclear_place
from reload_audit.evaluation.divergence import first_divergence
from reload_audit.evaluation.rollouts import Policy, RandomPolicy, run_episodes
from reload_audit.judging.judgement import judge
from reload_audit.processes.imports import ImportProblem
from reload_audit.records.environment_spec import EnvironmentSpec, vec_wrappers_of
from reload_audit.records.episodes import Episode, TrainTime, first_difference, rewards
from reload_audit.records.specs import EvaluationSpec
from support.builders import CRITERIA

EVALUATION = EvaluationSpec(episodes=20, seed=500, n_envs=4, max_episode_steps=50, looks=(10, 20))


def built(vec_env: str | None = "fast:Sides", n_envs: int = 4, env: str = "", **env_kwargs: Any) -> VecEnv:
    spec = EnvironmentSpec(env or str(vec_env), env_kwargs, (), "env", vec_wrappers_of(), (), vec_env)
    return build_vec_env(spec, n_envs, seed=0)


class RightSide(Policy):
    """Knows the side on which the number lies."""

    def act(self, seen: Any, _states: Any, _starts: np.ndarray, _venv: VecEnv, _parked: np.ndarray) -> tuple[Any, Any]:
        return (seen[:, 0] > 0).astype(np.int64), None


def episodes(venv: VecEnv, policy: Policy | None = None, looks: tuple[int, ...] = (10, 20)) -> list[Episode]:
    found: list[Episode] = []
    for stop in looks:
        found += run_episodes(policy or RightSide(), venv, EVALUATION, len(found), stop)
    return found


def test_every_episode_is_one_of_the_vec_env_and_earns_what_it_gives():
    found = episodes(built(length=6))
    assert [episode.episode for episode in found] == [*range(20)]
    assert {episode.length for episode in found} == {6, 7, 8, 9}
    assert [episode.reward for episode in found] == [episode.length for episode in found]
    assert not any(episode.terminated for episode in found)


def test_as_many_slots_that_heed_seeds_give_the_same_bits():
    assert first_difference(episodes(built()), episodes(built())) is None
    used = built()
    assert first_difference(episodes(used), episodes(used)) is None


@pytest.mark.parametrize("vec_env", ["fast:make_sides", "fast:of_environments", "fast.Sides"])
def test_a_vec_env_is_a_class_or_a_function(vec_env: str):
    venv = built(vec_env, n_envs=3)
    assert venv.num_envs == 3
    assert len(episodes(venv, RandomPolicy(venv, 0))) == 20


def test_statistics_have_one_place_around_a_vec_env_of_the_user_s():
    venv = build_vec_env(EnvironmentSpec("", {}, (), "env", (), (), "fast:Sides"), 2, seed=0, normalizer=VecNormalize)
    assert unclear_place(venv, ()) == ""
    assert [one.name for one in order_of(venv, ())] == ["VecNormalize"]


@pytest.mark.parametrize("env", ["fast:make_shift", "fast:shift_maker", "stacks:Shift"])
def test_an_environment_is_a_class_or_a_function(env: str):
    venv = built(None, env=env)
    assert {episode.length for episode in episodes(venv, RandomPolicy(venv, 0))} == {10}


@pytest.mark.parametrize("vec_env", ["fast:make_shift", "builtins:dict"])
def test_what_is_no_vec_env_is_refused(vec_env: str):
    with pytest.raises(ImportProblem, match=r"expected a VecEnv of Stable-Baselines3"):
        built(vec_env)


def test_episodes_that_nobody_can_seed_are_compared_without_pairs_and_without_a_divergence():
    reference, reload = episodes(built("fast:unseeded")), episodes(built("fast:unseeded"))
    assert first_difference(reference, reload) is not None
    assert first_divergence(reference, reload) is None
    judged = judge(TrainTime(None, reference, None), reload, CRITERIA)
    assert judged.comparison is not None
    assert judged.decision != "identical"
    assert judged.comparison.claim_error > 0, "the reference is a sample of its own"
    same = judge(TrainTime(None, reference, None), reference, CRITERIA)
    assert same.decision == "identical"


def test_a_lost_reward_is_seen_without_pairs():
    venv = built("fast:unseeded")
    reference, reload = episodes(venv), episodes(venv, RandomPolicy(venv, 0))
    assert rewards(reload).mean() < rewards(reference).mean()
    assert judge(TrainTime(None, reference, None), reload, CRITERIA).decision == "degraded"


def test_further_wrappers_stand_around_it():
    around = vec_wrappers_of([{"VecFrameStack": {"n_stack": 2}}], monitor="vec")
    venv = build_vec_env(EnvironmentSpec("sides", {}, (), "vec", around, (), "fast:Sides"), 2, seed=0)
    assert all(episode.monitor_reward == episode.reward for episode in episodes(venv))
