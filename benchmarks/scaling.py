"""How the audit grows: 100, 1,000 and 10,000 external models, and as many that are trained here.

Three tiny models are trained, and audited for real. Then their files are linked and their records copied under other
names: every stage but the reloads themselves works on as many real files and records as an audit of that size has.
Each stage runs in a process of its own, whose wall time and peak memory are read. Needs Linux, for the latter.
With ``--real``, audits of so many models are also run as a user runs them, reloads and all, on all cores.

usage: python benchmarks/scaling.py [SIZE ...] [--real SIZE ...] [--folder FOLDER] [--write docs/scaling.md]
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from growth.configurations import ROOT
from growth.processes import Reading, note_peak, read, run
from growth.stages import STAGES
from growth.tables import in_short, machine, real_audits, reloads, table, targets

SCRIPTS = ROOT / "workflow/scripts"

SIZES = (100, 1_000, 10_000)


def measured(folder: Path, size: int) -> dict[str, Reading]:
    """Run every stage for one number of models; what each cost, by its name."""
    here = folder / str(size)
    ours = ("--snakefile", ROOT / "Snakefile", "--configfile")
    jobs = json.loads((here / "jobs.json").read_text())
    job = ("--mode", "remote", "--nolock", "--target-jobs", f"audit_external:batch={next(iter(jobs))}", "-n")
    elsewhere = ("--config", 'pathvars={"results": "unrun", "logs": "unrun/logs"}')
    plan = ("--dry-run",)
    stages: dict[str, tuple[object, ...]] = {
        "find models in folders": ("find", "external.yaml"),
        "find models of a table": ("find", "table.yaml"),
        "parse an empty Snakefile": ("snakemake", "--snakefile", "empty.smk", "--list-rules"),
        "parse, main process (finds the models)": ("snakemake", *ours, "external.yaml", "--list-rules"),
        "parse, process of a job": ("snakemake", *ours, "external.yaml", "--mode", "remote", "--list-rules"),
        "parse and plan, process of a job": ("snakemake", *ours, "external.yaml", *job),
        "plan external models": ("snakemake", *ours, "external.yaml", *elsewhere, *plan),
        "plan external models, bare Snakefile": ("snakemake", "--snakefile", "bare-external.smk", *plan),
        "plan external models, same directives": ("snakemake", "--snakefile", "alike-external.smk", *plan),
        "plan trained models": ("snakemake", *ours, "trained.yaml", *elsewhere, *plan),
        "plan trained models, bare Snakefile": ("snakemake", "--snakefile", "bare-trained.smk", *plan),
        "plan trained models, same directives": ("snakemake", "--snakefile", "alike-trained.smk", *plan),
        **{name: (name,) for name in ("aggregate", "report", "summarize", "gate")},
    }
    found = {}
    for name, (stage, *arguments) in stages.items():
        found[name] = read(str(stage), here, *arguments)
        print(f"{size:,} models: {name}: {in_short(found[name])}", flush=True)
    return found


def real_audit(folder: Path, size: int) -> Reading:
    """Run the whole audit of so many models, from nothing to its report, on all cores."""
    here = folder / str(size)
    shutil.rmtree(here / "real", ignore_errors=True)
    places = ("--config", 'pathvars={"results": "real", "logs": "real/logs"}')
    cores = ("--cores", os.cpu_count())
    found = run("snakemake", here, "--snakefile", ROOT / "Snakefile", "--configfile", "external.yaml", *places, *cores)
    audited = len(json.loads((here / "real/audit.json").read_text())["models"])
    if audited != size:
        raise RuntimeError(f"{audited} models were audited instead of {size}")
    print(f"{size:,} models, the whole audit: {in_short(found)}", flush=True)
    return found


def _copied(folder: Path, size: int) -> None:
    """Make the models of an audit of that size, if they are not there."""
    if not (folder / str(size) / "jobs.json").exists():
        shutil.rmtree(folder / str(size), ignore_errors=True)
        run("copy", folder, size)


def main(sizes: Sequence[int], real: Sequence[int], folder: Path, document: Path | None) -> None:
    """Measure, print, and write into the document what is between its marks.

    :param sizes: numbers of models for which every stage but the reloads is read
    :param real: numbers of models for which the whole audit is run
    """
    if not (folder / "seconds.json").exists():
        for stage in ("train", "audit"):
            print(stage, flush=True)
            run(stage, folder)
    readings = {}
    for size in sizes:
        _copied(folder, size)
        readings[size] = measured(folder, size)
    audits = {}
    for size in real:
        _copied(folder, size)
        audits[size] = real_audit(folder, size)
    parts = [f"Read on {machine()}.", table(readings), targets(readings), reloads(folder, max(sizes))]
    if audits:
        parts.append(real_audits(audits))
    said = "\n\n".join(parts)
    print(said)
    if document is not None:
        text = document.read_text(encoding="utf-8")
        begin, end = "<!-- measured -->\n", "\n<!-- /measured -->"
        before, after = text.partition(begin)[0], text.partition(end)[2]
        document.write_text(f"{before}{begin}{said}{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--stage"]:
        _, _, stage, peak, where, *arguments = sys.argv
        sys.path.insert(0, str(SCRIPTS))
        atexit.register(note_peak, peak)
        STAGES[stage](Path(where), *arguments)
    else:
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("sizes", nargs="*", type=int, default=SIZES)
        parser.add_argument("--real", nargs="*", type=int, default=(), metavar="SIZE", help="audits to run as a whole")
        parser.add_argument("--folder", type=Path, help="keeps models, records and results; what is there is used")
        parser.add_argument("--write", type=Path, metavar="DOCUMENT", help="takes the tables")
        options = parser.parse_args()
        with tempfile.TemporaryDirectory() as scratch:
            main(options.sizes, options.real, (options.folder or Path(scratch)).resolve(), options.write)
