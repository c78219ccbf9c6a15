"""What rules ask for, without Snakemake: models, batches, probes, files that are watched, digests of code, requests."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reload_audit.planning.code_digest import locate_in, named_code_digest
from reload_audit.planning.configuration import ConfigError
from reload_audit.planning.for_rules import Asking, always, by
from reload_audit.planning.plan import Folders, Plan, default_configuration, make_plan
from reload_audit.planning.watched_files import watched_files
from reload_audit.records.probe_names import probe_name
from reload_audit.records.specs import ExternalPolicy, ExternalSpec, ReloadSpec, TrainingSpec
from support.builders import ROOT, experiment
from support.published_layouts import hub_repository, sb3_zip, zoo_run

WORKFLOW = ROOT / "workflow"
NOW = 4e9  # later than any file is stamped


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(str(tmp_path / "results"), str(tmp_path / "logs"))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Three external models: two in one environment, one in another."""
    for run in ("ppo/CartPole-v1_1", "ppo/CartPole-v1_2"):
        zoo_run(tmp_path / "models" / run)
    zoo_run(tmp_path / "models/ppo/Acrobot-v1_1", env="Acrobot-v1")
    return tmp_path / "models"


def plan(folders: Folders, discover: bool = True, now: float = NOW, **config: Any) -> Plan:
    return make_plan(config, "mine.yaml", folders, WORKFLOW.joinpath, now=now, discover=discover)


def plain(value: Any) -> bool:
    """Whether Snakemake compares all of it when it decides what runs again."""
    return json.loads(json.dumps(value, allow_nan=False)) == value


# --- Models --------------------------------------------------------------------------------------------------------


def test_every_model_to_train_has_a_spec_that_its_job_can_read(folders):
    audit = plan(folders, experiments=[experiment(seeds=[0, 1])])
    specs = [spec for batch in audit.training.batches for spec in audit.training.specs(batch)]
    assert sorted(TrainingSpec.from_dict(spec).seed for spec in specs) == [0, 1]
    assert plain(specs)
    assert audit.model_records() == [f"{folders.results}/reloaded/small-seed{seed}-n1.json" for seed in (0, 1)]


def test_what_runs_first_is_known_before_all_is_planned(folders, models):
    audit = plan(folders, experiments=[experiment()], runs=[str(models)])
    outputs = {
        "train": audit.training.trained(audit.trained),
        "audit_external": [record for record in audit.model_record_inputs() if "/external/" in record],
        "reload": audit.training.reloaded(),
    }
    for rule, files in outputs.items():
        assert audit.first_rules() == [rule]
        for file in map(Path, files):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    assert audit.first_rules() == []


def test_the_longer_a_training_the_sooner_it_begins_but_no_sooner_than_what_gives_a_verdict(folders):
    lengths = {"short": 128, "longest": 10**6, "long": 3 * 10**5}
    training = plan(
        folders, experiments=[experiment(name=name, total_timesteps=n) for name, n in lengths.items()]
    ).training
    first = sorted(training.batches, key=training.priority, reverse=True)
    assert [batch.partition("-")[0] for batch in first] == ["longest", "long", "short"]
    assert all(
        0 < training.priority(batch) < 1 for batch in first
    )  # others have 1; CBC would never start what is below 0


def test_every_external_model_is_in_a_batch_that_its_job_can_read(folders, models):
    audit = plan(folders, runs=[str(models)])
    batches = {name: audit.batch_models(name) for name in audit.batches}
    specs = [ExternalSpec.from_dict(model) for batch in batches.values() for model in batch]
    assert {spec.model for spec in specs} == set(audit.external)
    assert all(audit.external[spec.model] == spec for spec in specs)
    assert plain(batches)
    assert audit.model_records() == [f"{folders.results}/external/{name}.json" for name in batches]


def test_settings_are_plain_data_that_jobs_can_read(folders, models):
    audit = plan(folders, runs=[str(models)], reload={"memory": 1024})
    assert ReloadSpec.from_dict(audit.reload_settings).memory == 1024
    assert ExternalPolicy.from_dict(audit.external_policy).max_bytes == 256 * 2**20
    assert all(
        map(plain, (audit.reload_settings, audit.external_policy, audit.probing.settings, audit.aggregation_settings))
    )


def test_only_the_models_named_under_only_are_planned(folders, models):
    wanted = ["small-seed1-n1", "ppo/CartPole-v1_1"]
    audit = plan(folders, experiments=[experiment(seeds=[0, 1])], runs=[str(models)], only=wanted)
    assert [*audit.trained, *audit.external] == wanted


def test_a_model_named_under_only_that_does_not_exist_is_refused(folders, models):
    with pytest.raises(ConfigError, match="there is no model 'ppo/CartPole-v1_3'; did you mean 'ppo/CartPole-v1_"):
        plan(folders, runs=[str(models)], only=["ppo/CartPole-v1_3"])


def test_jobs_do_not_repeat_the_discovery_of_external_models(folders, models):
    main = plan(folders, runs=[str(models)])
    main.remember_external_models()
    for file in models.rglob("*.zip"):
        file.unlink()
    job = plan(folders, discover=False, runs=[str(models)])
    assert job.batches == main.batches
    assert [job.batch_models(name) for name in job.batches] == [main.batch_models(name) for name in main.batches]


def test_external_models_of_another_configuration_are_forgotten(folders, models):
    plan(folders, runs=[str(models)]).remember_external_models()
    plan(folders, experiments=[experiment()]).remember_external_models()
    assert not Path(folders.results, "external/models.json").exists()


# --- The list of files watched -------------------------------------------------------------------------------------


def test_the_files_of_a_batchs_models_are_inputs_of_its_job(folders, models):
    audit = plan(folders, runs=[str(models)])
    inputs = [file for name in audit.batches for file in audit.batch_inputs(name)]
    assert {Path(file).name for file in inputs} == {
        *("CartPole-v1.zip", "Acrobot-v1.zip", "evaluations.npz", "0.monitor.csv")
    }
    assert not any(audit.batch_unwatched(name) for name in audit.batches)


def test_files_that_snakemake_cannot_watch_count_by_size_and_time(tmp_path, folders):
    odd, late = sb3_zip(tmp_path / "models/{b}/CartPole-v1.zip"), sb3_zip(tmp_path / "models/a/CartPole-v1.zip")
    os.utime(odd, (100, 100))
    os.utime(late, (300, 300))
    audit = plan(folders, now=200.0, runs=[str(tmp_path / "models")])
    files = watched_files(audit.external.values(), now=200.0)
    assert files.inputs == ()
    assert sorted(files.unwatched) == sorted((str(file), *_size_and_time(file)) for file in (odd, late))
    assert plain([audit.batch_unwatched(name) for name in audit.batches])


def _size_and_time(file: Path) -> tuple[int, int]:
    return file.stat().st_size, file.stat().st_mtime_ns


# --- Environments --------------------------------------------------------------------------------------------------


def test_each_distinct_environment_is_probed_once_with_a_model_trained_here_before_an_external_one(folders, models):
    audit = plan(folders, experiments=[experiment(env="CartPole-v1", seeds=[0, 1])], runs=[str(models)])
    stands_for = {probe.rpartition("-")[0]: model for probe, model in audit.probing.probes.items()}
    assert stands_for["CartPole-v1"].trained == "small-seed0-n1"
    assert stands_for["Acrobot-v1"].external == audit.external["ppo/Acrobot-v1_1"]
    assert len(audit.probing.probes) == 2
    for probe in audit.probing.probes:
        assert audit.probing.environment(probe)["env"] == probe.rpartition("-")[0]
        assert plain(
            [audit.probing.environment(probe), audit.probing.external_model(probe), audit.probing.policy_of(probe)]
        )


def test_an_environment_that_the_user_named_comes_before_the_same_one_named_by_a_file(tmp_path, folders):
    hub_repository(tmp_path / "a")
    sb3_zip(tmp_path / "b/b.zip")
    audit = plan(folders, runs=[str(tmp_path / "a"), {"folder": str(tmp_path / "b"), "env": "CartPole-v1"}])
    (probed,) = audit.probing.probes.values()
    assert probed.external is not None
    assert probed.external.named_by_user == ("env",)


def test_claims_of_an_external_model_decide_nothing_about_its_environment(folders, models):
    audit = plan(folders, runs=[{"folder": str(models), "exclude": ["*Acrobot*"]}])
    (probe,) = audit.probing.probes
    external = audit.probing.external_model(probe)
    assert external is not None
    assert (external["evaluations"], external["monitors"], external["claim"]) == (None, [], None)
    assert audit.probe_records() == [f"{folders.results}/probes/{probe}.json"]


# --- Digests of code -----------------------------------------------------------------------------------------------


def test_an_edit_of_the_users_own_code_changes_the_digest_of_the_jobs_that_use_it(tmp_path, folders):
    (tmp_path / "mine.py").write_text("class Env: a = 1\n")
    own = {"experiments": [experiment(env="mine:Env"), experiment(name="other")], "python_path": [str(tmp_path)]}

    def codes() -> list[str]:
        audit = plan(folders, **own)
        return [audit.training.code_of("small-seed0-n1"), audit.training.reload_code_of("small-seed0-n1")]

    def code_of_the_other() -> str:
        return plan(folders, **own).training.code_of("other-seed0-n1")

    before, other = codes(), code_of_the_other()
    (tmp_path / "mine.py").write_text("class Env: a = 2\n")
    assert all(one != another for one, another in zip(before, codes(), strict=True))
    assert code_of_the_other() == other


def test_other_resources_do_not_change_the_code_digest_of_a_job(folders):
    before, after = (plan(folders, experiments=[experiment(resources=more)]) for more in ({}, {"runtime": 9}))
    assert before.training.code_of("small-seed0-n1") == after.training.code_of("small-seed0-n1")


def test_an_edit_of_a_trusted_package_changes_the_digest_of_batches_and_probes(tmp_path, folders, models):
    (tmp_path / "trusted.py").write_text("a = 1\n")
    config = {"runs": [str(models)], "trust": ["trusted"], "python_path": [str(tmp_path)]}
    before = plan(folders, **config)
    codes = [before.batch_code(next(iter(before.batches))), before.probing.code_of(next(iter(before.probing.probes)))]
    (tmp_path / "trusted.py").write_text("a = 2\n")
    after = plan(folders, **config)
    changed = [after.batch_code(next(iter(after.batches))), after.probing.code_of(next(iter(after.probing.probes)))]
    assert all(one != other for one, other in zip(codes, changed, strict=True))


def test_an_edit_of_a_module_of_one_repository_changes_its_models_alone(tmp_path, folders, models):
    for name in ("one", "two"):
        shutil.copytree(models, tmp_path / name / "models")
        (tmp_path / name / "env.py").write_text("a = 1\n")
    runs = [
        {"folder": str(tmp_path / name), "env": "env:Mine", "python_path": [str(tmp_path / name)]}
        for name in ("one", "two")
    ]
    before = plan(folders, runs=runs)
    codes = {probe: before.probing.code_of(probe) for probe in before.probing.probes}
    audited = {batch: before.batch_code(batch) for batch in before.batches}
    (tmp_path / "two/env.py").write_text("a = 2\n")
    after = plan(folders, runs=runs)
    changed = [
        after.probing.environment(probe) for probe, code in codes.items() if after.probing.code_of(probe) != code
    ]
    assert [environment["python_path"] for environment in changed] == [[str(tmp_path / "two")]]
    assert any(after.batch_code(batch) != code for batch, code in audited.items())


# --- What jobs ask for ---------------------------------------------------------------------------------------------


def test_a_job_asks_for_the_resources_of_its_own_model_or_batch(folders, models):
    audit = plan(folders, experiments=[experiment(device="cuda", resources={"threads": 3})], runs=[str(models)])
    training = Asking(by("batch", audit.training.request))
    wildcards = SimpleNamespace(batch="small-seed0-n1")
    assert (training.threads(wildcards), training.gpu(wildcards)) == (3, 1)
    assert training.mem_mb(wildcards, attempt=2) > training.mem_mb(wildcards, attempt=1)
    assert training.runtime(wildcards, attempt=2) == 2 * training.runtime(wildcards, attempt=1)
    auditing = Asking(by("batch", audit.batch_request))
    assert auditing.gpu(SimpleNamespace(batch=next(iter(audit.batches)))) is None
    assert Asking(always(audit.aggregation_request)).threads(SimpleNamespace()) == 1


# --- Before and after ----------------------------------------------------------------------------------------------


def test_the_configuration_of_the_working_directory_comes_before_the_workflows_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Path(default_configuration(WORKFLOW.joinpath)).resolve() == ROOT / "config/config.yaml"
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text("runs: [models]\n")
    assert default_configuration(WORKFLOW.joinpath) == "config/config.yaml"
    (tmp_path / "config/config.yaml").write_text("runs: [\n")
    with pytest.raises(ConfigError, match=r"^config/config.yaml, line 2"):
        default_configuration(WORKFLOW.joinpath)


def test_the_default_configuration_finds_its_examples_wherever_it_is_used(tmp_path, folders, monkeypatch):
    monkeypatch.chdir(tmp_path)
    audit = plan(folders, experiments=[experiment()], python_path=["examples"])
    assert audit.trained["small-seed0-n1"]["environment"]["python_path"] == [str(ROOT / "examples")]


def test_a_summary_that_is_older_than_the_audit_is_not_shown(folders):
    audit = plan(folders, experiments=[experiment()])
    assert audit.closing_words() is None
    results = Path(folders.results)
    results.mkdir()
    (results / "audit.json").write_text("{}")
    (results / "summary.txt").write_text("All is well.")
    assert audit.closing_words() == "All is well."
    os.utime(results / "summary.txt", (100, 100))
    assert audit.closing_words() is None


def test_all_models_records_and_probes_are_checked_for_damage(folders, models):
    audit = plan(folders, experiments=[experiment()], runs=[str(models)])
    outputs = audit.outputs(["audit.json"])
    assert {f"{folders.results}/trained/small-seed0-n1", *audit.model_records(), *audit.probe_records()} < set(outputs)
    assert outputs[-1] == "audit.json"


@pytest.mark.parametrize("env", ["_x", "__", "-x", ".x", "x" * 200, "é", "/", "_:_"])
def test_any_environment_has_a_probe_that_snakemake_can_name(env: str) -> None:
    environment = {"env": env, "env_kwargs": {}, "wrappers": [], "python_path": []}
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", probe_name(environment))


def test_a_long_text_is_no_name_of_a_module(tmp_path: Path) -> None:
    for text in ("a" * 300 + ".b", "a." * 90_000 + "b", "a" * 300 + ":b"):
        assert named_code_digest([text], locate_in([tmp_path])) == named_code_digest([], locate_in([tmp_path]))


@pytest.mark.parametrize(
    ("statement", "imported", "packages"),
    [
        ("from . import config", "mine/robot/config.py", ("mine/robot",)),
        ("from .config import SEED", "mine/robot/config.py", ()),
        ("from ..config import SEED", "mine/config.py", ("mine", "mine/robot")),
        ("from ..config import SEED", "mine/config.py", ()),
    ],
)
def test_a_script_of_a_package_is_observed_again_where_a_module_has_changed_that_it_imports_relatively(
    tmp_path, folders, statement, imported, packages
):
    script, module = tmp_path / "mine/robot/enjoy.py", tmp_path / imported
    script.parent.mkdir(parents=True)
    script.write_text(f"{statement}\n")
    for package in packages:
        (tmp_path / package / "__init__.py").write_text("")

    def code():
        return plan(folders, scripts=[{"script": str(script), "cwd": str(tmp_path)}]).script_code("enjoy.py")

    module.write_text("SEED = 0\n")
    before = code()
    assert code() == before
    module.write_text("SEED = 1\n")
    assert code() != before


def test_a_script_is_observed_again_where_a_file_that_it_read_has_changed_since(tmp_path, folders):
    script, record = tmp_path / "enjoy.py", Path(folders.results, "scripts/enjoy.py.json")
    script.write_text("pass")
    record.parent.mkdir(parents=True)
    loaded, given, meant, statistics = files = [tmp_path / name for name in ("a.zip", "b.zip", "c.zip", "d.pkl")]
    models = [{"path": str(loaded), "set_from": [str(given), ""]}, {"path": None, "set_from": []}]
    seen = {"models": models, "normalizations": [{"path": str(statistics)}, {"path": None}]}
    content = {"observation": seen, "comparisons": [{"compared": {"path": str(meant)}}]}
    audit = plan(folders, scripts=[str(script)])
    assert audit.scripts_to_observe_again() == []
    record.write_text(json.dumps(content))
    for changed in files:
        for file in files:
            file.write_bytes(b"")
            os.utime(file, (1e9, 1e9))
        assert audit.scripts_to_observe_again() == []
        changed.touch()
        os.utime(record, (1.5e9, 1.5e9))
        assert audit.scripts_to_observe_again() == [str(record)]
    statistics.unlink()
    assert audit.scripts_to_observe_again() == []
    loaded.touch()
    for damaged in ("{", "[]", json.dumps({**content, "observation": {"models": [1]}})):
        record.write_text(damaged)
        os.utime(record, (1e9, 1e9))
        assert audit.scripts_to_observe_again() == []
