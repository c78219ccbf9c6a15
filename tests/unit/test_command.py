"""``reload-audit`` writes the configuration that its command line means, explains itself, and ends as the gate does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from snakemake.cli import get_argument_parser

import reload_audit
from reload_audit.command import workflow
from reload_audit.command.arguments import parse, parsers
from reload_audit.command.main import WRITES, main
from reload_audit.command.mistake import Mistake
from reload_audit.planning.configuration import read_yaml, resolve
from reload_audit.planning.discovery.advice import AGAIN, how_to_accept
from reload_audit.planning.snakemake_internals import TRIED
from reload_audit.processes.outcome import Failure
from reload_audit.records.probe_record import Effects, ProbeRecord
from reload_audit.records.storage import write_json
from reload_audit.results.health import health_of_environments
from support.audit_contents import trained_row
from support.builders import ROOT, SCHEMA

COMMANDS = tuple(parsers()[1])
TOO_LONG = 300 * "n"
"""No file can have such a name: the system does not even look."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a user, with something of each kind in it."""
    monkeypatch.chdir(tmp_path)
    for name in ("model.zip", "enjoy.py", "claims.csv", "robot.py", "runs/old model.zip"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("")
    return tmp_path


def settings(*arguments: str) -> dict[str, Any]:
    """What a command line writes, after the configuration's own schema has accepted it."""
    options = parse(arguments)
    text = WRITES[options.command](options).text(arguments)
    content = yaml.safe_load(text)
    resolve(dict(content), SCHEMA, "audit.yaml")
    return content


def test_a_model_is_named_with_what_the_command_line_says_of_it(folder: Path) -> None:
    said = settings("model.zip", "--env", "CartPole-v1", "--algo", "PPO", "--claim", "475", "--claims", "claims.csv")
    expected = {"folder": f"{folder}/model.zip", "algo": "PPO", "env": "CartPole-v1", "claim": {"mean": 475.0}}
    assert said["runs"] == [expected]
    assert said["claims"] == [f"{folder}/claims.csv"]
    assert said["pathvars"] == {"results": f"{folder}/model-audit", "logs": f"{folder}/model-audit/logs"}


def test_a_model_may_have_the_longest_name_that_a_file_can_have(folder: Path) -> None:
    longest = Path(251 * "n" + ".zip")
    longest.touch()
    said = settings(str(longest))
    assert said["runs"] == [{"folder": str(folder / longest)}]
    assert said["pathvars"]["results"] == f"{folder}/{200 * 'n'}-audit"


def test_where_the_working_directory_is_gone_that_is_said(folder: Path, capsys) -> None:
    Path("gone").mkdir()
    os.chdir("gone")
    Path("../gone").rmdir()
    assert main(["model.zip"]) == 1
    assert (
        capsys.readouterr().err == "reload-audit: the working directory has been removed: expected one that is there\n"
    )


def test_a_folder_is_searched_and_nothing_is_said_that_the_user_did_not_say(folder: Path) -> None:
    said = settings("runs/", "--output", "somewhere else", "--fail-on", "degraded,suspect")
    assert said["runs"] == [{"folder": f"{folder}/runs"}]
    assert said["gate"] == {"fail_on": ["degraded", "suspect"]}
    assert set(said) == {"runs", "gate", "pathvars"}
    assert said["pathvars"]["results"] == f"{folder}/somewhere else"


def test_what_follows_a_script_is_its_own_command_line(folder: Path) -> None:
    said = settings("script", "--model", "model.zip", "enjoy.py", "--episodes", "20", "--env", "x")
    script = {"script": f"{folder}/enjoy.py", "args": ["--episodes", "20", "--env", "x"], "cwd": str(folder)}
    assert said["scripts"] == [{**script, "model": f"{folder}/model.zip"}]
    assert said["gate"] == {"fail_on": ["degraded", "error", "script"]}


def test_a_script_is_run_each_time_that_it_is_named(folder: Path, monkeypatch) -> None:
    Path("enjoy.py").write_text("print(1)\n")
    started: list[list[str]] = []
    monkeypatch.setattr(workflow, "snakemake", lambda arguments, *_: started.append([*arguments]) or 3)
    assert main(["script", "enjoy.py"]) == main(["env", "CartPole-v1"]) == 3
    forced = [arguments[arguments.index("--forcerun") + 1] for arguments in started if "--forcerun" in arguments]
    assert (forced, len(started)) == (["observe"], 2)


def test_an_environment_is_probed_without_a_model(folder: Path) -> None:
    assert settings("env", "CartPole-v1")["environments"] == [{"env": "CartPole-v1"}]
    assert settings("env", "CartPole-v1")["gate"] == {"fail_on": ["error", "environment"]}
    said = settings("env", "robot:Robot", "--env-kwargs", "{payload: 2.0}")
    assert said["environments"] == [{"env": "robot:Robot", "env_kwargs": {"payload": 2.0}}]


def test_a_module_of_this_folder_is_imported_from_it_only_where_it_is_named(folder: Path) -> None:
    assert "python_path" not in settings("env", "CartPole-v1")
    assert "python_path" not in settings("model.zip", "--env", "other:Robot")
    assert settings("env", "robot:Robot")["python_path"] == [str(folder)]
    assert settings("model.zip", "--env", "robot:Robot")["python_path"] == [str(folder)]


def test_a_module_of_the_folder_that_is_audited_is_imported_only_where_the_folder_is_named(folder: Path) -> None:
    with pytest.raises(Mistake, match=r"robot lies in .* which is audited.*expected --python-path \."):
        settings(".", "--env", "robot:Robot")
    assert settings(".", "--env", "robot:Robot", "--python-path", ".")["python_path"] == [str(folder)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.zip"], "there is nothing at nowhere.zip; expected a model's zip, or a folder with models"),
        (["scirpt"], "did you mean the command 'script'"),
        (["enjoy.py"], "enjoy.py is a script, and no model; expected: reload-audit script enjoy.py"),
        (["CartPole-v1"], "there is nothing at CartPole-v1; expected a model's zip, or a folder with models; to probe"),
        (["robot:Robot"], "to probe an environment: reload-audit env robot:Robot"),
        (["model.zip", "--output", "a{b}"], "--output: expected a path without braces"),
        (["model.zip", "--output", "enjoy.py"], "--output: expected a folder, found a file"),
        (["model.zip", "--claims", "none.csv"], "there is nothing at none.csv; expected a table of claims"),
        (["model.zip", "--fail-on", "degrade"], "--fail-on: found 'degrade'; did you mean 'degraded'?"),
        (["env", "robot:"], "expected an environment such as CartPole-v1 or module:Name, found 'robot:'"),
        (
            ["--env", ":Robot", "model.zip"],
            "expected an environment such as CartPole-v1 or module:Name, found ':Robot'",
        ),
        (["script", "none.py"], "there is nothing at none.py; expected a Python file or a notebook"),
        (["init", "none"], "init: expected a folder"),
        (["run", "--configfile", "none.yaml"], "none.yaml: cannot be read"),
        ([TOO_LONG], "expected a model's zip, or a folder with models"),
        (["model.zip", "--claims", TOO_LONG], "expected a table of claims"),
        (["model.zip", "--output", TOO_LONG], "cannot be written: File name too long; expected another folder"),
        (["model.zip", "--env", f"{TOO_LONG}:Robot", "--python-path", TOO_LONG], "expected a folder of Python modules"),
        (["~nobody-at-all/model.zip"], "there is nothing at ~nobody-at-all/model.zip"),
        (["model.zip", "--output", "circle/audit"], "circle/audit: cannot be written: "),
        (["compare", TOO_LONG, TOO_LONG], "expected an audit.json, cannot read it: File name too long"),
        (["init", TOO_LONG], "init: expected a folder"),
        (["run", "--directory", TOO_LONG], "File name too long"),
        (["script", "runs"], "expected a Python file or a notebook, found a folder: runs"),
    ],
    ids=lambda said: " ".join(said)[:60] if isinstance(said, list) else "",
)
def test_a_mistake_is_one_line_and_starts_nothing(arguments, said, folder, capsys, monkeypatch) -> None:
    Path("circle").symlink_to("circle")
    monkeypatch.setattr(workflow, "snakemake", lambda *_: pytest.fail("Snakemake was started"))
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("reload-audit: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["model.zip", "--evn", "x"],
        ["model.zip", "--cores", "0"],
        ["model.zip", "--claim", "nan"],
        ["model.zip", "--fail-on", ""],
        ["script", "--timeout", "-5", "enjoy.py"],
        ["env"],
        [""],
        ["env", "robot:Robot", "--env-kwargs", 3000 * "["],
    ],
)
def test_an_option_that_is_none_ends_in_2(arguments, folder, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_a_command_that_is_misspelt_is_named_whatever_follows_it(folder, capsys) -> None:
    with pytest.raises(SystemExit):
        main(["evn", "CartPole-v1"])
    assert "there is no command, file or folder evn; did you mean 'env'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(["run", "--cores", "2"], True), (["run"], True), (["run", "--configfile", "mine.yaml"], False)],
)
def test_a_folder_that_is_called_like_a_command_may_be_meant(arguments, named, folder, capsys) -> None:
    parse(arguments)
    assert capsys.readouterr().err == ""
    Path("run").mkdir()
    parse(arguments)
    assert ("reload-audit ./run" in capsys.readouterr().err) == named


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: reload-audit{'' if command == 'audit' else ' ' + command}")


def test_a_shell_completes_commands_options_and_files(folder, capsys) -> None:
    pytest.importorskip("shtab", reason="completion needs shtab, which requirements-dev.txt installs")
    with pytest.raises(SystemExit):
        main(["--completion", "bash"])
    text = capsys.readouterr().out
    assert "--fail-on" in text
    assert all(command in text for command in COMMANDS)
    asked = (
        'ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _reload_audit; echo "${COMPREPLY[@]}"; }\n'
        "ask reload-audit compare au; ask reload-audit model.zip --claim; complete -p reload-audit"
    )
    Path("audit.json").write_text("{}")
    bash = ["bash", "--norc", "-c", f"{text}\n{asked}"]
    shown = subprocess.run(bash, capture_output=True, text=True, check=True).stdout.splitlines()
    files, options, registered = shown
    assert files == "audit.json"
    assert options == "--claim --claims"
    assert "-o default" in registered


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_help_begins_with_what_most_people_want(arguments, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert next(line for line in text.splitlines() if line.startswith("  reload-audit")).split()[1] == "model.zip"
    assert all(f"\n    {command} " in text for command in COMMANDS)


def test_the_options_of_run_go_to_snakemake_as_they_are(folder, monkeypatch) -> None:
    Path("mine.yaml").write_text("runs: [runs]\n")
    started = []
    monkeypatch.setattr(workflow, "snakemake", lambda arguments, *_: started.append(arguments) or 0)
    assert main(["run", "--configfile", "mine.yaml", "--cores", "8", "-n"]) == 0
    assert main(["run", "--workflow-profile", "mine"]) == 0
    assert started[0] == [*workflow.default_profile([]), "--configfile", "mine.yaml", "--cores", "8", "-n"]
    assert started[1] == ["--workflow-profile", "mine"]


def test_run_ends_as_the_gate_does_where_snakemake_was_told_to_write(folder, monkeypatch, capsys) -> None:
    for results, verdict in (("results", "degraded"), ("other", "improved")):
        Path("there", results).mkdir(parents=True)
        write_json(Path("there", results, "audit.json"), {"models": [trained_row("a model", verdict)]})
    Path("profile").mkdir()
    config = ["pathvars={'results': 'other'}", "gate={'fail_on': ['improved']}"]
    Path("profile/profile.yaml").write_text(yaml.safe_dump({"directory": "there", "config": config}))
    snakemake = workflow.snakemake
    monkeypatch.setattr(
        workflow, "snakemake", lambda arguments, *others: snakemake([*arguments, "--list-rules"], *others)
    )
    assert main(["run", "--profile", "profile"]) == 1
    assert capsys.readouterr().err == "gate: models that are improved: 1\n  a model: improved\n"


def test_snakemake_is_given_what_the_default_profile_says_and_so_does_not_name_it() -> None:
    given = get_argument_parser().parse_args(workflow.default_profile([]))
    assert given.workflow_profile == "none"
    said = get_argument_parser([str(ROOT / "profiles/default")]).parse_args([])
    for key in read_yaml(ROOT / "profiles/default/profile.yaml"):
        assert getattr(given, key.replace("-", "_")) == getattr(said, key.replace("-", "_")), key


@pytest.mark.parametrize(("verdict", "status"), [("identical", 0), ("degraded", 1), ("error", 0)])
def test_an_audit_that_ended_gives_the_exit_status_of_the_gate(verdict, status, tmp_path, capsys) -> None:
    write_json(tmp_path / "audit.json", {"models": [trained_row("a model", verdict)]})
    assert workflow.ended_as(tmp_path, ["degraded"]) == status
    assert capsys.readouterr().err == ("gate: models that are degraded: 1\n  a model: degraded\n" if status else "")


def test_an_audit_that_did_not_end_has_no_status_that_could_be_taken_for_success(tmp_path) -> None:
    with pytest.raises(Mistake, match="the audit did not end"):
        workflow.ended_as(tmp_path, None)


def test_where_nothing_is_said_of_the_gate_degraded_models_and_errors_close_it(tmp_path) -> None:
    models = [trained_row(verdict, verdict) for verdict in ("degraded", "error", "inconclusive")]
    write_json(tmp_path / "audit.json", {"models": models[2:]})
    assert workflow.ended_as(tmp_path, None) == 0
    for model in models[:2]:
        write_json(tmp_path / "audit.json", {"models": [model]})
        assert workflow.ended_as(tmp_path, None) == 1


def test_an_environment_that_no_model_is_of_is_in_the_audit(tmp_path) -> None:
    environment = {"env": "corridor:Corridor", "env_kwargs": {}, "wrappers": [], "python_path": [], "vec_env": None}
    failure = Failure("exception", "no module named 'corridor'", "")
    spec = {**environment, "monitor": "env", "vec_wrappers": []}
    probe = ProbeRecord(spec, (), Effects({}), failure, (), (), "", "", 1, 0.0)
    (health,) = health_of_environments([], {"corridor": probe})
    assert (health.name, health.models) == ("corridor", ())
    assert "no module named" in str(health.to_dict())


def test_no_module_is_imported_from_the_working_directory(folder: Path) -> None:
    for name in ("yaml", "argparse", "jsonschema", "reload_audit", "snakemake"):
        Path(f"{name}.py").write_text("raise SystemExit('imported from the working directory')")
    status = workflow.snakemake(["--version"], folder)
    assert status == 0


def test_where_the_home_folder_cannot_be_written_the_cache_lies_beside_the_results(folder: Path, monkeypatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(folder / "home"))
    assert workflow.place_of_cache(folder) == {}
    (folder / "no-folder").write_text("")
    monkeypatch.setenv("HOME", str(folder / "no-folder"))
    assert workflow.place_of_cache(Path()) == {"XDG_CACHE_HOME": str(folder / ".snakemake/cache")}


def test_only_one_audit_at_a_time_writes_into_a_folder(folder: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from reload_audit.command.workflow import alone_in\n"
        "from pathlib import Path\n"
        "with alone_in(Path('out')): pass"
    )
    with workflow.alone_in(folder / "out"):
        second = subprocess.run(
            [sys.executable, "-c", code, str(ROOT / "workflow/scripts")], capture_output=True, text=True
        )
    assert "another audit is at work in out: wait until it has ended" in second.stderr
    with workflow.alone_in(folder / "out"):
        pass


def test_a_snakemake_that_outlives_its_killed_command_keeps_other_audits_out(folder: Path) -> None:
    Path("project").mkdir()
    Path("project/Snakefile").write_text(
        "import os, time\nfrom pathlib import Path\nPath('new').write_text(str(os.getpid()))\n"
        "Path('new').rename('begun')\ntime.sleep(600)"
    )
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from reload_audit.command import workflow\n"
        "workflow.PROJECT = Path('project').absolute()\n"
        "with workflow.alone_in(Path('out')) as held: workflow.snakemake(['-n'], Path('out'), held=held)"
    )
    command = subprocess.Popen([sys.executable, "-c", code, str(ROOT / "workflow/scripts")])
    while not Path("out/begun").exists():
        assert command.poll() is None
        time.sleep(0.05)
    command.kill()
    command.wait()
    outlives = psutil.Process(int(Path("out/begun").read_text()))
    with pytest.raises(Mistake, match="another audit is at work in out"), workflow.alone_in(Path("out")):
        pass
    outlives.kill()
    psutil.wait_procs([outlives])
    with workflow.alone_in(Path("out")):
        pass


def test_an_accepting_command_is_the_one_that_was_given(monkeypatch) -> None:
    assert how_to_accept("proposed.yaml") == "snakemake --cores 2 --configfile proposed.yaml"
    monkeypatch.setenv(AGAIN, "reload-audit repository")
    assert how_to_accept("proposed.yaml") == "reload-audit repository --yes"


def test_init_writes_what_lies_there_and_replaces_nothing(folder, capsys) -> None:
    Path("robot.py").write_text("import gymnasium as gym\nclass Robot(gym.Env):\n    pass\n")
    Path("enjoy.py").write_text("model = PPO.load('model.zip')\nevaluate_policy(model, env)\n")
    shutil.rmtree("runs")
    assert main(["init"]) == 0
    written = Path("reload-audit.yaml").read_text()
    assert "# - robot:Robot" in written
    assert "# - enjoy.py" in written
    said = capsys.readouterr().out
    assert "1 evaluation script, 1 environment" in said
    assert "reload-audit run --configfile reload-audit.yaml --cores 2" in said
    assert main(["init"]) == 1
    assert Path("reload-audit.yaml").read_text() == written


def test_a_wheel_requires_the_versions_of_snakemake_that_were_tried() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    assert f'"snakemake>={TRIED[0]},<={TRIED[-1]}"' in text


def test_the_newest_entry_of_the_changelog_is_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert text.split("\n## ")[1].split()[0] == reload_audit.__version__
