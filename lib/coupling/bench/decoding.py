"""Measure what it brings to decode the explanations of several passes together (`decode_batch` of the spec).

Labels by content are longer than labels by letter, so decoding them is much of an evaluation. A step of
decoding reads all weights of the model once, for however many prompts.
"""

from typing import Any

from coupling.bench.cases import Case, prepared
from coupling.bench.timing import alternating
from coupling.measure.evaluation import evaluate
from coupling.models import adapted
from coupling.runs import Models

TOGETHER = 4  # passes whose explanations are decoded together


def decoding(case: Case, models: Models) -> dict[str, Any]:
    """Evaluate the same items with explanations decoded pass by pass, and decoded together.

    Each way is measured up to twice, alternating, after one pass to warm up. The better time of each counts.

    Args:
        case: The case. Its passes have `case.batch` items, and TOGETHER passes are evaluated.
        models: The models in memory.

    Returns:
        model, items, batch, together (items decoded at once), apart_rate and together_rate (items/s), ratio,
            and same (the share of items with the same text).
    """
    count = TOGETHER * case.batch
    spec, m0, items = prepared(case, models, as_run=True, train_items=count)
    found: dict[str, list[str]] = {}
    with adapted(m0, spec) as tuned:

        def look(path: str, _: int) -> None:
            decode_batch = count if path == "together" else 0
            found[path] = evaluate(tuned, items, "content", case.batch, decode_batch=decode_batch)[1]

        evaluate(tuned, items[: case.batch], "content", case.batch)
        taken = alternating(["apart", "together"], look, 2)
    apart, together = (count / min(times) for times in taken.values())
    same = sum(a == b for a, b in zip(found["apart"], found["together"], strict=True)) / count
    sizes = {"items": count, "batch": case.batch, "together": count}
    rates = {"apart_rate": apart, "together_rate": together, "ratio": together / apart}
    return {"model": case.name} | sizes | rates | {"same": same}
