"""While an audit runs, people see how far it is, what became of each model, and what went wrong, and nothing else.

Snakemake's lines are those of a real run: two models are trained and reloaded, the training of a third fails twice.
"""

from __future__ import annotations

import io
import json
import logging
import math
import re
import signal
import sys
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest
from snakemake.logging import DefaultFilter, DefaultFormatter
from snakemake.settings.types import OutputSettings
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

from reload_audit.processes import under_way
from reload_audit.processes.notes import Note, NotesReader, begin, leave, notes_file
from reload_audit.progress import lines
from reload_audit.progress.display import Plain, Terminal
from reload_audit.progress.page import Page, content
from reload_audit.progress.state import Ended, State
from snakemake_logger_plugin_reload_audit import LogHandler
from support.builders import ROOT

EVENTS = [json.loads(line) for line in (ROOT / "tests/support/snakemake_events.jsonl").read_text().splitlines()]
MODELS = ("sound-seed0-n1", "sound-seed1-n1", "falls-seed0-n1")
WORK = {rule: {model: [model] for model in MODELS} for rule in ("train", "reload")}
ALL = [(rule, model) for rule in WORK for model in MODELS]


class Shown:
    """What a handler shows of a run, on a stream that is no terminal.

    :param settings: what the user asked of Snakemake
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        monkeypatch.chdir(folder)
        self.stream = io.StringIO()
        monkeypatch.setattr("sys.stderr", self.stream)
        common = OutputSettings(show_failed_logs=True, **settings)
        self.handler = LogHandler(common, None)
        asked = (common.quiet, common.debug_dag, common.verbose, common.dryrun, common.printshellcmds)
        self.handler.addFilter(DefaultFilter(*asked))
        self.handler.setFormatter(DefaultFormatter(common.quiet, common.show_failed_logs))
        self.page = folder / "results/progress.html"

    def belong(self) -> Shown:
        self.handler.belong()
        return self

    def tell(self, *events: dict[str, Any]) -> None:
        """Say to the handler what Snakemake said; the audit begins with the first job."""
        for event in events:
            record = logging.makeLogRecord({**event, "levelno": event["level"], "msg": event["msg"]})
            if event["msg"] == "Select jobs to execute..." and not self.page.exists() and self.handler._belongs:
                self.handler.watch_audit(WORK, ALL, 0.05, self.page)
            self.handler.handle(record)

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made: list[Shown] = []

    def make(**settings: Any) -> Shown:
        made.append(Shown(tmp_path, monkeypatch, **settings))
        return made[-1]

    yield make
    for one in made:
        one.handler.close()


def test_snakemake_takes_the_plugin_for_one():
    registry = LoggerPluginRegistry()
    import snakemake_logger_plugin_reload_audit as plugin

    registry.register_plugin(plugin.__name__, plugin)
    assert registry.is_installed("reload-audit")


def test_an_audit_shows_no_line_for_each_job_and_all_that_went_wrong(shown, tmp_path):
    log = tmp_path / "logs/train/falls-seed0-n1.log"
    log.parent.mkdir(parents=True)
    log.write_text("starts\nthe disk is full\n")
    run = shown().belong()
    run.tell(*EVENTS)
    run.handler.unwatch(failed=True)
    text = run.stream.getvalue()
    assert not re.search(r"Reason:|Finished jobid|steps \(|Select jobs|Job stats|Building DAG|SNAKEMAKE|Provided", text)
    assert text.count("Error in rule train:") == 2
    assert text.count("the disk is full\n") == 2, "the log of what failed is shown as ever"
    assert "Trying to restart job 6." in text
    assert "WorkflowError:\nAt least one job did not complete successfully." in text
    assert run.lines[-1].endswith("trained 2/3, reloaded 2/3")
    assert "\x1b" not in text
    page = run.page.read_text()
    assert page.count("Error in rule train:") == 1, "the page has the last attempt of each job"
    assert "not all of its jobs succeeded" in page


def test_what_succeeds_at_last_is_no_failed_job(shown):
    run = shown().belong()
    failure = next(event for event in EVENTS if event.get("event") == "job_error")
    begun = next(place for place, event in enumerate(EVENTS) if event["msg"] == "Select jobs to execute...")
    run.tell(
        *EVENTS[: begun + 1], failure, {**failure, "event": "job_finished", "job_id": failure["jobid"], "level": 20}
    )
    run.handler.unwatch(failed=False)
    assert "Error in rule" in run.stream.getvalue()
    assert "Failed jobs" not in run.page.read_text()


def test_verbose_shows_every_line_of_snakemake_s_beside(shown):
    run = shown(verbose=True).belong()
    run.tell(*EVENTS)
    run.handler.unwatch(failed=True)
    for said in ("Reason: Missing output files", "Finished jobid: 2", "4 of 7 steps (57%) done", "Job stats:"):
        assert said in run.stream.getvalue()


def test_what_runs_no_audit_is_shown_as_snakemake_shows_it(shown):
    run = shown()
    run.tell(*EVENTS)
    assert "Reason: Missing output files" in run.stream.getvalue()
    planned = shown().belong()
    planned.tell({"level": 20, "msg": "Building DAG of jobs..."}, {"level": 20, "msg": "all\ntrain\nreload"})
    assert planned.lines == ["Building DAG of jobs...", "all", "train", "reload"], (
        "--summary, --list-rules and their kin"
    )


def test_nothing_to_be_done_is_said(shown):
    run = shown().belong()
    run.tell(EVENTS[0], EVENTS[1], {"level": 20, "msg": "Nothing to be done (all requested files are present)."})
    assert run.lines == ["Nothing to be done (all requested files are present)."]


def test_an_interrupted_run_is_not_called_a_failed_one(shown):
    run = shown().belong()
    run.tell(*EVENTS[:10], {"level": 20, "msg": "Terminating processes on user request, this might take some time."})
    run.handler.unwatch(failed=True)
    assert "Terminating processes on user request" in run.stream.getvalue()
    assert "The audit was interrupted" in run.page.read_text()


@pytest.fixture
def stopped_by_ctrl_c():
    """SIGINT ends Python with an exception, also where a shell has started the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_after_ctrl_c_no_job_that_it_ends_is_said_to_have_failed(stopped_by_ctrl_c, shown):
    run = shown().belong()
    began = next(place for place, event in enumerate(EVENTS) if event["msg"] == "Select jobs to execute...")
    run.tell(*EVENTS[: began + 1])
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    run.tell(*EVENTS[began + 1 :])
    run.handler.unwatch(failed=True)
    assert any(event["level"] >= logging.ERROR for event in EVENTS[began:])
    assert "Error in rule" not in run.stream.getvalue() + run.page.read_text()
    assert "The audit was interrupted" in run.page.read_text()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_run_that_ends_without_its_last_words_is_said_to_be_interrupted(shown):
    run = shown().belong()
    run.tell(*EVENTS[:10])
    assert "has been running" in run.page.read_text()
    run.handler.close()
    assert "The audit was interrupted" in run.page.read_text()


# --- What jobs say -------------------------------------------------------------------------------------------------


def test_notes_are_read_once_and_what_a_kill_cut_off_is_none(tmp_path):
    log = tmp_path / "model.log"
    reader = NotesReader(log)
    assert reader.new() == []
    leave(log, Note("a", doing="training", done=1, total=3, unit="steps"), Note(verdict="identical"))
    assert reader.new() == [Note("a", doing="training", done=1, total=3, unit="steps"), Note(verdict="identical")]
    with open(notes_file(log), "a") as file:
        file.write('{"done": "many"}\n[1]\n\xff\n{"verdict": "ide')
    assert reader.new() == []
    with open(notes_file(log), "a") as file:
        file.write('ntical"}\n')
    assert reader.new() == [Note(verdict="identical")]


def test_a_further_attempt_of_a_job_is_read_from_its_beginning(tmp_path):
    log = tmp_path / "model.log"
    reader = NotesReader(log)
    leave(log, Note("a", doing="training", done=9, total=10, unit="steps"))
    reader.new()
    begin(log)
    leave(log, Note("a", doing="training", done=1, total=10, unit="steps"))
    assert [note.done for note in reader.new()] == [1]


def test_what_jobs_said_in_an_earlier_run_is_not_taken_for_news(tmp_path):
    leave(tmp_path / "batch-0.log", Note("m0", ended=True, verdict="degraded", difference=-40.0, p=0.0))
    state, _, _ = at_work(tmp_path)
    assert state.look() == []


def test_notes_that_cannot_be_written_disturb_no_job(tmp_path):
    leave(tmp_path / "nowhere/model.log", Note("a"))
    assert not (tmp_path / "nowhere").exists()


def at_work(tmp_path: Path, models: int = 4) -> tuple[State, list[float], Path]:
    """A batch of external models under way, its clock, and its log."""
    now = [0.0]
    names = [f"m{number}" for number in range(models)]
    work = {"audit_external": {"batch-0": names, "batch-1": ["kept"]}}
    state = State(work, [("audit_external", "batch-0")], 0.05, lambda: now[0])
    log = tmp_path / "batch-0.log"
    state.start(1, "audit_external", ["batch-0"], "Auditing the models of batch-0", str(log))
    return state, now, log


def test_a_batch_counts_its_models_as_they_end_not_its_job(tmp_path):
    state, _, log = at_work(tmp_path)
    audited = state.kinds["audit_external"]
    assert (len(audited.finished), len(audited.names)) == (1, 5), "the other batch was done before"
    leave(log, Note("m0", doing="reading"), Note(verdict="identical"), Note("m0", ended=True))
    leave(log, Note("m1", ended=True, verdict="error", said="before reload: no zip"))
    assert state.look() == [Ended("m0", "identical"), Ended("m1", "error", "before reload: no zip")]
    assert len(audited.finished) == 3
    assert state.counts() == [("error", 1), ("identical", 1)]
    assert state.look() == []
    assert state.end(1) == []
    assert len(audited.finished) == 5


def test_models_of_a_batch_that_have_logs_of_their_own_are_heard_too(tmp_path):
    names = ["m0", "m1", "m2"]
    state = State({"train": {"batch": names}}, [("train", "batch")], 0.05)
    state.start(1, "train", ["batch"], "Training batch", str(tmp_path / "batch.log"))
    leave(tmp_path / "m0.log", Note("m0", ended=True))
    leave(tmp_path / "m1.log", Note(doing="training", done=5, total=10, unit="steps"))
    state.look()
    assert state.kinds["train"].finished == {"m0"}
    assert (state.jobs[1].model, state.jobs[1].part) == ("m1", 1.5)


def test_time_left_follows_from_the_time_that_models_took(tmp_path):
    state, now, log = at_work(tmp_path, models=12)
    audited = state.kinds["audit_external"]
    state.look()
    assert audited.seconds_left is None
    leave(log, *(Note(f"m{number}", ended=True) for number in range(3)))
    now[0] = 30.0
    state.look()
    assert audited.seconds_left == pytest.approx(90.0)


def test_the_time_that_a_single_training_takes_is_estimated_from_its_steps(tmp_path):
    now = [0.0]
    state = State({"train": {"a": ["a"]}}, [("train", "a")], 0.05, lambda: now[0])
    state.start(1, "train", ["a"], "Training a", str(tmp_path / "a.log"))
    now[0] = 20.0
    leave(tmp_path / "a.log", Note(doing="training", done=250, total=1000, unit="steps"))
    state.look()
    assert state.kinds["train"].seconds_left == pytest.approx(60.0)


def test_a_training_is_never_said_to_be_further_than_its_end_nor_to_go_on_after_it(tmp_path):
    state = State({"train": {"batch": ["a", "b"]}}, [("train", "batch")], 0.05)
    state.start(1, "train", ["batch"], "Training batch", str(tmp_path / "batch.log"))

    def said(*notes: Note) -> tuple[str, float]:
        leave(tmp_path / "a.log", *notes)
        state.look()
        return lines.of_job(state.jobs[1]), state.jobs[1].part

    rollout = Note(doing="training", done=20_150, total=20_000, unit="steps")
    assert said(rollout) == ("a: training, 20,000 of 20,000 steps", 1.0)
    assert said(Note(doing="evaluating")) == ("a: evaluating", 1.0), "what is trained stays trained"
    assert said(Note("a", ended=True)) == ("Training batch", 1.0)


def test_what_a_call_does_next_is_said_at_once_and_what_is_soon_over_never(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("reload_audit.processes.under_way.time.monotonic", lambda: now[0])
    monkeypatch.setattr(under_way, "_Call", type("_Call", (under_way._Call,), {}))  # this process has none
    sender, log = Pipe()[1], tmp_path / "a.log"
    under_way.begin(sender, math.inf, log)
    under_way.report("reading", 0, 0, "")
    for now[0] in (1.0, 3.0, 3.5, 4.0):
        under_way.report("training", now[0], 4, "steps")
    under_way.report("evaluating", 0, 0, "")
    assert [(note.doing, note.done) for note in NotesReader(log).new()] == [("training", 3.0), ("evaluating", 0)]


@pytest.mark.parametrize(("p", "verdict"), [(0.001, "degraded"), (0.02, "suspect")])
def test_a_loss_counts_as_one_only_where_no_other_model_can_overturn_it(p, verdict, tmp_path):
    state, _, log = at_work(tmp_path)
    leave(log, Note("m0", ended=True, verdict="degraded", difference=-40.0, p=p))
    assert state.look() == [Ended("m0", verdict, "earns 40 less")]


def test_a_job_that_is_made_again_is_counted_again(tmp_path):
    state, _, log = at_work(tmp_path)
    leave(log, Note("m0", ended=True, verdict="error", said="killed"))
    state.look()
    state.end(1, failed=True)
    begin(log)
    state.start(1, "audit_external", ["batch-0"], "Auditing the models of batch-0", str(log))
    assert len(state.kinds["audit_external"].finished) == 1
    leave(log, Note("m0", doing="reading"), Note(verdict="identical"), Note("m0", ended=True))
    assert state.look() == [Ended("m0", "identical")]
    assert state.counts() == [("identical", 1)]
    assert state.troubled == []


# --- Where it is shown ---------------------------------------------------------------------------------------------


def test_plain_lines_are_few_however_long_it_takes(tmp_path):
    state, now, _ = at_work(tmp_path)
    stream = io.StringIO()
    plain = Plain(stream, clock=lambda: now[0])
    for second in range(8 * 3600):
        now[0] = float(second)
        state.jobs[1].note = Note("m0", doing="training", done=second, unit="steps")
        plain.refresh(state)
    assert 100 < len(stream.getvalue().splitlines()) < 500


def test_among_very_many_models_only_those_in_trouble_are_named_and_no_endless_list_of_them(tmp_path):
    state, _, _ = at_work(tmp_path, models=1000)
    stream = io.StringIO()
    plain = Plain(stream)
    plain.ended(Ended("fine", "identical"), state)
    for number in range(100):
        plain.ended(Ended(f"bad{number}", "degraded", "earns 4 less"), state)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "bad0: degraded, earns 4 less"
    assert lines[20:] == ["further models are in the report"]


HOSTILE = "\x1b[2J<script>alert(1)</script>\u202e"


def test_what_a_stranger_s_file_says_moves_no_cursor_and_runs_in_no_browser(tmp_path):
    state, _, log = at_work(tmp_path)
    leave(log, Note("m0", doing=HOSTILE, done=1, unit=HOSTILE), Note("m0", ended=True, verdict="error", said=HOSTILE))
    stream = io.StringIO()
    plain = Plain(stream)
    for ended in state.look():
        plain.ended(ended, state)
    plain.refresh(state)
    page = content(state, "running", [HOSTILE], 0.0)
    assert "\x1b" not in stream.getvalue() + page
    assert "\u202e" not in stream.getvalue() + page
    assert "<script>alert" not in page


def test_a_terminal_is_written_over_and_given_back(tmp_path, monkeypatch):
    pytest.importorskip("rich")
    state, _, log = at_work(tmp_path)
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    terminal = Terminal(stream, coloured=True)
    terminal.refresh(state)
    terminal.stream.write("Error in rule train:\n")
    leave(log, Note("m0", ended=True, verdict="degraded", difference=-4, p=0.0))
    for ended in state.look():
        terminal.ended(ended, state)
    terminal.refresh(state)
    terminal.close(state)
    text = stream.getvalue()
    hidden, given_back = "\x1b[?25l", "\x1b[?25h"
    assert text.index(hidden) < text.index("audited") < text.index("Error in rule train:") < text.index("m0: ")
    assert text.rindex(given_back) < text.rindex("audited 2/5")
    assert sys.stderr is stream


def test_the_page_of_a_run_reloads_itself_and_that_of_an_ended_one_does_not(tmp_path):
    state, _, _ = at_work(tmp_path)
    running, finished = (content(state, standing, [], 0.0) for standing in ("running", "finished"))
    assert 'http-equiv="refresh"' in running
    assert "It was killed" in running, "a page that is no longer written says so"
    assert 'http-equiv="refresh"' not in finished
    assert 'href="report.html"' in finished
    state.kinds["audit_external"].seconds_left = 180.0
    assert "about 3 min left" in content(state, "running", [], 0.0)
    assert "left" not in content(state, "interrupted", [], 0.0).partition("<main>")[2], "nobody works on it any more"
    for page in (running, finished):
        assert not re.search(r"(src|href)=\"(?!report\.html|data:)", page), "it needs no network"


def test_the_page_is_small_however_many_models_there_are(tmp_path):
    state, _, log = at_work(tmp_path, models=10_000)
    leave(log, *(Note(f"m{number}", ended=True, verdict="error", said="x" * 1000) for number in range(3000)))
    state.look()
    assert len(content(state, "running", ["x" * 100_000] * 100, 0.0)) < 300_000


def test_a_page_that_cannot_be_written_stops_nothing(tmp_path):
    state, _, _ = at_work(tmp_path)
    (tmp_path / "file").touch()
    Page(tmp_path / "file/progress.html").write(state, "running", [])
    assert [*tmp_path.glob("*progress*")] == []
