"""The command ``reload-audit``: see ``arguments`` for what it understands."""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from reload_audit.command import workflow, written
from reload_audit.command.arguments import AUDIT, parse
from reload_audit.command.mistake import Mistake
from reload_audit.planning.configuration import ConfigError
from reload_audit.planning.discovery.advice import AGAIN, PROPOSAL
from reload_audit.reading.refusal import shown
from reload_audit.reports import console

WRITES: Mapping[str, Callable[[Namespace], written.Audit]] = {
    AUDIT: written.audit,
    "script": written.script,
    "env": written.env,
}
"""The commands that write a configuration and start the workflow on it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what a command line says.

    :param arguments: without the program's name; by default those of this process
    :return: the exit status
    """
    said = list(sys.argv[1:] if arguments is None else arguments)
    options = parse(said)
    try:
        _check_working_directory()
        if options.command == "init":
            from reload_audit.command.init import init  # others need not wait for its imports; so with the next two

            return init(options.folder, options.output)
        if options.command == "compare":
            from reload_audit.command.compare import compare

            return compare(options.old, options.new, options.fail_on or ["regressed"])
        if options.command == "run":
            from reload_audit.command.run import run

            return run(options.snakemake)
        return start(WRITES[options.command](options), options, said)
    except (Mistake, ConfigError) as mistake:
        print(f"reload-audit: {mistake}", file=sys.stderr)
        return 1
    except OSError as error:
        where = f"{shown(str(error.filename))}: " if error.filename else ""
        print(f"reload-audit: {where}{error.strerror or error}", file=sys.stderr)
        return 1


def _check_working_directory() -> None:
    try:
        Path.cwd()
    except FileNotFoundError:
        raise Mistake("the working directory has been removed: expected one that is there") from None


def start(audit: written.Audit, options: Namespace, said: Sequence[str]) -> int:
    """Write the configuration, run the workflow on it, and say how it ended."""
    for note in audit.notes:
        print(note, file=sys.stderr)
    with workflow.alone_in(audit.output) as held:
        file, summary = audit.output / "audit.yaml", audit.output / "summary.txt"
        try:
            file.write_text(audit.text(said), encoding="utf-8")
        except OSError as error:
            raise Mistake(f"{file}: cannot be written: {error.strerror}") from None
        before = _stamp(summary)
        status = _run(file, options, said, held)
        if status == workflow.INTERRUPTED:
            print("Interrupted. The same command goes on from here.", file=sys.stderr)
        if status:
            return status
        if _stamp(summary) == before:  # nothing had to be done, and Snakemake says no more than that
            console.show(summary.read_text(encoding="utf-8"))
        if options.command == AUDIT and options.claim is None and "no_claim" in summary.read_text(encoding="utf-8"):
            again = shlex.join(["reload-audit", *said])
            print(f"What it earned when it was trained can be said: {again} --claim MEAN", file=sys.stderr)
        return workflow.ended_as(audit.output, options.fail_on)


def _run(file: Path, options: Namespace, said: Sequence[str], held: Sequence[int]) -> int:
    """Run the workflow; where only the user's consent is missing, and is given, once more with what was proposed.

    :param file: the configuration, in the folder of results
    :param held: as of ``workflow.snakemake``
    """
    output = file.parent
    proposal = output / PROPOSAL
    proposal.unlink(missing_ok=True)
    common = ["--cores", str(options.cores), "--nolock", *workflow.default_profile([])]
    if options.command == "script":  # which files it reads, nobody knows before it runs
        common += ["--forcerun", "observe"]
    again = shlex.join(["reload-audit", *(word for word in said if word != "--yes")])
    variables = {AGAIN: again} if options.command == AUDIT else {}
    status = workflow.snakemake([*common, "--configfile", str(file)], output, variables, held)
    if status and proposal.exists() and getattr(options, "yes", False):
        print(f"Accepted, because of --yes: {proposal}", file=sys.stderr)
        status = workflow.snakemake([*common, "--configfile", str(proposal)], output, variables, held)
    return status


def _stamp(file: Path) -> int:
    return file.stat().st_mtime_ns if file.exists() else 0


if __name__ == "__main__":
    sys.exit(main())
