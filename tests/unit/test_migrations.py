"""What is known of versions of environments: every entry is sourced and can be carried out, and a typo is refused."""

from __future__ import annotations

import inspect
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import yaml
from gymnasium.envs.registration import load_env_creator

import reload_audit
from reload_audit.causes.causes_file import CausesError
from reload_audit.causes.migrations import (
    MIGRATIONS_FILE,
    Difference,
    differences,
    known_between,
    measured_migrations,
    migrations,
    read_differences,
)
from reload_audit.environments.past_observations import insert_zeros, zero_observations
from support.builders import ROOT

Entries = list[dict[str, Any]]

ANT = 1
"""The place of an entry of Ant that is restored by zeros."""

MIGRATED = [known for known in differences() if known.migration is not None]


def edited(folder: Path, edit: Callable[[Entries], Any]) -> Path:
    """A copy of migrations.yaml in which something has been edited."""
    entries = yaml.safe_load(MIGRATIONS_FILE.read_text(encoding="utf-8"))
    edit(entries)
    path = folder / "migrations.yaml"
    path.write_text(yaml.safe_dump(entries, sort_keys=False), encoding="utf-8")
    return path


TYPOS: dict[str, tuple[Callable[[Entries], Any], str]] = {
    "key": (lambda entries: entries[0].update(chnged="x"), "migrations.yaml, entry 1: .*found 'chnged'"),
    "no source": (lambda entries: entries[0].pop("sources"), "entry 1: expected the key 'sources', which is not there"),
    "empty sources": (lambda entries: entries[0].update(sources=[]), "entry 1, sources: expected a list of str"),
    "hearsay": (lambda entries: entries[0].update(sources=["I remember"]), "entry 1, sources: expected addresses"),
    "a version as text": (lambda entries: entries[0].update({"to": ["v4"]}), "entry 1, to: expected a list of int"),
    "backwards": (
        lambda entries: entries[0].update({"from": [5]}),
        "expected versions in 'to' that are higher",
    ),
    "harm": (lambda entries: entries[0].update(harmless="no"), "entry 1: expected .* true in 'harmless'"),
    "no name": (lambda entries: entries[ANT]["migration"].pop("name"), "entry 2, migration: .*'name'"),
    "what restores": (
        lambda entries: entries[ANT]["migration"].update(inset_zeros=[[0, 1]]),
        "entry 2, migration: expected no other keys than .*, found 'inset_zeros'",
    ),
    "a range": (
        lambda entries: entries[ANT]["migration"].update(insert_zeros=[[111, 27]]),
        "entry 2, migration, insert_zeros: expected pairs of indices",
    ),
}


@pytest.mark.parametrize("typo", TYPOS)
def test_a_typo_is_refused_with_its_place_and_what_was_expected(typo: str, tmp_path: Path) -> None:
    edit, message = TYPOS[typo]
    with pytest.raises(CausesError, match=message):
        read_differences(edited(tmp_path, edit))


def test_only_what_restores_an_older_version_is_measured(tmp_path: Path) -> None:
    def reword(entries: Entries) -> None:
        for entry in entries:
            entry |= {"changed": "something else", "sources": ["https://example.org"]}

    assert measured_migrations(edited(tmp_path, reword)) == measured_migrations()
    moved = edited(tmp_path, lambda entries: entries[ANT]["migration"].update(insert_zeros=[[26, 110]]))
    assert measured_migrations(moved) != measured_migrations()


def test_a_difference_is_known_only_between_its_own_environments_and_versions() -> None:
    assert list(migrations("Ant-v3", "Ant-v4")) == [
        "84 zeros in place of contact forces",
        "contact forces observed and paid for",
    ]
    assert [known.environments for known in known_between("Pendulum-v0", "Pendulum-v1")] == [["Pendulum"]]
    for env, ran in (("Ant-v4", "Ant-v4"), ("Ant-v3", "Ant-v2"), ("Ant-v3", "Hopper-v4"), ("mine:Ant", "Ant-v4")):
        assert known_between(env, ran) == []


@pytest.mark.parametrize("known", MIGRATED, ids=lambda known: f"{known.environments[0]}-{known.new[0]}")
def test_names_of_what_restores_a_version_are_told_apart(known: Difference) -> None:
    for name in known.environments:
        for old in known.old:
            for new in known.new:
                between = known_between(f"{name}-v{old}", f"{name}-v{new}")
                names = [other.migration.name for other in between if other.migration is not None]
                assert len(names) == len({*names})


@pytest.mark.parametrize("known", MIGRATED, ids=lambda known: f"{known.environments[0]}-{known.new[0]}")
def test_what_restores_a_version_are_arguments_that_it_has(known: Difference) -> None:
    assert known.migration is not None
    made = [spec for name in known.environments if (spec := gym.registry.get(f"{name}-v{known.new[-1]}")) is not None]
    assert made, "an entry of versions that do not exist is of no use"
    if not known.migration.env_kwargs:
        return
    for spec in made:
        assert spec.entry_point is not None
        try:
            creator = load_env_creator(spec.entry_point) if isinstance(spec.entry_point, str) else spec.entry_point
        except gym.error.DependencyNotInstalled:
            pytest.skip(f"{spec.id} needs a package that is not installed")
        assert known.migration.env_kwargs.keys() <= inspect.signature(creator).parameters.keys()


def test_the_page_of_known_differences_is_that_of_the_file() -> None:
    written = runpy.run_path(str(ROOT / "docs/write_causes.py"))["versions"]()
    assert (ROOT / "docs/migrations.md").read_text(encoding="utf-8") == written


class Observes(gym.Env):
    """Observes 1, 2, 3, 4, within bounds of its own."""

    observation_space: gym.Space = gym.spaces.Box(-5, 5, (4,), np.float64)
    action_space: gym.Space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return np.array([1.0, 2.0, 3.0, 4.0]), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return np.array([1.0, 2.0, 3.0, 4.0]), 0.0, True, False, {}


def test_zeros_stand_where_they_are_wanted_and_all_else_keeps_its_order_and_bounds() -> None:
    env = insert_zeros(Observes(), at=[[1, 3], [6, 7]])
    assert env.reset()[0].tolist() == [1, 0, 0, 2, 3, 4, 0]
    assert env.step(0)[0].tolist() == [1, 0, 0, 2, 3, 4, 0]
    space = env.observation_space
    assert isinstance(space, gym.spaces.Box)
    assert space.high.tolist() == [5, np.inf, np.inf, 5, 5, 5, np.inf]
    assert space.contains(env.reset()[0])


def test_observations_are_zeroed_where_that_is_wanted_and_nowhere_else() -> None:
    env = zero_observations(Observes(), at=[[1, 3]])
    assert env.reset()[0].tolist() == [1, 0, 0, 4]
    assert env.observation_space == Observes.observation_space


@pytest.mark.parametrize("wrapper", [insert_zeros, zero_observations])
def test_what_cannot_be_zero_is_refused_in_words(wrapper: Callable[..., gym.Env]) -> None:
    with pytest.raises(ValueError, match=r"expected ranges within \d+ numbers, found \[3, 3\]"):
        wrapper(Observes(), at=[[3, 3]])
    with pytest.raises(ValueError, match="expected observations that are vectors, found Discrete"):
        wrapper(gym.make("FrozenLake-v1"), at=[[0, 1]])


def test_both_wrappers_are_public_as_the_page_says() -> None:
    assert (reload_audit.insert_zeros, reload_audit.zero_observations) == (insert_zeros, zero_observations)
