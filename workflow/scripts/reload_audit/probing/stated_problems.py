"""Turn errors whose message is written for users into failures that show the message alone."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from reload_audit.processes.imports import ImportProblem
from reload_audit.processes.outcome import Failure
from reload_audit.reading.refusal import Unreadable

_LONGEST_MESSAGE = 1000

_Arguments = ParamSpec("_Arguments")
_Value = TypeVar("_Value")


def stating_problems(function: Callable[_Arguments, _Value]) -> Callable[_Arguments, _Value | Failure]:
    """Make a function return, instead of raising, ``Unreadable`` or ``ImportProblem`` as a failure with its message."""

    @functools.wraps(function)
    def stating(*arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Value | Failure:
        try:
            return function(*arguments, **named)
        except (Unreadable, ImportProblem) as error:
            traceback.print_exc()
            message = " ".join(str(error).split())[:_LONGEST_MESSAGE]
            return Failure("exception", _writable(message), _writable(traceback.format_exc()))

    return stating


def _writable(text: str) -> str:
    """A text that UTF-8 can write: messages may hold half a character."""
    return text.encode("utf-8", "replace").decode("utf-8")
