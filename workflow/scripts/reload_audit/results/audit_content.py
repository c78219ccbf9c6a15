"""The content of ``audit.json``, made of the judged models and of what they have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from reload_audit import __version__
from reload_audit.judging.criteria import VERDICTS, Criteria
from reload_audit.judging.divergence_wording import divergence_sentence
from reload_audit.probing.conclusions import CAPTIONS, findings
from reload_audit.reading.refusal import shown
from reload_audit.records.audit_file import SCHEMA_VERSION
from reload_audit.records.digests import digest
from reload_audit.records.probe_record import ProbeRecord
from reload_audit.records.script_entry import ScriptEntry
from reload_audit.records.storage import plain
from reload_audit.results.conclusions import ConcludedModel
from reload_audit.results.health import health_of_environments
from reload_audit.results.judged_model import JudgedModel, TrainedWith


@dataclass(frozen=True)
class Audited:
    """What the models of an audit have in common.

    :param settings: the sections of the configuration that decided
    :param probed: what probing environments found, by name
    :param passed_over: files beside external models that are no models, in words
    """

    criteria: Criteria
    settings: Mapping[str, Any]
    probed: Mapping[str, ProbeRecord]
    passed_over: Sequence[str]
    scripts: Sequence[ScriptEntry]


def audit_content(models: Sequence[ConcludedModel], audited: Audited) -> dict[str, Any]:
    """The content of ``audit.json``; ``workflow/schemas/audit.schema.json`` explains its keys."""
    judged, probed = [model.judged for model in models], audited.probed
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "reload-audit", "version": __version__},
        "settings": audited.settings,
        "reloaded_with": _all_versions(judged),
        "trained_with": [*_distinct(model.software for model in judged if model.software is not None)],
        "counts": count_verdicts([model.row.verdict for model in models]),
        "models": [_entry(model, model.judged.probe if model.judged.probe in probed else None) for model in models],
        "environments": [environment_entry(name, probed[name]) for name in sorted(probed)],
        "environment_health": [health.to_dict() for health in health_of_environments(judged, probed)],
        "passed_over": [*audited.passed_over],
        "scripts": [script.to_dict() for script in audited.scripts],
    }


def count_verdicts(verdicts: Sequence[str | None]) -> dict[str, int]:
    """How many models have each verdict, in the verdicts' order, zeros included."""
    return {str(verdict): verdicts.count(verdict) for verdict in VERDICTS}


def _entry(model: ConcludedModel, probe: str | None) -> Mapping[str, Any]:
    """A model in ``audit.json``.

    :param probe: the name under which ``environments`` has the probe of its environment; None where it was not probed
    """
    judged, diagnosis, divergence = model.judged, model.diagnosis, model.judged.divergence
    return {
        **vars(model.row),
        "causes": [asdict(cause) for cause in diagnosis.causes],
        "ruled_out": diagnosis.ruled_out,
        "not_excluded": diagnosis.not_excluded,
        "first_divergence": None
        if divergence is None
        else {**divergence.to_dict(), "text": divergence_sentence(divergence)},
        "probe": probe,
        "claims": [asdict(claim) for claim in judged.claims],
        "conditions": [vars(condition) for condition in judged.conditions],
    }


def environment_entry(name: str, probe: ProbeRecord) -> Mapping[str, Any]:
    """An environment that was probed, in ``audit.json``: without durations.

    :param name: of the probe
    """
    contrasts = {
        contrast: {"what": CAPTIONS[contrast], **asdict(compared)}
        for contrast, compared in probe.effects.contrasts.items()
    }
    record = probe.to_dict() | {"contrasts": contrasts}
    return {
        "name": name,
        "environment": probe.environment,
        "findings": [asdict(finding) for finding in findings(probe)],
        **{key: _without_details(record[key]) for key in ("failure", "remark", "contrasts", "checks", "vectorized")},
    }


def _without_details(content: Any) -> Any:
    """The content without the failures' ends of logs, which hold paths and addresses."""
    if isinstance(content, Mapping):
        failure = content.keys() == {"kind", "message", "details"}
        return {key: _without_details(value) for key, value in content.items() if not (failure and key == "details")}
    return [_without_details(item) for item in content] if isinstance(content, list | tuple) else content


def _all_versions(judged: Iterable[JudgedModel]) -> dict[str, list[str]]:
    """Of each package all versions that reloaded models, in order."""
    found: dict[str, set[str]] = {}
    for model in judged:
        for package, version in model.reloaded_with.items():
            found.setdefault(shown(package), set()).add(shown(version))
    return {package: sorted(versions) for package, versions in sorted(found.items())}


def _distinct(entries: Iterable[TrainedWith]) -> Iterator[Mapping[str, Any]]:
    """Every different entry once, with the number of models it stands for."""
    groups: dict[str, list[TrainedWith]] = {}
    for entry in entries:
        groups.setdefault(digest(plain(asdict(entry))), []).append(entry)
    for group in groups.values():
        yield {**asdict(group[0]), "models": len(group)}
