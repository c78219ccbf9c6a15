"""Rule replay: film, for the models that need a look, the two episodes that part first."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from reload_audit.jobs.replay import Settings, replay_models
from reload_audit.judging.criteria import Criteria
from reload_audit.processes.job_log import job_log
from reload_audit.records.specs import ExternalPolicy, ReloadSpec
from reload_audit.records.storage import DamagedFileError


def main(
    audit: Path,
    records: Sequence[str],
    trained: Path,
    policy: Mapping,
    reload: Mapping,
    verdict: Mapping,
    replays: Path,
    log: Path,
) -> None:
    settings = Settings(
        trained, ExternalPolicy.from_dict(policy), ReloadSpec.from_dict(reload), Criteria.from_dict(verdict)
    )
    replay_models(audit, records, settings, replays, log)


if __name__ == "__main__":
    with job_log(snakemake.log[0], expected=DamagedFileError, mem_mb=snakemake.resources.mem_mb) as log:
        main(
            Path(snakemake.input[0]),
            snakemake.params.records,
            Path(snakemake.params.trained),
            snakemake.params.policy,
            snakemake.params.reload,
            snakemake.params.verdict,
            Path(snakemake.output[0]),
            log,
        )
