"""A recording tells in which stack its model was trained; another one is named."""

from __future__ import annotations

import pytest

from reload_audit.forensics.construction_changes import changed_stack
from reload_audit.records.environment_spec import vec_wrappers_of

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
