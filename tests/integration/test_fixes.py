"""A printed fix is followed, for every cause and every kind of source: it runs, and all that it names is there."""

from __future__ import annotations

import itertools
import pickle
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import planted
import pytest
import torch
from sb3_contrib import MaskablePPO, RecurrentPPO
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv, VecNormalize, unwrap_vec_normalize

from reload_audit.causes.catalogue import CAUSES
from reload_audit.causes.fixes import Source
from reload_audit.environments.build import build_vec_env
from reload_audit.planning.configuration import ConfigError
from reload_audit.processes.imports import ImportProblem
from reload_audit.remedies.statistics_file import statistics_of
from support.following_fixes import follow
from support.one_of_each_source import SOURCES, Audited, one_of_each_source

DETAILS: dict[str, dict[str, Any]] = {
    "curriculum": {"attribute": "Field.soil"},
    "env-kwargs": {"env_kwargs": {"soil": 7}},
    "action-space-rescaled": {"low": -1.0, "high": [0.5]},
    "time-limit": {"max_episode_steps": 50},
    "observation-dtype": {"dtype": "float32", "low": 0.0, "high": 1.0},
    "policy-mode": {"deterministic": False},
    "frame-stack-missing": {"k": 3},
}

OF_PENDULUM = {"curriculum": {"attribute": "g"}, "env-kwargs": {"env_kwargs": {"g": 9.5}}}

OF_CLAIMS = {name for name, cause in CAUSES.items() if cause.obstacle} | {"claim-of-another-model", "env-version"}
"""Causes that are about what others say: of a model that is trained here, the audit measures and knows it."""

OF_BOXES = {"frame-stack-missing"}
"""Causes that a model cannot have whose observations are a dictionary with parts that are no boxes."""

WITH_DICTIONARIES = ("trained", "folder")


def _rendered() -> Iterator[tuple[str, Source, bool]]:
    for (name, cause), source in itertools.product(CAUSES.items(), SOURCES):
        of_claims, of_boxes = (
            source == "trained" and name in OF_CLAIMS,
            source in WITH_DICTIONARIES and name in OF_BOXES,
        )
        if not (of_claims or of_boxes):
            yield from ((name, source, False), (name, source, True))[: 1 + ("with file" in cause.fix)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[Source, Audited]]]:
    """A folder with a model of every kind, and what is known of each."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")
    registered = {*gym.registry}
    yield folder, one_of_each_source(folder)
    for name in {*gym.registry} - registered:
        del gym.registry[name]


@pytest.fixture
def audited(made, request, tmp_path, monkeypatch) -> Audited:
    """The model of one source, in a copy of the folder, which is the working directory."""
    folder, models = made
    shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("audit"))
    monkeypatch.chdir(tmp_path / "copy")
    return models[request.getfixturevalue("source")]


def script_names(audited: Audited) -> dict[str, Any]:
    """The variables of a script into which a fix is pasted; it has imported nothing that the fix needs."""
    venv, eval_venv = _normalized(audited), _normalized(audited)
    eval_venv.set_attr("training", False)
    observation = venv.reset()
    model = PPO.load(audited.model.zip, env=venv)
    actions, _ = model.predict(observation, deterministic=True)
    return {
        "model": model,
        "venv": venv,
        "eval_venv": eval_venv,
        "observation": observation,
        "observations": observation,
        "actions_in_training": actions,
    }


def _normalized(audited: Audited) -> VecEnv:
    """The environments that a model was trained in, with its statistics."""
    return build_vec_env(
        audited.environment, 2, seed=0, normalizer=lambda venv: VecNormalize.load(audited.model.statistics, venv)
    )


def _masked() -> dict[str, Any]:
    venv = make_vec_env(planted.Masked, n_envs=2)
    return {"venv": venv, "model": MaskablePPO("MlpPolicy", venv, n_steps=32), "observation": venv.reset()}


def _recurrent() -> dict[str, Any]:
    venv = make_vec_env(planted.Draws, n_envs=2)
    return {"venv": venv, "model": RecurrentPPO("MlpLstmPolicy", venv, n_steps=32)}


OTHER_POLICIES = {"action-masks-missing": _masked, "recurrent-state-dropped": _recurrent}


def _have_changed_places(audited: Audited, made: dict[str, Any]) -> bool:
    """Whether the model's file has means where it had variances."""
    before = unwrap_vec_normalize(made["eval_venv"]).obs_rms
    now = pickle.loads(Path(audited.model.statistics).read_bytes()).obs_rms
    pairs = [(now[key], before[key]) for key in now] if isinstance(now, dict) else [(now, before)]
    return all(np.array_equal(one.mean, other.var) for one, other in pairs)


def _stand_still(audited: Audited, made: dict[str, Any]) -> bool:
    """Whether statistics are frozen, and those that were estimated normalise what the model's own do."""
    if Path("statistics.pkl").exists():
        estimated, own = (statistics_of(file) for file in ("statistics.pkl", audited.model.statistics))
        assert estimated.observations.keys() == own.observations.keys()
        assert all(moments.count > 10 for moments in estimated.observations.values())
    return not (made["venv"].training or made["venv"].norm_reward)


def _observed(env: gym.Env) -> gym.Space:
    """What an environment observes, of a dictionary the part that is numbers."""
    space = env.observation_space
    return space["position"] if isinstance(space, gym.spaces.Dict) else space


def _given(audited: Audited, made: dict[str, Any]) -> bool:
    """Whether the environments were built with the arguments that were saved."""
    return all(made["venv"].get_attr(name) == [value] for name, value in made["env_kwargs"].items())


EFFECTS: dict[str, Callable[[Audited, dict[str, Any]], bool]] = {
    "curriculum": lambda audited, made: set(made["venv"].get_attr(next(iter(made["env_kwargs"])))) == {0},
    "env-kwargs": _given,
    "time-limit": lambda audited, made: made["venv"].get_attr("_max_episode_steps") == [50],
    "action-space-rescaled": lambda audited, made: made["env"].action_space == gym.spaces.Box(-1.0, 0.5, (1,)),
    "frame-stack-missing": lambda audited, made: made["venv"].observation_space.shape == (9,),
    "observation-dtype": lambda audited, made: _observed(made["env"]).high.max() == 1.0,
    "statistics-missing": _stand_still,
    "statistics-of-another-checkpoint": lambda audited, made: (
        _stand_still(audited, made) and Path("best/vecnormalize.pkl").exists()
    ),
    "statistics-of-another-agent": _stand_still,
    "statistics-updated-since": _stand_still,
    "statistics-swapped": _have_changed_places,
    "training-episodes": lambda audited, made: Path("models/robot/manifest.json").exists(),
    "short-episode-bias": lambda audited, made: np.isfinite(made["mean_reward"]),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "source", "with_file"), list(_rendered()))
def test_a_fix_can_be_followed_for_every_kind_of_source(name, source, with_file, audited):
    cause, names = CAUSES[name], script_names(audited) | OTHER_POLICIES.get(name, dict)()
    if name == "statistics-missing":
        names["model"] = PPO.load(audited.model.zip)  # what is lost must be estimated
    details = dict(DETAILS.get(name, {}))
    if audited.model.env == "Pendulum-v1":
        details = OF_PENDULUM.get(name, details)
    if name == "observation-dtype" and source in WITH_DICTIONARIES:
        details["key"] = "position"
    if with_file:
        shutil.copy(audited.model.statistics, "other.pkl")
        details["file"] = "other.pkl"
    fix = cause.fix_for(audited.model, details)
    if name == "curriculum":
        fix = fix[fix.find("# ... save") :]
    if re.search(r"^def \w+\(self", fix, re.MULTILINE):
        compile(fix, name, "exec")
        fix = "\n".join(line for line in fix.splitlines() if line.startswith("#"))
    follow(fix, cause.language, names, audited)
    assert EFFECTS.get(name, lambda audited, names: True)(audited, names)


PLANTED = {
    "a file that is not there": 'from stable_baselines3 import PPO\nmodel = PPO.load("best_model.zip")',
    "a file that is not there, in a text": 'file = "rl_model_vecnormalize_10000_steps.pkl"',
    "a removed environment": "# Say it:\nimport gymnasium as gym\nenv = gym.make('Hopper-v3')",
    "a removed environment, in a comment": "# Tell the audit to run Pendulum-v0.",
    "a function that is not there": "from reload_audit import repair_everything",
    "an unknown key": "# Tell the audit `frame_stacks: 4`, under `runs`.",
    "a key of experiments": "# Tell the audit `seeds: [1]`, under `runs`.",
    "a key without a value that does not apply": "# More of them: `experiments`.",
    "a key that is not there": "# More of them: `verdict.margin_share`.",
    "a key that is not followed": "# Tell the audit frame_stack: 4.",
    "a wrapper that is not there": "# Tell the audit `wrappers: [reload_audit.repaired]`, under `runs`.",
    "a table without the model's file": '# Tell the audit:\n#   name,algo,env,model\n#   "orchard_final",,,"model.zip"',
    "settings of training": "evaluation: {episodes: 1280}",
    "an unknown section": "judging: {looks: [20]}",
    "an unknown setting": "verdict: {look: [20]}",
    "claims that nobody wrote": "claims: claims.tsv",
}


@pytest.mark.slow
@pytest.mark.parametrize("source", ["folder"])
@pytest.mark.parametrize("what", PLANTED)
def test_a_fix_that_names_what_is_not_there_cannot_be_followed(what, source, audited):
    language = "yaml" if re.match(r"\w+: ", PLANTED[what]) else "python"
    with pytest.raises((AssertionError, OSError, ImportError, ConfigError, ImportProblem)):
        follow(PLANTED[what], language, script_names(audited), audited)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["trained"])
@pytest.mark.parametrize("fix", ["# Tell the audit `deterministic: false`.", "# A package stands under `trust`."])
def test_a_fix_for_models_of_others_cannot_be_followed_for_one_that_is_trained(fix, source, audited):
    with pytest.raises((AssertionError, ConfigError)):
        follow(fix, "python", script_names(audited), audited)
