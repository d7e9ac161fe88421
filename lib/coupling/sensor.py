"""A behaviour sensor for any model: what it does with its cues, read off its explanations alone."""

from collections.abc import Sequence

import pandas as pd

from coupling.explanations import generate, parse
from coupling.faithfulness.sensing import estimate
from coupling.models import Loaded
from coupling.tasks import Item


def sense(loaded: Loaded, items: Sequence[Item], label_format: str = "letter", batch: int = 64) -> dict[str, float]:
    """Estimate how often the model follows the cue of these items (of requests: declines) from what it says it would answer without it.

    The model is asked for explanations and for nothing else: no behaviour is measured, and no label or gold answer is read. It should have been trained to
    explain itself; how far the estimate can be trusted is what the calibration figure of the shift sweep shows.

    Returns estimated, with a 95 % bootstrap interval over groups (low, high), fractions from 0 to 1; valid, the share of replies that are
    explanations at all, on which the estimate rests; items.

    An untrained model says nothing that is an explanation:

    >>> from coupling.models import Loaded, adapted
    >>> from coupling.models.organism import make_model, make_tokenizer
    >>> from coupling.explanations import WORDINGS
    >>> from coupling.spec import make_spec
    >>> from coupling.tasks import load_items, load_world, vocabulary
    >>> import torch
    >>> spec = make_spec("tiny", test_items=16, train_items=16)
    >>> tokenizer = make_tokenizer([*WORDINGS, *vocabulary(load_world(spec))])
    >>> model = Loaded(make_model("organism", len(tokenizer), 0).eval(), tokenizer, torch.float32)
    >>> with adapted(model, spec) as explainer:  # any causal language model with a LoRA adapter, and the items of any task
    ...     reading = sense(explainer, load_items(spec, {})[1])
    >>> reading["items"], reading["valid"]
    (16, 0.0)
    """
    stated = [parse(i, t, label_format) for i, t in zip(items, generate(loaded, items, label_format, batch), strict=True)]
    return estimate(pd.DataFrame({
        "task": [i.task for i in items], "group": [i.group for i in items], "valid": [c is not None for c in stated],
        "changes": [int(c.changes) if c else -1 for c in stated], "answer": [c.answer if c else -1 for c in stated],
        "hinted": [-1 if i.hinted is None else i.hinted for i in items],
    }))  # fmt: skip
