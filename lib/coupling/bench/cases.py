"""What is timed: a model, its items, and how many of them a step takes."""

from dataclasses import dataclass, field
from typing import Any

import torch

from coupling import runs
from coupling.measure.wording import WORDINGS
from coupling.models import Loaded, device
from coupling.models.organism import make_model, make_tokenizer
from coupling.spec import ORGANISMS, Spec, make_spec
from coupling.tasks import Item, vocabulary


@dataclass(frozen=True)
class Case:
    """One model that is timed.

    Attributes:
        name: What the model is called in tables and figures.
        short: What it is called in a list of parts.
        profile: Name of the profile.
        items: Number of training items.
        step: Training items in a step.
        plain: Training items in one pass of a reference.
        batch: Test items in a batch of an evaluation.
        values: Values of the spec in place of the profile's.
    """

    name: str
    short: str
    profile: str
    items: int
    step: int
    plain: int
    batch: int
    values: dict[str, Any] = field(default_factory=dict)


# Sizes are such that each part takes less than five minutes. The reference's three plain passes of more than
# two items of the 1.5B model do not fit into 16 GB.
CASES = {
    case.name: case
    for case in (
        Case("tiny", "small", "tiny", items=512, step=32, plain=32, batch=256, values={"threads": 2}),
        Case(
            "SmolLM2-135M",
            "SmolLM2",
            "medium",
            items=256,
            step=16,
            plain=16,
            batch=32,
            values={"model": "SmolLM2-135M-Instruct", "max_words": 40, "rank": 32, "memory_gb": 16},
        ),
        Case("Qwen2.5-Coder-1.5B", "Qwen", "medium", items=16, step=4, plain=2, batch=8),
    )
}
GROWN = "SmolLM2-135M"  # the case whose steps are made to grow
WORKED = "tiny"  # the case that two workers train


def prepared(
    case: Case, models: runs.Models, as_run: bool = False, **values: Any
) -> tuple[Spec, Loaded, list[Item]]:
    """Make the spec, M0 and training items of a case.

    An organism is not trained, because its speed does not depend on what it knows. Any other model is loaded
    in float32, as the reference needs it, and the precision of its computations is chosen later; or it is
    loaded as runs load it, which takes less memory.

    Args:
        case: The case.
        models: The models in memory. A model that is there already is not loaded again.
        as_run: Whether the model is loaded as runs load it.
        values: Values of the spec in place of the case's own.
    """
    spec = make_spec(case.profile, **({"train_items": case.items, "fused": True} | case.values | values))
    items, _ = runs.items_of(spec)
    torch.set_num_threads(spec.threads)
    if spec.model in ORGANISMS:
        tokenizer = make_tokenizer([*WORDINGS, *vocabulary(spec)])
        model = make_model(spec.model, len(tokenizer), 0).eval().requires_grad_(False).to(device())
        return spec, Loaded(model, tokenizer, torch.float32), items
    if as_run:
        return spec, models.load(spec), items
    m0 = models.load(spec.model_copy(update={"dtype": "float32"}))
    m0.dtype = getattr(torch, spec.dtype)
    return spec, m0, items
