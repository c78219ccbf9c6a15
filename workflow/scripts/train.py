"""Rule train: train one model and save it into a folder of its own."""

from pathlib import Path

from reload_audit.jobs.train import train_model
from reload_audit.processes.job_log import job_log
from reload_audit.records.specs import Limits


def main(spec: dict, code: str, limits: dict, folder: Path, log: Path) -> None:
    train_model(spec, folder, log, code, Limits(**limits))


if __name__ == "__main__":
    with job_log(snakemake.log[0], mem_mb=snakemake.resources.mem_mb) as log:
        main(snakemake.params.spec, snakemake.params.code, snakemake.params.limits, Path(snakemake.output[0]), log)
