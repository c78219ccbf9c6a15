"""Every cause has a page, and a fix that can be pasted and works as it is printed."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import jsonschema
import numpy as np
import planted
import pytest
import sb3_contrib
import stable_baselines3
import torch
import yaml
from gymnasium.envs.classic_control import CartPoleEnv
from sb3_contrib import MaskablePPO, RecurrentPPO
from stable_baselines3 import PPO
from stable_baselines3.common import vec_env
from stable_baselines3.common.env_util import make_vec_env

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
def test_a_page_has_the_very_fix_that_is_printed(name):
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
def test_no_default_is_for_a_detail_that_the_fix_does_not_name(name):
    cause = CAUSES[name]
    named = set(re.findall(r"\$(\w+)", cause.fix)) - AS_CODE
    assert set(cause.defaults) == named | ({"attribute"} & set(cause.defaults))


AS_CODE = {"algo", "library", "env", "env_code", "env_import", "env_made"}
"""What every fix may name, and what stands there without quotes."""


def test_naming_causes_needs_neither_torch_nor_gymnasium():
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
def test_an_attribute_is_named_as_found_and_set_by_its_own_name(attribute, name):
    fix = CAUSES["survives-reset"].fix_with({"attribute": attribute})
    assert fix.startswith(f"# {attribute} is carried")
    assert f"    self.{name} = 0.0" in fix


def test_a_detail_that_is_not_known_is_as_if_it_were_not_there():
    cause = CAUSES["clock"]
    assert cause.fix_with({"where": None, "step": 3}) == cause.fix_with({})


HOSTILE = 'x"); import os  # \n__import__("os").system("id")\\'


@every_cause
def test_whatever_a_file_is_called_a_fix_stays_the_code_that_it_is(name):
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
def test_what_does_not_look_like_an_environment_or_an_algorithm_is_not_named(details):
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
def test_a_fix_of_the_configuration_has_only_keys_and_values_that_there_are(name):
    content = yaml.safe_load(CAUSES[name].fix_with({}))
    assert content
    jsonschema.validate(content, {**SCHEMA, "required": []})


def _is_of_an_environment(name: str) -> bool:
    return re.search(r"^def \w+\(self", CAUSES[name].fix, re.MULTILINE) is not None


IN_PYTHON = [name for name, cause in CAUSES.items() if cause.language == "python"]


@pytest.mark.parametrize("name", [name for name in IN_PYTHON if _is_of_an_environment(name)])
def test_what_a_fix_of_an_environment_sets_depends_on_arguments_and_seed_alone(name):
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


class Progresses(planted.Draws):
    def __init__(self, soil: int = 0) -> None:
        self.soil = soil


ENVS: dict[str, Callable[..., gym.Env]] = {
    "CartPole-v1": CartPoleEnv,
    "Progresses-v0": Progresses,
    "Continuous-v0": planted.Continuous,
    "Masked-v0": planted.Masked,
    "Whole-v0": planted.Images,
}

IN_ENV = {
    "curriculum": "Progresses-v0",
    "env-kwargs": "Progresses-v0",
    "action-space-rescaled": "Continuous-v0",
    "observation-dtype": "Whole-v0",
}

DETAILS: dict[str, dict[str, Any]] = {
    "curriculum": {"attribute": "soil"},
    "env-kwargs": {"env_kwargs": {"soil": 7}},
    "action-space-rescaled": {"low": -1.0, "high": [0.5]},
    "time-limit": {"max_episode_steps": 50},
    "observation-dtype": {"dtype": "float32"},
    "policy-mode": {"deterministic": False},
    "statistics-missing": {"file": "saved.pkl"},
}

EFFECTS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "curriculum": lambda made: made["venv"].get_attr("soil") == [5],
    "env-kwargs": lambda made: made["venv"].get_attr("soil") == [7],
    "time-limit": lambda made: made["venv"].get_attr("_max_episode_steps") == [50],
    "action-space-rescaled": lambda made: (made["env"].action_space.low, made["env"].action_space.high) == (-1.0, 0.5),
    "frame-stack-missing": lambda made: made["venv"].observation_space.shape == (16,),
    "observation-dtype": lambda made: made["env"].observation_space.dtype == np.float32,
    "statistics-missing": lambda made: (
        not (made["venv"].training or made["venv"].norm_reward) and made["venv"].obs_rms.count > 30
    ),
    "statistics-of-another-checkpoint": lambda made: (
        Path("best/vecnormalize.pkl").exists() and len(list(Path("checkpoints").glob("*.pkl"))) == 2
    ),
    "statistics-swapped": lambda made: made["venv"].obs_rms.mean.tolist() == made["trained"].obs_rms.var.tolist(),
    "training-mode": lambda made: made["eval_venv"].obs_rms.mean.tolist() == made["trained"].obs_rms.mean.tolist(),
    "training-episodes": lambda made: Path("models/robot/manifest.json").exists(),
    "short-episode-bias": lambda made: made["mean_reward"] > 5,
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PPO, vec_env.VecNormalize]]:
    torch.set_num_threads(1)
    for name, entry_point in ENVS.items():
        if name not in gym.registry:
            gym.register(name, entry_point=entry_point)
    venv = vec_env.VecNormalize(make_vec_env("CartPole-v1", n_envs=2))
    model = PPO("MlpPolicy", venv, n_steps=32, batch_size=32, n_epochs=1, device="cpu").learn(128)
    yield model, venv
    for name in set(ENVS) - {"CartPole-v1"}:
        del gym.registry[name]


@pytest.fixture
def names(
    request: pytest.FixtureRequest, trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """What a script has at hand when a fix is pasted into it: no imports."""
    monkeypatch.chdir(tmp_path)
    model, venv = trained
    observation = venv.reset()
    for file in ("model.zip", "best_model.zip"):
        model.save(file)
    venv.save("vecnormalize.pkl")
    observations = np.zeros((3, 4), np.float32)
    available = {
        "model": PPO.load("model.zip", env=venv),
        "venv": venv,
        "trained": venv,
        "observation": observation,
        "eval_venv": vec_env.VecNormalize(make_vec_env("CartPole-v1", n_envs=2), training=False, norm_reward=False),
        "observations": observations,
        "actions_in_training": model.predict(observations, deterministic=True)[0],
    }
    return available | CIRCUMSTANCES.get(request.node.callspec.params["name"], dict)()


def _masked() -> dict[str, Any]:
    venv = make_vec_env("Masked-v0", n_envs=2)
    return {"venv": venv, "model": MaskablePPO("MlpPolicy", venv, n_steps=32), "observation": venv.reset()}


def _recurrent() -> dict[str, Any]:
    venv = make_vec_env("CartPole-v1", n_envs=2)
    return {"venv": venv, "model": RecurrentPPO("MlpLstmPolicy", venv, n_steps=32)}


CIRCUMSTANCES: dict[str, Callable[[], dict[str, Any]]] = {
    "curriculum": lambda: {"venv": make_vec_env("Progresses-v0", env_kwargs={"soil": 5})},
    "statistics-missing": lambda: {"model": PPO.load("model.zip")},
    "action-masks-missing": _masked,
    "recurrent-state-dropped": _recurrent,
}

SMALLER = {"100_000": "128", "10_000": "32", "n_eval_episodes=400": "n_eval_episodes=8", "range(1000)": "range(20)"}
SMALLER |= {"n_eval_episodes=100": "n_eval_episodes=4", "SaveStatistics())": "SaveStatistics(), eval_freq=32)"}


RUN = [name for name in IN_PYTHON if not _is_of_an_environment(name) or name == "curriculum"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "of_class"),
    [(name, of_class) for name in RUN for of_class in (False, True) if not of_class or "$env_" in CAUSES[name].fix],
)
def test_a_fix_runs_as_it_is_printed_and_brings_its_imports(name, of_class, names):
    env = IN_ENV.get(name, "CartPole-v1")
    made = ENVS[env]
    imported = {"env_code": made.__name__, "env_import": f"from {made.__module__} import {made.__name__}"}
    details = imported if of_class else {"env_code": f'"{env}"'}
    fix = CAUSES[name].fix_with({"file": "vecnormalize.pkl", **details, **DETAILS.get(name, {})})
    fix = fix[fix.find("# ... save") :] if name == "curriculum" else fix
    for written, smaller in SMALLER.items():
        fix = fix.replace(written, smaller)
    exec(fix, names)  # noqa: S102
    assert EFFECTS.get(name, lambda _: True)(names)
