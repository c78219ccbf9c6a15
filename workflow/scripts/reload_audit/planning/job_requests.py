"""What a job asks a cluster for: memory, minutes, cores and GPUs, estimated from what it has to do.

An estimate decides no result. It is generous for most models; where it was not, the cluster ends the job, and the next
attempt asks for twice as much, until the limits of the configuration are reached, which the job enforces itself.

Runs whenever the workflow is planned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reload_audit.planning.resolved import Probe, Reload, Training, TrainingData

OVERHEAD_MB = 600
"""MB for two processes of Snakemake, the job's own interpreter, and a fork server that has imported the libraries."""

OVERHEAD_MINUTES = 10
"""Minutes to start all that on a slow file system, and for what goes before and after."""

_MODEL_MB = 900  # PyTorch, SB3, a small policy and its environments
_WORKER_MB = 350  # one environment of a SubprocVecEnv
_CUDA_MB = 4000  # CUDA's libraries in the memory of the host

_TRANSITION_MB = {False: 0.001, True: 0.06}  # in a replay buffer; of images: two stacks of four of 84 by 84

_SECONDS_PER_STEP = {
    "A2C": 0.01,
    "ARS": 0.01,
    "CrossQ": 0.1,
    "DDPG": 0.06,
    "DQN": 0.02,
    "MaskablePPO": 0.01,
    "PPO": 0.01,
    "QRDQN": 0.02,
    "RecurrentPPO": 0.03,
    "SAC": 0.06,
    "TD3": 0.06,
    "TQC": 0.1,
    "TRPO": 0.01,
}
"""Training, by algorithm: on one slow core, in an environment that takes some milliseconds itself."""

_IMAGES = 5  # times as many seconds

_OFF_POLICY = frozenset({"CrossQ", "DDPG", "DQN", "QRDQN", "SAC", "TD3", "TQC"})
_BUFFER_SIZE = 1_000_000  # SB3's default

_EVALUATION_MINUTES = 20  # right after training: 200 episodes of 1,000 steps, of five milliseconds each
_FURTHER_EVALUATION_MINUTES = 5  # of a further model of a batch: not all of them take that long
_MEASURED_SECONDS = 60.0  # what evaluating right after training, and reloading, add to the training of a model
_RELOAD_MINUTES = 60
_EXTERNAL_MINUTES = 15

_DIAGNOSIS_PROCESSES = 3  # to examine a model that has lost its reward, to try conditions, and to end the last of them
_FILMS = 60  # `jobs.replay` makes no more
_PROBE_PROCESSES = 30  # contrasts, and what goes after those that differ; most take a second


@dataclass(frozen=True)
class Request:
    """What a job asks for at its first attempt, and how far later attempts may go.

    :param mem_mb: MB
    :param runtime: minutes
    :param most_mem_mb: MB that no attempt exceeds
    :param most_runtime: minutes that no attempt exceeds
    :param threads: cores
    :param gpu: GPUs; None for none
    """

    mem_mb: int
    runtime: int
    most_mem_mb: int
    most_runtime: int
    threads: int = 1
    gpu: int | None = None

    def memory(self, attempt: int) -> int:
        """MB at an attempt, the first of which is 1."""
        return _doubled(self.mem_mb, attempt, self.most_mem_mb)

    def minutes(self, attempt: int) -> int:
        """Minutes at an attempt, the first of which is 1."""
        return _doubled(self.runtime, attempt, self.most_runtime)


def training_request(spec: TrainingData, limits: Training, overrides: Mapping[str, int]) -> Request:
    """What training one model and its evaluation right after ask for.

    :param limits: what training one model may take
    :param overrides: what the user says instead of the estimate: ``threads``, ``mem_mb``, ``runtime``, ``gpu``
    """
    most_mem_mb = limits["memory"] + OVERHEAD_MB
    most_runtime = limits["timeout"] // 60 + OVERHEAD_MINUTES
    workers = spec["n_envs"] if spec["vec_env"] == "subproc" else 0
    mem_mb = OVERHEAD_MB + _MODEL_MB + workers * _WORKER_MB + _replay_buffer_mb(spec) + _cuda_mb(spec["device"])
    return Request(
        mem_mb=overrides.get("mem_mb") or min(mem_mb, most_mem_mb),
        runtime=overrides.get("runtime")
        or min(OVERHEAD_MINUTES + _EVALUATION_MINUTES + _training_minutes(spec), most_runtime),
        most_mem_mb=most_mem_mb,
        most_runtime=most_runtime,
        threads=overrides.get("threads") or max(1, workers),
        gpu=overrides.get("gpu", gpus(spec["device"])) or None,
    )


def together(trainings: Sequence[Request]) -> Request:
    """What training models one after the other asks for.

    :param trainings: what each of them would ask for alone
    """
    further = len(trainings) - 1
    longest = max(training.runtime for training in trainings)
    learning = sum(training.runtime - OVERHEAD_MINUTES - _EVALUATION_MINUTES for training in trainings)
    added = OVERHEAD_MINUTES + _EVALUATION_MINUTES + learning + further * _FURTHER_EVALUATION_MINUTES
    return Request(
        mem_mb=max(training.mem_mb for training in trainings),
        runtime=max(longest, added) if further else longest,
        most_mem_mb=max(training.most_mem_mb for training in trainings),
        most_runtime=OVERHEAD_MINUTES + sum(training.most_runtime - OVERHEAD_MINUTES for training in trainings),
        threads=max(training.threads for training in trainings),
        gpu=max(training.gpu or 0 for training in trainings) or None,
    )


def expected_seconds(spec: TrainingData) -> float:
    """How long training and measuring a model may take: to tell long ones from short ones, and to balance jobs.

    About half of what a step costs is the policy's, which acts in all environments at once.
    """
    seconds = spec["total_timesteps"] * _SECONDS_PER_STEP[spec["algo"]] * (0.5 + 0.5 / spec["n_envs"])
    return seconds * (_IMAGES if _sees_images(spec) else 1) + _MEASURED_SECONDS


def reload_request(devices: Sequence[str], reload: Reload) -> Request:
    """What reloading trained models asks for.

    :param devices: the PyTorch device of each model
    """
    limits = _Limits(reload["timeout"], reload["memory"], len(devices) * _reload_processes(reload))
    return _request(_RELOAD_MINUTES + (len(devices) - 1) * _EXTERNAL_MINUTES, devices, limits)


def batch_request(devices: Sequence[str], reload: Reload) -> Request:
    """What auditing a batch of external models asks for.

    :param devices: the PyTorch device of each model
    """
    processes = len(devices) * (_reload_processes(reload) + 1)  # one more: what a random policy earns
    return _request(_EXTERNAL_MINUTES * len(devices), devices, _Limits(reload["timeout"], reload["memory"], processes))


def probe_request(device: str, reload: Reload, probe: Probe) -> Request:
    """What probing one environment asks for.

    :param device: the PyTorch device of the model that acts in it
    """
    return _request(_RELOAD_MINUTES, [device], _Limits(probe["timeout"], reload["memory"], _PROBE_PROCESSES))


def script_request(timeout: float, memory: int) -> Request:
    """What observing a script asks for.

    :param timeout: seconds that it may take
    :param memory: MiB that it may hold
    """
    minutes = int(timeout // 60) + OVERHEAD_MINUTES
    mem_mb = memory + OVERHEAD_MB
    return Request(min(OVERHEAD_MB + _MODEL_MB, mem_mb), minutes, most_mem_mb=mem_mb, most_runtime=minutes)


def replay_request(devices: Sequence[str], reload: Reload) -> Request:
    """What filming two episodes of some models asks for.

    :param devices: the PyTorch device of each model
    """
    return _request(_RELOAD_MINUTES, devices, _Limits(reload["timeout"], reload["memory"], _FILMS))


def aggregation_request(models: int) -> Request:
    """What putting the records of so many models together, and drawing the report of them, asks for."""
    mem_mb = OVERHEAD_MB + 1000 + models // 5
    return Request(mem_mb, 30, most_mem_mb=8 * mem_mb, most_runtime=240)


def gpus(device: str) -> int:
    """GPUs that a PyTorch device needs; ``auto`` takes what there is, and asks for none."""
    return int(device.startswith("cuda"))


def _doubled(first: int, attempt: int, most: int) -> int:
    return min(first << (attempt - 1), max(first, most))


@dataclass(frozen=True)
class _Limits:
    """What processes that run one after the other may take.

    :param timeout: seconds of each
    :param memory: MiB of each
    :param processes: how many there may be
    """

    timeout: int
    memory: int
    processes: int


def _reload_processes(reload: Reload) -> int:
    """How many: the canonical condition, those that are asked for, and those that look for the cause of a loss."""
    return 1 + len(reload["n_envs"]) + reload["other_vec_env"] + _DIAGNOSIS_PROCESSES


def _request(minutes: int, devices: Sequence[str], limits: _Limits) -> Request:
    most_mem_mb = limits.memory + OVERHEAD_MB
    most_runtime = limits.timeout * limits.processes // 60 + OVERHEAD_MINUTES
    return Request(
        mem_mb=min(OVERHEAD_MB + _MODEL_MB + max(map(_cuda_mb, devices)), most_mem_mb),
        runtime=min(OVERHEAD_MINUTES + minutes, most_runtime),
        most_mem_mb=most_mem_mb,
        most_runtime=most_runtime,
        gpu=max(map(gpus, devices)) or None,
    )


def _cuda_mb(device: str) -> int:
    return gpus(device) * _CUDA_MB


def _replay_buffer_mb(spec: TrainingData) -> int:
    """MB of a replay buffer: it takes memory only as it fills, for no more transitions than training has steps."""
    if spec["algo"] not in _OFF_POLICY:
        return 0
    transitions = min(spec["hyperparams"].get("buffer_size", _BUFFER_SIZE), spec["total_timesteps"])
    return int(transitions * _TRANSITION_MB[_sees_images(spec)])


def _training_minutes(spec: TrainingData) -> int:
    seconds = spec["total_timesteps"] * _SECONDS_PER_STEP[spec["algo"]]
    return int(seconds * (_IMAGES if _sees_images(spec) else 1) / 60)


def _sees_images(spec: TrainingData) -> bool:
    """Whether observations are images, as far as names tell: environments are not built to find out."""
    policy, env = str(spec["hyperparams"].get("policy", "")), spec["environment"]["env"]
    return policy.startswith("Cnn") or "ALE/" in env or "NoFrameskip" in env
