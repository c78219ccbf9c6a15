"""A real Slurm on this machine, from Debian's packages: one controller, two nodes, no database. Needs root.

Its configuration is linked to /etc/slurm, because jobs lose the variable SLURM_CONF on their way. A machine that has a
configuration there belongs to a cluster, and is left alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_ETC = Path("/etc/slurm")
_COMMANDS = ("slurmctld", "slurmd", "sbatch", "squeue", "scancel", "munged")
_MEMORY_CGROUPS = Path("/sys/fs/cgroup/memory")
_PORT = 26817

_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
StateSaveLocation={folder}/state
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/%n.log
SlurmdSpoolDir={folder}/%n
SlurmdParameters=config_overrides
SlurmctldTimeout=60
SlurmdTimeout=30
ReturnToService=2
KillWait=2
MinJobAge=300
FirstJobId={first_job}
ProctrackType=proctrack/linuxproc
TaskPlugin={task}
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
{enforced}
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,bf_interval=5,batch_sched_delay=0
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
PropagateResourceLimits=NONE
MailProg=/bin/true
NodeName=DEFAULT CPUs=4 RealMemory=12000
NodeName=n[1-2] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first_node}-{last_node}]
PartitionName=main Nodes=ALL Default=YES MaxTime=2-00:00:00 DefMemPerCPU=100 State=UP
"""

_CGROUP_CONF = """
CgroupPlugin=cgroup/v1
CgroupMountpoint=/sys/fs/cgroup
{constrained}
"""


def why_not() -> str | None:
    """What keeps Slurm from being started on this machine; None if nothing does."""
    missing = [command for command in _COMMANDS if shutil.which(command) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (Debian: slurmctld slurmd slurm-client munge)"
    if os.geteuid() != 0:
        return "only root can start Slurm"
    if (_ETC / "slurm.conf").exists() and not _is_ours(_ETC / "slurm.conf"):
        return f"{_ETC}/slurm.conf exists: this machine belongs to a cluster"
    return None


def _is_ours(conf: Path) -> bool:
    return conf.is_symlink() and conf.exists() and f"SlurmctldPort={_PORT}" in conf.read_text()


@dataclass(frozen=True)
class Job:
    """A running job."""

    number: str
    node: str


class Slurm:
    """A running cluster; nodes n1 and n2, partition main."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.enforces_memory = _can_make_memory_cgroups()

    def start(self) -> None:
        """Start the daemons, and wait until both nodes are idle."""
        if _is_ours(_ETC / "slurm.conf"):  # of a run of tests that was killed
            Slurm((_ETC / "slurm.conf").resolve().parent).stop()
        folder = self._folder
        (folder / "state").mkdir(parents=True)
        files = {"key-file": self._munge_key(), "socket": folder / "munge.socket", "pid-file": folder / "munged.pid"}
        files |= {"log-file": folder / "munged.log", "seed-file": folder / "munge.seed"}
        # --force: in a folder that others cannot look into
        _start("munged", "--force", *(f"--{name}={file}" for name, file in files.items()))
        self._configure()
        self._start_controller()
        for node in ("n1", "n2"):
            _start("slurmd", "-N", node)
        _until(lambda: self.ask("sinfo", "--noheader", "--states=idle", "--format=%D").strip() == "2", "nodes")

    def stop(self) -> None:
        """End all jobs and daemons, and remove the configuration."""
        self.ask("scancel", "--user=root")
        with contextlib.suppress(TimeoutError):
            _until(lambda: not self.ask("squeue", "--noheader", "--states=running,completing"), "the end of jobs", 20)
        for name in ("n1", "n2", "slurmctld", "munged"):
            self._end(name)
        for file in ("slurm.conf", "cgroup.conf"):
            (_ETC / file).unlink(missing_ok=True)
        for group in sorted(_MEMORY_CGROUPS.glob("slurm_n[12]/**/"), reverse=True):
            with contextlib.suppress(OSError):  # still in use
                group.rmdir()

    def _start_controller(self) -> None:
        _start("slurmctld", "-i")
        _until(lambda: " UP" in self.ask("scontrol", "ping"), "slurmctld")

    def restart_controller(self) -> None:
        """Restart the controller at once: the plugin does not outlive a long absence without a database."""
        self._end("slurmctld")
        self._start_controller()

    def restart_node(self, node: str) -> None:
        """Restart a node's daemon; its jobs go on."""
        self._end(node)
        _start("slurmd", "-N", node)

    def drain(self, node: str) -> None:
        """Let a node take no further job."""
        self.ask("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=test")

    def cancel(self, number: str) -> None:
        """Cancel a job."""
        self.ask("scancel", number)

    def requeue(self, number: str) -> None:
        """Put a running job back into the queue, as a preemption does."""
        self.ask("scontrol", "requeue", number)

    def running(self, name: str) -> Job | None:
        """The job of that name, if it runs."""
        lines = self.ask("squeue", "--noheader", "--states=running", f"--name={name}", "--format=%i|%N").splitlines()
        return Job(*lines[0].split("|")) if lines else None

    def ask(self, *command: str) -> str:
        """What a command of Slurm prints; nothing, if it fails."""
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout

    def _munge_key(self) -> Path:
        key = self._folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        return key

    def _configure(self) -> None:
        if self.enforces_memory:
            task, enforced = "task/cgroup", ""
            constrained = "ConstrainRAMSpace=yes\nConstrainSwapSpace=yes\nAllowedSwapSpace=0"
        else:
            task, enforced, constrained = "task/none", "JobAcctGatherParams=OverMemoryKill", ""
        conf = _CONF.format(
            folder=self._folder,
            host=socket.gethostname().partition(".")[0],
            port=_PORT,
            first_node=_PORT + 1,
            last_node=_PORT + 2,
            first_job=int(time.time()) % 50_000_000,  # a number that comes again finds its old control group
            task=task,
            enforced=enforced,
        )
        _ETC.mkdir(exist_ok=True)
        for name, text in (("slurm.conf", conf), ("cgroup.conf", _CGROUP_CONF.format(constrained=constrained))):
            (self._folder / name).write_text(text)
            (_ETC / name).unlink(missing_ok=True)  # a link that leads nowhere: see why_not
            (_ETC / name).symlink_to(self._folder / name)

    def _end(self, name: str) -> None:
        file = self._folder / f"{name}.pid"
        if file.exists() and _is_daemon(pid := int(file.read_text())):
            os.kill(pid, signal.SIGTERM)
            _until(lambda: not _is_daemon(pid), f"the end of {name}")


def _can_make_memory_cgroups() -> bool:
    probe = _MEMORY_CGROUPS / "slurm_test"
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError:
        return False
    return True


def _start(*command: str) -> None:
    """Start a daemon, which goes into the background by itself."""
    subprocess.run(command, check=True, timeout=30, stdin=subprocess.DEVNULL, start_new_session=True)


def _is_daemon(pid: int) -> bool:
    """Whether that is a process of Slurm's, and runs."""
    try:
        name, _, state = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
    except OSError:
        return False
    return name in ("munged", "slurmctld", "slurmd") and state.split()[0] != "Z"


def _until(happened: Callable[[], bool], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:g} seconds for {what}")
        time.sleep(0.1)
