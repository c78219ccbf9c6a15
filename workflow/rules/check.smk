"""Before anything runs: does every experiment's environment exist, and can its algorithm act there?

Not a rule, because everything would have to wait for it and run again after it. It runs once for a configuration, in
a process of its own, and leaves the resolved configuration beside the results.
"""

import importlib.util
import json
import subprocess

import yaml

CHECK_CODE = code_of("check.py")


def check_experiments():
    """Stop with one message that lists every experiment that cannot start."""
    experiments = configuration.one_spec_per_n_envs(AUDIT)
    codes = f"{CHECK_CODE} {user_code(AUDIT['experiments'])}"
    checked = f"# Checked with {codes}\n{yaml.safe_dump(AUDIT, sort_keys=False)}"
    marker = Path(workflow.pathvars.apply("<results>/config.yaml"))
    if marker.exists() and marker.read_text(encoding="utf-8") == checked:
        return
    if experiments and importlib.util.find_spec("stable_baselines3") is not None:
        _check(
            experiments
        )  # else jobs bring their own software, and say themselves what is wrong
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.write_text(checked, encoding="utf-8")


def _check(experiments):
    print(f"Checking the experiments of {CONFIG_SOURCE}")
    log = workflow.pathvars.apply("<logs>/check.log")
    done = subprocess.run(
        [sys.executable, source("check.py"), CONFIG_SOURCE, log],
        input=json.dumps(experiments),
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise WorkflowError(done.stderr.strip())
