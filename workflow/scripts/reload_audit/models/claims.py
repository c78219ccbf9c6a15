"""What the files around a model say that it earned: evaluations during training, model cards, training episodes.

Each claim comes with its kind, which says how far it can be believed (``judging.claims``). A file that cannot be
read gives no claim but a remark.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reload_audit.reading.files import open_zip, read_bytes, read_member
from reload_audit.reading.model_zip import SavedModel
from reload_audit.reading.plain_values import read_json
from reload_audit.reading.refusal import Unreadable, refusing
from reload_audit.reading.yaml_text import front_matter
from reload_audit.records.specs import Claim, ClaimKind, ExternalSpec

_MAX_BYTES = 2**26
_MAX_NUMBER = 2**31
_LARGEST = 1e100
_TAIL_EPISODES = 100  # SB3's ep_info_buffer holds as many

_MEAN_AND_STD = re.compile(r"^\s*(?P<mean>[-+0-9.eE]+)\s*(?:\+/-|±)\s*(?P<std>[0-9.eE+-]+)\s*$")


def find_claims(spec: ExternalSpec, saved: SavedModel) -> tuple[list[Claim], list[str]]:
    """All that is said of what a model earned, and remarks on files that cannot be read.

    :param saved: the model's own zip, which holds its last training episodes
    """
    claims = [] if spec.claim is None else [spec.claim]
    remarks = []
    steps = saved.settings.get("num_timesteps")
    searches: list[tuple[str | None, Callable[[str], Claim | None]]] = [
        (spec.evaluations, lambda path: _evaluation_at(path, steps, spec.role)),
        (spec.results, _results_json),
        (spec.model_card, _model_card),
        (spec.path, lambda path: _training_episodes(path, saved)),
    ]
    for path, search in searches:
        if path is not None:
            try:
                with refusing("damaged"):
                    claims += filter(None, [search(path)])
            except Unreadable as problem:
                remarks.append(f"no claim from {path}: {problem}")
    if spec.role == "final" and not any(claim.kind == "training" for claim in claims):
        try:
            with refusing("damaged"):
                claims += filter(None, [_monitor_tail(spec.monitors)])
        except Unreadable as problem:
            remarks.append(f"no claim from the monitor files: {problem}")
    return claims, remarks


def _evaluation_at(path: str, steps: Any, role: str) -> Claim | None:
    """The row of ``evaluations.npz`` (EvalCallback) that was measured at exactly this number of steps.

    It was measured in the middle of ``learn``. A best model and a checkpoint are saved at that moment, but after the
    last one SB3 updates the policy once more before a final model is saved: its row is about other weights. And the
    highest row of all may be the one for which this model was chosen.
    """
    arrays = read_npz(path)
    timesteps, results = arrays["timesteps"], arrays["results"]
    rows = np.flatnonzero(timesteps == steps)
    if len(rows) == 0:
        return None
    means = np.asarray(results, dtype=np.float64).reshape(len(results), -1).mean(axis=1)
    rewards = np.asarray(results[rows[-1]], dtype=np.float64).ravel()
    highest = len(means) > 1 and means[rows[-1]] >= means.max()
    kind: ClaimKind = "last_evaluation" if role == "final" else "best" if role == "best" or highest else "evaluations"
    return _claim(kind, rewards, f"{path}, row at {steps:,} steps")


def read_npz(path: str) -> dict[str, np.ndarray]:
    """The arrays ``timesteps``, shape ``(rows,)``, and ``results``, shape ``(rows, episodes)``, of ``evaluations.npz``.

    :raises Unreadable: the file or an array is too large, or the arrays do not fit together
    """
    arrays = {}
    with open_zip(read_bytes(path, _MAX_BYTES)) as archive:
        for name in ("timesteps", "results"):
            member = archive.getinfo(f"{name}.npy")
            if member.file_size > _MAX_BYTES:
                raise Unreadable(f"{name} of more than {_MAX_BYTES:,} bytes")
            arrays[name] = np.lib.format.read_array(io.BytesIO(read_member(archive, member)), allow_pickle=False)
    if arrays["timesteps"].ndim != 1 or len(arrays["timesteps"]) != len(arrays["results"]):
        raise Unreadable("expected one row of results for each entry of timesteps")
    return arrays


def _results_json(path: str) -> Claim | None:
    """``results.json`` as RL Zoo and huggingface_sb3 push it to the Hub."""
    content = read_json(path)
    n = content.get("n_eval_episodes")
    return _checked(
        Claim(
            kind="model_card",
            mean=_number(content["mean_reward"]),
            std=_number(content["std_reward"]) if "std_reward" in content else None,
            n=None if n is None else _count(n),
            where=path,
        )
    )


def _model_card(path: str) -> Claim | None:
    """The metric ``mean_reward`` in the front matter of a model card."""
    text = read_bytes(path, _MAX_BYTES).decode("utf-8", "replace")
    for index in (front_matter(text) or {}).get("model-index") or []:
        for result in index.get("results") or []:
            for metric in result.get("metrics") or []:
                if metric.get("type") == "mean_reward":
                    found = _MEAN_AND_STD.match(str(metric["value"]))
                    mean, std = (
                        (float(found["mean"]), float(found["std"])) if found else (_number(metric["value"]), None)
                    )
                    return _checked(Claim("model_card", mean, std, None, path))
    return None


def _training_episodes(path: str, saved: SavedModel) -> Claim | None:
    """The last training episodes, exploration and all, that SB3 keeps in the zip."""
    episodes = saved.value("ep_info_buffer") or []
    return _claim("training", [float(episode["r"]) for episode in episodes], f"{path}, ep_info_buffer")


def _monitor_tail(paths: Sequence[str]) -> Claim | None:
    """The last training episodes in the run's monitor files, by their time of ending."""
    episodes: list[tuple[float, float]] = []
    for path in paths:
        text = read_bytes(path, _MAX_BYTES).decode("utf-8", "replace")
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        header = json.loads(text.splitlines()[0].lstrip("#")) if text.startswith("#") else {}
        start = float(header.get("t_start", 0.0))
        episodes += [(start + float(row["t"]), float(row["r"])) for row in csv.DictReader(lines)]
    rewards = [reward for _, reward in sorted(episodes)[-_TAIL_EPISODES:]]
    where = str(Path(paths[0]).parent / "*.monitor.csv") if paths else ""
    return _claim("training", rewards, where)


def _claim(kind: ClaimKind, rewards: Any, where: str) -> Claim | None:
    values = np.asarray(rewards, dtype=np.float64)
    if values.size == 0:
        return None
    return _checked(Claim(kind, float(values.mean()), float(values.std()), int(values.size), where))


def _checked(claim: Claim) -> Claim:
    if not abs(claim.mean) < _LARGEST or not 0.0 <= (claim.std or 0.0) < _LARGEST:
        raise Unreadable(f"expected finite rewards, found {claim.mean} ± {claim.std}")
    return claim


def _number(value: Any) -> float:
    """A number from a file; an integer that is larger than any float is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _count(value: Any) -> int:
    """A number of episodes from a file."""
    number = _number(value)
    if not 1 <= number < _MAX_NUMBER:
        raise Unreadable(f"expected a number of episodes, found {number:.3g}")
    return int(number)
