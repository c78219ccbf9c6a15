"""Every planted fault is named, exactly, with the line or attribute to blame; what is healthy is left alone."""

from __future__ import annotations

import inspect
import re
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import faulty
from reload_audit.causes.catalogue import CAUSES
from reload_audit.causes.finding import Finding
from reload_audit.jobs.probe import PRELOAD, Prober, ProbeSpec
from reload_audit.probing import state
from reload_audit.probing.conclusions import findings
from reload_audit.processes import isolation
from reload_audit.processes.fork_servers import RELOAD_HASH_SEED, TRAIN_HASH_SEED
from reload_audit.records.environment_health import CHECKER, VECTORIZED, EnvironmentHealth
from reload_audit.records.environment_spec import EnvironmentSpec
from reload_audit.records.probe_names import probe_name, probed
from reload_audit.records.probe_record import Contrast, ProbeRecord
from reload_audit.results.health import environment_health
from support.builders import ROOT

PROBE = ProbeSpec(seeds=2, steps=20, episodes=6, isolation="forkserver", timeout=60.0, memory=4096)

# By environment: the cause, and what its details must say.
FAULTS: dict[str, tuple[str, dict[str, str]]] = {
    "faulty:DrawsFromNumPy": ("global-generator", {"generator": "np.random"}),
    "faulty:DrawsFromRandom": ("global-generator", {"generator": "random"}),
    "faulty:DrawsFromTorch": ("global-generator", {"generator": "torch"}),
    "corridor:Corridor": ("global-generator", {"generator": "np.random", "attribute": "Corridor.right_doors"}),
    "faulty:Unseeded": ("unseeded-generator", {}),
    "faulty:UnseededFromTheStart": ("unseeded-generator", {"attribute": "generator"}),
    "faulty:ForgetsToSeed": ("unseeded-generator", {"attribute": "_np_random"}),
    "faulty:IgnoresTheSeed": ("seed-ignored", {"attribute": "generator"}),
    "faulty:DependsOnHashes": ("hash-order", {"attribute": "crop"}),
    "faulty:ReadsTheClock": ("clock", {}),
    "faulty:ReadsElapsedTime": ("clock", {}),
    "faulty:Shares": ("shared-between-instances", {"attribute": "Shares.yields"}),
    "faulty:Exhausts": ("survives-reset", {"attribute": "soil"}),
    "faulty:Advances": ("curriculum", {"attribute": "seasons"}),
    "faulty:AdvancesLate": ("curriculum", {"attribute": "seasons"}),
    "faulty:DrawsAtConstruction": ("random-construction", {"attribute": "soil"}),
    "faulty:DrawsAtConstructionFromNumPy": ("random-construction", {"attribute": "soil", "generator": "np.random"}),
    "faulty:CachesForTheProcess": ("process-cache", {"attribute": "CachesForTheProcess.yields"}),
}

# The function in which the culprit draws, reads the clock, or iterates over a set.
PLACES = {
    "faulty:DrawsFromNumPy": (faulty.DrawsFromNumPy.plant, "randint"),
    "faulty:DrawsFromRandom": (faulty.DrawsFromRandom.plant, "randint"),
    "faulty:DrawsFromTorch": (faulty.DrawsFromTorch.plant, "randint"),
    "faulty:Unseeded": (faulty.Unseeded.plant, "default_rng"),
    "faulty:UnseededFromTheStart": (faulty.UnseededFromTheStart.__init__, "default_rng"),
    "faulty:ForgetsToSeed": (faulty.Field.reset, "np_random"),
    "faulty:DependsOnHashes": (faulty.DependsOnHashes.plant, "crops = {"),
    "faulty:ReadsTheClock": (faulty.ReadsTheClock.plant, "time.time"),
    "faulty:ReadsElapsedTime": (faulty.ReadsElapsedTime.plant, "perf_counter"),
    "faulty:DrawsAtConstruction": (faulty.DrawsAtConstruction.__init__, "default_rng"),
    "faulty:DrawsAtConstructionFromNumPy": (faulty.DrawsAtConstructionFromNumPy.__init__, "randint"),
}

HEALTHY = (
    *("CartPole-v1", "Pendulum-v1", "boiler:Boiler", "corridor:RepairedCorridor", "planted:Masked"),
    *("faulty:Field", "faulty:PaysAtTheEnd", "faulty:EndlessField"),
)

OUT_OF_THEIR_SPACES = ("unhealthy:OutOfItsSpace", "unhealthy:OfAnotherType")


def environment(name: str, **kwargs: Any) -> dict[str, Any]:
    folders = [str(ROOT / "tests/environments"), str(ROOT / "examples")]
    return probed({"env": name, "env_kwargs": kwargs, "wrappers": [], "python_path": folders})


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ProbeRecord]:
    """What is read of the file of each environment. All share two fork servers."""
    log = tmp_path_factory.mktemp("probing") / "probe.log"
    probers = {name: Prober(environment(name), PROBE, log) for name in (*FAULTS, *HEALTHY, *OUT_OF_THEIR_SPACES)}
    isolation.prepare("forkserver", hash_seed=TRAIN_HASH_SEED, preload=PRELOAD)
    going_on = [prober for prober in probers.values() if prober.probe()]
    isolation.prepare("forkserver", hash_seed=RELOAD_HASH_SEED, preload=PRELOAD)
    for prober in going_on:
        prober.probe_hash_order()
    return {name: written_and_read(prober, log.with_suffix(".json")) for name, prober in probers.items()}


def written_and_read(prober: Prober, file: Path) -> ProbeRecord:
    record = prober.record()
    record.write(file)
    read = ProbeRecord.read(file)
    assert read == record
    return read


def only(found: list[Finding]) -> Finding:
    assert len(found) == 1, [finding.evidence for finding in found]
    return found[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_the_fault_of_an_environment_is_its_only_finding(results, name):
    cause, details = FAULTS[name]
    finding = only(findings(results[name]))
    assert finding.cause == cause
    assert finding.cause in CAUSES
    assert {key: finding.details.get(key) for key in details} == details


def health(results: dict[str, ProbeRecord], name: str) -> EnvironmentHealth:
    return environment_health(name, EnvironmentSpec.from_dict(environment(name)), results[name], ["a"])


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_an_environment_with_a_fault_is_not_reproducible_and_its_fix_is_there(results, name):
    found = health(results, name)
    assert found.reproducible is (None if name == "faulty:AdvancesLate" else False)
    assert found.problems[0].name == FAULTS[name][0]
    assert found.problems[0].fix
    allowed = {VECTORIZED, CHECKER} if name == "faulty:ForgetsToSeed" else {VECTORIZED}  # a checker says so, too
    assert {problem.name for problem in found.problems[1:]} <= allowed, found.problems


@pytest.mark.slow
@pytest.mark.parametrize("name", HEALTHY)
def test_of_a_healthy_environment_there_is_nothing_to_say(results, name):
    found = health(results, name)
    assert (found.reproducible, found.problems) == (True, ())
    assert bool(found.unknown) is (name == "planted:Masked"), "checkers take actions that are masked"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "evidence"),
    [
        ("unhealthy:OutOfItsSpace", "does not match the bounds"),
        ("unhealthy:OfAnotherType", "Expected: float32, actual dtype: float64"),
    ],
)
def test_an_environment_that_does_not_keep_to_its_space_is_reproducible_and_faulty(results, name, evidence):
    found = health(results, name)
    assert found.reproducible is True
    said = found.problems[0]
    assert said.name == CHECKER
    assert evidence in " ".join(said.evidence)
    assert re.match(r".*faulty\.py:\d+ in reset$", said.where)
    assert "observation_space" in said.fix


@pytest.mark.slow
@pytest.mark.parametrize("name", PLACES)
def test_the_line_to_blame_is_named(results, name):
    function, text = PLACES[name]
    lines, first = inspect.getsourcelines(function)
    (line,) = [first + offset for offset, line in enumerate(lines) if text in line][:1]
    where = only(findings(results[name])).details["where"]
    assert re.match(r"(.*)faulty\.py:(\d+)", where)[2] == str(line), where


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_evidence_says_seed_and_component_and_is_a_sentence(results, name):
    finding = only(findings(results[name]))
    assert re.match(
        r"With seed \d and random actions, (observation|reward)\S* is .* instead of .*\.$", finding.evidence
    )
    assert finding.details["component"] in finding.evidence
    assert finding.proof is (name != "faulty:AdvancesLate")


@pytest.mark.slow
@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_environment_has_no_finding(results, name):
    result = results[name]
    assert result.failure is None
    assert findings(result) == []
    assert all(compared.differs is False for compared in result.effects.contrasts.values()), result.effects
    assert all(compared.difference is None for compared in result.vectorized)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["faulty:Shares", "faulty:IgnoresTheSeed", "faulty:Exhausts", "faulty:Advances"])
def test_state_that_survives_a_reset_is_proved_by_restoring_it(results, name):
    assert all(effect.proved for effect in results[name].effects.state)
    assert "put back, the episodes are the same, bit for bit" in only(findings(results[name])).evidence


@pytest.mark.slow
def test_the_checkers_of_gymnasium_and_sb3_are_quoted(results):
    said = {check.checker: check for check in results["Pendulum-v1"].checks}
    assert said["stable_baselines3"].warnings[0].startswith("We recommend you to use a symmetric and normalized Box")
    said = {check.checker: check for check in results["faulty:Unseeded"].checks}
    assert said["gymnasium"].error.startswith("AssertionError: Deterministic step observations are not equivalent")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("failing:RaisesInConstructor", {"port": 99}, "ConnectionError: no simulator on port 99"),
        ("planted:Missing", {}, "neither has a class 'Missing'"),
    ],
)
def test_an_environment_that_does_not_run_is_a_result_that_says_why(tmp_path, name, kwargs, message):
    prober = Prober(environment(name, **kwargs), PROBE, tmp_path / "probe.log")
    assert not prober.probe()
    finding = only(findings(prober.record()))
    assert finding.cause == "not-runnable"
    assert message in finding.evidence


@pytest.mark.slow
def test_an_environment_that_crashes_once_it_has_been_used_has_that_as_its_finding(tmp_path):
    prober = Prober(environment("failing:CrashesInTraining"), PROBE, tmp_path / "probe.log")
    prober.probe()
    finding = only(findings(prober.record()))
    assert finding.cause == "not-runnable"
    assert "an instance that has run other episodes before: the process was ended by SIGSEGV" in finding.evidence


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "toss", "cause", "phase"),
    [
        ("coins:TossedAtConstruction", 0, "random-construction", "construct"),  # the same in the first other state
        ("coins:TossedAtImport", 5, "global-generator", "import"),  # likewise
    ],
)
def test_a_single_bit_from_a_global_generator_is_found_where_the_first_other_state_gives_the_same(
    tmp_path, name, toss, cause, phase
):
    isolation.prepare("forkserver", hash_seed=TRAIN_HASH_SEED, preload=PRELOAD)
    prober = Prober(environment(name, toss=toss), PROBE, tmp_path / "probe.log")
    prober.probe()
    record = prober.record()
    assert only(findings(record)).cause == cause
    assert record.effects.generators[0].phases == (phase,)


@pytest.mark.slow
def test_a_hanging_environment_is_given_up_soon(tmp_path):
    """What can be found out without the hanging part is found."""
    (tmp_path / "hanging.py").write_text(HANGING)
    spec = {**environment("hanging:Hangs"), "python_path": [str(tmp_path), str(ROOT / "tests/environments")]}
    prober = Prober(spec, replace(PROBE, timeout=6.0), tmp_path / "probe.log")
    prober.probe()
    contrasts = prober.record().effects.contrasts
    assert contrasts[Contrast.REPEAT].differs is False
    assert contrasts[Contrast.MANY_EPISODES].failure.message == "did not finish within 6 seconds"


HANGING = """
import time
import planted

class Hangs(planted.Draws):
    resets = 0

    def reset(self, **kwargs):
        self.resets += 1
        if self.resets > 3:
            time.sleep(3600)
        return super().reset(**kwargs)
"""


def name_of(**changes: Any) -> str:
    spec = {"env": "a.b:Env", "env_kwargs": {}, "wrappers": [], "python_path": [], "monitor": "env"}
    return probe_name({**spec, "normalize": False, "frame_stack": None} | changes)


def test_models_share_the_probe_of_their_environment_whatever_their_vectorisation():
    assert name_of() == name_of(normalize=True, frame_stack=4, monitor="vec")


def test_different_environments_have_different_probes():
    others = [name_of(), name_of(env="A.b:Env"), name_of(env_kwargs={"a": 1}), name_of(wrappers=["x.Y"])]
    assert len({name.lower() for name in others}) == len(others)


def test_names_of_probes_are_readable_file_names():
    assert re.fullmatch(r"a\.b-Env-[0-9a-f]{8}", name_of())
    assert "/" not in name_of(env="ALE/Pong-v5")


class Untouchable:
    """What a deprecated name of a library may hold: it warns of whatever is asked of it, its class included."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"asked for its {name}")


def test_what_an_environment_holds_is_not_asked_what_it_is():
    owner = types.SimpleNamespace(held=Untouchable(), among=[1, Untouchable()], count=3)
    found = state.capture({name: state.Root(owner, name, "instance") for name in vars(owner)})
    assert {name: leaf.text for name, leaf in found.items()} == {"among[0]": "1", "count": "3"}
