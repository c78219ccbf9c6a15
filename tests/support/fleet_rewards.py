"""Rewards and episodes of made-up models: all that is drawn of one follows from its name."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from reload_audit.judging.comparison import compare_paired
from reload_audit.judging.criteria import margin
from reload_audit.results import tables
from support.fleet_worlds import BY_ID, CRITERIA, EPISODES, FIRST_SEED, WORLDS, Row


@dataclass(frozen=True)
class Earned:
    """Rewards of one model. All that is drawn of it follows from its name, so that its episodes can be drawn again."""

    in_place: np.ndarray
    reference: np.ndarray
    reload: np.ndarray
    width: float

    @classmethod
    def of(cls, name: str, env: str, verdict: str, lost_to: str) -> Earned:
        """Draw the rewards of a model.

        :param verdict: one of ``SHARES``
        :param lost_to: the gap in which the reward is lost, as in ``Judgement.gap``
        """
        if verdict in ("retained", "consistent"):
            verdict = "inconclusive"  # as it was drawn
        random, world = random_of(name), BY_ID.get(env, WORLDS[0])
        skill = random.uniform(0.8, 1.0)
        mean = world.random + skill * (world.best - world.random)
        usual = mean + world.spread * (2.0 - random.gamma(4.0, 0.5, EPISODES))
        usual = np.round(usual, world.decimals)
        width = margin(float(usual.mean()), float(usual.std()), world.random, CRITERIA)
        noise = width * random.standard_normal(EPISODES)
        centred = noise - noise.mean()
        sizes = {"degraded": -random.uniform(4.0, 19.0), "improved": random.uniform(6.0, 9.0)}
        moved = {
            "equivalent": 0.05 * noise,
            "retained": 3.0 * centred + 0.9 * width,
            "consistent": 3.0 * centred - 0.3 * width,
            "inconclusive": 6.0 * centred - 0.3 * width,
            "suspect": 3.0 * centred - width - MORE_THAN_NOISE * _half_width(3.0 * centred),
            "degraded": width * sizes["degraded"] + 0.9 * noise,
            "improved": width * sizes["improved"] + 0.9 * noise,
        }.get(verdict)
        if moved is None:
            return cls(usual, usual, usual, width)
        changed = np.round(usual + moved, world.decimals) if verdict != "equivalent" else usual + moved
        n = (20, 40) if verdict == "equivalent" else (40, 40, 80) if verdict in sizes else (EPISODES,)
        reference = changed if lost_to.startswith("environment") else usual
        return cls(usual, reference, changed[: int(random.choice(n))], width)

    @property
    def shown(self) -> np.ndarray:
        """The reload, as far as it went: twenty episodes are enough where every bit is the same."""
        return self.reload[:20] if len(self.reload) == EPISODES and self.reload is self.in_place else self.reload


MORE_THAN_NOISE = 1.02
"""How far a loss that is seen in one model alone lies beyond the margin, in half widths of its interval."""


def _half_width(differences: np.ndarray) -> float:
    compared = compare_paired(differences, 0.0, CRITERIA)
    return compared.ci_high - compared.difference


def random_of(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode("utf-8", "surrogatepass")))


def episodes(audit: Mapping[str, Any], models: Iterable[str] | None = None) -> pa.Table:
    """The episodes in place, of reference and reload, as ``episodes.parquet`` has them.

    :param models: names of those that are wanted; all if None
    """
    wanted = None if models is None else set(models)
    columns: dict[str, list[np.ndarray]] = {name: [] for name in tables.EPISODES.names}
    for model in audit["models"]:
        if wanted is None or model["model"] in wanted:
            _add_episodes(model, columns)
    joined = {name: np.concatenate(parts) if parts else [] for name, parts in columns.items()}
    return pa.table(joined, schema=tables.EPISODES)


def _add_episodes(model: Row, columns: dict[str, list[np.ndarray]]) -> None:
    drawn = "suspect" if model["suspect"] else model["verdict"]
    earned = Earned.of(model["model"], model["env_ran"], drawn, model["gap"])
    steps = BY_ID.get(model["env_ran"], WORLDS[0]).steps
    digest = zlib.crc32(model["model"].encode("utf-8", "surrogatepass"))
    for row in model["conditions"]:
        rewards = getattr(earned, row["condition"], None)
        if rewards is None or row["n_episodes"] is None:
            continue
        n = row["n_episodes"]
        rewards, numbers = rewards[:n], np.arange(n)
        lengths = np.maximum(1, steps + (numbers * 7919 + digest) % (steps // 5 + 1) - steps // 10)
        same = rewards == earned.reference[:n]
        own = zlib.crc32(row["condition"].encode()) * ~same
        values: Row = {
            "model": np.full(n, model["model"], dtype=object),
            "condition": np.full(n, row["condition"], dtype=object),
            "episode": numbers,
            "seed": numbers + FIRST_SEED,
            "reward": rewards,
            "length": lengths,
            "terminated": numbers % 5 > 0,
            "monitor_reward": np.round(rewards, 6),
            "step_reward": rewards,
            "cut": np.zeros(n, dtype=bool),
            "trace": np.array([f"{one:08x}{digest:08x}" for one in numbers * 2654435761 % 2**32 ^ own], dtype=object),
        }
        for name, column in values.items():
            columns[name].append(column)
