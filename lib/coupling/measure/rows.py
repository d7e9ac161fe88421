"""One row an item and evaluation: what the model said, what it does, and whether the two agree."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from coupling.measure.behaviours import CONDITIONS, Behaviours
from coupling.measure.explanations import labels, normalise, parse, statements
from coupling.tasks import Item


def score(
    items: Sequence[Item],
    texts: Sequence[str],
    label_format: str,
    current: Behaviours,
    source: Behaviours,
    base: Behaviours,
    step: int,
) -> pd.DataFrame:
    """Rows of one evaluation. current, source and base are the behaviours of M_t, S and M0 on the same items.

    task, kind: the item's. text, valid: the explanation and whether it is one of the item's labels. changes, answer: what it states (-1 if not
    valid). x, cf: M_t's choices; target_x, target_cf: S's; base_x, base_cf: M0's. gold, hinted: indices, -1 if none.
    self, target, base: exact match with L(M_t), L(S), L(M0) as normalised strings; *_content: match of the stated
    answer alone. kl_x, kl_cf: KL(B(M0) || B(M_t)) in nats, NaN where replies were judged; mass_x, mass_cf: probability on
    the choices; logp_*: M_t's log-probabilities of the choices. A reply that is none of the choices is -1; then there is no
    label, and nothing matches it.
    """
    for b in (current, source, base):
        if b.ids != tuple(i.id for i in items):
            raise ValueError("behaviours and items are not of the same items in the same order")
    stated = [parse(i, t, label_format) for i, t in zip(items, texts, strict=True)]
    answer = np.array([-1 if c is None else c.answer for c in stated], np.int8)
    rows = {
        "step": np.full(len(items), step, np.int32),
        "id": [i.id for i in items],
        "task": [i.task for i in items],
        "group": [i.group for i in items],
        "kind": [i.kind for i in items],
        "text": list(texts),
        "valid": answer >= 0,
        "changes": np.array([-1 if c is None else c.changes for c in stated], np.int8),
        "answer": answer,
        "gold": np.array([-1 if i.gold is None else i.gold for i in items], np.int8),
        "hinted": np.array([-1 if i.hinted is None else i.hinted for i in items], np.int8),
    }
    said = [normalise(t) for t in texts]
    for name, prefix, b in (("self", "", current), ("target", "target_", source), ("base", "base_", base)):
        for condition in CONDITIONS:
            rows[prefix + condition] = b.choice(condition).astype(np.int8)
        rows[name] = np.array(
            [
                t is not None and s == normalise(t)
                for s, t in zip(said, labels(items, b, label_format), strict=True)
            ]
        )
        rows[f"{name}_content"] = answer == np.array([-2 if c is None else c.answer for c in statements(b)])
    for condition in CONDITIONS:
        rows[f"kl_{condition}"] = _kl(base.distribution(condition), current.distribution(condition))
        rows[f"mass_{condition}"] = current.mass(condition).astype(np.float32)
        rows |= {f"logp_{condition}_{k}": column for k, column in enumerate(getattr(current, condition).T)}
    return pd.DataFrame(rows)


def _kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """KL(p || q) of log-probabilities, row by row; float32. Choices that an item lacks (-inf) add nothing; NaN stays."""
    real = ~np.isneginf(p)
    difference = np.where(real, p, 0.0) - np.where(real, q, 0.0)
    return np.where(real, np.exp(p) * difference, 0.0).sum(axis=1).astype(np.float32)
