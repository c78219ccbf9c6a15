"""Results whose content has changed since they were written are named, and no others."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from reload_audit.planning.ledger import Ledger, bring_back


@pytest.fixture
def record_file(tmp_path: Path) -> Path:
    path = tmp_path / "record.json"
    path.write_text('{"reward": 500.0}')
    return path


@pytest.fixture
def output_folder(tmp_path: Path) -> Path:
    path = tmp_path / "trained"
    (path / "inside").mkdir(parents=True)
    (path / "model.zip").write_bytes(b"parameters")
    (path / "inside/more.json").write_text("{}")
    (path / ".snakemake_timestamp").touch()
    return path


@pytest.fixture
def ledger_file(tmp_path: Path, record_file: Path, output_folder: Path) -> Path:
    """The ledger that a run which wrote both outputs left at its end."""
    path = tmp_path / "ledger.json"
    Ledger(path).write([str(record_file), str(output_folder)])
    return path


def later(path: Path) -> None:
    moment = time.time() + 60
    os.utime(path, (moment, moment))


def changed(ledger: Path, *outputs: Path) -> dict[str, str]:
    """What the next run says has changed, by the name of the output."""
    found = Ledger(ledger).changed([str(output) for output in outputs])
    return {Path(output).name: difference for output, difference in found.items()}


def test_unchanged_files_are_not_reported(ledger_file, record_file, output_folder):
    assert changed(ledger_file, record_file, output_folder) == {}


def test_a_cut_file_is_named_with_both_sizes(ledger_file, record_file):
    record_file.write_text('{"rew')
    assert changed(ledger_file, record_file) == {"record.json": "5 bytes instead of 17"}


def test_an_edit_that_leaves_the_size_is_reported(ledger_file, record_file):
    record_file.write_text('{"reward": 900.0}')
    later(record_file)
    assert changed(ledger_file, record_file) == {"record.json": "other content than was written"}


def test_a_change_is_reported_until_the_file_is_written_again(ledger_file, record_file):
    record_file.write_text('{"rew')
    assert changed(ledger_file, record_file) == changed(ledger_file, record_file) != {}
    Ledger(ledger_file).write([str(record_file)])
    assert changed(ledger_file, record_file) == {}


def test_a_new_time_stamp_alone_is_no_change(ledger_file, record_file, output_folder):
    for path in (record_file, *output_folder.rglob("*")):
        later(path)
    assert changed(ledger_file, record_file, output_folder) == {}


def test_a_file_with_a_new_time_stamp_is_read_only_once(ledger_file, record_file, monkeypatch):
    later(record_file)
    assert changed(ledger_file, record_file) == {}
    monkeypatch.setattr("hashlib.file_digest", None)
    assert changed(ledger_file, record_file) == {}


@pytest.mark.parametrize("name", ["model.zip", "inside/more.json"])
def test_a_change_of_any_file_in_a_folder_is_reported(name, ledger_file, output_folder):
    (output_folder / name).write_text("other")
    assert changed(ledger_file, output_folder).keys() == {"trained"}


def test_a_file_added_to_or_removed_from_a_folder_is_reported(ledger_file, output_folder):
    (output_folder / "new.json").write_text("{}")
    assert changed(ledger_file, output_folder).keys() == {"trained"}
    (output_folder / "new.json").unlink()
    (output_folder / "model.zip").unlink()
    assert changed(ledger_file, output_folder).keys() == {"trained"}


def test_snakemake_s_own_files_in_a_folder_are_ignored(ledger_file, output_folder):
    (output_folder / ".snakemake_timestamp").write_text("touched")
    assert changed(ledger_file, output_folder) == {}


def test_missing_files_are_left_to_snakemake(ledger_file, record_file):
    record_file.unlink()
    assert changed(ledger_file, record_file) == {}


def test_nothing_is_reported_while_a_run_goes_on_or_after_it_was_killed(ledger_file, record_file):
    Ledger(ledger_file).close()
    record_file.write_text("{}")
    assert changed(ledger_file, record_file) == {}


def test_files_that_another_run_did_not_touch_stay_recorded(ledger_file, record_file, output_folder):
    Ledger(ledger_file).write([str(output_folder)])
    record_file.write_text("{}")
    assert changed(ledger_file, record_file).keys() == {"record.json"}


@pytest.mark.parametrize("content", ["", "[1, 2", "\x00"])
def test_a_damaged_ledger_reports_nothing(content, ledger_file, record_file):
    ledger_file.write_text(content)
    record_file.write_text("{}")
    assert changed(ledger_file, record_file) == {}


@pytest.mark.parametrize(
    "content", ["[]", "1", "null", '{"record.json": 1}', '{"record.json": {"stamp": 1, "size": 2, "digest": "a"}}', "["]
)
def test_a_ledger_that_is_anything_else_is_named(content, ledger_file, record_file):
    ledger_file.write_text(content)
    damage = Ledger(ledger_file).inspect([str(record_file)], time.time(), dry_run=True)
    assert str(damage) == (
        f"{ledger_file} is no longer what the audit wrote there: no change of its results can be seen."
    )


def test_a_ledger_that_is_as_it_was_written_is_not_named(ledger_file, record_file):
    assert str(Ledger(ledger_file).inspect([str(record_file)], time.time(), dry_run=True)) == ""


def test_a_ledger_that_cannot_be_written_reports_nothing_and_does_not_fail(tmp_path, record_file):
    ledger = tmp_path / "a file/ledger.json"
    (tmp_path / "a file").touch()
    Ledger(ledger).write([str(record_file)])
    assert changed(ledger, record_file) == {}


def test_time_stamps_in_the_future_are_set_to_now_in_their_order(tmp_path):
    now = time.time()
    for name, moment in {"last": now + 9000, "first": now + 10, "past": now - 10}.items():
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (moment, moment))
    assert bring_back([str(tmp_path / name) for name in ("last", "first", "past", "gone")], now) == 2
    stamps = {path.name: path.stat().st_mtime for path in tmp_path.iterdir()}
    assert stamps["past"] == pytest.approx(now - 10, abs=1e-3)
    assert stamps["past"] < stamps["first"] < stamps["last"] <= now


def test_a_folder_has_the_stamp_of_the_file_that_snakemake_looks_at(output_folder):
    later(output_folder / ".snakemake_timestamp")
    now = time.time()
    assert bring_back([str(output_folder)], now) == 1
    assert (output_folder / ".snakemake_timestamp").stat().st_mtime <= now
