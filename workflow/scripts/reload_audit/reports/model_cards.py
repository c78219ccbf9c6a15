"""Suggested corrections of model cards: a patch where the card's mean reward is shown to be wrong.

A patch says what to publish, so it is made only where it is known that the figure is what is wrong. A model that earns
less than its card says because its statistics are missing has to be repaired: its card is right.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reload_audit.causes.catalogue import CAUSES, UNEXPLAINED
from reload_audit.judging.comparison import Criteria, compare_unpaired, margin
from reload_audit.reading.files import read_bytes
from reload_audit.reading.texts import Placed, mapping, placed_front_matter
from reload_audit.reports.summary import printable

CARD, FOLDER = "README.md", "model_cards"

_USUAL_EPISODES = 10  # of evaluate_policy; a card does not say
_CONTEXT = 3
_NO_END = b"\n\\ No newline at end of file\n"
_LONGEST_NAME = 100
_LONGEST_TEXT = 300
_FIGURE_OF_SOMETHING_ELSE = (
    "reward-normalized",
    "monitor-outside-vecnormalize",
    "training-mode",
    "best-of-k",
    "short-episode-bias",
    "before-last-update",
    "training-episodes",
)
# Mistakes in measuring, but whoever earns more with one was trained with it.
_FIGURE_TOO_LOW = (
    "vecnormalize-twice",
    "normalizer-not-equivalent",
    "recurrent-state-dropped",
    "action-masks-missing",
    UNEXPLAINED,
)
_FIGURE = re.compile(
    r"(?P<mean>[-+]?[0-9]+(\.(?P<mean_digits>[0-9]+))?)"
    r"((?P<between>\s*(\+/-|±)\s*)(?P<std>[0-9]+(\.(?P<std_digits>[0-9]+))?))?"
)
_REASONS = 5


class NoPatch(Exception):
    """A card's figure is not what was measured, but no patch is made; the message says why, in a few words."""


@dataclass(frozen=True)
class Suggestion:
    """What to do about a card whose figure is not what was measured.

    :param card: path of the card
    :param old: its figure
    :param new: what was measured, written as the card writes it; empty without a patch
    :param patch: unified diff, for ``git apply`` or ``patch -p1`` beside the card; empty where none is made
    :param obstacle: why none is made
    """

    model: str
    verdict: str
    card: str
    old: str
    new: str = ""
    patch: bytes = b""
    obstacle: str = ""


def suggestions(audit: Mapping[str, Any]) -> list[Suggestion]:
    """One for each model whose card has a mean reward that is not what was measured, in the order of the audit.

    :param audit: the content of ``audit.json``
    """
    criteria = Criteria.from_dict(audit["settings"]["verdict"])
    stated = [(model, claim) for model in audit["models"] if (claim := _claim_of_card(model)) is not None]
    models_of_card = Counter(claim["where"] for _, claim in stated)
    found = []
    for model, claim in stated:
        if _contradicted(model, claim, criteria):
            old = f"{claim['mean']:g}" if claim["std"] is None else f"{claim['mean']:g} +/- {claim['std']:g}"
            try:
                if models_of_card[claim["where"]] > 1:
                    raise NoPatch("one card for several models")
                _check_that_the_figure_is_wrong(model, claim)
                found.append(_suggestion(model, claim))
            except NoPatch as obstacle:
                found.append(Suggestion(model["model"], model["verdict"], claim["where"], old, obstacle=str(obstacle)))
    return found


def write_patches(found: Iterable[Suggestion], folder: Path) -> None:
    """Write each patch to a file of its own, called after the model; the folder is made even if there are none."""
    folder.mkdir(parents=True)
    for name, suggestion in patch_names(found):
        (folder / name).write_bytes(suggestion.patch)


def patch_names(found: Iterable[Suggestion]) -> Iterator[tuple[str, Suggestion]]:
    """What the file of each patch is called: safe on any system, and different where capitals do not count."""
    taken: Counter[str] = Counter()
    for suggestion in found:
        if suggestion.patch:
            safe = re.sub(r"\.{2,}|[^A-Za-z0-9_.-]+", "-", suggestion.model).strip("-.")[:_LONGEST_NAME] or "model"
            taken[safe.lower()] += 1
            times = taken[safe.lower()]
            # With two dots in a row it is nobody else's.
            yield f"{safe}{f'..{times}' if times > 1 else ''}.patch", suggestion


def about_cards(found: Sequence[Suggestion]) -> str:
    """One sentence on the cards, nothing where none is wrong."""
    patches = sum(bool(suggestion.patch) for suggestion in found)
    obstacles = Counter(suggestion.obstacle for suggestion in found if suggestion.obstacle)
    why = sorted(obstacles.items(), key=lambda item: (-item[1], item[0]))
    left = ", ".join([*(f"{obstacle} ({n:,})" for obstacle, n in why[:_REASONS]), *(["…"] if why[_REASONS:] else [])])
    said = [f"{patches:,} with a patch in {FOLDER}/"] if patches else []
    said += [f"{obstacles.total():,} without: {left}"] if left else []
    cards = "1 model card states" if len(found) == 1 else f"{len(found):,} model cards state"
    return f"{cards} another mean reward than was measured; {'; '.join(said)}." if said else ""


def _claim_of_card(model: Mapping[str, Any]) -> Mapping[str, Any] | None:
    cards = (claim for claim in model["claims"] if claim["kind"] == "model_card" and Path(claim["where"]).name == CARD)
    return next(cards, None)


def _contradicted(model: Mapping[str, Any], claim: Mapping[str, Any], criteria: Criteria) -> bool:
    """Whether a card's own figure differs from the reload by more than the margin, and not by chance."""
    mean, std, random, n = (
        model[key] for key in ("reload_mean_reward", "reload_std_reward", "random_mean_reward", "n_episodes")
    )
    measured = isinstance(mean, float) and isinstance(std, float) and n > 1  # a text where it is not finite
    if model["verdict"] in ("error", "inconclusive") or not measured:
        return False
    stated_std = std if claim["std"] is None else claim["std"]
    width = margin(claim["mean"], stated_std, random if isinstance(random, float) else None, criteria)
    comparison = compare_unpaired((claim["mean"], stated_std, _USUAL_EPISODES), (mean, std, n), width, criteria)
    return comparison.decision in ("degraded", "improved")


def _check_that_the_figure_is_wrong(model: Mapping[str, Any], claim: Mapping[str, Any]) -> None:
    """Not where the reload may be what is wrong.

    :raises NoPatch: the model or its environment has to be repaired, or nobody knows what
    """
    if model["env_ran"] != model["env_id"]:
        raise NoPatch("it ran in another environment")
    if model["verdict"] in ("identical", "equivalent"):
        return
    if model["claim_kind"] != "model_card":
        raise NoPatch("the verdict is about another claim")
    cause = model["cause"]
    gained = model["verdict"] == "improved" and model["reload_mean_reward"] > claim["mean"]
    if cause not in (_FIGURE_OF_SOMETHING_ELSE + _FIGURE_TOO_LOW if gained else _FIGURE_OF_SOMETHING_ELSE):
        raise NoPatch(f"explained by {cause}" if cause in CAUSES and cause != UNEXPLAINED else "unexplained")


def _suggestion(model: Mapping[str, Any], claim: Mapping[str, Any]) -> Suggestion:
    """:raises NoPatch: the card cannot be read, or its figure cannot be told from others, or not be replaced"""
    path = claim["where"]
    try:
        # What is no UTF-8 stays as it is, byte for byte.
        text = read_bytes(path).decode("utf-8", "surrogateescape")
        metadata = placed_front_matter(text)
        figure = _figure(metadata, model["env_id"])
        new = _as_written(figure, claim["mean"], model["reload_mean_reward"], model["reload_std_reward"])
        written = text[figure.start : figure.end]
        corrected = f"{text[: figure.start]}{written.replace(figure, new)}{text[figure.end :]}"
        quoted_or_plain = written in (figure, f'"{figure}"', f"'{figure}'")
        if not quoted_or_plain or placed_front_matter(corrected) != _replaced(metadata, figure, new):
            raise NoPatch("a figure that cannot be replaced by itself")
    except ValueError:
        raise NoPatch("a card that cannot be read") from None
    patch = _heading(model, path, figure, new) + _difference(_lines(text), _lines(corrected))
    return Suggestion(model["model"], model["verdict"], path, str(figure), new, patch)


def _figure(metadata: Any, env_id: str) -> Placed:
    """The mean reward on a card; where it has several, the one that is about the environment."""
    found: list[tuple[Any, Placed]] = []
    for result in _listed(mapping(metadata).get("model-index"), "results"):
        dataset = mapping(mapping(result).get("dataset"))
        for metric in map(mapping, _items(mapping(result).get("metrics"))):
            value = metric.get("value")
            if metric.get("type") == "mean_reward" and isinstance(value, Placed):
                found.append((dataset.get("name"), value))
    several = len(found) > 1
    if several:
        found = [(dataset, value) for dataset, value in found if dataset == env_id]
    if len(found) != 1:
        raise NoPatch("a card with several figures" if several else "a card that has changed since")
    return found[0][1]


def _listed(entries: Any, key: str) -> list[Any]:
    return [item for entry in _items(entries) for item in _items(mapping(entry).get(key))]


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _as_written(figure: str, claimed: float, mean: float, std: float) -> str:
    """What was measured, with the digits and the signs of the card's figure.

    :raises NoPatch: the figure is written in some other way, or is not the one that the audit read
    """
    found = _FIGURE.fullmatch(figure)
    if found is None:
        raise NoPatch("a figure that is written in an unusual way")
    if float(found["mean"]) != claimed:
        raise NoPatch("a card that has changed since")
    new = f"{mean:z.{len(found['mean_digits'] or '')}f}"
    return new if found["std"] is None else f"{new}{found['between']}{std:.{len(found['std_digits'] or '')}f}"


def _replaced(content: Any, old: Placed, new: str) -> Any:
    if isinstance(content, dict):
        return {key: _replaced(item, old, new) for key, item in content.items()}
    if isinstance(content, list):
        return [_replaced(item, old, new) for item in content]
    return new if content is old else content


def _heading(model: Mapping[str, Any], path: str, old: str, new: str) -> bytes:
    """What a patch is about, in comments: ``git apply`` and ``patch`` pass over them."""
    said = [model["verdict"], *filter(None, [model["cause"], model["reason"]])]
    lines = [
        f"Suggested correction of the model card of {printable(model['model'], _LONGEST_TEXT)}",
        f"Card: {printable(path, _LONGEST_TEXT)}",
        f"The card states a mean reward of {old}. Reloaded, the model earns {new}:",
        f"{model['n_episodes']:,} episodes in {printable(model['env_id'], _LONGEST_TEXT)}.",
        f"Verdict: {printable(', '.join(said), _LONGEST_TEXT)}",
        "Nothing was changed. To apply, in a clone of its repository: git apply FILE, or patch -p1 < FILE",
    ]
    return "".join(f"# {line}\n" for line in lines).encode()


def _lines(text: str) -> list[bytes]:
    """Lines with their ends; only a line feed ends one, as git has it."""
    return re.findall(rb"[^\n]*\n|[^\n]+", text.encode("utf-8", "surrogateescape"))


def _difference(before: Sequence[bytes], after: Sequence[bytes]) -> bytes:
    """A unified diff of two texts that differ in one line."""
    changed = next(number for number, (old, new) in enumerate(zip(before, after, strict=True)) if old != new)
    start, end = max(changed - _CONTEXT, 0), changed + 1 + _CONTEXT
    lines = [
        *(b" " + line for line in before[start:changed]),
        b"-" + before[changed],
        b"+" + after[changed],
        *(b" " + line for line in before[changed + 1 : end]),
    ]
    count = len(lines) - 1
    heading = f"--- a/{CARD}\n+++ b/{CARD}\n@@ -{start + 1},{count} +{start + 1},{count} @@\n"
    return heading.encode() + b"".join(line if line.endswith(b"\n") else line + _NO_END for line in lines)
