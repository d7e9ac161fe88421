"""Rows of evaluations made by hand, for tests of what is computed from rows."""

import numpy as np
import pandas as pd
from coupling.measure.behaviours import Behaviours
from coupling.measure.rows import score


def choosing(items, x, cf):
    """Behaviours whose most likely choices are x and cf; each is an array of one choice an item."""

    def logp(choice):
        p = np.full((len(items), 4), 0.1, np.float32)
        p[np.arange(len(items)), choice] = 0.6
        return np.log(p)

    return Behaviours(tuple(i.id for i in items), logp(x), logp(cf))


def make_rows(items, said, now, then):
    """Rows of one run at step 7. M_t chooses `now`, S and M0 choose `then`; each is (x, cf)."""
    source = choosing(items, *then)
    return score(items, said, "letter", choosing(items, *now), source, source, 7)


def frame_of(items, runs):
    """Rows of runs of one condition, given as (m0_seed, seed, said, now, then)."""
    parts = [
        make_rows(items, said, now, then).assign(condition="c", m0_seed=m0_seed, seed=seed)
        for m0_seed, seed, said, now, then in runs
    ]
    return pd.concat(parts, ignore_index=True)
