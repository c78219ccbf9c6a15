"""The summary as text, for a terminal."""

from __future__ import annotations

from typing import Any

import pytest

from reload_audit.causes.catalogue import CAUSES
from reload_audit.reports.headline import answer, headline
from reload_audit.reports.safe_text import code_lines, one_line
from reload_audit.reports.short_fix import short_fix
from reload_audit.reports.summary import cause_counts, plain_loads, summarize
from support.audit_contents import (
    audit_of,
    consistent_row,
    environment_health,
    external_row,
    inconclusive_row,
    row_with_cause,
    script_entry,
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


def test_of_consistent_models_the_largest_loss_that_is_not_excluded_is_said() -> None:
    text = summary(consistent_row("a"), consistent_row("b", largest_loss_share=0.255), trained_row())
    assert "2 consistent (a loss of up to 60 % of what was learned is not excluded)" in text
    assert "1 consistent (a loss of all that was learned is not excluded)" in summary(
        consistent_row(largest_loss_share=1.4)
    )
    assert "2 consistent." in summary(*[consistent_row(largest_loss_share=None)] * 2)


def test_a_few_models_with_which_nothing_is_wrong_are_shown_with_their_rewards_and_many_are_not() -> None:
    rewards = "50.00 ± 4.00 → 50.00 ± 1.00"
    lines = summary(external_row("a model", "retained")).splitlines()
    assert lines[2:4] == ["Models, with claimed → reload:", f"  a model  retained  explicit  {rewards}"]
    text = summary(trained_row("healthy"), trained_row("lost", "degraded"))
    assert f"Other models, with in place → reload:\n  healthy  identical  {rewards}\n" in text
    assert "→" not in summary(*(trained_row(f"m{k}") for k in range(9)))


def test_of_an_undecided_model_the_reason_and_what_would_decide_it_are_said() -> None:
    fix = "# Say what it earned:\n#   name,claim_mean\nclaims: claims.csv\n"
    unclaimed = row_with_cause("a", "no-claim", verdict="inconclusive", reason="no claim", explained={"fix": fix})
    lines = [line.strip() for line in summary(unclaimed).splitlines()]
    first = lines.index("no claim")
    assert lines[first + 1 : first + 3] == ["fix: Say what it earned (docs/causes/no-claim.md):", "claims: claims.csv"]


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


def test_evidence_that_repeats_the_reason_is_printed_once() -> None:
    text = summary(row_with_cause("a", "not-runnable", "no module", verdict="error", reason="no module"))
    assert text.count("no module") == 1
    assert "    cause: not-runnable\n" in text


def test_all_causes_are_counted_the_most_frequent_first() -> None:
    causes = ["unexplained", "statistics-missing", "global-generator", "global-generator", "", None]
    models = [trained_row(cause=cause, causes=[]) for cause in causes]
    models.append(external_row(verdict="improved", cause="unexplained", causes=[]))  # nothing is to be repaired
    counted = cause_counts(audit_of(*models).models)
    assert counted == "Causes: global-generator (2), statistics-missing (1), unexplained (1)."
    assert counted in summary(*models).splitlines()
    assert "Causes" not in summary(trained_row(cause="", causes=[]))


def test_what_the_user_says_that_a_model_earned_is_shown_also_where_training_episodes_decide() -> None:
    typed = {"kind": "explicit", "mean": 370.0, "std": None, "n": None, "where": "runs[0]"}
    decided = {"claim_kind": "training", "claim_mean": 68.0, "claims": [typed]}
    assert "    also claimed: 370.00 (runs[0])\n" in summary(external_row(verdict="retained", **decided))
    assert "also claimed" not in summary(external_row(claims=[typed]))


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
    assert max(map(len, text.splitlines())) < 2_500


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


@pytest.mark.parametrize(
    ("environments", "sentence"),
    [
        ([environment_health()], "The environment is reproducible, as far as a probe can see."),
        (
            [environment_health(), environment_health("b")],
            "Both environments are reproducible, as far as a probe can see.",
        ),
        ([environment_health(problem=CLOCK)], "The environment is not reproducible."),
        ([environment_health(problem=CLOCK), environment_health("b")], "1 of 2 environments is not reproducible."),
        (
            [environment_health(problem=("not-runnable", "-")) | {"reproducible": None}],
            "Whether the environment is reproducible is not known.",
        ),
        (
            [environment_health(), environment_health("b", reproducible=True) | {"reproducible": None}],
            "1 of 2 environments is not known to be reproducible.",
        ),
    ],
)
def test_where_environments_alone_are_audited_the_first_sentence_is_about_them(environments, sentence) -> None:
    text = summarize(audit_of(environments=environments), "r")
    assert text.splitlines()[0] == sentence
    assert "models" not in text


@pytest.mark.parametrize(
    ("scripts", "sentence"),
    [
        ([{"gap": 476.0, "differs": True}], "enjoy.py earns less than its model."),
        ([{"gap": -4.0, "differs": True}], "enjoy.py earns more than its model."),
        ([{"gap": 0.3}], "enjoy.py earns what its model earns."),
        ([{"mean": None}], "enjoy.py could not be compared with its model."),
        (
            [{"gap": 4.0, "differs": True}, {"gap": 4.0, "differs": True}, {"model_mean": None}],
            "2 of 3 scripts earn less than their models, 1 could not be compared with its model.",
        ),
    ],
)
def test_where_scripts_alone_are_audited_the_first_sentence_is_about_them(scripts, sentence) -> None:
    measured = {"mean": 9.0, "model_mean": 485.0, "differs": False, "gap": None}
    told = [script_entry(**{**measured, **script}) for script in scripts]
    assert summarize(audit_of(scripts=told), "r").splitlines()[0] == sentence
    assert headline(audit_of(trained_row(), scripts=told)) == (
        f"The model still earns its train-time reward after reload; {sentence}"
    )


@pytest.mark.parametrize("cause", CAUSES)
def test_every_fix_is_said_in_a_few_whole_lines(cause: str) -> None:
    for fix in CAUSES[cause].fixes().values():
        first, *code = short_fix(fix, f"docs/causes/{cause}.md")
        assert first.startswith("fix: ")
        assert first.endswith(f"(docs/causes/{cause}.md){':' if code else '.'}")
        assert len(code) <= 4
        assert [line for line in code if line.strip() not in [whole.strip() for whole in fix.splitlines()]] == []


# --- What is wrong, once -----------------------------------------------------------------------------------------


def paragraphs(*models: dict[str, Any]) -> list[list[str]]:
    """The paragraphs on what is wrong, line by line and without margins."""
    text = summary(*models).partition("What is wrong")[2]
    return [[line.strip() for line in part.splitlines()] for part in text.split("\n\n")[1:] if "Report:" not in part]


def test_models_of_one_cause_in_one_environment_are_one_paragraph_with_all_their_names() -> None:
    evidence = "It is drawn from at a.py:7 in reset."
    models = [row_with_cause(name, "global-generator", evidence, reason=f"earns less, {name}") for name in "abc"]
    (paragraph,) = paragraphs(*models)
    assert paragraph == [
        "global-generator, CartPole-v1: 3 degraded",
        *(f"{name}  degraded  50.00 ± 4.00 → 10.00 ± 1.00" for name in "abc"),
        "the worst: earns less, a",
        f"cause: global-generator: {evidence}",
        "fix: docs/causes/global-generator.md",
    ]


def test_one_cause_in_two_environments_are_two_paragraphs() -> None:
    other = {"env_id": "Pendulum-v1"}
    first, second = paragraphs(row_with_cause("a", "clock", "-"), row_with_cause("b", "clock", "-", **other))
    assert (first[0], second[0]) == ("clock, CartPole-v1: 1 degraded", "clock, Pendulum-v1: 1 degraded")
    assert "fix: docs/causes/clock.md" in first
    assert "fix: docs/causes/clock.md" not in second


def test_evidence_that_differs_from_model_to_model_is_said_of_the_worst_by_name() -> None:
    (paragraph,) = paragraphs(row_with_cause("a", "clock", "It is 9:00."), row_with_cause("b", "clock", "It is 10:00."))
    assert "cause of a: clock: It is 9:00." in paragraph


def test_models_with_the_same_failure_share_a_paragraph_and_those_with_another_cause_do_not() -> None:
    def failed(name: str, cause: str) -> dict[str, Any]:
        return row_with_cause(name, cause, "-", verdict="error", reason="shapes do not match")

    many, one = paragraphs(*(failed(f"m{k:02}", "clock") for k in range(40)), failed("c", "frame-stack-missing"))
    assert many[0] == "clock: 40 error"
    assert "and 32 more" in many
    assert many.count("shapes do not match") == 1
    assert one[0] == "frame-stack-missing: 1 error"


@pytest.mark.parametrize("n", [1, 21, 300])
def test_every_degraded_and_suspect_model_is_named_before_any_inconclusive_one(n: int) -> None:
    causes = ("clock", "hash-order", "curriculum", "global-generator", "unexplained")
    lost = [row_with_cause(f"lost{k}.", causes[k % 5], "-", env_id=f"Env{k % 7}-v0") for k in range(n)]
    likely = [suspect_row(f"likely{k}.", cause="too-few-episodes") for k in range(n)]
    open_ones = [row_with_cause(f"open{k}.", "no-claim", "-", verdict="inconclusive") for k in range(n)]
    text = summary(*open_ones, *likely, *lost)
    first = text.index("open0.")
    assert all(f"{kind}{k}." in text[:first] for kind in ("lost", "likely") for k in range(n))


def test_no_sentence_is_cut_in_its_middle() -> None:
    sentences = [f"Sentence {k} says at examples/corridor.py:{k} that [1, 4, 1, 6] is [4, 0, 1, 4]." for k in range(30)]
    (paragraph,) = paragraphs(row_with_cause("a", "clock", " ".join(sentences)))
    (said,) = [line for line in paragraph if line.startswith("cause: ")]
    kept = said.removeprefix("cause: clock: ").removesuffix(" …")
    assert kept == " ".join(sentences[: kept.count("Sentence")])
    assert kept.count("Sentence") > 3


def test_models_trained_here_are_compared_with_in_place_and_others_with_a_claim_of_a_named_kind() -> None:
    lost = external_row("b", "degraded", claim_kind="model_card", claim_std=None, cause="clock")
    assert "with in place → reload:" in summary(trained_row("a", "degraded"))
    text = summary(trained_row("a", "degraded"), lost)
    assert "with claimed → reload:" in text
    assert "    b  degraded  model card  50.00 → 10.00 ± 1.00\n" in text


def test_a_cause_of_other_models_names_one_of_them_and_its_page() -> None:
    models = [row_with_cause(name, "curriculum", "-", verdict="inconclusive") for name in ("b", "a")]
    lines = summary(
        *(trained_row(f"m{k}") for k in range(8)),
        *models,
        row_with_cause("c", "clock", "-", verdict="improved"),
        row_with_cause("d", "hash-order", "-"),
    ).splitlines()
    assert "Causes: curriculum (2), clock (1), hash-order (1)." in lines
    first = lines.index("Causes of other models, with one of them:")
    assert lines[first + 1 : first + 3] == [
        "  curriculum (2): a, docs/causes/curriculum.md",
        "  clock (1): c, docs/causes/clock.md",
    ]


def test_only_the_most_frequent_of_such_causes_are_named() -> None:
    causes = (row_with_cause("a", cause, "-", verdict="inconclusive") for cause in "gfedcba")
    lines = summary(*causes, trained_row("b"), trained_row("c")).splitlines()
    assert [line for line in lines if line.startswith("  ")] == [
        *(f"  {cause} (1): a" for cause in "abcde"),
        "  and 2 more",
    ]


def test_evidence_of_an_environment_that_a_paragraph_has_shown_is_not_said_again() -> None:
    said = "It reads the clock at a.py:7."
    audit = audit_of(
        row_with_cause("a", "clock", said), environments=[environment_health("E", "a", problem=("clock", said))]
    )
    text = summarize(audit, "r")
    assert text.count(said) == 1
    assert "    clock: see above\n" in text


def test_models_that_kept_their_reward_in_an_irreproducible_environment_are_counted_there() -> None:
    health = environment_health("E", "a", "b", problem=CLOCK)
    text = summarize(audit_of(trained_row("a", "equivalent"), trained_row("b", "degraded"), environments=[health]), "r")
    assert "    1 of its models earns as before, which with other draws may end\n" in text
