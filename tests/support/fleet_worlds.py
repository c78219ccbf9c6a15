"""Made-up environments, and what probing them found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from reload_audit.judging.criteria import Criteria
from reload_audit.probing.conclusions import CAPTIONS, findings
from reload_audit.records.environment_spec import EnvironmentSpec
from reload_audit.records.probe_names import probe_name
from reload_audit.records.probe_record import Mismatch, ProbeRecord
from reload_audit.results.audit_content import environment_entry
from reload_audit.results.health import environment_health

Row = dict[str, Any]
SHARES = {
    "identical": 70.0,
    "equivalent": 11.0,
    "retained": 2.0,
    "improved": 1.0,
    "consistent": 2.0,
    "inconclusive": 3.0,
    "suspect": 1.0,
    "degraded": 8.0,
    "error": 2.0,
}
"""How many of a hundred models are to have each verdict; ``suspect`` is inconclusive, and that mark."""
EPISODES = 100
FIRST_SEED = 1_000_000
SLOTS = 20
SETTINGS = {
    "evaluation": {"episodes": EPISODES, "seed": FIRST_SEED, "n_envs": SLOTS, "max_episode_steps": 100_000},
    "verdict": {
        "alpha": 0.05,
        "fdr": 0.05,
        "margin_fraction": 0.05,
        "margin_std": 0.2,
        "looks": [20, 40, 80, 100],
        "further_looks": [],
        "seconds": 60,
        "stop_when_retained": False,
    },
    "reload": {"n_envs": [1, 8], "other_vec_env": True, "conditions": "needed", "isolation": "forkserver"},
}
CRITERIA = Criteria.from_dict(SETTINGS["verdict"])
SB3 = "2.9.2"


@dataclass(frozen=True)
class World:
    """A made-up environment: its scale of rewards, and its fault if it has one.

    :param gap: between which measurements the reward is lost, if it is
    :param fault: contrast that a probe of it shows, if any; ``probed``: what its file has beside that
    :param remedied: share of the loss that a trial recovers in which environments ran episodes before
    """

    env: str
    best: float
    random: float
    spread: float
    steps: int
    algos: tuple[str, ...]
    decimals: int = 12
    gap: str = ""
    fault: str = ""
    probed: Mapping[str, Any] = field(default_factory=dict)
    remedied: float | None = None

    @property
    def short(self) -> str:
        return self.env.rpartition("/")[2].rpartition(":")[2].split("-")[0].replace("NoFrameskip", "").lower()

    @property
    def spec(self) -> Row:
        path = ["examples"] if ":" in self.env else []
        made = {"env": self.env, "env_kwargs": {}, "wrappers": [], "python_path": path}
        return {**made, "monitor": "env", "vec_wrappers": [], "vec_env": None}


PARTS = yaml.safe_load((Path(__file__).parent / "fleet.yaml").read_text(encoding="utf-8"))
WORLDS = tuple(World(**{**world, "algos": tuple(PARTS["algos"][world["algos"]])}) for world in PARTS["worlds"])
BY_ID = {world.env: world for world in WORLDS}
HEALTHY = [world for world in WORLDS if not world.fault]
FAULTY = [world for world in WORLDS if world.fault]
_OTHER_CROP = Mismatch(0, "random", 0, "observation[1]", 0.6, 0.7)


def _probe(world: World) -> ProbeRecord:
    """What probing an environment found, as far as the audit keeps it."""
    compared: Row = {name: {"differs": False, "difference": None, "failure": None} for name in CAPTIONS}
    if world.fault:
        effects = [effect for part in ("generators", "state", "entropy") for effect in world.probed.get(part, [])]
        difference = effects[0]["difference"] if effects else asdict(_OTHER_CROP)
        compared[world.fault] |= {"differs": True, "difference": difference}
    said = "AssertionError: Deterministic step observations are not equivalent for the same seed and action"
    low = "WARN: A Box observation space minimum value is -infinity. This is probably too low."
    return ProbeRecord.from_dict(
        {
            "environment": world.spec,
            "plays": [],
            "failure": None,
            "remark": "",
            "model": "",
            "processes": 16,
            "seconds": 2.0,
            "contrasts": compared,
            "checks": [
                {
                    "checker": "gymnasium",
                    "error": said if world.fault in ("many episodes", "repeat") else None,
                    "where": None,
                    "warnings": [
                        low,
                        low.replace("minimum", "maximum").replace("-inf", "inf").replace("low.", "high."),
                    ],
                },
                {"checker": "stable_baselines3", "error": None, "warnings": [], "where": None},
            ],
            "vectorized": [
                {"vec_env": name, "n_envs": 2, "difference": None} for name in ("DummyVecEnv", "SubprocVecEnv")
            ],
            "held": "nothing",
            **dict.fromkeys(("generators", "entropy", "state"), ()),
            **dict.fromkeys(("clock", "hash_order")),
            **world.probed,
        }
    )


PROBED = {world.env: findings(_probe(world)) for world in WORLDS}


def environment_of(world: World) -> Row:
    return environment_entry(probe_name(world.spec), _probe(world))


def healths(models: Sequence[Row]) -> Iterator[Row]:
    """The health of the environments that these models ran in."""
    for world in WORLDS:
        names = [model["model"] for model in models if model["env_ran"] == world.env]
        if names:
            spec = EnvironmentSpec.from_dict(world.spec)
            yield environment_health(probe_name(world.spec), spec, _probe(world), names).to_dict()
