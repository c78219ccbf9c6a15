"""A configuration is either complete and consistent, or refused with every mistake named, placed and explained."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import configfiles
from reload_audit.judging.criteria import VERDICTS
from reload_audit.planning.configuration import (
    ConfigError,
    check_only,
    check_python_path,
    on_python_path,
    read_yaml,
    resolve,
)
from reload_audit.planning.training_specs import trained_models

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = read_yaml(ROOT / "workflow" / "schemas" / "config.schema.yaml")
SOURCE = "config/config.yaml"


def experiment(**changes: Any) -> dict[str, Any]:
    return {"name": "ppo", "algo": "PPO", "env": "CartPole-v1", "total_timesteps": 1000, **changes}


def config(*experiments: dict[str, Any], **sections: Any) -> dict[str, Any]:
    return {"experiments": list(experiments) or [experiment()], **sections}


def resolved(written: dict[str, Any]) -> dict[str, Any]:
    return resolve(written, SCHEMA, SOURCE)


def complaint(written: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as raised:
        resolved(written)
    return str(raised.value)


# --- The file ----------------------------------------------------------------------------------------------------


@pytest.fixture
def refusal_of(tmp_path: Path) -> Callable[[bytes], str]:
    """What is said about a file of these bytes, without the folder's name."""

    def refusal(content: bytes) -> str:
        (tmp_path / "mine.yaml").write_bytes(content)
        with pytest.raises(ConfigError) as raised:
            read_yaml(tmp_path / "mine.yaml")
        return str(raised.value).replace(f"{tmp_path}/", "")

    return refusal


def test_a_valid_file_is_read_as_written(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("experiments:\n  - name: ü\n", encoding="utf-8")
    assert read_yaml(tmp_path / "mine.yaml") == {"experiments": [{"name": "ü"}]}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        read_yaml(tmp_path / "mine.yaml")
    assert str(raised.value) == f"{tmp_path}/mine.yaml: cannot be read: No such file or directory"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\nb:\n\tc: 2\n", "mine.yaml, line 3, column 1: is not valid YAML: found character '\\t'"),
        (b"a: 1\nb: [2,\n", "mine.yaml, line 3, column 1: is not valid YAML: expected"),
        (b"a: 1\nb: *base\n", "mine.yaml, line 2, column 4: is not valid YAML: found undefined alias 'base'"),
        (b"a: !!python/object/apply:os.getcwd []\n", "mine.yaml, line 1, column 4: is not valid YAML: could not"),
        (b"a: 1\nb: 2\na: 3\n", "mine.yaml, line 3, column 1: is not valid YAML: key 'a' appears twice"),
        (b"x:\n  a: 1\n  a: 1\n", "mine.yaml, line 3, column 3: is not valid YAML: key 'a' appears twice"),
        (b"- a\n- b\n", "mine.yaml: expected keys and values at the top, found a list (['a', 'b'])"),
        (b"text\n", "mine.yaml: expected keys and values at the top, found a string ('text')"),
        (b"", "mine.yaml: expected keys and values at the top, found nothing"),
        (b"# caf\xe9 noir\na: 1\n", "mine.yaml: is not UTF-8 text: invalid continuation byte at byte 5"),
    ],
    ids=[
        "tab",
        "unclosed bracket",
        "unknown alias",
        "Python object",
        "key twice",
        "nested key twice",
        "list",
        "text",
        "empty",
        "Latin-1",
    ],
)
def test_a_file_that_cannot_be_used_says_where_and_why(
    refusal_of: Callable[[bytes], str], content: bytes, message: str
) -> None:
    assert refusal_of(content).startswith(message)


def test_keys_can_be_merged_from_an_anchor(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("a: &base {x: 1}\nb:\n  <<: *base\n  y: 2\n")
    assert read_yaml(tmp_path / "mine.yaml")["b"] == {"x": 1, "y": 2}


# --- Defaults ----------------------------------------------------------------------------------------------------


def test_defaults_are_filled_in_at_every_level() -> None:
    found = resolved(config(verdict={"alpha": 0.01}, reload={"n_envs": []}))

    assert found["python_path"] == []
    assert found["evaluation"] == {"episodes": 100, "seed": 1_000_000, "n_envs": 20, "max_episode_steps": 100_000}
    assert found["verdict"]["looks"] == [20, 40, 80, 160, 320]
    assert found["reload"]["timeout"] == 1800
    assert found["gate"] == {"fail_on": ["degraded", "error"]}
    assert found["experiments"][0]["hyperparams"] == {}
    assert found["experiments"][0]["seeds"] == [0]


def test_a_written_value_replaces_the_default() -> None:
    found = resolved(config(experiment(n_envs=[4, 8], normalize={"clip_obs": 5.0}), verdict={"alpha": 0.01}))

    assert found["verdict"]["alpha"] == 0.01
    assert found["experiments"][0]["n_envs"] == [4, 8]
    assert found["experiments"][0]["normalize"] == {"clip_obs": 5.0}


def defaults_missing(value: Any, schema: dict[str, Any], where: str = "") -> list[str]:
    """The keys that have a default in the schema and are not there."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    if isinstance(value, list):
        return [name for item in value for name in defaults_missing(item, schema.get("items", {}), f"{where}[]")]
    missing = []
    for key, subschema in schema.get("properties", {}).items() if isinstance(value, dict) else []:
        if key in value:
            missing += defaults_missing(value[key], subschema, f"{where}.{key}")
        elif "default" in subschema:
            missing.append(f"{where}.{key}")
    return missing


def test_no_default_of_the_schema_is_left_out() -> None:
    assert defaults_missing(resolved(config()), SCHEMA) == []


def test_a_resolved_configuration_resolves_to_itself() -> None:
    once = resolved(config(experiment(normalize=True)))
    assert resolved(once) == once


def test_resolving_does_not_change_the_user_s_configuration() -> None:
    written = config(experiment(hyperparams={"n_steps": 8}), verdict={})
    before = copy.deepcopy(written)
    found = resolved(written)
    found["experiments"][0]["hyperparams"]["n_steps"] = 9
    assert written == before


def test_experiments_do_not_share_their_defaults() -> None:
    first, second = resolved(config(experiment(), experiment(name="other")))["experiments"]
    first["seeds"].append(1)
    first["hyperparams"]["n_steps"] = 8
    assert (second["seeds"], second["hyperparams"]) == ([0], {})


@pytest.mark.parametrize("written", ["1e5", "1E5", "1.0e5", "1e+5", 1e5, 100_000])
def test_steps_can_be_written_with_an_exponent(written: Any) -> None:
    """YAML 1.1 reads ``1e5`` as a text and ``1.0e5`` as a float."""
    found = resolved(config(experiment(total_timesteps=written)))["experiments"][0]["total_timesteps"]
    assert (found, type(found)) == (100_000, int)


def test_whole_numbers_are_integers_wherever_integers_are_expected() -> None:
    found = resolved(config(experiment(n_envs=[2.0], seeds=[3.0]), verdict={"looks": [20.0]}))
    numbers = [*found["experiments"][0]["n_envs"], *found["experiments"][0]["seeds"], *found["verdict"]["looks"]]
    assert [type(number) for number in numbers] == [int] * 3


def test_a_whole_number_of_stacked_frames_is_an_integer() -> None:
    assert type(resolved(config(experiment(frame_stack=4.0)))["experiments"][0]["frame_stack"]) is int


def test_hyperparameters_can_be_written_with_an_exponent() -> None:
    found = resolved(config(experiment(hyperparams={"learning_rate": "3e-4", "policy_kwargs": {"eps": ["1e-5"]}})))
    assert found["experiments"][0]["hyperparams"] == {"learning_rate": 3e-4, "policy_kwargs": {"eps": [1e-5]}}


@pytest.mark.parametrize("text", ["lin_1e-3", "e5", "1e", "1_000", "MlpPolicy"])
def test_other_texts_among_hyperparameters_stay_texts(text: str) -> None:
    assert resolved(config(experiment(hyperparams={"a": text})))["experiments"][0]["hyperparams"] == {"a": text}


def test_an_experiment_s_name_may_look_like_a_number() -> None:
    assert resolved(config(experiment(name="1e5")))["experiments"][0]["name"] == "1e5"


# --- Mistakes ----------------------------------------------------------------------------------------------------

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


# --- What to train -----------------------------------------------------------------------------------------------


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


# --- Some models alone -------------------------------------------------------------------------------------------


def test_some_of_the_models_can_be_audited_alone() -> None:
    check_only(["zoo/PPO 2", "ppo-seed1-n1"], ["ppo-seed0-n1", "ppo-seed1-n1", "zoo/PPO 2"], "mine.yaml")


def test_a_name_that_no_model_has_is_refused_with_the_closest() -> None:
    with pytest.raises(
        ConfigError, match=r"^mine.yaml: only: there is no model 'ppo-seed1'; did you mean 'ppo-seed1-n1'"
    ):
        check_only(["ppo-seed1"], ["ppo-seed0-n1", "ppo-seed1-n1"], "mine.yaml")


# --- Folders of Python modules -----------------------------------------------------------------------------------


def test_python_path_is_relative_to_the_working_directory_and_else_to_the_workflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("here/mine", "here/both", "workflow/both", "workflow/examples"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    too_long = 300 * "n"
    found = on_python_path(["mine", "both", "examples", "nowhere", too_long, str(tmp_path)], tmp_path / "workflow")
    assert found == ["mine", "both", str(tmp_path / "workflow/examples"), "nowhere", too_long, str(tmp_path)]


def test_a_folder_of_modules_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file.py").touch()
    here, missing, file = str(tmp_path), str(tmp_path / "mnie"), str(tmp_path / "file.py")
    too_long = 300 * "n"
    runs = [here, {"folder": here, "python_path": [file, too_long]}, {"folder": here, "python_path": ["{folder}"]}]
    config = resolve({"runs": runs, "python_path": [here, missing]}, SCHEMA, "mine.yaml")
    with pytest.raises(ConfigError) as refused:
        check_python_path(config, "mine.yaml")
    assert str(refused.value).splitlines() == [
        f"mine.yaml: python_path[1]: expected a folder, found nothing at {missing}",
        f"mine.yaml: runs[1].python_path[0]: expected a folder, found a file at {file}",
        f"mine.yaml: runs[1].python_path[1]: expected a folder, found nothing at {too_long}",
    ]


# --- Files of --configfile, which Snakemake would read first --------------------------------------------------------


BROKEN = {
    "tab": (b"a: 1\nb:\n\tc: 2\n", ", line 3, column 1: is not valid YAML: found character '\\t'"),
    "tag": (b"a: 1\nb: !mine 2\n", ", line 2, column 4: is not valid YAML: could not determine a constructor"),
    "empty": (b"", ": expected keys and values at the top, found nothing"),
    "scalar": (b"text\n", ": expected keys and values at the top, found a string ('text')"),
    "list": (b"- a\n", ": expected keys and values at the top, found a list (['a'])"),
    "folder": (b"pathvars: {results: 1}\n", ": pathvars.results: expected a string, found an integer (1)"),
    "folders": (b"pathvars: [results]\n", ": pathvars: expected a mapping, found a list (['results'])"),
    "two documents": (b"a: 1\n---\nb: 2\n", ", line 2, column 1: is not valid YAML: but found another document"),
}


@pytest.mark.parametrize(("content", "message"), BROKEN.values(), ids=list(BROKEN))
@pytest.mark.parametrize("arguments", [["--configfile", "FILE"], ["-n", "--configfiles", "good.yaml", "FILE", "-q"]])
def test_a_broken_configfile_is_named_with_line_and_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.yaml").write_bytes(content)
    Path("good.yaml").write_text("runs: [a]\n")
    said = configfiles.main([{"FILE": "broken.yaml"}.get(argument, argument) for argument in arguments])
    assert (said or "").startswith(f"broken.yaml{message}")
    assert configfiles.main(["--cores", "2", "--configfile", "good.yaml", "--config", "a=1"]) is None


# --- Anything else -------------------------------------------------------------------------------------------------

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1 or str()}'] * 9)}]\n" for i in range(1, 15)
)
LONG, DEEP = "x" * 300, "[" * 3_000 + "]" * 3_000
EXPERIMENT = "name: a, algo: PPO, env: CartPole-v1, total_timesteps: 1000"
ODD = {
    "not a number": ("verdict: {alpha: .nan}", "verdict.alpha: expected a finite number, found nan"),
    "infinite": ("verdict: {margin_std: .inf}", "verdict.margin_std: expected a finite number, found inf"),
    "infinite as a text": ("evaluation: {seed: 1e999}", "evaluation.seed: expected a finite number, found inf"),
    "absurd": ("runs: [{folder: runs, n_envs: 1.0e+29}]", "runs[0].n_envs: expected at most 1000000, found 1e+29"),
    "hundreds of bits": ("evaluation: {seed: 1" + "0" * 99 + "}", "expected an integer of at most 63 bits"),
    "thousands of digits": ("evaluation: {seed: 1" + "0" * 9_999 + "}", "is not valid YAML: Exceeds the limit"),
    "hexadecimal": ("evaluation: {seed: 0x" + "f" * 5_000 + "}", "found one of 20,000 bits"),
    "environments": (f"experiments: [{{{EXPERIMENT}, n_envs: [100000000000]}}]", "n_envs[0]: expected at most 10000"),
    "names": (f"experiments: [{{{EXPERIMENT.replace('a,', LONG + ',', 1)}}}]", "name: expected at most 150 characters"),
    "folders": ("runs: [" + "x" * 5_000 + "]", "expected at most 4,096 characters, found 5,000"),
    "packages": (f"trust: [{LONG}]", "trust[0]: expected at most 200 characters, found 300"),
    "a set": (
        "trust: !!set {a, b}",
        "trust: expected a text, a number, true or false, a list or a mapping, found a set",
    ),
    "bytes": ("trust: !!binary aGk=", "found a bytes"),
    "pairs": ("trust: !!pairs [a: 1]", "trust[0]: expected a text"),
    "keys that are numbers": ("1: a", "expected texts as keys, found 1"),
    "keys that are nothing": ("~: a", "expected texts as keys, found a NoneType"),
    "half a character": ('trust: ["\\uD800"]', "trust[0]: expected text, found the character \\ud800"),
    "NUL": ('trust: ["\\0"]', "trust[0]: expected text, found the character \\x00"),
    "NUL in a key": ('"a\\0": 1', "the key 'a\\x00' in the configuration: expected text"),
    "levels": (f"trust: {DEEP}", "expected at most 50 levels of lists and mappings, found hundreds"),
    "some levels": (f"trust: {'[' * 60}{']' * 60}", "expected at most 50 levels of lists and mappings, found more"),
    "aliases": (BOMB, "expected at most 500,000 values"),
    "itself": ("trust: &a [*a]", "expected at most 50 levels"),
    "dates": ("only: [2024-99-99]", "is not valid YAML: month must be in 1..12"),
    "UTF-16": ("trust: [a]".encode("utf-16"), "is not UTF-8 text: invalid start byte at byte 0; it looks like UTF-16"),
    "models": (
        f"experiments: [{{{EXPERIMENT}, seeds: [{', '.join(map(str, range(2_000)))}], "
        f"n_envs: [{', '.join(map(str, range(1, 1_001)))}]}}]",
        "expected at most 1,000,000 models in all, of all seeds and n_envs, found 2,000,000",
    ),
}


@pytest.mark.parametrize(("content", "message"), ODD.values(), ids=list(ODD))
def test_what_no_configuration_holds_is_refused_in_one_clear_message(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    (tmp_path / "mine.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as raised:
        resolved(read_yaml(tmp_path / "mine.yaml"))
    assert message in str(raised.value)
    assert len(str(raised.value)) < 10_000
    assert str(raised.value).isprintable() or "\n" in str(raised.value)


def unbounded(schema: dict[str, Any], where: str = "") -> list[str]:
    """Where a schema allows a number, a text, a list or a mapping of any size."""
    needed = {
        "integer": ({"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}),
        "number": ({"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}),
        "string": ({"maxLength", "enum"},),
        "array": ({"maxItems"},),
        "object": ({"maxProperties", "properties"},),
    }
    kinds = schema.get("type", [])
    found = [
        f"{where}: {kind}"
        for kind in ([kinds] if isinstance(kinds, str) else kinds)
        if any(not any_of & schema.keys() for any_of in needed.get(kind, ()))
    ]
    for key, inner in schema.items():
        for part, content in enumerate(inner if isinstance(inner, list) else [inner]):
            if isinstance(content, dict):
                found += unbounded(content, f"{where}.{key}{f'[{part}]' if isinstance(inner, list) else ''}")
    return found


@pytest.mark.parametrize("name", ["config", "models", "claims"])
def test_every_key_is_bounded(name: str) -> None:
    assert unbounded(read_yaml(ROOT / f"workflow/schemas/{name}.schema.yaml")) == []


_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=()))
_ANYTHING = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


@given(st.dictionaries(st.sampled_from(sorted(SCHEMA["properties"])) | st.text(), _ANYTHING, max_size=3))
def test_any_configuration_is_resolved_or_refused(written: dict[str, Any]) -> None:
    with contextlib.suppress(ConfigError):
        resolved(written)


@given(st.sampled_from(sorted(SCHEMA["$defs"]["experiment"]["properties"])), _ANYTHING)
def test_any_experiment_is_resolved_or_refused(key: str, value: Any) -> None:
    with contextlib.suppress(ConfigError):
        trained_models(resolved(config(experiment(**{key: value}))))


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
