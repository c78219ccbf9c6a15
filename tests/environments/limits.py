"""An environment that takes more time or memory than its Slurm job may."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from planted import Draws

GREEDY_MB = 1600


class ExceedsLimits(Draws):
    """Where profiles/sbatch trains `slow`, it sleeps for minutes, once; `greedy` it trains only with enough memory.

    `healthy` it keeps running for some seconds, once, so that its job can be found and cancelled.
    """

    fed = False

    def step(self, action: Any) -> Any:
        job = os.environ.get("SLURM_JOB_NAME", "")
        if job.startswith("train.slow") and not Path("slept").exists():
            Path("slept").touch()
            time.sleep(600)
        if job.startswith("train.healthy") and not Path(f"paused-{job}").exists():
            Path(f"paused-{job}").touch()
            time.sleep(15)
        if job.startswith("train.greedy") and not ExceedsLimits.fed:
            ExceedsLimits.fed = True
            Path(f"greedy-with-{os.environ['SLURM_MEM_PER_NODE']}-MB").touch()
            held = np.ones(GREEDY_MB * 2**17)
            time.sleep(4)  # without cgroups Slurm looks every other second
            del held
        return super().step(action)
