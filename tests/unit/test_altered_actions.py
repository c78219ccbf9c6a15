"""What a script does to the actions of a policy is known where it is one rule, which is then carried out again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import gymnasium as gym
import numpy as np
import pytest

from reload_audit.evaluation.shown import shown_as
from reload_audit.observing.altered_actions import rule_of
from reload_audit.processes.imports import import_object
from reload_audit.records.observation import ActionTaken

BOX = "Box(-1, 1, (2,), float)"
CHOSEN = np.random.default_rng(0).uniform(-1, 1, (50, 2)).astype(np.float32)


def taken(chosen: Sequence[np.ndarray], alter: Callable[[np.ndarray], np.ndarray]) -> list[ActionTaken]:
    return [ActionTaken(tuple(map(float, alter(one))), tuple(map(float, one))) for one in chosen]


class Takes(gym.Env):
    """Keeps the last action that it got."""

    def __init__(self, space: gym.Space) -> None:
        self.action_space = space

    def step(self, action: object) -> tuple[object, float, bool, bool, dict[str, object]]:
        self.got = action
        return None, 0.0, False, False, {}


RULES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "each is multiplied by 0.5": lambda action: 0.5 * action,
    "each is clipped to between -0.25 and 0.25": lambda action: action.clip(-0.25, 0.25),
    "each is multiplied by (2, -1), and moved by (0, 0.1)": lambda action: action * (2.0, -1.0) + (0.0, 0.1),
    "each is multiplied by 3, and clipped to between -1 and 1": lambda action: (3 * action).clip(-1, 1),
    "each is multiplied by 0": lambda action: 0.0 * action,
}


@pytest.mark.parametrize("said", RULES)
def test_a_rule_for_continuous_actions_is_found_and_carried_out(said: str) -> None:
    found = rule_of(taken(CHOSEN, RULES[said]), BOX)
    assert found is not None
    assert found.said == said
    name, arguments = found.wrapper
    inside = Takes(gym.spaces.Box(-1, 1, (2,), np.float32))
    env = import_object(name)(inside, **arguments)
    for one in CHOSEN:
        env.step(one)
        assert inside.got == pytest.approx(RULES[said](one), abs=1e-4)


def test_a_rule_for_discrete_actions_is_which_become_which() -> None:
    chosen = [np.array([number]) for number in (0, 1, 2, 1, 0, 2, 2, 1)]
    found = rule_of(taken(chosen, lambda action: np.array([0, 2, 1])[action]), "Discrete(3)")
    assert found is not None
    assert found.said == "1 becomes 2, 2 becomes 1"
    inside = Takes(gym.spaces.Discrete(3))
    env = import_object(found.wrapper[0])(inside, **found.wrapper[1])
    for action, got in ((np.int64(1), 2), (0, 0)):
        env.step(action)
        assert inside.got == got


def test_noise_and_what_depends_on_more_than_the_action_is_no_rule() -> None:
    noise = np.random.default_rng(1)
    assert rule_of(taken(CHOSEN, lambda action: action + noise.normal(size=2)), BOX) is None
    assert rule_of(taken(CHOSEN[:3], lambda action: 0.5 * action), BOX) is None
    discrete = [np.array([number % 2]) for number in range(10)]
    assert rule_of(taken(discrete, lambda action: noise.integers(2, size=1)), "Discrete(2)") is None


def test_observations_are_shown_in_each_way_that_a_condition_names() -> None:
    seen = np.array([[1.26, -2.5], [0.4, 7.0]], np.float32)
    shown = {
        "order": shown_as(seen, {"order": [1, 0]}),
        "scaled": shown_as(seen, {"factors": [2.0, 1.0], "shifts": [0.0, 1.0], "bound": 5.0}),
        "rounded": shown_as(seen, {"decimals": 1}),
        "cast": shown_as({"part": seen}, {"dtype": "int64"})["part"],
    }
    assert {name: one.tolist() for name, one in shown.items()} == {
        "order": [[-2.5, np.float32(1.26)], [7.0, np.float32(0.4)]],
        "scaled": [[np.float32(2.52), -1.5], [np.float32(0.8), 5.0]],
        "rounded": [[np.float32(1.3), -2.5], [np.float32(0.4), 7.0]],
        "cast": [[1.0, -2.0], [0.0, 7.0]],
    }
    assert {one.dtype for one in shown.values()} == {np.dtype(np.float32)}
