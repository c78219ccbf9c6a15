"""Which models a configuration trains, and what their specs hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reload_audit.planning.configuration import ConfigError, check_only, read_yaml
from reload_audit.planning.training_specs import trained_models
from support.configurations import config, experiment, resolved


def test_there_is_one_model_for_each_seed_and_n_envs() -> None:
    models = trained_models(resolved(config(experiment(seeds=[0, 7], n_envs=[1, 4]), experiment(name="b"))))
    assert list(models) == ["ppo-seed0-n1", "ppo-seed0-n4", "ppo-seed7-n1", "ppo-seed7-n4", "b-seed0-n1"]


def test_a_model_s_name_agrees_with_its_spec() -> None:
    models = trained_models(resolved(config(experiment(seeds=[0, 7], n_envs=[1, 4]))))
    assert [(spec["model"], spec["seed"], spec["n_envs"]) for spec in models.values()] == [
        ("ppo-seed0-n1", 0, 1),
        ("ppo-seed0-n4", 0, 4),
        ("ppo-seed7-n1", 7, 1),
        ("ppo-seed7-n4", 7, 4),
    ]


FULL = experiment(
    seeds=[0, 1],
    env_kwargs={"render_mode": None},
    wrappers=["a.B", {"c.D": {"k": [1, 2.5]}}],
    vec_wrappers=["a.Mirrored", {"VecFrameStack": {"n_stack": 4}}, {"VecNormalize": {"gamma": 0.9}}],
    hyperparams={"policy_kwargs": {"net_arch": [8]}},
)


def test_a_spec_holds_only_what_json_holds() -> None:
    models = trained_models(resolved(config(FULL)))
    assert json.loads(json.dumps(models, allow_nan=False)) == models


def test_a_spec_holds_everything_an_experiment_says() -> None:
    spec = trained_models(resolved(config(FULL)))["ppo-seed0-n1"]
    flat = {**spec, **spec["environment"]}
    assert {key: flat[key] for key in FULL if key not in ("name", "seeds")} == {
        key: value for key, value in FULL.items() if key not in ("name", "seeds")
    }


def test_a_date_in_someone_s_arguments_is_refused_or_a_text(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("since: 2024-01-01\n")
    try:
        found = resolved(config(experiment(env_kwargs=read_yaml(tmp_path / "mine.yaml"))))
    except ConfigError:
        return
    assert found["experiments"][0]["env_kwargs"] == {"since": "2024-01-01"}


def changed_models(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    old, new = trained_models(resolved(before)), trained_models(resolved(after))
    return {name for name in new if new[name] != old.get(name)}


BEFORE = config(experiment(seeds=[0, 1]), experiment(name="other"))


@pytest.mark.parametrize(
    "changes", [{"hyperparams": {"n_steps": 8}}, {"env_kwargs": {"a": 1}}, {"normalize": True}, {"total_timesteps": 9}]
)
def test_a_change_of_one_experiment_changes_its_own_specs_only(changes: dict[str, Any]) -> None:
    after = config(experiment(seeds=[0, 1], **changes), experiment(name="other"))
    assert changed_models(BEFORE, after) == {"ppo-seed0-n1", "ppo-seed1-n1"}


def test_a_further_seed_does_not_change_the_specs_of_other_models() -> None:
    after = config(experiment(seeds=[0, 1, 2]), experiment(name="other"))
    assert changed_models(BEFORE, after) == {"ppo-seed2-n1"}


@pytest.mark.parametrize(
    "sections", [{"gate": {"fail_on": []}}, {"reload": {"timeout": 1}}, {"verdict": {"alpha": 0.01}}]
)
def test_settings_of_reload_and_verdict_do_not_change_training_specs(sections: dict[str, Any]) -> None:
    assert changed_models(BEFORE, {**BEFORE, **sections}) == set()


def test_settings_of_the_train_time_evaluation_change_every_training_spec() -> None:
    assert len(changed_models(BEFORE, {**BEFORE, "evaluation": {"episodes": 10}})) == 3


def test_some_of_the_models_can_be_audited_alone() -> None:
    check_only(["zoo/PPO 2", "ppo-seed1-n1"], ["ppo-seed0-n1", "ppo-seed1-n1", "zoo/PPO 2"], "mine.yaml")


def test_a_name_that_no_model_has_is_refused_with_the_closest() -> None:
    with pytest.raises(
        ConfigError, match=r"^mine.yaml: only: there is no model 'ppo-seed1'; did you mean 'ppo-seed1-n1'"
    ):
        check_only(["ppo-seed1"], ["ppo-seed0-n1", "ppo-seed1-n1"], "mine.yaml")


def test_short_keys_are_the_usual_order_of_the_same_wrappers() -> None:
    short = experiment(monitor="vec", normalize={"gamma": 0.9}, frame_stack=4)
    long = ["VecMonitor", {"VecNormalize": {"gamma": 0.9}}, {"VecFrameStack": {"n_stack": 4}}]
    environment = trained_models(resolved(config(short)))["ppo-seed0-n1"]["environment"]
    assert environment["vec_wrappers"] == long
    dotted = [f"stable_baselines3.common.vec_env.{name}" if isinstance(name, str) else name for name in long]
    again = trained_models(resolved(config(experiment(monitor="vec", vec_wrappers=dotted))))["ppo-seed0-n1"]
    assert again["environment"] == environment


def test_a_wrapper_of_a_vec_env_is_said_once() -> None:
    twice = experiment(vec_wrappers=["VecNormalize", {"VecFrameStack": {"n_stack": 4}}], frame_stack=4)
    with pytest.raises(ConfigError, match=r"experiments\[0\]: frame_stack: VecFrameStack stands among vec_wrappers"):
        resolved(config(twice))


def test_a_vec_env_of_ones_own_needs_no_environment() -> None:
    own = {key: value for key, value in experiment(vec_env="fast:Sides").items() if key != "env"}
    spec = trained_models(resolved(config(own)))["ppo-seed0-n1"]
    assert (spec["vec_env"], spec["environment"]["vec_env"], spec["environment"]["env"]) == (
        "dummy",
        *["fast:Sides"] * 2,
    )
    usual = trained_models(resolved(config(experiment(vec_env="subproc"))))["ppo-seed0-n1"]
    assert (usual["vec_env"], usual["environment"]["vec_env"]) == ("subproc", None)
    without = {key: value for key, value in experiment().items() if key != "env"}
    with pytest.raises(ConfigError, match="missing 'env'"):
        resolved(config(without))
