"""Build and step PyTorch's optimizers without importing its compiler ``torch._dynamo``, which nothing here uses.

PyTorch imports it at the first optimizer: most of a second in every process.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch as th
from torch.optim import Optimizer


@functools.cache
def spare_compiler() -> None:
    """Keep this process from importing ``torch._dynamo`` for an optimizer; compiling a model still imports it.

    To be called before the first optimizer is built. Optimizers do the same as before, bit for bit. With a version of
    PyTorch that does this in another way nothing is changed, and the compiler is imported.
    """
    _spare_building()
    _spare_stepping()


def _spare_building() -> None:
    """Keep four methods of ``Optimizer``, which are marked as not to be compiled, from importing the compiler.

    At its first call, such a method asks the compiler for what to call instead of it, and keeps the answer as an
    attribute. The answer is the method itself, so it is set here beforehand.
    """
    for method in vars(Optimizer).values():
        if _is_named(method, "_disable_dynamo.<locals>.inner"):
            wrapped = method.__wrapped__
            wrapped.__dict__.setdefault("__dynamo_disable", wrapped)


def _spare_stepping() -> None:
    """Remove from ``step`` the calls of ``torch._dynamo.graph_break`` around it, which only concern the compiler."""
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
    """Whether a function has this qualified name in PyTorch's source; ``functools.wraps`` hides it elsewhere."""
    return getattr(getattr(function, "__code__", None), "co_qualname", None) == name


def _kinds(kind: type[Optimizer]) -> Iterator[type[Optimizer]]:
    """All direct and indirect subclasses."""
    for narrower in kind.__subclasses__():
        yield narrower
        yield from _kinds(narrower)
