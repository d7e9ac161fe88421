"""A progress bar for a person who watches a terminal or an open notebook."""

import os
import sys

from tqdm import tqdm


def quiet() -> bool:
    """Whether nobody watches.

    Nobody watches a batch, which sets COUPLING_QUIET, nor output that goes neither to a terminal nor to a
    notebook.
    """
    return bool(os.environ.get("COUPLING_QUIET")) or not (sys.stderr.isatty() or "ipykernel" in sys.modules)


def progress(total: int, what: str, start: int = 0) -> tqdm:
    """A bar from `start` to `total` under the heading `what`. It shows nothing where nobody watches."""
    return tqdm(total=total, initial=start, desc=what, disable=quiet(), mininterval=1.0, file=sys.stderr)
