"""A batch that runs again audits only those of its models that changed, and nothing that was finished is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reload_audit.jobs.batch_cache import Kept

POLICY = {"looks": [20, 40]}


@pytest.fixture
def three_models(tmp_path: Path) -> list[dict[str, Any]]:
    """Three models with a file each."""
    (tmp_path / "zips").mkdir()
    nothing = dict.fromkeys(("statistics", "evaluations", "model_card", "results", "recording"))
    found = [{**nothing, "model": name, "path": str(tmp_path / f"zips/{name}.zip"), "monitors": []} for name in "abc"]
    for model in found:
        Path(str(model["path"])).write_text(str(model["model"]))
    return found


def record(model: dict[str, Any], failure: Any = None) -> dict[str, Any]:
    return {"manifest": {"model": model["model"]}, "conditions": {"reload": {"failure": failure}}}


def audited(folder: Path, models: list[dict[str, Any]], batch: str = "batch", decides: Any = POLICY) -> list[str]:
    """Audit a batch; the names of the models for which there was something to do."""
    kept = Kept(folder, batch, decides)
    found = kept.find(models)
    left = [model for model in models if model["model"] not in found]
    for model in left:
        kept.add(model, record(model))
    return [model["model"] for model in left]


def test_a_second_run_audits_no_model_again(three_models: list[dict[str, Any]], tmp_path: Path) -> None:
    assert audited(tmp_path, three_models) == ["a", "b", "c"]
    assert audited(tmp_path, three_models) == []
    assert Kept(tmp_path, "batch", POLICY).find(three_models)["b"] == record(three_models[1])


def test_a_new_or_changed_model_alone_is_audited_again(three_models: list[dict[str, Any]], tmp_path: Path) -> None:
    audited(tmp_path, three_models[:2])
    assert audited(tmp_path, three_models) == ["c"]
    Path(three_models[0]["path"]).write_text("trained once more")
    assert audited(tmp_path, three_models) == ["a"]
    assert audited(tmp_path, [*three_models[:2], {**three_models[2], "claim_mean": 3.0}]) == ["c"]


def test_a_change_of_anything_else_that_decides_audits_all_models_again(
    three_models: list[dict[str, Any]], tmp_path: Path
) -> None:
    audited(tmp_path, three_models)
    assert audited(tmp_path, three_models, decides={"looks": [20]}) == ["a", "b", "c"]


def test_a_killed_job_continues_where_it_was(three_models: list[dict[str, Any]], tmp_path: Path) -> None:
    audited(tmp_path, three_models[:2])
    content = (tmp_path / "batch.jsonl").read_bytes()
    (tmp_path / "batch.jsonl").write_bytes(content[:-20])  # in the middle of its last line
    assert audited(tmp_path, three_models) == ["b", "c"]


def test_split_or_merged_batches_keep_their_finished_records(
    three_models: list[dict[str, Any]], tmp_path: Path
) -> None:
    audited(tmp_path, three_models)
    assert audited(tmp_path, three_models[:1], "batch-0") == []
    assert audited(tmp_path, three_models[1:], "batch-1") == []
    (tmp_path / "batch.jsonl").unlink()
    assert audited(tmp_path, three_models, "batch") == []


def test_a_model_that_failed_is_audited_again(three_models: list[dict[str, Any]], tmp_path: Path) -> None:
    kept = Kept(tmp_path, "batch", POLICY)
    kept.find(three_models)
    kept.add(three_models[0], record(three_models[0], failure={"kind": "memory", "message": "too much", "details": ""}))
    kept.add(three_models[1], {**record(three_models[1]), "conditions": {}})
    assert audited(tmp_path, three_models) == ["a", "b", "c"]


def test_records_of_removed_models_are_dropped(three_models: list[dict[str, Any]], tmp_path: Path) -> None:
    audited(tmp_path, three_models)
    audited(tmp_path, three_models[:1])
    assert audited(tmp_path, three_models) == ["b", "c"]
