"""What is said of a model's reward is found in the files around it, and a file that cannot be read is only a remark."""

from __future__ import annotations

import collections
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reload_audit.models.claims import find_claims
from reload_audit.reading.model_zip import SavedModel
from reload_audit.reading.pickles import parse
from reload_audit.records.specs import Claim
from support.builders import external_spec

SPEC = replace(external_spec("m", "m.zip"), source="zoo", group="runs")


def saved(steps: Any = 1000, episodes: Any = ()) -> SavedModel:
    buffer = collections.deque([{"r": reward, "l": 1, "t": 0.1} for reward in episodes], maxlen=100)
    import cloudpickle

    pickled = {"ep_info_buffer": parse(cloudpickle.dumps(buffer))} if episodes else {}
    return SavedModel({"num_timesteps": steps}, pickled, {}, {})


def found(model: SavedModel | None = None, **paths: Any) -> dict[str, Claim]:
    claims, remarks = find_claims(replace(SPEC, **paths), model or saved())
    assert remarks == []
    return {claim.kind: claim for claim in claims}


def remarks(model: SavedModel | None = None, **paths: Any) -> list[str]:
    claims, remarks = find_claims(replace(SPEC, **paths), model or saved())
    assert claims == []
    return remarks


def evaluations(folder: Path, timesteps: list[int], results: Any) -> str:
    np.savez(folder / "evaluations.npz", timesteps=timesteps, results=results, ep_lengths=results)
    return str(folder / "evaluations.npz")


def test_the_evaluation_at_a_checkpoint_s_own_steps_is_its_claim(tmp_path):
    path = evaluations(tmp_path, [500, 1000, 1500], [[1.0, 1.0], [2.0, 4.0], [9.0, 9.0]])
    assert found(evaluations=path, role="checkpoint") == {
        "evaluations": Claim("evaluations", 3.0, 1.0, 2, f"{path}, row at 1,000 steps")
    }


def test_the_evaluation_of_a_best_model_is_a_best_of_k_claim(tmp_path):
    path = evaluations(tmp_path, [500, 1000], [[1.0, 1.0], [2.0, 4.0]])
    assert list(found(evaluations=path, role="best")) == ["best"]


def test_the_highest_evaluation_is_a_best_of_k_claim_for_any_checkpoint(tmp_path):
    path = evaluations(tmp_path, [500, 1000], [[1.0, 1.0], [2.0, 4.0]])
    assert list(found(evaluations=path, role="checkpoint")) == ["best"]


def test_for_a_final_model_the_last_evaluation_is_a_claim_from_before_the_last_update(tmp_path):
    path = evaluations(tmp_path, [500, 1000], [[1.0, 1.0], [2.0, 4.0]])
    assert list(found(evaluations=path)) == ["last_evaluation"]


RISING = [[float(step), step + 2.0] for step in range(0, 1200, 100)]
"""Evaluations of two episodes, on a straight line: at 1,000 steps it is at 1,001."""


def test_the_trend_of_the_other_evaluations_is_what_a_chosen_model_earns_without_luck(tmp_path):
    lucky = [*RISING[:10], [5000.0, 5002.0], RISING[11]]
    path = evaluations(tmp_path, list(range(0, 1200, 100)), lucky)
    for role in ("best", "checkpoint"):
        trend = found(evaluations=path, role=role)["trend"]
        assert (trend.mean, trend.std, trend.n) == pytest.approx((1001.0, 0.0, 9), abs=1e-9)
        assert trend.where == f"{path}, trend of 10 evaluations around 1,000 steps"


def test_the_trend_of_the_last_evaluations_is_what_a_final_model_earns(tmp_path):
    path = evaluations(tmp_path, list(range(0, 1200, 100)), RISING)
    assert found(saved(1050), evaluations=path)["trend"].mean == pytest.approx(1051.0)


def test_a_trend_goes_no_further_than_the_best_evaluation_because_rewards_have_a_limit(tmp_path):
    path = evaluations(tmp_path, list(range(100, 600, 100)), [[100.0], [200.0], [300.0], [400.0], [500.0]])
    assert found(saved(550), evaluations=path)["trend"].mean == 500.0  # which no policy exceeds in CartPole


@pytest.mark.parametrize(("steps", "known"), [(1250, True), (1300, True), (1301, False), (1150, False)])
def test_the_last_evaluation_speaks_of_a_final_model_until_the_next_was_due(tmp_path, steps, known):
    path = evaluations(tmp_path, [1000, 1100, 1200], [[1.0], [2.0], [3.0]])
    last = found(saved(steps), evaluations=path).get("last_evaluation")
    assert (last is not None) is known
    if last is not None:
        assert (last.mean, last.where) == (3.0, f"{path}, last row, at 1,200 of {steps:,} steps")


def test_means_that_a_logger_wrote_are_claims_without_a_spread_of_as_many_episodes_as_are_usual(tmp_path):
    path = tmp_path / "progress.csv"
    path.write_text("time/total_timesteps,eval/mean_reward\n500,1.5\n1000,3\n")
    found_at = f"{path}, row at 1,000 steps"
    assert found(evaluations=str(path), role="checkpoint") == {"best": Claim("best", 3.0, None, 5, found_at)}


def test_an_ordinary_checkpoint_has_its_own_evaluation_and_no_trend(tmp_path):
    path = evaluations(tmp_path, list(range(0, 1200, 100)), RISING)
    assert list(found(saved(300), evaluations=path, role="checkpoint")) == ["evaluations"]


def test_fewer_than_five_other_evaluations_have_no_trend_and_those_without_a_number_do_not_count(tmp_path):
    results = [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [4.0, 4.0], [9.0, 9.0], [float("nan"), 1.0]]
    path = evaluations(tmp_path, [200, 400, 600, 800, 1000, 1200], results)
    assert list(found(evaluations=path, role="best")) == ["best"]


def test_the_error_of_a_trend_is_that_of_one_more_evaluation(tmp_path):
    rng = np.random.default_rng(1)
    off = []
    for _ in range(1000):
        means = 3.0 * np.arange(12) + rng.standard_normal(12)
        path = evaluations(tmp_path, list(range(12)), means[:, None] + np.zeros((1, 2)))
        trend = found(saved(10), evaluations=path)["trend"]
        off.append((30.0 + rng.standard_normal() - trend.mean) / (trend.std / np.sqrt(trend.n)))
    assert np.mean(np.abs(off) > 2.306) == pytest.approx(0.05, abs=0.021)  # Student's t, 8 degrees of freedom


@pytest.mark.parametrize("steps", [999, None, "1000", True])
def test_evaluations_at_other_steps_are_no_claim(tmp_path, steps):
    path = evaluations(tmp_path, [500, 1000], [[1.0, 1.0], [2.0, 4.0]])
    assert found(saved(steps), evaluations=path) == {}


def test_results_json_of_a_repository_is_a_claim(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"mean_reward": 250.5, "std_reward": 20.0, "n_eval_episodes": 10}))
    assert found(results=str(path)) == {"model_card": Claim("model_card", 250.5, 20.0, 10, str(path))}


CARD = """---
library_name: stable-baselines3
model-index:
- name: PPO
  results:
  - metrics:
    - type: mean_reward
      value: {value}
      name: mean_reward
    task: {{type: reinforcement-learning}}
    dataset: {{name: CartPole-v1, type: CartPole-v1}}
---

# A card
"""


@pytest.mark.parametrize(
    ("value", "mean", "std"), [("500.00 +/- 0.00", 500.0, 0.0), ("-83.1 +/- 18.6", -83.1, 18.6), ("12.5", 12.5, None)]
)
def test_the_metric_of_a_model_card_is_a_claim(tmp_path, value, mean, std):
    path = tmp_path / "README.md"
    path.write_text(CARD.format(value=value))
    assert found(model_card=str(path)) == {"model_card": Claim("model_card", mean, std, None, str(path))}


def test_a_model_card_with_windows_line_ends_is_read(tmp_path):
    path = tmp_path / "README.md"
    path.write_bytes(CARD.format(value="1.0").replace("\n", "\r\n").encode())
    assert found(model_card=str(path))["model_card"].mean == 1.0


def test_a_monitor_file_with_a_huge_field_is_a_remark(tmp_path):
    path = tmp_path / "0.monitor.csv"
    path.write_text('#{"t_start": 0}\nr,l,t\n' + "1" * 200_000 + ",1,1\n")
    (remark,) = remarks(monitors=(str(path),))
    assert "field larger than field limit" in remark


@pytest.mark.parametrize("text", ["", "# no front matter", "---\nlicense: mit\n---\n", "---\n---\n", "---\n[]\n---\n"])
def test_a_card_without_a_metric_is_no_claim(tmp_path, text):
    path = tmp_path / "README.md"
    path.write_text(text)
    assert found(model_card=str(path)) == {}


def test_the_last_training_episodes_in_the_zip_are_a_claim_with_exploration_in_it():
    claim = found(saved(episodes=[10.0, 20.0]))["training"]
    assert (claim.mean, claim.std, claim.n, claim.where) == (15.0, 5.0, 2, "m.zip, ep_info_buffer")


def monitor(path: Path, start: float, rewards: list[float]) -> str:
    rows = "".join(f"{reward},10,{10.0 * k + 1}\n" for k, reward in enumerate(rewards))
    path.write_text(f'#{{"t_start": {start}, "env_id": "CartPole-v1"}}\nr,l,t\n{rows}')
    return str(path)


def test_without_episodes_in_the_zip_the_last_ones_in_monitor_files_are_the_claim(tmp_path):
    early = monitor(tmp_path / "0.monitor.csv", 0.0, [1.0] * 150)
    late = monitor(tmp_path / "1.monitor.csv", 5000.0, [5.0] * 80)
    claim = found(monitors=(late, early))["training"]
    assert (claim.mean, claim.n) == (pytest.approx(0.2 * 1.0 + 0.8 * 5.0), 100)


def test_monitor_files_are_no_claim_for_a_checkpoint(tmp_path):
    path = monitor(tmp_path / "0.monitor.csv", 0.0, [1.0])
    assert found(monitors=(path,), role="checkpoint") == {}


def test_all_claims_are_kept(tmp_path):
    table = Claim("explicit", 7.0, None, None, "table.tsv, line 2")
    claims = found(saved(episodes=[1.0]), claim=table, evaluations=evaluations(tmp_path, [1000], [[3.0, 3.0]]))
    assert list(claims) == ["explicit", "last_evaluation", "training"]


DAMAGED: dict[str, Any] = {
    "evaluations": [b"", b"PK\x03\x04 no zip", b"\x93NUMPY"],
    "results": [
        b'{"mean_reward": 1, "std_reward": 1, "n_eval_episodes": 99999999999999999999}',
        b"",
        b"[]",
        b"{}",
        b'{"mean_reward": "much"}',
        b'{"mean_reward": 1e999}',
        b"[" * 100_000,
    ],
    "model_card": [b"---\na: [\n---\n", b"---\n!!python/object/apply:os.system [touch x]\n---\n"],
}


@pytest.mark.parametrize(("key", "content"), [(key, content) for key in DAMAGED for content in DAMAGED[key]])
def test_a_damaged_file_is_no_claim_and_one_remark(tmp_path, key, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    (remark,) = remarks(**{key: str(path)})
    assert str(path) in remark


def test_an_evaluations_file_with_pickled_objects_is_not_unpickled(tmp_path):
    path = evaluations(tmp_path, [1000], np.asarray([[object()]], dtype=object))
    (remark,) = remarks(evaluations=path)
    assert "Object arrays" in remark


@pytest.mark.parametrize("results", [[[np.nan, 1.0]], [[np.inf, 1.0]]])
def test_rewards_that_are_no_numbers_are_no_claim(tmp_path, results):
    (remark,) = remarks(evaluations=evaluations(tmp_path, [1000], results))
    assert "finite" in remark


@pytest.mark.parametrize("number", ["Infinity", "1e400", "1" + "0" * 400, "-1e400", "1e30", "0.5"])
def test_an_impossible_number_of_episodes_is_no_claim(tmp_path, number):
    path = tmp_path / "results.json"
    path.write_text(f'{{"mean_reward": 1.0, "std_reward": 1.0, "n_eval_episodes": {number}}}')
    (remark,) = remarks(results=str(path))
    assert "expected a number of episodes, found " in remark


@pytest.mark.parametrize("numbers", [("1" + "0" * 400, "1"), ("1", "1" + "0" * 400), ("1e400", "1"), ("1", "1e101")])
def test_rewards_beyond_all_measure_are_no_claim(tmp_path, numbers):
    path = tmp_path / "results.json"
    path.write_text(f'{{"mean_reward": {numbers[0]}, "std_reward": {numbers[1]}, "n_eval_episodes": 10}}')
    (remark,) = remarks(results=str(path))
    assert "expected finite rewards, found " in remark
