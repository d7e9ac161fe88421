"""Measure what it brings to decode the explanations of several passes together (`decode_batch` of the spec).

Labels by content are longer than labels by letter, so decoding them is much of an evaluation. A step of
decoding reads all weights of the model once, for however many prompts.
"""

from typing import Any

from coupling.bench.cases import Case, prepared
from coupling.bench.timing import seconds
from coupling.measure.evaluation import evaluate
from coupling.models import adapted
from coupling.runs import Models

TOGETHER = 4  # passes whose explanations are decoded together


def decoding(case: Case, models: Models) -> dict[str, Any]:
    """Evaluate the same items with explanations decoded pass by pass, and decoded together.

    Each way is measured twice, alternating, after one pass to warm up. The better time of each counts.

    Args:
        case: The case. Its passes have `case.batch` items, and TOGETHER passes are evaluated.
        models: The models in memory.

    Returns:
        model, items, batch, together (items decoded at once), apart_rate and together_rate (items/s), ratio,
            and same (the share of items with the same text).
    """
    count = TOGETHER * case.batch
    spec, m0, items = prepared(case, models, as_run=True, train_items=count)
    found: dict[int, list[str]] = {}
    taken: dict[int, list[float]] = {0: [], count: []}
    with adapted(m0, spec) as tuned:

        def look(together: int) -> None:
            found[together] = evaluate(tuned, items, "content", case.batch, decode_batch=together)[1]

        evaluate(tuned, items[: case.batch], "content", case.batch)
        for _ in range(2):
            for together in taken:
                taken[together].append(seconds(lambda together=together: look(together)))
    apart, together = (count / min(taken[k]) for k in (0, count))
    same = sum(a == b for a, b in zip(found[0], found[count], strict=True)) / count
    sizes = {"items": count, "batch": case.batch, "together": count}
    rates = {"apart_rate": apart, "together_rate": together, "ratio": together / apart}
    return {"model": case.name} | sizes | rates | {"same": same}
