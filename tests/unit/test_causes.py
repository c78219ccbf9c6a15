"""Every cause has a page, and a fix that can be pasted and works as it is printed."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import textwrap
from typing import Any

import gymnasium as gym
import jsonschema
import numpy as np
import pytest
import sb3_contrib
import stable_baselines3
import yaml

from reload_audit.causes.catalogue import CAUSES, UNEXPLAINED, Cause
from support.builders import ROOT, SCHEMA

PAGES = ROOT / "docs/causes"
HEADINGS = ["Symptom", "Mechanism", "How the audit proves it", "Fix"]

every_cause = pytest.mark.parametrize("name", CAUSES)


def page(name: str) -> str:
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


# --- Pages ---------------------------------------------------------------------------------------------------------


def test_every_cause_has_a_page_and_every_page_a_cause():
    assert {file.stem for file in PAGES.glob("*.md")} - {"README"} == set(CAUSES)
    assert UNEXPLAINED in CAUSES


@every_cause
def test_a_page_begins_with_the_explanation_and_has_its_four_parts(name):
    text = page(name)
    assert text.startswith(f"# {name}\n\n{CAUSES[name].explanation}\n\n## Symptom\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS
    parts = re.split(r"^## .*$", text, flags=re.MULTILINE)[1:]
    assert all(len(part.strip()) > 20 for part in parts)


@every_cause
def test_a_page_shows_the_same_fix_as_the_report(name):
    cause = CAUSES[name]
    assert page(name).endswith(f"## Fix\n\n```{cause.language}\n{cause.fix_with({})}```\n")


def test_the_table_of_causes_has_all_of_them_in_their_groups():
    table = (PAGES / "README.md").read_text(encoding="utf-8")
    sections = re.split(r"^## (.*)$", table, flags=re.MULTILINE)[1:]
    listed = [
        (group, *row)
        for group, text in zip(sections[::2], sections[1::2], strict=True)
        for row in re.findall(r"^\| \[(.*?)\]\((.*?)\.md\) \| (.*) \|$", text, re.MULTILINE)
    ]
    assert listed == [(cause.group, name, name, cause.explanation) for name, cause in CAUSES.items()]


@pytest.mark.parametrize("file", sorted(PAGES.glob("*.md")), ids=lambda file: file.name)
def test_links_lead_to_files_that_are_there_or_to_public_threads(file):
    links = re.findall(r"\]\((.*?)\)", file.read_text(encoding="utf-8"))
    within = [link for link in links if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+/issues/\d+", link)]
    assert [link for link in within if not (PAGES / link).is_file()] == []


# --- Causes --------------------------------------------------------------------------------------------------------


@every_cause
def test_an_identifier_is_in_kebab_case_and_an_explanation_is_one_sentence(name):
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name)
    assert re.fullmatch(r"[A-Z][^.?!]*(\(seed=\.\.\.\))?[^.?!]*\.", CAUSES[name].explanation)


@every_cause
def test_a_fix_is_short_complete_without_details_and_says_first_what_it_is_for(name):
    fix = CAUSES[name].fix_with({})
    assert "$" not in fix
    assert fix.startswith("# ")
    assert 3 <= len([line for line in fix.splitlines() if line]) <= 16
    assert [line for line in fix.splitlines() if len(line) > 130] == []


@every_cause
def test_every_default_belongs_to_a_placeholder_of_the_fix(name):
    cause = CAUSES[name]
    named = set(re.findall(r"\$(\w+)", cause.fix)) - AS_CODE
    assert set(cause.defaults) == named | ({"attribute"} & set(cause.defaults))


AS_CODE = {"algo", "library", "env", "env_code", "env_import", "env_made"}
"""What every fix may name, and what stands there without quotes."""


def test_the_catalogue_of_causes_imports_neither_torch_nor_gymnasium():
    heavy = (
        "import sys, reload_audit.causes.catalogue; print({'torch', 'gymnasium', 'stable_baselines3'} & {*sys.modules})"
    )
    ran = subprocess.run(
        [sys.executable, "-c", heavy], cwd=ROOT / "workflow/scripts", check=True, capture_output=True, text=True
    )
    assert ran.stdout.strip() == "set()"


# --- What a fix names ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attribute", "name"),
    [
        ("soil", "soil"),
        ("Corridor.right_doors", "right_doors"),
        ("field.weather.CACHE[3]", "CACHE"),
        ("doors['a.b']", "doors"),
    ],
)
def test_a_fix_names_the_path_to_an_attribute_and_sets_the_attribute_by_its_own_name(attribute, name):
    fix = CAUSES["survives-reset"].fix_with({"attribute": attribute})
    assert fix.startswith(f"# {attribute} is carried")
    assert f"    self.{name} = 0.0" in fix


def test_a_detail_of_unknown_value_is_ignored():
    cause = CAUSES["clock"]
    assert cause.fix_with({"where": None, "step": 3}) == cause.fix_with({})


HOSTILE = 'x"); import os  # \n__import__("os").system("id")\\'


@every_cause
def test_no_file_name_can_change_the_code_of_a_fix(name):
    cause = CAUSES[name]
    details = dict.fromkeys(("file", "where", "attribute", "generator", "dtype", "wrappers", *AS_CODE), HOSTILE)
    assert shape(cause.fix_with(details), cause) == shape(cause.fix_with({}), cause)


@pytest.mark.parametrize(
    "details",
    [
        {"env_code": '"Robot-v0"; import os'},
        {"env_code": '"Robot-v0"\n'},
        {"env_code": "Robot"},
        {"env_code": "Robot", "env_import": "from os import system"},
        {"env_code": "Robot", "env_import": "from robot import Robot\nimport os"},
        {"env_code": "Robot()", "env_import": "from robot import Robot()"},
        {"algo": "PPO.load; os"},
    ],
)
def test_a_fix_names_no_environment_or_algorithm_that_is_no_valid_name(details):
    for name in ("nondeterministic-environment", "best-of-k"):
        assert CAUSES[name].fix_with(details) == CAUSES[name].fix_with({})


def test_an_environment_is_made_from_its_id_or_from_its_class():
    fix = CAUSES["nondeterministic-environment"].fix_with
    assert 'check_environments_match(gym.make("Robot-v0"), ' in fix({"env_code": '"Robot-v0"'})
    of_class = fix({"env_code": "Robot", "env_import": "from robots.arm import Robot"})
    assert "\nfrom robots.arm import Robot\n" in of_class
    assert "check_environments_match(Robot(), Robot(), " in of_class


@pytest.mark.parametrize("library", [stable_baselines3, sb3_contrib], ids=lambda library: library.__name__)
def test_an_algorithm_is_imported_from_the_library_that_has_it(library):
    algorithms = [
        name for name in library.__all__ if inspect.isclass(getattr(library, name)) and name != "HerReplayBuffer"
    ]
    assert len(algorithms) > 5
    for algo in algorithms:
        assert f"\nfrom {library.__name__} import {algo}\n" in CAUSES["best-of-k"].fix_with({"algo": algo})


def shape(fix: str, cause: Cause) -> Any:
    """A fix without its texts and comments."""
    if cause.language == "yaml":
        return yaml.safe_load(fix)
    tree = ast.parse(fix)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(tree)


# --- What a fix does -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, cause in CAUSES.items() if cause.language == "yaml"])
def test_a_fix_of_the_configuration_fits_the_configuration_s_schema(name):
    content = yaml.safe_load(CAUSES[name].fix_with({}))
    assert content
    jsonschema.validate(content, {**SCHEMA, "required": []})


def _is_of_an_environment(name: str) -> bool:
    return re.search(r"^def \w+\(self", CAUSES[name].fix, re.MULTILINE) is not None


IN_PYTHON = [name for name, cause in CAUSES.items() if cause.language == "python"]


@pytest.mark.parametrize("name", [name for name in IN_PYTHON if _is_of_an_environment(name)])
def test_a_repaired_environment_s_state_depends_on_arguments_and_seed_alone(name):
    fix = CAUSES[name].fix_with({"attribute": "Field.soil"}).partition("\n# ... save")[0]
    imports, methods = (
        "\n".join(line for line in fix.split("\n") if line.startswith("import ") is imported)
        for imported in (True, False)
    )
    names: dict[str, Any] = {"gym": gym}
    exec(f"{imports}\nclass Repaired(gym.Env):\n{textwrap.indent(methods, '    ')}", names)  # noqa: S102
    states = []
    for _ in range(2):
        env = names["Repaired"]()
        env.soil = Seedable() if name == "seed-ignored" else getattr(env, "soil", None)
        env.reset(seed=3)
        states.append({key: str(value) for key, value in vars(env).items()})
        np.random.random()
    assert states[0] == states[1]
    assert name == "clock" or "soil" in states[0]


class Seedable:
    """A generator that has to stay, as a simulator's does."""

    def __init__(self) -> None:
        self.given: list[int] = []

    def seed(self, seed: int) -> None:
        self.given.append(seed)

    def integers(self, high: int) -> int:
        return 0

    def __repr__(self) -> str:
        return repr(self.given)
