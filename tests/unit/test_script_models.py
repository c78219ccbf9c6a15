"""A script's model is compared with the one of its training that was meant, and with its own statistics."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from reload_audit.forensics.model_files import FoundStatistics
from reload_audit.observing.series import best_of_its_training, later_of_its_series
from reload_audit.observing.subject import own_statistics
from reload_audit.records.observation import (
    Line,
)
from reload_audit.records.specs import ScriptSpec


def write_zip(path: Path, **said: object) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data", json.dumps(said))


def test_a_checkpoint_that_is_not_the_last_of_its_series_is_remarked_on(tmp_path: Path) -> None:
    steps_of = {"cp_8000_steps": 8_000, "cp_16000_steps": 16_000, "seed_9": 16_000, "seed_8": 16_000}
    for name, steps in {**steps_of, "seed1_1000": 1_000, "seed2_2000": 2_000}.items():
        write_zip(tmp_path / f"{name}.zip", num_timesteps=steps)
    script = enjoying(tmp_path, 'model = PPO.load(sorted(glob("cp_*.zip"))[-1])  # 8000', "--seed", "16")
    line = Line("enjoy.py", 1, "model = PPO.load(latest)")
    (tmp_path / "train.py").write_text('PPO("MlpPolicy", env).learn(8000).save("cp_8000_steps")')
    ((later, said),) = later_of_its_series(script, line, tmp_path / "cp_8000_steps.zip").items()
    assert (later.name, said[-32:]) == ("cp_16000_steps.zip", ".zip lies beside it, with 16,000")
    for name in ("cp_16000_steps", "seed_8", "seed1_1000"):
        assert later_of_its_series(script, line, tmp_path / f"{name}.zip") == {}


def test_the_last_checkpoint_is_looked_for_though_the_script_is_gone(tmp_path: Path) -> None:
    for steps in (8_000, 16_000):
        write_zip(tmp_path / f"cp_{steps}_steps.zip", num_timesteps=steps)
    script = enjoying(tmp_path, "")
    Path(script.script).unlink()
    (later,) = later_of_its_series(script, Line("enjoy.py", 1, "load(x)"), tmp_path / "cp_8000_steps.zip")
    assert later.stem == "cp_16000_steps"


@pytest.mark.parametrize(
    ("code", "text", "args", "beside"),
    [
        ('model = PPO.load("cp_8000_steps")', "", (), ""),
        ("PPO.load(MODEL)", 'MODEL = "cp_8000_steps.zip"', (), ""),
        ("PPO.load(path)", 'path = f"{folder}/cp_8000_steps"', (), ""),
        ("PPO.load(path)", "", ("--model", "logs/cp_8000_steps.zip"), ""),
        ("PPO.load(path)", "", ("--load-checkpoint=8000",), ""),
        ("PPO.load(config.model)", "", (), "seed: 1\nmodel: models/cp_8000_steps\n"),
    ],
)
def test_a_checkpoint_that_a_script_names_is_meant(
    tmp_path: Path, code: str, text: str, args: tuple[str, ...], beside: str
) -> None:
    for steps in (8_000, 16_000):
        write_zip(tmp_path / f"cp_{steps}_steps.zip", num_timesteps=steps)
    (tmp_path / "config.yaml").write_text(beside)
    script, line = enjoying(tmp_path, text, *args), Line("enjoy.py", 1, code)
    assert later_of_its_series(script, line, tmp_path / "cp_8000_steps.zip") == {}


def enjoying(folder: Path, text: str, *args: str) -> ScriptSpec:
    """A script of one line that loads a model."""
    script = folder / "enjoy.py"
    script.write_text(text)
    return ScriptSpec("enjoy", str(script), args, str(folder), {}, "", 60.0, 1024)


def test_the_best_model_counts_beside_another_one_only_where_both_are_of_one_training(tmp_path: Path) -> None:
    (tmp_path / "best").mkdir()
    write_zip(tmp_path / "final.zip", start_time=1795900931869870716)
    write_zip(tmp_path / "best_model.zip", start_time=1795900931869870717)
    write_zip(tmp_path / "best/best_model.zip", start_time=1795900931869870716)
    script, last, named = (
        enjoying(tmp_path, ""),
        Line("enjoy.py", 1, "load(path)"),
        Line("enjoy.py", 1, "load('final')"),
    )
    ((best, said),) = best_of_its_training(script, last, tmp_path / "final.zip").items()
    assert best == tmp_path / "best/best_model.zip"
    assert said.endswith("best/best_model.zip lies beside it, which did best in its evaluations")
    ((_, said),) = best_of_its_training(script, named, tmp_path / "final.zip").items()
    assert said.endswith("; final.zip is named, and may be meant")
    for other in (best, tmp_path / "best_model.zip"):
        assert best_of_its_training(script, last, other) == {}


def test_of_statistics_that_no_bit_proves_those_of_another_name_are_not_taken_for_a_model_s(tmp_path: Path) -> None:
    names = ("a.pkl", "b.pkl", "c.pkl", "robot_vecnormalize.pkl", "norm_robot.pkl", "robot2.pkl", "my_robots.pkl")
    one, copy, other, named, rival, *longer = (tmp_path / name for name in names)
    for path in (one, copy, other, named, rival, *longer):
        path.write_text(path.name)
    copy.write_bytes(one.read_bytes())

    def chosen(*found: tuple[Path, bool]) -> list[str]:
        statistics = [FoundStatistics(str(path), proved) for path, proved in found]
        return [Path(path).name for path in own_statistics(statistics, tmp_path / "robot.zip")][:1]

    assert chosen((one, False)) == chosen((one, False), (copy, False)) == ["a.pkl"]
    assert chosen((one, False), (other, False)) == chosen() == []
    assert chosen((one, False), (named, False)) == ["robot_vecnormalize.pkl"]
    assert chosen(*((path, False) for path in longer), (named, False)) == ["robot_vecnormalize.pkl"]
    assert chosen((named, False), (rival, False)) == chosen((one, False), (longer[0], False)) == []
    assert chosen((one, True), (named, False)) == ["a.pkl"]
