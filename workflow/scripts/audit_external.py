"""Rule audit_external: audit a batch of external models."""

from collections.abc import Sequence
from pathlib import Path

from reload_audit.jobs.external import audit_batch
from reload_audit.judging.criteria import Criteria
from reload_audit.processes.job_log import job_log
from reload_audit.records.specs import ExternalPolicy, ReloadSpec


def main(
    models: Sequence[dict], policy: dict, reload: dict, verdict: dict, records: Path, log: Path, code: str
) -> None:
    audit_batch(
        models,
        records,
        log,
        ExternalPolicy.from_dict(policy),
        ReloadSpec.from_dict(reload),
        Criteria.from_dict(verdict),
        code=code,
    )


if __name__ == "__main__":
    with job_log(snakemake.log[0], mem_mb=snakemake.resources.mem_mb) as log:
        main(
            snakemake.params.models,
            snakemake.params.policy,
            snakemake.params.reload,
            snakemake.params.verdict,
            Path(snakemake.output[0]),
            log,
            snakemake.params.code,
        )
