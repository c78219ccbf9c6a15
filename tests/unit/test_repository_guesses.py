"""What only a name speaks of, or what several things may mean, is tried or asked, and never taken in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.repositories import (
    OF_CARTPOLE,
    OF_WALKER,
    PPO_ALONE,
    SNAKE,
    SPACES_OF_SNAKE,
    Repository,
    planned,
)


@pytest.mark.parametrize("name", ["cartpole", "ppo_cart_pole_v1_500k", "PPO-CartPole"])
def test_an_environment_that_only_a_name_speaks_of_is_used_if_it_has_the_spaces_in_the_zip(
    tmp_path: Path, name: str
) -> None:
    found = planned(Repository({}, {f"models/{name}/final.zip": OF_CARTPOLE}).write(tmp_path / "mine"))
    (spec,) = found.specs.values()
    assert spec.environment.env == "CartPole-v1"
    assert spec.remarks == ("it is run in CartPole-v1, of which its name speaks, and which has its spaces",)


def test_a_version_in_a_name_is_kept(tmp_path: Path) -> None:
    found = planned(Repository({}, {"cartpole_v0_agent.zip": OF_CARTPOLE}).write(tmp_path / "mine"))
    assert found.specs["cartpole_v0_agent"].environment.env == "CartPole-v0"


def test_wrappers_that_no_file_may_name_are_asked_for_once(tmp_path: Path) -> None:
    script = """
import gymnasium as gym
from gymnasium.wrappers import {wrapper}
from stable_baselines3 import PPO
PPO("MlpPolicy", {wrapper}(gym.make("CartPole-v1"), {arguments})).save("agent")
"""
    usual = script.format(wrapper="TimeLimit", arguments="max_episode_steps=100")
    folder = Repository({"train.py": usual}, {"agent.zip": OF_CARTPOLE}).write(tmp_path / "usual")
    assert planned(folder).specs["agent"].environment.wrappers[0].name == "gymnasium.wrappers.TimeLimit"
    unusual = script.format(wrapper="NormalizeReward", arguments="gamma=0.9")
    folder = Repository({"train.py": unusual}, {"agent.zip": OF_CARTPOLE}).write(tmp_path / "unusual")
    (run,) = planned(folder).proposal["runs"]
    assert run["wrappers"] == [{"gymnasium.wrappers.NormalizeReward": {"gamma": 0.9}}]


def test_of_a_class_and_those_that_inherit_from_it_only_these_are_candidates(tmp_path: Path) -> None:
    small = "from snake import SnakeEnv\n\nclass SmallSnake(SnakeEnv):\n    pass\n"
    folder = Repository({"snake.py": SNAKE, "small.py": small}, {"a.zip": SPACES_OF_SNAKE}).write(tmp_path / "snakes")
    assert [run["env"] for run in planned(folder).proposal["runs"]] == ["small:SmallSnake"]


def test_a_name_whose_environment_has_other_spaces_is_no_answer(tmp_path: Path) -> None:
    found = planned(Repository({}, {"cartpole.zip": OF_WALKER}).write(tmp_path / "mine"))
    assert "cartpole.zip: no environment" in found.question
    assert not found.proposed


def test_two_environments_that_a_name_may_mean_are_two_lines_to_choose_from(tmp_path: Path) -> None:
    found = planned(Repository({}, {"mountaincar_acrobot.zip": PPO_ALONE}).write(tmp_path / "mine"))
    assert "env: MountainCar-v0  # a name, mountaincar_acrobot, and the spaces in the zip" in found.sources()
    assert "# env: Acrobot-v1  # a name, mountaincar_acrobot, and the spaces in the zip" in found.sources()


def test_a_script_whose_environment_has_other_spaces_than_the_zip_is_no_answer_and_that_is_said(tmp_path: Path) -> None:
    script = "from stable_baselines3 import PPO\nPPO('MlpPolicy', 'CartPole-v1').save('agent')\n"
    found = planned(Repository({"train.py": script}, {"agent.zip": OF_WALKER}).write(tmp_path / "other"))
    assert "its observations are Box(24), those of CartPole-v1 Box(4) (train.py:2)" in found.question


def test_an_id_that_a_package_registers_is_proposed_with_the_package_that_the_script_imports(tmp_path: Path) -> None:
    script = """
import gymnasium as gym
import robots_of_somebody
from stable_baselines3 import PPO
PPO("MlpPolicy", gym.make("Robot-v3", arms=2)).save("agent")
"""
    found = planned(Repository({"train.py": script}, {"agent.zip": OF_WALKER}).write(tmp_path / "robot"))
    (run,) = found.proposal["runs"]
    assert (run["env"], run["env_kwargs"]) == ("robots_of_somebody:Robot-v3", {"arms": 2})


def test_ids_and_arguments_of_strangers_make_only_environments_that_files_may_name(tmp_path: Path) -> None:
    script = """
import gymnasium as gym
from stable_baselines3 import PPO
PPO("MlpPolicy", gym.make("GymV21Environment-v0", env_id="os:system", make_kwargs={})).save("agent")
"""
    found = planned(Repository({"train.py": script}, {"agent.zip": OF_WALKER}).write(tmp_path / "robot"))
    assert found.specs["agent"].named_by_user == (), "what it names is refused when the model is audited"


def test_what_a_text_mentions_is_taken_only_for_an_environment_that_is_registered_and_fits(tmp_path: Path) -> None:
    said = {"Trained on Acrobot-v1 and CartPole-v1.": "CartPole-v1", "Acrobot-v1 alone.": "", "As ResNet-v2.": ""}
    named = Repository({"README.md": "# After Acrobot-v1\n"}, {"cartpole.zip": OF_CARTPOLE}).write(tmp_path / "named")
    assert planned(named).specs["cartpole"].environment.env == "CartPole-v1"
    wrapped = Repository({"README.md": "# Stacked CartPole-v1\n"}, {"ppo-CartPole-v1.zip": OF_WALKER})
    assert planned(wrapped.write(tmp_path / "id")).specs["ppo-CartPole-v1"].environment.env == "CartPole-v1"
    for number, (sentence, env) in enumerate(said.items()):
        folder = Repository({"README.md": f"# Agent\n\n{sentence}\n"}, {"agent.zip": OF_CARTPOLE})
        found = planned(folder.write(tmp_path / str(number) / "mine"))
        assert [spec.environment.env for spec in found.specs.values()] == [env][: bool(env)]
        assert not found.proposed
