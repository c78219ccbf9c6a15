"""What ``make bench`` makes of its readings; the readings themselves need RL Zoo, and half an hour."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from support.builders import ROOT

sys.path.append(str(ROOT / "benchmarks"))

import bench
from throughput import jobs, looks, models, startup
from throughput.readings import Part, Ratio, Target, number, per_core_hour, ratio, ratios_table


def test_a_ratio_is_the_median_of_the_repetitions_ratios():
    busy_in_the_middle = ratio("ours / theirs", [10, 90, 30], [1, 10, 2])
    assert busy_in_the_middle.values == (10, 9, 15)
    assert busy_in_the_middle.value == 10


@pytest.mark.parametrize(
    ("target", "value", "verdict"),
    [
        (Target(10), 10, "met"),
        (Target(10), 9.99, "**missed**"),
        (Target(1.5, at_least=False), 1.5, "met"),
        (Target(1.5, at_least=False), 1.51, "**missed**"),
        (None, 3, ""),
    ],
)
def test_a_target_is_met_or_missed(target, value, verdict):
    assert Ratio("any", (value,), target).verdict == verdict


def test_the_table_has_median_spread_target_and_whether_it_is_met():
    parts = [Part("audit", [Ratio("A / B", (12.0, 9.0, 11.0), Target(10))]), Part("episodes", [Ratio("C / D", (2.5,))])]
    assert ratios_table(parts).splitlines() == [
        "| part | ratio | median | from – to | target |  |",
        "| --- | --- | --- | --- | --- | --- |",
        "| audit | A / B | 11.0 | 9.00 – 12.0 | ≥ 10 | met |",
        "| episodes | C / D | 2.50 |  |  |  |",
    ]


@pytest.mark.parametrize(
    ("value", "text"), [(12_345.6, "12,346"), (123.4, "123"), (1.234, "1.23"), (0.01234, "0.0123"), (0, "0")]
)
def test_numbers_have_three_digits_that_count(value, text):
    assert number(value) == text


def test_models_per_core_hour_count_every_core():
    assert per_core_hour(models=10, seconds=60, cores=2) == 300


def test_the_smallest_number_of_episodes_that_is_enough_is_found():
    assert looks.least(lambda episodes: episodes >= 37, 2, 1000) == 37
    assert looks.least(lambda _: False, 2, 1000) == 1000


def test_with_little_noise_the_first_look_decides():
    spent = looks.sequential(width=2.0, shift=0.0, trials=20)
    assert spent == looks.Spent(episodes=looks.usual_criteria().looks[0], right=1.0)


def test_import_times_are_summed_by_package():
    said = "\n".join(
        [
            "import time: self [us] | cumulative | imported package",
            "import time:       100 |        100 |   torch._C",
            "import time:       200 |        300 | torch",
            "import time:        50 |         50 | numpy",
        ]
    )
    assert startup.by_package(said) == pytest.approx({"torch": 300e-6, "numpy": 50e-6})


def test_a_job_with_several_outputs_counts_once(tmp_path: Path):
    metadata = tmp_path / ".snakemake/metadata"
    metadata.mkdir(parents=True)
    for name, rule, start in ("a", "report", 5.0), ("b", "report", 5.01), ("c", "train", 1.0):
        times = {"starttime": start, "endtime": start + 2}
        (metadata / name).write_text(json.dumps({"rule": rule, "log": [f"logs/{rule}.log"], **times}))
    assert jobs.read(tmp_path) == [jobs.Job("train", 1.0, 2.0), jobs.Job("report", 5.0, 2.0)]


def test_copies_are_made_of_all_models_in_turn(tmp_path: Path):
    recorded = []
    for seed in range(2):
        folder = tmp_path / f"trained/{seed}"
        folder.mkdir(parents=True)
        (folder / "model.zip").write_text(str(seed))
        recorded.append(models.Model("CartPole-v1", folder, tmp_path / "zoo", seed + 1))
    copies = models.copies(recorded, 3, tmp_path / "models")
    assert [path.read_text() for path in sorted(copies.glob("*/model.zip"))] == ["0", "1", "0"]


def test_only_the_text_between_the_marks_is_replaced(tmp_path: Path):
    document = tmp_path / "benchmarks.md"
    document.write_text("before\n<!-- measured -->\nold\n<!-- /measured -->\nafter\n")
    bench.write(document, "new")
    assert document.read_text() == "before\n<!-- measured -->\nnew\n<!-- /measured -->\nafter\n"


def test_the_document_contains_the_marks():
    text = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
    assert text.count("<!-- measured -->\n") == text.count("\n<!-- /measured -->") == 1
