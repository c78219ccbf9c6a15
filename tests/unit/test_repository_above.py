"""Scripts above the folder that `runs` names are read too, up to the root of its git repository and no further."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.published_layouts import text
from support.repositories import PPO_ALONE, Repository, planned

TRAIN = """
from stable_baselines3 import PPO
from reef.reef_env import Reef
model = PPO("MlpPolicy", Reef(depth=3))
model.learn(1000)
model.save("../saved/diver")
"""
REEF = "import gymnasium as gym\nclass Reef(gym.Env):\n    def __init__(self, depth=1):\n        self.depth = depth\n"
FILES = {
    "code/train.py": TRAIN,
    "code/reef/__init__.py": "",
    "code/reef/reef_env.py": REEF,
    "README.md": "Our agent has a mean reward of 12.5 over 20 episodes.\n",
    "moments/seen.pkl": "",
}


def repository(folder: Path, *models: str) -> Path:
    """A git repository with scripts in one folder and models in another."""
    made = Repository(FILES, dict.fromkeys(models or ("saved/diver.zip",), PPO_ALONE)).write(folder)
    (made / ".git").mkdir()
    return made


def test_scripts_above_the_folder_with_models_say_how_they_are_run(tmp_path: Path) -> None:
    clone = repository(tmp_path / "clone")
    proposal = planned(clone / "saved").proposal
    assert proposal["python_path"] == [str(clone / "code")]
    (entry,) = proposal["runs"]
    assert (entry["folder"], entry["env"], entry["env_kwargs"]) == (
        str(clone / "saved"),
        "reef.reef_env:Reef",
        {"depth": 3},
    )


def test_the_folder_may_be_named_relative_to_where_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository(tmp_path / "clone")
    monkeypatch.chdir(tmp_path)
    assert planned(Path("clone/saved")).proposal["python_path"] == ["clone/code"]


def test_nothing_beyond_the_root_of_the_repository_is_read(tmp_path: Path) -> None:
    clone = repository(tmp_path / "clone")
    (clone / "saved/.git").mkdir()
    assert planned(clone / "saved").proposed == ""


def test_a_folder_in_no_repository_is_read_alone(tmp_path: Path) -> None:
    clone = repository(tmp_path / "clone")
    (clone / ".git").rmdir()
    assert planned(clone / "saved").proposed == ""


@pytest.mark.parametrize("own", ["workflow/scripts/reload_audit/x.py", "code/workflow/scripts/reload_audit/x.py"])
def test_a_clone_of_the_audit_says_nothing_of_models_in_or_beside_it(tmp_path: Path, own: str) -> None:
    clone = repository(tmp_path / "clone")
    text(clone / own, "")
    assert planned(clone / "saved").proposed == ""


def test_another_repository_inside_the_repository_says_nothing(tmp_path: Path) -> None:
    clone = repository(tmp_path / "clone")
    text(clone / "code/.git", "gitdir: elsewhere")  # as a submodule has it
    assert planned(clone / "saved").proposed == ""


def test_links_out_of_the_repository_are_not_followed(tmp_path: Path) -> None:
    clone = repository(tmp_path / "clone")
    (clone / "code").rename(tmp_path / "elsewhere")
    (clone / "code").symlink_to(tmp_path / "elsewhere")
    assert planned(clone / "saved").proposed == ""


def test_a_home_directory_that_is_kept_in_git_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = repository(tmp_path / "home")
    monkeypatch.setenv("HOME", str(home))
    assert planned(home / "saved").proposed == ""


def test_of_very_many_files_above_some_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = repository(tmp_path / "clone")
    for number in range(50):
        text(clone / f"assets/{number}.txt", "")
    monkeypatch.setattr("reload_audit.reading.limits.ABOVE_ENTRIES", 40)
    assert planned(clone / "saved").proposal["python_path"] == [str(clone / "code")]


@pytest.mark.parametrize(("models", "claimed"), [(("saved/diver.zip",), 1), (("saved/diver.zip", "old/diver.zip"), 0)])
def test_a_sentence_about_the_only_model_of_a_repository_is_no_claim_where_others_lie_elsewhere(
    tmp_path: Path, models: tuple[str, ...], claimed: int
) -> None:
    clone = repository(tmp_path / "clone", *models)
    found = planned(
        clone / "saved", python_path=[str(clone)], runs=[{"folder": str(clone / "saved"), "env": "CartPole-v1"}]
    )
    assert len(found.specs["diver"].claims) == claimed
