"""How much is measured, and where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Sizes of all parts.

    :param folder: keeps the models; everything else in it is written anew
    :param environments: that saved models are audited in
    :param models: in each of these audits
    :param distinct: how many of them are trained; the others are copies under other names
    :param training_share: of their recipes' steps
    :param timesteps: that each model of the training grid learns for
    """

    folder: Path
    repeats: int
    cores: int
    environments: tuple[str, ...]
    models: int
    distinct: int
    training_share: float
    timesteps: int
