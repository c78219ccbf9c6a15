"""The line that gives a model other parameters is named: the one that was seen to, or the only one that can have."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reload_audit.observing.setting_lines import line_that_sets
from reload_audit.observing.statement import LEFT_OUT
from reload_audit.records.observation import Line, ObservedModel

SETS = [
    ("model.policy.action_net.weight.data *= 0.5", LEFT_OUT),
    ("torch.nn.init.orthogonal_(model.policy.action_net.weight)", LEFT_OUT),
    ("model.policy.log_std.data = torch.zeros(1)", LEFT_OUT),
    ("model.policy = other.policy", LEFT_OUT),
    ("vector_to_parameters(0.9 * vector, model.policy.parameters())", LEFT_OUT),
    ("for part in model.policy.parameters():\n    part += noise", LEFT_OUT),
    ("with torch.no_grad():\n    part.add_(0.1 * torch.randn_like(part))", LEFT_OUT),
    ("changed = layer.weight.mul_(0.0)", ""),
]
CHANGES_NOTHING = """
for part in model.policy.parameters():
    part.requires_grad_(False)
total += 1
model.policy.optimizer.load_state_dict(state)
env.forget_()
"""


def named(folder: Path, text: str, **modules: str) -> tuple[Line | None, str, str]:
    """What is said of a script that loads a model in its first line, and of its own modules."""
    loads = Line("enjoy.py", 1, 'model = PPO.load("robot")')
    for name, code in {"enjoy": f"{loads.code}\n{text}\n", **modules}.items():
        (folder / f"{name}.py").write_text(code)
    script, observation = SimpleNamespace(script=str(folder / "enjoy.py")), SimpleNamespace(own_packages=(*modules,))
    subject: Any = SimpleNamespace(script=script, observation=observation)
    return line_that_sets(subject, ObservedModel("PPO", "loaded", loads))


@pytest.mark.parametrize(("text", "instead"), SETS)
def test_the_only_line_that_changes_parameters_is_named(tmp_path: Path, text: str, instead: str) -> None:
    line, found, said = named(tmp_path, text)
    assert line is not None
    assert (line.code, found) == (text.splitlines()[-1].strip(), instead)
    assert said == f"something sets them anew, and only {line} is seen to change parameters"


def test_a_line_of_the_script_s_own_module_is_named(tmp_path: Path) -> None:
    line, _, _ = named(tmp_path, "spoil(model)", spoils="def spoil(model):\n    model.policy.action_net.bias.zero_()\n")
    assert str(line) == "spoils.py:2"


def test_several_lines_are_all_said_and_what_changes_no_number_is_not(tmp_path: Path) -> None:
    line, instead, said = named(tmp_path, f"{SETS[0][0]}\n{SETS[1][0]}")
    assert (str(line), instead) == ("enjoy.py:1", "")
    assert said == "something sets them anew: enjoy.py:2 or enjoy.py:3"
    assert named(tmp_path, CHANGES_NOTHING)[2] == "something sets them anew"
