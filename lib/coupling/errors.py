"""The base class of all errors of the study, and a hint for misspelt names."""

import difflib
from collections.abc import Iterable


class StudyError(Exception):
    """A request that cannot be carried out, or a result that cannot be had.

    The message names the wrong value, its place and the way out. The command line prints the message as one
    line and exits with status 2.
    """


def suggest(name: str, known: Iterable[str]) -> str:
    """Return a hint for a misspelt name: the closest known name, or the list of all known names."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"
