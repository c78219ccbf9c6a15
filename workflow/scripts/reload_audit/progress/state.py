"""How far a run is: which models, environments and scripts are done, which are under way, and what became of them."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reload_audit.processes.notes import Note, NotesReader, begin, remove

Work = Mapping[str, Mapping[str, Sequence[str]]]
"""By rule and the values of a job's wildcards, joined with dots: the names of what that job works on."""

KINDS = {
    "train": ("trained", "models"),
    "reload": ("reloaded", "models"),
    "audit_external": ("audited", "external models"),
    "probe": ("probed", "environments"),
    "observe": ("observed", "scripts"),
}
"""By rule: what has happened to what it is done with, and what that is."""

_LOGS_OF_MODELS = ("train", "reload")
"""Rules whose jobs may give each model a log of its own."""

_ENOUGH = 3.0
"""How many models, say, must be done before time left is estimated."""

_ENOUGH_OF_ONE = 0.1
"""Part of one that must be done, where jobs say how far they are."""

_ENOUGH_SECONDS = 5.0


@dataclass(frozen=True)
class Ended:
    """What became of one model, as far as it alone can tell.

    :param verdict: ``suspect``, where the correction for the number of models may overturn a loss
    :param said: why, or how much is lost
    """

    model: str
    verdict: str
    said: str = ""


@dataclass
class Job:
    """A job that was started, and has not ended.

    :param names: of what it works on; empty for a job that puts together what others did
    :param does: in words
    :param notes: of the job, and of each model that has a log of its own beside the job's, with that model's name
    :ivar note: the last that it said of what it does
    :ivar reached: how much of the model that it works on is trained, 1 for all
    :ivar ended: names of what it has finished with
    """

    rule: str
    names: Sequence[str]
    does: str
    started: float
    notes: Sequence[tuple[str, NotesReader]] = ()
    note: Note = field(default_factory=Note)
    reached: float = 0.0
    model: str = ""
    ended: set[str] = field(default_factory=set)

    @property
    def part(self) -> float:
        """How many of what it works on are done, with the part of the one that it works on now that is known."""
        return min(len(self.ended) + self.reached, len(self.names))

    def say(self, note: Note) -> None:
        """Take what it says that it does."""
        self.note = note
        part = note.done / note.total if self.rule == "train" and note.total > 0 else 0.0
        if math.isfinite(part):
            self.reached = max(self.reached, min(part, 1.0))


@dataclass
class Kind:
    """One kind of work.

    :param done: word for what has happened to what it is done with
    :param of: what that is, in the plural
    :param names: of all that it is about
    :ivar finished: names of what is done
    :ivar active: seconds for which a job of this kind was under way
    """

    done: str
    of: str
    names: set[str]
    finished: set[str]
    before: int = 0
    active: float = 0.0
    seconds_left: float | None = None


class State:
    """How far a run is, from what its jobs say and when they start and end.

    :param work: all that there is to do, or was done before
    :param to_run: rule and wildcards of each job that is to run
    :param fdr: the false discovery rate over all models
    """

    def __init__(
        self,
        work: Work,
        to_run: Iterable[tuple[str, str]],
        fdr: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._work, self._fdr, self._clock = work, fdr, clock
        self.started = self._looked = clock()
        self.jobs: dict[int, Job] = {}
        self.kinds: dict[str, Kind] = {}
        to_run = {*to_run}
        for rule, (done, of) in KINDS.items():
            jobs = work.get(rule, {})
            names = {name for of_job in jobs.values() for name in of_job}
            waiting = {name for job, of_job in jobs.items() if (rule, job) in to_run for name in of_job}
            if names:
                self.kinds[rule] = Kind(done, of, names, names - waiting, len(names - waiting))
        self.models = sum(len(self.kinds[rule].names) for rule in ("reload", "audit_external") if rule in self.kinds)
        self.verdicts: Counter[str] = Counter()
        self.troubled: list[Ended] = []
        self._fell: dict[str, str] = {}

    def start(self, number: int, rule: str, wildcards: Sequence[str], does: str, log: str | None) -> None:
        """A job was started, or, on a cluster, submitted."""
        names = self._work.get(rule, {}).get(".".join(wildcards), ())
        for name in names:
            self.kinds[rule].finished.discard(name)
        logs = {Path(log): ""} if log and names else {}
        for path in [*logs]:
            own = names if rule in _LOGS_OF_MODELS else ()
            logs = {**{path.with_name(f"{name}.log"): name for name in own}, **logs}
        for path in logs:
            begin(path)  # the job does that later: until then, they are those of an earlier run
        readers = [(name, NotesReader(path)) for path, name in logs.items()]
        self.jobs[number] = Job(rule, names, does, self._clock(), readers)

    def end(self, number: int, *, failed: bool = False) -> list[Ended]:
        """A job ended.

        :return: the models that have ended with it, and were not named before
        """
        job = self.jobs.get(number)
        if job is None:
            return []
        fell = [*self._heard(job)]
        del self.jobs[number]
        for _, notes in job.notes:
            remove(notes.log)
        if not failed and job.rule in self.kinds:
            self.kinds[job.rule].finished |= {*job.names}
        return fell

    def look(self) -> list[Ended]:
        """Read what jobs have said since the last look.

        :return: the models that have ended
        """
        fell = [one for job in [*self.jobs.values()] for one in self._heard(job)]
        now = self._clock()
        spent, self._looked = now - self._looked, now
        for rule, kind in self.kinds.items():
            of_kind = [job for job in self.jobs.values() if job.rule == rule]
            kind.active += spent if of_kind else 0.0
            parts = sum(job.part - len(job.ended) for job in of_kind)
            gained = len(kind.finished) - kind.before + parts
            left = len(kind.names) - len(kind.finished) - parts
            enough = _ENOUGH_OF_ONE if parts else _ENOUGH
            known = bool(of_kind) and left > 0 and gained >= enough and kind.active >= _ENOUGH_SECONDS
            kind.seconds_left = kind.active * left / gained if known else None
        return fell

    def finish(self) -> None:
        """The run has ended, and all that was to be done is done."""
        for kind in self.kinds.values():
            kind.finished = {*kind.names}

    @property
    def seconds(self) -> float:
        """For how long the run goes on."""
        return self._clock() - self.started

    def counts(self) -> list[tuple[str, int]]:
        """Verdicts that fell, the most frequent first."""
        return sorted(self.verdicts.items(), key=lambda one: (-one[1], one[0]))

    def _heard(self, job: Job) -> Iterator[Ended]:
        heard = [(own, note) for own, notes in job.notes if own not in job.ended for note in notes.new()]
        for own, note in heard:
            job.model = note.model or own or job.model or job.names[0]
            if note.doing:
                job.say(note)
            if note.verdict and (fallen := self._fallen(job.model, note)) is not None:
                yield fallen
            if note.ended and job.rule in self.kinds:
                job.ended.add(job.model)
                job.note, job.reached = Note(), 0.0
                self.kinds[job.rule].finished |= {job.model} & {*job.names}

    def _fallen(self, model: str, note: Note) -> Ended | None:
        """What became of a model; None where that is known."""
        ended = self._judged(model, note)
        before = self._fell.get(model)
        if before == ended.verdict:
            return None
        if before is not None:
            self.verdicts[before] -= 1
        self._fell[model] = ended.verdict
        self.verdicts[ended.verdict] += 1
        self.verdicts = +self.verdicts
        self.troubled = [one for one in self.troubled if one.model != model]
        if ended.verdict in ("error", "degraded", "suspect"):
            self.troubled.append(ended)
        return ended

    def _judged(self, model: str, note: Note) -> Ended:
        """A model's verdict; a loss counts as one only where it is one whatever the other models say."""
        if note.verdict not in ("degraded", "improved") or note.difference is None or note.p is None:
            return Ended(model, note.verdict, note.said)
        earned = f"earns {abs(note.difference):.4g} {'less' if note.difference < 0 else 'more'}"
        if note.p * max(self.models, 1) <= self._fdr:
            return Ended(model, note.verdict, earned)
        return Ended(model, "suspect" if note.verdict == "degraded" else "retained", earned)
