"""A fresh process is fresh, and whatever happens in it comes back as an outcome. Real processes throughout."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from reload_audit.processes.isolation import Method, call, prepare
from reload_audit.processes.outcome import Failure, Outcome

Run = Callable[..., Outcome]

TARGETS = "support.isolation_targets"  # tests/ is on the path


@pytest.fixture(params=["forkserver", "spawn"])
def method(request: pytest.FixtureRequest) -> Method:
    return request.param


@pytest.fixture(autouse=True, scope="module")
def _server_of_its_own() -> None:
    """A new fork server for this file: what others have imported into one counts as memory of all that it forks."""
    prepare("forkserver", hash_seed=0)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "call.log"


@pytest.fixture
def run_target(method: Method, log: Path) -> Run:
    def run(function: str, *arguments: Any, timeout: float | None = 60.0, memory: int | None = None) -> Outcome:
        return call(f"{TARGETS}:{function}", arguments, method=method, log=log, timeout=timeout, memory=memory)

    return run


def failure_of(outcome: Outcome) -> Failure:
    assert outcome.failure is not None, f"the call gave {outcome.value!r}"
    return outcome.failure


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def ended(pid: int) -> bool:
    """Whether a process is gone, or dead and only not yet waited for by its parent."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


# --- A value -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, 3, {"episodes": [1.5, float("inf")]}, Path("a")])
def test_a_call_in_a_fresh_process_returns_the_value(run_target: Run, value: Any) -> None:
    outcome = run_target("give", value)
    assert (outcome.value, outcome.failure) == (value, None)


def test_a_call_returns_a_value_larger_than_any_pipe(run_target: Run) -> None:
    value = os.urandom(8 * 2**20)
    assert run_target("give", value).value == value


def test_what_is_handed_over_last_is_the_value_of_a_call_whose_time_ends(run_target: Run) -> None:
    outcome = run_target("hand_over_and_sleep", [1, os.urandom(2**20), "last"], 120.0, timeout=8.0)
    assert outcome.failure is not None
    assert (outcome.value, outcome.failure.kind) == ("last", "timeout")


def test_what_is_handed_over_is_nothing_beside_the_value_or_a_crash(run_target: Run) -> None:
    assert run_target("hand_over_and_sleep", [1, 2], 0.0).value == "done"
    assert run_target("hand_over_and_die", 1).value is None


def test_a_call_knows_how_much_of_its_time_is_left(run_target: Run) -> None:
    assert 0.0 < run_target("time_left", timeout=1000.0).value < 1000.0
    assert run_target("time_left", timeout=None).value == float("inf")


def test_every_call_has_a_process_of_its_own(run_target: Run) -> None:
    pids = [run_target("process_ids").value[0] for _ in range(3)]
    assert len({os.getpid(), *pids}) == 4


def test_the_usage_names_the_process(run_target: Run) -> None:
    before = time.time()
    outcome = run_target("process_ids")
    usage = outcome.usage

    assert (usage.pid, usage.parent_pid) == outcome.value
    assert before - 2 <= usage.started <= time.time()  # the system says when it booted in whole seconds


def test_a_call_during_which_the_clock_is_turned_back_took_no_less_than_nothing(run_target: Run) -> None:
    assert run_target("turn_the_clock_back").usage.wall_seconds >= 0.0


def test_the_usage_counts_the_memory_that_was_needed(run_target: Run) -> None:
    assert run_target("share_with_forks", 200, 0, 0.0).usage.peak_memory >= 200


@pytest.mark.parametrize(
    "method",
    [
        "forkserver",
        "spawn",
    ],
)
def test_the_usage_does_not_count_the_caller_s_memory(run_target: Run) -> None:
    held = b"x" * (300 * 2**20)
    assert run_target("give", 1).usage.peak_memory < len(held) / 2**20 / 2


@pytest.mark.slow
def test_a_thread_left_running_does_not_hold_up_the_value(run_target: Run) -> None:
    start = time.monotonic()
    assert run_target("leave_a_thread_running").value == "done"
    assert time.monotonic() - start < 100


# --- Failures ----------------------------------------------------------------------------------------------------


def test_an_exception_comes_back_with_type_message_and_traceback(run_target: Run) -> None:
    failure = failure_of(run_target("raise_error", "no such\n  episode"))

    assert (failure.kind, failure.message) == ("exception", r"KeyError: 'no such\n episode'")
    assert "in raise_error" in failure.details


def test_an_exception_without_a_text_comes_back_with_its_type(run_target: Run) -> None:
    failure = failure_of(run_target("raise_what_cannot_be_said"))
    assert failure.message == "_Unspeakable: (its text raises AttributeError)"


@pytest.mark.parametrize("status", [0, 1])
def test_sys_exit_is_reported_as_an_exception(run_target: Run, status: int) -> None:
    failure = failure_of(run_target("raise_system_exit", status))
    assert (failure.kind, failure.message) == ("exception", f"SystemExit: {status}")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such_package:f", "no module named 'no_such_package'"),
        (f"{TARGETS}:no_such_function", "has no 'no_such_function'"),
    ],
)
def test_a_function_that_does_not_exist_is_reported_as_an_exception(
    method: Method, log: Path, target: str, message: str
) -> None:
    failure = failure_of(call(target, (), method=method, log=log))
    assert failure.kind == "exception"
    assert message in failure.message


@pytest.mark.parametrize("status", [0, 3])
def test_a_process_that_leaves_without_a_value_is_reported_with_its_exit_status(run_target: Run, status: int) -> None:
    failure = failure_of(run_target("exit_at_once", status))
    assert failure.kind == "exit"
    assert f"exit status {status}," in failure.message


def test_of_a_process_that_forks_only_the_parent_s_value_comes_back(run_target: Run) -> None:
    assert run_target("fork_and_go_on", 3).value == 3
    assert run_target("fork_and_raise_in_the_child").value == "in the parent"


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGKILL", "SIGTERM"])
def test_death_by_a_signal_names_the_signal(run_target: Run, name: str) -> None:
    failure = failure_of(run_target("die_of", signal.Signals[name]))
    assert failure.kind == "signal"
    assert failure.message.startswith(f"the process was ended by {name}")


@pytest.mark.parametrize("sending", [False, True])
def test_a_process_that_is_killed_gets_one_more_try(run_target: Run, tmp_path: Path, sending: bool) -> None:
    note = tmp_path / "tried"
    assert run_target("be_killed_the_first_time", str(note), sending).value == "second try"


def test_a_real_segmentation_fault_is_survived(run_target: Run) -> None:
    assert failure_of(run_target("read_address_zero")).message.endswith("SIGSEGV")


def test_death_by_a_signal_without_a_name_is_survived(run_target: Run) -> None:
    assert failure_of(run_target("die_of", signal.SIGRTMIN + 1)).kind == "signal"


def test_a_value_that_cannot_be_sent_is_reported_as_an_exception(run_target: Run) -> None:
    failure = failure_of(run_target("give_what_cannot_be_sent"))
    assert failure.message.startswith("its result cannot be handed over: ")
    assert "Can't pickle" in failure.message


@pytest.mark.parametrize("depth", [491, 700, 100_000])
def test_a_value_that_is_nested_too_deeply_for_either_side_is_a_failure_or_comes_back(
    run_target: Run, depth: int
) -> None:
    outcome = run_target("give_nested", depth)
    assert outcome.value is not None or "its result cannot be" in failure_of(outcome).message
    assert outcome.value is None or depth < 1000


def test_a_process_that_takes_a_while_to_leave_is_not_said_to_be_killed(run_target: Run) -> None:
    """A job takes ``SIGKILL`` for "killed from outside", and fails instead of writing a record."""
    assert failure_of(run_target("hang_up_and_leave_after", 1.0)).kind == "exit"


def test_a_process_that_hangs_up_and_does_not_leave_is_not_said_to_be_killed(
    run_target: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reload_audit.processes.watching._LEAVING_SECONDS", 0.2)

    failure = failure_of(run_target("hang_up_and_leave_after", 20.0))

    assert failure.kind == "exit"
    assert "still ran 0.2 seconds later" in failure.message


def test_arguments_that_cannot_be_unpickled_are_reported_as_an_exit(method: Method, log: Path) -> None:
    from support.isolation_targets import Unreadable

    log.parent.mkdir()
    log.touch()
    assert failure_of(call(f"{TARGETS}:give", (Unreadable(),), method=method, log=log)).kind == "exit"


def test_a_process_that_dies_before_it_opens_the_log_is_reported_as_an_exit(run_target: Run) -> None:
    from support.isolation_targets import Unreadable

    assert failure_of(run_target("give", Unreadable())).kind == "exit"


FAILING: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("raise_error", ("no",), {}),
    ("exit_at_once", (3,), {}),
    ("die_of", (signal.SIGSEGV,), {}),
    ("sleep", (120,), {"timeout": 0.5}),
    ("hold", (400,), {"memory": 200}),
]


@pytest.mark.parametrize(("function", "arguments", "limits"), FAILING, ids=[function for function, *_ in FAILING])
def test_the_next_call_works_after_a_failure(
    run_target: Run, function: str, arguments: tuple[Any, ...], limits: dict[str, Any]
) -> None:
    assert run_target(function, *arguments, **limits).failure is not None
    assert run_target("give", "well").value == "well"


# --- Limits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", ["sleep", "ignore_termination_and_sleep"])
def test_a_call_beyond_its_time_limit_is_ended(run_target: Run, function: str) -> None:
    start = time.monotonic()
    failure = failure_of(run_target(function, *([120] if function == "sleep" else []), timeout=0.5))

    assert (failure.kind, failure.message) == ("timeout", "did not finish within 0.5 seconds")
    assert time.monotonic() - start < 100


def test_a_worker_ends_with_a_call_that_took_too_long(run_target: Run, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    assert failure_of(run_target("start_worker", str(note), 120.0, timeout=8.0)).kind == "timeout"
    assert wait_until(lambda: ended(int(note.read_text())))


def test_a_worker_ends_with_a_call_that_gave_its_value(run_target: Run, tmp_path: Path) -> None:
    worker = run_target("start_worker", str(tmp_path / "pid"), 0.0).value
    assert wait_until(lambda: ended(worker))


def test_a_worker_ends_with_a_call_that_died(run_target: Run, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    assert failure_of(run_target("start_worker_and_die", str(note))).kind == "exit"
    assert wait_until(lambda: ended(int(note.read_text())))


def test_a_call_beyond_its_memory_limit_is_ended(run_target: Run) -> None:
    failure = failure_of(run_target("hold", 400, memory=200))
    assert failure.kind == "memory"
    assert failure.message == "held more memory than its limit of 200 MiB"


def test_the_memory_of_workers_counts_together(run_target: Run) -> None:
    assert failure_of(run_target("hold_in_workers", 150, 2, memory=250)).kind == "memory"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells shared pages apart")
def test_memory_that_forks_share_counts_once(run_target: Run) -> None:
    assert run_target("share_with_forks", 150, 3, 1.0, memory=300).value == "held 150 MiB"


def test_memory_within_the_limit_is_left_alone(run_target: Run) -> None:
    assert run_target("share_with_forks", 100, 0, 0.5, memory=300).failure is None


# --- Full disks --------------------------------------------------------------------------------------------------


def test_a_full_disk_is_not_reported_as_a_failure_of_the_call(run_target: Run) -> None:
    with pytest.raises(OSError, match="RuntimeError: unexpected pos") as raised:
        run_target("save_to_a_full_disk")
    assert raised.value.errno == errno.ENOSPC


def test_a_full_disk_under_the_log_loses_output_and_nothing_else(run_target: Run) -> None:
    assert run_target("print_to_a_full_disk").value == "measured"
    assert failure_of(run_target("raise_with_a_log_on_a_full_disk")).message == "KeyError: 'why'"


# --- The log -----------------------------------------------------------------------------------------------------


def test_megabytes_of_output_land_in_the_log_and_block_nothing(run_target: Run, log: Path) -> None:
    assert run_target("print_lines", 4000, 1000).value == "printed"
    assert log.stat().st_size == 4000 * 1001


def test_of_too_much_output_the_beginning_and_the_end_are_kept(run_target: Run, log: Path) -> None:
    run_target("print_lines", 1, 5)
    assert run_target("print_much").failure is None
    text = log.read_text()
    assert text.startswith("xxxxx\nthe beginning\n")
    assert text.endswith("x\nthe end\n")
    assert text.count("[... cut") == 1
    assert log.stat().st_size < 9 * 2**20


def test_endless_output_does_not_fill_the_disk(run_target: Run, log: Path) -> None:
    assert failure_of(run_target("print_for_ever", timeout=8)).kind == "timeout"
    assert log.stat().st_size < 9 * 2**20
    assert log.read_text().startswith("the beginning\n")


@pytest.mark.parametrize("line", ["from print", "from standard error", "from the C level", "from a worker"])
def test_output_of_every_kind_lands_in_the_log(run_target: Run, log: Path, line: str) -> None:
    run_target("print_everywhere")
    assert line in log.read_text().splitlines()


def test_nothing_is_printed_into_the_caller_s_own_output(run_target: Run, capfd: pytest.CaptureFixture[str]) -> None:
    run_target("print_everywhere")
    assert "from" not in "".join(capfd.readouterr())


def test_the_traceback_lands_in_the_log_too(run_target: Run, log: Path) -> None:
    run_target("raise_error", "no")
    assert "KeyError: 'no'" in log.read_text()


def test_the_log_is_continued(run_target: Run, log: Path) -> None:
    run_target("print_lines", 1, 3)
    run_target("print_lines", 1, 5)
    assert log.read_text() == "xxx\nxxxxx\n"


def test_a_killed_call_is_reported_with_the_last_lines_that_it_printed(run_target: Run) -> None:
    run_target("print_and_exit", "the first call")
    assert failure_of(run_target("print_and_exit", "the second call")).details == "the second call"


# --- Whole scripts, each with a fork server of its own -----------------------------------------------------------


@pytest.fixture
def run_script(method: Method, tmp_path: Path) -> Callable[[str], Any]:
    """Run a script that knows ``METHOD``, ``LOG`` and ``answer``, as Snakemake does: its path is set inside it."""
    header = f"""
import sys
sys.path[:] = {sys.path!r}
from pathlib import Path
import json
from reload_audit.processes.isolation import call, prepare
METHOD, LOG = {method!r}, Path({str(tmp_path / "script.log")!r})
def answer(value):
    Path({str(tmp_path / "answer.json")!r}).write_text(json.dumps(value))
"""

    def run_script(body: str) -> Any:
        script = tmp_path / "script.py"
        script.write_text(header + body)
        inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHASHSEED")}
        result = subprocess.run(
            [sys.executable, script], capture_output=True, text=True, timeout=120, env=inherited, check=False
        )
        assert result.returncode == 0, result.stderr
        return json.loads((tmp_path / "answer.json").read_text())

    return run_script


def test_the_calling_script_is_not_run_again(run_script: Callable[[str], Any], tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    run_script(f"""
with open({str(runs)!r}, "a") as file:
    file.write("once\\n")
prepare(METHOD, hash_seed=0)
answer(call("{TARGETS}:give", (1,), method=METHOD, log=LOG).value)
""")
    assert runs.read_text() == "once\n"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/thread-self/children").exists(), reason="nothing names a process's children here")
def test_to_weigh_a_process_looks_at_none_of_the_machine_s_others(run_script: Callable[[str], Any]) -> None:
    opened = run_script(f"""
opened = []
prepare(METHOD, hash_seed=0)
sys.addaudithook(lambda event, arguments: opened.append(str(arguments[0])) if event == "open" else None)
call("{TARGETS}:share_with_forks", (1, 1, 1.5), method=METHOD, log=LOG, memory=1000)
answer(opened)
""")
    looked_at = {match[1] for path in opened if (match := re.match(r"/proc/(\d+)/", path))}
    assert len(looked_at) == 2, looked_at  # the process and its fork


def test_the_calling_script_keeps_its_name(run_script: Callable[[str], Any], tmp_path: Path) -> None:
    body = f'call("{TARGETS}:give", (1,), method=METHOD, log=LOG)\nanswer(__file__)'
    assert run_script(body) == str(tmp_path / "script.py")


@pytest.mark.parametrize("seed", [0, 1])
def test_fresh_processes_have_the_pythonhashseed_that_was_asked_for(
    run_script: Callable[[str], Any], seed: int
) -> None:
    expected = subprocess.run(
        [sys.executable, "-c", "print(hash('observation'))"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": str(seed)},
    )
    found = run_script(f"""
prepare(METHOD, hash_seed={seed})
answer(call("{TARGETS}:hash_of", ("observation",), method=METHOD, log=LOG).value)
""")
    assert found == int(expected.stdout)


def test_the_folder_for_temporary_files_may_have_a_long_path(
    run_script: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / (100 * "t")
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    body = f'answer(call("{TARGETS}:listen", (), method=METHOD, log=LOG).value)'
    assert run_script(f"prepare(METHOD, hash_seed=0)\n{body}") is True


def test_numerical_libraries_get_one_thread(run_script: Callable[[str], Any]) -> None:
    names = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"]
    found = run_script(f"""
import os
os.environ.update(dict.fromkeys({names!r}, "2"))
prepare(METHOD, hash_seed=0)
answer(call("{TARGETS}:environment", {tuple(names)!r}, method=METHOD, log=LOG).value)
""")
    assert found == dict.fromkeys(names, "1")


PRELOADED = """
prepare("forkserver", hash_seed=0, preload=("{module}",))
answer(call("support.isolation_targets:is_imported", ("{module}",), method="forkserver", log=LOG).value)
"""


@pytest.mark.parametrize("method", ["forkserver"])
def test_what_a_fork_server_imports_is_exempt_from_garbage_collection(run_script: Callable[[str], Any]) -> None:
    found = run_script("""
prepare(METHOD, hash_seed=0)
answer(call("gc:get_freeze_count", (), method=METHOD, log=LOG).value)
""")
    assert found > 0


@pytest.mark.parametrize("method", ["forkserver"])
def test_the_fork_server_can_preload_an_installed_module(run_script: Callable[[str], Any]) -> None:
    assert run_script(PRELOADED.format(module="numpy.polynomial")) is True


def test_a_fork_server_that_is_interrupted_while_it_imports_says_nothing(tmp_path: Path) -> None:
    begun, done, script = tmp_path / "begun", tmp_path / "done", tmp_path / "script.py"
    (tmp_path / "slow_to_import.py").write_text(f"""
import time
from pathlib import Path
Path({str(begun)!r}).touch()
end = time.monotonic() + 60
while not Path({str(done)!r}).exists() and time.monotonic() < end:
    time.sleep(0.01)
""")
    script.write_text(f"""
import signal, sys
signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
sys.path[:] = {sys.path!r}
from pathlib import Path
from reload_audit.processes.isolation import call, prepare
prepare("forkserver", hash_seed=0, preload=("slow_to_import",))
call("{TARGETS}:give", (1,), method="forkserver", log=Path({str(tmp_path / "log")!r}))
""")
    command, environment = [sys.executable, script], {**os.environ, "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, process_group=0) as caller:
        assert wait_until(begun.exists, 60.0)
        os.killpg(caller.pid, signal.SIGINT)  # as a terminal does
        caller.wait(60)
        done.touch()
        assert caller.stderr is not None
        assert "slow_to_import" not in caller.stderr.read()
    assert caller.returncode == 130


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(
            "forkserver",
            marks=[
                pytest.mark.slow,
            ],
        ),
        "spawn",
    ],
)
def test_nothing_outlives_a_caller_that_is_killed(method: Method, tmp_path: Path) -> None:
    note, script = tmp_path / "pid", tmp_path / "script.py"
    script.write_text(f"""
import sys
sys.path[:] = {sys.path!r}
from pathlib import Path
from reload_audit.processes.isolation import call
call("{TARGETS}:note_own_id_and_sleep", ({str(note)!r},), method={method!r}, log=Path({str(tmp_path / "log")!r}))
""")
    with subprocess.Popen([sys.executable, script]) as caller:
        assert wait_until(lambda: note.exists() and bool(note.read_text()), 60.0)
        caller.kill()

    pid = int(note.read_text())
    try:
        assert wait_until(lambda: ended(pid))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
