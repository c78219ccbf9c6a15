"""What causes.yaml declares of causes: a typo is refused by name, and editing words changes nothing measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from reload_audit.causes.catalogue import CAUSES, Fallback, cause_of_obstacle, read_causes
from reload_audit.causes.causes_file import CAUSES_FILE, CausesError, measured_part
from reload_audit.causes.trials import TRIALS, DeclaredTrial
from reload_audit.diagnosis.ranking import Level
from reload_audit.judging.judgement import Obstacle
from reload_audit.records.conditions import Condition, RewardScale, Statistics

Causes = dict[str, Any]
ALL_TRIALS = [trial for declared in TRIALS.values() for trial in declared.trials]


def edited(folder: Path, edit: Callable[[Causes], None]) -> Path:
    """A copy of causes.yaml in which something has been edited, given all causes by their names."""
    groups = yaml.safe_load(CAUSES_FILE.read_text(encoding="utf-8"))
    causes = {name: cause for group in groups.values() for name, cause in group.items()}
    edit(causes)
    path = folder / "causes.yaml"
    path.write_text(yaml.safe_dump(groups, sort_keys=False), encoding="utf-8")
    return path


def trial_of(causes: Causes, name: str) -> dict[str, Any]:
    trial: dict[str, Any] = causes[name]["trials"][-1]
    return trial


TYPOS: dict[str, tuple[Callable[[Causes], Any], str]] = {
    "key of a cause": (
        lambda causes: causes["clock"].update(explanaton="The clock."),
        "causes.yaml, clock: expected no other keys than .*, found 'explanaton'",
    ),
    "no explanation": (
        lambda causes: causes["clock"].pop("explanation"),
        "causes.yaml, clock: expected the key 'explanation', which is not there",
    ),
    "value of a cause": (
        lambda causes: causes["curriculum"].update(gap="enviroment"),
        "causes.yaml, curriculum, gap: expected 'environment' or 'process', found 'enviroment'",
    ),
    "level": (lambda causes: causes["no-claim"].update(fallback="no_clam"), "no-claim, fallback: .* found 'no_clam'"),
    "key of a trial": (
        lambda causes: trial_of(causes, "training-mode").update(wehn={}),
        "causes.yaml, training-mode, trials: expected no other keys than .*, found 'wehn'",
    ),
    "what a condition changes": (
        lambda causes: trial_of(causes, "training-mode").update(condition={"statistic": "fresh"}),
        "training-mode, trials, statistics=updating, condition: .*found 'statistic'",
    ),
    "how an environment is built": (
        lambda causes: trial_of(causes, "time-limit").update(condition={"environment": {"timelimit": 3}}),
        "time-limit, trials, .*, environment: .*found 'timelimit'",
    ),
    "circumstance": (
        lambda causes: trial_of(causes, "training-mode").update(when={"normalised": True}),
        "training-mode, trials, statistics=updating, when: .*found 'normalised'",
    ),
    "placeholder for a circumstance": (
        lambda causes: trial_of(causes, "curriculum").update(condition={"episodes_before": "$episodes_traned"}),
        "curriculum, trials, used environments, placeholders: .*found 'episodes_traned'",
    ),
    "no turn": (
        lambda causes: trial_of(causes, "training-mode").pop("turn"),
        r"training-mode, trials, statistics=updating \(without a turn\): .*found 'for_finding_about'",
    ),
}


@pytest.mark.parametrize("typo", TYPOS)
def test_a_typo_is_refused_with_its_place_and_what_was_expected(typo: str, tmp_path: Path) -> None:
    edit, message = TYPOS[typo]
    with pytest.raises(CausesError, match=message):
        read_causes(edited(tmp_path, edit))


def test_rewording_a_cause_measures_nothing_again(tmp_path: Path) -> None:
    def reword(causes: Causes) -> None:
        for cause in causes.values():
            cause["explanation"] = "Something else."
            cause["fix"] = "# Something else.\n"

    assert measured_part(edited(tmp_path, reword)) == measured_part()


@pytest.mark.parametrize(
    "edit",
    [
        lambda causes: trial_of(causes, "training-mode").update(name="another"),
        lambda causes: causes["statistics-swapped"].pop("subject"),
        lambda causes: causes["clock"].update(trials=[{"name": "late", "condition": {"episodes_before": 3}}]),
    ],
)
def test_editing_a_trial_measures_again(edit: Callable[[Causes], Any], tmp_path: Path) -> None:
    assert measured_part(edited(tmp_path, edit)) != measured_part()


def test_trials_change_only_factors_that_conditions_have() -> None:
    names = {known.name for known in fields(Condition)}
    for trial in ALL_TRIALS:
        assert trial.condition.keys() <= names
        assert trial.condition.get("statistics") in (None, *get_args(Statistics))
        assert trial.condition.get("reward") in (None, *get_args(RewardScale))
    subjects = {declared.subject for declared in TRIALS.values()}
    assert {trial.for_finding_about for trial in ALL_TRIALS} <= subjects


def test_every_obstacle_of_a_judgement_is_one_cause() -> None:
    assert {cause.obstacle for cause in CAUSES.values()} - {None} == set(get_args(Obstacle))
    assert len({cause_of_obstacle(obstacle) for obstacle in get_args(Obstacle)}) == len(get_args(Obstacle))


def test_every_fallback_of_a_cause_has_a_place_in_the_ranking() -> None:
    assert {fallback.upper() for fallback in get_args(Fallback)} <= set(Level.__members__)


def test_a_detail_keeps_its_type_in_a_trial_and_is_never_read_as_a_placeholder() -> None:
    trial = DeclaredTrial("k=$k", {"environment": {"frame_stack": "$k", "env_kwargs": "$kwargs"}})
    values = {"k": 4, "kwargs": {"of": "$k"}}
    assert trial.filled_in(values) == ("k=4", {"environment": {"frame_stack": 4, "env_kwargs": {"of": "$k"}}})


def test_a_trial_is_left_out_if_a_detail_that_it_needs_is_unknown() -> None:
    wrappers = [["module:wrapper", {"dtype": "$dtype", "low": "$low"}]]
    trial = DeclaredTrial("as $dtype", {"environment": {"wrappers": wrappers}}, optional=frozenset({"low"}))
    assert trial.filled_in({"low": 0.0}) is None
    filled = trial.filled_in({"dtype": "uint8", "low": None})
    assert filled == ("as uint8", {"environment": {"wrappers": [["module:wrapper", {"dtype": "uint8"}]]}})
