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
from coupling import runs
from coupling.report import overview
from laboratory import MOST, ROOT, Ended, Study
from own_sweeps import own_sweep
from prepared import NOTHING, Prepared, Store
from published import WHICH, sweep_values

# What stands in the command line of a process.
ENGINE, WORKER, KERNEL = "snakemake --snakefile", "coupling notebooks", "ipykernel_launcher"
NAMES = {ENGINE: "engine", WORKER: "worker", KERNEL: "kernel"}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
TIMES = 40  # moments altogether


@dataclass(frozen=True)
class Batch(Study):
    """A study whose ordinary command is `make study`."""

    def begin(self) -> subprocess.Popen:
        """Start `make study`."""
        environment = os.environ | self.environment() | {"PWD": str(self.top)}
        command = ["make", "-o", ".venv/ready", "-C", str(ROOT), "study", "SWEEP=mine.yaml", "JOBS=1"]
        with (self.top / "log.txt").open("a") as log:
            return subprocess.Popen(
                command, cwd=self.top, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def run(self, *words: str, before: Callable[[], None] | None = None) -> Ended:
        """Run `make study` to its end. The status that it prints must be that of its exit code."""
        at = (self.top / "log.txt").stat().st_size if (self.top / "log.txt").exists() else 0
        process = self.begin()
        try:
            code = process.wait(MOST)
        finally:
            self.stop_all()
        said = (self.top / "log.txt").read_text(errors="replace").encode()[at:].decode(errors="replace")
        counts = re.search(r"^ *(runs .* reused)\n(.*)$", said, re.M)
        if not code and counts:
            found = dict(zip(counts[1].split(), map(int, counts[2].split()), strict=True))
            code = int(found["runs"] != found["complete"])
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

    def find(self, what: str, seconds: float) -> psutil.Process | None:
        """Wait for a process of this study by a part of its command line."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for process in self.own():
                try:
                    line = " ".join(Path(word).name if "/" in word else word for word in process.cmdline())
                except psutil.Error:
                    continue
                if what in line and not line.startswith(("bash", "sh ", "make")):
                    return process
            time.sleep(0.05)
        return None

    def stop_all(self) -> None:
        """Kill what is left of this study. The processes are known by their environment, one by one."""
        for process in self.own():
            if process.pid != os.getpid():
                process.kill()


def _make_all() -> None:
    for *_, spec in overview.runs("tiny", "mine.yaml"):
        runs.explain(spec)


def batch(store: Store) -> Prepared:
    """Prepare a sweep of two runs, none of which is there. What they end in is made without the engine."""
    top, done = store.top / "batch", Study(store.top / "batch-done", ("status", *WHICH))
    if not top.exists():
        for folder in (top, done.top):
            folder.mkdir(parents=True)
            own_sweep(folder, values=sweep_values(), figures=[])
        ended = done.run(before=_make_all)
        assert not ended.code, ended.said
    return Prepared(Batch(top, ()), done.finished(), 40.0)


def stopped_in_a_row(
    what: str, number: signal.Signals, waits: Sequence[float]
) -> Callable[[Study], list[Ended]]:
    """Return what starts a batch and signals one of its processes, again and again."""

    def inject(study: Study) -> list[Ended]:
        of, ended = Batch(study.top, ()), []
        for wait in waits:
            process = of.begin()
            target = of.find(what, MOST)
            time.sleep(wait)
            with contextlib.suppress(psutil.NoSuchProcess):
                target.send_signal(number)
            ended.append(Ended(process.wait(MOST), ""))
        return ended

    return inject


def two_at_once(seconds: float) -> Callable[[Study], list[Ended]]:
    """Return what starts two batches on one sweep."""

    def inject(study: Study) -> list[Ended]:
        of = Batch(study.top, ())
        processes = [of.begin()]
        time.sleep(seconds)
        processes.append(of.begin())
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
    shares = [TIMES // len(kinds) + (k < TIMES % len(kinds)) for k in range(len(kinds))]
    for (what, number), count in zip(kinds, shares, strict=True):
        waits = [float(rng.uniform(0, 14)) for _ in range(count)]
        inject = stopped_in_a_row(what, number, waits)
        label = "after " + ", ".join(f"{wait:.0f}" for wait in waits) + " s"
        yield Case(f"{number.name} of the {NAMES[what]}", label, batch, inject, may_stop=True)
    for seconds in (0.0, 8.0, 20.0):
        yield Case("two batches at once", f"{seconds:.0f} s apart", batch, two_at_once(seconds))
    yield Case("stale lock of the engine", NOTHING, batch, engine_lock)
