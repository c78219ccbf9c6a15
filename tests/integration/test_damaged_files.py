"""Whatever is wrong with a file, reading it ends soon, and with a reason."""

from __future__ import annotations

import io
import os
import pickle
import socket
import struct
import tracemalloc
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th

from reload_audit.models import load_untrusted
from reload_audit.models.load_untrusted import load, plain_load_error
from reload_audit.processes.isolation import call
from reload_audit.reading.model_zip import read_model
from reload_audit.reading.pickles import parse
from reload_audit.reading.refusal import Unreadable
from reload_audit.reading.statistics import read_statistics
from support.hostile_pickles import global_of
from support.tiny_models import members_of, read_as_model, refused, with_member, with_pickled, with_settings, zip_of

DEEP = 10**5
NEEDED = ("policy_class", "policy_kwargs", "observation_space", "action_space")


def a_directory(path: Path) -> None:
    path.mkdir()


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(os.path.relpath(path))


def a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def a_link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def an_empty_file(path: Path) -> None:
    path.touch()


@pytest.mark.parametrize(
    "make", [a_directory, a_pipe, a_socket, a_device, a_dangling_link, a_link_to_itself, an_empty_file]
)
def test_anything_but_a_regular_file_is_refused(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "file")
    for read in (read_model, read_statistics):
        with pytest.raises(Unreadable):
            read(tmp_path / "file")


@pytest.mark.parametrize("path", ["", "\0", "a\0b", "x" * 5000, "\ud800"])
def test_an_impossible_path_is_refused(path: str) -> None:
    for read in (read_model, read_statistics):
        with pytest.raises(Unreadable) as refusal:
            read(path)
        str(refusal.value).encode()


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "file", "wb") as file:
        file.truncate(2**40)
    for read in (read_model, read_statistics):
        with pytest.raises(Unreadable, match="at most"):
            read(tmp_path / "file")


def compressed(members: dict[str, bytes], method: int) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return content.getvalue()


def with_declared_size(content: bytes, name: str, size: int) -> bytes:
    """The same zip, whose table of contents lies about how much a member unpacks to."""
    changed = bytearray(content)
    entry = content.rindex(name.encode(), 0, content.rindex(b"PK\x05\x06")) - 46
    assert changed[entry : entry + 4] == b"PK\x01\x02"
    changed[entry + 24 : entry + 28] = struct.pack("<I", size)
    return bytes(changed)


def test_a_zip_bomb_is_not_unpacked(model_bytes: bytes, tmp_path: Path) -> None:
    bomb = compressed(members_of(model_bytes) | {"policy.pth": bytes(2**24)}, zipfile.ZIP_DEFLATED)
    (tmp_path / "model.zip").write_bytes(bomb)
    with pytest.raises(Unreadable, match="unpacks to"):
        read_model(tmp_path / "model.zip", max_bytes=2**23)


@pytest.mark.parametrize("size", [1, 100, 2**31, 2**32 - 2])
def test_a_zip_bomb_that_lies_about_its_size_is_not_unpacked(size: int, model_bytes: bytes, tmp_path: Path) -> None:
    bomb = compressed({"data": members_of(model_bytes)["data"], "policy.pth": bytes(2**26)}, zipfile.ZIP_DEFLATED)
    (tmp_path / "model.zip").write_bytes(with_declared_size(bomb, "policy.pth", size))
    tracemalloc.start()
    with pytest.raises(Unreadable):
        read_model(tmp_path / "model.zip", max_bytes=2**25)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2**23


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_that_cannot_be_unpacked_in_pieces_is_refused(
    method: int, model_bytes: bytes, tmp_path: Path
) -> None:
    assert "unusual compression" in refused(compressed(members_of(model_bytes), method), tmp_path)


def test_a_model_that_was_compressed_again_loads(model_bytes: bytes, tmp_path: Path) -> None:
    assert read_as_model(compressed(members_of(model_bytes), zipfile.ZIP_DEFLATED), tmp_path) == "model"


def test_a_zip_bomb_inside_parameters_is_not_unpacked(model_bytes: bytes, tmp_path: Path) -> None:
    tensors = compressed(members_of(members_of(model_bytes)["policy.pth"]), zipfile.ZIP_DEFLATED)
    assert "uncompressed" in refused(with_member(model_bytes, "policy.pth", tensors), tmp_path)


def test_members_that_overlap_do_not_multiply(model_bytes: bytes, tmp_path: Path) -> None:
    """Many entries of the table of contents that name one large member."""
    content = zip_of({"data": members_of(model_bytes)["data"], "0000.pth": bytes(2**20)})
    table, end = content.rindex(b"PK\x01\x02"), content.rindex(b"PK\x05\x06")
    entries = b"".join(content[table:end].replace(b"0000", b"%04d" % number) for number in range(500))
    footer = bytearray(content[end:])
    start = struct.unpack("<I", footer[16:20])[0]
    footer[12:16] = struct.pack("<I", table - start + len(entries))
    (tmp_path / "model.zip").write_bytes(content[:table] + entries + footer)
    with pytest.raises(Unreadable):
        read_model(tmp_path / "model.zip", max_bytes=2**26)


def test_a_zip_of_very_many_members_is_refused(tmp_path: Path, within_half_a_minute: None) -> None:
    assert "members" in refused(zip_of({f"{number}": b"" for number in range(2000)}), tmp_path)
    assert "members" in refused(b"PK\x01\x02" * 10**6, tmp_path)


def test_an_encrypted_member_is_refused(model_bytes: bytes, tmp_path: Path) -> None:
    changed = bytearray(model_bytes)
    changed[changed.rindex(b"PK\x01\x02") + 8] |= 1
    assert "encrypted" in refused(bytes(changed), tmp_path)


def test_a_zip_of_other_things_is_refused(model_bytes: bytes, tmp_path: Path) -> None:
    others = {name: content for name, content in members_of(model_bytes).items() if name != "data"}
    for members in ({}, others, {"readme.txt": b"hello"}):
        assert "expected a model saved by SB3" in refused(zip_of(members), tmp_path)
    for missing in ("policy.pth", "policy.optimizer.pth"):
        refused(
            zip_of({name: content for name, content in members_of(model_bytes).items() if name != missing}), tmp_path
        )


@pytest.mark.parametrize("content", [b"", b"x", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"not a zip" * 1000])
def test_a_file_that_is_no_zip_is_refused(content: bytes, tmp_path: Path) -> None:
    assert refused(content, tmp_path)


def test_a_model_cut_off_anywhere_is_refused(model_bytes: bytes, tmp_path: Path) -> None:
    for end in range(0, len(model_bytes), 97):
        assert refused(model_bytes[:end], tmp_path)


def test_statistics_cut_off_anywhere_are_refused(tiny_models: Path, tmp_path: Path) -> None:
    content = (tiny_models / "PPO.pkl").read_bytes()
    for end in range(0, len(content), 97):
        (tmp_path / "cut.pkl").write_bytes(content[:end])
        with pytest.raises(Unreadable):
            read_statistics(tmp_path / "cut.pkl")


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"null", b"[]", b"3", b'"a"', b"{", b"\xff\xfe", b'{"a": }', b"{}"),
        *(b"[" * DEEP, b'{"a":' * DEEP, b'{"a": ' + b"[" * 800 + b"]" * 800 + b"}", b'{"a": ' + b"9" * 5000 + b"}"),
    ],
)
def test_damaged_settings_are_refused(text: bytes, model_bytes: bytes, tmp_path: Path) -> None:
    assert refused(with_member(model_bytes, "data", text), tmp_path)


def test_settings_nested_as_deeply_as_json_allows_do_not_crash_the_interpreter(
    model_bytes: bytes, tmp_path: Path
) -> None:
    for depth in range(300, 1000, 50):
        nested = b'"odd": ' + b"[" * depth + b"]" * depth + b","
        data = members_of(model_bytes)["data"].replace(b"{", b"{" + nested, 1)
        assert read_as_model(with_member(model_bytes, "data", data), tmp_path).startswith(("refused: ", "model"))


def test_of_a_setting_given_twice_the_last_counts_as_in_sb3(model_bytes: bytes, tmp_path: Path) -> None:
    data = members_of(model_bytes)["data"].replace(b"{", b'{"gamma": "first",', 1)
    (tmp_path / "model.zip").write_bytes(with_member(model_bytes, "data", data))
    saved = read_model(tmp_path / "model.zip")
    assert saved.settings["gamma"] == 0.99
    assert load(saved, "PPO", "cpu").model.gamma == 0.99


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), pytest.param(10**400, id="a huge number"), "\ud800", -1, True, None, [], {}]
)
def test_odd_settings_are_loaded_or_refused_with_a_reason(value: Any, model_bytes: bytes, tmp_path: Path) -> None:
    for setting in ("gamma", "seed", "use_sde", "n_steps", "sde_sample_freq", "\ud800"):
        assert read_as_model(with_settings(model_bytes, **{setting: value}), tmp_path).startswith(
            ("refused: ", "model")
        )


@pytest.mark.parametrize("attribute", NEEDED)
@pytest.mark.parametrize("value", [None, 3, 2.5, True, "MlpPolicy", [], [1, [2]], {"a": 1}, float("nan"), -1])
def test_a_required_setting_of_another_type_is_refused(
    attribute: str, value: Any, model_bytes: bytes, tmp_path: Path
) -> None:
    if attribute == "policy_kwargs" and isinstance(value, dict):
        value = {"net_arch": "four"}
    assert refused(with_settings(model_bytes, **{attribute: value}), tmp_path)
    assert refused(with_pickled(model_bytes, attribute, pickle.dumps(value)), tmp_path)


def test_messages_are_short_and_printable() -> None:
    said = str(Unreadable("a\nb\x1b[31m\ud800\u202e" + "x" * 10**6))
    assert said.startswith("a b\\x1b[31m\\ud800\\u202exxx")
    assert len(said) < 1100


def test_files_are_read_where_warnings_are_errors_too(model_bytes: bytes, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_as_model(model_bytes, tmp_path) == "model"
        assert parse(b"S'\\d'\n.").value == "\\d"


class ExitsWhenImported:
    """A finder for a trusted package whose import ends the process."""

    def __init__(self, folder: Path, text: str) -> None:
        package = folder / "my_trusted_package"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "policies.py").write_text(text)


@pytest.mark.parametrize("text", ["raise SystemExit(3)", "1 / 0", "import no_such_package", "(", "Policy = 3", ""])
def test_a_failing_trusted_package_is_refused_with_its_error(
    text: str, model_bytes: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ExitsWhenImported(tmp_path, text)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("my_trusted_package", "my_trusted_package.policies"):
        monkeypatch.delitem(__import__("sys").modules, name, raising=False)
    (tmp_path / "model.zip").write_bytes(
        with_pickled(model_bytes, "policy_class", global_of("my_trusted_package.policies.Policy") + b".")
    )
    saved = read_model(tmp_path / "model.zip", trusted=("my_trusted_package",))
    with pytest.raises(Unreadable, match="policy_class"):
        load(saved, "PPO", "cpu")
    if text.startswith("raise"):
        with pytest.raises(Unreadable, match="SystemExit"):
            plain_load_error(saved, None)
    else:
        assert plain_load_error(saved, None) or text == "Policy = 3"


DAMAGE = {
    "PPO": ("PPO", {"pickles": 300, "zip": 100, "settings": 75, "parameters": 50, "tensors": 50}),
    "SAC": ("SAC", {"pickles": 200, "zip": 100, "settings": 50, "parameters": 50, "tensors": 50}),
    "statistics": (None, {"statistics": 1200}),
}


def test_at_least_two_thousand_randomly_damaged_files_are_tested() -> None:
    assert sum(count for _, parts in DAMAGE.values() for count in parts.values()) >= 2000


@pytest.mark.slow
@pytest.mark.parametrize("what", DAMAGE)
def test_a_randomly_damaged_file_is_loaded_or_refused_with_a_reason(
    what: str, tiny_models: Path, tmp_path: Path
) -> None:
    algo, parts = DAMAGE[what]
    came = call(
        "support.damaged_files:damage_and_read",
        (str(tiny_models), algo, parts, 0),
        method="spawn",
        log=tmp_path / "log",
        timeout=300,
    )
    assert came.failure is None
    assert came.value["escaped"] == []
    assert came.value["events"] == []  # nothing was executed
    assert sum(came.value["counts"].values()) == sum(parts.values())
    assert set(came.value["counts"]) == {"refused", "statistics" if algo is None else "model"}
    assert came.value["slowest"] < 10


def test_what_an_optimizer_s_state_calls_a_number_is_one() -> None:
    numbers = {"lr": np.float64(0.25), "step": np.int64(3), "amsgrad": np.bool_(True)}
    assert th.load(io.BytesIO(load_untrusted._with_plain_numbers(saved(numbers))), weights_only=True) == numbers
    with pytest.raises(Unreadable, match="expected a number"):
        load_untrusted._number(np.dtype("V20000000"), b"")


def saved(state: dict[str, Any]) -> bytes:
    written = io.BytesIO()
    th.save(state, written)
    return written.getvalue()
