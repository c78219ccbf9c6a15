"""Why a reloaded model may earn something else: every cause that the audit can name, with all its properties.

An instrument (forensics, probe, conditions) returns findings; ``diagnosis`` ranks them. All properties of a cause are
in ``causes.yaml``; docs/causes has a page of each, with its symptom, its mechanism, and how it is proved. Code that
measures imports ``causes.trials`` instead, so that a reworded explanation makes no model run again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from reload_audit.causes.causes_file import CAUSES_FILE, CausesError, check_keys, entries
from reload_audit.causes.finding import Detail
from reload_audit.causes.fixes import ANY_MODEL, Circumstance, ModelToFix, written_fix
from reload_audit.causes.trials import DeclaredTrial, declared_trials

Language = Literal["python", "yaml"]
Gap = Literal["environment", "process"]
StatedReward = Literal["wrong", "wrong if too low"]
Fallback = Literal["too_few_episodes", "does_not_run", "no_claim", "numerics", "obstacle", "presumed"]


@dataclass(frozen=True)
class Cause:
    """One reason why a reloaded model may earn something else than it did, as ``causes.yaml`` describes it.

    :param group: where it lies: the heading that it stands under in ``causes.yaml``, such as "In the environment"
    :param explanation: one sentence
    :param fix: code to paste, by where it differs; ``$name`` stands for a finding's detail, or for what a model has
    :param defaults: values for ``$name`` where the finding has no such detail
    :param language: of the fix; YAML is for the audit's own configuration
    :param gap: where a loss that it causes appears: as soon as environments are built anew (``environment``), or only
        in the fresh process (``process``); None where it may be either
    :param testable: whether a condition can undo it; if none can, a finding counts without being confirmed by a trial,
        but only where no other cause explains the verdict
    :param prevents_running: whether it makes a model fail rather than earn something else
    :param obstacle: the obstacle of a judgement that it is; empty for the cause of a verdict that is undecided without
        an obstacle; None for all other causes
    :param fallback: for a cause that is named only where nothing about the model explains the verdict, how it is ranked
        among such causes: a level of ``diagnosis.ranking``. A ``presumed`` one is named on a sign, the others on proof
    :param stated_reward: whether the stated reward is what is wrong: always, or only if the model earns more
    :param subject: what its findings are about, for trials that are made for any finding about it
    :param trials: conditions that are worth trying
    """

    group: str
    explanation: str
    fix: Mapping[Circumstance, str]
    defaults: Mapping[str, Detail] = field(default_factory=dict)
    language: Language = "python"
    gap: Gap | None = None
    testable: bool = True
    prevents_running: bool = False
    obstacle: str | None = None
    fallback: Fallback | None = None
    stated_reward: StatedReward | None = None
    subject: str | None = None
    trials: tuple[DeclaredTrial, ...] = ()

    def fix_for(self, model: ModelToFix, details: Mapping[str, Detail]) -> str:
        """The fix for a model.

        :param details: of the finding or the trial that speaks for this cause
        """
        return written_fix(self.fix, model, details, self.defaults)

    def fixes(self) -> dict[Circumstance, str]:
        """The fix for no model in particular, by where it differs."""
        return {name: written_fix({"otherwise": text}, ANY_MODEL, {}, self.defaults) for name, text in self.fix.items()}


_ALLOWED: dict[str, tuple[Any, ...]] = {
    "language": get_args(Language),
    "gap": get_args(Gap),
    "stated_reward": get_args(StatedReward),
    "fallback": get_args(Fallback),
    "testable": (True, False),
    "prevents_running": (True, False),
}


def read_causes(path: Path = CAUSES_FILE) -> dict[str, Cause]:
    """Every cause in the file, by its name and in the file's order.

    :raises CausesError: a key or value is unknown, a name is there twice, or something that is needed is not there
    """
    found: dict[str, Cause] = {}
    for group, name, content in entries(path):
        where = f"{path.name}, {name}"
        if name in found:
            raise CausesError(f"{where}: expected each cause once, found it twice")
        found[name] = _cause(where, group, content)
    return found


def _cause(where: str, group: str, content: Mapping[str, Any]) -> Cause:
    known = [known.name for known in fields(Cause) if known.name != "group"]
    check_keys(where, content, known, ("explanation", "fix"))
    for key, allowed in _ALLOWED.items():
        if key in content and content[key] not in allowed:
            said = " or ".join(repr(value) for value in allowed)
            raise CausesError(f"{where}, {key}: expected {said}, found {content[key]!r}")
    fix = content["fix"] if isinstance(content["fix"], dict) else {"otherwise": content["fix"]}
    check_keys(f"{where}, fix", fix, get_args(Circumstance), ("otherwise",))
    if [*fix][-1] != "otherwise":
        raise CausesError(f"{where}, fix: expected 'otherwise' as the last key, found {[*fix][-1]!r}")
    return Cause(group, **{**content, "fix": fix, "trials": declared_trials(where, content.get("trials", []))})


CAUSES: dict[str, Cause] = read_causes()
"""All causes by their identifiers, which are also the names of their pages in docs/causes."""

_BY_OBSTACLE = {cause.obstacle: name for name, cause in CAUSES.items() if cause.obstacle is not None}


def cause_of_obstacle(obstacle: str) -> str:
    """The cause to name where an obstacle keeps a comparison from deciding.

    :param obstacle: of :class:`reload_audit.judging.judgement.Judgement`; empty where the comparison is undecided
    """
    return _BY_OBSTACLE[obstacle]


UNEXPLAINED = "unexplained"
