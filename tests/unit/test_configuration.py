"""A configuration is read, and completed by the schema's defaults; files and folders that it names are there."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import configfiles
from reload_audit.planning.configuration import ConfigError, check_python_path, on_python_path, read_yaml, resolve
from support.builders import SCHEMA
from support.configurations import config, experiment, resolved


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
