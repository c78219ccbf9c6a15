"""Rule aggregate: put all records together into the result tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reload_audit.judging.criteria import Criteria
from reload_audit.processes.job_log import job_log
from reload_audit.records.storage import DamagedFileError
from reload_audit.results.aggregate import Baseline, aggregate


def main(
    records: Sequence[str],
    probes: Sequence[str],
    settings: dict,
    results: Path,
    passed_over: Sequence[str] = (),
    scripts: Sequence[str] = (),
    baseline: Mapping[str, Any] | None = None,
    compare: Sequence[Mapping[str, str]] = (),
) -> None:
    criteria = Criteria.from_dict(settings["verdict"])
    files = ([Path(probe) for probe in probes], passed_over, [Path(script) for script in scripts])
    earlier = Baseline(Path(baseline["audit"]), baseline["called"], baseline["only"]) if baseline else None
    aggregate(map(Path, records), criteria, settings, results, *files, baseline=earlier, compare=compare)


if __name__ == "__main__":
    with job_log(snakemake.log[0], expected=DamagedFileError):
        main(
            snakemake.params.records,
            snakemake.input.probes,
            snakemake.params.settings,
            Path(snakemake.output.audit).parent,
            snakemake.params.passed_over,
            snakemake.input.scripts,
            snakemake.params.baseline,
            snakemake.params.compare,
        )
