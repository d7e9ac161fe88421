"""How a step of training is split into forward passes that fit in memory.

A step's entries become prefix trees (models/packing.py), whose size is counted in tokens. `tokens_in_memory`
measures how many tokens one pass may hold, `passes` cuts a step's entries into passes of at most so many.
Since the gradients of the passes add up, the split changes a step's result by rounding alone.
"""

import math
from collections.abc import Sequence

import numpy as np

from coupling.models import Loaded, Seam, find_tails
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

# A pass of more tokens is hardly faster on a CPU. So it takes more memory only where it is cheap.
ENOUGH = 512  # tokens
CHEAP = 0.5e9  # bytes that a pass keeps for its gradients


def size(group: Sequence[Seam]) -> int:
    """Count the tokens of the prefix tree of some seams; 0 without seams."""
    return len(find_tails(group).tree)


def entry_sizes(spec: Spec, data: TrainingSet) -> list[int]:
    """Count the tokens of each entry of the training set."""
    return [len(data.found(e, spec).tree) for e in range(data.entries)]


def passes(sizes: Sequence[int], most: int) -> list[slice]:
    """Cut a step's entries, in order, into as few passes of about the same size as memory allows.

    Args:
        sizes: The tokens of each entry.
        most: How many tokens a pass may hold. An entry that is larger gets a pass of its own.

    Returns:
        Slices of the entries, which cover all of them in order.
    """
    share = sum(sizes) / max(1, math.ceil(sum(sizes) / most))
    parts, start, held = [], 0, 0
    for i, n in enumerate(sizes):
        if i > start and (held + n > most or held >= share):
            parts.append(slice(start, i))
            start, held = i, 0
        held += n
    return [*parts, slice(start, len(sizes))]


def tokens_in_memory(spec: Spec, loaded: Loaded, data: TrainingSet, sizes: Sequence[int]) -> int:
    """Measure how many packed tokens one training pass may hold under the spec's memory ceiling.

    What a pass keeps for its gradients is measured on copies of the shortest entry. If the longest entry
    would not fit, activation checkpointing is switched on: every layer then keeps its input alone and is
    computed again in the backward pass. With `fused` a pass takes no more memory than makes it fast.

    Args:
        spec: Gives the ceiling, `memory_gb`, and the terms of the loss.
        loaded: The model with its adapter.
        data: The training set.
        sizes: The tokens of each entry, as `entry_sizes` gives them.

    Raises:
        MemoryCeiling: If the longest entry does not fit with checkpointing either; no step has been taken
            then.
    """
    # An entry that no term of the loss reads has size 0 and is not the shortest.
    shortest = int(np.argmin([n or np.inf for n in sizes]))
    longest = max(sizes)

    def kept() -> tuple[float, float]:
        """Measure the bytes kept for each token, and those kept however many entries share the pass.

        An example of the latter is the output head's weight, cast to the precision of the products.
        """
        one, three = (
            kept_bytes(lambda k=k: sum(losses(spec, loaded, data, [shortest] * k).values()), loaded.model)
            for k in (1, 3)
        )
        each = (three - one) / 2
        return each / sizes[shortest], one - each

    full, fixed = kept()
    room = spec.memory_gb * 1e9 - PROCESS_BYTES - weight_bytes(loaded.model) - fixed
    if room < full * SLACK * longest:
        layers = loaded.model.config.num_hidden_layers
        checkpoint_layers(loaded.model)
        # The one layer that is being computed again keeps what it kept without checkpointing.
        full = kept()[0] + full / layers
        if room < full * SLACK * longest:
            raise MemoryCeiling(
                f"memory_gb={spec.memory_gb:g} does not hold the model and one training item of {longest} "
                "tokens: raise it"
            )
    fits = int(room / (full * SLACK))
    return min(fits, max(ENOUGH, int(CHEAP / full))) if spec.fused else fits
