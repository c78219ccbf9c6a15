"""What a pickle holds as code is known by its name, and what only serves it is told from what else the pickle does."""

from __future__ import annotations

import enum
import functools
import io
import os
import pickle
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import cloudpickle
import pytest
import torch as th
import yaml
from stable_baselines3.common.torch_layers import FlattenExtractor

from reload_audit.reading.by_value import besides, held, held_in, mapping_for
from reload_audit.reading.pickles import Global, parse
from reload_audit.reading.refusal import Unreadable
from reload_audit.reading.tensors import tensor_of
from reload_audit.reading.trust import unknown_name
from reload_audit.reading.values import Values


def in_a_script(made: Any) -> Any:
    """A class or function as if it stood in the script that is run."""
    made.__module__ = "__main__"
    return made


def make_class() -> Any:
    class Net(th.nn.Module):
        def forward(self, x: Any) -> Any:
            return super().forward(x)

    return in_a_script(Net)


def make_extractor() -> Any:
    class Extractor(FlattenExtractor):
        net = make_class()

        def forward(self, observations: Any) -> Any:
            return th.tanh(super().forward(observations))

    return in_a_script(Extractor)


def make_enum() -> Any:
    class Mode(enum.Enum):
        ON = 1

    return in_a_script(Mode)


def make_function() -> Any:
    outer = make_class()

    def squashed() -> Any:
        return outer()

    return in_a_script(squashed)


def make_nested() -> Any:
    """A class that makes a dataclass, which holds a member of an enumeration."""
    mode = make_enum()

    @dataclass
    class Options:
        chosen: Any = mode.ON

    made = in_a_script(Options)

    class Net:
        def __init__(self, options: Any = None) -> None:
            self.options = options or made()

    return in_a_script(Net)


HELD = {
    "__main__.Net": make_class,
    "__main__.Extractor": make_extractor,
    "__main__.Mode": make_enum,
    f"{__name__}.squashed": make_function,
}


@pytest.fixture(autouse=True)
def saved_by_value() -> Any:
    """cloudpickle saves what stands in this module as it saves what stands in a script."""
    import sys

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("name", HELD)
def test_what_is_held_as_code_is_known_by_its_name(name: str, protocol: int) -> None:
    parsed = parse(cloudpickle.dumps(HELD[name](), protocol))
    assert held(parsed.value) == name
    assert [found for _, found in held_in({"a": [parsed.value]})] == [name]


def test_what_serves_only_code_that_is_replaced_is_no_step_of_the_rest() -> None:
    for code in (make_extractor(), make_nested()):
        parsed = parse(cloudpickle.dumps({"features_extractor_class": code, "net_arch": [4]}))
        assert len(parsed.steps) > 10
        assert besides(parsed, parsed.value, [node for node, _ in held_in(parsed.value)]) == ()


def test_arguments_of_a_class_that_is_held_as_code_name_nothing_else() -> None:
    parsed = parse(cloudpickle.dumps(functools.partial(make_class(), 2)))
    steps = besides(parsed, parsed.value, [node for node, _ in held_in(parsed.value)])
    assert [str(step) for step in steps if isinstance(step, Global)] == ["functools.partial"]
    assert unknown_name(replace(parsed, steps=steps), ()) is None
    parsed = parse(cloudpickle.dumps(functools.partial(os.getcwd)))
    assert unknown_name(parsed, ()) is not None


def test_what_is_thrown_away_beside_code_stays_a_step() -> None:
    code = cloudpickle.dumps(make_class(), 4)
    hidden = b"cos\nsystem\nX\x01\x00\x00\x00x\x85R0"
    parsed = parse(b"\x80\x04(" + hidden + code[2:-1] + b"l.")
    kept = besides(parsed, parsed.value, [node for node, _ in held_in(parsed.value)])
    assert [str(step) for step in kept if hasattr(step, "name")] == ["os.system"]


def test_what_is_shared_with_what_is_needed_stays_a_step() -> None:
    shared = pickle.dumps([th.nn.ReLU, {"optimizer_class": th.nn.ReLU}], 4)
    parsed = parse(shared)
    needed, arguments = parsed.value
    assert [str(step) for step in besides(parsed, [needed], arguments.values())] == ["torch.nn.modules.activation.ReLU"]


def test_the_line_to_configure_is_yaml_and_names_every_class_once() -> None:
    line = mapping_for(["__main__.Net", "__main__.<lambda>", "__main__.Net", "a: b\n#.Odd", "x" * 500])
    assert list(yaml.safe_load(line)["classes"].items())[:3] == [
        ("__main__.Net", "my_module.Net"),
        ("__main__.<lambda>", "my_module.function"),
        ("a: b\n#.Odd", "my_module.Odd"),
    ]


def test_a_class_that_is_held_as_code_is_replaced_by_the_one_that_is_named() -> None:
    parsed = parse(cloudpickle.dumps({"activation_fn": make_class(), "net_arch": [4]}))
    built = Values(classes={"__main__.Net": "torch.nn.Tanh"}).build(parsed.value)
    assert built == {"activation_fn": th.nn.Tanh, "net_arch": [4]}
    with pytest.raises(Unreadable, match=r"configure classes: \{__main__\.Net: my_module\.Net\}"):
        Values().build(parsed.value)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("no_such_module.Net", "cannot be imported: ModuleNotFoundError"),
        ("torch.nn.NoSuchLayer", "cannot be imported: AttributeError"),
        ("torch.nn.__name__", "expected torch.nn.__name__ to be a class"),
    ],
)
def test_a_replacement_that_is_not_there_is_named(target: str, said: str) -> None:
    parsed = parse(cloudpickle.dumps(make_class()))
    with pytest.raises(Unreadable, match=f"classes: __main__.Net: .*{said}"):
        Values(classes={"__main__.Net": target}).build(parsed.value)


class Mode(enum.Enum):
    ON = 1


class Careful:
    def __setstate__(self, state: Any) -> None:
        raise AssertionError("it is called")


class Released:
    def __del__(self) -> None:
        pass


class Counted(int):
    pass


class Named(NamedTuple):
    size: int


class Options(dict[str, Any]):
    pass


class Slotted:
    __slots__ = ("size",)


def test_an_object_of_such_a_class_has_the_attributes_that_the_file_gives_it() -> None:
    slotted, options = Slotted(), Options(a=1)
    slotted.size, options.more = 3, [2]  # type: ignore[attr-defined]
    made = [make_enum().ON, make_class()(), Named(4), options, slotted]
    own = {name: f"{__name__}.{name.rpartition('.')[2]}" for name in names_of(made) if not name.startswith("__main__")}
    classes = {**own, "__main__.Mode": f"{__name__}.Mode", "__main__.Net": "torch.nn.Tanh"}
    mode, net, named, found, in_slots = Values(classes=classes).build(parse(cloudpickle.dumps(made)).value)
    assert mode is Mode.ON
    assert isinstance(net, th.nn.Tanh)
    assert net(th.ones(1)) == th.tanh(th.ones(1))
    assert named == Named(4)
    assert (found, found.more) == ({"a": 1}, [2])
    assert in_slots.size == 3


def names_of(made: Any) -> list[str]:
    return [name for _, name in held_in(parse(cloudpickle.dumps(made)).value)]


def test_the_line_to_configure_is_said_of_an_object_too() -> None:
    with pytest.raises(Unreadable, match=r"configure classes: \{__main__\.Net: my_module\.Net\}"):
        Values().build(parse(cloudpickle.dumps(make_class()())).value)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (Careful(), "Careful has a __setstate__ of its own"),
        (Released(), "Released has a __del__ of its own"),
        (Counted(3), "Counted is made with arguments"),
    ],
)
def test_an_object_that_is_more_than_its_attributes_is_refused(made: Any, said: str) -> None:
    classes = {name: f"{__name__}.{type(made).__name__}" for name in names_of(made)}
    with pytest.raises(Unreadable, match=said) as refused:
        Values(classes=classes).build(parse(cloudpickle.dumps(made)).value)
    assert mapping_for(classes) in str(refused.value)


def storage(numbers: int) -> bytes:
    """What a pickle holds of a tensor's numbers."""
    content = io.BytesIO()
    th.save(th.arange(float(numbers)).storage(), content, _use_new_zipfile_serialization=False)
    return content.getvalue()


def test_a_tensor_is_built_of_its_own_numbers() -> None:
    every_second = th.arange(8.0)[1::2]
    layer = th.nn.Linear(2, 3).requires_grad_(False)
    built = Values().build(parse(cloudpickle.dumps([every_second, layer])).value)
    assert built[0].equal(every_second)
    assert built[1].weight.equal(layer.weight)
    assert not built[1].weight.requires_grad


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (3, (2,), (1,)),
        (0, (5,), (0,)),
        (0, (2,), (4,)),
        (-1, (1,), (1,)),
        (0, (2.5,), (1,)),
        (0, (10**6,) * 5, (0,) * 5),
    ],
)
def test_a_tensor_that_reaches_beyond_its_numbers_is_refused(offset: Any, size: Any, stride: Any) -> None:
    with pytest.raises(Unreadable, match="damaged tensor"):
        tensor_of(storage(4), offset, size, stride)


def test_a_tensor_whose_file_would_call_something_is_refused() -> None:
    class Calling:
        def __reduce__(self) -> Any:
            return os.getcwd, ()

    content = io.BytesIO()
    th.save(Calling(), content, _use_new_zipfile_serialization=False)
    with pytest.raises(Unreadable, match=r"damaged tensor.*weights_only"):
        tensor_of(content.getvalue(), 0, (1,), (1,))
