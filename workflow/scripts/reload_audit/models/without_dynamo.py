"""To build an optimizer and to step it PyTorch imports its compiler: most of a second, in every process that does."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch as th
from torch.optim import Optimizer


@functools.cache
def spare_compiler() -> None:
    """Have this process build and step optimizers as it would, without ``torch._dynamo``. Compiling imports it.

    To be called before the first optimizer is built. Where a later PyTorch does all this in another way, nothing is
    found here, and it takes as long as it did.
    """
    _spare_building()
    _spare_stepping()


def _spare_building() -> None:
    """Four methods are wrapped so that the compiler leaves them alone, and at the first call it is imported to ask how.

    The answer is kept beside the method, so it can be given before: call the method.
    """
    for method in vars(Optimizer).values():
        if _is_named(method, "_disable_dynamo.<locals>.inner"):
            wrapped = method.__wrapped__
            wrapped.__dict__.setdefault("__dynamo_disable", wrapped)


def _spare_stepping() -> None:
    """``step`` is wrapped to tell the compiler of a break before and after it, which without one does nothing."""
    for kind in _kinds(Optimizer):
        step = vars(kind).get("step")
        if _is_named(step, "_use_grad_for_differentiable.<locals>._use_grad"):
            kind.step = _without_breaks(step)  # type: ignore[method-assign]


def _without_breaks(step: Any) -> Callable[..., Any]:
    @functools.wraps(step)
    def without_breaks(*args: Any, **kwargs: Any) -> Any:
        if "torch._dynamo" in sys.modules:
            return step(*args, **kwargs)
        with th.set_grad_enabled(args[0].defaults["differentiable"]):
            return step.__wrapped__(*args, **kwargs)

    return without_breaks


def _is_named(function: Any, name: str) -> bool:
    """Whether a function is the one of this name in PyTorch's source, whatever it was wrapped to look like."""
    return getattr(getattr(function, "__code__", None), "co_qualname", None) == name


def _kinds(kind: type[Optimizer]) -> Iterator[type[Optimizer]]:
    for narrower in kind.__subclasses__():
        yield narrower
        yield from _kinds(narrower)
