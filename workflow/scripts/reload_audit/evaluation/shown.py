"""What a script makes of observations before the policy is given them, made again."""

from __future__ import annotations

from typing import Any

import numpy as np

from reload_audit.records.environment_spec import Arguments


def shown_as(observations: Any, how: Arguments) -> Any:
    """Observations side by side, or a dictionary of such, as ``shown`` of a condition says, of their own dtype."""
    if isinstance(observations, dict):
        return {key: shown_as(part, how) for key, part in observations.items()}
    made = np.reshape(observations, (len(observations), -1))
    made = made[:, how["order"]] if "order" in how else made
    if "factors" in how:
        made = np.clip(made * np.asarray(how["factors"]) + how["shifts"], -how["bound"], how["bound"])
    made = np.round(made, how["decimals"]) if "decimals" in how else made
    made = made.astype(how["dtype"]) if "dtype" in how else made
    return made.reshape(observations.shape).astype(observations.dtype)
