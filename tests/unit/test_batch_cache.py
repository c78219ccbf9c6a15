"""A batch that runs again audits only those of its models that changed, and nothing that was finished is lost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reload_audit.jobs.batch_cache import BatchCache
from reload_audit.processes.outcome import Failure, Usage
from reload_audit.records.conditions import CANONICAL, Condition
from reload_audit.records.manifest import ExternalFacts, ExternalManifest
from reload_audit.records.model_record import Measurement, ModelRecord
from reload_audit.records.specs import Claim, ExternalSpec
from support.builders import external_spec

POLICY = {"looks": [20, 40]}


@pytest.fixture
def three_models(tmp_path: Path) -> list[ExternalSpec]:
    """Three models with a file each."""
    (tmp_path / "zips").mkdir()
    specs = [external_spec(name, str(tmp_path / f"zips/{name}.zip")) for name in "abc"]
    for spec in specs:
        Path(spec.path).write_text(spec.model)
    return specs


def record(model: ExternalSpec, failure: Failure | None = None) -> ModelRecord:
    usage = Usage("host", 1, 0, 0.0, 0.0, 0.0, 0.0)
    reload = Measurement(Condition(CANONICAL, 2), failure, usage)
    return ModelRecord(
        ExternalManifest(model.model, model, None, ExternalFacts()), "log", conditions={CANONICAL: reload}
    )


def audited(folder: Path, models: list[ExternalSpec], batch: str = "batch", decides: Any = POLICY) -> list[str]:
    """Audit a batch; the names of the models for which there was something to do."""
    cache = BatchCache(folder, batch, decides)
    found = cache.find(models)
    left = [model for model in models if model.model not in found]
    for model in left:
        cache.add(record(model))
    return [model.model for model in left]


def test_a_second_run_audits_no_model_again(three_models: list[ExternalSpec], tmp_path: Path) -> None:
    assert audited(tmp_path, three_models) == ["a", "b", "c"]
    assert audited(tmp_path, three_models) == []
    assert BatchCache(tmp_path, "batch", POLICY).find(three_models)["b"] == record(three_models[1])


def test_a_new_or_changed_model_alone_is_audited_again(three_models: list[ExternalSpec], tmp_path: Path) -> None:
    audited(tmp_path, three_models[:2])
    assert audited(tmp_path, three_models) == ["c"]
    Path(three_models[0].path).write_text("trained once more")
    assert audited(tmp_path, three_models) == ["a"]
    claimed = replace(three_models[2], claim=Claim("explicit", 3.0, None, None, "table"))
    assert audited(tmp_path, [*three_models[:2], claimed]) == ["c"]


def test_a_change_of_anything_else_that_decides_audits_all_models_again(
    three_models: list[ExternalSpec], tmp_path: Path
) -> None:
    audited(tmp_path, three_models)
    assert audited(tmp_path, three_models, decides={"looks": [20]}) == ["a", "b", "c"]


def test_a_killed_job_continues_where_it_was(three_models: list[ExternalSpec], tmp_path: Path) -> None:
    audited(tmp_path, three_models[:2])
    content = (tmp_path / "batch.jsonl").read_bytes()
    (tmp_path / "batch.jsonl").write_bytes(content[:-20])  # in the middle of its last line
    assert audited(tmp_path, three_models) == ["b", "c"]


def test_split_or_merged_batches_keep_their_finished_records(three_models: list[ExternalSpec], tmp_path: Path) -> None:
    audited(tmp_path, three_models)
    assert audited(tmp_path, three_models[:1], "batch-0") == []
    assert audited(tmp_path, three_models[1:], "batch-1") == []
    (tmp_path / "batch.jsonl").unlink()
    assert audited(tmp_path, three_models, "batch") == []


def test_a_model_that_failed_is_audited_again(three_models: list[ExternalSpec], tmp_path: Path) -> None:
    cache = BatchCache(tmp_path, "batch", POLICY)
    cache.find(three_models)
    cache.add(record(three_models[0], failure=Failure("memory", "too much", "")))
    cache.add(replace(record(three_models[1]), conditions={}))
    assert audited(tmp_path, three_models) == ["a", "b", "c"]


def test_records_of_removed_models_are_dropped(three_models: list[ExternalSpec], tmp_path: Path) -> None:
    audited(tmp_path, three_models)
    audited(tmp_path, three_models[:1])
    assert audited(tmp_path, three_models) == ["b", "c"]


@pytest.mark.parametrize("odd", [None, 1, "text", [], {}, {"a": 1}, [1, 2, 3]])
def test_a_kept_record_that_was_edited_is_made_again(
    three_models: list[ExternalSpec], tmp_path: Path, odd: Any
) -> None:
    assert audited(tmp_path, three_models) == ["a", "b", "c"]
    lines = (tmp_path / "batch.jsonl").read_text().splitlines()
    key, seal, content = json.loads(lines[0])
    for edited in ([key, seal, odd], odd, [key, odd, content], [key, seal, {**content, "random_mean": 5.0}]):
        (tmp_path / "batch.jsonl").write_text("\n".join([json.dumps(edited), *lines[1:]]) + "\n")
        assert audited(tmp_path, three_models) == ["a"], edited
    assert audited(tmp_path, three_models) == []
