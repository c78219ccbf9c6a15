"""What every snakemake process imports before it knows what to do is little, and travels with the workflow."""

from __future__ import annotations

import re
import subprocess
import sys

from support.builders import ROOT

SCRIPTS = ROOT / "workflow/scripts"

IMPORTS = """
import sys
before = set(sys.modules)
from reload_audit.planning import code_digest
from reload_audit.planning import configuration
from reload_audit.planning.discovery import find_models
from reload_audit.planning import job_requests
print(*sorted(set(sys.modules) - before))
"""


def imported() -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], cwd=SCRIPTS, stdout=subprocess.PIPE, text=True, check=True, env={}
    )
    return set(done.stdout.split())


def test_planning_imports_no_heavy_library():
    packages = {module.partition(".")[0] for module in imported()}
    assert packages.isdisjoint({"numpy", "pandas", "torch", "gymnasium", "stable_baselines3", "scipy", "pyarrow"})


def test_a_workflow_that_is_used_from_afar_fetches_all_that_planning_imports():
    rules = (ROOT / "workflow/rules/library.smk").read_text()
    packages = {name: re.search(rf"{name.upper()} = \((.*?)\)", rules, re.DOTALL) for name in ("discovery", "reading")}
    fetched = {f"reload_audit{module}" for module in ("", ".code_digest", ".configuration", ".resources")}
    for name, found in packages.items():
        assert found is not None
        fetched |= {f"reload_audit.{name}.{module}" for module in re.findall(r'"(\w+)"', found[1])}
    expected = {module for module in imported() if module.partition(".")[0] == "reload_audit"}
    assert {module.removesuffix(".__init__") for module in fetched} == expected
