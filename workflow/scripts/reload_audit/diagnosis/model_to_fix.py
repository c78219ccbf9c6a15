"""What the fixes for one model may name: its files, its environment as it ran, and where the configuration has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from reload_audit.causes.finding import Detail
from reload_audit.causes.fixes import ANY_MODEL, ModelToFix
from reload_audit.causes.migrations import Migration, migrations
from reload_audit.records.environment_spec import WrapperSpec, vec_wrapper_spec
from reload_audit.records.manifest import ExternalFacts, ExternalManifest, TrainedManifest
from reload_audit.records.model_record import ModelRecord
from reload_audit.records.specs import ExternalSpec


def model_to_fix(model: ModelRecord, results: Path) -> ModelToFix:
    """What fixes for a model may name.

    :param results: the folder that holds ``trained``, as the user writes it
    """
    keys = () if model.examination is None else tuple(model.examination.facts.get("normalized_keys", ()))
    if isinstance(model.manifest, ExternalManifest):
        migration = None if model.canonical is None else model.canonical.condition.migration
        return _external(model.manifest.external, model.manifest.facts, keys, migration)
    return _trained(model.manifest, results / "trained" / model.name, keys)


def _trained(manifest: TrainedManifest, folder: Path, keys: tuple[str, ...]) -> ModelToFix:
    spec = manifest.training_spec
    return ModelToFix(
        source="trained",
        name=spec.model,
        group=spec.experiment,
        algo=spec.algo,
        zip=str(folder / ANY_MODEL.zip),
        statistics=str(folder / ANY_MODEL.statistics),
        env=spec.environment.env,
        env_named=spec.environment.env,
        keys=keys or (spec.environment.normalize or {}).get("norm_obs_keys", ()),
        env_kwargs=spec.environment.env_kwargs,
        wrappers=_plain(spec.environment.wrappers),
        vec_wrappers=_plain(spec.environment.vec_wrappers),
    )


def _external(spec: ExternalSpec, facts: ExternalFacts, keys: tuple[str, ...], migration: str | None) -> ModelToFix:
    env = facts.env_ran or spec.environment.env
    migrated = migrations(spec.environment.env, env).get(migration or "", Migration(""))
    around = [wrapper.to_plain() for wrapper in spec.environment.vec_wrappers]
    return ModelToFix(
        source=spec.source,
        name=spec.model,
        group=spec.group,
        algo=spec.algo,
        zip=spec.path,
        statistics=spec.statistics or ANY_MODEL.statistics,
        env=f"{facts.env_package}:{env}" if facts.env_package else env,
        env_named=spec.environment.env,
        keys=keys,
        env_kwargs={**spec.environment.env_kwargs, **migrated.env_kwargs},
        wrappers=[
            *((f"reload_audit.{name}", {"at": at}) for name, at in migrated.wrappers),
            *_plain(spec.environment.wrappers),
        ],
        vec_wrappers=_plain(map(vec_wrapper_spec, facts.vec_wrappers or around)),
        plain_load_error=facts.plain_load_error or "",
    )


def _plain(wrappers: Iterable[WrapperSpec]) -> list[tuple[str, Mapping[str, Detail]]]:
    return [(wrapper.name, wrapper.kwargs) for wrapper in wrappers]
