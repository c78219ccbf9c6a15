"""A recording tells in which stack its model was trained; another one is named."""

from __future__ import annotations

import pytest

from reload_audit.forensics.construction_changes import changed_stack, recorded_order, recorded_wrappers
from reload_audit.records.environment_spec import WrapperSpec, vec_wrappers_of
from reload_audit.records.manifest import Construction

THEN = ("VecTransposeImage", "VecNormalize", "VecFrameStack", "Mirrored", "DummyVecEnv")
SAME = ("mine.Mirrored", {"VecFrameStack": {"n_stack": 2}}, "VecNormalize")


@pytest.mark.parametrize(
    ("now", "is_now"),
    [
        (("mine.Mirrored", "VecNormalize", {"VecFrameStack": {"n_stack": 2}}), "VecFrameStack, VecNormalize, Mirrored"),
        (({"VecFrameStack": {"n_stack": 2}}, "VecNormalize"), "VecNormalize, VecFrameStack"),
        (("mine.Mirrored", "VecNormalize"), "VecNormalize, Mirrored"),
    ],
)
def test_another_order_or_a_layer_left_out_is_named(now, is_now):
    (finding,) = changed_stack(THEN, vec_wrappers_of(now))
    assert (finding.cause, finding.proof) == ("env-changed", True)
    assert "VecNormalize, VecFrameStack, Mirrored; now it is " + is_now in finding.evidence
    assert "`vec_wrappers: [my_module.Mirrored, VecFrameStack" in str(finding.details["told"])


@pytest.mark.parametrize("now", [SAME, SAME[:2], ("mine:Mirrored", *SAME[1:])])
def test_the_same_stack_is_no_finding(now):
    assert changed_stack(THEN, vec_wrappers_of(now)) == []


def test_a_manifest_without_a_stack_says_nothing():
    assert changed_stack((), vec_wrappers_of(SAME)) == []


def test_the_recorded_order_is_known_where_exactly_the_same_wrappers_are_there():
    swapped = vec_wrappers_of(("mine.Mirrored", "VecNormalize", {"VecFrameStack": {"n_stack": 2}}))
    assert recorded_order(THEN, swapped) == vec_wrappers_of(SAME)
    assert recorded_order(THEN, vec_wrappers_of(SAME)) == ()
    assert recorded_order(THEN, vec_wrappers_of(("VecNormalize", "mine.Mirrored"))) == ()
    (finding,) = changed_stack(THEN, swapped)
    order = [["mine.Mirrored", {}], ["VecFrameStack", {"n_stack": 2}], ["VecNormalize", {}]]
    assert finding.details["order"] == {"vec_wrappers": order}


def test_what_is_inside_a_vec_env_of_one_s_own_is_no_layer():
    own = ("VecNormalize", "Mirrored", "OwnVecEnv", "Doubled", "Simulator")
    assert changed_stack(own, vec_wrappers_of(("mine.Mirrored", "VecNormalize"))) == []
    swapped = vec_wrappers_of(("VecNormalize", "mine.Mirrored"))
    assert [one.name for one in recorded_order(own, swapped)] == ["mine.Mirrored", "VecNormalize"]


def built(*wrappers: str) -> Construction:
    return Construction([*wrappers, "mine.Env"], {}, None, "")


def test_the_recorded_order_of_wrappers_around_each_environment_is_known_likewise():
    now = [WrapperSpec("mine:Inner", {"k": 1}), WrapperSpec("mine.Outer", {})]
    ours, monitor = "reload_audit.environments.Seeded", "stable_baselines3.common.monitor.Monitor"
    is_now = built("mine.Outer", "mine.Inner", ours, monitor, "gymnasium.TimeLimit")
    was = built("mine.Inner", "mine.Outer", monitor, ours, "gymnasium.TimeLimit")
    assert recorded_wrappers(was, is_now, now) == [now[1], now[0]]
    assert recorded_wrappers(is_now, is_now, now) == []
    assert recorded_wrappers(None, is_now, now) == []
    assert recorded_wrappers(built("mine.Inner", "mine.Other", "gymnasium.TimeLimit"), is_now, now) == []
    assert recorded_wrappers(built("mine.Inner", "mine.Outer"), is_now, now) == []
