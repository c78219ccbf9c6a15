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
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reload_audit.reading import limits
from reload_audit.reading.evaluations import read_evaluations
from reload_audit.reading.files import open_zip, read_bytes, read_member
from reload_audit.reading.model_zip import SavedModel
from reload_audit.reading.plain_values import read_json
from reload_audit.reading.refusal import Unreadable, refusing
from reload_audit.reading.yaml_text import front_matter
from reload_audit.records.specs import Claim, ClaimKind, ExternalSpec

_TAIL_EPISODES = 100  # SB3's ep_info_buffer holds as many

_NEIGHBOURS = 10
"""Evaluations that a trend is made of, at most."""

_FEWEST_NEIGHBOURS = 5

_LOGGED_EPISODES = 5
"""Episodes of an evaluation of which a logger wrote the mean alone: the default of EvalCallback."""

_MEAN_AND_STD = re.compile(r"^\s*(?P<mean>[-+0-9.eE]+)\s*(?:\+/-|±)\s*(?P<std>[0-9.eE+-]+)\s*$")


def find_claims(spec: ExternalSpec, saved: SavedModel) -> tuple[list[Claim], list[str]]:
    """All that is said of what a model earned, and remarks on files that cannot be read.

    :param saved: the model's own zip, which holds its last training episodes
    """
    claims = [*([] if spec.claim is None else [spec.claim]), *spec.claims]
    remarks = []
    steps = saved.settings.get("num_timesteps")
    searches: list[tuple[str | None, Callable[[str], Sequence[Claim | None]]]] = [
        (spec.evaluations, lambda path: _from_evaluations(path, steps, spec.role)),
        (spec.results, lambda path: [_results_json(path)]),
        (spec.model_card, lambda path: [_model_card(path)]),
        (spec.path, lambda path: [_training_episodes(path, saved)]),
    ]
    for path, search in searches:
        if path is not None:
            try:
                with refusing("damaged"):
                    claims += filter(None, search(path))
            except Unreadable as problem:
                remarks.append(f"no claim from {path}: {problem}")
    if spec.role == "final" and not any(claim.kind == "training" for claim in claims):
        try:
            with refusing("damaged"):
                claims += filter(None, [_monitor_tail(spec.monitors)])
        except Unreadable as problem:
            remarks.append(f"no claim from the monitor files: {problem}")
    return claims, remarks


def _from_evaluations(path: str, steps: Any, role: str) -> list[Claim | None]:
    """What evaluations in training say of a model that was saved after so many steps."""
    arrays = evaluations_in(path)
    timesteps = np.asarray(arrays["timesteps"], dtype=np.float64)
    results = np.asarray(arrays["results"], dtype=np.float64).reshape(len(timesteps), -1)
    if type(steps) is not int or not results.size:
        return []
    own = np.flatnonzero(timesteps == steps)
    means = results.mean(axis=1)
    highest = len(own) > 0 and len(means) > 1 and bool(means[own[-1]] >= means.max())
    chosen = len(own) > 0 and (role == "best" or (role != "final" and highest))
    claims = [_evaluation_at(path, steps, role, chosen, results[own[-1]])] if len(own) else []
    if not len(own) and role == "final":
        claims = [_last_evaluation(path, steps, timesteps, results)]
    if not path.endswith(".npz"):
        claims = [replace(claim, std=None, n=_LOGGED_EPISODES) for claim in claims if claim is not None]
    if chosen or role == "final":  # a checkpoint's own evaluation says more
        others = np.abs(means) < limits.LARGEST_REWARD
        if chosen:
            others &= timesteps != steps
        claims.append(trend(path, steps, timesteps[others], means[others]))
    return claims


def _evaluation_at(path: str, steps: int, role: str, chosen: bool, rewards: np.ndarray) -> Claim | None:
    """The evaluation that was made at exactly this number of steps.

    It was measured in the middle of ``learn``. A best model and a checkpoint are saved at that moment, but after the
    last one SB3 updates the policy once more before a final model is saved: its row is about other weights. And the
    highest row of all may be the one for which this model was chosen.
    """
    kind: ClaimKind = "last_evaluation" if role == "final" else "best" if chosen else "evaluations"
    return _claim(kind, rewards, f"{path}, row at {steps:,} steps")


def _last_evaluation(path: str, steps: int, timesteps: np.ndarray, results: np.ndarray) -> Claim | None:
    """The last evaluation of a run whose training ended before the next one was due; None where it did not."""
    order = np.argsort(timesteps, kind="stable")
    last = float(timesteps[order[-1]])
    interval = last - float(timesteps[order[-2]]) if len(order) > 1 else last
    if not last < steps <= last + interval:
        return None
    return _claim("last_evaluation", results[order[-1]], f"{path}, last row, at {int(last):,} of {steps:,} steps")


def trend(path: str, steps: int, timesteps: np.ndarray, means: np.ndarray) -> Claim | None:
    """What evaluations of a run say that a model earns which is none of them: their trend at its number of steps.

    A best model, and a checkpoint whose evaluation is the highest of all, were lucky, too, in the evaluation for which
    they were chosen; a final model was updated once more after the last. The trend is a straight line through the mean
    rewards of the ten evaluations that are nearest in steps (least squares), no further than to the best and worst of
    them: rewards have limits that a line does not know. Its standard error is that of one more evaluation, so it takes
    in how much policies differ from one evaluation to the next.

    :param timesteps: of the evaluations, shape ``(m,)``; ``means``, their mean rewards
    :return: ``std`` is the error times the square root of ``n``, which is one more than the degrees of freedom. None
        for fewer than five evaluations
    """
    nearest = np.argsort(np.abs(timesteps - steps), kind="stable")[:_NEIGHBOURS]
    if len(nearest) < _FEWEST_NEIGHBOURS or np.ptp(timesteps[nearest]) == 0:
        return None
    on_line, error = _line_at(float(steps), timesteps[nearest], means[nearest])
    mean = float(np.clip(on_line, means[nearest].min(), means[nearest].max()))
    n = len(nearest) - 1
    where = f"{path}, trend of {len(nearest)} evaluations around {steps:,} steps"
    return _checked(Claim("trend", mean, error * math.sqrt(n), n, where))


def _line_at(at: float, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The value of the line of least squares at a point, and the standard error of one more number there.

    :param x: shape ``(n,)``, of ``n`` points with at least two different ``x``; ``y`` likewise
    """
    away = x - x.mean()
    slope = float(away @ y) / float(away @ away)
    value = float(y.mean()) + slope * (at - float(x.mean()))
    rest = y - y.mean() - slope * away
    variance = float(rest @ rest) / (len(x) - 2)
    return value, math.sqrt(variance * (1.0 + 1.0 / len(x) + (at - float(x.mean())) ** 2 / float(away @ away)))


def evaluations_in(path: str) -> dict[str, np.ndarray]:
    """Evaluations as :func:`read_npz` gives them; where a logger wrote their means alone, these are the results.

    :raises Unreadable: the file is damaged or too large, or holds no evaluations
    """
    if path.endswith(".npz"):
        return read_npz(path)
    found = read_evaluations(path)
    if found is None:
        raise Unreadable("expected evaluations, found something else")
    return {"timesteps": np.asarray(found.steps), "results": np.asarray(found.means).reshape(-1, 1)}


def read_npz(path: str) -> dict[str, np.ndarray]:
    """The arrays ``timesteps``, shape ``(rows,)``, and ``results``, shape ``(rows, episodes)``, of ``evaluations.npz``.

    :raises Unreadable: the file or an array is too large, or the arrays do not fit together
    """
    arrays = {}
    with open_zip(read_bytes(path, limits.CLAIM_BYTES)) as archive:
        for name in ("timesteps", "results"):
            member = archive.getinfo(f"{name}.npy")
            if member.file_size > limits.CLAIM_BYTES:
                raise Unreadable(f"{name} of more than {limits.CLAIM_BYTES:,} bytes")
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
    text = read_bytes(path, limits.CLAIM_BYTES).decode("utf-8", "replace")
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
        text = read_bytes(path, limits.CLAIM_BYTES).decode("utf-8", "replace")
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
    if not abs(claim.mean) < limits.LARGEST_REWARD or not 0.0 <= (claim.std or 0.0) < limits.LARGEST_REWARD:
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
    if not 1 <= number < limits.LARGEST_COUNT:
        raise Unreadable(f"expected a number of episodes, found {number:.3g}")
    return int(number)
