"""Film, for the models that need a look, the two episodes that part first: as before, and after reload."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from reload_audit.diagnosis.counterpart import NoCounterpart, Pair, pair_of
from reload_audit.jobs.diagnosis import Processes
from reload_audit.judging.criteria import AS_BEFORE, WORST_FIRST, Criteria, Verdict
from reload_audit.processes import isolation
from reload_audit.processes.fork_servers import LIBRARIES, RELOAD_HASH_SEED
from reload_audit.processes.full_disk import is_of_the_machine
from reload_audit.processes.job_log import log_traceback
from reload_audit.reading.refusal import unforeseen
from reload_audit.records.manifest import TrainedManifest
from reload_audit.records.model_record import Measurement, ModelRecord, Recorded, read_records, recorded_text
from reload_audit.records.replay import Film, Replay, Side, write_replays
from reload_audit.records.specs import ExternalPolicy, ReloadSpec
from reload_audit.records.storage import read_json

MOST_MODELS = 20
"""Models of a report with two episodes to look at."""

MOST_FILMS = 60
"""Episodes that are filmed, whether anything comes of them or not."""

_ENOUGH = 2
"""Models of one environment that could not be filmed, one after the other, after which no further one is tried."""

MAX_FRAMES = 200_000
"""Bytes of all frames of a model, in WebP: with all else, and written as Base64, 300 kB of a report."""

MOST_SHOWN = 100
"""Steps of two episodes that are shown, at most: a quarter of a minute."""

_FILM_TRAINED = "reload_audit.evaluation.filming:film_trained"
_FILM_EXTERNAL = "reload_audit.evaluation.filming:film_external"

PRELOAD = (*LIBRARIES, _FILM_TRAINED.partition(":")[0])

_PILLOW_IS_MISSING = "a replay needs Pillow, which is not installed: pip install pillow"
_TOO_MANY = (
    f"a report has the replays of {MOST_MODELS} models, the worst first, one of each cause and environment before "
    f"others, and tries to film {MOST_FILMS} episodes"
)
_EXPECTED = '; expected an environment that with render_mode="rgb_array" renders arrays of shape (height, width, 3)'


class _NoReplay(Exception):
    """There is nothing to show of a model; the message says why."""


class _NotFilmed(_NoReplay):
    """An episode could not be filmed; the message says why."""


@dataclass(frozen=True)
class Settings:
    """What films are made with.

    :param trained: the folder in which each trained model has one of its own
    :param policy: for external models
    """

    trained: Path
    policy: ExternalPolicy
    reload: ReloadSpec
    criteria: Criteria


def replay_models(audit: Path, records: Sequence[str], settings: Settings, replays: Path, log: Path) -> None:
    """Film two episodes of each model that is not as it was before, as far as can be told, the worst first.

    :param audit: ``audit.json``
    :param records: files with the records of all models
    :param replays: the JSON file to write
    :param log: takes what the processes print
    :raises DamagedFileError: a file is no longer what was written
    """
    isolation.prepare(settings.reload.isolation, hash_seed=RELOAD_HASH_SEED, preload=PRELOAD)
    filming = _Filming(settings, log)
    environments = flagged(audit)
    found = _records_of(environments, records)
    write_replays(
        replays,
        {name: filming.replay(found[name], ran) for name, ran in environments.items() if name in found},
    )


@dataclass(frozen=True)
class Surroundings:
    """The environment of a model, as ``environment_health`` of ``audit.json`` has it.

    :param name: of its probe, which no other environment has, though it may be called the same
    :param called: for people
    """

    name: str
    called: str


def flagged(audit: Path) -> dict[str, Surroundings]:
    """The environments of models that run, and may not be as they were before, by the models' names, the worst first.

    Among those of one verdict the first have a cause or an environment that none before them has, and then those that
    lose most: twenty seeds of one experiment do not take the place of all others.

    :param audit: ``audit.json``
    """
    content = read_json(audit)
    probed = {
        model: Surroundings(one["name"], one["called"])
        for one in content.get("environment_health", [])
        for model in one["models"]
    }
    rows = [row for row in content["models"] if row["verdict"] not in (*AS_BEFORE, "error")]
    rows.sort(
        key=lambda row: (
            _concern(row["verdict"], row["suspect"]),
            _in_margins(row["difference"], row["margin"]),
            row["model"],
        )
    )
    alike: Counter[tuple[str, str]] = Counter()
    ordered = []
    environments: dict[str, Surroundings] = {}
    for row in rows:
        called = row["env_ran"] or row["env_id"] or ""
        environments[row["model"]] = probed.get(row["model"], Surroundings(called, called))
        kind = row["cause"] or "", environments[row["model"]].name
        ordered.append((_concern(row["verdict"], row["suspect"]), alike[kind], row))
        alike[kind] += 1
    ordered.sort(key=lambda one: one[:2])
    return {row["model"]: environments[row["model"]] for _, _, row in ordered}


def _concern(verdict: Verdict, suspect: bool) -> tuple[int, bool]:
    """A sort key of models, the worst first."""
    return WORST_FIRST.index(verdict), not suspect


def _in_margins(difference: float | None, margin: float | None) -> float:
    """A difference as a multiple of the margin; 0 where one of them is not known."""
    return difference / margin if difference is not None and margin else 0.0


def _records_of(names: Iterable[str], files: Iterable[str]) -> dict[str, Recorded]:
    """The records of some models, by their names."""
    wanted = set(names)
    found: dict[str, Recorded] = {}
    for file in files if wanted else ():
        for record in read_records(Path(file)):
            name = recorded_text(record, "manifest", "model")
            if name is not None and name in wanted:
                found[name] = record
    return found


class _Filming:
    """Films models one after the other, each episode in a fresh process."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self._settings = settings
        self._log = log
        self._processes = Processes(settings.reload, log)
        self._places = MOST_MODELS
        self._films = MOST_FILMS
        self._failures: dict[str, list[str]] = {}

    def replay(self, record: Recorded, environment: Surroundings) -> Replay:
        """The replay of a model, or why there is none. Whatever its data makes this process raise is why.

        :param environment: its own: one that could not be filmed is not tried again and again
        """
        try:
            return self._filmed(ModelRecord.from_dict(record), environment)
        except (NoCounterpart, _NoReplay) as problem:
            return Replay(problem=str(problem))
        except Exception as error:
            if is_of_the_machine(error):
                raise
            log_traceback(self._log)
            return Replay(problem=unforeseen(error))

    def _filmed(self, model: ModelRecord, environment: Surroundings) -> Replay:
        pair = pair_of(model)
        if importlib.util.find_spec("PIL") is None:
            raise _NoReplay(_PILLOW_IS_MISSING)
        if not self._places or self._films < 2:
            raise _NoReplay(_TOO_MANY)
        failures = self._failures.setdefault(environment.name, [])
        if len(failures) >= _ENOUGH:
            raise _NoReplay(f"{_ENOUGH} other models of {environment.called} could not be filmed: {failures[-1]}")
        try:
            films = [self._film(model, one, pair.episode) for one in (pair.before, pair.after)]
        except _NotFilmed as problem:
            failures.append(str(problem))
            raise
        failures.clear()
        shown = together(pair, films)
        self._places -= 1
        return shown

    def _film(self, model: ModelRecord, measured: Measurement, episode: int) -> Film:
        """Film an episode, which has to go as it went when it was measured.

        :raises _NoReplay: it cannot be filmed, or goes otherwise
        """
        self._films -= 1
        condition, manifest, settings = measured.condition, model.manifest, self._settings
        target = _FILM_EXTERNAL
        arguments: tuple[Any, ...] = (model.external, settings.policy, condition, settings.criteria, episode)
        if isinstance(manifest, TrainedManifest):
            target = _FILM_TRAINED
            arguments = (settings.trained / model.name, manifest.training_spec, condition, episode)
        outcome = self._processes.call_under(condition, target, *arguments)
        if outcome.failure is not None:
            said = outcome.failure.message.removeprefix("NotFilmed: ")
            expected = _EXPECTED if outcome.failure.kind == "exception" else ""
            raise _NotFilmed(f"{condition.name} could not be filmed: {said}{expected}")
        film: Film = outcome.value
        trace = next(one.trace for one in measured.episodes if one.episode == episode)
        if (film.raw_observations, film.rewards) != (trace["raw_observations"], trace["rewards"]):
            raise _NotFilmed(
                f"episode {episode} under {condition.name} did not go as it went when it was measured: the environment "
                "is not reproducible, or rendering changes it"
            )
        return film


def together(pair: Pair, films: Sequence[Film]) -> Replay:
    """What is shown of two episodes: from the step where they part, as many steps as there is room for.

    :raises _NoReplay: they do not part while they are filmed
    """
    first = _parting(films)
    shown = _shown(films, first)
    moments = [tuple(film.moments[step] for step in shown if step < len(film.moments)) for film in films]
    names = [measured.condition.name for measured in (pair.before, pair.after)]
    sides = tuple(Side(names[k], films[k].length, moments[k], films[k].last_frame) for k in range(2))
    seed = next(one.seed for one in pair.after.episodes if one.episode == pair.episode)
    return Replay("", pair.episode, seed, pair.closes, tuple(shown), sides)


def _parting(films: Sequence[Film]) -> int:
    """The first step in which two films differ, or which only one of them has."""
    for step, moments in enumerate(zip_longest(*(film.moments for film in films))):
        if None in moments or len({moment.digest for moment in moments}) > 1:
            return step
    raise _NoReplay(f"what the policy sees, does and earns is the same in the first {len(films[0].moments)} steps")


def _shown(films: Sequence[Film], first: int) -> list[int]:
    """Steps from ``first`` on, the last of each film, and the ends of episodes: as many as there is room for.

    Near ``first`` it is every step; those further away are further apart.
    """
    filmed = [len(film.moments) for film in films]
    last = [
        step for step in (*(n - 1 for n in filmed), *(film.length for film in films)) if first <= step <= max(filmed)
    ]
    for every in range(max(filmed) - first, 0, -1):
        steps = sorted({*_spread(first, max(filmed), every), *last})
        if len(steps) <= MOST_SHOWN and sum(_bytes_of(film, steps) for film in films) <= MAX_FRAMES:
            return steps
    return sorted({first, *last})


def _spread(first: int, end: int, every: int) -> Iterator[int]:
    """Steps from ``first`` on: each of the first ``every``, then every second of as many, every third, and so on."""
    step = first
    while step < end:
        yield step
        step += 1 + (step - first) // every


def _bytes_of(film: Film, steps: Iterable[int]) -> int:
    """Of the frames of some steps, and the last one."""
    frames = [film.moments[step].frame for step in steps if step < len(film.moments)]
    return sum(map(len, (*frames, film.last_frame))) * 3 // 4
