"""Rule gate: fail on verdicts, regressions, candidates, environments or scripts, as asked for."""

import sys
from collections.abc import Sequence
from pathlib import Path

from reload_audit.judging.criteria import VERDICTS
from reload_audit.processes.job_log import job_log
from reload_audit.records.storage import DamagedFileError
from reload_audit.reports.audit import read_audit
from reload_audit.reports.environments import faults
from reload_audit.reports.scripts import faulty_scripts, unknown_scripts
from reload_audit.reports.since import faulty_candidates, open_candidates, regressed, when


class GateClosed(Exception):
    """Something must not pass: a verdict, a regression, a candidate, an environment or a script."""


def main(audit: Path, fail_on: Sequence[str]) -> None:
    read = read_audit(audit)
    failing = [f"  {model.name}: {model.called}" for model in read.models if model.is_any_of(fail_on)]
    verdicts = [word for word in fail_on if word in (*VERDICTS, "suspect")]
    said = [f"models that are {' or '.join(verdicts)}: {len(failing)}", *failing] if failing else []
    faulty = [f"  {line}" for line in faults(read.environments)] if "environment" in fail_on else []
    said += [f"environments with faults: {len(faulty)}", *faulty] if faulty else []
    scripts = [f"  {line}" for line in faulty_scripts(read.scripts)] if "script" in fail_on else []
    said += [f"scripts with faults: {len(scripts)}", *scripts] if scripts else []
    unknown = [f"  {line}" for line in unknown_scripts(read.scripts)] if "script" in fail_on else []
    said += [f"scripts that could not be compared with their models: {len(unknown)}", *unknown] if unknown else []
    lost = [f"  {line}" for line in regressed(read.since)] if "regressed" in fail_on else []
    said += [f"models that have regressed since {when(read.since)}: {len(lost)}", *lost] if read.since and lost else []
    worse = [f"  {line}" for line in faulty_candidates(read.candidates)] if "candidate" in fail_on else []
    said += [f"candidates that earn less, or could not be compared: {len(worse)}", *worse] if worse else []
    undecided = [f"  {line}" for line in open_candidates(read.candidates)] if "candidate_open" in fail_on else []
    said += [f"candidates that may earn less: {len(undecided)}", *undecided] if undecided else []
    if said:
        raise GateClosed("gate: " + "\n".join(said))
    let_pass = (*faulty_scripts(read.scripts), *unknown_scripts(read.scripts))
    if let_pass and "script" not in fail_on:
        print(
            f"gate: passes, whatever the scripts do: {len(let_pass)} have faults or could not be compared, and "
            "gate.fail_on does not name `script`",
            file=sys.stderr,
        )


if __name__ == "__main__":
    with job_log(snakemake.log[0], expected=(GateClosed, DamagedFileError)):
        main(Path(snakemake.input.audit), snakemake.params.fail_on)
