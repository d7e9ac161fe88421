"""Explanation training: LoRA on fixed labels, with the behaviours held near M0's by a KL term.

The loss of a step is, over its items,

    explanation_weight * mean cross-entropy of the label's tokens (the completion alone)
    + kl_weight * mean of KL(B(M0) || B(M_t)) over x and x without the cue
    + teach_weight or shift_weight * mean cross-entropy of a taught behaviour, if there is one,

B being the distribution over an item's choices, or, where behaviour is a reply, over the whole vocabulary at the first
tokens of M0's own reply. Labels and B(M0) are fixed before the first step. Whatever is drawn
is a function of the seed and the step, so a run that is resumed ends in the numbers of one that was never stopped.
"""

import math
from collections.abc import Sequence

import numpy as np

from coupling.models import (
    Loaded,
    Seam,
    fed,
    prefix_tree,
)
from coupling.models.memory import (
    PROCESS_BYTES,
    SLACK,
    MemoryCeiling,
    checkpoint_layers,
    kept_bytes,
    weight_bytes,
)
from coupling.spec import Spec
from coupling.training.data import TrainingSet
from coupling.training.loss import losses


def size(group: Sequence[Seam]) -> int:
    """Tokens of a prefix tree of seams."""
    return len(prefix_tree([ids for s in group for ids in fed(s)])) if group else 0


def passes(sizes: Sequence[int], most: int) -> list[slice]:
    """Slices of a step's items, in order, as few as hold at most `most` tokens each (one item at the least), and even."""
    share = sum(sizes) / max(1, math.ceil(sum(sizes) / most))
    parts, start, held = [], 0, 0
    for i, n in enumerate(sizes):
        if i > start and (held + n > most or held >= share):
            parts.append(slice(start, i))
            start, held = i, 0
        held += n
    return [*parts, slice(start, len(sizes))]


def tokens_in_memory(spec: Spec, loaded: Loaded, data: TrainingSet, sizes: Sequence[int]) -> int:
    """How many packed tokens one training pass may hold under the spec's memory ceiling. sizes: the entries', by `size`.

    What a pass keeps for its gradients is measured, on copies of the shortest entry. If the longest would not fit, every
    layer keeps its input alone and is computed again in the backward pass (activation checkpointing). Raises
    MemoryCeiling, before any training, where that is not enough either.
    """
    shortest, tokens = (
        int(np.argmin([n or np.inf for n in sizes])),
        max(sizes),
    )  # an entry that no loss reads has none

    def kept() -> tuple[float, float]:
        """Bytes a token, and those that do not grow with the items, such as the output head's weights in the products' precision."""
        one, three = (
            kept_bytes(lambda k=k: sum(losses(spec, loaded, data, [shortest] * k).values()), loaded.model)
            for k in (1, 3)
        )
        each = (three - one) / 2
        return each / sizes[shortest], one - each

    full, fixed = kept()
    room = spec.memory_gb * 1e9 - PROCESS_BYTES - weight_bytes(loaded.model) - fixed
    if room < full * SLACK * tokens:
        layers = loaded.model.config.num_hidden_layers
        checkpoint_layers(loaded.model)
        full = kept()[0] + full / layers
        if room < full * SLACK * tokens:
            raise MemoryCeiling(
                f"memory_gb={spec.memory_gb:g} does not hold the model and one training item of {tokens} tokens: raise it"
            )
    return int(room / (full * SLACK))
