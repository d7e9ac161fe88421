"""The batch engine while it works: started, shown by one line of progress, and told to end with its user."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from coupling import files
from coupling.progress import Line
from coupling.report import failures
from coupling.report.pace import Pace

PAUSE = 1.0  # seconds between two looks at what is made
_TAIL = 15  # lines of the log that are shown where nothing else says what failed


def run(words: Sequence[str], log: Path, pace: Pace) -> int:
    """Run the batch engine to its end, and show how far it is.

    Args:
        words: The command line of the engine.
        log: The file that gets all that the engine prints.
        pace: How far the batch is.

    Returns:
        The exit code of the engine.
    """
    failed = failures.count()
    line = Line()
    with files.writing(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        out = log.open("ab")
    with out, contextlib.closing(line):
        process = subprocess.Popen(words, cwd=files.root(), stdout=out, stderr=subprocess.STDOUT)
        with _handing_on(process), process:  # an error here leaves no engine behind
            try:
                while (code := _ended(process)) is None:
                    more = failures.count() - failed
                    line.show(pace.said() + (f"; {more} failed" if more > 0 else ""), pace.share)
            except BaseException:
                process.terminate()
                raise
    return code


def _ended(process: subprocess.Popen) -> int | None:
    try:
        return process.wait(timeout=PAUSE)
    except subprocess.TimeoutExpired:
        return None


@contextlib.contextmanager
def _handing_on(process: subprocess.Popen) -> Iterator[None]:
    """Within the block, a signal to stop is handed on to a process, whose end is then waited for."""

    def hand_on(number: int, _: object) -> None:
        # A terminal sends Ctrl-C to the batch engine itself, too.
        if number == signal.SIGTERM or not sys.stdin.isatty():
            process.send_signal(number)

    kept = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def tail(log: Path) -> str:
    """Return the last lines of the engine's log."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL:])
