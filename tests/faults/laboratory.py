"""Small studies in folders of their own, the ordinary commands in processes of their own, and final numbers.

The libraries are imported once. A command is then a fork of this process, which costs a second and not ten.
"""

import ctypes
import gc
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import torch
from coupling import cli, files
from coupling.runs import folders, make

assert make  # imported for its time alone
ROOT = Path(__file__).parents[2]
MOST = 600  # seconds that a command may take
gc.freeze()  # what was imported is never collected, so that a fork does not look through all of it
_DAC_OVERRIDE, _VERSION_3 = 1, 0x20080522  # of linux/capability.h
# What each command does first, such as to put a stand-in into the library. The tests that run in this process
# have the library as it is.
IN_COMMANDS: list[Callable[[], None]] = []
TABLES = ("rows", "history")


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (negative: the signal), and all that it printed."""

    code: int
    said: str

    def error(self) -> str:
        """Return the error that the command ended in, as a line of its own; empty where it ended well."""
        lines = [line for line in self.said.splitlines() if line.startswith("error: ")]
        if not self.code:
            return ""
        if "Traceback (most recent call last)" in self.said or not lines:
            return "NOT CLEAR: " + (self.said.strip().splitlines() or [f"exit code {self.code}"])[-1]
        return lines[-1]

    def printed(self) -> list:
        """Return the rows that the command printed as JSON, among warnings."""
        return json.loads(self.said[self.said.index("[\n") : self.said.rindex("\n]") + 2])


@dataclass(frozen=True)
class Study:
    """A study in a folder.

    Attributes:
        top: The folder. It holds results/, figures/, cache/ and whatever else the study reads.
        words: The ordinary command of the study, without `coupling`.
    """

    top: Path
    words: tuple[str, ...]

    @property
    def results(self) -> Path:
        """The folder of results."""
        return self.top / "results"

    def environment(self) -> dict[str, str]:
        """The variables that make a command work in this study alone."""
        named = {
            "RESULTS": "results",
            "FIGURES": "figures",
            "CACHE": "cache",
            "MODELS": "models",
            "DATA": "data",
        }
        return {f"COUPLING_{name}": str(self.top / folder) for name, folder in named.items()} | {
            "COUPLING_QUIET": "1",
            "HF_HUB_OFFLINE": "1",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.top / "wheels"),
        }

    def start(self, *words: str, before: Callable[[], None] | None = None) -> "Running":
        """Start a command, the study's own without words. `before` is called in the new process."""
        log = self.top / f"log-{time.monotonic_ns()}.txt"
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if not pid:
            _be(log, self.environment(), self.top, words or self.words, before)
        return Running(pid, log)

    def run(self, *words: str, before: Callable[[], None] | None = None) -> Ended:
        """Run a command to its end."""
        return self.start(*words, before=before).wait()

    def finished(self) -> dict[str, list[str]]:
        """Read every run that the library takes for complete: its rows and its history, each row as text."""
        found = {}
        for folder in (path.parent for path in self.results.glob("*/*-s*-kl*/manifest.json")):
            if folders.complete(folder):
                tables = [pq.read_table(folder / f"{name}.parquet").to_pylist() for name in TABLES]
                found[folder.name] = [f"{row}" for table in tables for row in table]
        return found

    def one(self, pattern: str) -> Path:
        """Find the one file of the study that a pattern names."""
        (path,) = self.top.glob(pattern)
        return path


@dataclass(frozen=True)
class Running:
    """A command that is under way."""

    pid: int
    log: Path

    def wait(self, most: float = MOST) -> Ended:
        """Wait until the command has ended. One that takes too long is killed, which is an error."""
        until = time.monotonic() + most
        while not (got := os.waitpid(self.pid, os.WNOHANG))[0]:
            if time.monotonic() > until:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                return Ended(1, f"took more than {most} s\n{self.log.read_text()}")
            time.sleep(0.01)
        said = self.log.read_text(errors="replace") if self.log.exists() else ""
        return Ended(os.waitstatus_to_exitcode(got[1]), said)

    def signal_after(self, seconds: float, number: int) -> bool:
        """Send a signal after some seconds. Return whether the command was still under way."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(0.005)
        state = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        os.kill(self.pid, number)
        return state != "Z"


def _be(
    log: Path, environment: dict[str, str], top: Path, words: Sequence[str], before: Callable | None
) -> None:
    """Turn this process, a fork, into the command line `coupling`. It never returns."""
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        to = os.open(log, os.O_WRONLY | os.O_CREAT)
        os.dup2(to, 1)
        os.dup2(to, 2)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
        os.environ.update(environment)
        os.chdir(top)
        torch.set_num_threads(1)
        for change in (*IN_COMMANDS, *([before] if before else [])):
            change()
        sys.argv = ["coupling", *words]
        try:
            cli.main()
            code = 0
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def without_root() -> None:
    """Take from this process the right of root to override the modes of files."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = (ctypes.c_uint32 * 2)(_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    if libc.capget(header, data):
        raise OSError(ctypes.get_errno(), "capget")
    for number in (_DAC_OVERRIDE, _DAC_OVERRIDE + 1):  # the second: read and search
        data[0] &= ~(1 << number)
    if libc.capset(header, data):
        raise OSError(ctypes.get_errno(), "capset")


def mount(folder: Path, kilobytes: int, again: bool = False) -> None:
    """Mount a small disk in memory, or give it another size."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"{'remount,' if again else ''}size={kilobytes}k"
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True, capture_output=True
    )


def can_mount(folder: Path) -> bool:
    """Return whether this process may mount a disk in memory."""
    try:
        mount(folder, 64)
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def lost(wanted: dict[str, list[str]], found: dict[str, list[str]]) -> int:
    """Count the rows of the undisturbed study that are missing."""
    return sum(len(set(rows) - set(found.get(name, []))) for name, rows in wanted.items())


def false(wanted: dict[str, list[str]], found: dict[str, list[str]]) -> int:
    """Count the runs that are taken for complete and have other rows than in the undisturbed study."""
    return sum(rows != wanted[name] for name, rows in found.items() if name in wanted)


def digest(*paths: Path) -> str:
    """Return a digest of some files."""
    return hashlib.sha256(json.dumps([files.sha256(path) for path in paths]).encode()).hexdigest()


def copied(study: Study, to: Path) -> Study:
    """Copy a study."""
    shutil.copytree(study.top, to, symlinks=True)
    return Study(to, study.words)
