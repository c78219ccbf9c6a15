"""Every cause has a page, and a fix that can be pasted and works as it is printed."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
import textwrap
from dataclasses import replace
from typing import Any, get_args

import gymnasium as gym
import jsonschema
import numpy as np
import pytest
import sb3_contrib
import stable_baselines3
import yaml

from reload_audit.causes.catalogue import CAUSES, UNEXPLAINED, Cause
from reload_audit.causes.fixes import ANY_MODEL, ModelToFix, Source, written_fix
from support.builders import ROOT, SCHEMA

PAGES = ROOT / "docs/causes"
HEADINGS = ["Symptom", "Mechanism", "How the audit proves it", "Fix"]

every_cause = pytest.mark.parametrize("name", CAUSES)
every_fix = pytest.mark.parametrize(
    ("name", "circumstance"), [(name, circumstance) for name, cause in CAUSES.items() for circumstance in cause.fix]
)


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
    shown = page(name).partition("## Fix\n")[2]
    assert re.findall(rf"^```{cause.language}\n(.*?)^```$", shown, re.MULTILINE | re.DOTALL) == [
        *cause.fixes().values()
    ]


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


@every_fix
def test_a_fix_is_short_complete_without_details_and_says_first_what_it_is_for(name, circumstance):
    fix = CAUSES[name].fixes()[circumstance]
    assert "$" not in fix
    assert fix.startswith("# ")
    assert len([line for line in fix.splitlines() if line]) <= 19
    assert [line for line in fix.splitlines() if len(line) > 140] == []


@every_cause
def test_every_default_belongs_to_a_placeholder_of_the_fix(name):
    cause = CAUSES[name]
    named = {word for fix in cause.fix.values() for word in re.findall(r"\$(\w+)", fix)} - OF_EVERY_MODEL
    assert set(cause.defaults) == named | ({"attribute"} & set(cause.defaults))


OF_EVERY_MODEL = {
    *("zip", "statistics", "algo", "library", "evaluation", "env", "env_named", "env_code", "env_made", "env_import"),
    *("venv_in_order", "order_import"),
    *(
        "env_recorded",
        "migrated",
        "norm_obs_keys",
        "stack_import",
        "stacked_venv",
        "inner_import",
        "venv_made",
        "venvs_made",
        "env_alone",
        "key_argument",
        "key_yaml",
        "name_in_table",
    ),
    *("set_where", "set_where_external", "claim_where", "own_row", "new_row"),
}


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
    fix = CAUSES["survives-reset"].fix_for(ANY_MODEL, {"attribute": attribute})
    assert fix.startswith(f"# {attribute} is carried")
    assert f"    self.{name} = 0.0" in fix


def test_what_a_layer_of_the_vec_env_has_becomes_an_argument_of_that_layer():
    attribute = {"attribute": "Mirrored.factor", "name": "factor"}
    fix = CAUSES["curriculum"].fix_for(ANY_MODEL, {**attribute, "set_on_vec_env": "Mirrored.factor"})
    assert "vec_wrappers" in fix
    assert "make_vec_env" not in fix
    assert "make_vec_env" in CAUSES["curriculum"].fix_for(ANY_MODEL, attribute)


def test_a_detail_of_unknown_value_is_ignored():
    cause = CAUSES["clock"]
    assert cause.fix_for(ANY_MODEL, {"where": None, "step": 3}) == cause.fix_for(ANY_MODEL, {})


def test_a_fix_says_where_stable_baselines3_itself_cannot_load_what_it_loads():
    model = ModelToFix("hub", plain_load_error="ModuleNotFoundError: No module named 'gym'")
    said = "# SB3's own load does not work with these files: ModuleNotFoundError: No module named 'gym'\n"
    assert said in CAUSES["best-of-k"].fix_for(model, {})
    assert said in CAUSES["statistics-swapped"].fix_for(model, {})
    assert said not in CAUSES["policy-mode"].fix_for(model, {})
    assert said not in CAUSES["best-of-k"].fix_for(ANY_MODEL, {})


def test_a_migration_is_printed_as_keys_of_the_configuration():
    model = ModelToFix("zoo", group="agents", env="Ant-v4", env_named="Ant-v3", env_kwargs={"healthy_reward": 2})
    fix = CAUSES["env-version"].fix_for
    inserted = fix(model, {"migration": "84 zeros in place of contact forces"})
    assert (
        '`wrappers: [{"reload_audit.insert_zeros": {"at": [[27, 111]]}}]`, under `runs`, for the folder agents'
        in inserted
    )
    observed = fix(model, {"migration": "contact forces observed and paid for"})
    assert '`env_kwargs: {"healthy_reward": 2, "use_contact_forces": true}`, under' in observed
    assert fix(model, {"migration": "another one"}) == fix(model, {})
    registered = replace(model, env="ants:Ant-v4")
    assert "`wrappers: [" in fix(registered, {"migration": "84 zeros in place of contact forces"})


HOSTILE = 'x"); import os  # \n__import__("os").system("id")\\'


HOSTILE_DETAILS = dict.fromkeys(("file", "where", "attribute", "generator", "dtype", "wrappers", "key"), HOSTILE)
TEXTS = ("name", "group", "zip", "statistics", "plain_load_error", "env_named")


@every_fix
def test_nothing_that_a_file_says_can_change_the_code_of_a_fix(name, circumstance):
    cause = CAUSES[name]
    texts = {"otherwise": cause.fix[circumstance]}
    for source in get_args(Source):
        harmless = ModelToFix(source, plain_load_error="KeyError")
        hostile = replace(harmless, algo=HOSTILE, env=HOSTILE, **dict.fromkeys(TEXTS, HOSTILE))
        expected = written_fix(texts, harmless, {"key": "position"}, cause.defaults)
        assert shape(written_fix(texts, hostile, HOSTILE_DETAILS, cause.defaults), cause) == shape(expected, cause)


@pytest.mark.parametrize(
    "said",
    [
        {"env": 'Robot-v0"; import os'},
        {"env": "Robot-v0\n"},
        {"env": "robot:Robot()"},
        {"env": "robot import Robot\nimport os:Robot"},
        {"algo": "PPO.load; os"},
        {"wrappers": [("robots.Wrapper(); os", {})]},
        {"wrappers": [("Wrapper", {})]},
    ],
)
def test_a_fix_names_no_environment_wrapper_or_algorithm_that_is_no_valid_name(said):
    for name in ("nondeterministic-environment", "best-of-k", "training-mode"):
        assert CAUSES[name].fix_for(ModelToFix(**said), {}) == CAUSES[name].fix_for(ANY_MODEL, {})


def test_a_fix_has_the_stack_of_the_model_in_its_order():
    stack = ("VecFrameStack", {"n_stack": 4})
    around = ModelToFix(env="Hopper-v5", vec_wrappers=[("mine.Mirrored", {"scale": 2}), stack, ("VecNormalize", {})])
    text = CAUSES["training-mode"].fix_for(around, {})
    inside = 'VecFrameStack(Mirrored(make_vec_env("Hopper-v5", n_envs=8), scale=2), n_stack=4)'
    assert f'VecNormalize.load("vecnormalize.pkl", {inside})' in text
    assert "from mine import Mirrored\nfrom stable_baselines3.common.vec_env import VecFrameStack\n" in text
    assert "evaluate_policy(model, venv, n_eval_episodes=100)" in text
    usual = CAUSES["training-mode"].fix_for(ModelToFix(env="Hopper-v5", vec_wrappers=[stack]), {})
    assert "evaluate_policy(model, VecFrameStack(venv, n_stack=4), n_eval_episodes=100)" in usual
    recorded = CAUSES["training-episodes"].fix_for(around, {})
    assert (
        "vec_wrappers=[{'mine.Mirrored': {'scale': 2}}, {'VecFrameStack': {'n_stack': 4}}, 'VecNormalize']" in recorded
    )
    missing = CAUSES["statistics-missing"]
    assert "env = NormalizeAsTrained(" in missing.fix_for(ModelToFix(vec_wrappers=[("VecNormalize", {}), stack]), {})
    assert "env = NormalizeAsTrained(" not in missing.fix_for(around, {}), "it stacks no frames"


def test_a_fix_names_functions_as_code():
    masked = ModelToFix(
        env="mine:Pick", wrappers=[("sb3_contrib.common.wrappers.ActionMasker", {"action_mask_fn": "m:free"})]
    )
    text = CAUSES["training-mode"].fix_for(masked, {})
    assert "from m import free" in text
    assert "ActionMasker(env, action_mask_fn=free)" in text


def test_arguments_of_environments_and_wrappers_are_values_whatever_they_are_called():
    hostile = {HOSTILE: HOSTILE, "k": [1, None, {"a": True}]}
    fix = CAUSES["training-mode"].fix_for(ModelToFix(env_kwargs=hostile, wrappers=[("robots.W", hostile)]), {})
    calls = [node for node in ast.walk(ast.parse(fix)) if isinstance(node, ast.Call)]
    given = {node.func.id: node.keywords for node in calls if isinstance(node.func, ast.Name)}
    assert ast.literal_eval(given["W"][0].value) == hostile


def test_an_environment_is_made_from_its_id_or_from_its_class():
    def fix(env: str) -> str:
        return CAUSES["nondeterministic-environment"].fix_for(ModelToFix(env=env), {})

    assert 'check_environments_match(gym.make("Robot-v0"), ' in fix("Robot-v0")
    assert 'check_environments_match(gym.make("robots:Robot-v0"), ' in fix("robots:Robot-v0")
    of_class = fix("robots.arm:Robot")
    assert "\nfrom robots.arm import Robot\n" in of_class
    assert "check_environments_match(Robot(), Robot(), " in of_class


@pytest.mark.parametrize("library", [stable_baselines3, sb3_contrib], ids=lambda library: library.__name__)
def test_an_algorithm_is_imported_from_the_library_that_has_it(library):
    algorithms = [
        name for name in library.__all__ if inspect.isclass(getattr(library, name)) and name != "HerReplayBuffer"
    ]
    assert len(algorithms) > 5
    for algo in algorithms:
        assert f"\nfrom {library.__name__} import {algo}\n" in CAUSES["best-of-k"].fix_for(ModelToFix(algo=algo), {})


def shape(fix: str, cause: Cause) -> Any:
    """A fix without its texts and comments."""
    if cause.language == "yaml":
        return json.dumps(_without_texts(yaml.safe_load(fix)))
    tree = ast.parse(fix)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(tree)


def _without_texts(content: Any) -> Any:
    """What YAML holds, with every text empty that is not a key of the configuration."""
    if isinstance(content, dict):
        return [[key if key in SCHEMA["properties"] else "", _without_texts(value)] for key, value in content.items()]
    return "" if isinstance(content, str) else content


# --- What a fix does -----------------------------------------------------------------------------------------------


@every_fix
def test_a_fix_of_the_configuration_fits_the_configuration_s_schema(name, circumstance):
    if CAUSES[name].language == "yaml":
        fix = CAUSES[name].fixes()[circumstance]
        content = yaml.safe_load(fix)
        assert content or all(line.startswith("# ") for line in fix.splitlines())
        jsonschema.validate(content or {}, {**SCHEMA, "required": []})


def _repaired_environments() -> dict[str, str]:
    """The fixes that define methods of an environment, without what else they say."""
    fixes = {name: cause.fix_for(ANY_MODEL, {"attribute": "Field.soil"}) for name, cause in CAUSES.items()}
    return {
        name: fix.partition("\n# ... save")[0]
        for name, fix in fixes.items()
        if CAUSES[name].language == "python" and re.search(r"^def \w+\(self", fix, re.MULTILINE)
    }


@pytest.mark.parametrize(("name", "fix"), _repaired_environments().items())
def test_a_repaired_environment_s_state_depends_on_arguments_and_seed_alone(name, fix):
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
