"""B(M_t) and E(M_t) together: x, x without its cue and the explanation request share most of their tokens.

They are computed as one prefix tree an item; the explanations are then decoded behind the keys and values of that
pass, each as a branch of its own that sees nothing but its own request.
"""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import DynamicCache

from coupling.behaviours import Behaviours, batches, behaviour_seams, behaviours
from coupling.explanations import as_texts, generate, most_tokens, request
from coupling.models import Loaded, TailReader, encode, fed, pack, packed_logits, prefix_tree, sees
from coupling.tasks import Item


@torch.no_grad()
def evaluate(loaded: Loaded, items: Sequence[Item], label_format: str, batch: int) -> tuple[Behaviours, list[str]]:
    """Behaviours and explanations of the model on items, `batch` items to a pass.

    The same as `behaviours` and `generate`, to rounding; a model that cannot take trees goes their way.
    """
    if not loaded.packs:
        return behaviours(loaded, items, batch), generate(loaded, items, label_format, batch)
    limit = most_tokens(loaded, items, label_format)
    both = np.full((2, len(items), max(len(i.choices) for i in items)), -np.inf, dtype=np.float32)
    texts: list[str] = []
    for part in batches(len(items), batch):
        groups = [behaviour_seams(loaded, i) for i in items[part]]
        trees = [
            prefix_tree([*(ids for s in g for ids in fed(s)), encode(loaded.tokenizer, request(loaded, i))])
            for g, i in zip(groups, items[part], strict=True)
        ]
        rows = pack(trees, loaded.model.config.hidden_size, loaded.device)
        reader = TailReader(rows, len(groups), 2, both.shape[2])
        for k, group in enumerate(groups):
            reader.add(k, group, trees[k])
        tails, starts = reader.picked(loaded.device), [t.paths[-1][-1] for t in trees]
        ends = torch.tensor([rows.flat(k, place) for k, place in enumerate(starts)], device=loaded.device)
        seen, cache = sees(rows), DynamicCache()  # without the model's config, so that no layer drops what lies outside its window
        logits = packed_logits(loaded, rows.ids, rows.positions, seen, rows.positions, torch.cat([tails, ends]), cache)
        both[:, part] = reader.read(logits[: len(tails)]).transpose(0, 1).cpu().numpy()
        texts += as_texts(loaded, _decode(loaded, rows, seen, ends, logits[len(tails) :].argmax(1), cache, limit))
    return Behaviours(tuple(i.id for i in items), both[0], both[1]), texts


def _decode(loaded, rows, seen, ends, first, cache, limit) -> list[list[int]]:
    """Go on greedily from each of the tokens `ends`, whose next ones are `first`, up to the end mark or `limit` tokens.

    Each pass adds one token of every branch to its row; a branch sees what its last token saw, and its own tokens.
    """
    tokenizer, (height, length) = loaded.tokenizer, rows.ids.shape
    row = ends // length
    slot = torch.zeros_like(row)  # which of its row's branches each is
    for r in row.unique():
        slot[row == r] = torch.arange(int((row == r).sum()), device=row.device)
    width = int(slot.max()) + 1
    place = row * width + slot
    behind = torch.zeros(height * width, length, dtype=torch.bool, device=row.device)
    behind[place] = seen.flatten(0, 1)[ends]
    behind, own = behind.view(height, width, length), torch.eye(width, dtype=torch.bool, device=row.device).expand(height, -1, -1)
    positions = torch.zeros(height * width, dtype=torch.int64, device=row.device)
    positions[place] = rows.positions.flatten()[ends]
    positions, keys = positions.view(height, width), rows.positions
    ids = torch.full((height * width,), tokenizer.pad_token_id, device=row.device)
    said, done = [first], first == tokenizer.eos_token_id
    while len(said) < limit and not done.all():
        ids[place] = said[-1]
        positions = positions + 1
        behind, keys = torch.cat([behind, own], 2), torch.cat([keys, positions], 1)
        said.append(packed_logits(loaded, ids.view(height, width), positions, behind, keys, place, cache).argmax(1))
        done |= said[-1] == tokenizer.eos_token_id
    out = torch.stack(said, 1).tolist()
    return [t[: t.index(tokenizer.eos_token_id)] if tokenizer.eos_token_id in t else t for t in out]
