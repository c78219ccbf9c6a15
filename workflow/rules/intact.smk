"""Results that were truncated or edited after they were written are noticed at the next start, and made again.

The main process takes down what the results are when a run ends, and compares when it plans the next one.
"""

import functools
import time

from reload_audit.planning.ledger import Ledger, bring_back

LEDGER = Ledger(Path(workflow.pathvars.apply("<results>/.written.json")))


def results(pattern, names):
    return [
        workflow.pathvars.apply(f"<results>/{pattern.format(name)}") for name in names
    ]


TRAINED = results("trained/{}", MODELS)
RECORDS = results("reloaded/{}.json", MODELS) + results("external/{}.json", BATCHES)
PROBE_RECORDS = results("probes/{}.json", PROBES)


def results_of_audit():
    """Everything that later jobs or people rely on."""
    of_all = [*rules.aggregate.output, *rules.report.output, *rules.summarize.output]
    return [*TRAINED, *RECORDS, *PROBE_RECORDS, *map(str, of_all)]


@functools.cache
def look_at_results():
    """Snakemake looks at time stamps alone. So it is told what to make again, and stamps that cannot be are set right."""
    outputs = results_of_audit()
    damaged = LEDGER.changed(outputs)
    if damaged:
        heading = "Changed since they were written, so they are made again (to keep them as they are: --touch):"
        lines = [f"  {output}: {difference}" for output, difference in damaged.items()]
        print("\n".join((heading, *lines)), file=sys.stderr)
        workflow.dag.forcefiles.update(damaged)
    late = 0 if workflow.dryrun else bring_back(outputs, time.time())
    if late:
        print(
            f"Results that a clock which was ahead has stamped later than now: {late}. They are stamped now.",
            file=sys.stderr,
        )


def records(wildcards):
    """What every later result is made of. It is planned before Snakemake decides which jobs have to run."""
    if workflow.is_main_process:
        look_at_results()
    return RECORDS
