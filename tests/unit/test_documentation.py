"""The documentation agrees with schemas, tables, configuration and pinned versions."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import yaml

from reload_audit.causes.finding import Instrument
from reload_audit.judging.criteria import OTHER_WORDS, VERDICTS, Verdict
from reload_audit.judging.judgement import Gap
from reload_audit.planning.configuration import read_yaml, resolve
from reload_audit.records.divergence import Implied
from reload_audit.records.first_look import Spared
from reload_audit.records.specs import ClaimKind, ModelRole, ModelSource, VecEnvKind
from reload_audit.results import tables
from support.builders import ROOT, SCHEMA
from support.published_layouts import CLAIMS_SCHEMA, MODELS_SCHEMA, discovered

CONFIG_README = (ROOT / "config/README.md").read_text()


def documented() -> dict[str, set[str]]:
    """The first column of each section's table."""
    sections = re.split(r"^## `(\w+)`\n", CONFIG_README, flags=re.MULTILINE)
    return {
        name: set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
        for name, text in zip(sections[1::2], sections[2::2], strict=True)
    }


def sections() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each key at the top, with the keys or columns below it."""
    below = {
        "experiments": SCHEMA["$defs"]["experiment"],
        "runs": SCHEMA["properties"]["runs"]["items"]["oneOf"][1],
        "scripts": SCHEMA["properties"]["scripts"]["items"]["oneOf"][1],
        "environments": SCHEMA["properties"]["environments"]["items"]["oneOf"][1],
        "models": MODELS_SCHEMA,
        "claims": CLAIMS_SCHEMA,
    }
    for name, schema in SCHEMA["properties"].items():
        yield name, below.get(name, schema).get("properties", {})


@pytest.mark.parametrize(("name", "keys"), list(sections()))
def test_every_key_of_the_configuration_is_documented_and_no_other(name, keys):
    assert documented()[name] == set(keys)


@pytest.mark.parametrize(("name", "keys"), list(sections()))
def test_documented_defaults_are_the_defaults(name, keys):
    for key, schema in keys.items():
        if "default" in schema and name != "pathvars":
            row = re.search(rf"^## `{name}`.*?^\| `{key}` \| `(.*?)` \|", CONFIG_README, re.MULTILINE | re.DOTALL)
            assert row is not None, key
            assert yaml.safe_load(row[1]) == schema["default"], key


def test_every_key_of_the_configuration_that_a_message_names_is_one():
    sections = {
        name: section["properties"] for name, section in SCHEMA["properties"].items() if "properties" in section
    }
    dotted = re.compile(rf"\b({'|'.join(sections)})\.([a-z_]+)\b")
    named = set()
    for file in (ROOT / "workflow/scripts/reload_audit").rglob("*.py"):
        for part in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            text = part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else ""
            if "\n" not in text and not text.startswith("manifest.json"):  # a docstring, or the keys of another file
                named |= {(*found, file.name) for found in dotted.findall(text)}
    modules = {(file.parent.name, file.stem) for file in (ROOT / "workflow/scripts").rglob("*.py")}
    named = {(section, key, file) for section, key, file in named if (section, key) not in modules and key != "py"}
    assert len(named) > 3
    assert {(section, key, file) for section, key, file in named if key not in sections[section]} == set()


def test_the_default_configuration_is_valid_and_has_at_least_18_models():
    config = resolve(read_yaml(ROOT / "config/config.yaml"), SCHEMA, "config/config.yaml")
    assert sum(len(one["seeds"]) * len(one["n_envs"]) for one in config["experiments"]) >= 18


def test_settings_of_a_folder_mean_the_same_as_those_of_an_experiment():
    experiment = SCHEMA["$defs"]["experiment"]["properties"]
    for schema in (SCHEMA["properties"]["runs"]["items"]["oneOf"][1], MODELS_SCHEMA):
        for key in ("algo", "env", "env_kwargs", "wrappers", "device"):
            meaning = {word: schema["properties"][key].get(word) for word in ("type", "enum", "pattern", "items")}
            assert meaning == {word: experiment[key].get(word) for word in meaning}, key


def test_the_example_table_of_models_is_a_valid_table():
    example = (ROOT / "config/models.tsv").read_text()
    assert discovered(models=str(ROOT / "config/models.tsv")) == []
    filled = [line.removeprefix("# ") for line in example.splitlines() if "\t" in line]
    assert {len(line.split("\t")) for line in filled} == {9}


def test_the_schema_of_audit_json_has_exactly_the_columns_of_the_tables():
    schema = read_yaml(ROOT / "workflow/schemas/audit.schema.json")["$defs"]
    assert set(schema["model"]["properties"]) == {
        *tables.MODELS.names,
        *("claims", "conditions", "causes", "ruled_out", "not_excluded", "first_divergence", "probe"),
    }
    assert set(schema["condition"]["properties"]) == set(tables.CONDITIONS.names)


@pytest.mark.parametrize(
    ("part", "column", "words"),
    [
        ("model", "verdict", get_args(Verdict)),
        ("model", "gap", get_args(Gap)),
        ("model", "source", ("trained", *get_args(ModelSource))),
        ("model", "role", get_args(ModelRole)),
        ("model", "claim_kind", ("in_place", "reference", *get_args(ClaimKind), None)),
        ("claim", "kind", get_args(ClaimKind)),
        ("condition", "vec_env", get_args(VecEnvKind)),
        ("condition", "spared", get_args(Spared)),
        ("divergence", "implies", (*get_args(Implied), None)),
        ("finding", "instrument", get_args(Instrument)),
    ],
)
def test_the_schema_of_audit_json_allows_exactly_the_words_that_the_code_has(part, column, words):
    schema = read_yaml(ROOT / "workflow/schemas/audit.schema.json")["$defs"]
    assert set(schema[part]["properties"][column]["enum"]) == set(words)


def test_the_readme_says_what_every_verdict_means_the_best_first():
    table = (ROOT / "README.md").read_text().partition("| verdict | meaning |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(VERDICTS)


def test_the_gate_can_fail_on_every_verdict_and_on_what_else_the_configuration_names():
    schema = read_yaml(ROOT / "workflow/schemas/config.schema.yaml")["properties"]["gate"]["properties"]["fail_on"]
    assert schema["items"]["enum"] == [*VERDICTS, *OTHER_WORDS]


def test_environment_yml_installs_what_the_tests_ran_with():
    environment = read_yaml(ROOT / "environment.yml")
    assert environment["dependencies"][-1] == {"pip": ["-r requirements.txt"]}


def test_requirements_are_pinned_to_exact_versions():
    for file in ("requirements.txt", "requirements-dev.txt", "requirements-extras.txt", "tests/rl_zoo.txt"):
        lines = [line for line in (ROOT / file).read_text().splitlines() if line and line[0] not in "#-"]
        assert [line for line in lines if "==" not in line] == []


PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "config/README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_links_to_is_there(page):
    links = re.findall(r"\]\(((?!https?:)[^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_pages_name_wildcards_that_rules_have():
    """In a profile Snakemake evaluates what names them, and fails where they are others."""
    rules = "".join(file.read_text() for file in (ROOT / "workflow/rules").glob("*.smk"))
    named = {name for page in PAGES for name in re.findall(r"\bwildcards\.(\w+)", page.read_text())}
    assert named <= {*re.findall(r"\{(\w+)\}\.json", rules)}
    assert named


def test_the_number_of_causes_is_said_in_round_figures():
    number = len(list((ROOT / "docs/causes").glob("*.md"))) - 1
    assert 55 <= number < 70, "README.md and docs/measuring.md say 'some sixty'"


def test_the_readme_is_short_and_shows_a_picture():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    assert "](docs/images/report.png)" in text


def test_the_index_of_docs_has_every_page():
    index = (ROOT / "docs/README.md").read_text()
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert [page for page in sorted(pages) if f"]({page})" not in index] == []
