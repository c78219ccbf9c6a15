"""Remark on models that are stale copies: beside another of nearly the same name that was trained later or longer."""

# Paths are texts here: there are many, and not all are Unicode.
# ruff: noqa: PTH119, PTH122

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from reload_audit.planning.discovery.candidate import Candidate
from reload_audit.reading.refusal import shown

_OF_COPIES = re.compile(r"(?:[-_ .]?(?:old|backup|bak|copy|prev|previous)\d*| ?\(\d+\))$", re.IGNORECASE)


def remark(models: Sequence[Candidate]) -> None:
    """Say of each model that seems to be a stale copy, of which it is one."""
    by_path = {_bare(model): model for model in models}
    for model in models:
        folder, name = os.path.split(_bare(model))
        current = by_path.get(os.path.join(folder, _OF_COPIES.sub("", name)))  # noqa: PTH118
        if current is None or current is model or current.algo != model.algo:
            continue
        steps, own = current.trained.steps or 0, model.trained.steps or 0
        if steps > own or (current.trained.started or 0) > (model.trained.started or 0):
            model.remarks.append(
                f"it may be a stale copy: {shown(os.path.basename(current.path))} beside it, of nearly the same name, "
                f"was trained {f'for {steps:,} steps, this one for {own:,}' if steps > own else 'later'}"
            )


def _bare(model: Candidate) -> str:
    return os.path.splitext(model.path)[0]
