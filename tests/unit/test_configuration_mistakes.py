"""Every mistake in a configuration is named, with its place and with what is expected there."""

from __future__ import annotations

from typing import Any

import pytest

from reload_audit.judging.criteria import VERDICTS
from reload_audit.planning.training_specs import trained_models
from support.configurations import SOURCE, complaint, config, experiment, resolved

ALGORITHMS = "A2C, ARS, CrossQ, DDPG, DQN, MaskablePPO, PPO, QRDQN, RecurrentPPO, SAC, TD3, TQC, TRPO"
NOTHING = (
    "nothing to audit; expected entries under experiments (models to train), models (tables of models), "
    "runs (folders with models), scripts (your own, which evaluate a model) or environments (to probe)"
)
PYTHONS = "found one of Python's own modules"
A_SCRIPT = (
    "a script: the one that trained a model is not here, and a program is never imported; move what the model needs "
    "from it into a module, and configure classes: {__main__.Name: module.Name}"
)
FAIL_ON = ", ".join([*VERDICTS, "suspect", "environment", "script", "regressed", "candidate", "candidate_open"])


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (config(verdicts={}), "unknown key 'verdicts'; did you mean 'verdict'?"),
        (config(xyz=1), "unknown key 'xyz'"),
        (config(reload={"timeouts": 1}), "reload: unknown key 'timeouts'; did you mean 'timeout'?"),
        (config(evaluation=None), "evaluation: expected a mapping, found nothing"),
        (config(verdict={"alpha": "small"}), "verdict.alpha: expected a number, found a string ('small')"),
        (config(verdict={"alpha": 0.5}), "verdict.alpha: expected less than 0.5, found 0.5"),
        (config(verdict={"alpha": 0}), "verdict.alpha: expected more than 0, found 0"),
        (config(evaluation={"episodes": 1}), "evaluation.episodes: expected at least 2, found 1"),
        (config(verdict={"looks": [40, 20]}), "verdict.looks: expected increasing numbers, found [40, 20]"),
        (config(verdict={"looks": [20, 20]}), "verdict.looks: expected each entry once, found 20 more than once"),
        (
            config(gate={"fail_on": ["error", "degrade"]}),
            f"gate.fail_on[1]: found 'degrade', expected one of {FAIL_ON}; did you mean 'degraded'?",
        ),
        *(
            (
                config(trust=[name]),
                f"trust: {name}: expected a package of environments or policies, {PYTHONS}",
            )
            for name in ("os", "subprocess", "os.path")
        ),
        *(
            (
                config(trust=[name]),
                f"trust: {name}: expected a package of environments or policies, found {A_SCRIPT}",
            )
            for name in ("__main__", "mine.__main__")
        ),
        (config(classes={"__main__.Net": 3}), "classes.__main__.Net: expected a string, found an integer (3)"),
        (
            config(classes={"__main__.Net": "net"}),
            "classes.__main__.Net: found 'net', expected a class's dotted name, such as my_net.CustomNet",
        ),
        (
            config(classes={"__main__.Net": "os.system"}),
            "classes: __main__.Net: expected a class of your own or of a library, found one of Python's own modules: "
            "os.system",
        ),
        ({}, NOTHING),
        ({"experiments": [], "models": [], "runs": []}, NOTHING),
        ({"runs": [3]}, "runs[0]: expected a string or a mapping, found an integer (3)"),
        ({"runs": "here"}, "runs: expected a list, found a string ('here')"),
        ({"runs": [{"env": "X-v0"}]}, "runs[0]: missing 'folder'; found only env"),
        ({"runs": [{"folder": "a", "enw": 1}]}, "runs[0]: unknown key 'enw'; did you mean 'env'?"),
        ({"runs": [{"folder": "a", "n_envs": 0}]}, "runs[0].n_envs: expected at least 1, found 0"),
        (
            {"runs": [{"folder": "a", "frame_stack": "4"}]},
            "runs[0].frame_stack: found '4', expected an integer, or a text in braces that stands for one",
        ),
        ({"runs": [{"folder": "a", "exclude": "b"}]}, "runs[0].exclude: expected a list, found a string ('b')"),
        ({"models": 3}, "models: expected a string or a list, found an integer (3)"),
        ({"models": ["a.tsv", "a.tsv"]}, "models: expected each entry once, found a.tsv more than once"),
        (config(trust=["a b"]), "trust[0]: found 'a b', expected a package's dotted name"),
        (config(env_versions={"A-v0": 1}), "env_versions.A-v0: expected a string, found an integer (1)"),
        (config(reload={"batch": 0}), "reload.batch: expected at least 1, found 0"),
        ({"experiments": None}, "experiments: expected a list, found nothing"),
        ({"experiments": ["ppo"]}, "experiments[0]: expected a mapping, found a string ('ppo')"),
        (config(pathvars={"results": 1}), "pathvars.results: expected a string, found an integer (1)"),
        (
            config(pathvars={"results": "mine/"}),
            "pathvars.results: found 'mine/', expected a folder's path without braces, and without '/' at its end",
        ),
        (config(pathvars={"result": "mine"}), "pathvars: unknown key 'result'; did you mean 'results'?"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mistake_is_named_with_its_place_and_what_is_expected(written: dict[str, Any], message: str) -> None:
    assert complaint(written) == f"{SOURCE}: {message}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"total_timestep": 1}, ": unknown key 'total_timestep'; did you mean 'total_timesteps'?"),
        ({"seeds": 3}, ".seeds: expected a list, found an integer (3)"),
        ({"seeds": ["0"]}, ".seeds[0]: expected an integer, found a string ('0')"),
        ({"seeds": [True]}, ".seeds[0]: expected an integer, found a boolean (True)"),
        ({"seeds": [-1]}, ".seeds[0]: expected at least 0, found -1"),
        ({"seeds": [2**32]}, ".seeds[0]: expected at most 4294967295, found 4294967296"),
        ({"seeds": [1, 2, 1]}, ".seeds: expected each entry once, found 1 more than once"),
        ({"seeds": []}, ".seeds: expected at least 1 entry, found an empty list"),
        ({"n_envs": [0]}, ".n_envs[0]: expected at least 1, found 0"),
        ({"total_timesteps": "many"}, ".total_timesteps: expected an integer, found a string ('many')"),
        ({"total_timesteps": 1.5}, ".total_timesteps: expected an integer, found a number (1.5)"),
        ({"algo": "PPOO"}, f".algo: found 'PPOO', expected one of {ALGORITHMS}; did you mean 'PPO'?"),
        ({"algo": "ppo"}, f".algo: found 'ppo', expected one of {ALGORITHMS}; did you mean 'PPO'?"),
        ({"env": ""}, ".env: expected a text, found an empty one"),
        (
            {"name": "my model"},
            ".name: found 'my model', expected letters, digits, '_', '.' and '-', a letter or digit first",
        ),
        (
            {"name": "../up"},
            ".name: found '../up', expected letters, digits, '_', '.' and '-', a letter or digit first",
        ),
        ({"frame_stack": 1}, ".frame_stack: expected at least 2, found 1"),
        ({"frame_stack": "4"}, ".frame_stack: expected an integer or null, found a string ('4')"),
        ({"wrappers": [3]}, ".wrappers[0]: expected a string or a mapping, found an integer (3)"),
        ({"normalize": "yes"}, ".normalize: expected a boolean or a mapping, found a string ('yes')"),
        ({"normalize": None}, ".normalize: expected a boolean or a mapping, found nothing"),
        ({"normalize": {"clip": 5}}, ".normalize: unknown key 'clip'; did you mean 'clip_obs'?"),
        ({"normalize": {"clip_obs": 0}}, ".normalize.clip_obs: expected more than 0, found 0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mistake_in_an_experiment_is_named_with_its_place(changes: dict[str, Any], message: str) -> None:
    assert complaint(config(experiment(name="first"), experiment(**changes))) == f"{SOURCE}: experiments[1]{message}"


@pytest.mark.parametrize("key", ["name", "algo", "env", "total_timesteps"])
def test_a_missing_key_is_named_with_what_is_there(key: str) -> None:
    written = experiment()
    del written[key]
    assert complaint(config(written)) == f"{SOURCE}: experiments[0]: missing {key!r}; found only {', '.join(written)}"


@pytest.mark.parametrize("other", ["ppo", "PPO", "Ppo"])
def test_two_experiments_of_one_name_are_refused_whatever_their_case(other: str) -> None:
    assert complaint(config(experiment(), experiment(name=other))) == (
        f"{SOURCE}: experiments[1].name: {other!r} is already the name of experiments[0]; expected names that differ"
    )


def test_every_mistake_is_listed() -> None:
    lines = complaint(
        config(experiment(algo="PPOO", n_envs=[0]), verdict={"alpha": 2}, verdicts={}, experimens=1)
    ).splitlines()

    assert all(line.startswith(f"{SOURCE}: ") for line in lines)
    for place in ("'verdicts'", "'experimens'", "experiments[0].algo", "experiments[0].n_envs[0]", "verdict.alpha"):
        assert sum(place in line for line in lines) == 1, f"{place} in {lines}"


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"normalize": {"norm_obs": "yes"}}, "normalize.norm_obs: expected a boolean, found a string ('yes')"),
        ({"wrappers": [{"TimeLimit": 5}]}, "wrappers[0].TimeLimit: expected a mapping, found an integer (5)"),
    ],
)
def test_a_wrong_type_inside_an_alternative_is_named_with_its_place(changes: dict[str, Any], place: str) -> None:
    assert complaint(config(experiment(**changes))) == f"{SOURCE}: experiments[0].{place}"


def test_a_line_break_in_a_name_is_refused() -> None:
    assert "expected letters, digits" in complaint(config(experiment(name="ppo\n")))


@pytest.mark.parametrize("found", [{"models": "a.tsv"}, {"models": ["a.tsv"]}, {"runs": ["a", {"folder": "b"}]}])
def test_external_models_alone_are_a_valid_configuration(found: dict[str, Any]) -> None:
    configuration = resolved(found)
    assert trained_models(configuration) == {}
    assert configuration["reload"]["batch"] is None
    assert resolved(configuration) == configuration
