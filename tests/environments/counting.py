"""What processes do, counted from inside them: a machine that is busy or slow changes no count.

:func:`counted` is for all Python processes of an audit, :func:`planned` for one call of Snakemake, :func:`calls` for a
function in this process. Only the standard library is imported here, because imports are counted too.
"""

from __future__ import annotations

import atexit
import cProfile
import json
import os
import pstats
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import gymnasium as gym

_FOLDER = "COUNTS_OF_PROCESSES"
_AT_START = f"import sys; sys.path.append({str(Path(__file__).parent)!r}); import counting; counting.begin()"
_PLANNING = "import sys; sys.path.append(sys.argv.pop(1)); import counting; counting.plan(sys.argv.pop(1))"


@dataclass
class Process:
    """A process that ended; of one that was killed only what it was.

    :param forked: whether it is a copy of its parent, and no interpreter of its own
    :param script: what it runs; a fresh process of a fork server, what the job runs that it is for
    :param modules: that it imported; a copy, beyond what its parent had imported
    :param programs: that it started
    :param counts: of what :func:`counted_environment` was asked for, and of what PyTorch computed meanwhile
    """

    pid: int
    parent: int
    arguments: list[str]
    forked: bool
    script: str = ""
    modules: list[str] = field(default_factory=list)
    programs: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Planning:
    """What one call of Snakemake took.

    :param calls: of functions
    :param looks: how often files were asked for (stat), without being opened
    :param opened: files
    :param modules: that it imported
    """

    calls: int
    looks: int
    opened: int
    modules: list[str]


def counted(command: Sequence[str], cwd: Path, folder: Path) -> tuple[subprocess.CompletedProcess[str], list[Process]]:
    """Run a command, and count what every Python process does that comes of it.

    :param folder: a new one, where the processes leave their counts; ``temp`` in it is their folder for temporary files
    """
    for name in ("start", "processes", "temp"):
        (folder / name).mkdir(parents=True)
    (folder / "start/sitecustomize.py").write_text(_AT_START)
    places = {"PYTHONPATH": folder / "start", _FOLDER: folder / "processes", "TMPDIR": folder / "temp"}
    done = _run(command, cwd, {name: str(place) for name, place in places.items()})
    return done, [Process(**json.loads(file.read_text())) for file in sorted((folder / "processes").iterdir())]


def planned(cwd: Path, *arguments: str) -> Planning:
    """Run Snakemake where nothing is to run, and count what that takes. The same call gives the same counts."""
    result = cwd / "planning.json"
    command = [sys.executable, "-c", _PLANNING, str(Path(__file__).parent), str(result), "--cores", "1", *arguments]
    with tempfile.TemporaryDirectory() as cache:  # else it counts what other processes have left in the user's
        done = _run(command, cwd, {"PYTHONPATH": "", "PYTHONHASHSEED": "0", "XDG_CACHE_HOME": cache})
    assert done.returncode == 0, done.stdout
    return Planning(**json.loads(result.read_text()))


def calls(work: Callable[[], object]) -> int:
    """How many functions are called, Python's own and those of extensions."""
    profile = cProfile.Profile()
    profile.runcall(work)
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]


def counted_environment(name: str) -> gym.Env:
    """One of the planted environments, which counts what is asked of it, and what is asked of the policy meanwhile."""
    import planted

    base: Any = getattr(planted, name)

    class Counted(base):  # type: ignore[misc]
        def reset(self, **kwargs: Any) -> Any:
            _counts["resets"] += 1
            return super().reset(**kwargs)

        def step(self, action: Any) -> Any:
            _counts["steps"] += 1
            return super().step(action)

    _counts["environments"] += 1
    if _counts["environments"] == 1:
        _count_computations()
    made: gym.Env = Counted()
    return made


def _run(command: Sequence[str], cwd: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    # PyTorch's compiler leaves variables behind, in whichever process of the tests has imported it.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TORCHINDUCTOR_")}
    return subprocess.run(
        command,
        cwd=cwd,
        env=inherited | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1200,
    )


# --- In the processes ----------------------------------------------------------------------------------------------

_counts: Counter[str] = Counter()
_programs: list[str] = []
_imported_before: set[str] = set()
_process: Process
_file: Path


def begin() -> None:
    """Count from now on. What is forked from this process counts anew."""
    exit_at_once = os._exit

    def exit_with_counts(status: int) -> None:  # how a copy ends
        _leave_counts()
        exit_at_once(status)

    os._exit = exit_with_counts  # type: ignore[assignment]
    sys.addaudithook(_take_down)
    os.register_at_fork(after_in_child=lambda: _start_counting(forked=True))
    atexit.register(_leave_counts)
    _start_counting(forked=False)


def _start_counting(*, forked: bool) -> None:
    global _process, _file
    _counts.clear()
    _programs.clear()
    _imported_before.update(sys.modules if forked else ())
    _process = Process(os.getpid(), os.getppid(), sys.orig_argv, forked)
    _file = Path(os.environ[_FOLDER], f"{time.time_ns()}-{os.getpid()}.json")
    _file.write_text(json.dumps(asdict(_process)))


def _leave_counts() -> None:
    _process.script = next(iter(getattr(sys, "argv", ())), "")
    _process.modules = sorted(set(sys.modules) - _imported_before)
    _process.programs, _process.counts = list(_programs), dict(_counts)
    _file.write_text(json.dumps(asdict(_process)))


def _take_down(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "subprocess.Popen":
        _programs.append(str(arguments[0]))


def _count_computations() -> None:
    """How often policies extract features and compute layers, and how often a module is told its mode."""
    import torch
    from stable_baselines3.common.torch_layers import FlattenExtractor

    for kind in (FlattenExtractor, torch.nn.Linear):
        kind.forward = _counting(kind.__name__, kind.forward)

    set_mode = torch.nn.Module.train

    def train(module: Any, mode: bool = True) -> Any:
        _counts["modes set"] += 1
        return set_mode(module, mode)

    torch.nn.Module.train = train  # type: ignore[method-assign, assignment]


def _counting(name: str, compute: Callable[..., Any]) -> Callable[..., Any]:
    def counting(*given: Any) -> Any:
        _counts[name] += 1
        return compute(*given)

    return counting


def plan(result: str) -> None:
    """Be Snakemake, called with the rest of the command line, and write down what it took."""
    import runpy

    profile = cProfile.Profile()
    try:
        profile.runcall(runpy.run_module, "snakemake", run_name="__main__", alter_sys=True)
    finally:
        stats = pstats.Stats(profile)

        def called(*names: str) -> int:
            numbers: dict[Any, Any] = stats.stats  # type: ignore[attr-defined]
            return sum(row[1] for (_, _, name), row in numbers.items() if name in names)

        planning = Planning(
            calls=stats.total_calls,  # type: ignore[attr-defined]
            looks=called("<built-in method posix.stat>", "<built-in method posix.lstat>"),
            opened=called("<built-in method io.open>"),
            modules=sorted(sys.modules),
        )
        Path(result).write_text(json.dumps(asdict(planning)))
