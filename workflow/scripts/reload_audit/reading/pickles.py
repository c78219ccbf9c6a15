"""Parse a pickle into plain values, without importing or calling anything it names.

Where a pickle would import something there is a :class:`Global`, where it would call something a :class:`Call`: notes
of what it says, which nobody acts on. Opcodes are those of Python's ``pickletools``, protocols 0 to 5.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

MAX_OPCODES = 1_000_000


class Unreadable(ValueError):
    """A saved file cannot be used; the message says why."""


@dataclass(eq=False, frozen=True)
class Global:
    """Something that would be imported: ``name`` in ``module``."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Call:
    """Something that would be called, and what would be done with the result.

    :param function: mostly a :class:`Global`; in abused pickles anything
    :param args: what it would be given
    :param states: what would be set on the result
    :param items: what would be appended, or added, to it
    :param pairs: what would be stored in it by key
    """

    function: Any
    args: Any
    kwargs: Any = None
    states: list[Any] = field(default_factory=list)
    items: list[Any] = field(default_factory=list)
    pairs: list[tuple[Any, Any]] = field(default_factory=list)


@dataclass(eq=False, frozen=True)
class PersistentId:
    """Something kept outside the pickle, such as the storage of a tensor."""

    pid: Any


@dataclass(frozen=True)
class Parsed:
    """What a pickle says.

    :param value: plain values with :class:`Global`, :class:`Call` and :class:`PersistentId` in them
    :param names: everything it would import, in its own order, also where the value does not show it
    :param calls: everything it would call, likewise
    :param end: number of bytes that were read; another pickle may follow
    """

    value: Any
    names: tuple[Global, ...]
    calls: tuple[Call, ...]
    end: int


def parse(content: bytes) -> Parsed:
    """Parse one pickle, from the beginning of ``content``.

    :raises Unreadable: it is truncated, damaged, absurdly long, or uses what no saved model needs
    """
    parser = _Parser()
    end = 0
    try:
        for number, (opcode, argument, position) in enumerate(pickletools.genops(content)):
            if number >= MAX_OPCODES:
                raise Unreadable(f"pickle of more than {MAX_OPCODES:,} instructions")
            parser.do(opcode.name, argument)
            end = (position or 0) + 1
    except Unreadable:
        raise
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, struct.error) as error:
        raise Unreadable(f"damaged pickle: {error or type(error).__name__}") from None
    if not parser.finished:
        raise Unreadable("damaged pickle: it ends too early")
    return Parsed(parser.result, tuple(parser.names), tuple(parser.calls), end)


class _Parser:
    """A pickle machine whose stack holds values and notes."""

    def __init__(self) -> None:
        self.result: Any = None
        self.finished = False
        self.names: list[Global] = []
        self.calls: list[Call] = []
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def do(self, opcode: str, argument: Any) -> None:
        if opcode in _CONSTANTS:
            self._stack.append(_CONSTANTS[opcode]())
        elif opcode in _LITERALS:
            self._stack.append(argument)
        elif opcode not in _IGNORED:
            instruction = getattr(self, f"_{opcode.lower()}", None)
            if instruction is None:
                raise Unreadable(f"pickle with the instruction {opcode}, which no saved model needs")
            instruction(argument)

    # Stack and memo

    def _mark(self, _: Any) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def _to_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._marks.pop()
        return items

    def _pop(self, _: Any) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._to_mark()

    def _pop_mark(self, _: Any) -> None:
        self._to_mark()

    def _dup(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    def _put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    _binput = _long_binput = _put

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _get(self, index: int) -> None:
        self._stack.append(self._memo[index])

    _binget = _long_binget = _get

    def _stop(self, _: Any) -> None:
        self.result = self._stack.pop()
        self.finished = True

    # Containers

    def _list(self, _: Any) -> None:
        items = self._to_mark()  # changes which stack is in use
        self._stack.append(items)

    def _tuple(self, _: Any) -> None:
        items = self._to_mark()
        self._stack.append(tuple(items))

    def _tuple1(self, _: Any) -> None:
        self._stack.append((self._stack.pop(),))

    def _tuple2(self, _: Any) -> None:
        self._stack[-2:] = [(self._stack[-2], self._stack[-1])]

    def _tuple3(self, _: Any) -> None:
        self._stack[-3:] = [(self._stack[-3], self._stack[-2], self._stack[-1])]

    def _dict(self, _: Any) -> None:
        items = self._to_mark()
        self._stack.append({})
        self._store(items)

    def _frozenset(self, _: Any) -> None:
        items = self._to_mark()
        self._stack.append(frozenset(map(_key, items)))

    def _append(self, _: Any) -> None:
        self._extend([self._stack.pop()])

    def _appends(self, _: Any) -> None:
        self._extend(self._to_mark())

    def _setitem(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._store([key, value])

    def _setitems(self, _: Any) -> None:
        self._store(self._to_mark())

    def _additems(self, _: Any) -> None:
        items = self._to_mark()
        target = self._stack[-1]
        if isinstance(target, set):
            target.update(map(_key, items))
        else:
            self._extend(items)

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, Call):
            target.items.extend(items)
        elif isinstance(target, list):
            target.extend(items)
        else:
            raise Unreadable(f"damaged pickle: it appends to a {type(target).__name__}")

    def _store(self, items: list[Any]) -> None:
        target = self._stack[-1]
        pairs = list(zip(items[::2], items[1::2], strict=True))
        if isinstance(target, Call):
            target.pairs.extend(pairs)
        elif isinstance(target, dict):
            target.update((_key(key), value) for key, value in pairs)
        else:
            raise Unreadable(f"damaged pickle: it stores in a {type(target).__name__}")

    # What would be imported, called, changed

    def _name(self, module: Any, name: Any) -> Global:
        if not isinstance(module, str) or not isinstance(name, str):
            raise Unreadable("untrusted_pickle: it computes the name of what it imports")
        found = Global(module, name)
        self.names.append(found)
        return found

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._stack.append(self._name(module, name))

    def _stack_global(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._stack.append(self._name(module, name))

    def _reduce(self, _: Any) -> None:
        args, function = self._stack.pop(), self._stack.pop()
        self._call(function, args)

    _newobj = _reduce

    def _newobj_ex(self, _: Any) -> None:
        kwargs, args, function = self._stack.pop(), self._stack.pop(), self._stack.pop()
        self._call(function, args, kwargs)

    def _inst(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        args = tuple(self._to_mark())
        self._call(self._name(module, name), args)

    def _obj(self, _: Any) -> None:
        function, *args = self._to_mark()
        self._call(function, tuple(args))

    def _call(self, function: Any, args: Any, kwargs: Any = None) -> None:
        call = Call(function, args, kwargs)
        self.calls.append(call)
        self._stack.append(call)

    def _build(self, _: Any) -> None:
        state = self._stack.pop()
        target = self._stack[-1]
        if not isinstance(target, Call):
            raise Unreadable(f"untrusted_pickle: it changes the attributes of {_described(target)}")
        target.states.append(state)

    def _persid(self, argument: str) -> None:
        self._stack.append(PersistentId(argument))

    def _binpersid(self, _: Any) -> None:
        self._stack.append(PersistentId(self._stack.pop()))


_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}

_LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}

_IGNORED = {"PROTO", "FRAME", "READONLY_BUFFER"}


def _key(value: Any) -> Any:
    """A value to look up by. Anything deep is refused: hashing it could take the interpreter down."""
    flat = value if isinstance(value, tuple) else (value,)
    if all(part is None or isinstance(part, str | bytes | int | float | Global) for part in flat):
        return value
    raise Unreadable(f"damaged pickle: it looks something up by a {type(value).__name__}")


def _described(target: Any) -> str:
    return str(target) if isinstance(target, Global) else f"a {type(target).__name__}"
