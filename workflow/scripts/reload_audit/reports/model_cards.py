"""Suggested corrections of model cards: a patch where the card's mean reward is shown to be wrong.

A patch says what to publish, so it is made only where it is known that the figure is what is wrong. A model that earns
less than its card says because its statistics are missing has to be repaired: its card is right.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from reload_audit.causes.catalogue import CAUSES, UNEXPLAINED
from reload_audit.judging.comparison import compare_unpaired
from reload_audit.judging.criteria import NOTHING_LOST, Criteria, margin
from reload_audit.reading.files import read_bytes
from reload_audit.reading.plain_values import mapping
from reload_audit.reading.yaml_text import Placed, placed_front_matter
from reload_audit.reports.audit import Audit
from reload_audit.reports.audited_model import AuditedModel, ClaimRow, finite
from reload_audit.reports.safe_text import one_line

CARD, FOLDER = "README.md", "model_cards"

_Entry = TypeVar("_Entry")

_USUAL_EPISODES = 10  # the default of evaluate_policy, for cards that do not state theirs
_CONTEXT = 3
_NO_END = b"\n\\ No newline at end of file\n"
_LONGEST_NAME = 100
_LONGEST_TEXT = 300
_FIGURE = re.compile(
    r"(?P<mean>[-+]?[0-9]+(\.(?P<mean_digits>[0-9]+))?)"
    r"((?P<between>\s*(\+/-|±)\s*)(?P<std>[0-9]+(\.(?P<std_digits>[0-9]+))?))?"
)
_REASONS = 5


class NoPatch(Exception):
    """A card states another mean reward than was measured, but no patch is made; the message says why."""


@dataclass(frozen=True)
class Suggestion:
    """What to do about a card whose figure is not what was measured.

    :param card: path of the card
    :param old: its figure
    :param new: what was measured, written as the card writes it; empty without a patch
    :param patch: unified diff, for ``git apply`` or ``patch -p1`` beside the card; empty where none is made
    :param why_no_patch: why none is made, in a few words
    """

    model: str
    verdict: str
    card: str
    old: str
    new: str = ""
    patch: bytes = b""
    why_no_patch: str = ""


@dataclass(frozen=True)
class _Contradiction:
    """A model card that states another mean reward than was measured.

    :param claim: what the card states
    :param stated: its mean reward
    :param mean: mean episode reward after reload
    :param std: its standard deviation (ddof 0)
    """

    model: AuditedModel
    claim: ClaimRow
    stated: float
    mean: float
    std: float

    @property
    def old(self) -> str:
        return f"{self.stated:g}" if self.claim.std is None else f"{self.stated:g} +/- {self.claim.std:g}"


def suggestions(audit: Audit) -> list[Suggestion]:
    """One for each model whose card has a mean reward that is not what was measured, in the order of the audit."""
    if audit.criteria is None:
        return []
    stated = [(model, claim) for model in audit.models if (claim := _claim_of_card(model)) is not None]
    models_of_card = Counter(claim.where for _, claim in stated)
    contradictions = (_contradiction(model, claim, audit.criteria) for model, claim in stated)
    return [_suggestion(one, models_of_card[one.claim.where]) for one in contradictions if one is not None]


def write_patches(suggested: Iterable[Suggestion], folder: Path) -> None:
    """Write each patch to a file of its own, called after the model.

    :param folder: made anew, even if there are none
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, suggestion in patch_names(suggested):
        (folder / name).write_bytes(suggestion.patch)


def patch_names(suggested: Iterable[Suggestion]) -> Iterator[tuple[str, Suggestion]]:
    """Each suggestion that has a patch, with the name of its file."""
    patched = [suggestion for suggestion in suggested if suggestion.patch]
    for name, suggestion in file_names(patched, lambda suggestion: suggestion.model):
        yield f"{name}.patch", suggestion


def file_names(entries: Iterable[_Entry], model: Callable[[_Entry], str]) -> Iterator[tuple[str, _Entry]]:
    """Each entry with the beginning of a file's name that any system takes. No two differ in capitals alone.

    :param model: gives the name of the model that an entry is about
    """
    taken: Counter[str] = Counter()
    for entry in entries:
        safe = re.sub(r"\.{2,}|[^A-Za-z0-9_.-]+", "-", model(entry)).strip("-.")[:_LONGEST_NAME] or "model"
        taken[safe.lower()] += 1
        times = taken[safe.lower()]
        # No other model's name has two dots in a row by now.
        yield f"{safe}{f'..{times}' if times > 1 else ''}", entry


def about_cards(suggested: Sequence[Suggestion]) -> str:
    """One sentence on the cards; empty where none is wrong."""
    patches = sum(bool(suggestion.patch) for suggestion in suggested)
    without = Counter(suggestion.why_no_patch for suggestion in suggested if suggestion.why_no_patch)
    why = sorted(without.items(), key=lambda item: (-item[1], item[0]))
    left = ", ".join([*(f"{reason} ({n:,})" for reason, n in why[:_REASONS]), *(["…"] if why[_REASONS:] else [])])
    said = [f"{patches:,} with a patch in {FOLDER}/"] if patches else []
    said += [f"{without.total():,} without: {left}"] if left else []
    cards = "1 model card states" if len(suggested) == 1 else f"{len(suggested):,} model cards state"
    return f"{cards} another mean reward than was measured; {'; '.join(said)}." if said else ""


def _claim_of_card(model: AuditedModel) -> ClaimRow | None:
    cards = (claim for claim in model.claims if claim.kind == "model_card" and Path(claim.where).name == CARD)
    return next(cards, None)


def _contradiction(model: AuditedModel, claim: ClaimRow, criteria: Criteria) -> _Contradiction | None:
    """How a card contradicts the reload; None where they differ by no more than the margin, or maybe by chance."""
    stated, mean, std = finite(claim.mean), finite(model.reload_mean_reward), finite(model.reload_std_reward)
    n = model.n_episodes or 0
    if (
        model.verdict in ("error", "inconclusive", "consistent")
        or stated is None
        or mean is None
        or std is None
        or n < 2
    ):
        return None
    stated_std = finite(claim.std)
    stated_std = std if stated_std is None else stated_std
    width = margin(stated, stated_std, finite(model.random_mean_reward), criteria)
    comparison = compare_unpaired((stated, stated_std, _USUAL_EPISODES), (mean, std, n), width, criteria)
    contradicts = comparison.decision in ("degraded", "improved")
    return _Contradiction(model, claim, stated, mean, std) if contradicts else None


def _suggestion(found: _Contradiction, models_of_card: int) -> Suggestion:
    """What to do about a card, with a patch if one can be made.

    :param models_of_card: how many models have this very card
    """
    try:
        if models_of_card > 1:
            raise NoPatch("one card for several models")
        _check_that_the_figure_is_wrong(found)
        return _corrected(found)
    except NoPatch as why:
        return Suggestion(found.model.name, found.model.verdict, found.claim.where, found.old, why_no_patch=str(why))


def _check_that_the_figure_is_wrong(found: _Contradiction) -> None:
    """Make sure that it is the card that is wrong, and not the reload.

    :raises NoPatch: the model or its environment has to be repaired, or nobody knows what
    """
    model = found.model
    if model.env_ran != model.env_id:
        raise NoPatch("it ran in another environment")
    if model.verdict in NOTHING_LOST:
        return
    if model.claim_kind != "model_card":
        raise NoPatch("the verdict is about another claim")
    cause = model.cause
    gained = model.verdict == "improved" and found.mean > found.stated
    stated_reward = CAUSES[cause].stated_reward if cause in CAUSES else None
    if stated_reward != "wrong" and not (gained and stated_reward == "wrong if too low"):
        raise NoPatch(f"explained by {cause}" if cause in CAUSES and cause != UNEXPLAINED else "unexplained")


def _corrected(found: _Contradiction) -> Suggestion:
    """The patch of a card.

    :raises NoPatch: the card cannot be read, or its figure cannot be told from others, or not be replaced
    """
    model, path = found.model, found.claim.where
    try:
        # What is no UTF-8 stays as it is, byte for byte.
        text = read_bytes(path).decode("utf-8", "surrogateescape")
        metadata = placed_front_matter(text)
        figure = _figure(metadata, model.env_id)
        new = _as_written(figure, found)
        written = text[figure.start : figure.end]
        corrected = f"{text[: figure.start]}{written.replace(figure, new)}{text[figure.end :]}"
        quoted_or_plain = written in (figure, f'"{figure}"', f"'{figure}'")
        if not quoted_or_plain or placed_front_matter(corrected) != _replaced(metadata, figure, new):
            raise NoPatch("a figure that cannot be replaced by itself")
    except ValueError:
        raise NoPatch("a card that cannot be read") from None
    patch = _heading(model, path, figure, new) + _difference(_lines(text), _lines(corrected))
    return Suggestion(model.name, model.verdict, path, str(figure), new, patch)


def _figure(metadata: Any, env_id: str) -> Placed:
    """The mean reward on a card; where it has several, the one that is about the environment.

    :raises NoPatch: there is none, or it cannot be told which one is meant
    """
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
    """All items of the lists that stand under a key of any of the entries."""
    return [item for entry in _items(entries) for item in _items(mapping(entry).get(key))]


def _items(value: Any) -> list[Any]:
    """A list as it is; an empty one for what is none."""
    return value if isinstance(value, list) else []


def _as_written(figure: str, found: _Contradiction) -> str:
    """What was measured, with the digits and the signs of the card's figure.

    :raises NoPatch: the figure is written in some other way, or is not the one that the audit read
    """
    parts = _FIGURE.fullmatch(figure)
    if parts is None:
        raise NoPatch("a figure that is written in an unusual way")
    if float(parts["mean"]) != found.stated:
        raise NoPatch("a card that has changed since")
    new = f"{found.mean:z.{len(parts['mean_digits'] or '')}f}"
    return new if parts["std"] is None else f"{new}{parts['between']}{found.std:.{len(parts['std_digits'] or '')}f}"


def _replaced(content: Any, old: Placed, new: str) -> Any:
    """Metadata with one of its texts, that very object, replaced."""
    if isinstance(content, dict):
        return {key: _replaced(item, old, new) for key, item in content.items()}
    if isinstance(content, list):
        return [_replaced(item, old, new) for item in content]
    return new if content is old else content


def _heading(model: AuditedModel, path: str, old: str, new: str) -> bytes:
    """What a patch is about, in comments, which ``git apply`` and ``patch`` skip."""
    said = [model.verdict, *filter(None, [model.cause, model.reason])]
    lines = [
        f"Suggested correction of the model card of {one_line(model.name, _LONGEST_TEXT)}",
        f"Card: {one_line(path, _LONGEST_TEXT)}",
        f"The card states a mean reward of {old}. Reloaded, the model earns {new}:",
        f"{model.n_episodes:,} episodes in {one_line(model.env_id, _LONGEST_TEXT)}.",
        f"Verdict: {one_line(', '.join(said), _LONGEST_TEXT)}",
        "Nothing was changed. To apply, in a clone of its repository: git apply FILE, or patch -p1 < FILE",
    ]
    return "".join(f"# {line}\n" for line in lines).encode()


def _lines(text: str) -> list[bytes]:
    """Lines with their ends; only a line feed ends a line, as in git."""
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
