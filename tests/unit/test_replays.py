"""Which two episodes of a model are shown side by side, and how much of them fits."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from reload_audit.diagnosis.counterpart import NoCounterpart, pair_of
from reload_audit.jobs.replay import MAX_FRAMES, MOST_SHOWN, flagged, together
from reload_audit.records.conditions import CANONICAL, Condition
from reload_audit.records.episodes import Episode, TrainTime
from reload_audit.records.examination import Examination, Trial
from reload_audit.records.manifest import ExternalFacts, ExternalManifest
from reload_audit.records.model_record import Measurement, ModelRecord
from reload_audit.records.replay import Film, Moment, Replay, Side, read_replays, write_replays
from reload_audit.records.storage import DamagedFileError, write_json
from reload_audit.reports.dashboard.payload import pack, shown_replay
from support.audit_contents import trained_row
from support.builders import external_spec

CANON = Condition(CANONICAL, 1)


def episodes(traces: str, mean: float = 0.0) -> list[Episode]:
    """Episodes whose traces are these letters."""
    return [
        Episode(k, 7 + k, mean + 0.01 * k, 5, True, None, 0.0, {"raw_observations": letter, "rewards": letter})
        for k, letter in enumerate(traces)
    ]


def measured(traces: str, mean: float = 0.0, name: str = CANONICAL, **factors: str) -> Measurement:
    return Measurement(replace(CANON, name=name, **factors), None, None, episodes=episodes(traces, mean))


def record(
    *found: Measurement, reference: str | None = None, target: float | None = None, causes: Sequence[str] = ("a-cause",)
) -> ModelRecord:
    trials = tuple(Trial(one.condition, tuple(causes)) for one in found if one.condition.name != CANONICAL)
    return ModelRecord(
        ExternalManifest("model", external_spec("model"), None, ExternalFacts()),
        "log",
        None if reference is None else TrainTime(None, episodes(reference), None),
        {one.condition.name: one for one in found},
        Examination(target=target, trials=trials),
    )


def test_the_first_episode_that_parts_from_the_reference_is_shown_beside_a_condition_that_went_as_that() -> None:
    alike, other = measured("xbcx", name="n_envs=2"), measured("abCd", name="n_envs=4")
    pair = pair_of(record(measured("abXd"), other, alike, reference="abcd"))
    assert (pair.episode, pair.before.condition.name, pair.closes) == (2, "n_envs=2", None)


def test_without_one_it_is_the_condition_that_closes_most_of_the_gap() -> None:
    near, nearer = measured("aBCD", 70.0, "near"), measured("abYZ", 95.0, "nearer")
    for reference in (None, "wvuq"):
        pair = pair_of(record(measured("abcd"), near, nearer, reference=reference, target=100.0))
        assert (pair.episode, pair.before.condition.name, pair.closes) == (2, "nearer", pytest.approx(0.95, abs=0.01))


@pytest.mark.parametrize(
    "model",
    [
        record(measured("abcd"), measured("aBCD", 10.0, "closes a tenth"), target=100.0),
        record(measured("abcd"), measured("abcd", 100.0, "the same episodes counted otherwise"), target=100.0),
        record(measured("abcd"), measured("aBCD", 100.0, "explains nothing by itself"), target=100.0, causes=()),
        record(measured("abcd"), measured("ABCD", 100.0, "unpaired", seeding="evaluate_policy"), target=100.0),
        record(measured("abcd"), measured("aBCD", 100.0, "no gap"), reference="abcd"),
        record(measured("abcd"), reference="abcX"),
    ],
)
def test_where_no_condition_stands_for_the_reference_that_is_said(model: ModelRecord) -> None:
    with pytest.raises(NoCounterpart, match="nothing stands for what was before"):
        pair_of(model)


def test_a_model_that_did_not_run_has_nothing_to_show() -> None:
    with pytest.raises(NoCounterpart, match="ran no episodes"):
        pair_of(record(reference="abcd"))


PAIR = pair_of(record(measured("ab"), measured("aB", 100.0, "closer"), target=100.0))


def film(length: int, *, alike: int = 0, frame_bytes: int = 300, seed: int = 0) -> Film:
    """A film whose first steps are as in any other; its frames do not compress, as WebP does not."""
    generator = np.random.default_rng(seed)

    def moment(step: int) -> Moment:
        frame = base64.b64encode(generator.bytes(frame_bytes)).decode()
        told = ", ".join(f"{number:.4g}" for number in generator.normal(size=8))
        return Moment(frame, told, told, 1.0, step + 1.0, f"{step} {0 if step < alike else 1 + seed}")

    return Film(length, tuple(map(moment, range(length))), "", "", moment(length).frame)


def test_a_replay_begins_where_two_films_part_and_has_every_step_where_there_is_room() -> None:
    replay = together(PAIR, [film(30, alike=12), film(20, alike=12, seed=1)])
    assert replay.steps == tuple(range(12, 31))  # and the end
    assert [len(side.moments) for side in replay.sides] == [18, 8]
    assert (replay.episode, replay.seed) == (1, 8)


def test_an_episode_that_ends_where_the_other_goes_on_parts_there() -> None:
    replay = together(PAIR, [film(12, alike=12), film(20, alike=12, seed=1)])
    assert replay.steps == tuple(range(12, 21))
    assert [len(side.moments) for side in replay.sides] == [0, 8]


@pytest.mark.parametrize(("length", "frame_bytes"), [(2000, 300), (150, 2_000), (1000, 7_000), (1000, 23_000)])
def test_of_long_episodes_so_many_steps_are_shown_that_a_model_takes_no_more_than_300_kilobytes(
    length: int, frame_bytes: int
) -> None:
    films = [film(length, frame_bytes=frame_bytes), film(length // 10, frame_bytes=frame_bytes, seed=1)]
    replay = together(PAIR, films)
    assert len(replay.steps) <= MOST_SHOWN
    assert len(pack(json.dumps(shown_replay(replay)))) <= 300_000
    assert {0, length // 10 - 1, length // 10, length - 1, length} <= {*replay.steps}  # where they part, and both ends
    frames = sum(len(frame) for side in replay.sides for frame in frames_of(side)) * 3 // 4
    assert frames > MAX_FRAMES / 3 or len(replay.steps) > MOST_SHOWN * 0.8


def frames_of(side: Side) -> list[str]:
    return [*(moment.frame for moment in side.moments), side.last_frame]


def test_the_steps_that_are_left_out_lie_further_from_where_the_films_part() -> None:
    steps = together(PAIR, [film(1000, alike=40), film(300, alike=40, seed=1)]).steps
    assert steps[:20] == tuple(range(40, 60))
    gaps = [b - a for a, b in pairwise(step for step in steps if step not in (299, 300, 999, 1000))]
    assert gaps == sorted(gaps)
    assert gaps[-1] > 10


def test_models_that_may_not_be_as_they_were_are_filmed_the_worst_first(tmp_path: Path) -> None:
    verdicts = ["identical", "inconclusive", "improved", "error", "degraded", "consistent"]
    rows = [trained_row(verdict, verdict, suspect=False, cause="") for verdict in verdicts]
    rows.append(trained_row("suspect", "inconclusive", suspect=True, cause=""))
    write_json(tmp_path / "audit.json", {"models": rows})
    assert [*flagged(tmp_path / "audit.json")] == ["degraded", "suspect", "inconclusive", "improved"]


def test_many_models_of_one_cause_leave_films_to_those_of_others(tmp_path: Path) -> None:
    lost = {"a": -20.0, "b": -60.0, "c": -40.0}
    rows = [
        trained_row(f"clock-{name}", "degraded", difference=lost[name], suspect=False, cause="clock") for name in lost
    ]
    rows.append(trained_row("other", "degraded", difference=-3.0, suspect=False, cause="env-kwargs"))
    rows.append(trained_row("open", "inconclusive", suspect=False, cause="unexplained"))
    write_json(tmp_path / "audit.json", {"models": rows})
    assert [*flagged(tmp_path / "audit.json")] == ["clock-b", "other", "clock-c", "clock-a", "open"]


def test_environments_of_two_repositories_that_are_called_the_same_are_two(tmp_path: Path) -> None:
    rows = [trained_row(name, "degraded", suspect=False, cause="clock") for name in ("a1", "a2", "b1")]
    probed = [
        {"name": f"walker-{models[0]}", "called": "walker:Walker", "models": models}
        for models in (["a1", "a2"], ["b1"])
    ]
    write_json(tmp_path / "audit.json", {"models": rows, "environment_health": probed})
    found = flagged(tmp_path / "audit.json")
    assert {model: one.name for model, one in found.items()} == {
        "a1": "walker-a1",
        "a2": "walker-a1",
        "b1": "walker-b1",
    }
    assert [*found] == ["a1", "b1", "a2"], "each is filmed before a second model of the other"


def test_replays_are_read_as_they_were_written(tmp_path: Path) -> None:
    replays = {"film": together(PAIR, [film(9), film(8, seed=1)]), "none": Replay(problem="no display")}
    write_replays(tmp_path / "replays.json", replays)
    assert read_replays(tmp_path / "replays.json") == replays
    (tmp_path / "replays.json").write_text('{"film": {"side": 1}}')
    with pytest.raises(DamagedFileError):
        read_replays(tmp_path / "replays.json")
