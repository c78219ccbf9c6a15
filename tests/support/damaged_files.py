"""Files that are damaged by chance, and what reading many of them comes to."""

from __future__ import annotations

import collections
import pickletools
import random
import sys
import time
from pathlib import Path
from types import CodeType
from typing import Any

import torch as th

from support.tiny_models import members_of, outcome, pickled_attributes, with_pickled, zip_of

_OPCODES = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]


def mutate(content: bytes, rng: random.Random) -> bytes:
    """One to four random changes of bits, bytes and slices."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        content = rng.choice(_MUTATIONS)(bytearray(content or b"."), rng)
    return content


def _flip_bit(content: bytearray, rng: random.Random) -> bytes:
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(content)


def _set_byte(content: bytearray, rng: random.Random) -> bytes:
    content[rng.randrange(len(content))] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
    return bytes(content)


def _swap_bytes(content: bytearray, rng: random.Random) -> bytes:
    one, two = (rng.randrange(len(content)) for _ in range(2))
    content[one], content[two] = content[two], content[one]
    return bytes(content)


def _truncate(content: bytearray, rng: random.Random) -> bytes:
    return bytes(content[: rng.randrange(len(content))])


def _repeat_slice(content: bytearray, rng: random.Random) -> bytes:
    start, length = rng.randrange(len(content)), rng.randrange(1, 40)
    return bytes(content[:start] + content[start : start + length] * rng.randrange(2, 5) + content[start + length :])


def _delete_slice(content: bytearray, rng: random.Random) -> bytes:
    start = rng.randrange(len(content))
    return bytes(content[:start] + content[start + rng.randrange(1, 40) :])


def _insert_opcodes(content: bytearray, rng: random.Random) -> bytes:
    start = rng.randrange(len(content))
    inserted = b"".join(rng.choice(_OPCODES) for _ in range(rng.randrange(1, 4)))
    return bytes(content[:start]) + inserted + bytes(content[start:])


def _replace_opcode(content: bytearray, rng: random.Random) -> bytes:
    try:
        positions = [position for _, _, position in pickletools.genops(bytes(content))]
    except ValueError:
        return _set_byte(content, rng)
    content[rng.choice(positions)] = ord(rng.choice(_OPCODES))
    return bytes(content)


_MUTATIONS = (
    *(_flip_bit, _set_byte, _swap_bytes, _truncate, _repeat_slice, _delete_slice),
    *(_insert_opcodes, _replace_opcode),
)


def damaged_model(model: bytes, part: str, rng: random.Random) -> bytes:
    """A model of which one part is changed: the zip itself, its JSON, a pickled attribute, or parameters."""
    if part == "zip":
        return mutate(model, rng)
    members = members_of(model)
    if part == "settings":
        return zip_of(members | {"data": mutate(members["data"], rng)})
    if part == "pickles":
        attributes = pickled_attributes(model)
        needed = [name for name in attributes if name in ("policy_class", "observation_space", "action_space")]
        attribute = rng.choice((*needed * 3, *attributes))
        return with_pickled(model, attribute, mutate(attributes[attribute], rng))
    name = rng.choice([name for name in members if name.endswith(".pth")])
    if part == "parameters":
        return zip_of(members | {name: mutate(members[name], rng)})
    inner = members_of(members[name])
    (pickled,) = (member for member in inner if member.endswith("data.pkl"))
    return zip_of(members | {name: zip_of(inner | {pickled: mutate(inner[pickled], rng)})})


_EVENTS = (
    *("pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.mkdir"),
    *("subprocess.Popen", "pty.spawn", "exec", "compile", "ctypes.dlopen", "socket.connect"),
    *("os.remove", "os.rename", "shutil.copyfile", "shutil.rmtree", "tempfile.mkstemp", "tempfile.mkdtemp"),
)


def _imports_a_library(arguments: tuple[Any, ...]) -> bool:
    """Whether code is executed because an installed module is imported for the first time."""
    code = arguments[0] if arguments else None
    return isinstance(code, CodeType) and code.co_filename.startswith((sys.prefix, sys.base_prefix))


def damage_and_read(folder: str, algo: str | None, parts: dict[str, int], seed: int) -> dict[str, Any]:
    """Read many damaged copies of a file; how often each outcome came, and what must not have happened.

    :param algo: of the model ``<algo>.zip`` in the folder; None for the statistics ``PPO.pkl``
    :param parts: what is damaged, and how many times
    """
    original = (Path(folder) / (f"{algo}.zip" if algo else "PPO.pkl")).read_bytes()
    path = Path(folder) / f"damaged {algo} {' '.join(parts)}"
    path.write_bytes(original)
    th.set_num_threads(1)
    assert outcome(path, algo) in ("model", "statistics")  # and imports what it needs
    events: list[str] = []
    watching = False

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event in _EVENTS and not _imports_a_library(arguments):
            events.append(f"{event} {arguments!r:.200}")

    sys.addaudithook(watch)
    counts: collections.Counter[str] = collections.Counter()
    escaped, slowest = [], 0.0
    for part, number in [(part, number) for part, count in parts.items() for number in range(count)]:
        rng = random.Random(f"{algo} {part} {seed} {number}")
        path.write_bytes(mutate(original, rng) if algo is None else damaged_model(original, part, rng))
        start = time.process_time()
        watching = True
        try:
            came = outcome(path, algo)
        except BaseException as error:
            came = f"escaped: {type(error).__name__}: {error}"
        watching = False
        slowest = max(slowest, time.process_time() - start)
        counts[came.partition(":")[0]] += 1
        if came.startswith("escaped"):
            escaped.append(f"{part} {number}: {came}")
    return {"counts": dict(counts), "escaped": escaped, "events": events, "slowest": slowest}
