"""Whatever a pickle in a model or its statistics holds, reading it ends soon, and with a reason."""

from __future__ import annotations

import io
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
import torch as th

from reload_audit.reading import limits
from reload_audit.reading.pickles import described, parse
from reload_audit.reading.refusal import Unreadable
from reload_audit.reading.statistics import read_statistics
from reload_audit.reading.values import Values
from support.hostile_pickles import global_of
from support.tiny_models import read_as_model, refused, with_member, with_pickled

DEEP = 10**5


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


def test_descriptions_are_short() -> None:
    for value in ("x" * 10**6, b"x" * 10**6, 10**10_000, -(10**10_000), [[]] * 10**6, {1: 2}, float, None, 3, 2.5):
        assert len(described(value)) < 100
