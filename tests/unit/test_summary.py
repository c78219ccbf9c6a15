"""The summary as text, for a terminal."""

from __future__ import annotations

from typing import Any

import pytest

from reload_audit.reports.headline import answer, headline
from reload_audit.reports.safe_text import code_lines, one_line
from reload_audit.reports.summary import cause_counts, plain_loads, summarize
from support.audit_contents import (
    audit_of,
    consistent_row,
    environment_health,
    external_row,
    inconclusive_row,
    row_with_cause,
    suspect_row,
    trained_row,
)

GYM = "ModuleNotFoundError: No module named 'gym'"


def summary(*models: dict[str, Any]) -> str:
    return summarize(audit_of(*models), "results/report.html")


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
        (
            {"identical": 1, "retained": 2, "consistent": 1},
            "3 of 4 models still earn their train-time reward after reload; 1 is consistent with its claim.",
        ),
        ({"retained": 1}, "The model still earns its train-time reward after reload."),
        (
            {"consistent": 1},
            "Nothing speaks against the model: it is consistent with its claim, which is too weak to show more.",
        ),
        (
            {"consistent": 3},
            "Nothing speaks against all 3 models: all are consistent with claims that are too weak to show more.",
        ),
        (
            {"consistent": 2, "degraded": 1},
            "None of the 3 models is known to still earn its train-time reward after reload: "
            "1 is degraded and 2 are consistent with their claims.",
        ),
    ],
)
def test_the_first_sentence_says_how_many_models_kept_their_reward(counts: dict[str, int], sentence: str) -> None:
    assert answer(counts) == sentence


@pytest.mark.parametrize(
    ("counts", "suspect", "sentence"),
    [
        (
            {"identical": 5, "degraded": 1, "inconclusive": 3},
            2,
            "5 of 9 models still earn their train-time reward after reload; "
            "1 is degraded, 2 are suspect and 1 more is inconclusive.",
        ),
        (
            {"inconclusive": 3},
            1,
            "Whether all 3 models still earn their train-time reward after reload is open: "
            "all are inconclusive, 1 of them suspect.",
        ),
        (
            {"inconclusive": 1},
            1,
            "Whether the model still earns its train-time reward after reload is open: "
            "it is inconclusive, and suspect.",
        ),
    ],
)
def test_suspect_models_are_named_before_all_other_inconclusive_ones(
    counts: dict[str, int], suspect: int, sentence: str
) -> None:
    assert answer(counts, suspect=suspect) == sentence


@pytest.mark.parametrize(
    ("models", "sentence"),
    [
        ([trained_row()], "The model still earns its train-time reward after reload."),
        ([external_row()], "The model still earns its claimed reward after reload."),
        (
            [external_row(source="recorded", claim_kind="reference")],
            "The model still earns its train-time reward after reload.",
        ),
        ([trained_row(), external_row()], "Both models still earn their train-time or claimed reward after reload."),
        (
            [external_row(verdict="degraded")],
            "The model no longer earns its claimed reward after reload: it is degraded.",
        ),
        (
            [inconclusive_row("best_of_k"), inconclusive_row("no_claim")],
            "Whether both models still earn their claimed reward after reload is open: both are inconclusive.",
        ),
        (
            [inconclusive_row("no_claim")] * 3,
            "All 3 models load and run, but nothing says what they earned: all are inconclusive.",
        ),
        (
            [inconclusive_row("no_claim")],
            "The model loads and runs, but nothing says what it earned: it is inconclusive.",
        ),
    ],
)
def test_the_sentence_names_what_the_reload_is_compared_with(models: list[dict[str, Any]], sentence: str) -> None:
    assert headline(audit_of(*models)) == sentence


def test_the_counts_of_verdicts_say_why_claims_could_not_decide() -> None:
    words = ("no_claim", "claim_too_imprecise", "best_of_k", "claim_with_exploration", "best_of_k")
    text = summary(
        *map(inconclusive_row, words), trained_row(verdict="inconclusive", reason="40 episodes cannot tell: it varies")
    )
    why = "1 no_claim, 1 claim_too_imprecise, 2 best_of_k, 1 claim_with_exploration"
    assert f"Verdicts: 6 inconclusive ({why})." in text


def test_suspect_models_are_listed_right_after_degraded_ones() -> None:
    lines = summary(
        inconclusive_row("best_of_k"), suspect_row("s", reason="beyond"), trained_row("d", "degraded")
    ).splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("  d "))
    assert " ".join(lines[first + 1].split()) == "s inconclusive (suspect) 50.00 ± 4.00 → 47.00 ± 1.00 beyond"
    assert "Verdicts: 2 inconclusive (1 suspect, 1 best_of_k), 1 degraded." in lines


def test_of_consistent_models_the_largest_loss_that_is_not_excluded_is_said() -> None:
    text = summary(consistent_row("a"), consistent_row("b", largest_loss_share=0.255), trained_row())
    assert "2 consistent (a loss of up to 60 % of what was learned is not excluded)" in text
    assert "1 consistent (a loss of all that was learned is not excluded)" in summary(
        consistent_row(largest_loss_share=1.4)
    )
    assert "2 consistent." in summary(*[consistent_row(largest_loss_share=None)] * 2)


def test_models_that_are_as_before_are_not_listed_one_by_one() -> None:
    assert "→" not in summary(consistent_row(), external_row("r", "retained"), trained_row())


def test_models_trained_here_are_compared_with_in_place() -> None:
    lines = summary(trained_row("a", "degraded", reason="earns 40 less than in place")).splitlines()
    assert lines[3:5] == [
        "  model  verdict   in place → reload",
        "  a      degraded  50.00 ± 4.00 → 10.00 ± 1.00  earns 40 less than in place",
    ]


def test_external_models_are_compared_with_a_claim_of_a_named_kind() -> None:
    lines = summary(
        external_row("a/b", "degraded", claim_kind="model_card", claim_std=None, reason="earns less"),
        trained_row("c", "degraded"),
    ).splitlines()
    assert lines[3:6] == [
        "  model  verdict   claim       claimed → reload",
        "  a/b    degraded  model card  50.00 → 10.00 ± 1.00  earns less",
        "  c      degraded  in place    50.00 ± 4.00 → 10.00 ± 1.00",
    ]


def test_models_with_the_same_failure_share_a_line() -> None:
    failed = [
        external_row(f"m{k}", "error", reason="no environment", claim_kind=None, claim_mean=None) for k in range(40)
    ]
    text = summary(*failed, *(external_row(f"lost{k}", "degraded") for k in range(8)))
    assert "m0     error     –         – → –  no environment (39 more like it)" in text
    assert text.count("error  ") == 1
    assert text.count("degraded  ") == 5
    assert "and 3 more" in text


def test_models_that_a_plain_load_would_not_load_are_counted_with_their_errors() -> None:
    others = [external_row(plain_load_error=""), external_row(plain_load_error=None), trained_row()]
    models = audit_of(*[external_row(plain_load_error=GYM)] * 2, *others).models
    assert plain_loads(models) == (
        f"2 of 4 external models would not load with a plain ALGO.load (1 could not be read): {GYM} (2)"
    )
    assert plain_loads(audit_of(*others).models) == plain_loads([]) == ""


def test_only_the_most_frequent_load_errors_are_named() -> None:
    errors = [GYM, GYM, *(f"KeyError: {k}" for k in range(5))]
    text = plain_loads(audit_of(*(external_row(plain_load_error=error) for error in errors)).models)
    assert text.endswith(f": {GYM} (2); KeyError: 0 (1); KeyError: 1 (1); 3 other errors")


def test_the_worst_models_show_their_cause_and_where_its_fix_is() -> None:
    lines = summary(
        row_with_cause("a", "global-generator", "reset() draws from np.random.", "step() does too.")
    ).splitlines()
    assert lines[6:8] == [
        "    cause: global-generator: reset() draws from np.random.",
        "    fix: docs/causes/global-generator.md",
    ]


def test_models_of_one_cause_share_one_link_to_its_fix() -> None:
    text = summary(
        row_with_cause("a", "clock", "it is 9:00"),
        row_with_cause("b", "clock", "it is 10:00"),
        row_with_cause("c", "hash-order", "-"),
    )
    assert text.count("cause: clock: ") == 2
    assert text.count("fix: docs/causes/clock.md") == text.count("fix: docs/causes/hash-order.md") == 1


def test_evidence_that_repeats_the_reason_is_printed_once() -> None:
    text = summary(row_with_cause("a", "not-runnable", "no module", verdict="error", reason="no module"))
    assert text.count("no module") == 1
    assert "    cause: not-runnable\n" in text


def test_models_with_the_same_failure_and_different_causes_have_separate_lines() -> None:
    def failed(name: str, cause: str) -> dict[str, Any]:
        return row_with_cause(name, cause, "-", verdict="error", reason="shapes do not match")

    text = summary(failed("a", "clock"), failed("b", "clock"), failed("c", "frame-stack-missing"))
    assert text.count("shapes do not match") == 2
    assert "cause: frame-stack-missing" in text


def test_all_causes_are_counted_the_most_frequent_first() -> None:
    causes = ["unexplained", "statistics-missing", "global-generator", "global-generator", "", None]
    models = [trained_row(cause=cause, causes=[]) for cause in causes]
    counted = cause_counts(audit_of(*models).models)
    assert counted == "Causes: global-generator (2), statistics-missing (1), unexplained (1)."
    assert counted in summary(*models).splitlines()
    assert "Causes" not in summary(trained_row(cause="", causes=[]))


def test_a_cause_of_models_that_are_not_listed_names_one_of_them_and_its_page() -> None:
    models = [row_with_cause(name, "curriculum", "-", verdict="inconclusive") for name in ("b", "a")]
    lines = summary(
        *models, row_with_cause("c", "clock", "-", verdict="improved"), row_with_cause("d", "hash-order", "-")
    ).splitlines()
    first = lines.index("Causes: curriculum (2), clock (1), hash-order (1).")
    assert lines[first + 1 : first + 4] == [
        "  curriculum (2): a, docs/causes/curriculum.md",
        "  clock (1): c, docs/causes/clock.md",
        "",
    ]


def test_only_the_most_frequent_of_such_causes_are_named() -> None:
    lines = summary(*(row_with_cause("a", cause, "-", verdict="inconclusive") for cause in "gfedcba")).splitlines()
    assert [line for line in lines if line.startswith("  ")] == [
        *(f"  {cause} (1): a" for cause in "abcde"),
        "  and 2 more",
    ]


def test_a_cause_that_is_listed_with_its_models_is_not_repeated() -> None:
    text = summary(
        row_with_cause("a", "clock", "it is 9:00"), row_with_cause("b", "clock", "it is 10:00", verdict="inconclusive")
    )
    assert text.count("docs/causes/clock.md") == 1


def test_no_page_is_named_that_does_not_exist() -> None:
    text = summary(row_with_cause("a", "../../etc/passwd", "of a file that nobody here wrote"))
    assert "cause: ../../etc/passwd" in text
    assert "fix:" not in text


def test_code_is_printed_with_its_indentation_and_without_control_characters() -> None:
    code = "def reset(self):\r\n\tself.x =  0  \n\n    # \u202egnp.exe\x1b[2J"
    assert code_lines(code, 1000) == "def reset(self):\n    self.x =  0\n\n    # \\u202egnp.exe\\x1b[2J"
    assert code_lines("x = 1\n" * 1000, 11) == "x = 1\nx = 1\n…"


@pytest.mark.parametrize("text", ["\x1b[2J", "\u202egnp", "\u2066", "\udcff", "\x07", "a\r\nb", "a\u2028b", "\x9b31m"])
def test_no_name_or_message_contains_terminal_control_characters(text: str) -> None:
    failed = external_row(text, "error", reason=text, claim_kind=None, claim_mean=None, plain_load_error=text)
    assert all(line.isprintable() for line in summary(failed, row_with_cause("a", text, text)).split("\n"))


def test_long_texts_are_shortened_in_the_middle() -> None:
    assert one_line("a" * 10_000 + "end", 10) == "aaaaaa…end"
    assert one_line("as it is", 10) == "as it is"
    text = summary(
        external_row("x" * 10_000, "error", reason="y" * 10_000), row_with_cause("a", "z" * 10_000, "e" * 10_000)
    )
    assert max(map(len, text.splitlines())) < 600


def test_a_trend_is_shown_with_its_standard_error_and_not_with_a_spread_of_episodes() -> None:
    trend = external_row("a", "degraded", claim_kind="trend", claim_mean=50.0, claim_std=6.0, claim_n=9)
    assert "50.00 ± 2.00 → 10.00 ± 1.00" in summary(trend)


CLOCK = ("clock", "It reads the clock at a.py:7.")


@pytest.mark.parametrize(
    ("environments", "said"),
    [
        ([environment_health()], ""),
        ([environment_health(problem=CLOCK)], "; the environment is not reproducible"),
        (
            [environment_health(problem=CLOCK), environment_health("b"), environment_health("c")],
            "; 1 of 3 environments is not reproducible",
        ),
        (
            [
                environment_health(problem=CLOCK),
                environment_health("b", problem=CLOCK),
                environment_health("c", problem=("environment-checker", "-"), reproducible=True),
            ],
            "; 2 of 3 environments are not reproducible, 1 fails its checks",
        ),
        (
            [environment_health("b"), environment_health("c", problem=("vectorized", "-"), reproducible=True)],
            "; 1 of 2 environments fails its checks",
        ),
        ([environment_health("b", problem=("not-runnable", "-")) | {"reproducible": None}], ""),
    ],
)
def test_the_sentence_says_which_environments_are_in_order(environments: list[dict[str, Any]], said: str) -> None:
    audit = audit_of(trained_row(), environments=environments)
    assert headline(audit) == f"The model still earns its train-time reward after reload{said}."


def test_a_faulty_environment_is_shown_with_its_evidence_and_a_healthy_one_is_not() -> None:
    faulty = environment_health("corridor:Corridor", "a", "b", problem=CLOCK)
    text = summarize(audit_of(trained_row(), environments=[environment_health(), faulty]), "r")
    lines = text.splitlines()
    first = lines.index("Environments:")
    assert lines[first + 1 : first + 3] == [
        "  corridor:Corridor (2 models): not reproducible",
        "    clock: It reads the clock at a.py:7.",
    ]
    assert "CartPole" not in text
    assert "Environments" not in summarize(audit_of(trained_row(), environments=[environment_health()]), "r")
