"""Faults of the place: a full disk, results that are read-only, locks, other processes, and the clock."""

import fcntl
import os
import resource
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from cases import Case
from laboratory import Ended, Study, can_mount, mount, without_root
from prepared import DONE, HALF, M0_HALF, NOTHING, Prepared, Store, organism_words

DAY = 86400  # seconds
LIMITS = (1, 4, 16, 64, 256, 1024, 2048)  # kilobytes that a file may have


def _of(state: str) -> Callable[[Store], Prepared]:
    return lambda store: store.organism(state)


def fill_again_and_again(study: Study) -> list[Ended]:
    """Run on a disk that is full. After each failure the disk gets a little larger.

    While the same file fails, each enlargement is twice the last one. So the disk is full at every file.
    """
    disk, size, step, last, ended = study.results, 4, 4, "", []
    disk.mkdir(exist_ok=True)
    for path in disk.iterdir():
        shutil.rmtree(path)
    mount(disk, size)
    try:
        while (now := study.run()).code and len(ended) < 200:
            ended.append(now)
            step = 2 * step if now.error() == last else 4
            last, size = now.error(), size + step
            mount(disk, size, again=True)
        shutil.copytree(disk, study.top / "kept")
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    disk.rmdir()
    (study.top / "kept").rename(disk)
    return ended


def full_disks() -> Iterator[Case]:
    """A disk that is full at every artefact, and a limit for the size of a file."""
    if can_mount(Path(tempfile.gettempdir()) / f"faults-can-mount-{os.getpid()}"):
        yield Case("disk full", "at every artefact", _of(NOTHING), fill_again_and_again, names="results/")
    for limit in LIMITS:

        def limited(limit: int = limit) -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * limit, 1024 * limit))

        def inject(study: Study, limited: Callable[[], None] = limited) -> list[Ended]:
            return [study.run(before=limited)]

        yield Case(
            "file larger than the system allows", f"{limit} KB", _of(NOTHING), inject, names="results/"
        )


def _modes(top: Path, writable: bool) -> None:
    for path in (top, *top.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(mode | stat.S_IWUSR if writable else mode & ~0o222)


def read_only(study: Study) -> list[Ended]:
    """Run where no file and folder of the results may be written to."""
    study.results.mkdir(exist_ok=True)
    _modes(study.results, False)
    ended = study.run(before=without_root)
    _modes(study.results, True)
    return [ended]


def _run_folder(study: Study) -> Path:
    return study.one("results/tiny/hint_qa-m*")


def locked_for_a_while(study: Study) -> None:
    """Let another process hold the lock of the run's folder for two seconds."""
    with (_run_folder(study) / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not os.fork():  # the lock is held by the new process too
            time.sleep(2)
            os._exit(0)


def left_lock(study: Study) -> None:
    """Leave lock files with the words of a process that is long dead."""
    for path in study.results.glob("*/*/.lock"):
        path.write_text("999999999")


def foreign_lock(study: Study) -> list[Ended]:
    """Run where the lock is a file that this user may not open."""
    lock = _run_folder(study) / ".lock"
    lock.chmod(0)
    ended = study.run(before=without_root)
    lock.chmod(0o644)
    return [ended]


def lock_that_is_a_folder(study: Study) -> None:
    """Put a folder where the lock should be."""
    lock = _run_folder(study) / ".lock"
    lock.unlink()
    lock.mkdir()


def without_lock(study: Study, before: Study) -> None:
    """Remove the lock."""
    shutil.rmtree(_run_folder(study) / ".lock")


def _together(shares: tuple[float, ...], *more: str) -> Callable[[Study], list[Ended]]:
    """Return what starts the command several times, each a share of a second after the one before."""

    def inject(study: Study) -> list[Ended]:
        running = []
        for share in shares:
            time.sleep(share)
            running.append(study.start(*study.words, *more))
        return [one.wait() for one in running]

    return inject


def _two_seeds(study: Study) -> list[Ended]:
    """Start two runs that share M0, base and behaviours."""
    running = [study.start(), study.start(*organism_words(seed=1))]
    return [one.wait() for one in running]


def _first_is_killed(study: Study) -> list[Ended]:
    """Kill the first of two while the second waits for it."""
    first = study.start()
    time.sleep(0.3)
    second = study.start()
    time.sleep(0.5)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    return [second.wait()]


def together() -> Iterator[Case]:
    """Several commands on one folder at once."""
    for shares in ((0, 0), (0, 0.2), (0, 0.8), (0, 1.5), (0, 0, 0, 0)):
        label = f"{len(shares)}, {shares[1]} s apart"
        yield Case("the same run several times at once", label, _of(NOTHING), _together(shares))
    yield Case("the same run several times at once", "half done", _of(HALF), _together((0, 0, 0)))
    yield Case(
        "the same run several times at once", "computed again", _of(DONE), _together((0, 0.1), "--force")
    )
    yield Case("the same run several times at once", "the first is killed", _of(NOTHING), _first_is_killed)
    yield Case("two runs of one M0 at once", "two seeds", _of(NOTHING), _two_seeds)


def _dates(back: int, mixed: bool = False) -> Callable[[Study], None]:
    """Return what moves the dates of all files, as a clock that was moved the other way leaves them."""

    def inject(study: Study) -> None:
        rng = np.random.default_rng(0)
        for path in sorted(study.results.rglob("*")):
            then = time.time() - back * (rng.uniform(-1, 1) if mixed else 1)
            os.utime(path, (then, then))

    return inject


def _moved_clock(days: int) -> Callable[[Study], list[Ended]]:
    def inject(study: Study) -> list[Ended]:
        command = ["faketime", "-f", f"{days:+d}d", "coupling", *study.words]
        environment = os.environ | study.environment()
        done = subprocess.run(command, cwd=study.top, env=environment, capture_output=True, text=True)
        return [Ended(done.returncode, done.stdout + done.stderr)]

    return inject


def clocks() -> Iterator[Case]:
    """Files of tomorrow and of long ago, and a clock that was moved."""
    for state in (HALF, M0_HALF, DONE):
        for label, back, mixed in (
            ("tomorrow", -DAY, False),
            ("1990", 36 * 365 * DAY, False),
            ("mixed", DAY, True),
        ):
            yield Case("clock moved (dates of files)", f"{label}, {state}", _of(state), _dates(back, mixed))
    if shutil.which("faketime"):
        for days in (-3, 3):
            yield Case("clock moved (faketime)", f"{days} days", _of(HALF), _moved_clock(days))


def cases() -> list[Case]:
    """List all injections of this module."""
    found = [*full_disks(), *together(), *clocks()]
    found += [
        Case("read-only results", s, _of(s), read_only, names="results")
        for s in (NOTHING, HALF, M0_HALF, DONE)
    ]
    for state in (HALF, DONE):
        found += [
            Case("stale lock", state, _of(state), left_lock),
            Case("foreign lock, held for two seconds", state, _of(state), locked_for_a_while),
        ]
    found.append(Case("foreign lock, not to be opened", HALF, _of(HALF), foreign_lock, names=".lock"))
    folder = lock_that_is_a_folder
    found.append(
        Case("a folder in the place of a lock", HALF, _of(HALF), folder, without_lock, names=".lock")
    )
    return found
