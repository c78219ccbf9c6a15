"""Training without PyTorch's compiler gives the same bits; in new interpreters, because an import stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from reload_audit.processes.isolation import call, prepare

TARGETS = "support.compiler_targets"  # tests/ is on the path
OPTIMIZERS = ["Adam", "AdamW", "RMSprop", "SGD"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers_step_to_the_same_bits_with_and_without_the_compiler(optimizer: str, tmp_path: Path) -> None:
    prepare("spawn", hash_seed=0)
    usual, spared = (
        call(f"{TARGETS}:parameters_learned", (optimizer, spare), method="spawn", log=tmp_path / "log").value
        for spare in (False, True)
    )
    assert usual[0] == spared[0]
    assert (usual[1], spared[1]) == (True, False)


def test_torch_s_compiler_can_still_be_imported_later(tmp_path: Path) -> None:
    prepare("spawn", hash_seed=0)
    outcome = call(f"{TARGETS}:steps_with_the_compiler_imported", (), method="spawn", log=tmp_path / "log")
    assert outcome.failure is None
    assert outcome.value == [0.9, 0.8]
