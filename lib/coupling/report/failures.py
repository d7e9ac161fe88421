"""What failed in a batch: kept when it happens, and told afterwards with the command that repeats it.

A notebook or a table that fails leaves a small file in `results/failed/`, on whatever machine it failed. The
file is removed as soon as the same thing succeeds.
"""

import contextlib
import hashlib
import os
import re
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from coupling import files
from coupling.errors import StudyError

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Failure(BaseModel):
    """Something that failed."""

    model_config = ConfigDict(extra="forbid")

    what: str = Field(description="what failed: the folder of a result, a notebook, or the tables of a sweep")
    why: str = Field(description="the error in one line")
    command: str = Field(description="the command that repeats it, at the top of the study")
    log: str = Field(description="the executed notebook, or empty")
    when: str = Field(description="when it failed, in UTC")


def command(*words: str) -> str:
    """Return a command of the study as a user would type it, with the folders that the environment names."""
    named = [f"{name}={os.environ[name]}" for name in files.FOLDERS if os.environ.get(name)]
    program = Path(sys.executable).with_name("coupling")
    here = program.relative_to(files.root()) if program.is_relative_to(files.root()) else program
    return shlex.join([*named, str(here), *words])


@contextmanager
def kept(what: str, words: Sequence[str], log: Path | None = None) -> Iterator[None]:
    """Keep the error of the block for the table of failures, and raise it. Without an error, forget the last.

    Args:
        what: What the block makes. One failure is kept of each.
        words: The words after `coupling` that repeat it.
        log: The executed notebook.
    """
    path = _path(what)
    try:
        yield
    except Exception as error:
        told = {"why": in_a_line(error), "command": command(*words), "log": str(log or "")}
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with contextlib.suppress(files.StoreError):  # a full disk: the error itself is still raised
            files.write_json(path, {"what": what, "when": when} | told)
        raise
    with contextlib.suppress(OSError):  # a file system that is read only
        path.unlink(missing_ok=True)


def in_a_line(error: Exception) -> str:
    """Return an error in one line. Of an error in a notebook it is the error that the notebook raised."""
    name = getattr(error, "ename", "") or type(error).__name__
    text = getattr(error, "evalue", "") or str(error)
    lines = [line.strip() for line in _COLOUR.sub("", text).splitlines() if line.strip()]
    if name == "DeadKernelError":
        return "the process died, perhaps killed by the system for lack of memory"
    first = lines[0] if lines else "no message"
    return first if isinstance(error, StudyError) else f"{name}: {first}"


def failure(what: str) -> Failure | None:
    """Return the last failure of something, or None where it has not failed, or has succeeded since."""
    try:
        return Failure(**files.read_json(_path(what)))
    except (OSError, files.StoreError, ValidationError, TypeError):
        return None


def count() -> int:
    """Return how many failures are kept."""
    return sum(1 for _ in _folder().glob("*.json"))


def _path(what: str) -> Path:
    digest = hashlib.sha256(what.encode()).hexdigest()[:12]
    return _folder() / f"{files.short(Path(what).name)}-{digest}.json"


def _folder() -> Path:
    return files.results_dir() / "failed"
