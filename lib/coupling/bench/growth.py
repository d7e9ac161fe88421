"""Measure how the cost of a training step grows, with items, prompt length, rank and size of the model."""

import statistics
from collections.abc import Mapping
from typing import Any

import torch

from coupling.bench.cases import CASES, GROWN, Case, prepared
from coupling.bench.pair import PATHS, paired
from coupling.bench.timing import seconds
from coupling.models import Loaded
from coupling.runs import Models
from coupling.spec import Spec
from coupling.tasks import Item

ITEMS = 8  # in a step that grows in another way
STEPS = [4, 8, 16, 32]  # items in a step
FIELDS = {  # field of the spec: what the axis is called, and its values
    "max_words": ("words of the longest prompt", [20, 40, 80, 150]),
    "rank": ("rank", [4, 32, 128]),
}


def scaling(measured: list[dict[str, Any]], precision: str, models: Models) -> list[dict[str, Any]]:
    """Measure seconds an item of a training step as the step, the prompts, the rank and the model grow.

    Args:
        measured: Rows of the table of the bench. The points over models are taken from their throughputs.
        precision: "float32" or "bfloat16", for the case that is made to grow.
        models: The models in memory.

    Returns:
        Rows of the table of growing steps: axis, value, model, tokens an item, unit, reference and engine.
    """
    rows = over_models(measured, CASES, models)
    case = CASES[GROWN]
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


def over_models(
    measured: list[dict[str, Any]], cases: Mapping[str, Case], models: Models
) -> list[dict[str, Any]]:
    """Turn measured training throughputs into seconds an item, against the number of weights of the model."""
    rows = []
    for row in measured:
        if row["measure"] == "train_throughput":
            _, m0, _ = prepared(cases[row["model"]], models, train_items=16)
            rows.append(
                {
                    "axis": "weights of the model",
                    "value": float(sum(weight.numel() for weight in m0.model.parameters())),
                    "model": row["model"],
                    "tokens": None,
                    "unit": row["unit"].replace("items/s", "s/item"),
                }
                | {path: 1 / row[path] for path in PATHS}
            )
    return rows


def point(
    case: Case, axis: str, value: float, spec: Spec, m0: Loaded, items: list[Item], count: int
) -> dict[str, Any]:
    """Measure one point: seconds an item of a step of `count` items, the median of two steps of each path."""
    each = {}
    with paired(case, spec, m0, items) as pair:
        for path in PATHS:
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
