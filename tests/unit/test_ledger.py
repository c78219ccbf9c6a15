"""What was written is known: whatever is other content later is named, and nothing else."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from reload_audit.planning.ledger import Ledger, bring_back


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "record.json"
    path.write_text('{"reward": 500.0}')
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "trained"
    (path / "inside").mkdir(parents=True)
    (path / "model.zip").write_bytes(b"parameters")
    (path / "inside/more.json").write_text("{}")
    (path / ".snakemake_timestamp").touch()
    return path


@pytest.fixture
def ledger(tmp_path: Path, record: Path, folder: Path) -> Path:
    """Written when a run with both outputs ended."""
    path = tmp_path / "ledger.json"
    Ledger(path).write([str(record), str(folder)])
    return path


def later(path: Path) -> None:
    moment = time.time() + 60
    os.utime(path, (moment, moment))


def changed(ledger: Path, *outputs: Path) -> dict[str, str]:
    """By name, as the next run sees it."""
    found = Ledger(ledger).changed([str(output) for output in outputs])
    return {Path(output).name: difference for output, difference in found.items()}


def test_nothing_changed(ledger, record, folder):
    assert changed(ledger, record, folder) == {}


def test_a_cut_file_is_named_with_both_sizes(ledger, record):
    record.write_text('{"rew')
    assert changed(ledger, record) == {"record.json": "5 bytes instead of 17"}


def test_an_edit_that_leaves_the_size_is_noticed(ledger, record):
    record.write_text('{"reward": 900.0}')
    later(record)
    assert changed(ledger, record) == {"record.json": "other content than was written"}


def test_it_is_noticed_again_until_it_is_written_again(ledger, record):
    record.write_text('{"rew')
    assert changed(ledger, record) == changed(ledger, record) != {}
    Ledger(ledger).write([str(record)])
    assert changed(ledger, record) == {}


def test_another_time_stamp_is_no_change(ledger, record, folder):
    for path in (record, *folder.rglob("*")):
        later(path)
    assert changed(ledger, record, folder) == {}


def test_what_has_another_time_stamp_is_read_only_once(ledger, record, monkeypatch):
    later(record)
    assert changed(ledger, record) == {}
    monkeypatch.setattr("hashlib.file_digest", None)
    assert changed(ledger, record) == {}


@pytest.mark.parametrize("name", ["model.zip", "inside/more.json"])
def test_every_file_of_a_folder_counts(name, ledger, folder):
    (folder / name).write_text("other")
    assert changed(ledger, folder).keys() == {"trained"}


def test_a_file_that_came_or_went_counts(ledger, folder):
    (folder / "new.json").write_text("{}")
    assert changed(ledger, folder).keys() == {"trained"}
    (folder / "new.json").unlink()
    (folder / "model.zip").unlink()
    assert changed(ledger, folder).keys() == {"trained"}


def test_snakemakes_own_files_do_not_count(ledger, folder):
    (folder / ".snakemake_timestamp").write_text("touched")
    assert changed(ledger, folder) == {}


def test_what_is_gone_is_left_to_snakemake(ledger, record):
    record.unlink()
    assert changed(ledger, record) == {}


def test_nothing_is_known_while_a_run_goes_on_or_after_it_was_killed(ledger, record):
    Ledger(ledger).close()
    record.write_text("{}")
    assert changed(ledger, record) == {}


def test_what_another_run_did_not_touch_stays_known(ledger, record, folder):
    Ledger(ledger).write([str(folder)])
    record.write_text("{}")
    assert changed(ledger, record).keys() == {"record.json"}


@pytest.mark.parametrize("content", ["", "[1, 2", "\x00"])
def test_a_ledger_that_is_damaged_itself_knows_nothing(content, ledger, record):
    ledger.write_text(content)
    record.write_text("{}")
    assert changed(ledger, record) == {}


def test_where_it_cannot_be_written_nothing_is_known_and_nothing_fails(tmp_path, record):
    ledger = tmp_path / "a file/ledger.json"
    (tmp_path / "a file").touch()
    Ledger(ledger).write([str(record)])
    assert changed(ledger, record) == {}


def test_stamps_of_the_future_come_back_in_their_order(tmp_path):
    now = time.time()
    for name, moment in {"last": now + 9000, "first": now + 10, "past": now - 10}.items():
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (moment, moment))
    assert bring_back([str(tmp_path / name) for name in ("last", "first", "past", "gone")], now) == 2
    stamps = {path.name: path.stat().st_mtime for path in tmp_path.iterdir()}
    assert stamps["past"] == pytest.approx(now - 10, abs=1e-3)
    assert stamps["past"] < stamps["first"] < stamps["last"] <= now


def test_a_folder_has_the_stamp_of_the_file_that_snakemake_looks_at(folder):
    later(folder / ".snakemake_timestamp")
    now = time.time()
    assert bring_back([str(folder)], now) == 1
    assert (folder / ".snakemake_timestamp").stat().st_mtime <= now
