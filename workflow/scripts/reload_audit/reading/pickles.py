"""Parse a pickle into plain values, without importing or calling anything it names.

Where a pickle would import something there is a :class:`Global`, where it would call something a :class:`Call`: both
only describe what unpickling would do. Opcodes are those of Python's ``pickletools``, protocols 0 to 5.
"""

from __future__ import annotations

import _compat_pickle
import numbers
import pickletools
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from reload_audit.reading import limits
from reload_audit.reading.refusal import Unreadable, refusing


@dataclass(eq=False, frozen=True, slots=True)
class Global:
    """Something that would be imported: ``name`` in ``module``."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False, repr=False, slots=True)
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

    def __repr__(self) -> str:
        return f"a call of {self.function if isinstance(self.function, Global) else 'a computed value'}"


@dataclass(eq=False, frozen=True, repr=False, slots=True)
class PersistentId:
    """A reference to something kept outside the pickle, such as the storage of a tensor."""

    pid: Any


@dataclass(eq=False, frozen=True, repr=False, slots=True)
class Parsed:
    """A parsed pickle.

    :param value: plain values with :class:`Global`, :class:`Call` and :class:`PersistentId` in them
    :param steps: everything that unpickling would import or call, in that order, also where the value does not show it
    :param instructions: the number of its opcodes
    :param end: number of bytes that were read; another pickle may follow
    """

    value: Any
    steps: tuple[Global | Call, ...]
    instructions: int
    end: int

    @property
    def names(self) -> tuple[Global, ...]:
        return tuple(step for step in self.steps if isinstance(step, Global))

    @property
    def calls(self) -> tuple[Call, ...]:
        return tuple(step for step in self.steps if isinstance(step, Call))


@refusing("damaged pickle")
def parse(content: bytes, most: int = limits.INSTRUCTIONS) -> Parsed:
    """Parse one pickle, from the beginning of ``content``.

    :param most: opcodes that it may have
    :raises Unreadable: it is truncated, damaged, absurdly long or large, or uses what no saved model needs
    """
    parser = _Parser()
    count = end = 0
    for opcode, argument, position in pickletools.genops(content):
        count += 1
        if count > most:
            raise Unreadable(f"pickle of more than {most:,} instructions")
        parser.do(opcode.name, argument)
        end = (position or 0) + 1
    _refuse_endless(parser.result)
    return Parsed(parser.result, tuple(parser.steps), count, end)


def _refuse_endless(value: Any) -> None:
    """Refuse values that share their parts so often that going through them, as libraries do, would never end."""
    sizes: dict[int, int] = {}
    waiting = [(value, False)]
    while waiting:
        node, parts_are_known = waiting.pop()
        if parts_are_known:
            sizes[id(node)] = 1 + sum(sizes.get(id(part), 1) for part in parts(node))
            if sizes[id(node)] > limits.INSTRUCTIONS:
                raise Unreadable(f"damaged pickle: more than {limits.INSTRUCTIONS:,} values, most of them the same")
        elif id(node) not in sizes and (inside := parts(node)):
            sizes[id(node)] = 0  # if this is seen, it contains itself; going through that ends with an error
            waiting.append((node, True))
            waiting += [(part, False) for part in inside if isinstance(part, _WITH_PARTS)]


_CONTAINERS = (list, tuple, set, frozenset)
_WITH_PARTS = (*_CONTAINERS, dict, Call, PersistentId)


def parts(value: Any) -> Collection[Any]:
    """What a value of a parsed pickle is made of, one level down; nothing where it is a plain value or a name."""
    if isinstance(value, dict):
        return [*value, *value.values()]
    if isinstance(value, Call):
        return [value.function, value.args, value.kwargs, *value.states, *value.items, *value.pairs]
    if isinstance(value, PersistentId):
        return [value.pid]
    return value if isinstance(value, _CONTAINERS) else ()


def hashable(value: Any) -> Any:
    """The value, if it can be a key. Nested tuples cannot: hashing them may take for ever or overflow the C stack.

    :raises Unreadable: it is something else
    """
    for part in value if isinstance(value, tuple) else (value,):
        plain = part is None or isinstance(part, str | bytes | float | Global | Call | type | numbers.Number)
        if not plain or (isinstance(part, int) and abs(part) >= limits.HASHED_INTEGER):
            raise Unreadable(f"damaged pickle: it looks something up by a {type(value).__name__}")
    return value


def described(value: Any) -> str:
    """A few words about a value, for a message. Not its ``repr``, which can be endless where parts are shared."""
    if value is None or isinstance(value, bool | float | Global | Call | type):
        return str(value)
    if isinstance(value, str | bytes):
        return repr(value[:80])
    if isinstance(value, int) and abs(value) < limits.HASHED_INTEGER:
        return str(value)
    return f"a {type(value).__name__}"


class _Parser:
    """Python's pickle machine, with descriptions on its stack instead of imported and called objects."""

    def __init__(self) -> None:
        self.result: Any = None
        self.steps: list[Global | Call] = []
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._protocol = 0

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

    def _proto(self, version: int) -> None:
        self._protocol = version

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
        self._stack.append(frozenset(map(hashable, items)))

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
            target.update(map(hashable, items))
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
            target.update((hashable(key), value) for key, value in pairs)
        else:
            raise Unreadable(f"damaged pickle: it stores in a {type(target).__name__}")

    # What would be imported, called, changed

    def _name(self, module: Any, name: Any) -> Global:
        if not isinstance(module, str) or not isinstance(name, str):
            raise Unreadable("untrusted_pickle: it computes the name of what it imports")
        if self._protocol < _PYTHON_3:
            module, name = _compat_pickle.NAME_MAPPING.get((module, name), (module, name))
            module = _compat_pickle.IMPORT_MAPPING.get(module, module)
        found = Global(module, name)
        self.steps.append(found)
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
        self.steps.append(call)
        self._stack.append(call)

    def _build(self, _: Any) -> None:
        state = self._stack.pop()
        target = self._stack[-1]
        if not isinstance(target, Call):
            raise Unreadable(f"untrusted_pickle: it changes the attributes of {described(target)}")
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

_IGNORED = {"FRAME", "READONLY_BUFFER"}

_PYTHON_3 = 3  # the first protocol that names things as Python 3 does
