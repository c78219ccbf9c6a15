"""What jobs ask a cluster for grows with what they have to do, and with every attempt, up to the limits."""

from __future__ import annotations

from typing import Any

import pytest

from reload_audit.planning.job_requests import (
    OVERHEAD_MB,
    OVERHEAD_MINUTES,
    Request,
    aggregation_request,
    batch_request,
    probe_request,
    reload_request,
    training_request,
)
from support.builders import resolved, training_spec

LIMITS = {"timeout": 86400, "memory": 8192}


RELOAD = resolved(runs=["models"], reload={"n_envs": [1, 8], "other_vec_env": True, **LIMITS})["reload"]


def training(limits: dict[str, int] = LIMITS, overrides: dict[str, int] | None = None, **experiment: Any) -> Request:
    return training_request(training_spec(**experiment), limits, overrides or {})


def test_a_job_asks_for_more_time_for_more_steps():
    assert training(total_timesteps=1_000_000).runtime > 5 * training(total_timesteps=64).runtime


def test_a_job_asks_for_more_time_and_memory_for_an_off_policy_algorithm():
    on_policy, off_policy = training(total_timesteps=1_000_000), training(total_timesteps=1_000_000, algo="SAC")
    assert off_policy.runtime > on_policy.runtime
    assert off_policy.mem_mb > on_policy.mem_mb


def test_a_job_asks_for_less_memory_for_a_smaller_replay_buffer():
    small = training(total_timesteps=1_000_000, algo="SAC", hyperparams={"buffer_size": 1000})
    assert small.mem_mb < training(total_timesteps=1_000_000, algo="SAC").mem_mb


def test_a_job_asks_for_more_time_and_memory_for_image_observations():
    flat, images = (training(total_timesteps=50_000, algo="DQN", env=env) for env in ("planted:Draws", "ALE/Pong-v5"))
    assert images.runtime > flat.runtime
    assert images.mem_mb > flat.mem_mb


def test_workers_of_a_subproc_vec_env_get_cores_and_memory():
    inside, workers = training(n_envs=[8]), training(n_envs=[8], vec_env="subproc")
    assert (inside.threads, workers.threads) == (1, 8)
    assert workers.mem_mb > inside.mem_mb


@pytest.mark.parametrize(("device", "gpu"), [("cpu", None), ("auto", None), ("cuda", 1), ("cuda:0", 1)])
def test_cuda_asks_for_a_gpu(device, gpu):
    assert training(device=device).gpu == gpu
    assert reload_request([device], RELOAD).gpu == gpu
    assert batch_request(["cpu", device], RELOAD).gpu == gpu


def test_a_further_attempt_asks_for_twice_as_much_up_to_the_limits():
    request = training()
    assert [request.memory(attempt) for attempt in (1, 2)] == [request.mem_mb, 2 * request.mem_mb]
    assert [request.minutes(attempt) for attempt in (1, 2)] == [request.runtime, 2 * request.runtime]
    assert request.memory(10) == LIMITS["memory"] + OVERHEAD_MB
    assert request.minutes(10) == LIMITS["timeout"] // 60 + OVERHEAD_MINUTES


def test_no_estimate_is_beyond_the_limits():
    request = training({"timeout": 60, "memory": 500}, total_timesteps=10_000_000)
    assert request.mem_mb == 500 + OVERHEAD_MB
    assert request.runtime == 1 + OVERHEAD_MINUTES


def test_resources_from_the_configuration_replace_the_estimates():
    overrides = {"threads": 3, "mem_mb": 50_000, "runtime": 5, "gpu": 2}
    request = training(overrides=overrides)
    assert (request.threads, request.memory(1), request.minutes(1), request.gpu) == (3, 50_000, 5, 2)
    assert request.minutes(2) == 10
    assert request.memory(2) == 50_000  # it is beyond the limit as it is
    assert training(overrides={"gpu": 0}, device="cuda").gpu is None


def test_a_reload_asks_for_time_for_all_its_processes_at_their_limit():
    short = {**RELOAD, "timeout": 60, "n_envs": [2], "other_vec_env": False}
    # The canonical condition, another, three to find out why a reward is lost; in a batch also what chance earns.
    assert reload_request(["cpu"], short).most_runtime == 5 + OVERHEAD_MINUTES
    assert batch_request(["cpu", "cpu"], short).most_runtime == 12 + OVERHEAD_MINUTES


def test_a_probe_has_time_limits_of_its_own():
    assert probe_request("cpu", RELOAD, {"timeout": 60}).most_runtime == 30 + OVERHEAD_MINUTES


def test_the_aggregation_asks_for_more_memory_for_more_models():
    assert aggregation_request(10_000).mem_mb == aggregation_request(0).mem_mb + 2000


def test_a_batch_asks_for_time_for_each_of_its_models():
    assert batch_request(["cpu"] * 8, RELOAD).runtime > 3 * batch_request(["cpu"], RELOAD).runtime
