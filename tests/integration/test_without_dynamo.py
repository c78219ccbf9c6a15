"""Training without PyTorch's compiler gives the same bits; in new interpreters, because an import stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from reload_audit.processes.isolation import call, prepare

OPTIMIZERS = ["Adam", "AdamW", "RMSprop", "SGD"]


def parameters_learned(optimizer: str, spare: bool) -> tuple[list[bytes], bool]:
    """What PPO has learned, and whether the compiler was imported for it."""
    import sys

    import torch as th
    from stable_baselines3 import PPO

    from reload_audit.models.without_dynamo import spare_compiler

    if spare:
        spare_compiler()
    kind = {"optimizer_class": getattr(th.optim, optimizer)}
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=32, batch_size=16, seed=1, device="cpu", policy_kwargs=kind)
    model.learn(64)
    learned = [parameter.detach().numpy().tobytes() for parameter in model.policy.parameters()]
    return learned, "torch._dynamo" in sys.modules


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers_step_to_the_same_bits_with_and_without_the_compiler(optimizer: str, tmp_path: Path) -> None:
    prepare("spawn", hash_seed=0)
    usual, spared = (
        call(f"{__name__}:parameters_learned", (optimizer, spare), method="spawn", log=tmp_path / "log").value
        for spare in (False, True)
    )
    assert usual[0] == spared[0]
    assert (usual[1], spared[1]) == (True, False)


def test_torch_s_compiler_can_still_be_imported_later(tmp_path: Path) -> None:
    prepare("spawn", hash_seed=0)
    outcome = call(f"{__name__}:steps_with_the_compiler_imported", (), method="spawn", log=tmp_path / "log")
    assert outcome.failure is None
    assert outcome.value == [0.9, 0.8]


def steps_with_the_compiler_imported() -> list[float]:
    """A parameter before and after the compiler is imported, when PyTorch's own ``step`` is back."""
    import torch as th

    from reload_audit.models.without_dynamo import spare_compiler

    spare_compiler()
    parameter = th.ones(1, dtype=th.float64, requires_grad=True)
    optimizer = th.optim.SGD([parameter], lr=0.1)
    parameter.grad = th.ones(1, dtype=th.float64)
    values = []
    for _ in range(2):
        optimizer.step()
        values.append(round(float(parameter), 6))
        import torch._dynamo  # noqa: F401
    return values
