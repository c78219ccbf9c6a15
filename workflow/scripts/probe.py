"""Rule probe: try every contrast on one environment, in fresh processes."""

from collections.abc import Mapping
from pathlib import Path

from reload_audit.jobs.probe import ProbeSpec, probe_environment
from reload_audit.processes.job_log import job_log
from reload_audit.records.specs import ExternalPolicy, ExternalSpec


def main(
    environment: Mapping,
    external: Mapping | None,
    trained: str | None,
    policy: Mapping | None,
    probe: Mapping,
    record: Path,
    log: Path,
) -> None:
    folder = None if trained is None else Path(trained)
    model = folder if external is None else ExternalSpec.from_dict(external)
    allowed = None if external is None else ExternalPolicy.from_dict(policy)
    probe_environment(environment, model, allowed, ProbeSpec.from_dict(probe), record, log)


if __name__ == "__main__":
    with job_log(snakemake.log[0], mem_mb=snakemake.resources.mem_mb) as log:
        main(
            snakemake.params.environment,
            snakemake.params.external,
            snakemake.params.trained,
            snakemake.params.policy,
            snakemake.params.probe,
            Path(snakemake.output[0]),
            log,
        )
