"""Behaviours and explanations of a model at once, B(M_t) and E(M_t), as every evaluation needs them.

The three prompts of an item (x, x without its cue, and the explanation request) share most of their tokens.
So each item becomes one prefix tree (models/trees.py), and one forward pass over the trees of a batch
computes all three. Where the likeliest label is wanted and the model shares passes (`Loaded.shares`), the
item's possible labels are branches of the tree too; else they have a pass of their own.

What must be generated, explanations and replies, is then decoded from the keys and values of the pass. Each
text is decoded after its own prompt alone and sees nothing of the other branches of its tree.

Explanations could be read off such branches as well, since an explanation is mostly one of the labels. But
that takes 12 more tokens an item, for labels by letter, and decoding takes 3: on small models it was slower.

`evaluate` gives what `behaviours`, `generate` and `forced_choice` give by plain batches, to rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedTokenizerBase

from coupling.measure.behaviours import (
    REPLY_TOKENS,
    Behaviours,
    alike,
    behaviour_seams,
    behaviour_texts,
    behaviours,
    check_finite,
    empty,
    judged,
    measured,
)
from coupling.measure.explanations import as_texts, forced_choice, generate, most_tokens, request
from coupling.measure.wording import possible_labels
from coupling.models import (
    Loaded,
    Read,
    Seam,
    TailReader,
    completion,
    continuation_logprobs,
    decoded,
    encode,
    ended,
    find_tails,
    pack,
    packed_logits,
)
from coupling.tasks import Item

_found = lru_cache(maxsize=2**12)(find_tails)  # every evaluation of a run asks for the same ones


@torch.no_grad()
def evaluate(
    loaded: Loaded,
    items: Sequence[Item],
    label_format: str,
    batch: int,
    forced: bool = False,
    decode_batch: int = 0,
) -> tuple[Behaviours, list[str], list[str]]:
    """Compute a model's behaviours and explanations on some items.

    Args:
        loaded: The model. If it cannot take prefix trees, plain batches are computed.
        items: The items.
        label_format: What labels call choices, "letter" or "content".
        batch: How many items share a pass.
        forced: Whether the likeliest label of each item is wanted too.
        decode_batch: How many explanations are decoded together, where it is more than `batch`. The texts are
            the same to rounding.

    Returns:
        The behaviours; the explanations, one normalised text an item; and the likeliest label of each item
        (see `forced_choice`), nothing unless `forced`.

    Raises:
        NotFinite: If what the model computes are no numbers.
    """
    check_finite(loaded)
    if not loaded.packs:
        chosen = forced_choice(loaded, items, label_format, batch) if forced else []
        return behaviours(loaded, items, batch), generate(loaded, items, label_format, batch), chosen
    limit, both = most_tokens(loaded, items, label_format), empty(items)
    said: list[list[int]] = [[]] * len(items)
    chosen = [""] * (len(items) if forced else 0)
    waiting: list[tuple[list[int], Read]] = []  # items by index whose explanation is still to be decoded
    for which in alike(items, batch):
        part = [items[k] for k in which]
        labels = [possible_labels(i, label_format) if forced else [] for i in part]
        # Without `fused` the labels stay out of this pass, so that behaviours round as they always have.
        done = _packed_pass(loaded, part, labels if loaded.shares else [[]] * len(part))
        scores = _behaviour_scores(loaded, done, both.shape[2])
        both[:, which, : scores.shape[2]] = scores.swapaxes(0, 1)
        if waiting and sum(len(some) for some, _ in waiting) + len(which) > decode_batch:
            _decode(loaded, waiting, limit, said)
            waiting = []
        waiting.append((which, Read(done.requests, done.after_requests.argmax(1), done.cache)))
        if forced:
            scores = done.scores[:, -1] if loaded.shares else _label_scores(loaded, part, labels)
            for k, some, likeliest in zip(which, labels, scores.argmax(1).tolist(), strict=True):
                chosen[k] = some[likeliest]
    _decode(loaded, waiting, limit, said)
    now = measured(items, both)
    texts = as_texts(loaded, items, label_format, said)
    return now, texts, chosen


def _decode(loaded: Loaded, waiting: list[tuple[list[int], Read]], limit: int, said: list[list[int]]) -> None:
    """Decode the explanations of items that wait, and put the token ids of each in its place in `said`."""
    found = decoded(loaded, [read for _, read in waiting], limit)
    places = [k for which, _ in waiting for k in which]
    for k, row in zip(places, found, strict=True):
        said[k] = row


@dataclass(frozen=True)
class _Pass:
    """What one forward pass over a batch of items left behind.

    A path is the places in the pass of a prompt's tokens, from first to last.

    Attributes:
        requests: The path of each item's explanation request.
        after_requests: The logits that follow each request, [items, vocabulary].
        prompts: The paths of x and of x without its cue, in turn, for items whose behaviour is a reply; else
            none.
        after_prompts: The logits that follow each of them, [2 items, vocabulary].
        scores: For each item the log-probabilities of its choices on x and on cf, unless its behaviour is a
            reply, and then of its labels, if they are wanted; float32 [items, 0 to 3, most choices or
            labels], -inf where there are fewer.
        cache: The keys and values of all tokens of the pass.
    """

    requests: list[list[int]]
    after_requests: torch.Tensor
    prompts: list[list[int]]
    after_prompts: torch.Tensor
    scores: torch.Tensor
    cache: DynamicCache


def _packed_pass(loaded: Loaded, part: Sequence[Item], labels: Sequence[Sequence[str]]) -> _Pass:
    """Run the forward pass over some items, all of which choose or all of which reply.

    Args:
        loaded: The model.
        part: The items.
        labels: The labels of each item that are scored after its request; none for no item or for all.
    """
    replies = part[0].replies
    groups = [_scored(loaded, i, some) for i, some in zip(part, labels, strict=True)]
    # The prompts of each item that something is decoded after: the request, and before it x and cf if these
    # ask for replies.
    ends = [[*(behaviour_texts(loaded, i) if replies else ()), request(loaded, i)] for i in part]
    found = [
        _found(group, tuple(encode(loaded.tokenizer, t) for t in texts))
        for group, texts in zip(groups, ends, strict=True)
    ]
    trees = [tails.tree for tails in found]
    row = pack(trees, loaded.device, loaded.shares)
    paths = [
        row.place(g, path).tolist()
        for g, (tree, texts) in enumerate(zip(trees, ends, strict=True))
        for path in tree.paths[-len(texts) :]
    ]
    last = torch.tensor([path[-1] for path in paths], device=loaded.device)
    reader = TailReader(row, found) if any(groups) else None
    picked = last if reader is None else torch.cat([reader.picked, last])
    # Made without the model's config, so that no layer drops keys that lie outside its window.
    cache = DynamicCache()
    logits = packed_logits(loaded, row, picked, cache)
    tails, after = logits[: -len(paths)], logits[-len(paths) :]
    each = len(ends[0])
    requests = list(range(len(paths)))[each - 1 :: each]
    prompts = [k for k in range(len(paths)) if k % each != each - 1]
    return _Pass(
        requests=[paths[k] for k in requests],
        after_requests=after[requests],
        prompts=[paths[k] for k in prompts],
        after_prompts=after[prompts],
        scores=torch.empty(len(part), 0, 0) if reader is None else reader.read(tails),
        cache=cache,
    )


def _scored(loaded: Loaded, item: Item, labels: Sequence[str]) -> tuple[Seam, ...]:
    """Return the seams of an item that a pass scores: of its choices unless it replies, and of its labels."""
    choices = () if item.replies else behaviour_seams(loaded, item)
    if not labels:
        return choices
    return (*choices, _label_seam(loaded.tokenizer, request(loaded, item), tuple(labels)))


def _label_scores(loaded: Loaded, part: Sequence[Item], labels: Sequence[Sequence[str]]) -> torch.Tensor:
    """Score the labels of some items in a pass of its own; float32 [items, most labels]."""
    asked = [(request(loaded, i), tuple(some)) for i, some in zip(part, labels, strict=True)]
    return continuation_logprobs(loaded, [(_label_seam(loaded.tokenizer, *each),) for each in asked])[:, 0]


@lru_cache(maxsize=2**12)
def _label_seam(tokenizer: PreTrainedTokenizerBase, text: str, labels: tuple[str, ...]) -> Seam:
    """Return the seam where labels follow a request, each with the end mark if one of them begins another.

    Labels that are the same in tokens are no error here, other than in `seam`: the first one counts.
    """
    prefix = encode(tokenizer, text)
    tails = [completion(tokenizer, text, f" {label}")[1][:-1] for label in labels]
    return Seam(prefix, tuple(ended(tails, tokenizer.eos_token_id)))


def _behaviour_scores(loaded: Loaded, done: _Pass, choices: int) -> np.ndarray:
    """Return log-probabilities of the choices on x and cf for the items of a pass.

    Args:
        loaded: The model.
        done: The pass. Where its items reply, the replies are decoded and judged here.
        choices: The most choices of an item.

    Returns:
        What `Behaviours` keeps; float32 [items, 2, at most `choices`].
    """
    if not done.prompts:
        return done.scores[:, :2, :choices].cpu().numpy()
    said = decoded(loaded, [Read(done.prompts, done.after_prompts.argmax(1), done.cache)], REPLY_TOKENS)
    return judged(loaded, said, choices).reshape(len(done.requests), 2, -1)
