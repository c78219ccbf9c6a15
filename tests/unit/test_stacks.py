"""The wrappers of a VecEnv stand in any order, and VecNormalize where its statistics fit if nobody says where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import planted
import pytest
import stacks
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecFrameStack, VecNormalize, VecTransposeImage

from reload_audit.environments.stack import (
    LayerProblem,
    layers_of,
    order_of,
    other_orders,
    put_around,
    vec_wrapper_class,
)
from reload_audit.processes.imports import ImportProblem
from reload_audit.reading.refusal import Unreadable
from reload_audit.reading.statistics import SavedStatistics, read_statistics
from reload_audit.records.environment_spec import WrapperSpec, vec_wrappers_of

STACK = {"VecFrameStack": {"n_stack": 3}}
MIRRORED = {"stacks.Mirrored": {"scale": 2.0}}

TRAINED: dict[str, Callable[[VecEnv], VecEnv]] = {
    "VecNormalize, VecFrameStack": lambda venv: VecFrameStack(VecNormalize(venv), 3),
    "VecFrameStack, VecNormalize": lambda venv: VecNormalize(VecFrameStack(venv, 3)),
    "Mirrored, VecFrameStack, VecNormalize": lambda venv: VecNormalize(VecFrameStack(stacks.Mirrored(venv, 2.0), 3)),
    "Mirrored, VecNormalize, VecFrameStack": lambda venv: VecFrameStack(VecNormalize(stacks.Mirrored(venv, 2.0)), 3),
}


def shifts() -> VecEnv:
    return DummyVecEnv([stacks.Shift, stacks.Shift])


def specs(*entries: Any) -> tuple[WrapperSpec, ...]:
    return vec_wrappers_of(entries)


def saved(venv: VecEnv, folder: Path) -> SavedStatistics:
    """The statistics of a stack that has run for some steps."""
    normalize = next(layer for layer in layers_of(venv) if isinstance(layer, VecNormalize))
    observed(venv)
    normalize.save(str(folder / "vecnormalize.pkl"))
    return read_statistics(folder / "vecnormalize.pkl")


def observed(venv: VecEnv) -> np.ndarray:
    """What a policy would see in a few episodes."""
    venv.seed(5)
    first = venv.reset()
    return np.stack([first, *(venv.step(np.array([step % 2] * venv.num_envs))[0] for step in range(25))])


def named(venv: VecEnv) -> list[str]:
    return [type(layer).__name__ for layer in layers_of(venv)]


@pytest.mark.parametrize("trained", TRAINED)
def test_statistics_tell_where_vec_normalize_stood(trained: str, tmp_path: Path) -> None:
    stack = TRAINED[trained](shifts())
    statistics = saved(stack, tmp_path)
    said = specs(*([MIRRORED] if "Mirrored" in trained else []), STACK)
    found = put_around(shifts(), said, statistics.around)
    assert ", ".join(named(found)) == trained
    normalize = next(layer for layer in layers_of(stack) if isinstance(layer, VecNormalize))
    normalize.training = False
    assert np.array_equal(observed(found), observed(stack))
    assert [entry.name.removeprefix("stacks.") for entry in order_of(found, said)] == trained.split(", ")


def test_a_place_that_is_said_is_kept(tmp_path: Path) -> None:
    statistics = saved(VecNormalize(stacks.Mirrored(shifts(), 2.0)), tmp_path)
    orders = [(MIRRORED, "VecNormalize"), ("VecNormalize", MIRRORED)]
    found = [put_around(shifts(), specs(*order), statistics.around) for order in orders]
    assert [named(stack) for stack in found] == [["Mirrored", "VecNormalize"], ["VecNormalize", "Mirrored"]]


@pytest.mark.parametrize(
    ("said", "others"),
    [
        (("VecMonitor", MIRRORED, "VecNormalize"), ["VecMonitor, VecNormalize, Mirrored"]),
        (("VecNormalize", MIRRORED, "VecMonitor"), ["Mirrored, VecNormalize, VecMonitor"]),
        (
            (MIRRORED, "VecNormalize", "stacks.Clipped"),
            ["VecNormalize, Mirrored, Clipped", "Mirrored, Clipped, VecNormalize"],
        ),
        (("VecNormalize", MIRRORED, STACK), ["Mirrored, VecNormalize, VecFrameStack"]),
        (("VecMonitor", "VecNormalize", STACK), []),
    ],
)
def test_other_orders_have_vec_normalize_on_other_sides_of_one_s_own_wrappers(said, others, tmp_path) -> None:
    statistics = saved(VecNormalize(shifts()), tmp_path)
    found = other_orders(put_around(shifts(), specs(*said), statistics.around), specs(*said))
    assert [", ".join(one.name.removeprefix("stacks.") for one in order) for order in found] == others


def test_a_place_that_statistics_do_not_fit_is_refused_with_the_line_that_fits(tmp_path: Path) -> None:
    statistics = saved(VecNormalize(VecFrameStack(shifts(), 3)), tmp_path)
    with pytest.raises(Unreadable, match="fit") as refusal:
        put_around(shifts(), specs("VecNormalize", STACK), statistics.around)
    assert 'vec_wrappers: [{"VecFrameStack": {"n_stack": 3}}, "VecNormalize"]' in str(refusal.value)


def test_statistics_of_other_observations_fit_nowhere(tmp_path: Path) -> None:
    statistics = saved(VecNormalize(VecFrameStack(shifts(), 4)), tmp_path)
    with pytest.raises(Unreadable, match=r"expected them for observations of shape \(2,\), found \(8,\)"):
        put_around(shifts(), specs(STACK), statistics.around)


def test_statistics_of_images_that_were_transposed_first(tmp_path: Path) -> None:
    def images() -> VecEnv:
        return DummyVecEnv([planted.Images])

    statistics = saved(VecNormalize(VecTransposeImage(images())), tmp_path)
    assert named(put_around(images(), (), statistics.around)) == ["VecTransposeImage", "VecNormalize"]


def test_a_dictionary_of_observations_is_normalised_around_stacked_frames(tmp_path: Path) -> None:
    trained = VecNormalize(VecFrameStack(DummyVecEnv([stacks.Parts]), 2), norm_obs_keys=["near"])
    statistics = saved(trained, tmp_path)
    found = put_around(DummyVecEnv([stacks.Parts]), specs({"VecFrameStack": {"n_stack": 2}}), statistics.around)
    assert named(found) == ["VecFrameStack", "VecNormalize"]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            {"stacks.Mirrored": {"size": 1}},
            r'putting \{"stacks.Mirrored": \{"size": 1\}\} around VecMonitor raised Type',
        ),
        ("stacks.Shift", r"putting \"stacks.Shift\" around VecMonitor raised TypeError"),
        ("builtins.id", "gave int; expected a VecEnv"),
    ],
)
def test_a_wrapper_that_cannot_be_put_there_is_named(entry: Any, said: str) -> None:
    with pytest.raises(LayerProblem, match=said):
        put_around(shifts(), specs("VecMonitor", entry), None)


@pytest.mark.parametrize("name", ["VecFramestack", "DummyVecEnv", "Mirrored", "nowhere.Mirrored"])
def test_a_name_that_leads_to_no_wrapper_is_refused(name: str) -> None:
    with pytest.raises(ImportProblem):
        vec_wrapper_class(name)


def test_wrappers_are_called_alike_however_they_are_spelt() -> None:
    prefix = "stable_baselines3.common.vec_env"
    spelt: Sequence[str] = (f"{prefix}.VecMonitor", f"{prefix}:VecMonitor", f"{prefix}.vec_monitor.VecMonitor")
    assert [specs(name) for name in spelt] == [specs("VecMonitor")] * 3
