"""What is printed to be written on a line names nothing that is not to be had there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reload_audit.observing.acting_line import with_actions_in_bounds, with_masks, with_new_observation, with_state
from reload_audit.observing.lines import UserLines
from reload_audit.observing.weights import _assigned
from reload_audit.records.observation import Line, ObservedActs, ObservedModel, ObservedRun

SCRIPT = """
env = make()
class Agent:
    def act(self, obs):
        return self.actor(obs)
    def run(self):
        self.env.step(0)
def main():
    agent = Agent()
    def policy(obs):
        return agent.act(obs)
"""
GLOBAL, ACT, RUN, MAIN, POLICY = 2, 5, 7, 9, 11


@pytest.fixture
def lines(tmp_path: Path) -> dict[int, Line]:
    script = tmp_path / "enjoy.py"
    script.write_text(SCRIPT)
    found = {number: UserLines(script, []).at((str(script), number)) for number in (GLOBAL, ACT, RUN, MAIN, POLICY)}
    return {number: line for number, line in found.items() if line is not None}


@pytest.mark.parametrize(
    ("on", "code", "of", "is_there"),
    [
        (ACT, "env", GLOBAL, True),
        (RUN, "self.actor", ACT, True),
        (RUN, "obs", ACT, False),
        (MAIN, "self.actor", ACT, False),
        (GLOBAL, "agent", MAIN, False),
        (POLICY, "agent", MAIN, True),
        (MAIN, "obs", POLICY, False),
    ],
)
def test_a_line_sees_the_names_of_its_function_and_those_around_it(
    lines: dict[int, Line], on: int, code: str, of: int, is_there: bool
) -> None:
    assert lines[on].sees(code, lines[of]) == is_there
    assert not lines[on].sees(code, replace(lines[of], file="agent.py"))


def test_the_cells_of_a_notebook_share_their_names() -> None:
    assert Line("a.ipynb In [3]", 1, "obs = f(obs)").sees("model", Line("a.ipynb In [2]", 4, "model = g()"))


def line(code: str, scope: str) -> Line:
    return Line("enjoy.py", 5, code, scope)


def run(asks: str, steps: str, *, asked_in: str = "Agent.act", stepped_in: str = "main") -> ObservedRun:
    act = ObservedActs("actor()", line(asks, asked_in), True, False, False, False, False, 9)
    return ObservedRun(0, 0, [act], [], [], {}, 0, 0, 0, 0, 9, line(steps, stepped_in))


def in_bounds(**where: str) -> str:
    asked = run("return self.actor(obs).numpy()[0]", "obs, r, te, tr, _ = env.step(agent.act(obs))", **where)
    subject: Any = SimpleNamespace(run=asked, spec=SimpleNamespace(algo="TD3", path=""))
    return with_actions_in_bounds(subject)[1]


def test_actions_are_rescaled_by_the_policy_where_the_step_sees_it_and_else_by_the_space_of_the_environment() -> None:
    seen = "obs, r, te, tr, _ = env.step(self.actor.unscale_action(agent.act(obs)))"
    assert in_bounds(stepped_in="Agent.run") == seen
    space = "env.action_space"
    by_itself = f"{space}.low + 0.5 * (1.0 + agent.act(obs)) * ({space}.high - {space}.low)"
    assert in_bounds() == f"obs, r, te, tr, _ = env.step({by_itself})"


def test_a_line_that_asks_for_actions_is_given_nothing_of_the_function_that_steps() -> None:
    steps = "obs, r, done, i = env.step(a)"
    assert "env" in with_masks(run("a, _ = model.predict(obs)", steps, stepped_in="Agent.act"))
    assert with_masks(run("a, _ = model.predict(obs)", steps)) == ""
    assert with_state(run("a, state = model.predict(obs, state)", steps)) == ""
    kept = "a, self.state = model.predict(obs, self.state)"
    assert with_state(run(kept, steps)) == kept
    stepping, asking = line("new, r, te, tr, _ = env.step(a)", "main"), line("a, _ = model.predict(obs)", "Agent.act")
    assert with_new_observation(stepping, asking) == ""


def test_what_load_returns_is_assigned_to_no_name_of_another_function() -> None:
    made = ObservedModel("PPO", "constructed", line("model = PPO('MlpPolicy', env)", "build"))
    assert _assigned(made, ObservedModel("PPO", "loaded", line("model.load('m.zip')", "load"))) == ""
    own = ObservedModel("PPO", "constructed", line("self.model = PPO('MlpPolicy', env)", "Agent.__init__"))
    loaded = ObservedModel("PPO", "loaded", line("self.model.load('m.zip')", "Agent.load"))
    assert _assigned(own, loaded) == "self.model = PPO.load('m.zip')"
