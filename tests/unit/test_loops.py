"""The line of a script that stops or counts episodes is the head of the loop that does, and not the step in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from reload_audit.observing.loops import what_stops
from reload_audit.records.observation import Line

VEC, SINGLE = "obs, rewards, dones, infos = venv.step(action)", "obs, reward, ended, cut, _ = env.step(action)"
HEADS = [
    ("dones = False\nfor _ in range(200):\n    STEP", VEC, 2, "while not dones:"),
    ("ended = cut = False\nfor _ in range(LIMIT):\n    STEP", SINGLE, 2, "while not (ended or cut):"),
    ("for _ in range(200):\n    STEP\n    if ended or cut:\n        break", SINGLE, 1, ""),
    ("dones = False\nwhile not dones and t < 200:\n    STEP\n    t += 1", VEC, 2, "while not dones:"),
    ("dones = False\nfor t in range(200):\n    print(t)\n    STEP", VEC, 2, ""),
    ("while True:\n    STEP\n    if dones:\n        break\n    if t >= 200:\n        break", VEC, 5, ""),
    ("for t in itertools.count():\n    STEP\n    if t > 199: break", VEC, 2, ""),
    ("for t in range(5000):\n    STEP\n    if t == 199:\n        break", VEC, 3, ""),
    ("for episode in range(9):\n    while not dones:\n        STEP", VEC, 3, ""),
    ("def play(env):\n    STEP\nfor _ in range(200):\n    play(env)", VEC, 2, ""),
    ("STEP", VEC, 1, ""),
]


@pytest.mark.parametrize(("text", "step", "number", "instead"), HEADS)
def test_what_stops_an_episode_is_the_loop_or_what_leaves_it(
    tmp_path: Path, text: str, step: str, number: int, instead: str
) -> None:
    lines = text.replace("STEP", step).splitlines()
    (tmp_path / "enjoy.py").write_text("\n".join(lines))
    at = next(place for place, line in enumerate(lines, 1) if step in line)
    line, found = what_stops(tmp_path, Line("enjoy.py", at, step), 200)
    assert line is not None
    assert (line.line, line.code, found) == (number, lines[number - 1].strip(), instead)
