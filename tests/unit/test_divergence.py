"""Where two runs part is found: exactly the episode, the step and the component in which a difference was planted."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import planted
import pytest
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize, unwrap_vec_normalize

from reload_audit import record_reference
from reload_audit.environments.build import build_vec_env, freeze_normalization
from reload_audit.environments.step_recorders import step_digests
from reload_audit.evaluation.checks import check, recorded_divergence
from reload_audit.evaluation.divergence import first_divergence
from reload_audit.evaluation.rollouts import ModelPolicy, Policy, run_looks
from reload_audit.judging.divergence_wording import divergence_sentence
from reload_audit.models import model_folder
from reload_audit.reading.refusal import Unreadable
from reload_audit.records.divergence import ComponentDifference, Divergence
from reload_audit.records.environment_spec import EnvironmentSpec, vec_wrappers_of, wrapper_spec
from reload_audit.records.episodes import Episode
from reload_audit.records.specs import EvaluationSpec, TrainingSpec
from reload_audit.records.steps import EPISODES, STEPS, EpisodeSteps, Steps, read_steps
from reload_audit.training.train import create_model
from support.builders import training_spec

SEED = 500

Run = tuple[list[Episode], Steps]


class Planned(gym.Env):
    """Episodes of a fixed length; each fault comes in one episode, from one step on or at one step."""

    observation_space = gym.spaces.Box(-5, 5, (3,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, fault: str = "", episode: int = 0, step: int = 0, length: int = 12, image: bool = False) -> None:
        self.fault, self.episode, self.at, self.length = fault, episode, step, length
        if image:
            self.observation_space = gym.spaces.Box(0, 255, (24, 24, 3), np.uint8)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.running = None if seed is None else seed - SEED  # None in a slot that has no episode to run
        self.now, self.position = 0, 0.0
        return self.observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.now += 1
        self.position = 0.5 * self.position + 0.1 * float(np.sum(action))
        reward = float(self.np_random.normal()) + (0.25 if self.strikes("reward") else 0.0)
        terminated = self.now == self.length or self.strikes("end")
        return self.observe(), reward, terminated, False, {}

    def strikes(self, fault: str) -> bool:
        return (self.fault, self.episode, self.at) == (fault, self.running, self.now)

    def observe(self) -> np.ndarray:
        drawn = self.np_random.uniform(-1, 1, self.observation_space.shape)
        if self.observation_space.dtype == np.uint8:
            observation = (127 * (drawn + 1)).astype(np.uint8)
            observation[5, 6, 1] ^= 1 if self.strikes("observation") else 0
            return observation
        observation = (drawn + self.position).astype(np.float32)
        if self.strikes("observation"):
            observation[1] += 0.5
        return np.nextafter(observation, np.float32(9)) if self.strikes("last bit") else observation


class Repeats(gym.Wrapper):
    """A wrapper that repeats every action three times, after some steps of its own at each reset."""

    def __init__(self, env: gym.Env, first: int = 0) -> None:
        super().__init__(env)
        self.first = first

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(**kwargs)
        for _ in range(self.first):
            observation, _, _, _, info = self.env.step(np.zeros(1, np.float32))
        return observation, info

    def step(self, action: Any) -> Any:
        for _ in range(3):
            observation, reward, terminated, truncated, info = self.env.step(action)
            if terminated or truncated:
                break
        return observation, reward, terminated, truncated, info


gym.register("Planned-v0", entry_point=Planned)


class Steady(Policy):
    """A policy that always takes the same action, but for one call in which the action is changed."""

    def __init__(self, call: int | None = None, change: float = 0.5) -> None:
        self.call, self.change, self.calls = call, change, 0

    def act(self, _observations: Any, _states: Any, starts: np.ndarray, _venv: VecEnv, _parked: np.ndarray) -> Any:
        actions = np.full((len(starts), 1), 0.5, dtype=np.float32)
        if self.calls == self.call:
            actions += np.float32(self.change)
        self.calls += 1
        return actions, None


def environment(n_envs: int = 4, wrappers: tuple[Any, ...] = (), normalize: bool = False, **kwargs: Any) -> VecEnv:
    layers = vec_wrappers_of(normalize=normalize)
    spec = EnvironmentSpec("Planned-v0", kwargs, tuple(map(wrapper_spec, wrappers)), "env", layers, ())
    venv = build_vec_env(spec, n_envs, seed=0, normalizer=(lambda venv: VecNormalize(venv)) if normalize else None)
    freeze_normalization(venv)
    return venv


def ran(venv: VecEnv, policy: Any = None, episodes: int = 10, looks: tuple[int, ...] = ()) -> Run:
    steps = Steps()
    evaluation = EvaluationSpec(episodes, SEED, venv.num_envs, 10_000, looks)
    recorded = run_looks(policy or Steady(), venv, evaluation, looks or (episodes,), steps=steps)
    return recorded, steps


def parted(reference: Run, reload: Run) -> Divergence | None:
    return first_divergence(reference[0], reload[0], reference[1], reload[1])


def found(reference: Run, reload: Run) -> Divergence:
    divergence = parted(reference, reload)
    assert divergence is not None
    return divergence


def place(divergence: Divergence) -> tuple[int, int | None, tuple[str, ...], str | None]:
    return divergence.episode, divergence.step, divergence.components, divergence.implies


ENVIRONMENT_FAULTS = {
    "reset": ({"fault": "observation", "episode": 6}, (6, 0, "raw_observations", "reset")),
    "dynamics": ({"fault": "observation", "episode": 7, "step": 4}, (7, 4, "raw_observations", "dynamics")),
    "reward": ({"fault": "reward", "episode": 3, "step": 9}, (3, 9, "rewards", "reward")),
    "end": ({"fault": "end", "episode": 2, "step": 5}, (2, 5, "done", "end")),
    "rounding": ({"fault": "last bit", "episode": 1, "step": 2}, (1, 2, "raw_observations", "numerics")),
    "a shorter time limit": ({"length": 8}, (0, 8, "done", "end")),
    "a longer one": ({"length": 13}, (0, 12, "done", "end")),
}


@pytest.mark.parametrize("n_envs", [1, 4])
@pytest.mark.parametrize("fault", ENVIRONMENT_FAULTS)
def test_the_first_divergence_is_where_a_fault_was_planted(fault, n_envs):
    kwargs, (episode, step, component, implied) = ENVIRONMENT_FAULTS[fault]
    divergence = found(ran(environment()), ran(environment(n_envs, **kwargs)))
    assert (divergence.episode, divergence.seed, divergence.step) == (episode, SEED + episode, step)
    assert divergence.components[0] == component
    assert divergence.implies == implied


def test_values_of_both_sides_are_shown():
    divergence = found(ran(environment()), ran(environment(fault="reward", episode=3, step=9)))
    (difference,) = divergence.differences
    assert difference.reload - difference.reference == pytest.approx(0.25)
    assert difference.largest == pytest.approx(0.25)
    assert f"{difference.reload:.6g} instead of {difference.reference:.6g}" in divergence_sentence(divergence)


def test_numbers_that_differ_in_their_last_bits_are_shown_so_that_they_differ():
    said = divergence_sentence(found(ran(environment()), ran(environment(fault="last bit", episode=1, step=2))))
    values = re.search(r"raw observations (\[.*?\]) instead of (\[.*?\])", said)
    assert values is not None, said
    assert values[1] != values[2]


def test_the_end_of_an_episode_is_shown_in_words():
    (difference,) = found(ran(environment()), ran(environment(fault="end", episode=2, step=5))).differences
    assert (difference.reference, difference.reload) == ("goes on", "terminated")


def test_of_a_large_array_the_first_element_that_differs_is_shown():
    reload = ran(environment(image=True, fault="observation", episode=0, step=3))
    difference = found(ran(environment(image=True)), reload).differences[0]
    assert (difference.shape, difference.index, difference.largest) == ((24, 24, 3), (5, 6, 1), 1.0)
    assert abs(difference.reload - difference.reference) == 1


def test_different_statistics_change_policy_observations_alone():
    other = environment(normalize=True)
    unwrap_vec_normalize(other).obs_rms.mean += np.array([0.0, 0.1, 0.0])
    divergence = found(ran(environment(normalize=True)), ran(other))
    assert place(divergence) == (0, 0, ("policy_observations",), "statistics")
    assert divergence.differences[0].largest == pytest.approx(0.1, rel=1e-3)


def test_a_different_action_is_found_at_its_step():
    # One slot and episodes of 12 steps: call 41 is step 5 of episode 3.
    divergence = found(ran(environment(1)), ran(environment(1), Steady(call=41)))
    assert place(divergence) == (3, 5, ("actions",), "policy")
    assert divergence.differences[0].largest == pytest.approx(0.5)


def test_an_action_that_differs_in_its_last_bit_implies_numerics():
    divergence = found(ran(environment(1)), ran(environment(1), Steady(call=41, change=6e-8)))
    assert place(divergence) == (3, 5, ("actions",), "numerics")


@pytest.mark.parametrize(("change", "implied"), [(1e-4, "numerics"), (2e-3, "policy")])
def test_actions_of_the_same_parameters_may_differ_by_what_a_gpu_rounds(change, implied):
    runs = ran(environment(1)), ran(environment(1), Steady(call=41, change=change))
    (reference, kept), (reload, kept_again) = runs
    assert place(found(*runs)) == (3, 5, ("actions",), "policy")
    divergence = first_divergence(reference, reload, kept, kept_again, same_parameters=True)
    assert place(divergence) == (3, 5, ("actions",), implied)


def model(venv: VecEnv, seed: int = 0) -> PPO:
    return PPO("MlpPolicy", venv, n_steps=8, batch_size=8, seed=seed, device="cpu", policy_kwargs={"net_arch": [8]})


def test_different_parameters_or_another_policy_mode_imply_the_policy():
    venv = environment()
    reference = ran(venv, ModelPolicy(model(venv)))
    for policy in (ModelPolicy(model(venv, seed=1)), ModelPolicy(model(venv), deterministic=False)):
        assert place(found(reference, ran(venv, policy))) == (0, 0, ("actions",), "policy")


def test_a_dropped_recurrent_state_shows_in_the_second_action():
    spec = TrainingSpec.from_dict(training_spec(algo="RecurrentPPO", env="planted:Continuous"))
    venv = build_vec_env(spec.environment, 4, seed=0)
    recurrent = RecurrentPPO("MlpLstmPolicy", venv, n_steps=8, batch_size=8, seed=0, device="cpu")
    reference = ran(venv, ModelPolicy(recurrent))
    divergence = found(reference, ran(venv, ModelPolicy(recurrent, carry_state=False)))
    assert place(divergence) == (0, 1, ("actions",), "policy")


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "dictionary": {"env": "planted:DictObservations", "normalize": {"norm_obs_keys": ["position"]}},
    "images, stacked": {"env": "planted:Images", "frame_stack": 2},
    "masks": {"algo": "MaskablePPO", "env": "planted:Masked"},
    "monitored as a vector": {"monitor": "vec", "normalize": True},
    "wrappers that end episodes": {"env": "planted:Lives", "wrappers": ["planted.EndsWithLife", "planted.Clips"]},
    "a wrapper that cuts them short": {"wrappers": [{"gymnasium.wrappers.TimeLimit": {"max_episode_steps": 4}}]},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_same_run_with_other_looks_has_no_divergence_and_the_same_steps(name):
    spec = TrainingSpec.from_dict(training_spec(**SETTINGS[name]))
    runs = []
    for looks in ((20,), (7, 20)):
        normalizer = None if spec.environment.normalize is None else partial(VecNormalize, **spec.environment.normalize)
        venv = build_vec_env(spec.environment, 4, seed=0, normalizer=normalizer)
        freeze_normalization(venv)
        runs.append(ran(venv, ModelPolicy(create_model(spec, venv)), 20, looks))
    assert parted(*runs) is None
    assert sorted(runs[0][1].episodes) == list(range(20))
    assert_same_steps(runs[0][1], runs[1][1])


def assert_same_steps(one: Steps, other: Steps) -> None:
    assert one.episodes.keys() == other.episodes.keys()
    for episode, kept in one.episodes.items():
        for mine, its in (
            (kept.digests, other.episodes[episode].digests),
            (kept.values, other.episodes[episode].values),
        ):
            assert {name for name in mine if len(mine[name])} == {name for name in its if len(its[name])}
            for name in mine:
                np.testing.assert_array_equal(mine[name], its.get(name, []))


@pytest.mark.slow
def test_subprocesses_record_the_same_steps():
    spec = TrainingSpec.from_dict(training_spec(wrappers=["planted.AddsOne"], env="planted:Continuous")).environment
    runs = [ran(build_vec_env(spec, 3, seed=0, kind=kind, start_method="fork")) for kind in ("dummy", "subproc")]
    assert parted(*runs) is None
    assert_same_steps(runs[0][1], runs[1][1])


def test_the_key_of_a_differing_dictionary_observation_is_named(monkeypatch):
    spec = TrainingSpec.from_dict(training_spec(env="planted:DictObservations")).environment

    def run() -> Run:
        return ran(build_vec_env(spec, 2, seed=0), Discretely())

    reference = run()
    observe = planted.DictObservations.observe
    monkeypatch.setattr(planted.DictObservations, "observe", lambda self: _recoloured(observe(self)))
    divergence = found(reference, run())
    assert (divergence.step, divergence.implies) == (0, "reset")
    assert "raw_observations.colour" in divergence.components


def _recoloured(observation: dict[str, Any]) -> dict[str, Any]:
    return {**observation, "colour": (observation["colour"] + 1) % 3}


class Discretely(Steady):
    def act(self, *arguments: Any) -> Any:
        actions, states = super().act(*arguments)
        return actions[:, 0].astype(np.int64), states


def wrapped(monkeypatch: pytest.MonkeyPatch, first: int = 0, **kwargs: Any) -> VecEnv:
    monkeypatch.setattr(planted, "Repeats", Repeats, raising=False)
    return environment(1, wrappers=({"planted.Repeats": {"first": first}},), **kwargs)


def test_where_a_wrapper_repeats_actions_the_environment_s_own_steps_are_counted(monkeypatch):
    reference = ran(wrapped(monkeypatch))
    fault = ran(wrapped(monkeypatch, fault="observation", episode=1, step=7))
    assert found(reference, fault).step == 7
    # Episodes of 12 steps are 4 calls: the sixth call is the second of episode 1, after its step 3.
    action = found(reference, ran(wrapped(monkeypatch), Steady(call=5)))
    assert place(action) == (1, 3, ("actions",), "policy")


def test_a_wrapper_that_steps_by_itself_is_named(monkeypatch):
    divergence = found(ran(wrapped(monkeypatch, first=3)), ran(wrapped(monkeypatch, first=4)))
    assert (divergence.episode, divergence.implies) == (0, "wrappers")


def test_a_divergence_beyond_the_recorded_steps_is_after_the_last_of_them():
    reload = ran(environment(length=400, fault="reward", episode=1, step=300), episodes=2)
    divergence = found(ran(environment(length=400), episodes=2), reload)
    assert (divergence.episode, divergence.step, divergence.after) == (1, None, STEPS - 1)
    assert (divergence.components, divergence.implies) == (("rewards",), "reward")


def test_a_time_limit_beyond_the_recorded_steps_is_recognised_because_all_before_it_is_equal():
    limit = ({"gymnasium.wrappers.TimeLimit": {"max_episode_steps": 300}},)
    divergence = found(
        ran(environment(length=400), episodes=2), ran(environment(length=400, wrappers=limit), episodes=2)
    )
    assert (divergence.step, divergence.after, divergence.implies) == (None, 256, "end")
    assert "truncated after 300 instead of terminated after 400" in divergence_sentence(divergence)


def test_without_steps_the_episode_and_its_components_are_still_known():
    reference, reload = ran(environment()), ran(environment(fault="reward", episode=3, step=9))
    divergence = first_divergence(reference[0], reload[0])
    assert divergence is not None
    assert (*place(divergence), divergence.after) == (3, None, ("rewards",), "reward", None)


def test_a_reload_with_fewer_episodes_is_compared_over_those_it_ran():
    reference, reload = ran(environment()), ran(environment(fault="end", episode=9, step=1), episodes=9)
    assert parted(reference, reload) is None


def test_a_divergence_survives_json():
    reloads = [ran(environment(fault=fault, episode=1, step=1)) for fault in ("observation", "end", "reward")]
    reference = ran(environment())
    for divergence in [found(reference, reload) for reload in reloads]:
        assert Divergence.from_dict(json.loads(json.dumps(divergence.to_dict(), allow_nan=False))) == divergence


def test_steps_survive_their_file_and_equal_ones_give_equal_bytes(tmp_path):
    for name in ("one", "two"):
        ran(environment())[1].save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert_same_steps(ran(environment())[1], read_steps(tmp_path / "one"))


def test_no_steps_at_all_survive_their_file(tmp_path):
    Steps().save(tmp_path / "steps.npz")
    assert read_steps(tmp_path / "steps.npz").episodes == {}


@pytest.mark.parametrize("image", [False, True])
def test_recorded_steps_are_bounded_whatever_the_length_and_number_of_episodes(image, tmp_path):
    _, steps = ran(environment(20, image=image, length=STEPS + 70), episodes=EPISODES + 3)
    assert sorted(steps.episodes) == list(range(EPISODES))
    values = [array.nbytes for kept in steps.episodes.values() for array in kept.values.values()]
    assert 0 < sum(values) <= 2**16
    steps.save(tmp_path / "steps.npz")
    assert (tmp_path / "steps.npz").stat().st_size < 2**17


def test_every_bit_of_a_step_changes_its_digest():
    row = np.arange(5, dtype=np.float32)
    flipped = np.stack([row] + [row] * 160)
    for bit in range(160):
        flipped[bit + 1].view(np.uint8)[bit // 8] ^= 1 << bit % 8
    digests = step_digests(flipped)
    assert digests.dtype == np.uint16
    assert not np.any(digests[1:] == digests[0])


def test_digests_of_steps_never_change_between_versions():
    """A reference may be older than the libraries of the reload."""
    assert step_digests(np.arange(6, dtype=np.float32).reshape(2, 3)).tolist() == [37102, 44985]


def test_a_recorded_model_reloaded_does_not_part_from_its_recording(tmp_path):
    recorded = model(DummyVecEnv([planted.Continuous] * 2))
    record_reference(recorded, tmp_path, "planted:Continuous", episodes=4, n_envs=2, seed=SEED)
    spec = TrainingSpec.from_dict(training_spec(env="planted:Continuous")).environment
    loaded = model_folder.load_model(tmp_path, "PPO", "cpu")
    episodes, steps = ran(build_vec_env(spec, 2, seed=1), ModelPolicy(loaded), 4)
    assert_same_steps(read_steps(tmp_path / model_folder.STEPS), steps)
    assert len(episodes) == 4


@pytest.mark.parametrize(("same", "implied"), [(True, "numerics"), (False, "policy")])
def test_a_recording_says_whether_coarse_rounding_can_be_all_that_differs(tmp_path, same, implied):
    reference, kept = ran(environment(1))
    kept.save(tmp_path / model_folder.STEPS)
    reload, steps = ran(environment(1), Steady(call=41, change=1e-4))
    checks = [check("parameters", "recorded", "recorded" if same else "another")]
    divergence = recorded_divergence(tmp_path, reference, reload, steps, checks)
    assert divergence is not None
    assert place(divergence) == (3, 5, ("actions",), implied)


CHOICE = ComponentDifference("actions", 0, 1, (), None, 1.0, False)
NUMBER = ComponentDifference("actions", [0.5], [1.0], (1,), None, 0.5, False)
ONLY_DIGESTS = ComponentDifference("actions")


@pytest.mark.parametrize(
    ("difference", "computed_on", "allows"),
    [
        (ONLY_DIGESTS, ("cuda (NVIDIA H100)", "cpu (EPYC)"), True),
        (CHOICE, ("cuda (NVIDIA H100)", "cpu (EPYC)"), True),
        (NUMBER, ("cuda (NVIDIA H100)", "cpu (EPYC)"), False),
        (ONLY_DIGESTS, None, False),
    ],
)
def test_what_another_device_may_have_rounded_is_not_blamed_on_the_policy_alone(difference, computed_on, allows):
    divergence = Divergence(0, SEED, None, 256, (difference,), "policy", computed_on)
    allowance = "nothing but rounding, because it ran on cuda (NVIDIA H100) and was reloaded on cpu (EPYC)"
    assert (allowance in divergence_sentence(divergence)) == allows
    where = "; it ran on cuda (NVIDIA H100) and was reloaded on cpu (EPYC)."
    assert divergence_sentence(replace(divergence, implies="numerics")).endswith(where) == (computed_on is not None)


def test_a_divergence_says_where_the_policy_ran_if_it_ran_elsewhere(tmp_path):
    reference, kept = ran(environment(1))
    kept.save(tmp_path / model_folder.STEPS)
    reload, steps = ran(environment(1), Steady(call=41))
    for recorded, kept_as in (("cuda (H100)", ("cuda (H100)", "cpu (x)")), ("cpu (x)", None), ("", None)):
        divergence = recorded_divergence(tmp_path, reference, reload, steps, [], (recorded, "cpu (x)"))
        assert divergence is not None
        assert divergence.computed_on == kept_as


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def saved(**changes: Any) -> bytes:
    """What is saved of one short episode, with some of it changed."""
    steps = Steps({0: EpisodeSteps({"rewards": np.arange(3, dtype=np.uint16)}, {"rewards": np.arange(3.0)})})
    return npz(**{**steps._arrays(), **changes})


def header(shape: str, dtype: str = "'<f8'") -> bytes:
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def with_member(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("digests.npy", content)
    return file.getvalue()


HOSTILE: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "no zip": lambda: b"steps",
    "half of it": lambda: saved()[:300],
    "an empty zip": lambda: npz(),
    "a pickle": lambda: with_member(header("(1,)", "'|O'") + b"cos\nsystem\n(S'true'\ntR."),
    "an array larger than memory": lambda: with_member(header("(1000000000000,)")),
    "a negative shape": lambda: with_member(header("(-1,)")),
    "a member that unpacks to more than there is room for": lambda: npz(digests=np.zeros(2**24, np.uint8)),
    "an unknown component": lambda: saved(components=np.array(["<script>"])),
    "more components than counts": lambda: saved(components=np.array(["rewards", "actions"])),
    "components that are numbers": lambda: saved(components=np.array([1])),
    "counts that are floats": lambda: saved(digest_counts=np.array([[3.0]])),
    "counts of another shape": lambda: saved(value_counts=np.array([3], np.uint16)),
    "counts beyond what is there": lambda: saved(digest_counts=np.array([[4]], np.uint16)),
    "values beyond their count": lambda: saved(values_0=np.arange(4.0)),
    "more steps than are kept": lambda: saved(
        digest_counts=np.array([[1000]], np.uint16), digests=np.zeros(1000, np.uint16)
    ),
    "more episodes than are kept": lambda: saved(
        digest_counts=np.zeros((1, 1000), np.uint16), value_counts=np.zeros((1, 1000), np.uint16)
    ),
    "digests that are texts": lambda: saved(digests=np.array(["a", "b", "c"])),
    "values that are texts": lambda: saved(values_0=np.array(["a", "b", "c"])),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_file_that_is_no_record_of_steps_is_refused_in_one_line(what, tmp_path):
    path = tmp_path / "steps.npz"
    path.write_bytes(HOSTILE[what]())
    with pytest.raises(Unreadable) as refused:
        read_steps(path)
    assert str(refused.value).isprintable()


def test_a_file_that_is_missing_is_refused(tmp_path):
    with pytest.raises(Unreadable):
        read_steps(tmp_path / "steps.npz")


def test_a_damaged_record_of_steps_is_refused_or_reads_the_same(tmp_path: Path):
    reference = ran(environment())
    reference[1].save(tmp_path / "steps.npz")
    content = bytearray((tmp_path / "steps.npz").read_bytes())
    generator = np.random.default_rng(0)
    for position in generator.integers(len(content), size=200):
        damaged = content.copy()
        damaged[position] ^= 1 << int(generator.integers(8))
        (tmp_path / "damaged.npz").write_bytes(damaged)
        try:
            steps = read_steps(tmp_path / "damaged.npz")
        except Unreadable:
            continue
        assert first_divergence(reference[0], reference[0], reference[1], steps) is None
