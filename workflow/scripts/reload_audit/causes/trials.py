"""Which conditions are worth trying for each cause, as ``causes.yaml`` declares them, and when.

This is the part of ``causes.yaml`` that decides what is measured; ``causes.catalogue`` reads all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from string import Template
from typing import Any

from reload_audit.causes.causes_file import CAUSES_FILE, check_keys, keys_of, measured_part
from reload_audit.causes.finding import Detail

_CONDITION = {
    *("deterministic", "statistics", "statistics_file", "reward", "carry_state", "give_masks"),
    *("episodes_before", "environment"),
}
"""What a trial may change of the canonical condition: fields of :class:`reload_audit.records.conditions.Condition`."""

_ENVIRONMENT = {"time_limit", "frame_stack", "env_kwargs", "wrappers", "set_on_vec_env"}
"""What a trial may change of how the environment is built: see ``environment`` of the same class."""


@dataclass(frozen=True)
class Circumstances:
    """What is known of a model that decides which trials make sense.

    :param claimed: whether the reward to be explained is a claim, so that it is not known how it was measured
    :param runs: whether the canonical condition gave episodes
    :param lost: whether a loss or gain is shown, or the model does not run at all
    :param environment_gap: whether the loss is known to appear as soon as environments are built anew
    :param statistics: whether there are VecNormalize statistics
    :param never_normalized: whether it is proved that the model was trained without VecNormalize
    :param paired: whether the statistics are proved to be its own
    :param norm_reward: whether they normalise rewards
    :param dictionary: whether observations are dictionaries
    :param recurrent: whether its policy carries a state from step to step
    :param maskable: whether its policy takes action masks
    :param deterministic: whether the canonical condition uses deterministic actions
    :param time_limit: whether its environments end episodes as they are registered to
    :param other_device: a device that policies do not run on by default, if there is one
    :param episodes_trained: episodes that each training environment has seen
    :param forced: whether every condition that is possible is wanted, for a table of what the model is sensitive to
    :param own_wrappers_inside: whether wrappers of a VecEnv that are the user's own stand inside VecNormalize
    """

    claimed: bool
    runs: bool
    lost: bool
    environment_gap: bool
    statistics: bool
    never_normalized: bool
    paired: bool
    norm_reward: bool
    dictionary: bool
    recurrent: bool
    maskable: bool
    deterministic: bool
    time_limit: bool
    other_device: str | None
    episodes_trained: int
    forced: bool = False
    own_wrappers_inside: bool = False

    @property
    def measuring_in_doubt(self) -> bool:
        """Whether the reward that is to be explained may have been measured in another way."""
        return self.runs and ((self.lost and self.claimed) or self.forced)

    @property
    def environments_in_doubt(self) -> bool:
        """Whether the environments that the model was trained in may have differed from freshly built ones."""
        return self.runs and self.lost and (self.environment_gap or self.claimed)

    def are(self, wanted: Mapping[str, bool]) -> bool:
        """Whether all circumstances that are named have these values."""
        return all(getattr(self, name) == value for name, value in wanted.items())


_CIRCUMSTANCES = {*(known.name for known in fields(Circumstances)), "measuring_in_doubt", "environments_in_doubt"}


@dataclass(frozen=True)
class DeclaredTrial:
    """A condition that ``causes.yaml`` declares for a cause; ``$name`` in it is a placeholder.

    One without a turn is asked for by every finding of its cause, whose details fill it in. One with a turn is made
    once, where the circumstances are as ``when`` says; the circumstances fill it in.

    :param name: of the condition
    :param condition: what it changes of the canonical condition
    :param optional: placeholders whose entry is left out where the value is not known; for want of any other the whole
        trial is not made
    :param turn: the place among all trials with a turn
    :param when: values that the circumstances must have
    :param with_finding: whether a finding of its cause is needed, too
    :param details: what the fix of its cause may name
    :param for_finding_about: where there is a finding about this subject, the trial speaks for that finding's cause
    """

    name: str
    condition: Mapping[str, Detail]
    optional: frozenset[str] = frozenset()
    turn: int | None = None
    when: Mapping[str, bool] = field(default_factory=dict)
    with_finding: bool = False
    details: Mapping[str, Detail] = field(default_factory=dict)
    for_finding_about: str | None = None

    def filled_in(self, values: Mapping[str, Detail]) -> tuple[str, dict[str, Any]] | None:
        """Its name, and what it changes of the canonical condition; None where a value that it needs is not known.

        A value replaces its placeholder with its own type (a number stays a number); a ``$`` in it has no meaning.
        """
        known = {name: value for name, value in values.items() if value is not None and value != ""}
        try:
            return Template(self.name).substitute(known), self._mapping_filled(self.condition, known)
        except KeyError:
            return None

    def _filled(self, part: Detail, known: Mapping[str, Detail]) -> Detail:
        if isinstance(part, Mapping):
            return self._mapping_filled(part, known)
        if isinstance(part, list):
            return [self._filled(item, known) for item in part]
        name = _placeholder(part)
        return part if name is None else known[name]

    def _mapping_filled(self, part: Mapping[str, Detail], known: Mapping[str, Detail]) -> dict[str, Any]:
        left_out = self.optional - known.keys()
        return {key: self._filled(value, known) for key, value in part.items() if _placeholder(value) not in left_out}


@dataclass(frozen=True)
class CauseTrials:
    """What is tried for one cause.

    :param subject: what a finding of this cause is about, where trials are declared for all that is about it
    """

    subject: str | None
    trials: tuple[DeclaredTrial, ...]


def trials_by_cause(path: Path = CAUSES_FILE) -> dict[str, CauseTrials]:
    """What is tried for each cause for which anything is.

    :raises CausesError: a key or a name is unknown
    """
    return {
        name: CauseTrials(part.get("subject"), declared_trials(f"{path.name}, {name}", part.get("trials", [])))
        for name, part in measured_part(path).items()
    }


def declared_trials(where: str, data: Iterable[Any]) -> tuple[DeclaredTrial, ...]:
    """The trials that one cause declares.

    :param where: what to call the place in a message
    :param data: the list under ``trials``
    :raises CausesError: a key or a name is unknown
    """
    return tuple(_declared(f"{where}, trials", entry) for entry in data)


def _declared(where: str, data: Any) -> DeclaredTrial:
    entry = dict(keys_of(data, where))
    check_keys(where, entry, (known.name for known in fields(DeclaredTrial)), ("name", "condition"))
    where = f"{where}, {entry['name']}"
    check_keys(f"{where}, condition", keys_of(entry["condition"], where), _CONDITION)
    environment = entry["condition"].get("environment", {})
    check_keys(f"{where}, environment", keys_of(environment, where), _ENVIRONMENT)
    check_keys(f"{where}, when", keys_of(entry.get("when", {}), where), _CIRCUMSTANCES)
    if "turn" in entry:
        placeholders = re.findall(r"\$(\w+)", f"{entry['name']} {entry['condition']}")
        check_keys(f"{where}, placeholders", placeholders, _CIRCUMSTANCES)
    else:
        check_keys(f"{where} (without a turn)", entry, ("name", "condition", "optional"))
    return DeclaredTrial(**{**entry, "optional": frozenset(entry.get("optional", ()))})


def _placeholder(value: Detail) -> str | None:
    """The name in a placeholder ``$name``; None for any other value."""
    return value[1:] if isinstance(value, str) and value.startswith("$") else None


TRIALS = trials_by_cause()
"""What is tried, by cause; in the order of ``causes.yaml``."""
