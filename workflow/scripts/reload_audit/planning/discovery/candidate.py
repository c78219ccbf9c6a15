"""One model while it is being looked up: what its files say, what the user says, what neither says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reload_audit.planning.discovery.names import stochastic_by_custom
from reload_audit.reading.refusal import shown

# What a user can say about models, in an entry of `runs` or a row of a table.
GIVEN = ("algo", "env", "env_kwargs", "wrappers", "frame_stack", "n_envs", "deterministic", "device")


@dataclass
class Found:
    """Fields are those of ``specs.ExternalSpec`` where nothing else is said; empty texts stand for what is not known.

    :param real: the zip's path without any link
    :param run: what models of one training run have in common
    :param deterministic: None for what is usual with the environment
    :param own: what the user says of it
    :param open_questions: what only the user can answer, each with the keys that answer it
    """

    path: str
    real: str
    name: str
    source: str
    role: str
    run: str
    group: str = ""
    algo: str = ""
    env: str = ""
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    wrappers: list[Any] = field(default_factory=list)
    monitor: str = "env"
    frame_stack: int | None = None
    n_envs: int | None = None
    deterministic: bool | None = None
    device: str = "cpu"
    normalized: bool | None = None
    statistics: str | None = None
    evaluations: str | None = None
    model_card: str | None = None
    results: str | None = None
    monitors: list[str] = field(default_factory=list)
    recording: str | None = None
    claim: dict[str, Any] | None = None
    own: frozenset[str] = frozenset()
    open_questions: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    problem: str | None = None

    def give(self, given: Mapping[str, Any]) -> None:
        """Take the user's word for it, whatever the files say."""
        for key in GIVEN:
            if key in given:
                value = given[key]
                setattr(self, key, int(value) if key in ("n_envs", "frame_stack") and value is not None else value)
        self.open_questions = [(keys, text) for keys, text in self.open_questions if not given.keys() & set(keys)]
        self.own |= given.keys()

    @property
    def named_by_user(self) -> list[str]:
        """What of all that is imported for its environment is the user's own word."""
        return [key for key in ("env", "wrappers") if key in self.own]

    def questions(self) -> list[str]:
        """What is not known and must be, unless there is a problem already."""
        if self.problem:
            return []
        unknown = ["no algorithm"] * (not self.algo) + ["no environment"] * (not self.env)
        return [*unknown, *(text for _, text in self.open_questions)]

    def entry(self, model: str, python_path: list[str]) -> dict[str, Any]:
        """As plain data: see ``specs.ExternalSpec``."""
        deterministic = self.deterministic
        if deterministic is None:
            deterministic = not stochastic_by_custom(self.env, self.wrappers)
        entry = {
            "model": model,
            **{key: getattr(self, key) for key in ("source", "group", "role", "algo", "device")},
            "deterministic": deterministic,
            **{key: getattr(self, key) for key in ("path", "statistics", "normalized", "n_envs")},
            "environment": {
                "env": self.env,
                "env_kwargs": self.env_kwargs,
                "wrappers": self.wrappers,
                "monitor": self.monitor,
                "normalize": self.statistics is not None,
                "frame_stack": self.frame_stack,
                "python_path": list(python_path),
            },
            "named_by_user": self.named_by_user,
            **{key: getattr(self, key) for key in ("claim", "evaluations", "model_card", "results", "monitors")},
            "recording": self.recording,
            "problem": self.problem,
        }
        return entry if _is_text(entry) else _without_odd_names(entry)


def _is_text(entry: Mapping[str, Any]) -> bool:
    """Whether all paths are Unicode, so that they can be handed on."""
    paths = [entry["path"], entry["group"], *entry["monitors"]]
    paths += [entry[key] for key in _EVIDENCE if entry[key] is not None]
    try:
        "".join(paths).encode()
    except UnicodeEncodeError:
        return False
    return True


_EVIDENCE = ("statistics", "evaluations", "model_card", "results", "recording")


def _without_odd_names(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        **entry,
        **dict.fromkeys(_EVIDENCE),
        "environment": {**entry["environment"], "normalize": False},
        "monitors": [],
        "path": shown(entry["path"]),
        "group": shown(entry["group"]),
        "problem": f"{shown(entry['path'])}: expected a path in UTF-8, found other bytes; rename it",
    }
