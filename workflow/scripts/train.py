"""Rule train: train the models of a batch and save each into a folder of its own."""

from collections.abc import Sequence
from pathlib import Path

from reload_audit.jobs.train import train_batch
from reload_audit.processes.job_log import job_log
from reload_audit.records.specs import Limits


def main(specs: Sequence[dict], codes: Sequence[str], limits: dict, batch: Path, log: Path) -> None:
    train_batch(specs, codes, batch, batch.parents[1], log, Limits(**limits))


if __name__ == "__main__":
    with job_log(snakemake.log[0], mem_mb=snakemake.resources.mem_mb) as log:
        main(
            snakemake.params.specs,
            snakemake.params.codes,
            snakemake.params.limits,
            Path(snakemake.output[0]),
            log,
        )
