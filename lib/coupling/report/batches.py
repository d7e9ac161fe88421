"""A batch from its plan to its end: the batch engine runs what is missing, and a status says how it went."""

import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from coupling import files
from coupling import sweep as sweeps
from coupling.analysis import tables
from coupling.machine import machine_megabytes
from coupling.report import current, engine, overview, pace, planning, status, study
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

    A run that fails stops no other run. What failed is listed with the command that repeats it. Everything
    that is made lies among the results.

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
    _greet(batch)
    _redraw(batch)
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


def _greet(batch: Batch) -> None:
    """Say what a batch is for, its plan with the time, and where everything goes."""
    named = [study.load(name).at(batch.profile) for name, *_ in sweeps.members(batch.sweep, batch.profile)]
    print(
        "; ".join(one.title for one in named)
        if len(named) > 1
        else f"{named[0].title}. {named[0].question.strip()}"
    )
    print(planning.said(planning.plan(*batch.which, batch.reuse)))
    print(f"all that is made is kept in {files.results_dir()}; tracked files stay as they are", flush=True)


def _engine(batch: Batch) -> int:
    """Run the batch engine to its end, and return its exit code. What it prints goes to a file."""
    name = files.short("+".join(map(sweeps.stem, batch.sweep.split("+"))))
    stamp = time.strftime("%Y%m%dT%H%M%S")
    log = files.results_dir() / "log" / f"{stamp}-{batch.profile}-{name}.txt"
    specs = [spec for *_, spec in overview.runs(*batch.which)]
    left = planning.left_to_make(batch.profile, specs, batch.reuse)
    at_once = batch.gpus or (planning.at_once(specs, batch.jobs) if batch.here else batch.jobs) or 1
    print(f"log of the batch engine: {log}", flush=True)
    code = engine.run(_words(batch), log, pace.Pace([(node, one.seconds) for node, one in left], at_once))
    if code and not status.status(*batch.which).failures:
        print(f"the batch engine ended with code {code}; the end of {log}:\n{engine.tail(log)}")
    return code


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


def _redraw(batch: Batch) -> None:
    """Let figures be drawn again whose image is gone. The batch engine looks at their notebooks alone."""
    for name, *_ in sweeps.members(batch.sweep, batch.profile):
        _age(status.undrawn(batch.profile, name))


def _make_old(batch: Batch) -> None:
    """Make tables and figures older than all runs, so that they are made again.

    When a job fails, the batch engine puts back what was there before as if it were new.
    """
    paths = []
    for name, *_ in sweeps.members(batch.sweep, batch.profile):
        paths += [
            tables.folder(batch.profile, name, own=True) / "keys.json",
            *status.drawn(batch.profile, name),
        ]
    _age(paths)


def _age(paths: Iterable[Path]) -> None:
    """Make files that are there older than anything else, so that they are made again."""
    for path in filter(Path.exists, paths):
        os.utime(path, (0, 0))
