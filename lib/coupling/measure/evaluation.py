"""B(M_t) and E(M_t) together: x, x without its cue and the explanation request share most of their tokens.

They are computed as one prefix tree an item; explanations and replies are then decoded behind the keys and values of that
pass, each as a branch of its own that sees nothing but its own request.
"""

from collections.abc import Sequence

import torch
from transformers import DynamicCache

from coupling.measure.behaviours import (
    REPLY_TOKENS,
    Behaviours,
    alike,
    behaviour_seams,
    behaviour_texts,
    behaviours,
    empty,
    judged,
)
from coupling.measure.explanations import (
    as_texts,
    forced_choice,
    generate,
    most_tokens,
    possible_labels,
    request,
)
from coupling.models import (
    Loaded,
    TailReader,
    completion,
    decoded,
    encode,
    fed,
    pack,
    packed_logits,
    prefix_tree,
    tail_scores,
)
from coupling.tasks import Item


@torch.no_grad()
def evaluate(
    loaded: Loaded, items: Sequence[Item], label_format: str, batch: int, forced: bool = False
) -> tuple[Behaviours, list[str], list[str]]:
    """Behaviours, explanations and, if they are to be `forced`, the likeliest label of each item, `batch` items to a pass.

    The same as `behaviours`, `generate` and `forced_choice`, to rounding; a model that cannot take trees goes their way.
    """
    if not loaded.packs:
        chosen = forced_choice(loaded, items, label_format, batch) if forced else []
        return behaviours(loaded, items, batch), generate(loaded, items, label_format, batch), chosen
    limit, both = most_tokens(loaded, items, label_format), empty(items)
    texts, chosen = [""] * len(items), [""] * (len(items) if forced else 0)
    for which in alike(items, batch):
        part = [items[k] for k in which]
        replies = part[0].replies
        groups = [()] * len(part) if replies else [behaviour_seams(loaded, i) for i in part]
        ends = [
            [*(behaviour_texts(loaded, i) if replies else ()), request(loaded, i)] for i in part
        ]  # what is decoded from
        trees = [
            prefix_tree(
                [*(ids for s in g for ids in fed(s)), *(encode(loaded.tokenizer, text) for text in texts_)]
            )
            for g, texts_ in zip(groups, ends, strict=True)
        ]
        row = pack(trees, loaded.device)
        paths = [
            [start + place for place in p]
            for start, t, e in zip(row.starts, trees, ends, strict=True)
            for p in t.paths[-len(e) :]
        ]
        last = torch.tensor([p[-1] for p in paths], device=loaded.device)
        reader = None if replies else TailReader(row, trees, groups)
        picked = last if reader is None else torch.cat([reader.picked, last])
        cache = (
            DynamicCache()
        )  # without the model's config, so that no layer drops what lies outside its window
        logits = packed_logits(loaded, row, picked, cache)
        after = logits[-len(paths) :]
        first = after.argmax(1)
        asked = list(range(len(paths)))[len(ends[0]) - 1 :: len(ends[0])]
        if reader is None:
            own = [k for k in range(len(paths)) if k not in asked]
            said = decoded(loaded, [paths[k] for k in own], first[own], cache, REPLY_TOKENS)
            scores = judged(loaded, said, both.shape[2]).reshape(len(part), 2, -1)
        else:
            scores = reader.read(logits[: len(reader.picked)]).cpu().numpy()
        both[:, which, : scores.shape[2]] = scores.swapaxes(0, 1)
        requests = [paths[k] for k in asked]
        for k, text in zip(
            which, as_texts(loaded, decoded(loaded, requests, first[asked], cache, limit)), strict=True
        ):
            texts[k] = text
        if forced:
            options = [possible_labels(i, label_format) for i in part]
            tails = [
                [completion(loaded.tokenizer, request(loaded, i), f" {t}")[1][:-1] for t in some]
                for i, some in zip(part, options, strict=True)
            ]
            best = tail_scores(loaded, requests, after[asked], cache, tails).argmax(1).tolist()
            for k, some, b in zip(which, options, best, strict=True):
                chosen[k] = some[b]
    return Behaviours(tuple(i.id for i in items), both[0], both[1]), texts, chosen
