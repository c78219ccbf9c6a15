"""Train and record models on a GPU, for audits elsewhere: ``python tests/device/train_on_gpu.py OUT``.

Needs stable-baselines3, sb3-contrib, gymnasium, psutil, pyyaml, jsonschema and a GPU, no network, and about three
minutes. Writes below ``OUT``:

- ``recorded/ppo``, ``recorded/sac``, ``recorded/cnn``: by ``ReferenceRecorder``, in a training script's own process;
- ``trained/ppo``: by the job that trains an experiment with ``device: cuda``;
- ``facts.json``: machine, versions, what each model earned in the environments that it was trained in, and whether
  training on this GPU goes on after a recording as if there had been none;
- ``../OUT.tar.gz``: all of it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("workflow/scripts", "examples", "tests", "tests/environments")]

import stable_baselines3  # noqa: E402
import torch as th  # noqa: E402
from pictures import SeedsPyTorch, Spot  # noqa: E402
from stable_baselines3 import PPO, SAC  # noqa: E402
from stable_baselines3.common.base_class import BaseAlgorithm  # noqa: E402
from stable_baselines3.common.callbacks import BaseCallback  # noqa: E402
from stable_baselines3.common.env_util import make_vec_env  # noqa: E402
from stable_baselines3.common.evaluation import evaluate_policy  # noqa: E402
from stable_baselines3.common.vec_env import VecNormalize  # noqa: E402

from reload_audit import ReferenceRecorder, record_reference  # noqa: E402
from reload_audit.jobs.train import train_model  # noqa: E402
from reload_audit.models.model_folder import content_digests  # noqa: E402
from reload_audit.records.specs import Limits  # noqa: E402
from support.builders import training_spec  # noqa: E402

RECORDED = {"ppo": "Pendulum-v1", "sac": "Pendulum-v1", "cnn": Spot}
"""The recorded models and their environments."""

EPISODES = 40
_PARALLEL = {"episodes": EPISODES, "n_envs": 8}
_SMALL = {"n_steps": 64, "batch_size": 64, "n_epochs": 2, "seed": 5}


class StopAfter(BaseCallback):
    """Ends training after so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def _on_training_start(self) -> None:
        self._end = time.monotonic() + self._seconds

    def _on_step(self) -> bool:
        return time.monotonic() < self._end


def ppo(device: str) -> PPO:
    venv = VecNormalize(make_vec_env("Pendulum-v1", n_envs=8, seed=1), gamma=0.9)
    tuned = {"n_steps": 256, "batch_size": 256, "n_epochs": 10, "learning_rate": 1e-3, "gamma": 0.9, "gae_lambda": 0.95}
    return PPO("MlpPolicy", venv, seed=1, device=device, use_sde=True, sde_sample_freq=4, **tuned)


def sac(device: str) -> SAC:
    return SAC("MlpPolicy", make_vec_env("Pendulum-v1", seed=2), seed=2, device=device, learning_rate=1e-3)


def cnn(device: str) -> PPO:
    small = {"features_extractor_kwargs": {"features_dim": 64}, "net_arch": [32]}
    tuned = {"n_steps": 128, "batch_size": 128, "n_epochs": 4, "learning_rate": 1e-3, "gamma": 0.0}
    return PPO("CnnPolicy", make_vec_env(Spot, n_envs=8, seed=3), seed=3, device=device, policy_kwargs=small, **tuned)


def record(name: str, make: Callable[[str], BaseAlgorithm], device: str, steps: int, seconds: float, out: Path) -> Any:
    """Train and record a model, then measure it in place with Stable-Baselines3 alone."""
    start = time.monotonic()
    model = make(device)
    recorder = ReferenceRecorder(out / "recorded" / name, env=RECORDED[name], **_PARALLEL)
    model.learn(steps, callback=[StopAfter(seconds), recorder])
    venv = model.get_env()
    if isinstance(venv, VecNormalize):
        venv.training = venv.norm_reward = False
    mean, std = evaluate_policy(model, venv, n_eval_episodes=EPISODES)
    earned = {"mean": float(mean), "std": float(std), "episodes": EPISODES}
    return {"device": str(model.device), "steps": model.num_timesteps, "seconds": time.monotonic() - start, **earned}


def goes_on_undisturbed(device: str) -> bool:
    """Whether training goes on bit for bit after a recording as without one, where environments seed PyTorch."""
    digests = []
    for recorded in (False, True):
        model = PPO("MlpPolicy", make_vec_env(SeedsPyTorch, n_envs=2, seed=5), device=device, **_SMALL)
        model.learn(256)
        if recorded:
            with tempfile.TemporaryDirectory() as scratch:
                record_reference(model, scratch, SeedsPyTorch, episodes=4, n_envs=2)
        model.learn(256, reset_num_timesteps=False)
        digests.append(content_digests(model, None))
    return digests[0] == digests[1]


def train_as_experiment(device: str, steps: int, out: Path) -> str:
    """Train as the workflow does, with ``device`` in the experiment; what went wrong, if anything did."""
    hyperparams = {"n_steps": 128, "batch_size": 256, "n_epochs": 10, "learning_rate": 1e-3}
    spec = training_spec(
        name="ppo",
        env="CartPole-v1",
        device=device,
        n_envs=[8],
        normalize=True,
        total_timesteps=steps,
        hyperparams=hyperparams,
    )
    log = out / "train.log"
    train_model(spec, out / "trained/ppo", log, code="", limits=Limits(150, 8192))
    manifest = json.loads((out / "trained/ppo/manifest.json").read_text())
    return "" if manifest["failure"] is None else f"{manifest['failure']['message']}\n{log.read_text()[-2000:]}"


def main(out: Path, device: str, share: float) -> None:
    """Train all models into ``out``.

    :param share: of the steps and seconds of a whole run
    """
    if device == "cuda" and not th.cuda.is_available():
        sys.exit("expected a GPU, found none: torch.cuda.is_available() is False; --device cpu tries this script out")
    out.mkdir(parents=True)
    name = th.cuda.get_device_name() if device == "cuda" else "CPU"
    facts: dict[str, Any] = {"device": name, "torch": th.__version__, "sb3": stable_baselines3.__version__}
    facts["undisturbed"] = goes_on_undisturbed(device)
    for model, make, steps in (("ppo", ppo, 60_000), ("sac", sac, 6_000), ("cnn", cnn, 40_000)):
        facts[model] = record(model, make, device, int(share * steps), share * 40, out)
        print(model, facts[model], flush=True)
    facts["trained"] = {"failure": train_as_experiment(device, int(share * 50_000), out)}
    print(facts, flush=True)
    (out / "facts.json").write_text(json.dumps(facts, indent=2))
    with tarfile.open(out.with_name(f"{out.name}.tar.gz"), "w:gz") as archive:
        archive.add(out, out.name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="a folder that does not exist yet")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--share", type=float, default=1.0, help="of the whole training, to try this script out")
    arguments = parser.parse_args()
    main(arguments.out.resolve(), arguments.device, arguments.share)
