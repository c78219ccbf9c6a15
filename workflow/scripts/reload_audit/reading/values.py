"""Build values from parsed pickles: arrays, tensors, spaces and containers from numbers, classes by their names.

Besides, objects of classes that the user names or trusts (:mod:`objects`). Nothing else is ever built.
The pickled forms are those of NumPy 1 and 2, gym 0.10 to 0.26 and Gymnasium.
"""

from __future__ import annotations

import collections
import functools
import importlib
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from reload_audit.reading import limits
from reload_audit.reading.by_value import held, mapping_for
from reload_audit.reading.instances import made_by, merged
from reload_audit.reading.objects import PLAIN_OBJECTS, object_of
from reload_audit.reading.pickles import Call, Global, described, hashable
from reload_audit.reading.refusal import Unreadable, refusing
from reload_audit.reading.tensors import tensor_of
from reload_audit.reading.trust import ACTIVATIONS, NESTED_TENSOR, held_as_code, is_trusted

_DTYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|bool|u?int(8|16|32|64)|float(16|32|64))")
_DTYPE_OF_TORCH = re.compile(r"bool|uint8|b?float(16|32|64)|int(8|16|32|64)|complex(64|128)")
_CLASS = re.compile(r"_?[A-Za-z]\w*")
_WITH_ACTIVATIONS = ("torch.nn.functional", "torch._C._nn")

# Where classes may come from that a policy is made of.
_MODULES = "torch.nn.modules"
_LIBRARIES = ("stable_baselines3", "sb3_contrib", _MODULES, "torch.optim")

# Where those are defined; PyTorch's in its inner modules.
_DEFINE_CLASSES = ("stable_baselines3", "sb3_contrib", "torch")


SPACE_ATTRIBUTES = ("low", "high", "dtype", "n", "start", "nvec", "spaces")
"""The attributes that spaces are built from."""


class Values:
    """Builds values out of one parsed pickle.

    :param trusted: packages whose classes may be imported besides those of SB3, sb3-contrib and PyTorch
    :param classes: dotted names of classes that it names or holds as code, each with the one to import instead
    """

    def __init__(self, trusted: Collection[str] = (), classes: Mapping[str, str] | None = None) -> None:
        self._trusted = trusted
        self._classes = classes or {}
        self._built: dict[int, Any] = {}
        self._building: set[int] = set()

    @refusing("damaged pickle")
    def build(self, node: Any) -> Any:
        """The value that a parsed pickle describes.

        :raises Unreadable: there is no rule for something in it, or its numbers do not fit together
        """
        return self._build(node)

    def _build(self, node: Any) -> Any:
        if node is None or isinstance(node, bool | int | float | str | bytes | bytearray):
            return node
        if id(node) in self._built:
            return self._built[id(node)]
        if id(node) in self._building:
            raise Unreadable("damaged pickle: a value that contains itself")
        self._building.add(id(node))
        value = self._compose(node)
        self._building.discard(id(node))
        self._built[id(node)] = value
        return value

    def _compose(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self._build(item) for item in node]
        if isinstance(node, tuple):
            return tuple(self._build(item) for item in node)
        if isinstance(node, set | frozenset):
            return type(node)(hashable(self._build(item)) for item in node)
        if isinstance(node, dict):
            return self._paired(node.items())
        if isinstance(node, Global):
            return self._replacement(str(node)) if str(node) in self._classes else self._named(node)
        if name := held(node):
            if name not in self._classes:
                raise Unreadable(held_as_code([name]))
            return self._replacement(name)
        if isinstance(node, Call) and isinstance(function := made_by(node), Global):
            return self._call(node, function)
        if isinstance(node, Call) and held(node.function):
            return self._object(node, self._build(node.function))
        raise Unreadable(f"nothing is known about {described(node)}")

    def _named(self, name: Global) -> Any:
        """A class, an activation function or a data type of PyTorch."""
        function = name.module in _WITH_ACTIVATIONS and name.name in ACTIVATIONS
        if not function and not (name.module == "torch" and _DTYPE_OF_TORCH.fullmatch(name.name)):
            return self.class_named(name)
        return getattr(importlib.import_module(name.module), name.name)

    def class_named(self, name: Global) -> type:
        """The class that a pickle mentions, imported from SB3, sb3-contrib, PyTorch, NumPy or what the user trusts.

        :raises Unreadable: it is not there, or is no class
        """
        if name.module in ("numpy", "builtins"):
            return _scalar_type(name)
        library = any(f"{name.module}.".startswith(f"{package}.") for package in _LIBRARIES)
        if not _CLASS.fullmatch(name.name) or not (library or is_trusted(name.module, self._trusted)):
            raise Unreadable(f"untrusted_pickle {name}: not a class that a policy is made of")
        try:
            found = getattr(importlib.import_module(name.module), name.name)
        except (ImportError, AttributeError) as error:
            elsewhere = f"if the class is elsewhere now, configure {mapping_for([str(name)])}"
            raise Unreadable(f"needs {name}: {error}; expected a package that is installed; {elsewhere}") from None
        if not isinstance(found, type):
            raise Unreadable(f"untrusted_pickle {name}: expected a class, found {type(found).__name__}")
        home = found.__module__
        if home.partition(".")[0] not in _DEFINE_CLASSES and not is_trusted(home, self._trusted):
            raise Unreadable(f"untrusted_pickle {name}: it is {home}.{found.__qualname__}, only imported there")
        return found

    def _replacement(self, name: str) -> Any:
        """The class or function that the user names for one of this name.

        :raises Unreadable: it cannot be imported, or is neither
        """
        target = self._classes[name]
        module, _, attribute = target.replace(":", ".").rpartition(".")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except Exception as error:  # it is the user's own code
            raise Unreadable(f"classes: {name}: {target} cannot be imported: {type(error).__name__}: {error}") from None
        if not callable(found):
            raise Unreadable(f"classes: {name}: expected {target} to be a class, found {described(found)}")
        return found

    def _call(self, node: Call, function: Global) -> Any:
        if is_space(node):
            return self._space(node, function.name)
        rule = _RULES.get(str(function))
        if rule is not None:
            return rule(self, node)
        if str(function) in self._classes:
            return self._object(node, self._replacement(str(function)))
        if str(function) in PLAIN_OBJECTS:
            return self._object(node, getattr(importlib.import_module(function.module), function.name))
        if is_trusted(function.module, (_MODULES, *self._trusted)):
            return self._object(node, self.class_named(function))
        raise Unreadable(f"nothing is known about a call of {function}")

    def _object(self, node: Call, kind: Any) -> Any:
        """An object of a class that the user names or trusts, or a layer of PyTorch."""
        if not isinstance(kind, type):
            raise Unreadable(f"expected a class whose object is built, found {described(kind)}")
        attributes = {name: self._build(value) for name, value in merged(node.states).items()}
        args, items = self._build(node.args), self._build(node.items)
        name = held(node.function) or str(made_by(node))
        return object_of(kind, name, args or (), attributes, items, self._paired(node.pairs).items())

    def _partial(self, node: Call) -> functools.partial[Any]:
        """``partial(class)``, then the state (class, arguments, keyword arguments, attributes)."""
        function, args, kwargs, _ = _one_state(node)
        made = self._build(function)
        if not isinstance(made, type) and getattr(made, "__name__", "") not in ACTIVATIONS:
            raise Unreadable(f"expected functools.partial of a class, found one of {described(made)}")
        return functools.partial(made, *self._build(args), **self._build(kwargs))

    def _array(self, node: Call) -> np.ndarray:
        """``_reconstruct(ndarray, (0,), b"b")``, then the state (version, shape, dtype, Fortran order, bytes)."""
        state = _one_state(node)
        shape, dtype, fortran, content = state[-4], self._build(state[-3]), state[-2], self._build(state[-1])
        return _shaped(content, dtype, self._build(shape), "F" if fortran else "C")

    def _array_from_buffer(self, node: Call) -> np.ndarray:
        content, dtype, shape, order, *axes = self._build(node.args)
        array = _shaped(content, dtype, shape, order)
        return array.transpose(*axes) if order == "K" and axes else array

    def _dtype(self, node: Call) -> np.dtype:
        code = self._build(node.args[0])
        if isinstance(code, type):
            code = np.dtype(code).str
        if isinstance(code, bytes):
            code = code.decode("ascii")
        if not isinstance(code, str) or not _DTYPE.fullmatch(code):
            raise Unreadable(f"expected an array of plain numbers, found the data type {described(code)}")
        dtype = np.dtype(code)
        if not node.states:
            return dtype
        byte_order, subtype = self._build(_one_state(node)[1]), _one_state(node)[2]
        if subtype is not None or byte_order not in ("<", ">", "|", "="):
            raise Unreadable("expected an array of plain numbers, found a structured data type")
        return dtype if byte_order in "|=" else dtype.newbyteorder(byte_order)

    def _scalar(self, node: Call) -> Any:
        dtype, content = (self._build(part) for part in node.args)
        return _shaped(content, dtype, (), "C")[()]

    def _tensor(self, node: Call) -> Any:
        """``_rebuild_tensor_v2(storage, offset, size, stride, ...)``; hooks on its gradients are left out."""
        storage, offset, size, stride, *_ = node.args
        if (
            not isinstance(storage, Call)
            or str(storage.function) != NESTED_TENSOR
            or not isinstance(storage.args, tuple)
        ):
            raise Unreadable(f"expected the storage of a tensor, found {described(storage)}")
        (content,) = storage.args
        return tensor_of(content, offset, size, stride)

    def _parameter(self, node: Call) -> Any:
        """``_rebuild_parameter(tensor, requires_grad, hooks)``, without the hooks."""
        import torch as th  # as in ``tensors``

        data, requires_grad, _ = node.args
        return th.nn.Parameter(self._build(data), requires_grad=requires_grad is True)

    def _encode(self, node: Call) -> bytes:
        """Bytes as protocols before 3 write them: ``encode(text, "latin1")``."""
        text, encoding = node.args
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise Unreadable(
                f"expected text encoded as latin1, found {described(text)} encoded as {described(encoding)}"
            )
        return text.encode("latin1")

    def _device(self, node: Call) -> Any:
        """A device as PyTorch writes it, by its kind and perhaps its number."""
        import torch as th  # as in ``tensors``

        kind, *number = node.args
        if not isinstance(kind, str) or any(type(index) is not int for index in number):
            raise Unreadable(f"expected a device, found {described(kind)}")
        return th.device(kind, *number)

    def _size(self, node: Call) -> Any:
        import torch as th  # as in ``tensors``

        (sizes,) = self._build(node.args)
        return th.Size([_small(size) for size in sizes])

    def _plain(self, node: Call) -> Any:
        """``range``, ``slice`` and ``complex``, of numbers."""
        numbers = [part if part is None or isinstance(part, float) else _small(part) for part in node.args]
        return {"range": range, "slice": slice, "complex": complex}[node.function.name](*numbers)

    def _default(self, node: Call) -> collections.defaultdict[Any, Any]:
        (factory,) = node.args or (None,)
        kind = factory.name if isinstance(factory, Global) and factory.module == "builtins" else ""
        makes: dict[str, type] = {"list": list, "dict": dict, "set": set, "int": int, "float": float, "str": str}
        if factory is not None and kind not in makes:
            raise Unreadable(f"expected a defaultdict of plain values, found one of {described(factory)}")
        return collections.defaultdict(makes.get(kind), self._paired(node.pairs))

    def _ordered(self, node: Call) -> dict[Any, Any]:
        (pairs,) = node.args or ((),)
        return self._paired([*pairs, *node.pairs])

    def _paired(self, pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
        return {hashable(self._build(key)): self._build(value) for key, value in pairs}

    def _deque(self, node: Call) -> collections.deque[Any]:
        start, *rest = self._build(node.args) or ((),)
        maxlen = rest[0] if rest else None
        return collections.deque([*start, *map(self._build, node.items)], maxlen)

    def _container(self, node: Call) -> Any:
        """``set([...])`` and its kin, as protocols before 4 write them."""
        (content,) = self._build(node.args) or ((),)
        name = node.function.name
        if name in ("bytes", "bytearray") and isinstance(content or b"", str | bytes):
            encoded = content.encode("latin1") if isinstance(content, str) else content or b""
            return encoded if name == "bytes" else bytearray(encoded)
        if not isinstance(content, list | tuple) or name in ("bytes", "bytearray"):
            raise Unreadable(f"expected the content of a {name}, found {described(content)}")
        if name in ("set", "frozenset"):
            content = map(hashable, content)
        return {"set": set, "frozenset": frozenset, "list": list, "tuple": tuple}[name](content)

    def _space(self, node: Call, name: str) -> spaces.Space:
        state = merged(node.states)
        build: Callable[[Any], Any] = self._build
        match name:
            case "Box":
                low, high = build(state["low"]), build(state["high"])
                if not isinstance(low, np.ndarray) or not isinstance(high, np.ndarray):
                    raise Unreadable(f"expected bounds that are arrays, found {described(low)} and {described(high)}")
                return spaces.Box(low, high, dtype=_number_type(build(state.get("dtype")), low.dtype))
            case "Discrete":
                dtype = _number_type(build(state.get("dtype")), np.dtype(np.int64))
                n, start = _choices(build(state["n"])), _integer(build(state.get("start", 0)))
                return spaces.Discrete(n, start=start, **({} if dtype is np.int64 else {"dtype": dtype}))
            case "MultiDiscrete":
                nvec, start = build(state["nvec"]), build(state.get("start"))
                if not _whole_numbers(nvec) or not (start is None or _whole_numbers(start)):
                    raise Unreadable("expected arrays of whole numbers")
                _choices(int(nvec.sum(dtype=np.float64)))
                dtype = _number_type(build(state.get("dtype")), nvec.dtype)
                return spaces.MultiDiscrete(nvec, dtype=dtype, start=start)
            case "MultiBinary":
                n = build(state["n"])
                if isinstance(n, np.ndarray | tuple | list):
                    sizes = [_choices(size) for size in n]
                    _choices(math.prod(sizes))
                    return spaces.MultiBinary(sizes)
                return spaces.MultiBinary(_choices(n))
            case "Dict":
                return spaces.Dict(collections.OrderedDict(build(state["spaces"])))  # a plain one would be sorted
            case "Tuple":
                return spaces.Tuple(tuple(build(state["spaces"])))
        raise Unreadable(f"nothing is known about the space {name}")


_RULES: dict[str, Callable[[Values, Call], Any]] = {
    **{f"numpy.{core}.multiarray._reconstruct": Values._array for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": Values._array_from_buffer for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": Values._scalar for core in ("core", "_core")},
    "numpy.dtype": Values._dtype,
    "_codecs.encode": Values._encode,
    "torch._utils._rebuild_tensor_v2": Values._tensor,
    "torch._utils._rebuild_parameter": Values._parameter,
    "collections.OrderedDict": Values._ordered,
    "collections.deque": Values._deque,
    "collections.defaultdict": Values._default,
    "functools.partial": Values._partial,
    "torch.device": Values._device,
    "torch.Size": Values._size,
    **{f"builtins.{kind}": Values._plain for kind in ("range", "slice", "complex")},
    **{f"builtins.{kind}": Values._container for kind in ("set", "frozenset", "list", "tuple", "bytes", "bytearray")},
}


def _one_state(node: Call) -> Any:
    if len(node.states) != 1 or not isinstance(node.states[0], tuple):
        raise Unreadable(f"damaged pickle: {described(node)} without its content")
    return node.states[0]


def _shaped(content: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    if isinstance(content, str):
        content = content.encode("latin1")
    if not isinstance(content, bytes | bytearray) or not isinstance(dtype, np.dtype):
        raise Unreadable("expected an array of plain numbers")
    sizes = shape if isinstance(shape, tuple | list) else (shape,)
    if len(sizes) > limits.DIMENSIONS or not all(
        isinstance(size, int) and 0 <= size < limits.ARRAY_SIZE for size in sizes
    ):
        raise Unreadable(f"expected an array's shape, found {', '.join(map(described, sizes[:8]))}")
    if math.prod(sizes) * dtype.itemsize != len(content):
        raise Unreadable(f"damaged array: {len(content)} bytes for the shape {tuple(sizes)} of {dtype}")
    array: np.ndarray = np.ndarray(sizes, dtype, bytes(content), order="F" if order == "F" else "C")
    return array.astype(dtype.newbyteorder("="))  # a copy, to be written to


def _scalar_type(name: Global) -> type:
    kinds: dict[str, type] = {"bool": bool, "int": int, "float": float, "bool_": np.bool_}
    if name.name in kinds:
        return kinds[name.name]
    if name.module == "numpy" and _DTYPE.fullmatch(name.name):
        return np.dtype(name.name).type
    raise Unreadable(f"nothing is known about {name}")


def _number_type(dtype: Any, default: np.dtype) -> Any:
    """A space's data type, which gym pickles as a class, Gymnasium as a ``dtype``, and some versions not at all."""
    if not (
        dtype is None or isinstance(dtype, np.dtype) or (isinstance(dtype, type) and issubclass(dtype, np.generic))
    ):
        raise Unreadable(f"expected a data type, found {described(dtype)}")
    return np.dtype(default if dtype is None else dtype).type


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise Unreadable(f"expected a whole number, found {described(value)}")
    return int(value)


def _small(value: Any) -> int:
    number = _integer(value)
    if abs(number) > limits.ARRAY_SIZE:
        raise Unreadable(f"expected a number of at most {limits.ARRAY_SIZE:,}, found {described(number)}")
    return number


def _choices(value: Any) -> int:
    """A number of actions or categories, bounded because networks have weights for each of them."""
    number = _integer(value)
    if not 0 < number <= limits.CHOICES:
        raise Unreadable(f"expected a space of 1 to {limits.CHOICES:,} choices, found {described(number)}")
    return number


def _whole_numbers(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "iu"


def is_space(node: Call) -> bool:
    """Whether a call makes a space of gym or Gymnasium."""
    function = made_by(node)
    return isinstance(function, Global) and function.module.startswith(("gym.spaces.", "gymnasium.spaces."))
