"""Rule observe: run a script of the user's, and observe what it does."""

from collections.abc import Mapping
from pathlib import Path

from reload_audit.jobs.script import observe
from reload_audit.processes.job_log import job_log
from reload_audit.records.specs import ReloadSpec, ScriptSpec


def main(script: Mapping, reload: Mapping, record: Path, log: Path) -> None:
    observe(ScriptSpec.from_dict(script), ReloadSpec.from_dict(reload).isolation, record, log)


if __name__ == "__main__":
    with job_log(snakemake.log[0], mem_mb=snakemake.resources.mem_mb) as log:
        main(snakemake.params.script, snakemake.params.reload, Path(snakemake.output[0]), log)
