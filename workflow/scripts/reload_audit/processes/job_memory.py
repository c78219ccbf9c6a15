"""Find out whether processes of this job were killed because it held more memory than it had asked for.

Linux counts such kills in the job's control group. They say nothing about a model: the job has asked for too little.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_MIB = 2**20
_ROUNDING = 1.01  # a cluster may count in pages, or in MB where others have MiB


def kills(root: Path = Path("/")) -> int:
    """How many processes of this job's control group the kernel has killed for want of memory.

    :param root: of the file system, where ``/proc`` and ``/sys`` are
    """
    group = _group(root)
    if group is None:
        return 0
    for name in ("memory.events", "memory.oom_control"):  # of version 2, of version 1
        for line in _read(group / name).splitlines():
            key, _, value = line.partition(" ")
            if key == "oom_kill":
                return int(value)
    return 0


def is_limited_to(mem_mb: int, root: Path = Path("/")) -> bool:
    """Whether the control group enforces what the job has asked for, as a cluster does, and a laptop does not."""
    limits = [limit for limit in _limits(root) if limit > 0]
    return bool(limits) and min(limits) <= mem_mb * _MIB * _ROUNDING


def _limits(root: Path) -> Iterator[int]:
    group = _group(root)
    while group is not None and group.is_relative_to(root / "sys/fs/cgroup"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = _read(group / name).strip()
            if text.isdigit():
                yield int(text)
        group = group.parent


def _group(root: Path) -> Path | None:
    """The folder of this process's memory control group; None where there is none."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        folder = root / "sys/fs/cgroup" / ("memory" if controllers else "") / path.lstrip("/")
        if controllers in ("", "memory") and any(
            (folder / name).exists() for name in ("memory.events", "memory.oom_control")
        ):
            return folder
    return None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except OSError:
        return ""
