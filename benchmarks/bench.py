"""How fast the audit is, compared with RL Zoo, with a script of one's own, and with bare environment steps.

Everything works on the same saved models, episodes and cores, in alternating runs; what counts is the median of the
ratios. Models are trained at the first run, and kept. Needs Linux, and what ``benchmarks/requirements.txt`` names.

usage: python benchmarks/bench.py [--only PART ...] [--repeats N] [--quick] [--write docs/benchmarks.md]
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from throughput import audit, evaluation, looks, overhead, startup, training
from throughput.readings import Part, ratios_table
from throughput.settings import Settings

ROOT = Path(__file__).resolve().parents[1]

PARTS: dict[str, Callable[[Settings], Part]] = {
    "audit": audit.measure,
    "evaluation": evaluation.measure,
    "training": training.measure,
    "overhead": overhead.measure,
    "episodes": looks.measure,
    "startup": startup.measure,
}
ENVIRONMENTS = ("CartPole-v1", "Pendulum-v1", "MountainCar-v0", "LunarLander-v3")
PACKAGES = ("stable-baselines3", "torch", "gymnasium", "snakemake", "rl-zoo3")


def machine(cores: int) -> str:
    """Processor, cores, memory, versions, and how busy it was with other work."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    processor = cpu[1] if cpu else platform.processor()
    return f"{processor}, {cores} cores, {memory:.0f} GiB; Python {platform.python_version()}, {versions}"


def write(document: Path, said: str) -> None:
    """Put what was measured between the document's marks."""
    text = document.read_text(encoding="utf-8")
    begin, end = "<!-- measured -->\n", "\n<!-- /measured -->"
    before, after = text.partition(begin)[0], text.partition(end)[2]
    document.write_text(f"{before}{begin}{said}{end}{after}", encoding="utf-8")


def main(chosen: list[str], settings: Settings, document: Path | None) -> None:
    """Measure, print, and write into the document what is between its marks."""
    start = time.monotonic()
    parts = [PARTS[name](settings) for name in chosen]
    minutes = (time.monotonic() - start) / 60
    runs = f"{settings.repeats} alternating runs" if settings.repeats > 1 else "one run"
    head = f"Read on {machine(settings.cores)}. Medians of {runs}; all of it took {minutes:.0f} minutes."
    details = [block for part in parts for block in part.details]
    said = "\n\n".join([head, ratios_table(parts), *details])
    print(f"\n{said}")
    if document is not None:
        write(document, said)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "workflow/scripts"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--environments", nargs="+", choices=ENVIRONMENTS, default=ENVIRONMENTS, metavar="ENV")
    parser.add_argument("--models", type=int, default=256, help="saved models in each audit")
    parser.add_argument("--timesteps", type=int, default=16_384, help="of each model of the training grid")
    parser.add_argument("--quick", action="store_true", help="one small run of everything")
    parser.add_argument("--folder", type=Path, default=ROOT / "build/bench", help="keeps the models that are trained")
    parser.add_argument("--write", type=Path, metavar="DOCUMENT", help="takes the tables, if all is measured")
    options = parser.parse_args()
    small = options.quick
    everything = options.only == list(PARTS) and tuple(options.environments) == ENVIRONMENTS and not small
    main(
        options.only,
        Settings(
            folder=options.folder.resolve(),
            repeats=1 if small else options.repeats,
            cores=options.cores,
            environments=("CartPole-v1", "MountainCar-v0") if small else tuple(options.environments),
            models=4 if small else options.models,
            distinct=2 if small else 4,
            training_share=0.2 if small else 1.0,
            timesteps=4_096 if small else options.timesteps,
        ),
        options.write if everything else None,
    )
