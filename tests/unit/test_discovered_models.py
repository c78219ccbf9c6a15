"""What the user says of external models counts; their names, their files and their batches."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from reload_audit.command.workflow import alone_in
from reload_audit.planning.configuration import ConfigError
from reload_audit.planning.discovery.find_models import batches, usual_size
from reload_audit.records.specs import ExternalSpec
from support.published_layouts import by_name, discovered, files_of_model, sb3_zip, text, the_only, zoo_run


def test_settings_for_a_folder_apply_to_every_model_in_it(tmp_path: Path) -> None:
    zoo_run(tmp_path / "ppo/CartPole-v1_1", config={"env_wrapper": "a.B"})
    given = {
        "env": "mine:Env",
        "algo": "MaskablePPO",
        "n_envs": 2,
        "device": "cuda",
        "deterministic": False,
        "frame_stack": 3,
    }
    found = the_only(runs=[{"folder": str(tmp_path), **given, "wrappers": ["c.D"], "env_kwargs": {"a": 1}}])
    stacked = ExternalSpec.from_dict(found).environment.frame_stack
    flat = {**found, **found["environment"], "frame_stack": stacked}
    assert {key: flat[key] for key in given} == given
    assert (flat["wrappers"], flat["env_kwargs"], flat["named_by_user"]) == (["c.D"], {"a": 1}, ["env", "wrappers"])


@pytest.mark.parametrize(
    ("given", "wrapper", "named"),
    [
        ({"env": "X-v0"}, None, ["env"]),
        ({"env": "X-v0"}, "a.B", ["env"]),
        ({"env": "X-v0", "wrappers": []}, "a.B", ["env", "wrappers"]),
        ({"wrappers": ["c.D"]}, "a.B", ["wrappers"]),
        ({}, "a.B", []),
    ],
)
def test_names_given_by_the_user_are_kept(
    tmp_path: Path, given: dict[str, Any], wrapper: str | None, named: list[str]
) -> None:
    zoo_run(tmp_path / "ppo/CartPole-v1_1", config={"env_wrapper": wrapper})
    assert the_only(runs=[{"folder": str(tmp_path), **given}])["named_by_user"] == named


@pytest.mark.parametrize("pattern", ["ppo", "ppo/", "ppo/*", "*_1", "*CartPole*"])
def test_excluded_files_are_not_audited(tmp_path: Path, pattern: str) -> None:
    zoo_run(tmp_path / "ppo/CartPole-v1_1")
    zoo_run(tmp_path / "a2c/Acrobot-v1_2", env="Acrobot-v1")
    assert list(by_name(runs=[{"folder": str(tmp_path), "exclude": [pattern]}])) == ["a2c/Acrobot-v1_2"]


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("missing", "expected a folder with models, or a model, found nothing there"),
        ("file", "found no model in .*file; looked for a file that Stable-Baselines3 saved a model in"),
        ("empty", "looked for"),
    ],
)
def test_a_folder_without_models_is_refused(tmp_path: Path, folder: str, message: str) -> None:
    text(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=message):
        discovered(runs=[str(tmp_path / folder)])


def test_a_file_is_one_model_with_what_lies_beside_it(tmp_path: Path) -> None:
    zoo_run(tmp_path / "ppo/CartPole-v1_1")
    zoo_run(tmp_path / "ppo/CartPole-v1_1/deeper/down/here/Acrobot-v1_2", env="Acrobot-v1")
    (whole,) = (model for name, model in by_name(runs=[str(tmp_path / "ppo")]).items() if name == "CartPole-v1_1")
    (alone,) = discovered(runs=[str(tmp_path / "ppo/CartPole-v1_1/CartPole-v1.zip")])
    same = ("path", "algo", "environment", "statistics", "evaluations", "role", "source")
    assert [alone[key] for key in same] == [whole[key] for key in same]


def test_what_an_audit_wrote_beside_a_model_says_nothing_of_it(tmp_path: Path) -> None:
    zoo_run(tmp_path / "ppo/CartPole-v1_1")
    before = discovered(runs=[str(tmp_path)])
    with alone_in(tmp_path / "ppo-audit"):
        zoo_run(tmp_path / "ppo-audit/external/Acrobot-v1_2", env="Acrobot-v1")
        text(tmp_path / "ppo-audit/probes/Acrobot.json", '{"env": "Acrobot-v1"}')
    assert discovered(runs=[str(tmp_path)]) == before


def test_a_file_is_listed_once_whoever_names_its_folder(tmp_path: Path) -> None:
    zoo_run(tmp_path / "ppo/CartPole-v1_1")
    zoo_run(tmp_path / "a2c/CartPole-v1_1")
    found = by_name(runs=[{"folder": str(tmp_path / "ppo"), "device": "cuda"}, str(tmp_path)])
    assert {name: entry["device"] for name, entry in found.items()} == {
        "CartPole-v1_1": "cuda",
        "a2c/CartPole-v1_1": "cpu",
    }


def test_names_that_clash_are_made_longer(tmp_path: Path) -> None:
    for folder in ("one", "two", "deep/two"):
        sb3_zip(tmp_path / folder / "CartPole-v1.zip")
    folders = [str(tmp_path / folder) for folder in ("one", "two", "deep/two")]
    expected = ["one/CartPole-v1", "two/CartPole-v1", "two/CartPole-v1-2"]
    for order in (folders, folders[::-1]):
        found = by_name(runs=order)
        assert list(found) == expected
        assert found["two/CartPole-v1"]["path"] == str(tmp_path / "deep/two/CartPole-v1.zip")


def test_an_external_model_never_gets_the_name_of_a_trained_one(tmp_path: Path) -> None:
    sb3_zip(tmp_path / "runs/small-seed0-n1.zip")
    trained = {"name": "small", "algo": "PPO", "env": "CartPole-v1", "total_timesteps": 1}
    runs = [{"folder": str(tmp_path / "runs"), "env": "CartPole-v1"}]
    assert list(by_name(experiments=[trained], runs=runs)) == ["runs/small-seed0-n1"]


def test_names_can_be_printed_whatever_the_files_are_called(tmp_path: Path) -> None:
    name = os.fsdecode(b"CartPole-v1\xff\n.zip")
    try:
        sb3_zip(tmp_path / name)
    except OSError:
        pytest.skip("this file system wants Unicode")
    found = the_only(runs=[str(tmp_path)])
    assert found["model"] == "CartPole-v1\\xff\\n"
    assert "expected a path in UTF-8" in found["problem"]
    assert json.dumps(found, ensure_ascii=False).encode()
    assert files_of_model(found) == []


def test_hidden_folders_are_skipped(tmp_path: Path) -> None:
    sb3_zip(tmp_path / "CartPole-v1.zip")
    sb3_zip(tmp_path / ".trash/Acrobot-v1.zip")
    assert list(by_name(runs=[str(tmp_path)])) == ["CartPole-v1"]


def test_circular_links_between_folders_do_not_hang(tmp_path: Path) -> None:
    sb3_zip(tmp_path / "runs/CartPole-v1.zip")
    sb3_zip(tmp_path / "elsewhere/Acrobot-v1.zip")
    (tmp_path / "runs/loop").symlink_to(tmp_path / "runs")
    (tmp_path / "runs/out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "runs/A.zip").symlink_to("CartPole-v1.zip")
    (tmp_path / "runs/A").mkdir()
    (tmp_path / "runs/A/CartPole-v1.zip").symlink_to("../CartPole-v1.zip")
    assert list(by_name(runs=[str(tmp_path / "runs")])) == ["CartPole-v1"]


def test_folders_may_be_as_deeply_nested_as_paths_may_be_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(1200):
        Path("d").mkdir()
        os.chdir("d")
    sb3_zip(Path("CartPole-v1.zip"))
    monkeypatch.chdir(tmp_path)
    try:
        assert the_only(runs=["d"])["model"].endswith("/d/CartPole-v1")
    finally:
        subprocess.run(["rm", "-r", tmp_path / "d"], check=True)  # noqa: S607  # Python's own rmtree is not up to it


def test_a_model_s_files_are_the_regular_files_that_exist(tmp_path: Path) -> None:
    run = zoo_run(tmp_path / "ppo/CartPole-v1_1", config={"normalize": True}, statistics=True)
    found = the_only(runs=[str(tmp_path)])
    expected = ["CartPole-v1.zip", "CartPole-v1/vecnormalize.pkl", "evaluations.npz", "0.monitor.csv"]
    assert files_of_model(found) == [str(run / name) for name in expected]

    (run / "evaluations.npz").unlink()
    (run / "evaluations.npz").mkdir()
    (run / "0.monitor.csv").unlink()
    os.mkfifo(run / "0.monitor.csv")
    assert files_of_model(found) == [str(run / name) for name in expected[:2]]


def named(count: int) -> list[str]:
    return [f"run/{index}" for index in range(count)]


@pytest.mark.parametrize(("count", "size"), [(0, 8), (1, 8), (8, 8), (9, 8), (100, 7), (5, 1)])
def test_every_model_is_in_one_batch(count: int, size: int) -> None:
    found = batches(named(count), size)
    assert sorted(model for batch in found.values() for model in batch) == sorted(named(count))
    assert all(batch and batch == sorted(batch) for batch in found.values())
    assert list(found) == sorted(found)


def test_a_new_model_changes_its_own_batch_only() -> None:
    for count in range(60, 100):
        before, after = batches(named(count), 8), batches(named(count + 1), 8)
        unchanged = [key for key, batch in before.items() if after.get(key) == batch]
        assert len(unchanged) >= len(before) - 1
    assert batches(reversed(named(100)), 8) == batches(named(100), 8)


@pytest.mark.parametrize(
    ("count", "fewest", "most"), [(8, 2, 8), (32, 3, 8), (100, 10, 25), (1000, 40, 100), (10_000, 313, 800)]
)
def test_batches_are_few_for_many_models_and_spread_few_models(count: int, fewest: int, most: int) -> None:
    assert fewest <= len(batches(named(count), usual_size(count))) <= most
