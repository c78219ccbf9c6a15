"""What is said of the readings: tables in Markdown, targets, and what cannot be simulated."""

from __future__ import annotations

import json
import math
import os
import platform
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from growth.copies import SHARES
from growth.processes import Reading


def growth(sizes: Sequence[int], values: Sequence[float]) -> str:
    """The exponent between each two sizes; and that of what is beyond the smallest, without what starting costs.

    A straight line, whatever its height, has 1 as the latter.
    """
    pairs = [(n, m, a, b) for (n, a), (m, b) in zip(_pairs(sizes, values), _pairs(sizes, values)[1:], strict=False)]
    raw = [math.log(b / a) / math.log(m / n) for n, m, a, b in pairs]
    said = ", ".join(f"{exponent:.2f}" for exponent in raw)
    if len(sizes) < 3:
        return said
    (n, a), (m, b), (o, c) = _pairs(sizes, values)[-3:]
    if b - a < 0.1 * a or c <= b:
        return f"{said}; –"
    return f"{said}; {math.log((c - a) / (b - a)) / math.log((o - n) / (m - n)):.2f}"


def _pairs(sizes: Sequence[int], values: Sequence[float]) -> list[tuple[int, float]]:
    return list(zip(sizes, values, strict=True))


def table(readings: dict[int, dict[str, Reading]]) -> str:
    """All readings in Markdown."""
    sizes = list(readings)
    lines = [["stage", *(f"{size:,}" for size in sizes), "growth"], ["---"] * (len(sizes) + 2)]
    for stage in readings[sizes[0]]:
        row = [readings[size][stage] for size in sizes]
        lines.append([stage, *map(in_short, row), growth(sizes, [reading.cpu for reading in row])])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def in_short(reading: Reading) -> str:
    """``1.20 s (0.90 s), 310 MiB``: wall time, processor time, memory."""
    return f"{reading.seconds:.2f} s ({reading.cpu:.2f} s), {reading.mib:.0f} MiB"


def targets(readings: dict[int, dict[str, Reading]]) -> str:
    """What was aimed at, for the largest size, and what was measured."""
    size = max(readings)
    found = readings[size]

    def more(stage: str) -> str:
        ours, empty = found[stage], found["parse an empty Snakefile"]
        return f"{ours.seconds - empty.seconds:.2f} ({ours.cpu - empty.cpu:.2f})"

    def ratio(models: str, other: str) -> str:
        ours, others = found[f"plan {models}"], found[f"plan {models}, {other}"]
        return f"{ours.seconds / others.seconds:.2f} ({ours.cpu / others.cpu:.2f})"

    both = found["aggregate"], found["report"]
    together = f"{sum(one.seconds for one in both):.1f} ({sum(one.cpu for one in both):.1f})"
    memory = f"{max(one.mib for one in both):.0f}"
    rows = [
        ("aggregate and report, seconds together", "60", together),
        ("aggregate and report, peak MiB of the larger", "2048", memory),
        ("seconds to parse, beyond an empty Snakefile: process of a job", "1", more("parse, process of a job")),
        ("the same, main process, which finds the models", "1", more("parse, main process (finds the models)")),
        *(
            (f"planning {models}, times as long as: {other}", "1.5", ratio(models, other))
            for models in ("external models", "trained models")
            for other in ("bare Snakefile", "same directives")
        ),
    ]
    lines = [(f"{size:,} models", "at most", "measured"), ("---",) * 3, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def reloads(folder: Path, size: int) -> str:
    """What cannot be simulated, extrapolated from the models that were audited."""
    seconds = json.loads((folder / "seconds.json").read_text())
    records = {kind: (folder / f"audited/{kind}.json").stat().st_size / 1000 for kind in SHARES}
    mean = sum(seconds[kind] * share for kind, share in SHARES.items()) / sum(SHARES.values())
    kinds = ", ".join(f"{kind} {seconds[kind]:.1f} s ({records[kind]:.0f} kB of record)" for kind in SHARES)
    return (
        f"Not simulated are the reloads. One after the other they took: {kinds}; the start of a job "
        f"{seconds['start']:.1f} s, the probe of the environment {seconds['probe']:.0f} s. In the proportions of the "
        f"simulation ({_shares()}) that is {mean:.1f} s a model, and {mean * size / 3600:.1f} hours for {size:,} "
        "models in one job at a time, if all were as small and as quick as these. It divides by the number of jobs "
        "that run at once."
    )


def real_audits(audits: dict[int, Reading]) -> str:
    """What whole audits took, reloads and all, in Markdown."""
    cores = os.cpu_count() or 1
    lines = [["the whole audit of", "seconds", "seconds of a core, a model", "peak MiB of Snakemake"], ["---"] * 4]
    for size, reading in audits.items():
        each = reading.seconds * cores / size
        lines.append([f"{size:,} models", f"{reading.seconds:,.0f}", f"{each:.2f}", f"{reading.mib:.0f}"])
    said = f"For real, on {cores} cores, from nothing to the report, in these proportions:"
    return said + "\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shares() -> str:
    return ", ".join(f"{share} {kind}" for kind, share in SHARES.items())


def machine() -> str:
    """Processor, cores, memory, versions."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in ("snakemake", "pyarrow", "pandas"))
    processor = cpu[1] if cpu else platform.processor()
    cores = os.cpu_count()
    return f"{processor}, {cores} cores, {memory:.0f} GiB; Python {platform.python_version()}, {versions}"
