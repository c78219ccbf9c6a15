"""Rule gate: fail if a model has one of the given verdicts."""

from collections.abc import Sequence
from pathlib import Path

from reload_audit.processes.job_log import job_log
from reload_audit.records.storage import DamagedFileError, read_json


class GateClosed(Exception):
    """A model has a verdict that must not pass."""


def main(audit: Path, fail_on: Sequence[str]) -> None:
    failing = [f"  {row['model']}: {row['verdict']}" for row in read_json(audit)["models"] if row["verdict"] in fail_on]
    if failing:
        raise GateClosed(f"gate: models that are {' or '.join(fail_on)}: {len(failing)}\n" + "\n".join(failing))


if __name__ == "__main__":
    with job_log(snakemake.log[0], expected=(GateClosed, DamagedFileError)):
        main(Path(snakemake.input.audit), snakemake.params.fail_on)
