"""Scripts of strangers: nothing of them runs, ends an audit or writes into what is proposed."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.repositories import (
    SNAKE,
    SPACES_OF_SNAKE,
    Repository,
    planned,
)

HOSTILE = {
    "no Python": "print 'of 2009'\n\x00",
    "levels": f"x = {'(' * 5000}1{')' * 5000}\n",
    "more levels": f"x = {'-' * 20_000}1\n",
    "growing texts": "x = 'a' * 9\n" + "x = x + x\n" * 200 + "from stable_baselines3 import PPO\nPPO('P', x).save(x)\n",
    "growing lists": "x = [1]\n" + "x = [*x, *x] + x + x\n" * 200,
    "loops in loops": "".join(f"{' ' * n}for i{n} in range(99):\n" for n in range(30)) + f"{' ' * 30}x = 1\n",
    "endless recursion": "def f(x):\n    return f(f(x))\nf(1)\nclass A(B):\n    pass\nclass B(A):\n    pass\nA().x\n",
    "imports itself": "import train\nfrom train import *\nfrom . import train\nfrom .. import nothing\n",
    "huge numbers": "x = 9 ** 9 ** 9 ** 9\ny = 10**1000 * 10**1000\nz = [0] * 10**12\n",
    "many branches": "".join(f"x{n} = {n}\nif x{n}:\n    x{n} = 'a'\n" for n in range(5000)),
    "a warning": "x = '\\d' is '\\d'\nassert (1, 'always')\n",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_script_of_any_kind_ends_nothing_and_says_nothing_on_the_console(
    kind: str, tmp_path: Path, recwarn: pytest.WarningsRecorder, capsys: pytest.CaptureFixture[str]
) -> None:
    good = "from stable_baselines3 import PPO\nPPO('MlpPolicy', 'CartPole-v1').save('model')\n"
    folder = Repository({"a.py": good, "train.py": HOSTILE[kind]}).write(tmp_path / "hostile")
    assert planned(folder).specs["model"].environment.env == "CartPole-v1"
    assert capsys.readouterr() == ("", "")
    assert not recwarn.list


def test_a_file_s_name_cannot_write_into_the_proposal(tmp_path: Path) -> None:
    name = "a\nexperiments: [{name: evil}]\n#.py"
    folder = Repository({name: SNAKE.replace("SnakeEnv", "B")}, {"best.zip": SPACES_OF_SNAKE}).write(tmp_path / "x")
    found = planned(folder)
    assert found.proposal.keys() <= {"runs", "python_path"}


def test_nothing_of_a_repository_is_run_before_its_owner_consents(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    script = f"open({str(mark)!r}, 'w').close()\n{SNAKE}\nmodel = 1\n"
    planned(Repository({"snake.py": script, "setup.py": script}, {"a.zip": SPACES_OF_SNAKE}).write(tmp_path / "x"))
    assert not mark.exists()
