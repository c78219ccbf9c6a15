"""Which models one job trains: long trainings alone, small ones together, and no core idle because of it."""

from __future__ import annotations

from typing import Any

import pytest

from reload_audit.planning.configuration import read_yaml
from reload_audit.planning.job_requests import expected_seconds, together, training_request
from reload_audit.planning.resolved import TrainingData
from reload_audit.planning.training_batches import training_batches
from reload_audit.planning.training_specs import trained_models
from support.builders import ROOT, experiment, resolved, training_spec

LIMITS = {"timeout": 3600, "memory": 8192}


def grid(*experiments: dict[str, Any]) -> dict[str, TrainingData]:
    return trained_models(resolved(experiments=list(experiments)))


def small(seeds: int, **settings: Any) -> dict[str, Any]:
    return experiment(name="small", seeds=list(range(seeds)), **settings)


def test_every_model_is_in_one_batch():
    models = grid(small(300), experiment(name="long", seeds=[0, 1], total_timesteps=10**6))
    assert sorted(name for batch in training_batches(models).values() for name in batch) == sorted(models)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_few_models_are_a_job_each_which_is_called_like_them(count):
    models = grid(small(count))
    assert training_batches(models) == {name: [name] for name in models}


def test_the_default_audit_is_four_jobs_of_about_the_same_length():
    models = trained_models(resolved(**read_yaml(ROOT / "config/config.yaml")))
    batches = training_batches(models).values()
    seconds = [sum(expected_seconds(models[name]) for name in batch) for batch in batches]
    assert len(batches) == 4
    assert max(seconds) < 1.25 * min(seconds)


def test_a_long_training_is_alone_beside_any_number_of_small_ones():
    models = grid(small(2000), experiment(name="long", algo="SAC", seeds=[0, 1], total_timesteps=10**5))
    batches = training_batches(models)
    for name in ("long-seed0-n1", "long-seed1-n1"):
        assert batches[name] == [name]


def test_ten_thousand_small_models_are_fewer_than_three_hundred_batches():
    batches = training_batches(grid(small(10_000, total_timesteps=4096)))
    assert len(batches) < 300
    assert max(map(len, batches.values())) <= 64


def test_one_more_model_of_many_changes_its_own_batch_alone():
    before, after = (training_batches(grid(small(count))) for count in (2000, 2001))
    changed = [name for name in {*before, *after} if before.get(name) != after.get(name)]
    assert 1 <= len(changed) <= 3  # three where it splits its batch in two


def test_models_that_need_other_cores_or_a_gpu_are_not_together():
    models = grid(small(9), experiment(name="workers", vec_env="subproc", n_envs=[8], seeds=list(range(9))))
    models |= grid(experiment(name="gpu", device="cuda", seeds=list(range(9))))
    for batch in training_batches(models).values():
        assert len({(models[name]["vec_env"], models[name]["device"]) for name in batch}) == 1


def test_a_model_takes_longer_with_more_steps_a_slower_algorithm_or_fewer_environments():
    def seconds(**settings: Any) -> float:
        return expected_seconds(training_spec(**{"total_timesteps": 10_000, **settings}))

    assert seconds(total_timesteps=20_000) > seconds()
    assert seconds(algo="SAC", env="planted:Continuous") > seconds(algo="PPO")
    assert seconds(n_envs=[8]) < seconds(n_envs=[1])


def test_a_batch_asks_for_the_time_of_all_and_the_memory_of_the_largest():
    few, many = (training_request(training_spec(total_timesteps=steps), LIMITS, {}) for steps in (10_000, 100_000))
    asked = together([few, many])
    assert max(few.runtime, many.runtime) < asked.runtime < few.runtime + many.runtime
    assert asked.mem_mb == max(few.mem_mb, many.mem_mb)
    assert asked.most_runtime > many.most_runtime
    assert together([many]) == many


def test_the_minutes_that_the_user_says_hold_for_a_job_of_several_too():
    said = training_request(training_spec(), LIMITS, {"runtime": 50, "threads": 3, "gpu": 1})
    asked = together([said, said])
    assert asked.runtime >= said.runtime == 50
    assert (asked.threads, asked.gpu) == (3, 1)
