"""Ten times as many models take about ten times as long; ``benchmarks/scaling.py`` has the seconds of ten thousand.

Times are compared only with each other, and are those of the processor: another process does not matter much.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reload_audit.planning.plan import Folders, make_plan
from reload_audit.planning.training_specs import trained_models
from reload_audit.records.conditions import CANONICAL, Condition
from reload_audit.records.episodes import Episode
from reload_audit.records.manifest import ExternalFacts, ExternalManifest
from reload_audit.records.model_record import Measurement, ModelRecord, write_batch
from reload_audit.records.storage import read_json
from reload_audit.reports.audit import Audit
from reload_audit.reports.dashboard.report import write_report
from reload_audit.reports.junit import write_junit
from reload_audit.reports.markdown import summarize
from reload_audit.reports.model_cards import suggestions
from reload_audit.results.aggregate import aggregate
from support.builders import CRITERIA, ROOT, experiment, external_spec, resolved
from support.fleet import fleet
from support.published_layouts import discovered, hub_repository, recording

FEW, MANY = 200, 2_000
MOST = 2.5
"""Times the growth of the number of models. What grows with its square would be ten times."""

SPEC = {"algo": "PPO", "seed": 0, "n_envs": 1, "environment": {"env": "CartPole-v1", "monitor": "env"}}


def seconds(work: Callable[[], object]) -> float:
    """The fastest of three."""
    readings = []
    for _ in range(3):
        start = time.process_time()
        work()
        readings.append(time.process_time() - start)
    return min(readings)


def grows_no_faster_than_the_models(few: Callable[[], object], many: Callable[[], object]) -> bool:
    few()  # what is loaded once
    return seconds(many) < MOST * MANY / FEW * seconds(few)


@pytest.fixture(scope="module")
def configurations(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """Configurations that lead to few and to many models, half of them recordings, half of them with a card."""
    configurations = {}
    for count in (FEW, MANY):
        folder = tmp_path_factory.mktemp("models")
        templates = hub_repository(folder / "hub-0"), recording(folder / "recorded-0", SPEC)
        for index in range(1, count // 2):
            for template in templates:
                copy = folder / f"{template.name[:-2]}-{index}"
                copy.mkdir()
                for file in template.iterdir():
                    os.link(file, copy / file.name)
        configurations[count] = {"runs": [str(folder)]}
    return configurations


def test_discovery_takes_time_in_proportion_to_the_models(configurations):
    assert {count: len(discovered(**config)) for count, config in configurations.items()} == {FEW: FEW, MANY: MANY}
    assert grows_no_faster_than_the_models(
        *(lambda config=configurations[n]: discovered(**config) for n in (FEW, MANY))
    )


def test_planning_takes_time_in_proportion_to_the_external_models(configurations, tmp_path):
    def plan(config: dict[str, Any]) -> None:
        audit = make_plan(config, "config.yaml", folders, ROOT.joinpath("workflow").joinpath, now=0.0, discover=True)
        for batch in audit.batches:
            audit.batch_models(batch), audit.batch_inputs(batch), audit.batch_code(batch)
        for probe in audit.probing.probes:
            audit.probing.inputs(probe), audit.probing.code_of(probe)

    folders = Folders(str(tmp_path / "results"), str(tmp_path / "logs"))
    assert grows_no_faster_than_the_models(*(lambda n=n: plan(configurations[n]) for n in (FEW, MANY)))


def test_reading_a_table_takes_time_in_proportion_to_its_rows(tmp_path):
    tables = {}
    for count in (FEW, MANY):
        tables[count] = tmp_path / f"{count}.tsv"
        rows = [f"m{index}\tPPO\tCartPole-v1\tm{index}.zip\t500" for index in range(count)]
        tables[count].write_text("\n".join(["name\talgo\tenv\tmodel\tclaim_mean", *rows]))
    assert grows_no_faster_than_the_models(*(lambda n=n: discovered(models=str(tables[n])) for n in (FEW, MANY)))


def test_planning_takes_time_in_proportion_to_the_models_to_train():
    def plan(count: int) -> None:
        trained_models(resolved(experiments=[experiment(seeds=list(range(count)))]))

    assert grows_no_faster_than_the_models(lambda: plan(FEW), lambda: plan(MANY))


def record(name: str) -> ModelRecord:
    """The reload record of an external model without a claim."""
    trace = {"raw_observations": f"{name}-a", "rewards": f"{name}-b", "actions": f"{name}-c"}
    episodes = [Episode(k, 1_000_000 + k, 50.0 + k, 50 + k, True, None, 50.0 + k, trace) for k in range(20)]
    manifest = ExternalManifest(name, external_spec(name), None, ExternalFacts())
    reload = Measurement(Condition(CANONICAL, 20), None, None, episodes=episodes)
    return ModelRecord(manifest, "audit.log", conditions={CANONICAL: reload}, random_mean=20.0)


def test_aggregation_takes_time_in_proportion_to_the_models(tmp_path):
    def batches(count: int) -> list[Path]:
        files = []
        for first in range(0, count, 20):
            files.append(tmp_path / f"{count}-{first}.json")
            write_batch(files[-1], [record(f"m{index}") for index in range(first, first + 20)])
        return files

    few, many = batches(FEW), batches(MANY)
    assert grows_no_faster_than_the_models(
        lambda: aggregate(few, CRITERIA, {}, tmp_path / "few"), lambda: aggregate(many, CRITERIA, {}, tmp_path / "many")
    )
    assert len(read_json(tmp_path / "many/audit.json")["models"]) == MANY


def test_reports_take_time_in_proportion_to_the_models(tmp_path):
    def write(content: dict[str, Any]) -> None:
        audit = Audit.from_json(content)
        write_report(audit, tmp_path / "report.html")
        write_junit(audit, tmp_path / "junit.xml")
        summarize(audit, "report.html", suggestions(audit))

    few, many = fleet(FEW), fleet(MANY)
    assert grows_no_faster_than_the_models(lambda: write(few), lambda: write(many))
