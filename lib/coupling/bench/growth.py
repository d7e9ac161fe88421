"""Measure how the cost of a training step grows, with items, prompt length and rank."""

import statistics
from typing import Any

import torch

from coupling.bench.cases import Case, prepared
from coupling.bench.pair import AGAINST, paired
from coupling.bench.timing import seconds
from coupling.models import Loaded
from coupling.runs import Models
from coupling.spec import Spec
from coupling.tasks import Item

ITEMS = 8  # in a step that grows in another way
STEPS = [4, 8, 16]  # items in a step
FIELDS = {  # field of the spec: what the axis is called, and its values
    "max_words": ("words of the longest prompt", [20, 40, 80, 150]),
    "rank": ("rank", [4, 32, 128]),
}


def scaling(case: Case, precision: str, models: Models) -> list[dict[str, Any]]:
    """Measure seconds an item of a training step as the step, the prompts and the rank grow.

    How they grow with the model is measured where a whole training is (`timing.training`).

    Args:
        case: The case that is made to grow.
        precision: "float32" or "bfloat16".
        models: The models in memory.

    Returns:
        Rows of the table of growing steps: axis, value, model, tokens an item, unit, reference and engine.
    """
    rows = []
    for count in STEPS:
        spec, m0, items = prepared(case, models, train_items=max(STEPS))
        m0.dtype = getattr(torch, precision)
        rows.append(point(case, "items", count, spec, m0, items, count))
    for field, (axis, values) in FIELDS.items():
        for value in values:
            spec, m0, items = prepared(case, models, train_items=max(STEPS), **{field: value})
            m0.dtype = getattr(torch, precision)
            rows.append(point(case, axis, value, spec, m0, items, ITEMS))
    return rows


def point(
    case: Case, axis: str, value: float, spec: Spec, m0: Loaded, items: list[Item], count: int
) -> dict[str, Any]:
    """Measure one point: seconds an item of a step of `count` items, the median of two steps of each path."""
    each = {}
    with paired(case, spec, m0, items) as pair:
        for path in AGAINST["plain"]:
            pair.train(path, 0, 1)
            took = [seconds(lambda path=path: pair.train(path, 0, count)) for _ in range(2)]
            each[path] = statistics.median(took) / count
        tokens = statistics.mean(pair.sizes[:count])
    return {
        "axis": axis,
        "value": float(value),
        "model": case.name,
        "tokens": tokens,
        "unit": f"s/item, {str(m0.dtype).removeprefix('torch.')}",
    } | each
