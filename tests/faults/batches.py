"""Faults of batches: the engine, worker or kernel of `make study` is stopped, and two batches at once."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from cases import Case
from laboratory import MOST, ROOT, Ended, Study
from own_sweeps import own_sweep
from prepared import NOTHING, Prepared, Store
from published import WHICH, make_all

# What stands in the command line of a process.
ENGINE, WORKER, KERNEL = "snakemake --snakefile", "coupling notebooks", "ipykernel_launcher"
NAMES = {ENGINE: "engine", WORKER: "worker", KERNEL: "kernel"}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
TIMES = 9  # moments altogether


@dataclass(frozen=True)
class Batch(Study):
    """A sweep of two runs whose ordinary command is `make study`. Its words are those of the command."""

    def environment(self) -> dict[str, str]:
        """The variables of the study. Packaged data are read from the real cache."""
        own = super().environment()
        return {name: own[name] for name in ("COUPLING_RESULTS", "COUPLING_FIGURES")}

    def begin(self) -> subprocess.Popen:
        """Start the command."""
        environment = os.environ | self.environment() | {"PWD": str(self.top)}
        with (self.top / "log.txt").open("a") as log:
            return subprocess.Popen(
                self.words, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def run(self, *words: str, before: Callable[[], None] | None = None) -> Ended:
        """Run the command to its end. A status that it prints must be that of its exit code."""
        process = self.begin()
        try:
            code = process.wait(MOST)
        finally:
            self.stop_all()
        said = (self.top / "log.txt").read_text(errors="replace")
        if not code and (lines := re.findall(r"^\d+ runs: .* reused$", said, re.M)):
            found = {name: int(number) for number, name in re.findall(r"(\d+) (\w+)", lines[-1])}
            code = int(found["runs"] != found.get("complete", 0))
        return Ended(code, said)

    def own(self) -> list[psutil.Process]:
        """List the processes of this study, which are known by their environment."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("COUPLING_RESULTS") == str(self.results):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def find(self, what: str, batch: subprocess.Popen) -> psutil.Process | None:
        """Wait for a process of a batch by a part of its command line; None where the batch ends before."""
        while batch.poll() is None:
            for process in self.own():
                with contextlib.suppress(psutil.Error):
                    line = " ".join(word.rsplit("/", 1)[-1] for word in process.cmdline()[:6])
                    if what in line and not line.startswith(("bash", "sh ", "make")):
                        return process
            time.sleep(0.1)
        return None

    def stop_all(self) -> None:
        """Kill what is left of this study. The processes are known by their environment, one by one."""
        for process in self.own():
            if process.pid != os.getpid():
                process.kill()


def _prepared(store: Store, command: Callable[[Path, list[str]], tuple[str, ...]], m0s: int) -> Prepared:
    """Prepare the sweep, with nothing made. What its runs end in is made without the engine."""
    top, done = (store.top / f"{name}-{m0s}" for name in ("batch", "batch-done"))
    done = Study(done, ("status", *WHICH))
    if not top.exists():
        for folder in (top, done.top):
            folder.mkdir(parents=True)
            own_sweep(folder, m0_seeds=m0s, figures=[])
        ended = done.run(before=make_all)
        assert not ended.code, ended.said
    wanted = done.finished()
    return Prepared(Batch(top, command(store.top.parent / "one", sorted(wanted))), wanted, 40.0)


def study(jobs: int) -> Callable[[Store], Prepared]:
    """Return what prepares the sweep for `make study` with so many workers, and an M0 for each."""

    def words(top: Path, runs: list[str]) -> tuple[str, ...]:
        return ("make", "-o", ".venv/ready", "study", f"SWEEP={top}/mine.yaml", f"JOBS={jobs}")

    return lambda store: _prepared(store, words, jobs)


def engine(store: Store) -> Prepared:
    """Prepare the sweep for the engine alone, as `make study` calls it, and for the runs alone."""

    def words(top: Path, runs: list[str]) -> tuple[str, ...]:
        options = ("--snakefile", "notebooks/Snakefile", "--profile", "env/local", "--cores", "1")
        wanted = (f"{top}/results/tiny/{run}/manifest.json" for run in runs)
        config = ("--config", "profile=tiny", f"sweep={top}/mine.yaml")
        return ("snakemake", *options, "--resources", "mem_mb=8000", *config, "--", *wanted)

    return _prepared(store, words, 1)


def stopped_in_a_row(
    what: str, number: signal.Signals, waits: Sequence[float]
) -> Callable[[Study], list[Ended]]:
    """Return what starts a batch and signals one of its processes, again and again."""

    def inject(study: Study) -> list[Ended]:
        ended = []
        for wait in waits:
            process = study.begin()
            target = study.find(what, process)
            time.sleep(wait)
            with contextlib.suppress(psutil.NoSuchProcess):
                if target is not None:
                    target.send_signal(number)
                    ended.append(Ended(1, ""))
            process.wait(MOST)
        return ended

    return inject


def two_at_once(seconds: float) -> Callable[[Study], list[Ended]]:
    """Return what starts two batches on one sweep."""

    def inject(study: Study) -> list[Ended]:
        processes = [study.begin()]
        time.sleep(seconds)
        processes.append(study.begin())
        codes = [process.wait(MOST) for process in processes]
        return [Ended(code, (study.top / "log.txt").read_text()) for code in codes]

    return inject


def engine_lock(study: Study) -> None:
    """Leave what an engine that was killed leaves: its locks and the marks of unfinished files."""
    for folder in (ROOT / ".snakemake", study.results / ".snakemake"):
        locks = folder / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        (locks / "0.output.lock").write_text(f"{study.results}/tiny/anything\n")


def cases() -> list[Case]:
    """List all injections of this module."""
    return list(_cases())


def _cases() -> Iterator[Case]:
    if not shutil.which("make"):
        return
    rng = np.random.default_rng(21)
    kinds = [(what, number) for what in (ENGINE, WORKER, KERNEL) for number in SIGNALS]
    counts = [TIMES // len(kinds) + (k < TIMES % len(kinds)) for k in range(len(kinds))]
    for (what, number), count in zip(kinds, counts, strict=True):
        waits = [float(rng.uniform(0, 10)) for _ in range(count)]
        inject = stopped_in_a_row(what, number, waits)
        label = "after " + ", ".join(f"{wait:.0f}" for wait in waits) + " s"
        yield Case(f"{number.name} of the {NAMES[what]}", label, engine, inject, may_stop=True)
    yield Case("two batches at once", "5 s apart", study(1), two_at_once(5.0))
    yield Case("two workers", "JOBS=2", study(2), lambda study: None)
    yield Case("stale lock of the engine", NOTHING, study(1), engine_lock)
