"""Rule observe: run a script of the user's, observe what it does, and measure what that costs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from reload_audit.jobs.script import audit_script
from reload_audit.judging.criteria import Criteria
from reload_audit.processes.job_log import job_log
from reload_audit.records.specs import ExternalPolicy, ExternalSpec, ReloadSpec, ScriptSpec


def main(
    script: Mapping,
    models: Sequence[Mapping],
    policy: Mapping,
    reload: Mapping,
    verdict: Mapping,
    record: Path,
    log: Path,
) -> None:
    audit_script(
        ScriptSpec.from_dict(script),
        [ExternalSpec.from_dict(model) for model in models],
        ExternalPolicy.from_dict(policy),
        ReloadSpec.from_dict(reload),
        Criteria.from_dict(verdict),
        record,
        log,
    )


if __name__ == "__main__":
    with job_log(snakemake.log[0], mem_mb=snakemake.resources.mem_mb) as log:
        main(
            snakemake.params.script,
            snakemake.params.models,
            snakemake.params.policy,
            snakemake.params.reload,
            snakemake.params.verdict,
            Path(snakemake.output[0]),
            log,
        )
