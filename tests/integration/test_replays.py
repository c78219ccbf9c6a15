"""Episodes are filmed as they went when they were measured, or a sentence says why there is nothing to see."""

from __future__ import annotations

import base64
import io
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import films
import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from reload_audit.jobs import replay
from reload_audit.jobs.diagnosis import Processes
from reload_audit.jobs.replay import PRELOAD, Settings, replay_models
from reload_audit.models.model_folder import EVALUATIONS
from reload_audit.processes import isolation
from reload_audit.processes.fork_servers import RELOAD_HASH_SEED
from reload_audit.records.conditions import CANONICAL, Condition
from reload_audit.records.environment_spec import EnvironmentSpec
from reload_audit.records.episodes import TrainTime
from reload_audit.records.manifest import ExternalFacts, ExternalManifest
from reload_audit.records.model_record import Measurement, ModelRecord, write_batch
from reload_audit.records.replay import Replay, read_replays
from reload_audit.records.specs import EvaluationSpec, ExternalPolicy, ExternalSpec, ReloadSpec, TrainingSpec
from reload_audit.records.storage import read_json, write_json
from support.audit_contents import trained_row
from support.builders import CRITERIA, ROOT, external_spec, training_spec
from support.external_audits import train_all

pytestmark = pytest.mark.slow

CANON = Condition(CANONICAL, 2)
PLAIN = replace(CANON, name="statistics=none", statistics="none", n_episodes=4)
LOOKS = replace(CRITERIA, looks=(4,))
POLICY = ExternalPolicy(EvaluationSpec(4, 100, 2, 1000, (4,)), (), {}, 2**30)
FAULTY = ("RendersText", "RaisesInRender", "DrawsInRender")
NAMES = ("Dial", "AlwaysRenders", *FAULTY, "RendersText-2", "RendersText-3", "RendersText-elsewhere")


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[ModelRecord]:
    """A model in Dial, which without its statistics goes as in its reference, and the same model in other environments.

    All of these give what Dial gives, until they render.
    """
    folder = tmp_path_factory.mktemp("model")
    venv = VecNormalize(make_vec_env(films.Dial, 1))
    PPO("MlpPolicy", venv, seed=0, n_steps=32, batch_size=32, n_epochs=1).learn(64).save(folder / "model.zip")
    venv.save(str(folder / "vecnormalize.pkl"))
    spec = replace(
        external_spec("Dial", str(folder / "model.zip")),
        statistics=str(folder / "vecnormalize.pkl"),
        environment=environment("Dial"),
        named_by_user=("env",),
    )
    isolation.prepare("forkserver", hash_seed=RELOAD_HASH_SEED, preload=PRELOAD)
    processes = Processes(reload(), folder / "log")
    found = {condition.name: measured(processes, spec, condition) for condition in (CANON, PLAIN)}
    train_time = TrainTime(None, found[PLAIN.name].episodes, None)

    def record(name: str) -> ModelRecord:
        own = replace(spec, model=name, environment=environment(environment_of(name)))
        return ModelRecord(ExternalManifest(name, own, None, ExternalFacts()), "log", train_time, found)

    return [record(name) for name in NAMES]


def environment_of(name: str) -> str:
    """The class of the environment of the model with a name."""
    return name.partition("-")[0]


def environment(name: str) -> EnvironmentSpec:
    return EnvironmentSpec(f"films:{name}", {}, (), "env", (), (str(ROOT / "tests/environments"),))


def reload() -> ReloadSpec:
    return ReloadSpec((), False, "forkserver", 60.0, 4096)


def measured(processes: Processes, spec: ExternalSpec, condition: Condition) -> Measurement:
    target = "reload_audit.evaluation.external:evaluate_external"
    found = processes.evaluate(target, condition, spec, POLICY, condition, LOOKS, None)
    assert found.failure is None, found.failure
    return found


def replayed(records: list[ModelRecord], folder: Path) -> Mapping[str, Replay]:
    rows = []
    for record in records:
        env, faulty = environment_of(record.name), environment_of(record.name) in FAULTY
        rows.append(trained_row(record.name, "degraded", suspect=faulty, cause="", env_id=env, env_ran=env))
    namesake = {"name": "another", "called": "RendersText", "models": ["RendersText-elsewhere"]}
    write_json(folder / "audit.json", {"models": rows, "environment_health": [namesake]})
    write_batch(folder / "records.json", records)
    settings = Settings(folder, POLICY, reload(), LOOKS)
    replay_models(
        folder / "audit.json", [str(folder / "records.json")], settings, folder / "replays.json", folder / "log"
    )
    return read_replays(folder / "replays.json")


@pytest.fixture(scope="module")
def replays(records: list[ModelRecord], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Replay]:
    pytest.importorskip("PIL", reason="Pillow is not installed: requirements-extras.txt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay, "MOST_MODELS", 2)  # which what cannot be filmed, and is tried first, leaves to others
        return replayed(records, tmp_path_factory.mktemp("replays"))


@pytest.mark.parametrize("name", ["Dial", "AlwaysRenders"])
def test_two_episodes_are_filmed_from_the_step_where_they_part(
    name: str, replays: Mapping[str, Replay], records: list[ModelRecord]
) -> None:
    shown = replays[name]
    assert shown.problem == ""
    assert shown.closes is None
    before, after = shown.sides
    assert (before.condition, after.condition) == (PLAIN.name, CANONICAL)
    first = [side.moments[0] for side in shown.sides]
    assert shown.steps[0] == 0  # what the policy is given differs from the first step on
    assert first[0].observation != first[1].observation
    assert shown.seed == POLICY.evaluation.seed + shown.episode
    for side in shown.sides:
        episode = records[0].conditions[side.condition].episodes[shown.episode]
        assert side.length == episode.length == len(side.moments)
        assert side.moments[-1].earned == pytest.approx(episode.reward)
        assert shown.steps[-1] == max(side.length for side in shown.sides)
        assert side.last_frame not in ("", side.moments[-1].frame)  # where the last action led


def test_frames_are_small_pictures_of_what_the_environment_rendered(replays: Mapping[str, Replay]) -> None:
    from PIL import Image

    picture = Image.open(io.BytesIO(base64.b64decode(replays["Dial"].sides[0].moments[0].frame)))
    assert (picture.format, picture.size) == ("WEBP", (200, 120))
    pixels = np.asarray(picture).reshape(-1, 3).astype(int)
    coloured = pixels[pixels.max(axis=1) - pixels.min(axis=1) > 80]
    assert {*coloured.argmax(axis=1)} in ({0}, {2})  # the needle, red or blue


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("RendersText", "render() gave 'pointer at"),
        ("RaisesInRender", "RuntimeError: no display"),
        ("DrawsInRender", "did not go as it went when it was measured"),
        ("RendersText-3", "2 other models of RendersText could not be filmed: "),
        ("RendersText-elsewhere", "statistics=none could not be filmed: render() gave 'pointer at"),
    ],
)
def test_an_environment_that_cannot_be_filmed_is_said_to_be_that(
    name: str, said: str, replays: Mapping[str, Replay]
) -> None:
    assert said in replays[name].problem
    assert replays[name].sides == ()


def test_an_episode_of_a_model_that_was_trained_here_is_filmed_as_it_went_as_reference(tmp_path: Path) -> None:
    pytest.importorskip("PIL", reason="Pillow is not installed: requirements-extras.txt")
    spec = training_spec(env="films:Dial", normalize=True)
    train_all([spec], tmp_path)
    isolation.prepare("forkserver", hash_seed=RELOAD_HASH_SEED, preload=PRELOAD)
    target, folder = "reload_audit.evaluation.filming:film_trained", tmp_path / spec["model"]
    filmed = Processes(reload(), tmp_path / "log").call(target, folder, TrainingSpec.from_dict(spec), CANON, 11)
    assert filmed.failure is None, filmed.failure
    reference = TrainTime.from_dict(read_json(folder / EVALUATIONS)).reference[11]
    assert filmed.value.raw_observations == reference.trace["raw_observations"]
    assert filmed.value.rewards == reference.trace["rewards"]
    assert filmed.value.length == reference.length


@pytest.mark.parametrize(("limit", "value"), [("MOST_MODELS", 0), ("MOST_FILMS", 1)])
def test_a_report_has_no_more_replays_than_there_is_room_for(
    limit: str, value: int, records: list[ModelRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("PIL", reason="Pillow is not installed: requirements-extras.txt")
    monkeypatch.setattr(replay, limit, value)
    assert "the worst first" in replayed(records[:1], tmp_path)["Dial"].problem


def test_a_replay_names_pillow_where_that_is_missing(
    records: list[ModelRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert "pip install pillow" in replayed(records[:1], tmp_path)["Dial"].problem
