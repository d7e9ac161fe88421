"""Progress for a person who waits: a bar, and one line that says how far something is."""

import os
import sys
import time

from tqdm import tqdm

SHORTEST = 30.0  # seconds between two lines, where nobody watches
SHARE = 0.1  # of the time that has passed: so long is the pause after a line, if that is longer


def quiet() -> bool:
    """Whether nobody watches.

    Nobody watches a batch, which sets COUPLING_QUIET, nor output that goes neither to a terminal nor to a
    notebook.
    """
    return bool(os.environ.get("COUPLING_QUIET")) or not (sys.stderr.isatty() or "ipykernel" in sys.modules)


def progress(total: int, what: str, start: int = 0) -> tqdm:
    """A bar from `start` to `total` under the heading `what`. It shows nothing where nobody watches."""
    return tqdm(total=total, initial=start, desc=what, disable=quiet(), mininterval=1.0, file=sys.stderr)


class Line:
    """One line on stderr that says how far something is.

    Where somebody watches, the line stays at its place and is drawn anew. Elsewhere a line is printed now and
    then: the longer it takes, the longer the pauses are.
    """

    def __init__(self) -> None:
        """Begin. Nothing is shown yet."""
        self._begun = self._last = time.monotonic()
        self._bar = None
        if not quiet():
            self._bar = tqdm(
                total=1.0,
                bar_format="|{bar:12}| {desc}",
                leave=False,
                dynamic_ncols=True,
                mininterval=0,
                file=sys.stderr,
            )

    def show(self, text: str, share: float = 0.0) -> None:
        """Say how far it is.

        Args:
            text: The line.
            share: How much is done, from 0 to 1.
        """
        now = time.monotonic()
        if self._bar is not None:
            self._bar.n = share
            self._bar.set_description_str(text)
        elif now - self._last >= max(SHORTEST, SHARE * (now - self._begun)):
            self._last = now
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """End. The line is taken away where it was drawn in place."""
        if self._bar is not None:
            self._bar.close()
