"""What stands between the user's wrappers and their environment is neither noticed by them nor named to the user."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from sb3_contrib import MaskablePPO
from stable_baselines3.common.vec_env import VecEnv

from reload_audit.environments.build import build_vec_env
from reload_audit.environments.seeded_episodes import EpisodeTooLong
from reload_audit.evaluation.rollouts import (
    ModelPolicy,
    NoActionMasks,
    Policy,
    RandomPolicy,
    run_episodes,
)
from reload_audit.records.environment_spec import EnvironmentSpec, WrapperEntry, wrapper_spec
from reload_audit.records.episodes import Episode
from reload_audit.records.specs import EvaluationSpec

EVALUATION = EvaluationSpec(episodes=6, seed=500, n_envs=4, max_episode_steps=100, looks=(3, 6))
MASKER: WrapperEntry = {"ActionMasker": {"action_mask_fn": "writers:free"}}


def built(env: str, *wrappers: WrapperEntry, n_envs: int = 4, kind: str = "dummy") -> VecEnv:
    spec = EnvironmentSpec(env, {}, tuple(map(wrapper_spec, wrappers)), "env", (), ())
    return build_vec_env(spec, n_envs, seed=0, kind=kind, start_method="fork")


class InTurn(Policy):
    """Takes one action after the other."""

    def act(self, _seen: Any, states: Any, starts: np.ndarray, _venv: VecEnv, _parked: np.ndarray) -> tuple[Any, Any]:
        states = np.where(starts, 0, 0 if states is None else states[0] + 1)
        return states % 3, (states,)


def episodes(venv: VecEnv, policy: Policy | None = None) -> list[Episode]:
    """All episodes, in two looks; some slots have none in either."""
    policy = policy or InTurn()
    return [*run_episodes(policy, venv, EVALUATION, 0, 3), *run_episodes(policy, venv, EVALUATION, 3, 6)]


@pytest.mark.parametrize(
    "wrapper", ["TimeFeatureWrapper", "writers.AppendsToTheDictionary", "writers.ScalesInPlace", "writers.WantsItsInfo"]
)
@pytest.mark.parametrize("n_envs", [4, 7])
def test_a_wrapper_that_writes_into_observations_sees_none_twice(wrapper: str, n_envs: int) -> None:
    venv = built("writers:Cells", wrapper, n_envs=n_envs)
    alone = built("writers:Cells", wrapper, n_envs=1)
    assert [episode.trace for episode in episodes(venv)] == [episode.trace for episode in episodes(alone)]
    assert venv.observation_space.contains(dict.fromkeys(("observation",), venv.reset()["observation"][0]))


@pytest.mark.parametrize("kind", ["dummy", pytest.param("subproc", marks=pytest.mark.slow)])
def test_a_mask_function_is_given_what_it_was_given_in_training(kind: str) -> None:
    venv = built("writers:Cells", MASKER, kind=kind)
    assert [episode.reward for episode in episodes(venv, RandomPolicy(venv, 0))] == [3.0] * 6
    venv.close()


def test_a_wrapper_reads_and_sets_attributes_of_its_environment() -> None:
    venv = built("writers:Cells", "writers.SetsTheLimit")
    assert {episode.length for episode in episodes(venv)} == {2}
    venv.env_method("limit_to", 1)
    assert {episode.length for episode in episodes(venv)} == {1}
    assert venv.get_attr("limit") == [1] * 4


def test_missing_masks_are_said_in_the_users_words() -> None:
    venv = built("writers:Cells")
    model = MaskablePPO("MultiInputPolicy", venv, n_steps=8, batch_size=8, device="cpu")
    with pytest.raises(
        NoActionMasks, match=r"and Cells has no method action_masks; expected .*ActionMasker: \{"
    ) as said:
        episodes(venv, ModelPolicy(model))
    assert "SeededEpisodes" not in str(said.value)


@pytest.mark.parametrize(
    "ask",
    [
        lambda venv: venv.env_method("colour"),
        lambda venv: venv.get_attr("colour"),
        lambda venv: venv.envs[0].env.env.colour,
        lambda venv: getattr(venv.envs[0], "colour"),  # noqa: B009
    ],
)
def test_what_is_missing_is_missing_in_the_users_environment(ask: Any) -> None:
    with pytest.raises(AttributeError) as missing:
        ask(built("writers:Cells", "writers.ScalesInPlace"))
    assert str(missing.value) == "'Cells' object has no attribute 'colour'"
    assert missing.value.__cause__ is None


def test_a_layer_that_hides_the_end_of_episodes_is_named() -> None:
    with pytest.raises(EpisodeTooLong, match=r"goes on after its end; .*the outermost first: writers.NeverEnds$"):
        episodes(built("writers:Cells", "writers.NeverEnds"))


def test_an_environment_shows_itself_as_the_users_own() -> None:
    shown = str(built("writers:Cells", "writers.ScalesInPlace").get_attr("env")[0])
    assert "Cells" in shown
    assert "reload_audit" not in shown
    assert not {"SeededEpisodes", "ActionsAnnounced"} & {*shown.replace("<", " ").replace(">", " ").split()}


def test_an_environment_hands_out_its_generator_and_spaces_as_ever() -> None:
    env = built("writers:Cells", "writers.ScalesInPlace").get_attr("env")[0]
    assert isinstance(env, gym.Env)
    assert env.unwrapped.action_space is env.action_space
