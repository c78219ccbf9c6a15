"""The audit's own configuration of a benchmark, and the models that it leads to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "workflow/schemas"


def resolved_configuration(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with the schema's defaults."""
    from reload_audit.planning.configuration import read_yaml, resolve

    return resolve(config, read_yaml(SCHEMAS / "config.schema.yaml"), "config.yaml")


def external_models(config: dict[str, Any]) -> list[Any]:
    """The external models that a resolved configuration leads to."""
    from reload_audit.planning.configuration import read_yaml
    from reload_audit.planning.discovery.find_models import find_models

    schemas = [read_yaml(SCHEMAS / f"{name}.schema.yaml") for name in ("models", "claims")]
    return [*find_models(config, *schemas).models]
