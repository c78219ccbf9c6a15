"""Configurations of one small experiment, resolved or refused."""

from __future__ import annotations

from typing import Any

import pytest

from reload_audit.planning.configuration import ConfigError, resolve
from support.builders import SCHEMA

SOURCE = "config/config.yaml"
"""What the file of the configuration is called in messages."""


def experiment(**changes: Any) -> dict[str, Any]:
    return {"name": "ppo", "algo": "PPO", "env": "CartPole-v1", "total_timesteps": 1000, **changes}


def config(*experiments: dict[str, Any], **sections: Any) -> dict[str, Any]:
    """A configuration as it is written, without defaults."""
    return {"experiments": list(experiments) or [experiment()], **sections}


def resolved(written: dict[str, Any]) -> dict[str, Any]:
    return resolve(written, SCHEMA, SOURCE)


def complaint(written: dict[str, Any]) -> str:
    """The message with which a configuration is refused."""
    with pytest.raises(ConfigError) as raised:
        resolved(written)
    return str(raised.value)
