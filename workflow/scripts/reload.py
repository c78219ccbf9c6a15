"""Rule reload: reload the models of a batch and evaluate each under every condition, each in a fresh process."""

from collections.abc import Sequence
from pathlib import Path

from reload_audit.jobs.reload import Folders, reload_batch
from reload_audit.judging.criteria import Criteria
from reload_audit.processes.job_log import job_log
from reload_audit.records.specs import ReloadSpec
from reload_audit.records.storage import DamagedFileError


def main(
    models: Sequence[str],
    codes: Sequence[str],
    reload: dict,
    verdict: dict,
    trained: Path,
    batch: Path,
    log: Path,
    compared: Sequence[str] = (),
) -> None:
    folders = Folders(trained.parents[1], batch.parents[1])
    coded = dict(zip(models, codes, strict=True))
    judged_by = ReloadSpec.from_dict(reload), Criteria.from_dict(verdict)
    reload_batch(coded, batch, folders, log, *judged_by, compared)


if __name__ == "__main__":
    with job_log(snakemake.log[0], expected=DamagedFileError, mem_mb=snakemake.resources.mem_mb) as log:
        main(
            snakemake.params.models,
            snakemake.params.codes,
            snakemake.params.reload,
            snakemake.params.verdict,
            Path(snakemake.input[0]),
            Path(snakemake.output[0]),
            log,
            snakemake.params.compared,
        )
