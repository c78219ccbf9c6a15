"""Equal digests mean equal bits, and a file is written whole or not at all."""

from __future__ import annotations

import json
import math
import os
import stat
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th

from reload_audit.records.digests import Digest, digest
from reload_audit.records.storage import atomic_path, plain, read_json, write_json, write_text
from support.builders import ROOT


def state_dict(bias: float = 0.5) -> dict[str, Any]:
    """Shaped like what a model and its optimizer hold."""
    return {
        "policy": OrderedDict(weight=th.arange(6, dtype=th.float32).reshape(2, 3), bias=th.tensor([bias])),
        "optimizer": {"state": {0: {"step": th.tensor(3.0)}}, "param_groups": [{"lr": 3e-4, "params": [0, 1]}]},
    }


# --- Digests -----------------------------------------------------------------------------------------------------


def test_equal_state_dicts_have_equal_digests() -> None:
    assert digest(state_dict()) == digest(state_dict())


def test_one_bit_deep_inside_a_state_dict_changes_the_digest() -> None:
    assert digest(state_dict(0.5)) != digest(state_dict(float(np.nextafter(np.float32(0.5), np.float32(1)))))


def test_the_order_of_a_dictionary_does_not_change_the_digest() -> None:
    assert digest({"a": 1, "b": {"c": 2, "d": 3}}) == digest({"b": {"d": 3, "c": 2}, "a": 1})


def test_the_order_of_a_list_changes_the_digest() -> None:
    assert digest([1, 2]) != digest([2, 1])


ZEROS = np.zeros((2, 3), dtype=np.float32)


@pytest.mark.parametrize(
    "other",
    [ZEROS.astype(np.float64), ZEROS.astype(np.int32), ZEROS.astype(">f4"), ZEROS.reshape(3, 2), ZEROS.ravel(), -ZEROS],
    ids=["double precision", "integers", "byte order", "transposed shape", "flat", "minus zero"],
)
def test_data_type_shape_and_sign_of_zero_change_the_digest(other: np.ndarray) -> None:
    assert digest(other) != digest(ZEROS)


def test_memory_layout_does_not_change_the_digest() -> None:
    array = np.arange(6.0).reshape(2, 3)
    assert digest(np.asfortranarray(array)) == digest(array)


@pytest.mark.parametrize("dtype", [th.float32, th.float64, th.int64, th.bool, th.uint8])
def test_a_tensor_has_the_digest_of_its_array(dtype: th.dtype) -> None:
    tensor = th.tensor([[0, 1, 2], [3, 0, 5]], dtype=dtype)
    assert digest(tensor) == digest(tensor.numpy())


def test_a_parameter_has_the_digest_of_its_array() -> None:
    assert digest(th.nn.Parameter(th.ones(2))) == digest(np.ones(2, dtype=np.float32))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, "1"),
        (1, 1.0),
        (1, True),
        (0.0, -0.0),
        (None, "None"),
        ([], {}),
        ([[1], 2], [[1, 2]]),
        ({"a": {}, "b": 1}, {"a": {"b": 1}}),
        ({1: "a"}, {"1": "a"}),
        ({"a": 1}, {"b": 1}),
    ],
)
def test_different_values_have_different_digests(one: Any, other: Any) -> None:
    assert digest(one) != digest(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [([1, 23], [12, 3]), ([1.5, 21], [1.52, 1]), ({"a": 1, "b": [2, 34]}, {"a": 1, "b": [23, 4]})],
)
def test_where_an_entry_ends_changes_the_digest(one: Any, other: Any) -> None:
    assert digest(one) != digest(other)


def test_bytes_added_in_pieces_have_the_digest_of_those_added_at_once() -> None:
    steps = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    in_pieces = Digest()
    for step in steps:
        in_pieces.add_bytes(step)
    assert in_pieces.hexdigest() == Digest().add_bytes(steps).hexdigest()


def observed(*observations: Any) -> str:
    running = Digest()
    for observation in observations:
        running.add_observation(observation)
    return running.hexdigest()


def test_the_order_of_a_dictionary_observation_does_not_change_the_digest() -> None:
    image, goal = np.ones(3), np.zeros(2)
    assert observed({"image": image, "goal": goal}) == observed({"goal": goal, "image": image})


def test_the_keys_of_a_dictionary_observation_change_the_digest() -> None:
    image, goal = np.ones(3), np.zeros(3)
    assert observed({"image": image, "goal": goal}) != observed({"image": goal, "goal": image})


def test_a_single_number_is_a_valid_observation() -> None:
    assert observed(3) == observed(np.int64(3)) != observed(4)


def test_every_step_changes_the_digest() -> None:
    assert observed(np.zeros(2), np.ones(2)) != observed(np.ones(2), np.zeros(2))


def test_the_nesting_of_a_dictionary_observation_changes_the_digest() -> None:
    assert observed({"a": {"b": ZEROS}}) != observed({"ab": ZEROS})


# --- Plain values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(1.5), 1.5),
        (np.int8(-3), -3),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array(3), 3),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([1.0, np.nan]), [1.0, "nan"]),
        ((1, (2, None)), [1, [2, None]]),
        ({1: {"a": np.float64(2.0)}}, {"1": {"a": 2.0}}),
        (np.ndarray, "numpy.ndarray"),
        (th.nn.ReLU, "torch.nn.modules.activation.ReLU"),
        (math.sqrt, "math.sqrt"),
        (th.float32, "torch.float32"),
        (b"x", "b'x'"),
        (Path("a"), "PosixPath('a')"),
    ],
    ids=repr,
)
def test_values_that_json_does_not_know_are_converted(value: Any, expected: Any) -> None:
    found = plain(value)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize("value", [None, True, 3, 1.5, "text", [1, [2]], {"a": [None]}])
def test_values_that_json_knows_are_left_as_they_are(value: Any) -> None:
    assert plain(value) == value


def test_extended_precision_becomes_a_number() -> None:
    assert plain(np.longdouble(1.5)) == 1.5


# --- Files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0.1, -0.0, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan])
def test_every_number_survives_the_file_bit_for_bit(tmp_path: Path, number: float) -> None:
    write_json(tmp_path / "record.json", {"reward": number})
    assert np.float64(read_json(tmp_path / "record.json")["reward"]).tobytes() == np.float64(number).tobytes()


def test_the_file_is_json_that_any_reader_knows(tmp_path: Path) -> None:
    write_json(tmp_path / "record.json", [math.nan, math.inf])

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    assert json.loads((tmp_path / "record.json").read_text(), parse_constant=refuse) == ["nan", "inf"]


def test_folders_that_are_missing_are_made(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b" / "note.txt", "ü")
    assert (tmp_path / "a" / "b" / "note.txt").read_bytes() == b"\xc3\xbc"


def write_and_fail(path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("half of the ne")
        raise OSError("disk full")


def test_writing_that_raises_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="disk full"):
        write_and_fail(tmp_path / "record.json")
    assert list(tmp_path.iterdir()) == []


def test_writing_that_raises_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text("old")
    with pytest.raises(OSError, match="disk full"):
        write_and_fail(path)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"record.json": "old"}


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text("old")
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        before = path.read_text()
    assert (before, path.read_text()) == ("old", "new")


def test_what_a_killed_process_left_unfinished_is_removed_by_a_later_one_but_not_what_is_being_written(
    tmp_path: Path,
) -> None:
    killed = "import os, sys; from reload_audit.records.storage import atomic_path\n"
    killed += "with atomic_path(sys.argv[1]): os._exit(9)"
    later = "import sys; from reload_audit.records.storage import write_text; write_text(sys.argv[1], 'new')"

    def run(code: str) -> set[str]:
        command = [sys.executable, "-c", code, str(tmp_path / "record.json")]
        subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT / "workflow/scripts")}, check=False)
        return {file.name for file in tmp_path.iterdir()}

    (left,) = run(killed)
    assert run(later) == {"record.json", left}, "another process may be writing it"
    os.utime(tmp_path / left, (0, 0))
    assert run(later) == {"record.json"}


def test_content_that_cannot_be_written_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_json(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\udc80")
    assert read_json(path) == "old"


def test_a_file_has_the_permissions_that_the_umask_says(tmp_path: Path) -> None:
    previous = os.umask(0o027)
    try:
        write_text(tmp_path / "note.txt", "")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "note.txt").stat().st_mode) == 0o640
