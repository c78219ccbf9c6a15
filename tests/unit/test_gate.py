"""What the gate lets pass."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import gate
from reload_audit.judging.criteria import VERDICTS
from reload_audit.records.since import CandidateResult
from reload_audit.records.storage import write_json
from support.audit_contents import (
    consistent_row,
    environment_health,
    inconclusive_row,
    script_entry,
    suspect_row,
    trained_row,
)

BY_DEFAULT = ("degraded", "error")


def audit(
    folder: Path,
    *models: dict[str, Any],
    environments: Sequence[dict[str, Any]] = (),
    scripts: Sequence[dict[str, Any]] = (),
    candidates: Sequence[CandidateResult] = (),
) -> Path:
    compared = [candidate.to_dict() for candidate in candidates]
    content = {"models": models, "environment_health": list(environments), "scripts": list(scripts)}
    content["candidates"] = compared
    write_json(folder / "audit.json", content)
    return folder / "audit.json"


def test_by_default_everything_passes_that_is_not_shown_to_be_lost(tmp_path):
    passing = [trained_row(verdict, verdict) for verdict in VERDICTS if verdict not in BY_DEFAULT]
    lost = trained_row("lost", "degraded")
    with pytest.raises(gate.GateClosed, match=r"^gate: models that are degraded or error: 1\n  lost: degraded$"):
        gate.main(audit(tmp_path, *passing, suspect_row(), consistent_row(), lost), BY_DEFAULT)


@pytest.mark.parametrize("verdict", VERDICTS)
def test_a_verdict_that_is_named_does_not_pass(tmp_path, verdict):
    models = [trained_row(f"a {one} model", one) for one in VERDICTS]
    with pytest.raises(gate.GateClosed, match=f"^gate: models that are {verdict}: 1\n  a {verdict} model: {verdict}$"):
        gate.main(audit(tmp_path, *models), [verdict])


def test_suspect_models_do_not_pass_where_that_is_asked_for(tmp_path):
    path = audit(tmp_path, suspect_row("s"), inconclusive_row("no_claim"))
    with pytest.raises(gate.GateClosed, match=r"^gate: models that are suspect: 1\n  s: inconclusive \(suspect\)$"):
        gate.main(path, ["suspect"])
    with pytest.raises(gate.GateClosed, match=r"^gate: models that are inconclusive: 2\n"):
        gate.main(path, ["inconclusive"])


def test_environments_with_faults_do_not_pass_where_that_is_asked_for(tmp_path):
    faulty = environment_health("corridor:Corridor", problem=("global-generator", "It draws."))
    leaving = environment_health("a", problem=("environment-checker", "-"), reproducible=True)
    path = audit(tmp_path, trained_row(), environments=[environment_health(), leaving, faulty])
    gate.main(path, BY_DEFAULT)
    with pytest.raises(gate.GateClosed) as closed:
        gate.main(path, [*BY_DEFAULT, "environment"])
    assert str(closed.value).splitlines() == [
        "gate: environments with faults: 2",
        "  corridor:Corridor: not reproducible: global-generator",
        "  a: reproducible, but fails its checks: environment-checker",
    ]
    gate.main(audit(tmp_path, trained_row(), environments=[environment_health()]), ["environment"])


def test_scripts_that_lose_or_do_not_run_do_not_pass_where_that_is_asked_for(tmp_path, capsys):
    lost = script_entry("lost.py", ["load-not-assigned", "policy-mode"])
    broken = script_entry("broken.py", mean=None, raised="KeyError: 'x'", raised_at="broken.py:3")
    unknown = script_entry("own.py", model_mean=None, gap=None, agrees=None, problem="there is no file robot.zip")
    path = audit(tmp_path, trained_row(), scripts=[script_entry(), lost, broken, unknown])
    gate.main(path, BY_DEFAULT)
    assert "passes, whatever the scripts do: 3 have faults or could not be compared" in capsys.readouterr().err
    with pytest.raises(gate.GateClosed) as closed:
        gate.main(path, [*BY_DEFAULT, "script"])
    lines = "lost.py:1 load-not-assigned, lost.py:2 policy-mode"
    assert str(closed.value).splitlines() == [
        "gate: scripts with faults: 1",
        f"  lost.py earns 10 ± 1 (20 episodes); robot earns 50 ± 2 (200 episodes): {lines}",
        "scripts that could not be compared with their models: 2",
        "  broken.py could not be compared (broken.py:3): KeyError: 'x'",
        "  own.py earns 50 ± 1 (20 episodes); what robot earns is not known: there is no file robot.zip",
    ]
    for words in (["script"], BY_DEFAULT):
        gate.main(audit(tmp_path, trained_row(), scripts=[script_entry()]), words)
    assert capsys.readouterr().err == ""


def test_candidates_that_earn_less_or_may_do_not_pass_where_that_is_asked_for(tmp_path):
    kinds = ("identical", "same", "more", "less", "open")
    compared = [CandidateResult(k, "old", "", k, "seeds", 320, -2.0, -4.0, -0.5, 1.0, 0.01, 3.0) for k in kinds]
    path = audit(tmp_path, trained_row(), candidates=[*compared, CandidateResult("broken", "old", "")])
    gate.main(path, BY_DEFAULT)
    with pytest.raises(gate.GateClosed) as closed:
        gate.main(path, [*BY_DEFAULT, "candidate"])
    assert [line.partition(":")[0] for line in str(closed.value).splitlines()] == [
        "gate",
        "  less against old",
        "  broken against old",
    ]
    with pytest.raises(gate.GateClosed, match=r"^gate: candidates that may earn less: 1\n  open against old: whether"):
        gate.main(path, ["candidate_open"])
    gate.main(audit(tmp_path, trained_row(), candidates=compared[:3]), ["candidate", "candidate_open"])
