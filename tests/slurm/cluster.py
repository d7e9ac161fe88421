"""A SLURM cluster of one node on this machine: munge, controller and node as Debian 12 packages them.

It needs root, since munge and SLURM change users. It needs no systemd, no cgroups and no database of
accounts. Everything lies in one folder. While the cluster is up, /etc/slurm/slurm.conf points there.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

CPUS = 2  # what the node says that it has, whatever the machine has: two jobs run at once
INSTALLED = Path(
    "/etc/slurm/slurm.conf"
)  # where a job step of Snakemake's plugin looks, whatever SLURM_CONF says
SECONDS = 60  # how long a daemon may take until it answers

# Two partitions share the node. A job in `urgent` takes the place of a job in `study`, which goes back into
# the queue. It may start again when its credential has expired (cred_expire, seconds). A node that cannot
# write cgroups follows processes by their parents (linuxproc).
CONFIG = """
ClusterName=study
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=30
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=bf_interval=5
ReturnToService=2
MinJobAge=3600
MpiDefault=none
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=64000 State=UNKNOWN
PartitionName=study Nodes=ALL Default=YES PriorityTier=1 PreemptMode=REQUEUE MaxTime=INFINITE State=UP
PartitionName=urgent Nodes=ALL PriorityTier=10 PreemptMode=OFF MaxTime=INFINITE State=UP
"""


@contextmanager
def cluster() -> Iterator[dict[str, str]]:
    """Start a cluster, and stop it when the block ends.

    Yields:
        Environment variables by which SLURM's commands find the cluster.

    Raises:
        RuntimeError: Where this machine has a SLURM of its own, or a daemon does not start.
    """
    if INSTALLED.exists():
        raise RuntimeError(
            f"{INSTALLED} is there already: this test is for a machine without a SLURM of its own"
        )
    folder = Path(
        tempfile.mkdtemp(prefix="study-slurm-")
    )  # keys, configuration, state and logs of the daemons
    folder.chmod(0o755)  # munge's socket must be open to all users
    config = _configured(folder)
    environment = {"SLURM_CONF": str(config)}
    munge = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    daemons = {
        "munged": ["--foreground", *(f"--{option}={folder}/munge/{name}" for option, name in munge.items())],
        "slurmctld": ["-D", "-f", str(config)],
        "slurmd": ["-D", "-f", str(config), "-N", socket.gethostname()],
    }
    answers = {
        "munged": (folder / "munge" / "socket").exists,
        "slurmctld": lambda: "UP" in _said("scontrol", "ping", environment=environment),
        "slurmd": lambda: "idle" in _said("sinfo", "-h", "-o", "%T", environment=environment),
    }
    started: list[subprocess.Popen] = []
    before = signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # the daemons end also where make is told to
    try:
        INSTALLED.parent.mkdir(exist_ok=True)
        INSTALLED.unlink(missing_ok=True)  # it points nowhere: a cluster before this one was killed
        INSTALLED.symlink_to(config)
        for name, options in daemons.items():
            out = (folder / f"{name}.out").open("w")
            started.append(
                subprocess.Popen([name, *options], env=os.environ | environment, stdout=out, stderr=out)
            )
            _wait(answers[name], started[-1], Path(out.name))
        yield environment
    finally:
        _said("scancel", "--user", "root", environment=environment)
        for daemon in reversed(started):
            daemon.terminate()
            try:
                daemon.wait(SECONDS)
            except subprocess.TimeoutExpired:
                daemon.kill()
        INSTALLED.unlink(missing_ok=True)
        shutil.rmtree(folder)
        signal.signal(signal.SIGTERM, before)


def _configured(folder: Path) -> Path:
    """Write key and configuration. Returns the path of slurm.conf."""
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge" / "key"
    key.touch(0o600)
    key.write_bytes(secrets.token_bytes(128))
    free = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [one.getsockname()[1] for one in free]
    for one in free:
        one.close()
    config = folder / "slurm.conf"
    config.write_text(CONFIG.format(host=socket.gethostname(), folder=folder, ports=ports, cpus=CPUS))
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")  # never used, but slurmd loads one
    return config


def _said(*command: str, environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    return done.stdout


def _wait(ready: Callable[[], bool], daemon: subprocess.Popen, log: Path) -> None:
    """Wait until a daemon answers.

    Raises:
        RuntimeError: Where it ends, or does not answer in time. The message has the end of its log.
    """
    end = time.monotonic() + SECONDS
    while not ready():
        if daemon.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"{log.stem} does not answer:\n{log.read_text()[-2000:]}")
        time.sleep(0.2)
