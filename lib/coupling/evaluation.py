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
from coupling.models import Loaded, TailReader, encode, fed, pack, packed_logits, pad, prefix_tree
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
        row = pack(trees, loaded.device)
        reader = TailReader(row, trees, groups)
        paths = [[start + place for place in t.paths[-1]] for start, t in zip(row.starts, trees, strict=True)]
        cache = DynamicCache()  # without the model's config, so that no layer drops what lies outside its window
        logits = packed_logits(loaded, row, torch.cat([reader.picked, torch.tensor([p[-1] for p in paths], device=loaded.device)]), cache)
        scores = reader.read(logits[: len(reader.picked)])
        both[:, part, : scores.shape[2]] = scores.transpose(0, 1).cpu().numpy()
        texts += as_texts(loaded, _decode(loaded, paths, logits[len(reader.picked) :].argmax(1), cache, limit))
    return Behaviours(tuple(i.id for i in items), both[0], both[1]), texts


def _decode(loaded: Loaded, paths: list[list[int]], first: torch.Tensor, cache: DynamicCache, limit: int) -> list[list[int]]:
    """Go on greedily behind each of `paths` (places in the cache), whose next tokens are `first`, up to the end mark.

    The keys and values of each path are taken from the cache once, padded on the left; from there on it is a plain
    batch with a cache. Returns at most `limit` tokens each, without the end mark.
    """
    end = loaded.tokenizer.eos_token_id
    places, mask = (t.to(loaded.device) for t in pad(paths, 0, "left"))
    own = DynamicCache()
    for n, layer in enumerate(cache.layers):
        own.update(*(states[0][:, places].transpose(0, 1) for states in (layer.keys, layer.values)), n)
    said, done = [first], first == end
    while len(said) < limit and not done.all():
        mask = torch.nn.functional.pad(mask, (0, 1), value=1)
        with loaded.precision():
            logits = loaded.model(
                input_ids=said[-1][:, None], attention_mask=mask, position_ids=mask.sum(1, keepdim=True) - 1, past_key_values=own
            ).logits
        said.append(logits[:, -1].argmax(1))
        done |= said[-1] == end
    rows = torch.stack(said, 1).tolist()
    return [t[: t.index(end)] if end in t else t for t in rows]
