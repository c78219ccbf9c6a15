"""Episode k is the same episode whoever runs it: the promise that makes train time and reload comparable."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import gymnasium as gym
import numpy as np
import planted
import pytest
from sb3_contrib import MaskablePPO, RecurrentPPO
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecEnv, VecNormalize, unwrap_vec_normalize

from reload_audit.environments.build import build_vec_env, freeze_normalization, normalizable_keys
from reload_audit.environments.valid_actions import sample_valid
from reload_audit.evaluation.conditions import (
    Subject,
    fresh_environments,
    run_condition,
    run_in_few_workers,
)
from reload_audit.evaluation.rollouts import (
    ModelPolicy,
    NonFiniteReward,
    Policy,
    RandomPolicy,
    TimeAllowed,
    run_episodes,
    run_looks,
)
from reload_audit.evaluation.wrappers import observe_as
from reload_audit.probing.run_scenario import RandomActions
from reload_audit.records.conditions import Condition
from reload_audit.records.environment_spec import EnvironmentSpec
from reload_audit.records.episodes import Episode, first_difference
from reload_audit.records.first_look import FirstLook, SameBits
from reload_audit.records.specs import EvaluationSpec, TrainingSpec
from support.builders import training_spec

EVALUATION = EvaluationSpec(episodes=20, seed=500, n_envs=4, max_episode_steps=1000, looks=(10, 20))


def environment(
    n_envs: int, env: str = "planted:Draws", kind: str = "dummy", *, wrapped: bool = False, **spec: Any
) -> VecEnv:
    built = TrainingSpec.from_dict(training_spec(env=env, **spec)).environment
    built = replace(built, monitor="wrapped") if wrapped else built
    normalizer = (lambda venv: VecNormalize(venv)) if built.normalize is not None else None
    return build_vec_env(built, n_envs, seed=3, kind=kind, start_method="fork", normalizer=normalizer)


def episodes_of(venv: VecEnv, cuts: tuple[int, ...] = (20,), policy: Any = None) -> list[Episode]:
    policy = policy or ModelPolicy(PPO("MlpPolicy", venv, n_steps=8, batch_size=8, seed=0, device="cpu"))
    episodes: list[Episode] = []
    for stop in cuts:
        episodes += run_episodes(policy, venv, EVALUATION, start=len(episodes), stop=stop)
    return episodes


class AlwaysZero(Policy):
    """The same actions whatever the number of slots: what is left to differ is the environment."""

    def act(
        self, _observations: Any, _states: Any, starts: np.ndarray, _venv: VecEnv, _parked: np.ndarray
    ) -> tuple[np.ndarray, None]:
        return np.zeros(len(starts), dtype=np.int64), None


def test_an_episode_is_what_the_environment_gives_when_reset_with_its_seed():
    episode = episodes_of(environment(1), policy=AlwaysZero())[7]
    env = planted.Draws()
    env.reset(seed=EVALUATION.seed + 7)
    rewards, ended = [], False
    while not ended:
        _, reward, ended, _, _ = env.step(0)
        rewards.append(reward)
    assert (episode.reward, episode.length) == (sum(rewards), len(rewards))


@pytest.mark.parametrize("n_envs", [2, 3, 8, 32])
def test_episodes_do_not_depend_on_the_number_of_environments(n_envs):
    one = episodes_of(environment(1), policy=AlwaysZero())
    assert first_difference(one, episodes_of(environment(n_envs), policy=AlwaysZero())) is None


@pytest.mark.parametrize("env", ["Draws", "Continuous", "Pixels", "DictObservations"])
def test_a_policy_chooses_bit_for_bit_what_predict_chooses_and_is_left_as_it_was(env):
    venv = environment(3, f"planted:{env}")
    policy = "MultiInputPolicy" if env == "DictObservations" else "MlpPolicy"
    model = PPO(policy, venv, n_steps=8, batch_size=8, seed=0, device="cpu")
    observations: Any = venv.reset()
    expected, _ = model.predict(observations, deterministic=True)
    kept = dict(vars(model.policy))
    chooses = ModelPolicy(model)
    with chooses.acting():
        actions, _ = chooses.act(observations, None, np.ones(3, dtype=bool), venv, np.zeros(3, dtype=bool))
    assert actions.tobytes() == expected.tobytes()
    assert vars(model.policy) == kept


@pytest.mark.slow
def test_subprocesses_give_the_same_bits_as_one_process():
    assert first_difference(episodes_of(environment(3)), episodes_of(environment(3, kind="subproc"))) is None


@pytest.mark.slow
def test_workers_are_forked_with_the_module_of_an_environment_of_gymnasium_s(monkeypatch):
    module = "gymnasium.envs.classic_control.acrobot"
    monkeypatch.delitem(sys.modules, module, raising=False)
    spec = EnvironmentSpec("Acrobot-v1", {}, (), "env", (), ())
    build_vec_env(spec, 1, seed=0, kind="subproc", start_method="fork").close()
    assert module in sys.modules


def test_episodes_do_not_depend_on_where_the_looks_are():
    whole = episodes_of(environment(4))
    assert first_difference(whole, episodes_of(environment(4), cuts=(5, 6, 20))) is None


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({"deterministic": False}, [24, 40]),
        ({"n_envs": 20}, [20, 40]),
        ({"n_envs": 64}, [40]),
        ({"episodes_before": 1}, []),
    ],
)
def test_a_trial_may_be_excluded_once_all_slots_have_run_equally_many_episodes(changes, asked):
    """Not where episodes depend on those before them."""
    spec = TrainingSpec.from_dict(training_spec())
    model = PPO("MlpPolicy", planted.Draws(), seed=0, n_steps=8, batch_size=8)
    condition = Condition("trial", **{"n_envs": 8, "n_episodes": 40, **changes})
    told: list[int] = []

    @dataclass(frozen=True)
    class Asked(FirstLook):
        answer: bool
        episodes = 20

        def suffices(self, episodes: Sequence[Episode]) -> bool:
            told.append(len(episodes))
            return self.answer

    def run(answer: bool) -> list[Episode]:
        subject = Subject(model, spec.environment, 0, "cpu")
        venv = fresh_environments(subject, condition)
        return run_condition(subject, venv, condition, spec.evaluation, [], first_look=Asked(answer))

    whole, ended = run(False), run(True)
    assert told == [*asked, *asked[:1]]
    assert (len(whole), len(ended)) == (40, asked[0] if asked else 40)
    assert first_difference(ended, whole[: len(ended)]) is None


def test_a_condition_shows_the_policy_other_observations_and_changes_nothing_where_it_shows_the_same():
    spec = TrainingSpec.from_dict(training_spec())
    model = PPO("MlpPolicy", planted.Draws(), seed=0, n_steps=8, batch_size=8, device="cpu")

    def run(**changes: Any) -> list[Episode]:
        condition = Condition("script", 2, n_episodes=10, **changes)
        subject = Subject(model, spec.environment, 0, "cpu")
        return run_condition(subject, fresh_environments(subject, condition), condition, spec.evaluation, [])

    plain = run()
    assert first_difference(plain, run(shown={"order": [0, 1, 2]})) is None
    assert first_difference(plain, run(shown={"factors": [-9.0] * 3, "shifts": [0.5] * 3, "bound": 4.0})) is not None


def test_statistics_that_drift_are_measured_in_rounds_as_long_as_a_script_is():
    """Each round begins with the statistics that the first began with, and has episodes of its own."""
    spec = EnvironmentSpec("planted:Gauge", {}, (), "env", (), ())
    model = PPO("MlpPolicy", planted.Gauge(), seed=0, n_steps=8, batch_size=8, device="cpu")
    subject = Subject(model, spec, 0, "cpu")

    def run(n_episodes: int, anew_after: int | None) -> tuple[list[int], float]:
        condition = Condition("script", 2, statistics="new", n_episodes=n_episodes, anew_after=anew_after)
        venv = fresh_environments(subject, condition)
        episodes = run_condition(subject, venv, condition, EVALUATION, [20])
        normalize = unwrap_vec_normalize(venv)
        assert normalize is not None
        assert isinstance(normalize.obs_rms, RunningMeanStd)
        return [episode.seed for episode in episodes], normalize.obs_rms.count

    (seeds, drifted), (in_rounds, settled), (_, once) = run(12, None), run(12, 4), run(4, None)
    assert in_rounds == seeds
    assert drifted > 2.5 * once
    assert settled == once


@pytest.mark.parametrize(
    ("n_envs", "after", "ran"), [(1, 4, 20), (1, 9, 5), (3, 1, 20), (3, 9, 6), (8, 9, 8), (20, 9, 20)]
)
def test_a_condition_ends_after_its_first_look_where_every_bit_of_it_is_the_canonical_one_s(n_envs, after, ran):
    """At least five episodes, as many in every slot, all with their digests; where a bit differs, all are run."""
    spec = EnvironmentSpec("planted:Tires", {"after": after}, (), "env", (), ())
    model = PPO("MlpPolicy", planted.Draws(), seed=0, n_steps=8, batch_size=8, device="cpu")
    subject = Subject(model, spec, 0, "cpu")

    def run(condition: Condition, first_look: FirstLook | None = None) -> list[Episode]:
        venv = fresh_environments(subject, condition)
        return run_condition(subject, venv, condition, EVALUATION, [20], first_look=first_look)

    canonical, condition = run(Condition("reload", 20)), Condition("other", n_envs)
    found = run(condition, SameBits(canonical))
    assert len(found) == ran
    assert first_difference(found, run(condition)[:ran]) is None


@pytest.mark.parametrize(
    ("kind", "policy", "env", "settings"),
    [
        (PPO, "MlpPolicy", "planted:Continuous", {"n_steps": 8, "batch_size": 8}),
        (SAC, "MlpPolicy", "planted:Continuous", {}),
        (PPO, "MultiInputPolicy", "planted:DictObservations", {"n_steps": 8, "batch_size": 8}),
        (RecurrentPPO, "MlpLstmPolicy", "planted:Continuous", {"n_steps": 8, "batch_size": 8}),
        (MaskablePPO, "MlpPolicy", "planted:Masked", {"n_steps": 8, "batch_size": 8}),
    ],
)
def test_a_first_look_in_few_processes_has_the_bits_of_a_batch_of_all(kind, policy, env, settings):
    spec = TrainingSpec.from_dict(training_spec(env=env)).environment
    model = kind(policy, build_vec_env(spec, 1, seed=0), seed=0, device="cpu", **settings)
    subject, condition = Subject(model, spec, 0, "cpu"), Condition("reload", 12)
    venv = fresh_environments(subject, condition)
    canonical = run_condition(subject, venv, condition, EVALUATION, [20])
    workers, always = replace(condition, vec_env="subproc"), TimeAllowed(lambda: math.inf)
    few = run_in_few_workers(subject, workers, EVALUATION, SameBits(canonical), always)
    assert [episode.episode for episode in few] == [0, 1, 2, 3, 4]
    other = [replace(episode, reward=-1.0) for episode in canonical]
    assert not run_in_few_workers(subject, workers, EVALUATION, SameBits(other), always)


def test_repeating_episodes_on_used_environments_gives_the_same_bits():
    venv = environment(4)
    policy = ModelPolicy(PPO("MlpPolicy", venv, n_steps=8, batch_size=8, seed=0, device="cpu"))
    first = run_episodes(policy, venv, EVALUATION, 0, 20)
    assert first_difference(first, run_episodes(policy, venv, EVALUATION, 0, 20)) is None


@pytest.mark.parametrize("n_envs", [1, 7, 40])
def test_environments_are_stepped_for_measured_episodes_only(n_envs):
    venv = environment(n_envs)
    planted.Draws.steps_of_all = 0
    episodes = episodes_of(venv, policy=AlwaysZero())
    assert planted.Draws.steps_of_all == sum(episode.length for episode in episodes)


def test_the_reward_is_the_environments_own_also_where_rewards_are_normalised():
    plain = episodes_of(environment(4), policy=AlwaysZero())
    normalised = episodes_of(environment(4, normalize=True), policy=AlwaysZero())
    assert [episode.reward for episode in normalised] == [episode.reward for episode in plain]
    assert [episode.step_reward for episode in normalised] != [episode.step_reward for episode in plain]


def test_step_rewards_are_on_the_environments_scale_once_normalisation_is_frozen():
    venv = environment(4, normalize=True)
    freeze_normalization(venv)
    for episode in episodes_of(venv, policy=AlwaysZero()):
        # DummyVecEnv hands rewards out as float32, hence the tolerance.
        assert episode.step_reward == pytest.approx(episode.reward, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("monitor", ["env", "vec"])
def test_the_monitors_reward_is_recorded_beside_the_environments(monitor):
    for episode in episodes_of(environment(4, monitor=monitor), policy=AlwaysZero()):
        # Monitor rounds to six decimals; VecMonitor sums float32.
        assert episode.monitor_reward == pytest.approx(episode.reward, abs=2e-6)


def test_a_trace_tells_another_policy_from_the_same_one():
    venv = environment(4)
    one, other = (PPO("MlpPolicy", venv, n_steps=8, batch_size=8, seed=seed, device="cpu") for seed in (0, 1))
    difference = first_difference(
        run_episodes(ModelPolicy(one), venv, EVALUATION, 0, 20),
        run_episodes(ModelPolicy(other), venv, EVALUATION, 0, 20),
    )
    assert difference is not None
    assert "actions" in difference


def test_a_trace_tells_other_statistics_by_the_policys_observations_alone():
    venv = environment(4, normalize=True)
    freeze_normalization(venv)
    first = episodes_of(venv, policy=AlwaysZero())
    venv.obs_rms.mean += 1e-3
    second = episodes_of(venv, policy=AlwaysZero())
    assert first_difference(first, second) == "episode 0: policy_observations"


def test_dictionary_observations_have_a_trace_for_each_key():
    trace = episodes_of(environment(4, env="planted:DictObservations"), policy=AlwaysZero())[0].trace
    assert {"policy_observations.position", "policy_observations.colour"} < set(trace)


def test_of_a_dictionary_fresh_statistics_are_of_what_can_be_normalised():
    spec = TrainingSpec.from_dict(training_spec(env="planted:DictObservations")).environment
    model = PPO("MultiInputPolicy", build_vec_env(spec, 2, seed=0), n_steps=32, device="cpu")
    venv = fresh_environments(Subject(model, spec, 0, "cpu"), Condition("fresh", 2, statistics="fresh"))
    assert isinstance(venv, VecNormalize)
    assert venv.obs_rms.keys() == {"position"}
    assert normalizable_keys(model.observation_space) == ["position"]
    assert normalizable_keys(build_vec_env(spec, 1, seed=0).observation_space["position"]) is None


def test_images_in_a_dictionary_are_not_normalised():
    image, numbers = gym.spaces.Box(0, 255, (36, 36, 3), np.uint8), gym.spaces.Box(-1, 1, (2,))
    assert normalizable_keys(gym.spaces.Dict({"camera": image, "arm": numbers})) == ["arm"]


def test_one_part_of_a_dictionary_is_observed_as_another_type_and_within_other_bounds():
    env = observe_as(planted.DictObservations(), "uint8", 0.0, 200.0, "position")
    seen, _ = env.reset(seed=0)
    (plain, _), space = planted.DictObservations().reset(seed=0), env.observation_space["position"]
    assert (space.dtype, space.low.max(), space.high.max()) == (np.uint8, 0, 200)
    assert seen["position"].tolist() == np.rint(plain["position"] + 100).tolist()
    assert seen["colour"] == plain["colour"]
    assert env.observation_space.contains(seen)


def test_an_episode_is_the_environments_own_where_wrappers_end_it_with_each_life_and_clip_rewards():
    wrappers = ["planted.EndsWithLife", "planted.Clips"]
    episodes = episodes_of(environment(4, env="planted:Lives", wrappers=wrappers), cuts=(6, 20), policy=AlwaysZero())
    assert [episode.episode for episode in episodes] == list(range(20))
    assert {episode.length for episode in episodes} == {6}
    for episode in episodes:
        assert episode.monitor_reward == pytest.approx(episode.reward, abs=1e-6)  # Monitor rounds


@pytest.mark.parametrize("n_envs", [1, 4])
def test_an_episode_is_what_wrappers_leave_where_training_recorded_it_around_them(n_envs):
    whole = episodes_of(environment(4), policy=AlwaysZero())
    episodes = episodes_of(environment(n_envs, wrappers=["planted.Clips"], wrapped=True), policy=AlwaysZero())
    assert [episode.length for episode in episodes] == [episode.length for episode in whole]
    assert [episode.reward for episode in episodes] == [episode.monitor_reward for episode in episodes]
    assert {episode.reward % 1.0 for episode in episodes} == {0.0}, "sums of signs"
    assert [episode.reward for episode in episodes] != [episode.reward for episode in whole]


def test_an_episode_ends_where_a_wrapper_further_out_cuts_it_short():
    wrappers = [{"gymnasium.wrappers.TimeLimit": {"max_episode_steps": 4}}]
    episodes = episodes_of(environment(4, wrappers=wrappers), policy=AlwaysZero())
    assert [episode.episode for episode in episodes] == list(range(20))
    assert max(episode.length for episode in episodes) == 4


def test_an_environment_that_writes_to_its_actions_does_not_change_the_trace():
    plain = episodes_of(environment(2, env="planted:Continuous"))
    writing = episodes_of(environment(2, env="planted:WritesToActions"))
    assert [one.trace["actions"] for one in plain] == [one.trace["actions"] for one in writing]


def test_random_actions_foresee_nothing_that_an_environment_draws():
    venv = environment(4, env="planted:Bandit")
    ran = run_episodes(RandomPolicy(venv, seed=EVALUATION.seed), venv, EVALUATION, 0, 20)
    assert 2.0 < np.mean([episode.reward for episode in ran]) < 6.0  # 3.75 of 15 by chance


def test_masks_of_an_environment_whose_actions_cannot_be_masked_are_left_alone():
    venv = environment(4, env="planted:MaskedAsAnotherVariant")
    assert len(run_episodes(RandomPolicy(venv, seed=1), venv, EVALUATION, 0, 20)) == 20
    actions = RandomActions(planted.MaskedAsAnotherVariant(), seed=1)
    assert {actions.next().shape for _ in range(3)} == {(1,)}


def test_random_actions_respect_masks_and_are_always_the_same():
    def run() -> list[Episode]:
        venv = environment(4, env="planted:Masked")
        return run_episodes(RandomPolicy(venv, seed=1), venv, EVALUATION, 0, 20)

    assert first_difference(run(), run()) is None


@pytest.mark.parametrize(
    ("space", "mask", "allowed"),
    [
        (gym.spaces.MultiDiscrete([2, 3]), [1, 0, 0, 0, 1], {(0, 2)}),
        (gym.spaces.MultiBinary(2), [1, 0, 1, 1], {(0, 0), (0, 1)}),
    ],
)
def test_random_actions_respect_masks_of_composite_spaces(space, mask, allowed):
    assert {tuple(int(part) for part in sample_valid(space, np.asarray(mask))) for _ in range(50)} == allowed


def test_an_episode_without_end_is_cut_and_the_others_are_as_they_are():
    cut = episodes_of(environment(2, env="planted:Endless"), policy=AlwaysZero())
    assert {(episode.length, episode.terminated, episode.cut) for episode in cut} == {(1000, False, "open")}
    evaluation = replace(EVALUATION, max_episode_steps=2)
    short = run_episodes(AlwaysZero(), environment(2), evaluation, 0, 20)
    whole = episodes_of(environment(2), policy=AlwaysZero())
    assert {bool(episode.cut) for episode in short} == {True}
    assert [one.length for one in short] == [2] * len(whole)


def test_a_reward_that_is_no_number_is_an_error_that_names_the_episode(monkeypatch):
    monkeypatch.setattr(planted, "reloading", lambda: True)
    with pytest.raises(NonFiniteReward, match=r"episode \d+ \(seed 50\d\) earned nan"):
        episodes_of(environment(2, env="planted:NoNumber"), policy=AlwaysZero())


@pytest.mark.parametrize("kind", ["dummy", "subproc"])
def test_when_time_ends_those_that_were_begun_are_run_to_their_end_and_no_others(kind: str) -> None:
    whole = episodes_of(environment(4, kind=kind), policy=AlwaysZero())
    left = iter([1e9] * 12)  # of each step; then there is none
    allowed = TimeAllowed(lambda: next(left, 0.0))
    begun = run_looks(AlwaysZero(), environment(4, kind=kind), EVALUATION, (10, 20), allowed=allowed)
    assert 4 <= len(begun) < 20
    assert allowed.is_up
    assert first_difference(whole[: len(begun)], begun) is None


def test_no_look_begins_when_time_has_ended() -> None:
    left = iter([1e9] * 1000)
    allowed = TimeAllowed(lambda: next(left, 0.0))
    ended: list[int] = []
    allowed.ended = ended.append

    def use_up(_: Any) -> bool:
        return list(left) == []

    begun = run_looks(AlwaysZero(), environment(4), EVALUATION, (8, 16), use_up, allowed=allowed)
    assert len(begun) == 8
    assert ended == [*range(1, 9)]
