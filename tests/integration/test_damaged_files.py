"""Whatever is wrong with a file, reading it ends soon, and with a reason."""

from __future__ import annotations

import io
import os
import pickle
import socket
import struct
import time
import tracemalloc
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch as th

from reload_audit.models.load_untrusted import load, plain_load_error
from reload_audit.processes.isolation import call
from reload_audit.reading import limits
from reload_audit.reading.model_zip import read_model
from reload_audit.reading.pickles import described, parse
from reload_audit.reading.refusal import Unreadable
from reload_audit.reading.statistics import read_statistics
from reload_audit.reading.values import Values
from support.tiny_models import members_of, read_as_model, with_member, with_pickled, with_settings, zip_of

DEEP = 10**5
NEEDED = ("policy_class", "policy_kwargs", "observation_space", "action_space")


@pytest.fixture
def within_half_a_minute() -> Iterator[None]:
    start = time.process_time()
    yield
    assert time.process_time() - start < 30


def refused(content: bytes, folder: Path) -> str:
    came = read_as_model(content, folder)
    assert came.startswith("refused: ")
    return came.removeprefix("refused: ")


# --- Paths -------------------------------------------------------------------------------------------------------


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


# --- Zips --------------------------------------------------------------------------------------------------------


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


# --- Settings ----------------------------------------------------------------------------------------------------


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


# --- Pickles -----------------------------------------------------------------------------------------------------


def global_of(dotted: str) -> bytes:
    module, _, name = dotted.rpartition(".")
    return f"c{module}\n{name}\n".encode()


def array_of(shape: bytes, content: bytes = b"", dtype: bytes = b"") -> bytes:
    """A pickled array of float32 with whatever shape."""
    number = global_of("numpy.dtype") + b"X\x02\x00\x00\x00f4\x89\x88\x87R"
    made = global_of("numpy.core.multiarray._reconstruct") + global_of("numpy.ndarray") + b"K\x00\x85C\x01b\x87R"
    return made + b"(K\x01" + shape + (dtype or number) + b"\x89B" + struct.pack("<I", len(content)) + content + b"tb"


def shared(kind: str, levels: int = 60) -> bytes:
    """A value that is small, and endless when written out: each level holds the one below twice."""
    if kind == "tuples":
        return b"K\x01" + b"2\x86" * levels
    if kind == "lists":
        return b"K\x01" + b"q\x010](h\x01h\x01e" * levels
    if kind == "dictionaries":
        return b"K\x01" + b"q\x010}(K\x00h\x01K\x01h\x01u" * levels
    if kind == "ordered":
        made = global_of("collections.OrderedDict") + b")R"
        return b"K\x01" + (b"q\x010" + made + b"(K\x00h\x01K\x01h\x01u") * levels
    made = global_of("gymnasium.spaces.tuple.Tuple") + b")\x81}X\x06\x00\x00\x00spaces"
    discrete = global_of("gymnasium.spaces.discrete.Discrete") + b")\x81}X\x01\x00\x00\x00nK\x02sb"
    return discrete + (b"q\x010" + made + b"h\x01h\x01\x86sb") * levels


SHARED = ("tuples", "lists", "dictionaries", "ordered", "spaces")


@pytest.mark.parametrize("kind", SHARED)
def test_a_pickle_that_grows_exponentially_through_shared_parts_is_refused(
    kind: str, model_bytes: bytes, tmp_path: Path, within_half_a_minute: None
) -> None:
    places = {
        "a value": shared(kind) + b".",
        "an argument": b"}X\x08\x00\x00\x00net_arch" + shared(kind) + b"s.",
        "a shape": array_of(shared(kind)) + b".",
        "a data type": array_of(b")", dtype=shared(kind)) + b".",
        "a key": global_of("collections.OrderedDict") + b"](" + shared(kind) + b"N\x86e\x85R.",
        "an element": global_of("builtins.set") + b"](" + shared(kind) + b"e\x85R.",
        "a called value": shared(kind) + b")R.",
    }
    for place, pickled in places.items():
        for attribute in ("policy_kwargs", "action_space"):
            assert refused(with_pickled(model_bytes, attribute, pickled), tmp_path), place


@pytest.mark.parametrize("kind", SHARED)
def test_statistics_that_grow_exponentially_are_refused(kind: str, tmp_path: Path, within_half_a_minute: None) -> None:
    made = global_of("stable_baselines3.common.vec_env.vec_normalize.VecNormalize") + b")\x81}"
    moments = global_of("stable_baselines3.common.running_mean_std.RunningMeanStd") + b")\x81}("
    moments += b"".join(
        b"X" + struct.pack("<I", len(name)) + name + shared(kind) for name in (b"mean", b"var", b"count")
    )
    names = (b"norm_obs", b"norm_reward", b"clip_obs", b"clip_reward", b"gamma", b"epsilon", b"norm_obs_keys")
    for value in (shared(kind), shared(kind, 3), moments + b"ub"):
        items = b"".join(
            b"X" + struct.pack("<I", len(name)) + name + value for name in (*names, b"ret_rms", b"obs_rms")
        )
        (tmp_path / "file.pkl").write_bytes(made + b"(" + items + b"ub.")
        with pytest.raises(Unreadable):
            read_statistics(tmp_path / "file.pkl")


def test_parameters_that_grow_exponentially_are_refused(
    model_bytes: bytes, tmp_path: Path, within_half_a_minute: None
) -> None:
    """PyTorch goes through an optimizer's state as it is written out."""
    value: Any = [1]
    for _ in range(60):
        value = [value, value]
    content = io.BytesIO()
    th.save({"state": {0: {"a": value}}, "param_groups": []}, content)
    assert "more than" in refused(with_member(model_bytes, "policy.optimizer.pth", content.getvalue()), tmp_path)


NESTED = {
    "lists": b"]" * DEEP + b"a" * (DEEP - 1),
    "tuples": b")" + b"\x85" * DEEP,
    "dictionaries": b"}K\x00" * DEEP + b"}" + b"s" * DEEP,
    "keys": b")" + b"\x85" * DEEP + b"q\x000}h\x00Ns",
    "frozen sets": b"(" * DEEP + b"\x91" * DEEP,
    "frozen sets of tuples": b"()" + b"\x85" * DEEP + b"\x91",
    "calls": b")" + (b"q\x000" + global_of("builtins.list") + b"h\x00\x85R") * 1000,
    "states": global_of("builtins.list") + b")R" + (b"q\x000" + global_of("builtins.list") + b")Rh\x00b") * 1000,
    "called": global_of("builtins.list") + b")R" * DEEP,
    "persistent": b"N" + b"Q" * DEEP,
    "marks": b"(" * DEEP,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", NESTED)
def test_a_deeply_nested_pickle_does_not_crash_the_interpreter(
    kind: str, model_bytes: bytes, tmp_path: Path, within_half_a_minute: None
) -> None:
    pickled = NESTED[kind] + b"."
    assert refused(with_pickled(model_bytes, "policy_kwargs", pickled), tmp_path)
    (tmp_path / "file.pkl").write_bytes(pickled)
    with pytest.raises(Unreadable):
        read_statistics(tmp_path / "file.pkl")


@pytest.mark.parametrize("kind", ["N0", "N\x94", "(", "]", "Nq\0", "cos\nsystem\n0"])
def test_a_pickle_of_very_many_instructions_is_refused(kind: str) -> None:
    with pytest.raises(Unreadable, match="more than 1,000 instructions"):
        parse(kind.encode("latin-1") * 10**6 + b".", 1000)
    assert limits.INSTRUCTIONS == 10**6


def test_the_instructions_of_all_pickles_in_a_model_are_counted_together(
    model_bytes: bytes, tmp_path: Path, within_half_a_minute: None
) -> None:
    content = model_bytes
    for name in "abc":
        content = with_pickled(content, name, b"N0" * 200_000 + b"N.")
    assert "left out c: pickle of more than" in read_as_model(content, tmp_path)
    content = with_pickled(content, "policy_class", b"N0" * 600_000 + b"N.")
    assert "instructions" in refused(content, tmp_path)


def test_keys_with_colliding_hashes_are_refused(within_half_a_minute: None) -> None:
    modulus = 2**61 - 1
    with pytest.raises(Unreadable, match="looks something up"):
        parse(pickle.dumps({number * modulus: None for number in range(1, 1000)}))


@pytest.mark.parametrize(
    "shape",
    [
        *(b"J\xff\xff\xff\xff\x85", b"K\x05\x85", b"(K\x01K\x01K\x01K\x01t", b"J\xff\xff\xff\x7f\x85", b"N", b"N\x85"),
        b"(" + b"J\xff\xff\xff\x7f" * 33 + b"t",
        b"(" + b"K\x01" * 1000 + b"t",
        b"G" + struct.pack(">d", 2.0) + b"\x85",
        b"\x8b" + struct.pack("<I", 10**6) + b"\x7f" * 10**6 + b"\x85",
        b"(" + (b"\x8b" + struct.pack("<I", 10**6) + b"\x7f" * 10**6) * 10 + b"t",
        b"K\x00\x8a\x08" + b"\x7f" * 8 + b"\x86",
        b"]",
        b"}",
    ],
)
def test_arrays_of_absurd_shapes_are_refused(shape: bytes, within_half_a_minute: None) -> None:
    with pytest.raises(Unreadable):
        Values().build(parse(array_of(shape, bytes(12)) + b".").value)


@pytest.mark.parametrize(
    "pickled",
    [
        *(b"", b".", b"a.", b"e.", b"s.", b"u.", b"R.", b"b.", b"t.", b"0.", b"1.", b"2.", b"h\x00.", b"\x93.", b"(."),
        *(b"\x80", b"\x80\x04", b"N", b"\xff.", b"Ia\n.", b"I\n.", b"F\n.", b"S\n.", b"Sa\n.", b"S'\\x'\n."),
        *(
            b"S'\\d'.",
            b"V\\u12\n.",
            b"cos\n.",
            b"g1\n.",
            b"p-1\n.",
            b"Np-1\n0.",
            b"Pa",
            b"]]K\x01s.",
            b"Nq\x00b.",
        ),
        *(
            b"B\xff\xff\xff\xff.",
            b"X\xff\xff\xff\xff.",
            b"T\xff\xff\xff\x7f.",
            b"\x8b\xff\xff\xff\x7f.",
            b"\x8b\xff\xff\xff\xff.",
        ),
        *(
            b"\x8d" + b"\xff" * 8 + b".",
            b"\x8e" + b"\x7f" * 8 + b".",
            b"\x96" + b"\x7f" * 8 + b".",
            b"\x95" + b"\xff" * 8,
        ),
        *(
            b"X\x02\x00\x00\x00\xc0\x80.",
            b"I" + b"9" * 5000 + b"\n.",
            b"}(K\x01u.",
            b"}]Ns.",
            b"(]\x91.",
            b"\x8f(]\x90.",
        ),
        *(b"\x82\x01.", b"\x97.", b"\x98.", b"]q\x00h\x00a"),
    ],
)
def test_damaged_pickles_are_refused(pickled: bytes) -> None:
    with pytest.raises(Unreadable):
        parse(pickled)


@pytest.mark.parametrize(
    "pickled",
    [
        *(
            b"]q\x00h\x00a.",
            b"}q\x00K\x01h\x00s.",
            b"](h\x00K\x01e.",
            b"Pos\n.",
            b"NQ.",
            b"cos\nsystem\n.",
            b"cbuiltins\ntype\n.",
        ),
        global_of("builtins.bytearray") + b"\x8a\x08" + b"\x7f" * 8 + b"\x85R.",
        global_of("builtins.list") + b"X\x01\x00\x00\x00a\x85R.",
        global_of("builtins.range") + b"\x8a\x08" + b"\x7f" * 8 + b"\x85R.",
        global_of("collections.deque") + b"(]J\xff\xff\xff\xfftR.",
        global_of("collections.deque") + b"K\x01\x85R.",
        global_of("collections.OrderedDict") + b"](K\x01e\x85R.",
        global_of("_codecs.encode") + b"(X\x01\x00\x00\x00aX\x06\x00\x00\x00rot_13tR.",
        global_of("numpy.dtype") + b")R.",
        global_of("numpy.dtype") + b"X\x02\x00\x00\x00O8\x89\x88\x87R.",
        global_of("numpy.dtype") + b"X\x02\x00\x00\x00f4\x89\x88\x87R(K\x03tb.",
        global_of("numpy.core.multiarray._reconstruct") + b")R.",
        global_of("numpy.core.multiarray._reconstruct") + b")R)b.",
        global_of("numpy.core.multiarray.scalar") + b")R.",
        global_of("numpy.core.numeric._frombuffer") + b")R.",
        global_of("gymnasium.spaces.box.Box") + b")\x81.",
        global_of("gymnasium.spaces.box.Box") + b")\x81Nb.",
        global_of("gymnasium.spaces.box.Box") + b")\x81K\x01b.",
        global_of("gymnasium.spaces.text.Text") + b")\x81}b.",
        global_of("copyreg._reconstructor") + b")R.",
        global_of("stable_baselines3.no_such_module.Class"),
        global_of("stable_baselines3..Class") + b".",
        global_of("stable_baselines3.common.policies.NoSuchPolicy") + b".",
        global_of("torch.nn.modules./x.Y") + b".",
        b"X\x1b\x00\x00\x00stable_baselines3.\xed\xa0\x80aaaaaaX\x01\x00\x00\x00A\x93.",
    ],
)
def test_values_that_cannot_be_rebuilt_are_refused(pickled: bytes) -> None:
    with pytest.raises(Unreadable) as refusal:
        Values().build(parse(pickled).value)
    str(refusal.value).encode()


def discrete(n: bytes) -> bytes:
    return global_of("gymnasium.spaces.discrete.Discrete") + b")\x81}X\x01\x00\x00\x00n" + n + b"sb."


@pytest.mark.parametrize(
    "n",
    [
        b"K\x00",
        b"J\xff\xff\xff\xff",
        b"J\xff\xff\xff\x7f",
        b"\x8a\x10" + b"\x7f" * 16,
        b"N",
        b"]",
        b"\x88",
        b"X\x01\x00\x00\x002",
    ],
)
def test_a_space_has_a_number_of_choices_that_a_network_can_have(n: bytes) -> None:
    with pytest.raises(Unreadable):
        Values().build(parse(discrete(n)).value)


def test_tensors_inside_tensors_are_refused(model_bytes: bytes, tmp_path: Path, within_half_a_minute: None) -> None:
    tensors = b"N."
    for _ in range(2000):
        call_of_it = global_of("torch.storage._load_from_bytes") + b"B" + struct.pack("<I", len(tensors)) + tensors
        tensors = call_of_it + b"\x85R." + b"N." * 4
    assert "inside tensors" in read_as_model(with_pickled(model_bytes, "_last_obs", tensors), tmp_path)


def test_a_tensor_that_is_referenced_many_times_is_read_once(
    model_bytes: bytes, tmp_path: Path, within_half_a_minute: None
) -> None:
    tensors = b"N0" * 40_000 + b"N." + b"N." * 4
    load_them = global_of("torch.storage._load_from_bytes") + b"q\x000B" + struct.pack("<I", len(tensors)) + tensors
    pickled = load_them + b"\x85q\x010" + b"h\x00h\x01R0" * 10_000 + b"N."
    assert read_as_model(with_pickled(model_bytes, "_last_obs", pickled), tmp_path) == "model"


def test_messages_are_short_and_printable() -> None:
    said = str(Unreadable("a\nb\x1b[31m\ud800\u202e" + "x" * 10**6))
    assert said.startswith("a b\\x1b[31m\\ud800\\u202exxx")
    assert len(said) < 1100


def test_descriptions_are_short() -> None:
    for value in ("x" * 10**6, b"x" * 10**6, 10**10_000, -(10**10_000), [[]] * 10**6, {1: 2}, float, None, 3, 2.5):
        assert len(described(value)) < 100


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


# --- Damage by chance --------------------------------------------------------------------------------------------

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
