"""Evaluation results as repositories of the Hugging Face Hub keep them, in ``.eval_results/*.yaml``.

Format: https://huggingface.co/docs/hub/eval-results. A result there belongs to a task of a benchmark, which is a data
set of the Hub: none is known for an environment, so these two names are left to whoever publishes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from reload_audit.judging.criteria import NOTHING_LOST
from reload_audit.reports.audit import Audit
from reload_audit.reports.audited_model import AuditedModel, finite
from reload_audit.reports.model_cards import file_names
from reload_audit.reports.safe_text import one_line

_LONGEST = 200
_TO_FILL_IN = """\
# For .eval_results/ in the repository of {model}.
# Put the benchmark's data set in place of OWNER/BENCHMARK, and the task that its eval.yaml names in place of TASK.
"""


def write_results(audit: Audit, folder: Path) -> None:
    """Write a file for each model of the Hub that earns what it is said to, or more.

    :param folder: is there
    """
    for name, model in file_names(_publishable(audit), lambda model: model.name):
        (folder / f"{name}.eval_results.yaml").write_text(_content(model, audit.tool), encoding="utf-8")


def _publishable(audit: Audit) -> Iterator[AuditedModel]:
    for model in audit.models:
        is_measured = None not in (finite(model.reload_mean_reward), finite(model.reload_std_reward), model.n_episodes)
        if model.source == "hub" and model.verdict in (*NOTHING_LOST, "improved") and is_measured:
            yield model


def _content(model: AuditedModel, tool: str) -> str:
    mean, std = model.reload_mean_reward or 0.0, model.reload_std_reward or 0.0
    notes = (
        f"Mean episode reward in {model.env_ran or model.env_id}, n = {model.n_episodes}, std = {std:.6g}; "
        f"reloaded in a fresh process by {tool}: {model.verdict}"
    )
    dataset = {"id": "OWNER/BENCHMARK", "task_id": "TASK"}
    entry = {"dataset": dataset, "value": float(f"{mean:.6g}"), "notes": one_line(notes, _LONGEST)}
    said = yaml.safe_dump([entry], sort_keys=False, allow_unicode=True, width=1000)
    return _TO_FILL_IN.format(model=one_line(model.name, _LONGEST)) + said
