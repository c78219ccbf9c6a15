"""Pickles that would execute something if they were unpickled.

Each would create one file, its marker. Most are written opcode by opcode, as an attacker would.
"""

from __future__ import annotations

import collections
import functools
import io
import marshal
import os
import pickle
import pickletools
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import torch as th
from stable_baselines3 import PPO

from support.tiny_models import with_pickled


@dataclass(frozen=True)
class Hostile:
    """A pickle, and how a refusal must name what it does.

    :param live: whether plain unpickling creates the marker; the others want a helper, or are not reached
    """

    pickled: bytes
    named: str
    live: bool = True


class Reduced:
    """An object whose pickle, when unpickled, makes a call and gives its outcome."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def _name(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def global_of(dotted: str) -> bytes:
    """The instruction that looks up a dotted name."""
    module, _, name = dotted.rpartition(".")
    return _name(module, name)


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text.encode())) + text.encode()


def _stack_name(module: bytes, name: bytes) -> bytes:
    return module + name + b"\x93"


def _tuple(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def _list(*items: bytes) -> bytes:
    return b"](" + b"".join(items) + b"e"


def _bytes(content: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(content)) + content


def _call(function: bytes, *arguments: bytes) -> bytes:
    return function + _tuple(*arguments) + b"R"


def _new(kind: bytes, *arguments: bytes) -> bytes:
    return kind + _tuple(*arguments) + b"\x81"


def _plain(value: Any) -> bytes:
    return pickle.dumps(value, 2)[2:-1]


def _whole(body: bytes, protocol: int = 4) -> bytes:
    return b"\x80" + bytes([protocol]) + body + b"."


def hostile_pickles(marker: Path) -> dict[str, Hostile]:
    """Pickles by name, each of which would create ``marker``."""
    shell, code = f"touch {marker}", f"open({str(marker)!r}, 'w').close()"
    return {
        **_of_calls(shell, code, marker),
        **_of_nested_files(shell),
        **_of_code(code, marker),
        **_of_opcodes(shell, code),
    }


def _of_calls(shell: str, code: str, marker: Path) -> dict[str, Hostile]:
    """Calls of functions of the standard library and other packages that execute code."""
    path, command, program = _text(str(marker)), _text(shell), _text(code)
    words = _list(*map(_text, shell.split()))
    system, run = _name("os", "system"), _name("subprocess", "run")
    imported = _call(_name("builtins", "__import__"), _text("os"))
    mapped = _call(_name("builtins", "map"), system, _list(command))
    calls = {
        "os.system": _call(system, command),
        "posix.system": _call(_name("posix", "system"), command),
        "os.popen": _call(_name("os", "popen"), command),
        "posix.posix_spawnp": _call(_name("posix", "posix_spawnp"), _text("touch"), words, b"}"),
        "posix.mkdir": _call(_name("posix", "mkdir"), path),
        "pty.spawn": _call(_name("pty", "spawn"), words),
        **{
            f"subprocess.{name}": _call(_name("subprocess", name), words)
            for name in ("Popen", "call", "check_call", "check_output", "run")
        },
        "subprocess.getoutput": _call(_name("subprocess", "getoutput"), command),
        "builtins.eval": _call(_name("builtins", "eval"), program),
        "builtins.exec": _call(_name("builtins", "exec"), program),
        "builtins.compile": _call(
            _name("builtins", "exec"), _call(_name("builtins", "compile"), program, _text("x"), _text("exec"))
        ),
        "builtins.__import__": _call(_call(_name("builtins", "getattr"), imported, _text("system")), command),
        "builtins.open": _call(_name("builtins", "open"), path, _text("w")),
        "builtins.map": _call(_name("builtins", "list"), mapped),
        "builtins.filter": _call(_name("builtins", "list"), _call(_name("builtins", "filter"), system, _list(command))),
        "importlib.import_module": _call(
            _call(
                _name("builtins", "getattr"), _call(_name("importlib", "import_module"), _text("os")), _text("system")
            ),
            command,
        ),
        "runpy._run_code": _call(_name("runpy", "_run_code"), program, b"}"),
        "timeit.timeit": _call(_name("timeit", "timeit"), program, _text("0"), _name("time", "perf_counter"), b"K\x01"),
        "cProfile.run": _call(_name("cProfile", "run"), program),
        "numpy.f2py.crackfortran.myeval": _call(_name("numpy.f2py.crackfortran", "myeval"), program),
        "gymnasium.envs.registration.load_env_creator": _call(
            _call(_name("gymnasium.envs.registration", "load_env_creator"), _text("os:system")), command
        ),
        "shutil.copyfile": _call(_name("shutil", "copyfile"), _text("/dev/null"), path),
        "logging.FileHandler": _call(_name("logging", "FileHandler"), path),
        "zipfile.ZipFile": _call(_name("zipfile", "ZipFile"), path, _text("w")),
        "numpy.savetxt": _call(_name("numpy", "savetxt"), path, _list(b"K\x01")),
        "numpy.memmap": _call(_name("numpy", "memmap"), path, _text("uint8"), _text("w+"), b"K\x00", _tuple(b"K\x01")),
        "torch.save": _call(_name("torch", "save"), b"}", path),
        "functools.partial": _call(_call(_name("functools", "partial"), system, command)),
        "operator.attrgetter": _call(_call(_call(_name("operator", "attrgetter"), _text("system")), imported), command),
        "operator.methodcaller": _call(_call(_name("operator", "methodcaller"), _text("system"), command), imported),
        "copyreg._reconstructor": _call(
            _name("copyreg", "_reconstructor"), _name("subprocess", "Popen"), _name("subprocess", "Popen"), words
        ),
        "numpy.core.multiarray._reconstruct": _call(
            _name("numpy.core.multiarray", "_reconstruct"), _call(system, command), _tuple(b"K\x00"), b"C\x01b"
        ),
        "numpy._core.multiarray._reconstruct": _call(
            _name("numpy._core.multiarray", "_reconstruct"),
            _name("subprocess", "Popen"),
            _tuple(_call(run, words)),
            b"N",
        ),
        "numpy.dtype": _call(_name("numpy", "dtype"), _call(system, command)),
        "collections.deque": _call(_name("collections", "deque"), mapped),
        "collections.OrderedDict": _call(_name("collections", "OrderedDict"), _list(_tuple(_call(run, words), b"N"))),
        "torch._utils._rebuild_tensor_v2": _call(_name("torch._utils", "_rebuild_tensor_v2"), _call(system, command)),
    }
    first_foreign = {
        "builtins.compile": "builtins.exec",
        "builtins.__import__": "builtins.getattr",
        "builtins.map": "builtins.map",
        "importlib.import_module": "builtins.getattr",
        "copyreg._reconstructor": "subprocess.Popen",
        "numpy.core.multiarray._reconstruct": "os.system",
        "numpy._core.multiarray._reconstruct": "subprocess.Popen",
        "numpy.dtype": "os.system",
        "collections.deque": "builtins.map",
        "collections.OrderedDict": "subprocess.run",
        "torch._utils._rebuild_tensor_v2": "os.system",
    }
    return {name: Hostile(_whole(body), first_foreign.get(name, name)) for name, body in calls.items()}


def _of_nested_files(shell: str) -> dict[str, Hostile]:
    """Pickles that hold another pickle, or a file of ``torch.save``, and load it."""
    inner = pickle.dumps(Reduced(os.system, shell))
    zipped, legacy = (io.BytesIO() for _ in range(2))
    th.save(Reduced(os.system, shell), zipped)
    th.save(Reduced(os.system, shell), legacy, _use_new_zipfile_serialization=False)
    from_bytes = _name("torch.storage", "_load_from_bytes")
    chain = inner
    for _ in range(5):
        chain = _whole(_call(_name("_pickle", "loads"), _bytes(chain)))
    wrapper = _name("stable_baselines3.common.vec_env.base_vec_env", "CloudpickleWrapper")
    trusting = functools.partial(th.load, weights_only=False)
    return {
        "pickle.loads": Hostile(_whole(_call(_name("pickle", "loads"), _bytes(inner))), "pickle.loads"),
        "cloudpickle.loads": Hostile(_whole(_call(_name("cloudpickle", "loads"), _bytes(inner))), "cloudpickle.loads"),
        "a chain of pickles": Hostile(chain, "_pickle.loads"),
        "torch.load": Hostile(
            pickle.dumps(Reduced(trusting, io.BytesIO(zipped.getvalue()))), "torch.serialization.load"
        ),
        "tensors, zipped": Hostile(_whole(_call(from_bytes, _bytes(zipped.getvalue()))), "posix.system"),
        "tensors, legacy": Hostile(_whole(_call(from_bytes, _bytes(legacy.getvalue()))), "posix.system"),
        "CloudpickleWrapper": Hostile(_whole(_new(wrapper) + _bytes(inner) + b"b"), "CloudpickleWrapper"),
    }


def _of_code(code: str, marker: Path) -> dict[str, Hostile]:
    """Pickles that carry code by value, as cloudpickle does."""
    compiled, path = compile(code, "x", "exec"), str(marker)

    def touch(*_: Any) -> float:
        open(path, "w").close()
        return 0.001

    class TouchesOnSetState:
        def __init__(self) -> None:
            self.state = 1

        def __setstate__(self, _: Any) -> None:
            touch()

    function = _call(
        _name("types", "FunctionType"), _call(_name("marshal", "loads"), _bytes(marshal.dumps(compiled))), b"}"
    )
    fields = (
        *(0, 0, 0, compiled.co_nlocals, compiled.co_stacksize, compiled.co_flags, compiled.co_code, compiled.co_consts),
        *(compiled.co_names, (), "x", "x", "x", 1, compiled.co_linetable, compiled.co_exceptiontable, (), ()),
    )
    built = _call(_name("types", "CodeType"), *(pickle.dumps(field, 3)[2:-1] for field in fields))
    return {
        "types.FunctionType": Hostile(_whole(_call(function)), "types.FunctionType"),
        "types.CodeType": Hostile(_whole(_call(_name("builtins", "exec"), built)), "builtins.exec"),
        "a function, called": Hostile(cloudpickle.dumps(Reduced(touch)), "cloudpickle"),
        "a function": Hostile(cloudpickle.dumps(touch), "cloudpickle", live=False),
        "a lambda": Hostile(cloudpickle.dumps(lambda *_: touch()), "cloudpickle", live=False),
        "a class": Hostile(cloudpickle.dumps(TouchesOnSetState), "cloudpickle", live=False),
        "an object of such a class": Hostile(cloudpickle.dumps(TouchesOnSetState()), "cloudpickle"),
        "a partial": Hostile(cloudpickle.dumps(functools.partial(touch)), "cloudpickle", live=False),
        "an array of objects": Hostile(
            pickle.dumps(np.array([Reduced(os.system, f"touch {marker}")], dtype=object)), "posix.system"
        ),
        "an object in an object in an object": Hostile(
            pickle.dumps([{"a": (collections.deque([Reduced(os.system, f"touch {marker}")]),)}]), "posix.system"
        ),
    }


def _of_opcodes(shell: str, code: str) -> dict[str, Hostile]:
    """Every way in which opcodes of pickle can import a name and call it."""
    command, system = _text(shell), _name("os", "system")
    module, name = _text("os"), _text("system")
    map_lazily = _new(_name("builtins", "map"), system, _list(command))
    moments = _name("stable_baselines3.common.running_mean_std", "RunningMeanStd")
    set_state = b"}" + _text("__setstate__") + system + b"s"
    by_dots = {
        "dots: SB3": ("stable_baselines3.common.save_util", "os.system"),
        "dots: torch": ("torch", "os.system"),
        "dots: numpy": ("numpy", "testing._private.utils.os.system"),
        "dots: builtins": ("builtins", "object.__class__.__call__"),
    }
    fetched = module + b"q\x00" + name + b"q\x01" + b"00" + _stack_name(b"h\x00", b"h\x01")
    overwritten = _name("collections", "OrderedDict") + b"q\x000" + system + b"q\x000"
    listed = _call(_name("builtins", "str"), name)
    return {
        **{
            f"protocol {protocol}": Hostile(pickle.dumps(Reduced(os.system, shell), protocol), "posix.system")
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
        },
        **{
            label: Hostile(
                _whole(_call(_stack_name(_text(names[0]), _text(names[1])), command)),
                f"{names[0]}.{names[1]}",
                live=label != "dots: builtins",
            )
            for label, names in by_dots.items()
        },
        "memo: names": Hostile(_whole(_call(fetched, command)), "os.system"),
        "memo: overwritten": Hostile(_whole(overwritten + _call(b"h\x00", command)), "os.system"),
        "memo: far away": Hostile(
            _whole(system + b"r\xff\xff\x00\x000" + _call(b"j\xff\xff\x00\x00", command)), "os.system"
        ),
        "memo: memoized": Hostile(_whole(system + b"\x940" + _call(b"h\x00", command)), "os.system"),
        "a name twice": Hostile(
            _whole(_call(_text("timeit") + b"2\x93", _text(code), _text("0"), _name("time", "perf_counter"), b"K\x01")),
            "timeit.timeit",
        ),
        "a computed name": Hostile(_whole(_call(_stack_name(module, listed), command)), "computes the name"),
        "a computed module": Hostile(
            _whole(_call(_stack_name(_call(_name("builtins", "str"), module), name), command)), "computes the name"
        ),
        "INST": Hostile(b"(" + command + b"ios\nsystem\n.", "os.system"),
        "OBJ": Hostile(b"(" + system + command + b"o.", "os.system"),
        "NEWOBJ": Hostile(_whole(_new(_name("builtins", "bytes"), map_lazily)), "builtins.map"),
        "NEWOBJ_EX": Hostile(_whole(_name("builtins", "tuple") + _tuple(map_lazily) + b"}\x92"), "builtins.map"),
        "BUILD": Hostile(_whole(_new(moments) + set_state + b"b" + command + b"b"), "os.system"),
        "BUILD on a class": Hostile(
            _whole(moments + b"N" + set_state + b"\x86b0" + _new(moments) + command + b"b"), "RunningMeanStd"
        ),
        "EXT1": Hostile(_whole(_call(b"\x82\x01", command)), "EXT1", live=False),
        "EXT2": Hostile(_whole(_call(b"\x83\x01\x01", command)), "EXT2", live=False),
        "EXT4": Hostile(_whole(_call(b"\x84\x01\x01\x00\x00", command)), "EXT4", live=False),
        "PERSID": Hostile(b"Pos.system\n(" + command + b"tR.", "", live=False),
        "BINPERSID": Hostile(_whole(_call(system + b"Q", command)), "os.system", live=False),
        "NEXT_BUFFER": Hostile(_whole(_call(b"\x97", command), 5), "NEXT_BUFFER", live=False),
        "Python 2: eval": Hostile(_whole(_call(_name("__builtin__", "eval"), _text(code)), 2), "builtins.eval"),
        "Python 2: commands": Hostile(
            _whole(_call(_name("commands", "getoutput"), command), 2), "subprocess.getoutput"
        ),
        "Python 2: copy_reg": Hostile(
            _whole(
                _call(
                    _name("copy_reg", "_reconstructor"),
                    *[_name("subprocess", "Popen")] * 2,
                    _list(*map(_text, shell.split())),
                ),
                2,
            ),
            "subprocess.Popen",
        ),
        "a second pickle behind the first": Hostile(b"N." + _whole(_call(system, command)), "", live=False),
        "popped from the stack": Hostile(_whole(_call(system, command) + b"0N"), "os.system"),
        "popped with a mark": Hostile(_whole(b"(" + _call(system, command) + b"1N"), "os.system"),
        "as a key": Hostile(_whole(b"}" + _call(system, command) + b"Ns"), "os.system"),
        "in a frozen set": Hostile(_whole(b"(" + _call(system, command) + b"\x91"), "os.system"),
    }


def live_ones(folder: str) -> list[str]:
    """Names of hostile pickles that do create their marker when unpickled, each in a process of its own."""
    marker = Path(folder) / "marker"
    return [
        name for name, hostile in hostile_pickles(marker).items() if _creates(marker, pickle.loads, hostile.pickled)
    ]


def live_in_models(folder: str, model: bytes, places: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those of the hostile pickles that create their marker when SB3 loads a model that holds them in an attribute."""
    marker, path = Path(folder) / "marker", Path(folder) / "hostile.zip"
    th.set_num_threads(1)
    path.write_bytes(model)
    PPO.load(path)  # imports what it needs
    hostile = hostile_pickles(marker)
    found = []
    for attribute, name in places:
        path.write_bytes(with_pickled(model, attribute, hostile[name].pickled))
        if _creates(marker, PPO.load, path):
            found.append((attribute, name))
    return found


def _creates(marker: Path, function: Callable[..., Any], *arguments: Any) -> bool:
    child = os.fork()
    if child == 0:
        silent = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(silent, descriptor)
        try:
            function(*arguments)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    for _ in range(5):
        if marker.exists():
            break
        time.sleep(0.02)  # a process that was started and not waited for
    exists = marker.exists()
    if exists:
        marker.rmdir() if marker.is_dir() else marker.unlink()
    return exists


def with_observation_moments(statistics: bytes, pickled: bytes) -> bytes:
    """A copy of a saved VecNormalize whose ``obs_rms`` is what a pickle gives."""
    *_, (_, _, end) = pickletools.genops(pickled)
    state = vars(pickle.loads(statistics))
    others = {name: value for name, value in state.items() if name not in ("venv", "obs_rms")}
    made = _new(_name("stable_baselines3.common.vec_env.vec_normalize", "VecNormalize"))
    return _whole(made + b"}" + _text("obs_rms") + pickled[:end] + b"sb" + _plain(others) + b"b")
