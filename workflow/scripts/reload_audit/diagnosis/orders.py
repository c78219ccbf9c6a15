"""In which other order the wrappers of a model's environments may have stood in training."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from reload_audit.diagnosis.trials import Order
from reload_audit.environments.build import build_vec_env, close
from reload_audit.environments.stack import order_of, other_orders
from reload_audit.forensics.construction_changes import recorded_order, recorded_wrappers
from reload_audit.reading.statistics import SavedStatistics
from reload_audit.records.environment_spec import EnvironmentSpec, WrapperSpec
from reload_audit.records.manifest import ActsOn


def orders_to_try(
    environment: EnvironmentSpec, then: ActsOn | None, statistics: SavedStatistics | None
) -> Iterator[Order]:
    """The recorded order, or else those of the wrappers around the VecEnv that statistics fit.

    :param then: what the model acted on when it was saved, where that was recorded
    """
    if then is not None and then.construction is not None and len(environment.wrappers) > 1:
        try:
            venv = build_vec_env(environment.unnormalized(), 1, seed=0)
        except Exception:  # the canonical condition has said so
            return
        (built,) = venv.env_method("construction", indices=0)
        close(venv)
        if wrappers := recorded_wrappers(then.construction, built, environment.wrappers):
            yield "wrappers", wrappers
    for order in _around_the_vec_env(environment, () if then is None else then.vec_env_stack, statistics):
        yield "vec_wrappers", order


def _around_the_vec_env(
    environment: EnvironmentSpec, then: Sequence[str], statistics: SavedStatistics | None
) -> list[tuple[WrapperSpec, ...]]:
    if not any(re.search("[.:]", wrapper.name) for wrapper in environment.vec_wrappers):
        return []
    now, fitting = environment.vec_wrappers, list[tuple[WrapperSpec, ...]]()
    if statistics is not None:
        try:
            venv = build_vec_env(environment, 1, seed=0, normalizer=statistics.around)
        except Exception:
            return []
        now = order_of(venv, now)
        fitting = other_orders(venv, now)
        close(venv)
    recorded = recorded_order(then, now)
    return [recorded] if recorded else fitting if not then else []
