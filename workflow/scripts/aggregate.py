"""Rule aggregate: all records into the result tables."""

from collections.abc import Sequence
from pathlib import Path

from reload_audit.aggregation import aggregate
from reload_audit.logs import job_log
from reload_audit.verdicts import Criteria


def main(records: Sequence[str], settings: dict, results: Path) -> None:
    aggregate(map(Path, records), Criteria.from_dict(settings["verdict"]), settings, results)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(snakemake.input, snakemake.params.settings, Path(snakemake.output.audit).parent)
