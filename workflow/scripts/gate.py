"""Rule gate: fail if a model has one of the given verdicts."""

from collections.abc import Sequence
from pathlib import Path

from reload_audit.processes.job_log import job_log
from reload_audit.records.storage import DamagedFileError
from reload_audit.reports.audit import read_audit


class GateClosed(Exception):
    """A model has a verdict that must not pass."""


def main(audit: Path, fail_on: Sequence[str]) -> None:
    failing = [f"  {model.name}: {model.called}" for model in read_audit(audit).models if model.is_any_of(fail_on)]
    if failing:
        raise GateClosed(f"gate: models that are {' or '.join(fail_on)}: {len(failing)}\n" + "\n".join(failing))


if __name__ == "__main__":
    with job_log(snakemake.log[0], expected=(GateClosed, DamagedFileError)):
        main(Path(snakemake.input.audit), snakemake.params.fail_on)
