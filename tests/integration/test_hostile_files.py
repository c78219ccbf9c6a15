"""No pickle in an audited file is ever executed: each of these would leave a file behind."""

from __future__ import annotations

import io
import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch as th
from stable_baselines3 import PPO
from stable_baselines3.common.logger import HumanOutputFormat
from stable_baselines3.common.type_aliases import TrainFrequencyUnit

from reload_audit.models.load_untrusted import load
from reload_audit.processes.isolation import call
from reload_audit.reading.model_zip import read_model
from reload_audit.reading.refusal import Unreadable
from reload_audit.reading.statistics import read_statistics
from support.hostile_pickles import Hostile, Reduced, hostile_pickles, with_observation_moments
from support.tiny_models import members_of, read_as_model, with_member, with_pickled, with_settings, zip_of

NEEDED = ("policy_class", "policy_kwargs", "observation_space", "action_space")
NOT_NEEDED = ("_last_obs", "learning_rate", "rollout_buffer_class", "an attribute that SB3 does not know")
NAMES = list(hostile_pickles(Path("marker")))

ODD_PARTS = ("Runner", "Popen", "shell")

# What says nothing that is not on the list of harmless names, so that it may stand where nobody looks.
SILENT = {"PERSID", "a second pickle behind the first"}


@pytest.fixture
def forbidden_marker(tiny_models: Path) -> Iterator[Path]:
    """The file that hostile pickles create when they are executed; fails if it exists when the test is over."""
    yield tiny_models / "marker"
    assert not (tiny_models / "marker").exists()


@pytest.fixture(scope="module")
def hostile_corpus(tiny_models: Path) -> dict[str, Hostile]:
    return hostile_pickles(tiny_models / "marker")


def test_the_model_without_hostile_pickles_loads(model_bytes: bytes, tmp_path: Path) -> None:
    assert read_as_model(model_bytes, tmp_path) == "model"


def test_at_least_ninety_hostile_pickles_are_tested() -> None:
    assert len({hostile.pickled for hostile in hostile_pickles(Path("marker")).values()}) >= 90


@pytest.mark.slow
def test_every_hostile_pickle_executes_code_when_it_is_unpickled(tmp_path: Path) -> None:
    """Plain unpickling executes each of them: the other tests would prove nothing with harmless ones."""
    outcome = call(
        "support.hostile_pickles:live_ones", (str(tmp_path),), method="spawn", log=tmp_path / "log", timeout=120
    )
    assert outcome.value == [name for name, hostile in hostile_pickles(tmp_path).items() if hostile.live]


@pytest.mark.slow
def test_sb3_executes_the_hostile_pickles_of_a_model_that_it_loads(model_bytes: bytes, tmp_path: Path) -> None:
    values = ["os.system", "protocol 5", "INST", "BUILD", "tensors, zipped", "an object of such a class"]
    places = [*(("_last_obs", name) for name in values), ("learning_rate", "a function"), ("learning_rate", "a lambda")]
    arguments = (str(tmp_path), model_bytes, places)
    outcome = call(
        "support.hostile_pickles:live_in_models", arguments, method="spawn", log=tmp_path / "log", timeout=120
    )
    assert outcome.value == places


def refused_by_name(hostile: Hostile, came: str) -> bool:
    return came.startswith("refused: ") and hostile.named in came


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_pickle_in_a_required_setting_is_refused_by_name(
    name: str, model_bytes: bytes, tmp_path: Path, forbidden_marker: Path, hostile_corpus: dict[str, Hostile]
) -> None:
    hostile = hostile_corpus[name]
    for attribute in NEEDED:
        came = read_as_model(with_pickled(model_bytes, attribute, hostile.pickled), tmp_path)
        assert refused_by_name(hostile, came), attribute
        assert attribute in came


def left_out_by_name(hostile: Hostile, came: str) -> bool:
    return came.startswith("model: left out ") and hostile.named in came


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SILENT])
def test_a_hostile_pickle_in_a_setting_that_is_not_required_is_left_out_by_name(
    name: str, model_bytes: bytes, tmp_path: Path, forbidden_marker: Path, hostile_corpus: dict[str, Hostile]
) -> None:
    hostile = hostile_corpus[name]
    for attribute in NOT_NEEDED:
        came = read_as_model(with_pickled(model_bytes, attribute, hostile.pickled), tmp_path)
        assert left_out_by_name(hostile, came), attribute
        assert f"left out {attribute}: " in came


@pytest.mark.parametrize("name", ["memo: names", "memo: overwritten", "NEWOBJ", "protocol 2", "a class"])
def test_a_hostile_pickle_as_an_argument_that_a_policy_can_do_without_is_left_out_and_said(
    name: str, model_bytes: bytes, tmp_path: Path, forbidden_marker: Path, hostile_corpus: dict[str, Hostile]
) -> None:
    inside = hostile_corpus[name].pickled[2:-1]
    arguments = b"\x80\x04}U\x08net_arch]K\x04as" + b"U\x10optimizer_kwargs" + inside + b"s."
    (tmp_path / "model.zip").write_bytes(with_pickled(model_bytes, "policy_kwargs", arguments))
    notes = load(read_model(tmp_path / "model.zip"), "PPO", "cpu").notes
    assert any("policy_kwargs.optimizer_kwargs" in note for note in notes)


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_pickle_as_statistics_is_refused(
    name: str, tiny_models: Path, tmp_path: Path, forbidden_marker: Path, hostile_corpus: dict[str, Hostile]
) -> None:
    hostile = hostile_corpus[name]
    moments = with_observation_moments((tiny_models / "PPO.pkl").read_bytes(), hostile.pickled)
    for content in (hostile.pickled, moments):
        (tmp_path / "vecnormalize.pkl").write_bytes(content)
        with pytest.raises(Unreadable) as refused:
            read_statistics(tmp_path / "vecnormalize.pkl")
        assert hostile.named in str(refused.value) or name in SILENT


def test_a_pickle_that_calls_a_class_of_sb3_is_not_executed(
    model_bytes: bytes, tmp_path: Path, forbidden_marker: Path
) -> None:
    writes_a_file = pickle.dumps(Reduced(HumanOutputFormat, str(forbidden_marker)))
    for attribute in NEEDED:
        assert read_as_model(with_pickled(model_bytes, attribute, writes_a_file), tmp_path).startswith("refused: ")
    for attribute in NOT_NEEDED:
        assert read_as_model(with_pickled(model_bytes, attribute, writes_a_file), tmp_path) == "model"


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("policy_kwargs", {"activation_fn": "stable_baselines3.common.logger.HumanOutputFormat"}),
        ("policy_kwargs", {"features_extractor_class": "stable_baselines3.common.policies.BasePolicy"}),
        ("policy_kwargs", {"optimizer_class": "torch.nn.modules.activation.ReLU"}),
        ("policy_kwargs", {"net_arch": "stable_baselines3.common.logger.HumanOutputFormat"}),
        ("policy_class", "stable_baselines3.common.logger.HumanOutputFormat"),
        ("policy_class", "gymnasium.spaces.box.Box"),
        ("policy_class", "builtins.type"),
    ],
)
def test_a_class_where_another_kind_of_value_is_expected_is_refused(
    attribute: str, value: object, model_bytes: bytes, tmp_path: Path
) -> None:
    def by_name(dotted: object) -> bytes:
        module, _, name = str(dotted).rpartition(".")
        return f"c{module}\n{name}\n".encode()

    if isinstance(value, dict):
        ((key, named),) = value.items()
        pickled = b"}U" + bytes([len(key)]) + key.encode() + by_name(named) + b"s."
    else:
        pickled = by_name(value) + b"."
    assert read_as_model(with_pickled(model_bytes, attribute, pickled), tmp_path).startswith("refused: ")


# --- Other places in a model's zip -------------------------------------------------------------------------------


def hostile_tensors(marker: Path, *, zipped: bool) -> bytes:
    content = io.BytesIO()
    th.save(Reduced(os.system, f"touch {marker}"), content, _use_new_zipfile_serialization=zipped)
    return content.getvalue()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "member",
    [
        *("policy.pth", "policy.optimizer.pth", "pytorch_variables.pth", "tensors.pth"),
        *("../../x.pth", "/x.pth", "policy.__class__.pth", "__class__.pth", "policy.pth/.pth", ".pth", "a b.pth"),
    ],
)
def test_hostile_pickles_as_parameters_are_refused(
    member: str, zipped: bool, model_bytes: bytes, tmp_path: Path, forbidden_marker: Path
) -> None:
    content = with_member(model_bytes, member, hostile_tensors(forbidden_marker, zipped=zipped))
    assert read_as_model(content, tmp_path).startswith("refused: ")


@pytest.mark.parametrize("zipped", [True, False])
def test_hostile_pickles_as_parameters_that_acting_does_not_need_are_left_out(
    zipped: bool, model_bytes: bytes, tmp_path: Path, forbidden_marker: Path
) -> None:
    content = with_member(model_bytes, "another.pth", hostile_tensors(forbidden_marker, zipped=zipped))
    assert read_as_model(content, tmp_path) == "model"


@pytest.mark.parametrize("member", ["../../x.pth", "policy.__class__.pth", "policy/../policy.pth", "po\nlicy.pth"])
def test_parameters_with_unexpected_names_are_refused(member: str, model_bytes: bytes, tmp_path: Path) -> None:
    came = read_as_model(with_member(model_bytes, member, members_of(model_bytes)["policy.pth"]), tmp_path)
    assert came.startswith("refused: ")
    assert "such as policy.pth" in came


@pytest.mark.parametrize("name", ["policy.__class__", "policy_class", "policy.action_net.weight", "__class__", "", 3])
def test_single_tensors_whose_name_leads_to_another_attribute_are_left_out(
    name: object, model_bytes: bytes, tmp_path: Path
) -> None:
    """SB3 sets an attribute of whatever the name leads to."""
    (tmp_path / "as_it_was.zip").write_bytes(model_bytes)
    expected = load(read_model(tmp_path / "as_it_was.zip"), "PPO", "cpu").model
    content = io.BytesIO()
    th.save({name: th.zeros(3)}, content)
    for member in ("pytorch_variables.pth", "tensors.pth"):
        assert read_as_model(with_member(model_bytes, member, content.getvalue()), tmp_path) == "model"
        found = load(read_model(tmp_path / "model.zip"), "PPO", "cpu").model
        assert found.policy_class is expected.policy_class
        assert all(map(th.equal, found.policy.parameters(), expected.policy.parameters()))


@pytest.mark.parametrize(
    "setting", ["predict", "_setup_model", "set_parameters", "__class__", "logger", "get_parameters"]
)
def test_no_setting_can_replace_a_method(setting: str, model_bytes: bytes, tmp_path: Path) -> None:
    assert read_as_model(with_settings(model_bytes, **{setting: {"a": 1}}), tmp_path) == "model"


@pytest.mark.parametrize("member", ["data", "policy.pth"])
def test_two_members_of_one_name_are_refused(
    member: str, model_bytes: bytes, tmp_path: Path, forbidden_marker: Path, hostile_corpus: dict[str, Hostile]
) -> None:
    hostile = members_of(with_pickled(model_bytes, "_last_obs", hostile_corpus["os.system"].pickled))
    members = members_of(model_bytes)
    for first, second in ((members, hostile), (hostile, members)):
        with pytest.warns(UserWarning, match="Duplicate name"):
            content = zip_of([(member, first[member]), *second.items()])
        assert read_as_model(content, tmp_path) == "refused: damaged zip: two members of one name"


@pytest.mark.parametrize(
    "item",
    [
        {"inside": {":serialized:": "gASVIAAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAR0cnVllIWUUpQu"}},
        [{":serialized:": "gASVIAAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAR0cnVllIWUUpQu"}],
        {":serialized": "gASVIAAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAR0cnVllIWUUpQu"},
    ],
)
def test_a_setting_that_only_looks_like_a_pickle_is_read_as_plain_data(
    item: object, model_bytes: bytes, tmp_path: Path
) -> None:
    """SB3 unpickles only what is directly under an attribute."""
    (tmp_path / "model.zip").write_bytes(with_settings(model_bytes, odd=item))
    saved = read_model(tmp_path / "model.zip")
    assert saved.settings["odd"] == item
    assert "odd" not in saved.pickled


@pytest.mark.parametrize(
    "attribute",
    ["", ":serialized:", ":type:", "policy", "device", "_logger", "env", "__class__", "data", "\ud800", "a\nb"],
)
def test_no_odd_attribute_name_hides_a_hostile_pickle(
    attribute: str, model_bytes: bytes, tmp_path: Path, forbidden_marker: Path, hostile_corpus: dict[str, Hostile]
) -> None:
    hostile = hostile_corpus["os.system"]
    assert left_out_by_name(hostile, read_as_model(with_pickled(model_bytes, attribute, hostile.pickled), tmp_path))


@pytest.mark.parametrize("text", [None, 3, [], {}, "", "!", "gASV", "gAR9", "gASV\n", "é", "\ud800", "Ti4=\0"])
def test_odd_pickled_texts_are_left_out(text: object, model_bytes: bytes, tmp_path: Path) -> None:
    came = read_as_model(with_settings(model_bytes, odd={":serialized:": text}), tmp_path)
    assert came.startswith("model: left out odd: ")
    needed = with_settings(model_bytes, policy_class={":serialized:": text})
    assert read_as_model(needed, tmp_path).startswith("refused: policy_class: ")


def test_trusting_a_package_does_not_trust_other_packages(
    tmp_path: Path, model_bytes: bytes, forbidden_marker: Path, hostile_corpus: dict[str, Hostile]
) -> None:
    for name in ("os.system", "subprocess.run", "builtins.eval"):
        pickled = hostile_corpus[name].pickled
        (tmp_path / "model.zip").write_bytes(with_pickled(model_bytes, "policy_class", pickled))
        with pytest.raises(Unreadable, match=name):
            read_model(tmp_path / "model.zip", trusted=("o", "os.path", "sub", "builtin", "my_package"))


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("features_extractor_class", "Extractor"),
        *((key, name) for key in ("features_extractor_class", "activation_fn") for name in ODD_PARTS),
    ],
)
def test_a_class_of_a_trusted_package_is_built_into_a_policy_only_where_its_kind_is_asked_for(
    key: str, name: str, model_bytes: bytes, tmp_path: Path, forbidden_marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "trusted_parts.py").write_text(
        "import os\n"
        "from subprocess import Popen\n"
        "from stable_baselines3.common.torch_layers import FlattenExtractor\n"
        f"def shell(*args, **kwargs): os.system('touch {forbidden_marker}')\n"
        "class Runner:\n"
        f"    def __init__(self, *args, **kwargs): os.system('touch {forbidden_marker}')\n"
        "class Extractor(FlattenExtractor): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "trusted_parts", raising=False)
    pickled = b"}U" + bytes([len(key)]) + key.encode() + f"ctrusted_parts\n{name}\ns".encode()
    pickled += b"U\x08net_arch]K\x04as."
    (tmp_path / "model.zip").write_bytes(with_pickled(model_bytes, "policy_kwargs", pickled))
    saved = read_model(tmp_path / "model.zip", trusted=["trusted_parts"])
    if name == "Extractor":
        assert load(saved, "PPO", "cpu").model.policy.features_extractor_class.__name__ == name
        return
    with pytest.raises(Unreadable, match="policy_kwargs"):
        load(saved, "PPO", "cpu")


def test_members_of_enumerations_may_be_written_as_python_3_11_0_to_3_11_3_write_them(
    model_bytes: bytes, tmp_path: Path
) -> None:
    step = pickle.dumps(Reduced(getattr, TrainFrequencyUnit, "STEP"))
    assert read_as_model(with_pickled(model_bytes, "train_freq", step), tmp_path) == "model"


@pytest.mark.parametrize(
    "arguments", [(PPO, "load"), ("", "join"), (TrainFrequencyUnit, "STEP", 0), (TrainFrequencyUnit, "__class__")]
)
def test_a_pickle_may_look_up_no_attributes_but_members_of_enumerations(
    model_bytes: bytes, tmp_path: Path, arguments: tuple
) -> None:
    asked = pickle.dumps([Reduced(getattr, TrainFrequencyUnit, "STEP"), Reduced(getattr, *arguments)])
    assert "untrusted_pickle builtins.getattr" in read_as_model(
        with_pickled(model_bytes, "train_freq", asked), tmp_path
    )
