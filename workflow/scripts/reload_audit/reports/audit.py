"""A whole audit, typed, as it is read from ``audit.json``: whatever people read is made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reload_audit.judging.criteria import VERDICTS, Criteria
from reload_audit.records.culprits import culprits
from reload_audit.records.environment_health import EnvironmentHealth
from reload_audit.records.script_entry import ScriptEntry
from reload_audit.records.since import CandidateResult, Since
from reload_audit.records.storage import DamagedFileError, read_json
from reload_audit.reports.audited_model import AuditedModel
from reload_audit.reports.model_from_json import STANDS_IN, JsonObject, model_or_stand_in, stand_in


@dataclass(frozen=True)
class Audit:
    """A whole audit.

    :param tool: name and version of what made it
    :param criteria: what counted as a difference; None where the audit does not say
    :param trained_with: of each software that trained models its versions, by package
    :param counts: how many models have each verdict, in the verdicts' order
    :param environments: the health of each distinct environment
    :param passed_over: files beside the models that are no models: each kind, how many, and which
    :param scripts: scripts of the user's that were observed
    :param since: what has changed since the baseline; None without one
    :param candidates: candidates, each against the model that is shipping
    """

    tool: str
    criteria: Criteria | None
    trained_with: tuple[Mapping[str, str], ...]
    counts: Mapping[str, int]
    models: tuple[AuditedModel, ...]
    environments: tuple[EnvironmentHealth, ...]
    passed_over: tuple[str, ...] = ()
    scripts: tuple[ScriptEntry, ...] = ()
    since: Since | None = None
    candidates: tuple[CandidateResult, ...] = ()

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Audit:
        """From the content of ``audit.json``: see ``workflow/schemas/audit.schema.json``."""
        audit = JsonObject(content)
        models = tuple(map(model_or_stand_in, content.get("models") or ()))
        tool, criteria = audit.object("tool"), audit.object("settings").object("verdict").content
        return cls(
            tool=f"{tool.text('name')} {tool.text('version')}".strip(),
            criteria=Criteria.from_dict(criteria) if criteria else None,
            trained_with=tuple(_versions(software) for software in audit.objects("trained_with")),
            counts=_counts(models),
            models=models,
            environments=tuple(EnvironmentHealth.from_dict(one.content) for one in audit.objects("environment_health")),
            passed_over=audit.texts("passed_over"),
            scripts=tuple(ScriptEntry.from_dict(found.content) for found in audit.objects("scripts")),
            since=Since.from_dict(content["since"]) if content.get("since") else None,
            candidates=tuple(CandidateResult.from_dict(one.content) for one in audit.objects("candidates")),
        )


def read_audit(path: Path) -> Audit:
    """Read ``audit.json``.

    :raises DamagedFileError: if the file is no JSON any more, or is not what an audit is
    """
    content = read_json(path)
    if not isinstance(content, Mapping) or not isinstance(content.get("models", []), list):
        raise DamagedFileError(path, "expected a mapping with a list of models")
    return Audit.from_json(content)


def with_stand_ins(audit: Audit, use: Callable[[Audit], object]) -> None:
    """Use an audit, for example to write a report of it; models with which that raises become errors, with the reason.

    :param use: it may be called many times, each time with some of the models, the last time with all of them
    """

    def use_models(models: Sequence[AuditedModel]) -> None:
        use(replace(audit, models=tuple(models), counts=_counts(models)))

    models = audit.models
    while True:
        try:
            return use_models(models)
        except Exception:
            found = culprits(models, use_models).items()
            faulty = {index: error for index, error in found if not models[index].reason.startswith(STANDS_IN)}
            if not faulty:
                raise
            models = tuple(
                stand_in({**vars(model), "model": model.name}, faulty[index]) if index in faulty else model
                for index, model in enumerate(models)
            )


def _counts(models: Sequence[AuditedModel]) -> dict[str, int]:
    counts = Counter[str](model.verdict for model in models)
    return {verdict: counts[verdict] for verdict in VERDICTS}


def _versions(software: JsonObject) -> dict[str, str]:
    return {package: str(version) for package, version in software.object("versions").content.items() if version}
