"""A progress bar for people: in a terminal or an open notebook, and nowhere else."""

import os
import sys

from tqdm import tqdm


def quiet() -> bool:
    """Whether nobody watches: COUPLING_QUIET is set (batches set it), or output is neither terminal nor notebook."""
    return bool(os.environ.get("COUPLING_QUIET")) or not (sys.stderr.isatty() or "ipykernel" in sys.modules)


def progress(total: int, what: str, start: int = 0) -> tqdm:
    """A bar from `start` to `total`, silent where nobody watches."""
    return tqdm(total=total, initial=start, desc=what, disable=quiet(), mininterval=1.0, file=sys.stderr)
