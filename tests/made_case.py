"""A case of the bench that is small enough for tests, and a pair whose adapter has learnt something."""

from contextlib import contextmanager

from conftest import SMALL
from coupling.bench.cases import Case, prepared
from coupling.bench.pair import paired
from coupling.runs import Models

CASE = Case(
    "tiny",
    "small",
    "tiny",
    items=12,
    step=4,
    plain=3,
    batch=6,
    values={name: value for name, value in SMALL.items() if name not in ("train_items", "batch_size")},
)


@contextmanager
def moved_pair(m0):
    """A pair on M0 whose adapter is not zero."""
    spec, _, items = prepared(CASE, Models())
    with paired(CASE, spec, m0, items) as pair:
        pair.move(0.1)
        yield pair
