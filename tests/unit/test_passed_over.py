"""A model is known by what it holds, and what is none is named by what it is."""

from __future__ import annotations

import base64
import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch as th

from reload_audit.planning.configuration import ConfigError
from support.published_layouts import by_name, found_in, other_zip, sb3_zip, text, zoo_run

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 143210\n"


def saved_as(path: Path, settings: dict[str, Any] | None = None) -> Path:
    """A model's zip under any name, with a member that only models have."""
    sb3_zip(path, settings)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("policy.pth", b"")
    return path


def weights(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    th.save(content, path)


def passed_over(folder: Path) -> str:
    sb3_zip(folder / "CartPole-v1.zip")
    return "\n".join(found_in(runs=[str(folder)]).passed_over)


@pytest.mark.parametrize(
    "name", ["PPO_lr0.003", "agent.model", "agent.sb3", "agent", "agent.pth", "agent.pkl", "x.ZIP"]
)
def test_a_model_is_found_whatever_its_name_ends_in(tmp_path: Path, name: str) -> None:
    saved_as(tmp_path / name)
    found = by_name(runs=[{"folder": str(tmp_path), "env": "CartPole-v1"}])
    assert {entry["path"] for entry in found.values()} == {str(tmp_path / name)}
    assert list(found) == [name]


def test_a_best_model_of_another_ending_is_still_the_best(tmp_path: Path) -> None:
    saved_as(tmp_path / "best_model.sb3")
    assert by_name(runs=[{"folder": str(tmp_path), "env": "CartPole-v1"}])["best_model.sb3"]["role"] == "best"


def test_the_content_of_a_hugging_face_cache_is_not_found_twice(tmp_path: Path) -> None:
    cache = tmp_path / "models--org--ppo-CartPole-v1"
    blob = saved_as(cache / "blobs/0a1b")
    (cache / "snapshots/abc").mkdir(parents=True)
    (cache / "snapshots/abc/model.zip").symlink_to(blob)
    assert list(by_name(runs=[{"folder": str(tmp_path), "env": "CartPole-v1"}])) == ["org/ppo-CartPole-v1/model"]


def test_zips_that_hold_no_model_are_named(tmp_path: Path) -> None:
    other_zip(tmp_path / "holiday.zip")
    assert passed_over(tmp_path) == f"1 of: a zip that holds no model ({tmp_path}/holiday.zip)"


def test_a_pointer_of_git_lfs_is_said_to_be_one(tmp_path: Path) -> None:
    text(tmp_path / "best_model.zip", POINTER)
    text(tmp_path / "agent.model", POINTER)
    assert "2 of: a pointer of Git LFS (`git lfs pull`" in passed_over(tmp_path)
    (tmp_path / "CartPole-v1.zip").unlink()
    with pytest.raises(ConfigError, match="passed over: 2 of: a pointer of Git LFS"):
        found_in(runs=[str(tmp_path)])


def test_the_run_of_rl_zoo_that_left_no_model_is_named(tmp_path: Path) -> None:
    run = zoo_run(tmp_path / "ppo/CartPole-v1_2")
    (run / "CartPole-v1.zip").unlink()
    zoo_run(tmp_path / "ppo/CartPole-v1_3")
    assert passed_over(tmp_path) == f"1 of: the folder of a run, without a model ({run}/CartPole-v1)"


def pickled_class(module: str, name: str) -> dict[str, str]:
    """How SB3 writes a class into a model's settings."""
    content = b"\x80\x04\x8c" + bytes([len(module)]) + module.encode() + b"\x94\x8c" + bytes([len(name)])
    return {":serialized:": base64.b64encode(content + name.encode() + b"\x94\x93\x94.").decode()}


@pytest.mark.parametrize(
    ("settings", "library"),
    [
        ({"policy": pickled_class("stable_baselines.common.policies", "MlpPolicy")}, "stable-baselines 2"),
        ({"policy_class": pickled_class("sbx.ppo.policies", "PPOPolicy")}, "SBX"),
    ],
)
def test_a_model_of_another_library_is_called_by_its_name(
    tmp_path: Path, settings: dict[str, Any], library: str
) -> None:
    run = zoo_run(tmp_path / "ppo/CartPole-v1_1")
    for path in (tmp_path / "old.zip", run / "best_model.zip"):
        saved_as(path, settings)
    assert f"2 of: a model of {library}" in passed_over(tmp_path)
    table = text(tmp_path / "models.csv", f"name,algo,env,model\nold,PPO,CartPole-v1,{tmp_path}/old.zip\n")
    (row,) = found_in(models=str(table)).models
    assert library in (row.problem or "")
    assert "trust" not in (row.problem or "")


def test_weights_without_a_model_are_called_what_they_are(tmp_path: Path) -> None:
    tensor = th.zeros(2)
    weights(tmp_path / "policy.pth", {"state_dict": {"a": tensor}, "data": {"observation_space": 1}})
    weights(tmp_path / "ppo.cleanrl_model", {"actor_mean.0.weight": tensor, "critic.0.weight": tensor})
    weights(tmp_path / "best.pth", {"actor.preprocess.model.model.0.weight": tensor})
    weights(tmp_path / "net.pt", {"layer.weight": tensor})
    text(tmp_path / "agent.onnx", "\x08\x07")
    text(tmp_path / "rllib/rllib_checkpoint.json", json.dumps({"type": "Algorithm"}))
    (tmp_path / "old.pkl").write_bytes(b"\x80\x03cstable_baselines.deepq.policies\nMlpPolicy\nq\x00.")
    said = passed_over(tmp_path)
    for what in (
        f"policy.save() wrote, without its model ({tmp_path}/policy.pth)",
        f"as CleanRL names them ({tmp_path}/ppo.cleanrl_model)",
        f"as Tianshou names them ({tmp_path}/best.pth)",
        f"weights of PyTorch ({tmp_path}/net.pt)",
        f"a graph in ONNX ({tmp_path}/agent.onnx)",
        f"a checkpoint of RLlib ({tmp_path}/rllib)",
        f"a model of stable-baselines 2, of TensorFlow ({tmp_path}/old.pkl)",
    ):
        assert what in said


def test_data_that_only_looks_similar_is_passed_over_in_silence(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "book", "w") as archive:
        archive.writestr("data", "not a model")
    (tmp_path / "notes").write_text("PPO")
    (tmp_path / "replay.pkl").write_bytes(pickle.dumps({"a": 1}))
    buffer = io.BytesIO()
    th.save({"a": th.zeros(1)}, buffer, _use_new_zipfile_serialization=False)
    (tmp_path / "cache").write_bytes(buffer.getvalue())
    assert passed_over(tmp_path) == ""
