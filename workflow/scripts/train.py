"""Rule train: one model into a folder of its own."""

from pathlib import Path

from reload_audit.isolation import KilledFromOutside
from reload_audit.jobs.train import train_model
from reload_audit.logs import job_log


def main(spec: dict, code: str, folder: Path, log: Path) -> None:
    train_model(spec, folder, log, code)


if __name__ == "__main__":
    with job_log(snakemake.log[0], expected=KilledFromOutside) as log:
        main(snakemake.params.spec, snakemake.params.code, Path(snakemake.output[0]), log)
