"""Rule reload: reload one trained model and evaluate it under every condition, each in a fresh process."""

from pathlib import Path

from reload_audit.jobs.reload import reload_model
from reload_audit.judging.criteria import Criteria
from reload_audit.processes.job_log import job_log
from reload_audit.records.specs import ReloadSpec
from reload_audit.records.storage import DamagedFileError


def main(folder: Path, reload: dict, verdict: dict, record: Path, log: Path) -> None:
    reload_model(folder, record, log, ReloadSpec.from_dict(reload), Criteria.from_dict(verdict))


if __name__ == "__main__":
    with job_log(snakemake.log[0], expected=DamagedFileError, mem_mb=snakemake.resources.mem_mb) as log:
        main(
            Path(snakemake.input[0]),
            snakemake.params.reload,
            snakemake.params.verdict,
            Path(snakemake.output[0]),
            log,
        )
