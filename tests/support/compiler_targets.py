"""What new interpreters run to show that training does without PyTorch's compiler."""

from __future__ import annotations


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
