"""The second reference: the way of the method's public ancestor (arXiv 2511.08579), from its description.

In training each explanation request with its label is a whole sequence. A batch is padded to its longest
sequence, and logits are computed at every position. There is no KL term. In evaluation `generate` is called
for each of three prompts: x, x without its cue, and the explanation request. The behaviours are generated
twice, once for the label and once for the measure.

What differs from the ancestor: LoRA by peft in place of full training, and the mean over items of the mean
over the tokens of a label in place of the mean over all tokens, so that the loss is the engine's.
"""

from collections.abc import Sequence

import numpy as np
import torch

from coupling.measure.behaviours import behaviour_seams
from coupling.measure.explanations import generate
from coupling.models import Loaded, Seam, generated, pad
from coupling.tasks import Item

IGNORED = -100  # what cross_entropy passes over


def loss(loaded: Loaded, seams: Sequence[Seam]) -> torch.Tensor:
    """Compute CE (training/loss.py) from whole padded sequences, with logits at every position.

    Args:
        loaded: The model that is trained.
        seams: For each item its explanation request and, as the first tail, its label.

    Returns:
        The mean over items of the mean over the tokens of the label; float32 scalar.
    """
    rows = [s.prefix + s.tails[0] for s in seams]
    ids, mask = (t.to(loaded.device) for t in pad(rows, loaded.tokenizer.pad_token_id, "right"))
    targets = ids.masked_fill(mask == 0, IGNORED)
    for row, s in zip(targets, seams, strict=True):
        row[: len(s.prefix)] = IGNORED
    targets = targets[:, 1:]
    with loaded.precision():
        logits = loaded.model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    each = torch.nn.functional.cross_entropy(
        logits[:, :-1].float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none"
    )
    return (each.view(targets.shape).sum(1) / (targets != IGNORED).sum(1)).mean()


@torch.no_grad()
def evaluate(loaded: Loaded, items: Sequence[Item]) -> tuple[np.ndarray, list[str]]:
    """Generate behaviours, twice, and explanations, each kind of prompt as one padded batch.

    Args:
        loaded: The model.
        items: The items, whose behaviour is a choice.

    Returns:
        The choice that is said on x and on x without its cue, by its index, -1 where none is said; int64 [2,
        items]. And the explanations, one normalised text an item.
    """
    _behaviours(loaded, items)  # for the label
    said = _behaviours(loaded, items)  # for the measure
    return said, generate(loaded, items, "letter", len(items))


def _behaviours(loaded: Loaded, items: Sequence[Item]) -> np.ndarray:
    """Generate a choice on x and on x without its cue, as `evaluate` returns them."""
    pairs = [behaviour_seams(loaded, item) for item in items]
    limit = max(len(tail) for pair in pairs for s in pair for tail in s.tails)
    chosen = []
    for condition in zip(*pairs, strict=True):
        rows = generated(loaded, [s.prefix for s in condition], limit)
        chosen.append([_choice(s, row) for s, row in zip(condition, rows, strict=True)])
    return np.array(chosen)


def _choice(behaviour: Seam, said: Sequence[int]) -> int:
    """Return the first choice whose tokens a text begins with, -1 if there is none."""
    return next((k for k, t in enumerate(behaviour.tails) if tuple(said[: len(t)]) == t), -1)
