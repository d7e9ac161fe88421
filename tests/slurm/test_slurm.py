"""Six runs as jobs of a real SLURM: one is killed twice, one is preempted, and the sweep is resumed.

`make test-slurm` runs this test. `make test` leaves it out.
"""

import os
import platform
import re
import signal
import subprocess
import time
from importlib import metadata
from pathlib import Path

import pytest
from cluster import cluster
from conftest import SMALL
from own_sweeps import own_sweep

pytestmark = pytest.mark.slurm
ROOT = Path(__file__).parents[2]
PLUGIN = ("snakemake-executor-plugin-slurm", "snakemake-executor-plugin-slurm-jobstep")
PATIENCE = 1200  # seconds until a test gives up waiting
# Long enough that a run is caught in the middle, with a checkpoint at each evaluation.
VALUES = SMALL | {"steps": 160, "evaluations": 8}
RUN = re.compile(r"hint_qa-m0-(s\d)-")


@pytest.fixture
def slurm():
    """The environment in which SLURM's commands find a cluster of this machine."""
    with cluster() as variables:
        print("\n" + "\n".join(_versions(os.environ | variables)))
        yield os.environ | variables


def _versions(environment):
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    yield f"system: {system}, {Path('/etc/debian_version').read_text().strip()}"
    yield f"slurm: {_said(environment, 'sinfo', '--version')}"
    yield f"munge: {_said(environment, 'munge', '--version').split(' (')[0]}"
    yield f"python: {platform.python_version()}"
    named = (ROOT / "env/slurm/requirements.txt").read_text()
    for package in ("snakemake", *PLUGIN, "torch"):
        version = metadata.version(package)
        assert package not in PLUGIN or f"{package}=={version} " in named, (
            "install env/slurm/requirements.txt"
        )
        yield f"{package}: {version}"


def _said(environment, *command):
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.strip()


class Batch:
    """`make study` of one sweep with its results in a folder of their own."""

    def __init__(self, sweep, results, profile, environment):
        self.command = ["make", "-o", ".venv/ready", "-C", str(ROOT), "study"]
        self.command += [f"SWEEP={sweep}", f"SNAKEMAKE_PROFILE={profile}"]
        self.environment = environment | {"COUPLING_RESULTS": str(results), "PWD": str(sweep.parent)}
        self.results, self.log = results, sweep.parent / f"{results.name}.log"
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait()

    def start(self):
        """Start the batch in a process group of its own, and return its process."""
        with self.log.open("a") as out:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdout=out, stderr=out, start_new_session=True
            )
        return self.process

    def said(self, *command):
        return _said(self.environment, *command)

    def runs(self, pattern):
        """The runs (s0 to s5) in whose folders there is a file."""
        found = (path.relative_to(self.results / "tiny") for path in self.results.glob(f"tiny/{pattern}"))
        return {match[1] for path in found if (match := RUN.match(str(path)))}

    def half_done(self):
        """The runs that have a checkpoint and are not complete."""
        return self.runs("*/.work/*/checkpoint.safetensors") - self.complete()

    def complete(self):
        return self.runs("*/manifest.json")

    def jobs(self, *states):
        """The numbers of SLURM's jobs in some states by run, the newest last."""
        wanted = f"--states={','.join(states)}"
        listed = self.said("squeue", "--noheader", "--format=%i %k", "--sort=i", wanted)
        jobs = {}
        for line in listed.splitlines():
            if match := re.search(r"^(\d+) rule_run_m0_(s\d)_", line):
                jobs.setdefault(match[2], []).append(match[1])
        return jobs

    def wait(self, what, found):
        """Wait until `found` gives something, and return it."""
        end = time.monotonic() + PATIENCE
        while not (value := found()):
            late = self.process.poll() is not None or time.monotonic() > end
            assert not late, f"{what}: not before the batch ended\n{self.log.read_text()[-4000:]}"
            time.sleep(0.1)
        print(f"{time.strftime('%H:%M:%S')} {what}: {value}")
        return value


def bytes_of(results):
    """The content of every table of the runs and of the sweep, by path."""
    tables = [*results.glob("tiny/hint_qa-*/*.parquet"), *results.glob("tables/tiny/mine/*.parquet")]
    return {str(path.relative_to(results)): path.read_bytes() for path in tables}


@pytest.fixture
def batches(slurm, tmp_path):
    """One sweep as a batch on SLURM, and as a batch on this machine alone."""
    sweep = own_sweep(tmp_path, seeds=6, values=VALUES, conditions={"KL on": {"kl_weight": 1.0}})
    here = Batch(sweep, tmp_path / "here", "env/local", slurm)
    with Batch(sweep, tmp_path / "slurm", "env/slurm", slurm) as batch, here:
        yield batch, here


def preempt(batch):
    """Let urgent work take the node from the jobs of a batch, and return the numbers of these jobs."""
    caught = batch.wait("half done when more urgent work comes", batch.half_done)
    running = batch.jobs("RUNNING")
    jobs = [running[run][-1] for run in caught if run in running]
    batch.said("sbatch", "--partition=urgent", "--cpus-per-task=2", "--output=/dev/null", "--wrap=sleep 5")
    return batch.wait(
        "jobs that were preempted and are back in the queue",
        lambda: [j for j in jobs if re.search(r"Restarts=[1-9]", batch.said("scontrol", "show", "job", j))],
    )


def kill(batch):
    """Cancel the job of one run in the middle, and again when it is tried once more. Returns the run."""
    caught = batch.wait(
        "half done when one is killed", lambda: batch.half_done() & batch.jobs("RUNNING").keys()
    )
    run = min(caught)
    first = batch.jobs("RUNNING")[run][-1]
    batch.said("scancel", first)
    again = batch.wait("the job that tries it again", lambda: {*batch.jobs("RUNNING").get(run, [])} - {first})
    batch.said("scancel", again.pop())
    return run


def test_a_sweep_with_a_killed_and_a_preempted_job_ends_as_it_does_on_one_machine(batches):
    batch, here = batches
    everything, begun = {f"s{k}" for k in range(6)}, time.monotonic()
    first = batch.start()
    preempted = preempt(batch)
    killed = kill(batch)
    assert first.wait(PATIENCE) != 0, "a batch with a run that failed must not end with success"
    assert batch.complete() == everything - {killed}
    assert batch.half_done() == {killed}
    assert all("JobState=COMPLETED" in batch.said("scontrol", "show", "job", job) for job in preempted)
    print(f"first command: {time.monotonic() - begun:.0f} s, {len(preempted)} preempted, {killed} missing")

    begun = time.monotonic()
    assert batch.start().wait(PATIENCE) == 0, batch.log.read_text()[-4000:]
    assert batch.complete() == everything
    print(f"the same command again: {time.monotonic() - begun:.0f} s")

    begun = time.monotonic()
    assert here.start().wait(PATIENCE) == 0, here.log.read_text()[-4000:]
    print(f"on this machine alone: {time.monotonic() - begun:.0f} s")
    expected, found = bytes_of(here.results), bytes_of(batch.results)
    assert len([name for name in expected if name.endswith("/rows.parquet")]) >= 6
    assert expected.keys() == found.keys()
    assert [name for name in expected if expected[name] != found[name]] == []
    print(f"identical, byte for byte: {len(expected)} files, {sum(map(len, expected.values()))} bytes")
