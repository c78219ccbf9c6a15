"""The jobs of a run share fork servers that its main process starts; whatever becomes of these, calls give values."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from reload_audit.jobs import external, probe, reload, sharing, train
from reload_audit.processes import shared_servers, watching
from reload_audit.processes.fork_servers import (
    OF_A_JOB,
    RELOAD_HASH_SEED,
    TRAIN_HASH_SEED,
    VARIABLE,
    file_of_imported,
)
from reload_audit.processes.isolation import call, prepare
from reload_audit.processes.outcome import Outcome
from support.builders import ROOT

TARGETS = "support.isolation_targets"
PYTEST = "PYTEST_CURRENT_TEST"
"""The variable that pytest sets anew for each part of a test."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The id of a server that this process, as the main one of a run, shares with its jobs."""
    monkeypatch.setenv(VARIABLE, "")  # so that it is taken away afterwards
    monkeypatch.setattr(shared_servers, "OF_A_JOB", {*OF_A_JOB, PYTEST})
    shared_servers.share([0], ["numpy"])
    yield shared_servers._started[0]._forkserver_pid
    shared_servers._stop(os.getpid())
    os.environ.pop(VARIABLE)
    prepare("forkserver", hash_seed=0, preload=("json",))  # a server of its own for the tests that follow


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs/call.log"


@pytest.fixture
def begin_job() -> Callable[[], None]:
    """Forget the server that was used so far, as the next job does."""

    def begin() -> None:
        prepare("forkserver", hash_seed=1)
        prepare("forkserver", hash_seed=0)

    return begin


def folder_of_the_run() -> Path:
    return Path(os.environ[VARIABLE])


def run(log: Path, function: str, *arguments: object) -> Outcome:
    return call(f"{TARGETS}:{function}", arguments, method="forkserver", log=log, timeout=60.0)


def has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def comes_true(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def test_the_jobs_of_a_run_share_one_server(server: int, begin_job: Callable[[], None], log: Path) -> None:
    script = log.with_name("job.py")
    log.parent.mkdir()
    script.write_text(f"""
import sys
sys.path[:] = {sys.path!r}
from pathlib import Path
from reload_audit.processes.isolation import call, prepare
prepare("forkserver", hash_seed=0, preload=("a_module_of_this_job",))
print(call("{TARGETS}:process_ids", (), method="forkserver", log=Path({str(log)!r})).usage.parent_pid)
""")
    environment = {name: value for name, value in os.environ.items() if name != PYTEST}
    command = [sys.executable, script]
    jobs = [subprocess.run(command, env=environment, capture_output=True, text=True, check=True) for _ in range(2)]
    begin_job()
    here = run(log, "process_ids").usage.parent_pid

    assert [int(job.stdout) for job in jobs] + [here] == [server] * 3
    assert log.read_text() == ""


def test_a_process_of_it_has_the_variables_and_the_folder_of_its_job(
    server: int, begin_job: Callable[[], None], log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_job()
    monkeypatch.setenv("TMPDIR", str(log.parent.parent))
    monkeypatch.chdir(log.parent.parent)
    names = ("TMPDIR", "PYTHONHASHSEED", "OMP_NUM_THREADS", "HOME")

    assert run(log, "environment", *names).value == {name: os.environ.get(name) for name in names}
    assert run(log, "working_folder").value == str(log.parent.parent)


def lose(server: int) -> None:
    os.kill(server, signal.SIGKILL)
    assert comes_true(lambda: has_ended(server))


def lower_a_limit(_server: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))


UNUSABLE: dict[str, Callable[[int], object]] = {
    "ended": lose,
    "of another environment": lambda _: os.environ.update(OF_THIS_JOB="1"),
    "of other limits": lower_a_limit,
    "in a folder that is open to others": lambda _: folder_of_the_run().chmod(0o755),
    "in a folder of another file": lambda _: (folder_of_the_run() / "0.json").write_text('{"address": 1}'),
    "without a file": lambda _: (folder_of_the_run() / "0.json").unlink(),
    "without a socket": lambda _: [path.unlink() for path in folder_of_the_run().glob("listener-*")],
}


WHY = {
    "ended": "cannot be reached",
    "of another environment": "other environment (OF_THIS_JOB)",
    "of other limits": "other limits (RLIMIT_NOFILE",
    "in a folder that is open to others": "is open to others",
    "in a folder of another file": "KeyError",
    "without a file": "the run has none with the hash seed 0",
    "without a socket": "cannot be reached",
}
"""What the job's log says of it."""


@pytest.mark.parametrize("what", UNUSABLE)
def test_a_job_starts_its_own_server_where_that_of_the_run_is(
    what: str, server: int, begin_job: Callable[[], None], log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setenv("OF_THIS_JOB", "")
    monkeypatch.delenv("OF_THIS_JOB")
    begin_job()
    UNUSABLE[what](server)
    try:
        parents = {run(log, "process_ids").usage.parent_pid for _ in range(2)}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    assert len(parents - {server}) == 1
    assert WHY[what] in log.read_text()
    assert log.read_text().count("A fork server is started for this job") == 1


def test_a_job_of_another_library_starts_its_own_server(
    server: int, begin_job: Callable[[], None], log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_job()
    monkeypatch.setattr(shared_servers, "LIBRARY", str(ROOT / "tests"))
    assert run(log, "process_ids").usage.parent_pid != server
    assert "other library" in log.read_text()


def test_a_job_without_the_variable_starts_its_own_server(
    server: int, begin_job: Callable[[], None], log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_job()
    folder = folder_of_the_run()
    os.environ.pop(VARIABLE)
    parent = run(log, "process_ids").usage.parent_pid
    monkeypatch.setenv(VARIABLE, str(folder))
    assert parent != server
    assert log.read_text() == ""


@pytest.mark.parametrize("shared", [True, False])
def test_a_call_whose_server_is_killed_gives_its_value_all_the_same_and_leaves_no_process(
    shared: bool, server: int, begin_job: Callable[[], None], log: Path, tmp_path: Path
) -> None:
    if not shared:
        (folder_of_the_run() / "0.json").unlink()
    begin_job()
    note = tmp_path / "first"

    outcome = run(log, "kill_the_server_the_first_time", str(note))

    assert (outcome.value, outcome.failure) == ("second try", None)
    first, its_server = map(int, note.read_text().split())
    assert (its_server == server) is shared
    assert comes_true(lambda: has_ended(first))


def test_a_server_that_was_killed_takes_no_try_from_a_process_that_is(
    server: int, begin_job: Callable[[], None], log: Path, tmp_path: Path
) -> None:
    begin_job()
    notes = tmp_path / "notes"
    notes.mkdir()
    outcome = run(log, "kill_the_server_then_be_killed", str(notes))
    assert (outcome.value, outcome.failure) == ("try 3", None)


def test_a_job_waits_for_no_server_that_was_stopped(
    server: int, begin_job: Callable[[], None], log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_servers, "ANSWER_SECONDS", 0.5)
    os.kill(server, signal.SIGSTOP)
    try:
        begin_job()
        assert run(log, "process_ids").usage.parent_pid != server
    finally:
        os.kill(server, signal.SIGCONT)
    assert "has not answered" in log.read_text()


def test_processes_of_one_server_draw_numbers_of_their_own(
    server: int, begin_job: Callable[[], None], log: Path
) -> None:
    begin_job()
    outcomes = [run(log, "draw") for _ in range(2)]
    assert {outcome.usage.parent_pid for outcome in outcomes} == {server}
    assert outcomes[0].value != outcomes[1].value


def test_a_process_that_ends_with_the_status_255_is_not_said_to_be_killed(
    server: int, begin_job: Callable[[], None], log: Path
) -> None:
    begin_job()
    outcome = run(log, "exit_at_once", 255)
    assert not outcome.killed
    assert outcome.failure is not None
    assert "exit status 255," in outcome.failure.message
    assert run(log, "process_ids").usage.parent_pid == server


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, None])
def test_no_server_outlives_the_main_process_of_its_run(how: signal.Signals | None, tmp_path: Path) -> None:
    script, said = tmp_path / "main.py", tmp_path / "said"
    script.write_text(f"""
import json, sys
sys.path[:] = {sys.path!r}
from pathlib import Path
from reload_audit.processes import shared_servers
shared_servers.share([0, 1], ["json"])
ids = [server._forkserver_pid for server in shared_servers._started.values()]
Path({str(tmp_path / "new")!r}).write_text(json.dumps([ids, shared_servers.os.environ[{VARIABLE!r}]]))
Path({str(tmp_path / "new")!r}).rename({str(said)!r})
sys.stdin.read()
""")
    with subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as main:
        assert comes_true(said.exists)
        servers, folder = json.loads(said.read_text())
        if how is not None:
            main.send_signal(how)
        assert main.stdin is not None
        main.stdin.close()
        main.wait(60)

    try:
        assert comes_true(lambda: all(map(has_ended, servers)))
        assert len(set(servers)) == 2
        assert how in (signal.SIGKILL, signal.SIGTERM) or not Path(folder).exists()
    finally:
        for pid in servers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def share_and_end(module: str, until: str, folder: Path) -> None:
    """Run a main process that shares a server which imports a module, and ends when a file of this name is there.

    However long a server took to end, it would wait for it.
    """
    script = folder / "main.py"
    script.write_text(f"""
import os, sys, time
sys.path[:] = {sys.path!r}
from pathlib import Path
from reload_audit.processes import shared_servers
shared_servers._ENDING_SECONDS = float("inf")
shared_servers.share([0], [{module!r}])
places = [Path({str(folder)!r}), Path(os.environ[{VARIABLE!r}])]
while not any(list(place.glob({until!r})) for place in places):
    time.sleep(0.02)
""")
    subprocess.run(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": str(folder)},
        check=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


def test_a_server_does_what_libraries_do_at_the_end_and_takes_down_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "lingers.py").write_text("""
import atexit, pathlib

class Left:
    def __init__(self): self.note = pathlib.Path(__file__).with_name("taken down")
    def __del__(self): self.note.touch()

left = Left()
atexit.register(pathlib.Path(__file__).with_name("cleaned up").touch)
""")
    share_and_end("lingers", "imported-*", tmp_path)
    assert (tmp_path / "cleaned up").exists()
    assert not (tmp_path / "taken down").exists()


def test_a_run_that_ends_waits_for_no_server_that_still_imports(tmp_path: Path) -> None:
    (tmp_path / "imports_slowly.py").write_text("""
import pathlib, time
pathlib.Path(__file__).with_name("begun").touch()
time.sleep(60)
pathlib.Path(__file__).with_name("imported").touch()
""")
    share_and_end("imports_slowly", "begun", tmp_path)
    assert not (tmp_path / "imported").exists()


SHARES = f"""
import os, sys
sys.path[:] = {sys.path!r}
from reload_audit.processes import shared_servers
shared_servers.share([], [])
print(os.environ[{VARIABLE!r}], flush=True)
sys.stdin.read()
"""


def test_the_folder_of_a_run_that_was_killed_is_removed_by_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        monkeypatch.setattr(tempfile, "tempdir", place)
        monkeypatch.setenv("TMPDIR", place)
        others = Path(place, f"{shared_servers._PREFIX}of-somebody")
        others.mkdir(mode=0o755)
        (others / shared_servers._OWNED).touch()
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        command = [sys.executable, "-c", SHARES]
        with subprocess.Popen(command, **pipes) as killed, subprocess.Popen(command, **pipes) as goes_on:
            assert killed.stdout is not None
            assert goes_on.stdout is not None
            gone, live = Path(killed.stdout.readline().strip()), Path(goes_on.stdout.readline().strip())
            killed.kill()
            killed.wait()
            assert gone.is_dir()
            shared_servers._remove_abandoned()
            assert [folder.is_dir() for folder in (gone, live, others)] == [False, True, True]


def test_what_the_servers_of_a_run_cannot_import_is_said_once_and_fails_what_needs_it_alone(
    tmp_path: Path,
    begin_job: Callable[[], None],
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name in ("broken", "dependent"):
        text = "import broken\n" if name == "dependent" else "raise OSError('libgpu.so.11: no such file')\n"
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setattr(shared_servers, "OF_A_JOB", {*OF_A_JOB, PYTEST})
    try:
        for hash_seed in (0, 1):
            shared_servers.share([hash_seed], ["dependent", "broken", "json"])
            file = file_of_imported(folder_of_the_run(), shared_servers._started[hash_seed]._forkserver_pid)
            assert comes_true(file.exists)
        begin_job()
        sound = run(log, "is_imported", "json")
        failed = run(log, "import_all", ["dependent"])
    finally:
        shared_servers._stop(os.getpid())
        os.environ.pop(VARIABLE)
        prepare("forkserver", hash_seed=0, preload=("json",))
    assert (sound.value, sound.failure) == (True, None)
    assert failed.failure is not None
    assert failed.failure.message == "OSError: libgpu.so.11: no such file"
    (said,) = [line for line in capfd.readouterr().err.splitlines() if "Expected that" in line]
    assert said == (
        f"Expected that {sys.executable} can import dependent; found OSError: libgpu.so.11: no such file. "
        "Whatever needs it will fail: install again what requirements.txt lists, or start the audit with a Python that "
        "has it."
    )


@pytest.mark.slow
def test_a_call_whose_server_is_stopped_ends_with_its_time(
    server: int, begin_job: Callable[[], None], log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_LEAVING_SECONDS", 0.5)
    begin_job()
    try:
        outcome = call(f"{TARGETS}:stop_the_server", (), method="forkserver", log=log, timeout=2.0)
    finally:
        os.kill(server, signal.SIGCONT)
    assert outcome.failure is not None
    assert outcome.failure.kind == "timeout"


def test_the_servers_of_a_run_import_what_those_of_its_jobs_would() -> None:
    wanted = {
        TRAIN_HASH_SEED: {*train.PRELOAD, *probe.PRELOAD},
        RELOAD_HASH_SEED: {*reload.PRELOAD, *external.PRELOAD, *probe.PRELOAD},
    }
    for hash_seed, names in wanted.items():
        assert names - {"time_machine"} <= {*sharing.PRELOAD[hash_seed]}
