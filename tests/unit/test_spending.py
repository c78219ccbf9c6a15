"""The error rate that is spent over the looks: held against gsdesign, published boundaries and simulation."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest
from scipy import stats

from reload_audit.judging.comparison import compare_paired
from reload_audit.judging.spending import USUAL_SHARE, Looks, nominal_alpha, nominal_levels, sequential_p, spent
from support.builders import CRITERIA, ROOT

sys.path.append(str(ROOT / "benchmarks"))

import decisions

USUAL = Looks(CRITERIA.looks)
LOOKS = [(20, 40, 80, 160, 320), (20, 40, 80, 100), (7, 20, 21, 24, 300), (10, 20), (50,), (20, 640, 2560)]
DEFAULT = Looks((20, 40, 80, 160, 320), (640, 1280, 2560))


def levels(looks: tuple[int, ...] | Looks, alpha: float = 0.05) -> np.ndarray:
    planned = looks if isinstance(looks, Looks) else Looks(looks)
    return np.array([nominal_alpha(alpha, planned, look) for look in planned.all])


def first_crossings(nominal: np.ndarray, information: np.ndarray) -> list[float]:
    """The probability of crossing at each look for the first time, without a difference, as gsdesign integrates it."""
    import gsdesign

    points, bounds = 100, stats.norm.isf(nominal)
    found, before, grid = [], None, None
    for now, bound in zip(information.astype(float), bounds, strict=True):

        def density(low, high, now=now, before=before, grid=grid):
            if grid is None:
                return gsdesign.h1(points, 0.0, now, low, high)
            return gsdesign.hupdate(points, 0.0, now, low, high, 0.0, before, grid)

        found.append(float(np.sum(density(bound, np.inf)[2])))
        before, grid = now, density(-np.inf, bound)
    return found


# --- The boundary ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("looks", LOOKS)
@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_each_look_is_crossed_first_as_often_as_is_spent_there(looks, alpha):
    crossed = first_crossings(levels(looks, alpha), np.array(looks))
    assert crossed == pytest.approx(alpha * np.diff(spent(np.array([0, *looks]) / looks[-1])), rel=1e-4)
    assert sum(crossed) == pytest.approx(alpha, rel=1e-5)


@pytest.mark.parametrize(
    ("cumulative", "boundary"),
    [  # one-sided 0.025, five equal looks: as in gsDesign's documentation of sfLDPocock and sfLDOF
        (lambda t: 0.025 * spent(t), [2.438, 2.427, 2.410, 2.397, 2.386]),
        (lambda t: 2 * stats.norm.sf(stats.norm.isf(0.0125) / np.sqrt(t)), [4.877, 3.357, 2.680, 2.290, 2.031]),
    ],
    ids=["Pocock-type", "O'Brien-Fleming-type"],
)
def test_the_boundaries_of_lan_and_demets_are_those_published(cumulative, boundary):
    nominal = nominal_levels(cumulative(np.arange(1, 6) / 5)[None], np.arange(1.0, 6.0))[0]
    assert stats.norm.isf(nominal) == pytest.approx(boundary, abs=6e-4)


def test_a_fifth_of_the_error_rate_is_left_for_further_looks():
    crossed = first_crossings(levels(DEFAULT), np.array(DEFAULT.all))
    assert sum(crossed) == pytest.approx(0.05, rel=1e-5)
    assert sum(crossed[:5]) == pytest.approx(0.05 * USUAL_SHARE, rel=1e-5)
    assert crossed[:5] == pytest.approx(
        USUAL_SHARE * np.array(first_crossings(levels(USUAL), np.array(USUAL.all))), rel=1e-4
    )


@pytest.mark.parametrize("claimed", [2, 7, 20, 100, 1_000, 50_000])
def test_beside_a_claim_that_was_measured_once_the_looks_overlap_more_and_their_levels_are_larger(claimed):
    looks = DEFAULT.against(claimed)
    crossed = first_crossings(levels(looks), 100 * looks.information(looks.all))
    assert sum(crossed) == pytest.approx(0.05, rel=1e-4)
    assert all(mine >= alone * 0.999 for mine, alone in zip(levels(looks), levels(DEFAULT), strict=False))


def test_looks_that_would_add_next_to_nothing_to_a_claim_are_not_planned():
    assert DEFAULT.against(2).all == (20, 40, 80, 160)
    assert DEFAULT.against(0.0).all == (20,)
    assert DEFAULT.against(100).all == DEFAULT.all
    assert DEFAULT.against(np.inf) == DEFAULT


def test_a_single_look_has_all_of_alpha():
    assert nominal_alpha(0.05, Looks((50,)), 50) == pytest.approx(0.05, rel=1e-9)


def test_more_than_an_even_share_is_left_for_the_last_looks():
    assert (levels(CRITERIA.looks) > 0.01).tolist() == [False, False, True, True, True]


@pytest.mark.parametrize("looks", [(100, 101, 102, 103), (20, 3_000, 3_001), tuple(range(1_000, 1_020))])
def test_looks_that_add_next_to_nothing_cost_some_of_the_error_and_never_add_to_it(looks):
    crossed = first_crossings(levels(looks), np.array(looks))
    assert 0.02 < sum(crossed) <= 0.05


@pytest.mark.parametrize("episodes", [2, 5, 20, 21, 100, 320, 5000])
def test_a_model_has_all_of_alpha_wherever_its_recording_ends(episodes):
    looks = CRITERIA.up_to(episodes).looks
    assert looks[-1] == episodes
    assert sum(first_crossings(levels(looks), np.array(looks))) == pytest.approx(0.05, rel=1e-5)
    assert CRITERIA.up_to(episodes).up_to(episodes).looks == looks


def test_a_test_between_two_looks_is_a_look_of_its_own():
    assert nominal_alpha(0.05, Looks((20, 40)), 30) == nominal_alpha(0.05, Looks((20, 30, 40)), 30)
    assert nominal_alpha(0.05, Looks(()), 30) == pytest.approx(0.05)


# --- P-values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("look", CRITERIA.looks)
@pytest.mark.parametrize("alpha", [1e-11, 1e-6, 0.003, 0.02, 0.3])
def test_p_is_the_error_rate_at_which_the_boundary_would_just_have_been_crossed(look, alpha):
    alone = nominal_alpha(alpha, USUAL, look)
    assert sequential_p(alone, 0.05, USUAL, look) == pytest.approx(alpha, rel=2e-3)


@pytest.mark.parametrize("look", CRITERIA.looks)
def test_p_is_below_alpha_exactly_where_the_boundary_is_crossed(look):
    at = nominal_alpha(0.05, USUAL, look)
    assert sequential_p(at * (1 - 1e-9), 0.05, USUAL, look) < 0.05
    assert sequential_p(at * (1 + 1e-9), 0.05, USUAL, look) > 0.05


@pytest.mark.parametrize("look", CRITERIA.looks)
def test_p_grows_with_the_p_of_the_test_alone_and_is_never_less(look):
    alone = np.array([0.0, 1e-300, *np.geomspace(1e-16, 1, 200)])
    corrected = [sequential_p(p, 0.05, USUAL, look) for p in alone]
    assert np.all(np.diff(corrected) >= 0)
    assert np.all(corrected >= alone)
    assert (corrected[0], corrected[-1]) == (0.0, 1.0)


def test_the_smallest_p_of_all_looks_is_as_small_as_x_at_most_with_probability_x():
    rng, trials, looks = np.random.default_rng(7), 4_000, CRITERIA.looks
    smallest = []
    for _ in range(trials):
        differences = rng.standard_normal(looks[-1]) - 1.0  # exactly the margin is lost
        smallest.append(min(compare_paired(differences[:look], 1.0, CRITERIA).p_degraded for look in looks))
    for x in (0.01, 0.05, 0.1, 0.2, 0.5):
        # The t statistics add a hundredth to a normal test's error.
        assert np.mean(np.array(smallest) <= x) <= 1.01 * x + 3 * np.sqrt(x * (1 - x) / trials), x


# --- What is documented --------------------------------------------------------------------------------------------

DOCUMENT = (ROOT / "docs/statistics.md").read_text(encoding="utf-8")


def test_the_documented_levels_are_those_of_the_default_looks():
    row = re.search(r"^\| nominal one-sided level \|(.*)\|$", DOCUMENT, re.MULTILINE)
    assert row is not None
    assert [float(cell) for cell in row[1].split("|")] == pytest.approx(levels(CRITERIA.looks), abs=6e-6)


def documented(margin: str, truth: str) -> list[list[tuple[float, float]]]:
    """The cells of a row in both tables, as pairs of numbers."""
    simulated = DOCUMENT.partition("<!-- simulated: spending -->")[2].partition("<!-- /simulated: spending -->")[0]
    rows = re.findall(rf"^\| {re.escape(margin)} \| {truth} \|(.*)\|$", simulated, re.MULTILINE)
    return [[tuple(float(n.strip(" %")) for n in cell.split(",")) for cell in row.split("|")] for row in rows]


@pytest.mark.parametrize("truth", decisions.TRUTHS)
@pytest.mark.parametrize("margin", [0.2, 1.0])
def test_the_documented_table_is_what_is_simulated(margin, truth):
    in_margins = decisions.TRUTHS[truth]
    found = [decisions.simulate(way, margin, in_margins * margin, 4_000) for way in decisions.WAYS.values()]
    for stopped, row in enumerate(documented(f"{margin:g}", truth)):
        for outcome, (percent, other) in zip((both[stopped] for both in found), row, strict=True):
            right = outcome.equivalent if in_margins == 0.0 else outcome.degraded
            assert 100 * right == pytest.approx(percent, abs=2.0)
            if in_margins == -1.0:
                assert 100 * outcome.equivalent == pytest.approx(other, abs=1.2)
                assert max(percent, other) <= 5.05
            else:
                assert outcome.episodes == pytest.approx(other, rel=0.03)


def test_what_is_simulated_is_what_the_audit_does():
    rng, looks = np.random.default_rng(1), decisions.LOOKS
    differences = rng.standard_normal((300, looks[-1])) - 0.2
    criteria = CRITERIA
    called = []
    for one in differences:
        decided = (compare_paired(one[:look], 0.2, criteria).decision for look in looks)
        called.append(next((decision for decision in decided if decision not in (None, "retained")), None))
    first, _ = decisions.simulate(decisions.WAYS["Pocock-type"], 0.2, -0.2, 300)
    assert (called.count("degraded") / 300, called.count("equivalent") / 300) == (first.degraded, first.equivalent)
