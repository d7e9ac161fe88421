"""A batch from its plan to its end: the batch engine runs what is missing, and a status says how it went."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from coupling import files
from coupling import sweep as sweeps
from coupling.analysis import tables
from coupling.machine import machine_megabytes
from coupling.report import current, overview, planning, status
from coupling.runs import folders, records
from coupling.spec import from_anywhere


@dataclass(frozen=True)
class Batch:
    """What a batch is asked for.

    Attributes:
        profile: Name of the profile.
        sweep: See `overview.plans`.
        task: See `overview.plans`.
        m0_seeds: See `overview.plans`.
        force: Whether results that are there are computed again.
        reuse: Whether a published record counts as a finished run.
        jobs: Number of cores; 0 for all of this machine.
        gpus: How many runs at once, each on a GPU of its own. 0: as many as cores and memory allow.
        engine: The profile of the batch engine, a folder.
    """

    profile: str
    sweep: str
    task: str = ""
    m0_seeds: int = 0
    force: bool = False
    reuse: bool = False
    jobs: int = 0
    gpus: int = 0
    engine: Path = Path("env/local")

    @property
    def here(self) -> bool:
        """Whether the runs are made on this machine."""
        return self.engine.name == "local"

    @property
    def which(self) -> tuple[str, str, str, int]:
        """The arguments of `overview.plans`."""
        return self.profile, self.sweep, self.task, self.m0_seeds


def run(batch: Batch) -> int:
    """Plan a batch, run it, and say how it went.

    A run that fails stops no other run. What failed is listed with the command that repeats it.

    Returns:
        The exit code: 0 where every run is done and the tables and figures are made, else 1.

    Raises:
        PublishError: Where a condition would have runs of two devices.
    """
    files.check_place("COUPLING_RESULTS", files.results_dir())
    files.pin_folders()
    if batch.reuse:
        _check_devices(batch)
    if batch.force:
        overview.clear(*batch.which)
    for folder in overview.clear(*batch.which, damaged=True):
        print(f"{folder} is damaged and is computed again")
    print(planning.said(planning.plan(*batch.which)), flush=True)
    before = _manifests(batch)
    if batch.here and not batch.reuse and current.batch_is_done(*batch.which):
        print("nothing is to be done")
        code = 0
    else:
        code = _engine(batch)
    found = status.status(*batch.which)
    computed = sum(now not in (None, before[place]) for place, now in _manifests(batch).items())
    done = found.done + (found.published if batch.reuse else 0)
    print(status.said(found, computed))
    if code == 0 and done == found.runs and not found.failures:
        print(f"all {found.runs} runs are done")
        return 0
    _make_old(batch)
    print(
        f"{found.runs - done} of {found.runs} runs are not done"
        if done < found.runs
        else "all runs are done; their tables or figures are not"
    )
    print("the same command goes on from here")
    return 1


def _check_devices(batch: Batch) -> None:
    """Check, before any compute, that no condition would have runs of two devices, published ones included.

    The nodes of a cluster may have other devices than this machine, so there only what is done is checked.
    """
    from coupling.models import device

    here = device().type if batch.here else None
    for _, plan in overview.plans(*batch.which):
        records.check_devices([spec for _, spec in plan], here)


def _manifests(batch: Batch) -> dict[Path, bytes | None]:
    """The manifest of each run as it is now; None where there is none."""
    paths = [folders.run_folder(spec) / folders.MANIFEST for *_, spec in overview.runs(*batch.which)]
    return {path: path.read_bytes() if path.is_file() else None for path in paths}


def _engine(batch: Batch) -> int:
    """Run the batch engine to its end; return its exit code. A signal to stop is handed on to it."""
    process = subprocess.Popen(_words(batch), cwd=files.root())

    def hand_on(number: int, _: object) -> None:
        # A terminal sends Ctrl-C to the batch engine itself, too.
        if number == signal.SIGTERM or not sys.stdin.isatty():
            process.send_signal(number)

    kept = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return process.wait()
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _words(batch: Batch) -> list[str]:
    """The command line of the batch engine. Relative paths are meant from where the user stands.

    Cores and memory of this machine limit the jobs of this machine alone, and none of a cluster.
    """
    engine = batch.engine if batch.engine.is_dir() else files.root() / batch.engine
    names = [name for name, *_ in sweeps.members(batch.sweep, batch.profile)]
    config = {
        "profile": batch.profile,
        "sweep": batch.sweep if batch.sweep == "all" else "+".join(names),
        **from_anywhere({"task": batch.task}),
        "seeds": batch.m0_seeds or "",
        "reuse": "1" if batch.reuse else "",
        "gpus": batch.gpus or "",
    }
    if batch.here:
        limits = ["--cores", str(batch.jobs or "all")]
        limits += ["--resources", f"gpu={batch.gpus}" if batch.gpus else f"mem_mb={machine_megabytes()}"]
    else:
        limits = [*(["--jobs", str(batch.jobs)] if batch.jobs else [])]
        limits += ["--resources", f"gpu={batch.gpus}"] if batch.gpus else []
    command = [sys.executable, "-m", "snakemake", "--snakefile", "notebooks/Snakefile"]
    command += ["--profile", str(engine.resolve()), *limits]
    return [*command, "--config", *(f"{name}={value}" for name, value in config.items())]


def _make_old(batch: Batch) -> None:
    """Make tables and figures older than all runs, so that they are made again.

    When a job fails, the batch engine puts back what was there before as if it were new.
    """
    paths = []
    for name, *_ in sweeps.members(batch.sweep, batch.profile):
        paths += [tables.folder(batch.profile, name) / "keys.json", *status.drawn(batch.profile, name)]
    for path in filter(Path.exists, paths):
        os.utime(path, (0, 0))
