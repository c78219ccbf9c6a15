"""What to do where models do not say how they are run: in a configuration, or on ``reload-audit``'s command line."""

from __future__ import annotations

import os

AGAIN = "RELOAD_AUDIT_AGAIN"
"""The environment variable in which ``reload-audit`` says its own command line to the workflow that it starts."""

PROPOSAL = "proposed.yaml"
"""The file of a configuration that would answer what is asked, in the folder of results."""


def how_to_say() -> list[str]:
    """How a user says what is asked, line by line."""
    again = os.environ.get(AGAIN)
    if again:
        return [f"  Say it: {again} --env CartPole-v1 --algo PPO", "  (for models that differ: reload-audit init)"]
    return [
        "  Say it for a whole folder, with an entry of `runs` such as {folder: ..., algo: PPO, env: CartPole-v1};",
        "  or for one model, with a row of a table under `models` that has the same path; or leave it out: `exclude`.",
    ]


def how_to_accept(file: object) -> str:
    """The command that accepts a configuration that was proposed.

    :param file: that holds it
    """
    again = os.environ.get(AGAIN)
    return f"{again} --yes" if again else f"snakemake --cores 2 --configfile {file}"
