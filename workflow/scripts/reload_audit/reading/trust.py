"""Which names a saved file may mention. Nothing that it mentions is called: see ``pickles``."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Collection, Iterator

from reload_audit.reading import limits
from reload_audit.reading.by_value import held, mapping_for
from reload_audit.reading.pickles import Global, Parsed
from reload_audit.reading.refusal import Unreadable, refusing
from reload_audit.reading.tensors import pickles_of_tensors

_CLASS_NAME = re.compile(r"_?[A-Z]\w*")
_CONSTANT = re.compile(r"[A-Z][A-Z0-9_]*")

# Packages whose classes may be mentioned: what models, policies, spaces and optimizers are made of.
_PACKAGES_OF_CLASSES = (
    "stable_baselines3",
    "sb3_contrib",
    "gymnasium.spaces",
    "gym.spaces",
    "torch.nn.modules",
    "torch.optim",
)

_NUMPY_CORE = {
    "multiarray": {"_reconstruct", "scalar"},
    "numeric": {"_frombuffer"},
}

ACTIVATIONS = {
    *("celu", "elu", "gelu", "glu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "log_softmax"),
    *("logsigmoid", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "softmax", "softmin", "softplus", "softshrink"),
    *("softsign", "tanh", "tanhshrink", "threshold"),
}
"""Functions of PyTorch that a network may be given as its activation."""

_NAMES: dict[str, set[str]] = {
    "builtins": {
        *("bool", "int", "float", "complex", "str", "bytes", "bytearray", "list", "tuple", "dict", "set", "frozenset"),
        *("object", "slice", "range", "type"),
    },
    "collections": {"OrderedDict", "deque", "defaultdict"},
    "copyreg": {"_reconstructor"},
    "_codecs": {"encode"},
    "abc": {"ABCMeta"},
    "argparse": {"Namespace"},
    "types": {"SimpleNamespace"},
    "numpy": {
        *("ndarray", "dtype", "bool_", "bool", "float16", "float32", "float64", "uint8", "uint16", "uint32", "uint64"),
        *("int8", "int16", "int32", "int64"),
    },
    **{f"numpy.{core}.{module}": names for core in ("core", "_core") for module, names in _NUMPY_CORE.items()},
    "numpy.random._pickle": {"__randomstate_ctor", "__generator_ctor", "__bit_generator_ctor"},
    "numpy.random._mt19937": {"MT19937", "__pyx_unpickle_MT19937"},
    "numpy.random._pcg64": {"PCG64", "PCG64DXSM"},
    "numpy.random._philox": {"Philox"},
    "numpy.random._sfc64": {"SFC64"},
    "numpy.random._generator": {"Generator"},
    "numpy.random.mtrand": {"RandomState"},
    "numpy.random.bit_generator": {"SeedSequence", "__pyx_unpickle_SeedSequence"},
    "gym.utils.seeding": {"RandomNumberGenerator", "RandomNumberGenerator._generator_ctor"},
    "torch": {
        *("Tensor", "Size", "device", "float16", "float32", "float64", "bfloat16", "int8", "int16", "int32", "int64"),
        *("uint8", "bool", "complex64", "complex128"),
        *("FloatStorage", "DoubleStorage", "HalfStorage", "BFloat16Storage", "LongStorage", "IntStorage"),
        *("ByteStorage", "BoolStorage"),
    },
    **dict.fromkeys(("torch.nn.functional", "torch._C._nn"), ACTIVATIONS),
    "torch._utils": {"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter"},
    "torch.storage": {"_load_from_bytes", "TypedStorage", "UntypedStorage"},
}

# Classes that run what they are given as soon as they are set up.
_NEVER = {"CloudpickleWrapper"}

_MEMBER = "builtins.getattr"
"""How Python 3.11.0 to 3.11.3 write a member of an enumeration: ``getattr(TrainFrequencyUnit, "STEP")``."""

_PARTIAL = "functools.partial"
"""How activation functions are given arguments: ``partial(LeakyReLU, 0.2)``."""

NESTED_TENSOR = "torch.storage._load_from_bytes"
"""How a pickle holds the storage of a tensor: as the content of a whole file of ``torch.save``."""

# Installed with this audit. Whoever trusts one of them lets a file name whatever there is in it.
_LIBRARIES = ("numpy", "torch", "stable_baselines3", "sb3_contrib", "gymnasium", "gym", "cloudpickle", "reload_audit")


@refusing("damaged pickle")
def refuse_untrusted(parsed: Parsed, trusted: Collection[str], classes: Collection[str] = ()) -> None:
    """Refuse a pickle that mentions a name which is neither on this module's lists nor of a trusted package.

    :param trusted: packages and modules that the user trusts
    :param classes: dotted names for which the user names classes to be used instead
    :raises Unreadable: with the first name that is not on the list
    """
    found = unknown_name(parsed, trusted, classes)
    if found is not None:
        raise Unreadable(_refusal(found))


@refusing("damaged pickle")
def unknown_name(parsed: Parsed, trusted: Collection[str], classes: Collection[str] = ()) -> Global | None:
    """The first name in a pickle, and in the tensors inside it, for which :func:`refuse_untrusted` refuses it."""
    for found in _all_names(parsed):
        if _is_known(found) or is_trusted(found.module, trusted) or str(found) in classes:
            continue
        if str(found) == _MEMBER and _is_of_members_only(parsed):
            continue
        if str(found) == _PARTIAL and _is_of_classes_only(parsed):
            continue
        return found
    return None


def running_names(parsed: Parsed) -> tuple[str, ...]:
    """Names in a pickle that programs are run, code is executed and files are written by, when it is unpickled.

    It is no complete list of them, which there cannot be: what is on it is worth a warning.
    """
    with contextlib.suppress(Unreadable):
        found = (str(name) for name in _all_names(parsed) if _runs_something(name))
        return tuple(dict.fromkeys(name[: limits.LONGEST_NAME] for name in found))
    return ()


def _runs_something(name: Global) -> bool:
    module, package = name.module, name.module.partition(".")[0]
    return package in _RUNNING_PACKAGES or (module == "builtins" and name.name in _RUNNING_BUILTINS)


_RUNNING_PACKAGES = {
    *("os", "posix", "nt", "subprocess", "pty", "shutil", "runpy", "importlib", "ctypes", "marshal", "pickle"),
    *("_pickle", "socket", "code", "codeop", "timeit", "cProfile", "profile", "pdb", "bdb", "webbrowser", "urllib"),
    *("http", "sys"),
}
_RUNNING_BUILTINS = {"eval", "exec", "compile", "open", "__import__", "breakpoint", "input"}


def is_trusted(module: str, trusted: Collection[str]) -> bool:
    """Whether the user trusts the package that a module belongs to. To import a ``__main__`` is to run a program."""
    return "__main__" not in module.split(".") and _in_packages(module, trusted)


def can_be_trusted(module: str) -> bool:
    """Whether a module may be one's own, so that one can be advised to trust its package.

    Python's own modules and the libraries never are: they start programs, open files and import by name. Nor is the
    script that trained a model: it is not here. A package's ``__main__`` is never imported.
    """
    package = module.partition(".")[0]
    is_program = "__main__" in module.split(".")
    return not is_program and package not in _LIBRARIES and package not in sys.stdlib_module_names


def _all_names(parsed: Parsed) -> Iterator[Global]:
    """The names in a pickle, and in the pickles inside it: each tensor in it is a whole file of ``torch.save``."""
    yield from parsed.names
    tensors = {}
    for call in parsed.calls:
        if isinstance(call.function, Global) and str(call.function) == NESTED_TENSOR:
            match call.args:
                case (bytes() as content,):
                    tensors[id(content)] = content  # the same file may be loaded any number of times
                case _:
                    raise Unreadable(f"damaged pickle: {NESTED_TENSOR} without a file")
    if len(tensors) > limits.NESTED_TENSORS:
        raise Unreadable(f"damaged pickle: more than {limits.NESTED_TENSORS} tensors inside it")
    for content in tensors.values():
        for pickled in pickles_of_tensors(content, limits.TENSOR_INSTRUCTIONS):
            if any(str(name) == NESTED_TENSOR for name in pickled.names):
                raise Unreadable("damaged pickle: tensors inside tensors")
            yield from pickled.names


def _is_known(found: Global) -> bool:
    if found.name in _NAMES.get(found.module, ()):
        return True
    of_class = _CLASS_NAME.fullmatch(found.name) is not None and found.name not in _NEVER
    return of_class and _in_packages(found.module, _PACKAGES_OF_CLASSES)


def _is_of_members_only(parsed: Parsed) -> bool:
    """Whether ``getattr`` is asked for nothing but constants of classes, which must themselves be known."""
    asked = [call.args for call in parsed.calls if isinstance(call.function, Global) and str(call.function) == _MEMBER]
    return bool(asked) and all(
        len(args) == 2 and isinstance(args[0], Global) and isinstance(args[1], str) and _CONSTANT.fullmatch(args[1])
        for args in asked
    )


def _is_of_classes_only(parsed: Parsed) -> bool:
    """Whether ``functools.partial`` is given nothing but what has a name, which must be known or mapped."""
    made = [call for call in parsed.calls if isinstance(call.function, Global) and str(call.function) == _PARTIAL]
    return bool(made) and all(
        isinstance(call.args, tuple)
        and len(call.args) == 1
        and (isinstance(call.args[0], Global) or held(call.args[0]))
        and all(isinstance(state, tuple) and state[:1] == call.args for state in call.states)
        for call in made
    )


def _in_packages(module: str, packages: Collection[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def held_as_code(names: Collection[str]) -> str:
    """The message about classes and functions that a pickle holds as code: what to configure, for all of them."""
    found = ", ".join(dict.fromkeys(name[: limits.LONGEST_NAME] for name in names))
    return (
        f"untrusted_pickle {found}: held as code by cloudpickle, which is never executed; move it into a module in a "
        f"folder of python_path, and configure {mapping_for(names)}"
    )


def _refusal(found: Global) -> str:
    name, package = str(found)[: limits.LONGEST_NAME], found.module.partition(".")[0]
    if _in_packages(found.module, ("cloudpickle",)):
        return f"untrusted_pickle {name}: it holds a function or class as code, which is never executed"
    if can_be_trusted(found.module):
        return f"untrusted_pickle {name}; if it is yours, add {package[:80]!r} to trust"
    if package == "__main__":
        said = "it was in the script that saved the model: move it into a module that can be imported, and configure"
        return f"untrusted_pickle {name}; {said} {mapping_for([name])}"
    return f"untrusted_pickle {name}; no model needs it, and it is never trusted: save the model without it"
