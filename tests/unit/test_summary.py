"""The closing words on the console."""

from __future__ import annotations

from typing import Any

import pytest

from reload_audit.summary import answer, headline, plain_loads, printable, summarize
from reload_audit.verdicts import VERDICTS

GYM = "ModuleNotFoundError: No module named 'gym'"


def model(name: str = "small-seed0-n1", verdict: str = "identical", **other: Any) -> dict[str, Any]:
    """A model trained here that earned 50 in place, and 10 after reload if it is degraded."""
    earned = {"degraded": 10.0, "error": None}.get(verdict, 50.0)
    return {
        "model": name,
        "source": "trained",
        "verdict": verdict,
        "reason": "",
        "train_mean_reward": 50.0,
        "train_std_reward": 4.0,
        "reload_mean_reward": earned,
        "reload_std_reward": None if earned is None else 1.0,
        "difference": None if earned is None else earned - 50.0,
        "margin": 2.0,
        "claim_kind": "in_place",
        "claim_mean": 50.0,
        "claim_std": 4.0,
        "plain_load_error": None,
        **other,
    }


def found(name: str = "ppo/CartPole-v1_1", verdict: str = "equivalent", **other: Any) -> dict[str, Any]:
    """The same model, trained by others."""
    claim = {"source": "zoo", "claim_kind": "explicit", "train_mean_reward": None, "train_std_reward": None}
    return model(name, verdict, **{**claim, "plain_load_error": "", **other})


def inconclusive(word: str, **other: Any) -> dict[str, Any]:
    return found(verdict="inconclusive", reason=f"{word}: for a reason", **other)


def summary(*models: dict[str, Any]) -> str:
    counts = {verdict: sum(one["verdict"] == verdict for one in models) for verdict in VERDICTS}
    return summarize({"counts": counts, "models": models}, "results/report.html")


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ({}, "No models were audited."),
        (
            {"identical": 15, "equivalent": 3, "degraded": 6},
            "18 of 24 models still earn their train-time reward after reload; 6 are degraded.",
        ),
        (
            {"identical": 1, "degraded": 1, "inconclusive": 2, "error": 1},
            "1 of 5 models still earns its train-time reward after reload; "
            "1 is degraded, 2 are inconclusive and 1 ended in an error.",
        ),
        (
            {"identical": 8000, "improved": 102, "error": 1898},
            "8,102 of 10,000 models still earn their train-time reward after reload, 102 of them more; "
            "1,898 ended in an error.",
        ),
        ({"identical": 1}, "The model still earns its train-time reward after reload."),
        ({"improved": 1}, "The model still earns its train-time reward after reload, and more."),
        ({"equivalent": 2}, "Both models still earn their train-time reward after reload."),
        ({"identical": 24}, "All 24 models still earn their train-time reward after reload."),
        ({"degraded": 1}, "The model no longer earns its train-time reward after reload: it is degraded."),
        ({"degraded": 3}, "All 3 models no longer earn their train-time reward after reload: all are degraded."),
        ({"error": 1}, "The model ended in an error: there is nothing to compare."),
        ({"error": 6}, "All 6 models ended in an error: there is nothing to compare."),
        (
            {"inconclusive": 1},
            "Whether the model still earns its train-time reward after reload is open: it is inconclusive.",
        ),
        (
            {"inconclusive": 2},
            "Whether both models still earn their train-time reward after reload is open: both are inconclusive.",
        ),
        (
            {"degraded": 2, "inconclusive": 1},
            "None of the 3 models is known to still earn its train-time reward after reload: "
            "2 are degraded and 1 is inconclusive.",
        ),
    ],
)
def test_one_sentence_answers_the_question(counts: dict[str, int], sentence: str) -> None:
    assert answer(counts) == sentence


@pytest.mark.parametrize(
    ("models", "sentence"),
    [
        ([model()], "The model still earns its train-time reward after reload."),
        ([found()], "The model still earns its claimed reward after reload."),
        (
            [found(source="recorded", claim_kind="reference")],
            "The model still earns its train-time reward after reload.",
        ),
        ([model(), found()], "Both models still earn their train-time or claimed reward after reload."),
        ([found(verdict="degraded")], "The model no longer earns its claimed reward after reload: it is degraded."),
        (
            [inconclusive("best_of_k"), inconclusive("no_claim", claim_kind=None)],
            "Whether both models still earn their claimed reward after reload is open: both are inconclusive.",
        ),
        (
            [inconclusive("no_claim", claim_kind=None)] * 3,
            "All 3 models load and run, but nothing says what they earned: all are inconclusive.",
        ),
        (
            [inconclusive("no_claim", claim_kind=None)],
            "The model loads and runs, but nothing says what it earned: it is inconclusive.",
        ),
    ],
)
def test_the_sentence_names_what_the_reload_is_compared_with(models: list[dict[str, Any]], sentence: str) -> None:
    assert headline(models) == sentence


def test_the_verdicts_say_why_claims_could_not_decide() -> None:
    words = ("no_claim", "claim_too_imprecise", "best_of_k", "claim_with_exploration", "best_of_k")
    text = summary(
        *map(inconclusive, words), model(verdict="inconclusive", reason="40 episodes cannot tell: it varies")
    )
    why = "1 no_claim, 1 claim_too_imprecise, 2 best_of_k, 1 claim_with_exploration"
    assert f"Verdicts: 6 inconclusive ({why})." in text


def test_models_trained_here_are_compared_with_in_place() -> None:
    lines = summary(model("a", "degraded", reason="earns 40 less than in place")).splitlines()
    assert lines[3:5] == [
        "  model  verdict   in place → reload",
        "  a      degraded  50.00 ± 4.00 → 10.00 ± 1.00  earns 40 less than in place",
    ]


def test_found_models_are_compared_with_a_claim_of_some_kind() -> None:
    lines = summary(
        found("a/b", "degraded", claim_kind="model_card", claim_std=None, reason="earns less"), model("c", "degraded")
    ).splitlines()
    assert lines[3:6] == [
        "  model  verdict   claim       claimed → reload",
        "  a/b    degraded  model card  50.00 → 10.00 ± 1.00  earns less",
        "  c      degraded  in place    50.00 ± 4.00 → 10.00 ± 1.00",
    ]


def test_models_that_failed_alike_share_a_line_and_hide_no_other() -> None:
    failed = [found(f"m{k}", "error", reason="no environment", claim_kind=None, claim_mean=None) for k in range(40)]
    text = summary(*failed, *(found(f"lost{k}", "degraded") for k in range(8)))
    assert "m0     error     –         – → –  no environment (39 more like it)" in text
    assert text.count("error  ") == 1
    assert text.count("degraded  ") == 5
    assert "and 3 more" in text


def test_models_that_no_plain_load_would_load_are_counted_with_the_errors() -> None:
    others = [found(plain_load_error=""), found(plain_load_error=None), model()]
    assert plain_loads([found(plain_load_error=GYM)] * 2 + others) == (
        f"2 of 4 found models would not load with a plain ALGO.load (1 could not be read): {GYM} (2)"
    )
    assert plain_loads(others) == plain_loads([]) == ""


def test_only_the_most_frequent_load_errors_are_named() -> None:
    errors = [GYM, GYM, *(f"KeyError: {k}" for k in range(5))]
    text = plain_loads([found(plain_load_error=error) for error in errors])
    assert text.endswith(f": {GYM} (2); KeyError: 0 (1); KeyError: 1 (1); 3 other errors")


@pytest.mark.parametrize("text", ["\x1b[2J", "\u202egnp", "\u2066", "\udcff", "\x07", "a\r\nb", "a\u2028b", "\x9b31m"])
def test_no_name_or_message_commands_the_terminal(text: str) -> None:
    failed = found(text, "error", reason=text, claim_kind=None, claim_mean=None, plain_load_error=text)
    assert all(line.isprintable() for line in summary(failed).split("\n"))


def test_long_texts_lose_their_middle() -> None:
    assert printable("a" * 10_000 + "end", 10) == "aaaaaa…end"
    assert printable("as it is", 10) == "as it is"
    text = summary(found("x" * 10_000, "error", reason="y" * 10_000))
    assert max(map(len, text.splitlines())) < 600
