"""SB3 builds optimizers for each model it loads, and to build one PyTorch imports its compiler: a second and more."""

from __future__ import annotations

import functools

import torch._compile
from torch.optim import Optimizer


@functools.cache
def build_without_compiler() -> None:
    """Have this process build optimizers as it would, without ``torch._dynamo``. Whoever compiles imports it still.

    PyTorch wraps four methods so that its compiler leaves them alone, and imports it at the first call to ask how. The
    answer is kept beside the method, so it can be given before: call the method. Where a later PyTorch does this in
    another way, nothing is found here, and loading takes as long as it did.
    """
    for method in vars(Optimizer).values():
        if getattr(method, "__code__", None) is not None and method.__code__.co_filename == torch._compile.__file__:
            wrapped = method.__wrapped__
            wrapped.__dict__.setdefault("__dynamo_disable", wrapped)
