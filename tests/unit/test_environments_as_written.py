"""Whatever SB3 itself runs, the audit runs: environments with fewer arguments, older results, or of ``gym``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import as_written
import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecEnv

from reload_audit.environments.build import build_vec_env, make_env
from reload_audit.environments.construction import describe_construction
from reload_audit.environments.older_software import needs_older_software
from reload_audit.evaluation.rollouts import Policy, run_episodes
from reload_audit.processes.imports import ImportProblem, import_module
from reload_audit.records.environment_spec import EnvironmentSpec, wrapper_spec
from reload_audit.records.episodes import Episode
from reload_audit.records.specs import EvaluationSpec, TrainingSpec
from reload_audit.training.preflight import find_problems
from support.builders import training_spec

EVALUATION = EvaluationSpec(episodes=8, seed=500, n_envs=3, max_episode_steps=100, looks=(8,))
OLDER = ["as_written:Walk", "as_written:GivenAnything", "as_written:SeededByMethod"]
OF_GYM = ["as_written_for_gym:Walk21", "as_written_for_gym:Walk26"]


class AlwaysRight(Policy):
    def act(self, _observations: Any, _states: Any, starts: np.ndarray, *_: Any) -> tuple[np.ndarray, None]:
        return np.ones(len(starts), dtype=np.int64), None


def environment(env: str, **spec: Any) -> EnvironmentSpec:
    return EnvironmentSpec(**{**vars(TrainingSpec.from_dict(training_spec()).environment), "env": env, **spec})


def episodes(spec: EnvironmentSpec, kind: str = "dummy") -> list[Episode]:
    venv: VecEnv = build_vec_env(spec, EVALUATION.n_envs, seed=3, kind=kind, start_method="fork")
    try:
        return run_episodes(AlwaysRight(), venv, EVALUATION, 0, EVALUATION.episodes)
    finally:
        venv.close()


def by_hand(env: Any, seed: int) -> float:
    """What an episode earns when nothing of the audit stands between."""
    env.seed(seed) if hasattr(env, "seed") else env.reset(seed=seed)
    if hasattr(env, "seed"):
        env.reset()
    return float(sum(env.step(1)[1] for _ in range(as_written.STEPS)))


@pytest.mark.parametrize("env", OLDER)
def test_every_episode_is_what_the_environment_gives_when_it_is_seeded_in_its_own_way(env):
    made = getattr(as_written, env.partition(":")[2])
    earned = [episode.reward for episode in episodes(environment(env))]
    assert earned == [by_hand(made(), EVALUATION.seed + k) for k in range(EVALUATION.episodes)]
    assert [episode.reward for episode in episodes(environment(env), "subproc")] == earned


@pytest.mark.parametrize("env", OLDER)
def test_conditions_put_their_wrappers_and_time_limits_around_it(env):
    wrappers = [wrapper_spec(name) for name in ("as_written.SeedPassedOn", "gymnasium.wrappers.TimeAwareObservation")]
    ran = episodes(environment(env, time_limit=2, wrappers=tuple(wrappers)))
    assert {(episode.length, episode.terminated) for episode in ran} == {(2, False)}


def test_a_time_limit_among_the_infos_is_one():
    assert {(episode.length, episode.terminated) for episode in episodes(environment("as_written:CutShort"))} == {
        (as_written.STEPS - 1, False)
    }


def test_one_that_nothing_can_seed_runs_all_the_same():
    first, second = (episodes(environment("as_written:NeverSeeded")) for _ in range(2))
    assert [episode.reward for episode in first] != [episode.reward for episode in second]


def test_its_construction_is_described_as_that_of_its_own_class():
    spec = environment("as_written:Walk")
    construction = describe_construction(make_env(spec), {})
    assert construction.code
    assert construction.wrappers[-1] == "as_written.Walk"


def test_an_experiment_in_one_may_be_trained():
    where = [(env, training_spec(env=env)) for env in OLDER]
    assert find_problems(where) == []


def test_what_numpy_has_removed_is_said_with_the_line_that_uses_it():
    with pytest.raises(AttributeError) as raised:
        make_env(environment("as_written:WrittenForNumpy1")).reset(seed=0)
    said = needs_older_software(raised.value)
    assert "environments/as_written.py:" in said
    assert ".astype(np.float_)" in said
    assert "code for numpy<2" in said


def test_other_errors_are_not_blamed_on_software_that_is_too_new():
    with pytest.raises(ValueError, match="unpack") as unpacked:
        _, _, _, _ = "five!"
    with pytest.raises(AttributeError) as misspelt:
        np.arrray([])  # type: ignore[attr-defined]
    assert [needs_older_software(error.value) for error in (unpacked, misspelt)] == ["", ""]


def test_an_environment_of_gym_names_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "gym", None)
    with pytest.raises(ImportProblem, match=r"importing 'as_written_for_gym': gym is not installed.*pip install 'gym="):
        import_module("as_written_for_gym")


class TestOfGym:
    """With ``gym`` and shimmy, which are extras."""

    @pytest.fixture(autouse=True)
    def _installed(self):
        pytest.importorskip("gym", reason="gym is not installed: requirements-extras.txt")
        pytest.importorskip("shimmy", reason="shimmy is not installed: requirements-extras.txt")

    @pytest.mark.parametrize("env", OF_GYM)
    def test_its_episodes_are_seeded_as_it_can_be(self, env):
        of = as_written.SeededByMethod if "21" in env else as_written.Walk
        earned = [episode.reward for episode in episodes(environment(env))]
        assert earned == [by_hand(of(), EVALUATION.seed + k) for k in range(EVALUATION.episodes)]

    def test_wrappers_of_gym_stand_inside_those_of_gymnasium(self):
        plain = episodes(environment(OF_GYM[0]))
        wrappers = ("as_written_for_gym.Doubled", "as_written.SeedPassedOn")
        doubled = episodes(environment(OF_GYM[0], wrappers=tuple(map(wrapper_spec, wrappers))))
        assert [episode.reward for episode in doubled] == [2 * episode.reward for episode in plain]

    def test_ids_that_are_registered_in_gym_are_made_with_their_time_limit(self):
        ran = episodes(environment("as_written_for_gym:Walk21-v0"))
        assert {(episode.length, episode.terminated) for episode in ran} == {(3, False)}
        assert len({episode.reward for episode in episodes(environment("Walk26-v0"))}) == EVALUATION.episodes

    def test_its_construction_is_described_as_that_of_its_own_class(self):
        wrappers = (wrapper_spec("as_written_for_gym.Doubled"),)
        spec = environment(OF_GYM[0], env_kwargs={"of": as_written.CutShort}, wrappers=wrappers)
        construction = describe_construction(make_env(spec), spec.env_kwargs)
        assert [name.rpartition(".")[2] for name in construction.wrappers[-2:]] == ["Doubled", "Walk21"]
        assert construction.arguments == {"of": "<type>"}

    def test_a_wrapper_of_gym_around_an_environment_of_gymnasium_is_refused(self):
        spec = environment("as_written:Walk", wrappers=(wrapper_spec("as_written_for_gym.Doubled"),))
        with pytest.raises(ImportProblem, match="expected both of one"):
            make_env(spec)

    def test_without_shimmy_it_is_said_how_to_install_it(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "shimmy", None)
        with pytest.raises(ImportProblem, match=r"shimmy is not installed.*pip install 'gym==0.26.2' 'shimmy>=2.0'"):
            make_env(environment(OF_GYM[0]))
        assert isinstance(make_env(replace(environment("CartPole-v1"))), gymnasium.Env)
