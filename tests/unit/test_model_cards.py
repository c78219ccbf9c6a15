"""Corrections of model cards: only where the figure is what is wrong, and no other byte of the card."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from reload_audit.judging.criteria import NOTHING_LOST
from reload_audit.reading.yaml_text import front_matter
from reload_audit.reports.hub_results import write_results
from reload_audit.reports.model_cards import Suggestion, about_cards, patch_names, suggestions, write_patches
from support.audit_contents import HOSTILE, audit_of, external_row

CARD = """---
library_name: stable-baselines3   # as the library writes it
tags: [CartPole-v1, reinforcement-learning]
model-index:
- name: PPO
  results:
  - metrics:
    - type: episode_length
      value: 10.00 +/- 1.00
    - type: mean_reward
      value: 10.00 +/- 1.00
      name: mean_reward
      verified: false
    task: {type: reinforcement-learning}
    dataset:
      name: CartPole-v1
      type: CartPole-v1
---

# A card

It earns 10.00 +/- 1.00.
"""
TOOLS = {"git": ("git init -q", "git apply"), "patch": ("patch -p1 -i",)}
FIGURE = "    - type: mean_reward\n      value: 10.00 +/- 1.00\n"


def card(folder: Path, text: str | bytes = CARD) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "README.md"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def row_with_card(path: Path, mean: float = 10.0, std: float | None = 1.0, **other: Any) -> dict[str, Any]:
    """A model that earns 50 and whose card says 10."""
    claims = [{"kind": "model_card", "mean": mean, "std": std, "n": None, "where": str(path)}]
    claim = {"claims": claims, "claim_kind": "model_card", "claim_mean": mean, "claim_std": std}
    return external_row("org/ppo", **{"verdict": "improved", "cause": "unexplained", "source": "hub", **claim, **other})


def only(*models: dict[str, Any]) -> Suggestion:
    (suggestion,) = suggestions(audit_of(*models))
    return suggestion


def with_figure(text: str) -> str:
    return CARD.replace(FIGURE, f"    - type: mean_reward\n      value: {text}\n")


def applied(tmp_path: Path, suggestion: Suggestion, tool: str) -> bytes:
    """A copy of the card after the patch."""
    copy = tmp_path / tool
    shutil.copytree(Path(suggestion.card).parent, copy)
    write_patches([suggestion], tmp_path / f"patches for {tool}")
    (patch,) = (tmp_path / f"patches for {tool}").iterdir()
    for command in TOOLS[tool]:
        subprocess.run([*command.split(), *([str(patch)] if "init" not in command else [])], cwd=copy, check=True)
    assert [path.name for path in copy.iterdir() if path.name != ".git"] == ["README.md"]
    return (copy / "README.md").read_bytes()


CARDS = {
    "as the library writes it": CARD,
    "line ends of windows": CARD.replace("\n", "\r\n"),
    "no line end at the end": "---\nmodel-index: [{results: [{metrics: [{type: mean_reward, value: 10.00 +/- 1.00}]}]}]\n---",  # noqa: E501
    "not Unicode": CARD.encode() + b"\xff\xfe caf\xe9 \x00\r lone\n",
    "double quotes": with_figure('"10.00 +/- 1.00"  # measured'),
    "single quotes": with_figure("'10.00 +/- 1.00'"),
    "accents before it": CARD.replace("library_name:", "title: \U0001f916 façade \u2028 de\nlibrary_name:"),
    "the figure elsewhere": CARD.replace("name: PPO", "name: 10.00 +/- 1.00"),
}


@pytest.mark.parametrize("tool", ["git", "patch"])
@pytest.mark.parametrize("text", CARDS.values(), ids=CARDS)
def test_a_patch_applies_and_changes_nothing_but_the_figure(tmp_path, text, tool):
    path = card(tmp_path / "repository", text)
    before = path.read_bytes()
    suggestion = only(row_with_card(path))
    assert suggestion.why_no_patch == ""
    after = applied(tmp_path, suggestion, tool)
    assert path.read_bytes() == before
    old, new = b"10.00 +/- 1.00", b"50.00 +/- 1.00"
    start = before.index(old, before.index(b"mean_reward"))
    assert after == before[:start] + new + before[start + len(old) :]


@pytest.mark.parametrize(
    ("written", "mean", "std", "corrected"),
    [
        ("10.00 +/- 1.00", 10.0, 1.0, "50.12 +/- 0.99"),
        ("10 +/- 1.0", 10.0, 1.0, "50 +/- 1.0"),
        ("10.000±1", 10.0, 1.0, "50.123±1"),
        ("10.0", 10.0, None, "50.1"),
        ("'-10.5 ± 1.5'", -10.5, 1.5, "50.1 ± 1.0"),
    ],
)
def test_the_measured_figure_is_written_in_the_card_s_own_format(tmp_path, written, mean, std, corrected):
    path = card(tmp_path, with_figure(written))
    one = row_with_card(path, mean, std, reload_mean_reward=50.123, reload_std_reward=0.987)
    assert only(one).new == corrected


def test_a_loss_that_rounds_to_nothing_has_no_sign(tmp_path):
    path = card(tmp_path, with_figure("-40.0"))
    assert only(row_with_card(path, -40.0, None, reload_mean_reward=-0.01)).new == "0.0"


@pytest.mark.parametrize("verdict", NOTHING_LOST)
def test_a_card_that_contradicts_a_confirmed_stronger_claim_is_corrected(tmp_path, verdict):
    assert only(row_with_card(card(tmp_path), verdict=verdict, cause="", claim_kind="explicit")).patch


@pytest.mark.parametrize("verdict", ["consistent", "inconclusive", "error"])
def test_where_it_is_not_known_what_a_model_earned_no_card_is_called_wrong(tmp_path, verdict):
    assert suggestions(audit_of(row_with_card(card(tmp_path), verdict=verdict, cause=""))) == []


@pytest.mark.parametrize("cause", ["best-of-k", "training-episodes", "reward-normalized"])
def test_a_figure_that_was_measured_otherwise_is_corrected(tmp_path, cause):
    path = card(tmp_path, with_figure("90.00 +/- 1.00"))
    assert only(row_with_card(path, 90.0, verdict="degraded", cause=cause)).patch


@pytest.mark.parametrize(
    ("cause", "obstacle"),
    [
        ("statistics-missing", "explained by statistics-missing"),
        ("global-generator", "explained by global-generator"),
        ("policy-mode", "explained by policy-mode"),
        ("unexplained", "unexplained"),
    ],
)
def test_the_reward_of_a_broken_model_is_not_written_into_its_card(tmp_path, cause, obstacle):
    path = card(tmp_path, with_figure("90.00 +/- 1.00"))
    suggestion = only(row_with_card(path, 90.0, verdict="degraded", cause=cause))
    assert (suggestion.patch, suggestion.why_no_patch) == (b"", obstacle)


def test_a_figure_is_lowered_only_for_a_known_reason(tmp_path):
    path = card(tmp_path, with_figure("90.00 +/- 1.00"))
    assert only(row_with_card(path, 90.0, cause="unexplained")).why_no_patch == "unexplained"
    assert only(row_with_card(path, 90.0, verdict="degraded", cause="vecnormalize-twice")).patch == b""


def test_a_figure_that_was_measured_too_low_is_corrected(tmp_path):
    assert only(row_with_card(card(tmp_path), cause="vecnormalize-twice")).patch


@pytest.mark.parametrize("verdict", ["improved", "degraded"])
def test_a_verdict_about_another_claim_does_not_change_the_card(tmp_path, verdict):
    one = row_with_card(card(tmp_path), verdict=verdict, claim_kind="explicit", reload_mean_reward=50.0)
    assert only(one).why_no_patch == "the verdict is about another claim"


def test_a_gain_that_comes_from_the_environment_corrects_nothing(tmp_path):
    path = card(tmp_path)
    assert only(row_with_card(path, cause="time-limit")).why_no_patch == "explained by time-limit"
    assert only(row_with_card(path, env_ran="CartPole-v2")).why_no_patch == "it ran in another environment"


@pytest.mark.parametrize(
    "other",
    [
        {"verdict": "error", "reload_mean_reward": None, "reload_std_reward": None, "n_episodes": None},
        {"verdict": "inconclusive"},
        {"verdict": "equivalent", "reload_mean_reward": 10.1},
        {"reload_mean_reward": "nan"},
        {"claims": []},
        {"claims": [{"kind": "model_card", "mean": 1.0, "std": 1.0, "n": 10, "where": "results.json"}]},
    ],
)
def test_a_card_that_is_not_known_to_be_wrong_is_not_mentioned(tmp_path, other):
    assert suggestions(audit_of(row_with_card(card(tmp_path)) | other)) == []


SEVERAL = CARD.replace(
    "model-index:\n",
    "model-index:\n- {name: A2C, results: [{dataset: {name: Ant-v4}, metrics: [{type: mean_reward, value: 7}]}]}\n",
)


def test_of_several_figures_the_one_of_the_environment_is_corrected(tmp_path):
    suggestion = only(row_with_card(card(tmp_path / "repository", SEVERAL)))
    assert b"-      value: 10.00" in suggestion.patch
    assert b"value: 7" in applied(tmp_path, suggestion, "git")


UNUSABLE = {
    "gone": (None, "a card that cannot be read"),
    "too large": (CARD + "x" * 2**20, "a card that cannot be read"),
    "metadata too long": (CARD.replace("# as", "# " + "x" * 100_000), "a card that cannot be read"),
    "a tag": (CARD.replace("tags: [", "tags: !!python/name:os.system ["), "a card that cannot be read"),
    "deep": (CARD.replace("tags: [", "tags: " + "[" * 5_000), "a card that cannot be read"),
    "aliases": (
        CARD.replace("10.00 +/- 1.00", "&x 10.00 +/- 1.00", 1).replace("name: PPO", "name: *x"),
        "a card that cannot be read",
    ),
    "metadata not Unicode": (CARD.encode().replace(b"as the", b"\xff"), "a card that cannot be read"),
    "no metadata": ("# A card\n", "a card that has changed since"),
    "no index": ("---\nmodel-index: 3\n---\n", "a card that has changed since"),
    "two figures of one environment": (
        CARD.replace("    - type: episode_length", "    - type: mean_reward"),
        "a card with several figures",
    ),
    "another figure": (with_figure("11.00 +/- 1.00"), "a card that has changed since"),
    "an exponent": (with_figure("1e1"), "a figure that is written in an unusual way"),
    "words": (with_figure("about 10"), "a figure that is written in an unusual way"),
    "a block": (with_figure("|-\n        10.00 +/- 1.00"), "a figure that cannot be replaced by itself"),
    "an anchor": (with_figure("&x 10.00 +/- 1.00"), "a figure that cannot be replaced by itself"),
    "two lines": (with_figure("10.00\n        +/- 1.00"), "a figure that cannot be replaced by itself"),
    "an escape": (with_figure('"\\x310.00 +/- 1.00"'), "a figure that cannot be replaced by itself"),
}


@pytest.mark.parametrize(("text", "obstacle"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_card_that_cannot_be_corrected_is_counted_with_the_reason(tmp_path, text, obstacle):
    path = tmp_path / "README.md" if text is None else card(tmp_path, text)
    suggestion = only(row_with_card(path))
    assert (suggestion.patch, suggestion.why_no_patch) == (b"", obstacle)


def test_a_card_shared_by_several_models_is_not_corrected(tmp_path):
    path = card(tmp_path)
    assert {one.why_no_patch for one in suggestions(audit_of(row_with_card(path), row_with_card(path)))} == {
        "one card for several models"
    }


def test_a_card_that_is_a_named_pipe_does_not_hang_the_audit(tmp_path):
    os.mkfifo(tmp_path / "README.md")
    assert only(row_with_card(tmp_path / "README.md")).why_no_patch == "a card that cannot be read"


def test_a_patch_begins_with_what_it_corrects(tmp_path):
    path = card(tmp_path)
    head = only(row_with_card(path, reason="earns 40 more than claimed")).patch.decode().split("---")[0]
    assert "The card states a mean reward of 10.00 +/- 1.00. Reloaded, the model earns 50.00 +/- 1.00:" in head
    assert "20 episodes in CartPole-v1." in head
    assert "Verdict: improved, unexplained, earns 40 more than claimed" in head
    assert str(path) in head


@pytest.mark.parametrize("tool", ["git", "patch"])
@pytest.mark.parametrize("text", [*HOSTILE, "x\n--- a/other\n+++ b/other\n@@ -0,0 +1 @@\n+x", "x\r--- a/other"])
def test_no_hostile_name_can_change_a_patch(tmp_path, text, tool):
    path = card(tmp_path / "repository")
    suggestion = only(row_with_card(path, reason=text, cause="unexplained", model=text))
    assert front_matter(applied(tmp_path, suggestion, tool).decode())["library_name"] == "stable-baselines3"


def test_patches_have_file_names_that_differ_on_every_file_system():
    models = ["a/b", "A/B", "a-b", "../../etc/passwd", "", "x" * 500, "a-b..2"]
    names = [name for name, _ in patch_names(Suggestion(name, "improved", "", "", patch=b"-") for name in models)]
    assert len({name.lower() for name in names}) == len(models)
    assert names[:4] == ["a-b.patch", "A-B..2.patch", "a-b..3.patch", "etc-passwd.patch"]
    assert max(map(len, names)) < 120


def test_one_sentence_counts_the_wrong_model_cards():
    patched, left = (
        Suggestion("a", "improved", "", "", patch=b"-"),
        Suggestion("b", "degraded", "", "", why_no_patch="unexplained"),
    )
    assert about_cards([]) == ""
    assert about_cards([patched]) == (
        "1 model card states another mean reward than was measured; 1 with a patch in model_cards/."
    )
    assert about_cards([patched, left, left]).endswith("1 with a patch in model_cards/; 2 without: unexplained (2).")


def test_without_wrong_model_cards_the_folder_of_patches_is_empty(tmp_path):
    write_patches([], tmp_path / "model_cards")
    assert list((tmp_path / "model_cards").iterdir()) == []


def test_what_a_model_of_the_hub_earns_is_written_as_the_hub_keeps_results(tmp_path):
    rows = [
        row_with_card(tmp_path / "README.md", 50.0, verdict="retained", n_episodes=100),
        external_row("org/lost", "degraded", source="hub"),
        external_row("mine", "retained", source="folder"),
    ]
    write_results(audit_of(*rows), tmp_path)
    (path,) = tmp_path.glob("*.yaml")
    assert path.name == "org-ppo.eval_results.yaml"
    (entry,) = yaml.safe_load(path.read_text())
    assert entry["value"] == 50.0
    assert set(entry) == {"dataset", "value", "notes"}
    assert set(entry["dataset"]) == {"id", "task_id"}
    assert "CartPole-v1, n = 100, std = 1; " in entry["notes"]


def test_a_hostile_name_stays_a_text_in_what_is_written_for_the_hub(tmp_path):
    names = [*HOSTILE, "a: [b", "!!python/object:os.system", "x\n- dataset: {}"]
    models = [external_row(name, "retained", source="hub", n_episodes=9, env_id=name, env_ran=name) for name in names]
    write_results(audit_of(*models), tmp_path)
    written = [yaml.safe_load(path.read_text()) for path in tmp_path.iterdir()]
    assert len(written) == len(names)
    assert all(len(entries) == 1 and isinstance(entries[0]["notes"], str) for entries in written)
