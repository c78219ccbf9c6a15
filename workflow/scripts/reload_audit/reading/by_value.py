"""Tell what cloudpickle saved as code, and which of a pickle's steps serve only that. No code is looked at.

cloudpickle saves by value what cannot be imported: classes and functions of the script that trains. A class is a call
of ``_make_skeleton_class(type, name, bases, {"__module__": ...}, ...)``, a function one of
``_make_function(code, {"__name__": module, ...}, ...)``; what fills them in is called afterwards, and its result thrown
away (cloudpickle 1.3 to 3).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from reload_audit.reading import limits
from reload_audit.reading.pickles import Call, Global, Parsed, parts

_PLAIN_KEY = re.compile(r"[A-Za-z_][\w.<>]{0,199}")

_PASSES = 3
"""How often the steps are gone through for calls that fill in what others made; cloudpickle's pickles need one."""


def held(node: Any) -> str:
    """The dotted name of the class or function that a part of a pickle holds as code; empty where it holds none."""
    if not isinstance(node, Call) or not isinstance(node.function, Global) or not isinstance(node.args, tuple):
        return ""
    if node.function.module.partition(".")[0] != "cloudpickle":
        return ""
    match node.function.name, node.args:
        case "_make_skeleton_class", (_, str(name), _, rest, *_):
            return _dotted(rest.get("__module__") if isinstance(rest, dict) else None, name)
        case "_make_skeleton_enum", (_, str(name), _, _, module, *_):
            return _dotted(module, name)
        case "_make_function" | "_make_skel_func", (code, *rest):
            known = next((part for part in rest if isinstance(part, dict)), {})
            return _dotted(known.get("__name__"), _name_in(code))
    return ""


def held_in(value: Any) -> Iterator[tuple[Call, str]]:
    """The parts of a value that are held as code, each with its dotted name; parts inside these are not listed."""
    waiting, seen = [value], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if name := held(node):
            yield node, name
        else:
            waiting += reversed(list(parts(node)))


def first_name(node: Any) -> str:
    """The first class or function that a part of a pickle names or holds as code; empty where it does neither."""
    waiting, seen = [node], set[int]()
    while waiting:
        found = waiting.pop()
        if name := str(found) if isinstance(found, Global) else held(found):
            return name[: limits.LONGEST_NAME]
        if id(found) not in seen:
            seen.add(id(found))
            waiting += reversed(list(parts(found)))
    return ""


def besides(parsed: Parsed, kept: Any, left_out: Iterable[Any]) -> tuple[Global | Call, ...]:
    """The steps of a pickle, without those that serve only what is left out.

    :param kept: the value that is needed
    :param left_out: parts of the pickle; one that is held as code is left out wherever it stands
    """
    unneeded = list(left_out)
    serving_kept = _inside([kept], {id(part) for part in unneeded if held(part)})
    serving_others = _inside(unneeded, set())
    for _ in range(_PASSES):
        for call in reversed(parsed.calls):  # what is inside others is filled in before them
            made = call.args[0] if isinstance(call.args, tuple) and call.args else None
            if isinstance(made, Call) and id(made) in serving_others and id(call) not in serving_kept:
                serving_others |= _inside([call], serving_others)
    return tuple(step for step in parsed.steps if id(step) in serving_kept or id(step) not in serving_others)


def steps_of(parsed: Parsed, part: Any) -> tuple[Global | Call, ...]:
    """Those steps of a pickle that a part of it consists of."""
    inside = _inside([part], set())
    return tuple(step for step in parsed.steps if id(step) in inside)


def mapping_for(names: Iterable[str]) -> str:
    """The line of a configuration that says where classes of these names are to be imported from instead."""
    return f"classes: {{{', '.join(f'{_as_key(name)}: my_module.{_last(name)}' for name in dict.fromkeys(names))}}}"


def _inside(roots: Iterable[Any], known: set[int]) -> set[int]:
    """The ``id`` of each of these values and of all their parts, without known ones and parts only of known ones."""
    waiting, found = list(roots), set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) not in found and id(node) not in known:
            found.add(id(node))
            waiting += parts(node)
    return found


def _dotted(module: Any, name: str) -> str:
    return f"{module if isinstance(module, str) and module else '__main__'}.{name}"


def _name_in(code: Any) -> str:
    """The name of a function from ``CodeType(..., file, name, ...)``."""
    arguments = code.args if isinstance(code, Call) and isinstance(code.args, tuple) else ()
    texts = [argument for argument in arguments if isinstance(argument, str)]
    return texts[1] if len(texts) > 1 else "<function>"


def _as_key(name: str) -> str:
    return name if _PLAIN_KEY.fullmatch(name) else json.dumps(name[: limits.LONGEST_NAME])


def _last(name: str) -> str:
    last = name.rpartition(".")[2]
    return last if last.isidentifier() else "function"
