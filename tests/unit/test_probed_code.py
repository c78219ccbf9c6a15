"""What the probe takes for the environment's own code: its package and the user's modules, and no library."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reload_audit.probing.code import Code
from reload_audit.records.environment_spec import WrapperSpec
from reload_audit.records.specs import TrainingSpec
from support.builders import training_spec

PLACES = {
    "the user's module": ("project/track.py", True),
    "a module beside it": ("project/tracks/helpers.py", True),
    "an environment beside the code": ("project/.venv/lib/python3.12/site-packages/lib_in_venv.py", False),
    "the packages of one user": ("home/.local/lib/python3.12/site-packages/lib_of_user.py", False),
    "what is installed to be edited": ("src/edited/edited_lib.py", False),
    "a folder that a .pth file names": ("anywhere/pth_lib.py", False),
    "a package in which a wrapper is": ("src/edited/wrapping/inner/speed.py", True),
    "the same without __init__.py": ("src/edited/bare/speed.py", True),
}


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Code, Path]]:
    root = tmp_path_factory.mktemp("code")
    for path, _ in PLACES.values():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("import gymnasium\n\n\nclass Speed(gymnasium.Wrapper):\n    pass\n", encoding="utf-8")
    (root / "project/track.py").write_text("from gymnasium.envs.classic_control import CartPoleEnv as Track\n")
    for folder in ("wrapping", "wrapping/inner"):
        (root / "src/edited" / folder / "__init__.py").touch()
    before = sys.path[:]
    sys.path += [str(root / "src/edited"), str(root / "anywhere")]
    importlib.invalidate_caches()
    wrappers = (WrapperSpec("wrapping.inner.speed.Speed", {}), WrapperSpec("bare.speed.Speed", {}))
    plain = TrainingSpec.from_dict(training_spec()).environment
    found = Code(replace(plain, env="track:Track", wrappers=wrappers, python_path=(str(root / "project"),)))
    found.import_modules()
    yield found, root
    sys.path[:] = before


@pytest.mark.parametrize("place", PLACES)
def test_libraries_are_not_the_environment_wherever_they_lie(place: str, code: tuple[Code, Path]) -> None:
    path, is_own = PLACES[place]
    assert code[0].holds(str(code[1] / path)) == is_own
