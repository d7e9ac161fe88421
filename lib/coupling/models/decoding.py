"""Greedy decoding: behind the keys and values of a packed pass, and the plain way that it must equal."""

from collections.abc import Sequence

import torch
from transformers import DynamicCache

from coupling.models.loaded import Loaded
from coupling.models.template import pad


@torch.no_grad()
def generated(loaded: Loaded, prompts: Sequence[Sequence[int]], limit: int) -> list[list[int]]:
    """At most `limit` tokens behind each prompt, greedily, without the end mark; by transformers, in one padded batch."""
    tokenizer = loaded.tokenizer
    ids, mask = (t.to(loaded.device) for t in pad(prompts, tokenizer.pad_token_id, "left"))
    with loaded.precision():
        out = loaded.model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=limit,
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            repetition_penalty=1.0,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    return until(out[:, ids.shape[1] :], tokenizer.eos_token_id)


@torch.no_grad()
def decoded(
    loaded: Loaded, paths: list[list[int]], first: torch.Tensor, cache: DynamicCache, limit: int
) -> list[list[int]]:
    """Go on greedily behind each of `paths` (places in the cache), whose next tokens are `first`, up to the end mark.

    The keys and values of each path are taken from the cache once, padded on the left; from there on it is a plain
    batch with a cache. Returns at most `limit` tokens each, without the end mark.
    """
    end = loaded.tokenizer.eos_token_id
    own, mask = _taken(loaded, paths, cache)
    said, done = [first], first == end
    while len(said) < limit and not done.all():
        mask = torch.nn.functional.pad(mask, (0, 1), value=1)
        with loaded.precision():
            logits = loaded.model(
                input_ids=said[-1][:, None],
                attention_mask=mask,
                position_ids=mask.sum(1, keepdim=True) - 1,
                past_key_values=own,
            ).logits
        said.append(logits[:, -1].argmax(1))
        done |= said[-1] == end
    return until(torch.stack(said, 1), end)


@torch.no_grad()
def tail_scores(
    loaded: Loaded,
    paths: list[list[int]],
    first: torch.Tensor,
    cache: DynamicCache,
    tails: Sequence[Sequence[Sequence[int]]],
) -> torch.Tensor:
    """Log-probabilities of the tails that may follow each of `paths` (places in the cache), whose next tokens have the logits
    `first`; float32 [paths, most tails], -inf where a path has fewer. `plain_logprobs` behind the keys and values of a packed pass."""
    own, mask = _taken(loaded, paths, cache)
    width, now = max(map(len, tails)), first.float().log_softmax(-1)
    scores = torch.full((len(paths), width), -torch.inf, device=loaded.device)
    for k in range(width):
        ids, real = (
            t.to(loaded.device) for t in pad([some[min(k, len(some) - 1)] for some in tails], 0, "right")
        )
        score = now.gather(1, ids[:, :1])[:, 0]
        if ids.shape[1] > 1:
            after = mask.sum(1, keepdim=True) + torch.arange(ids.shape[1], device=loaded.device)
            with loaded.precision():
                logits = loaded.model(
                    input_ids=ids,
                    attention_mask=torch.cat([mask, real], 1),
                    position_ids=after,
                    past_key_values=own,
                ).logits
            own.crop(-ids.shape[1])
            score = score + (
                logits[:, :-1].float().log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0] * real[:, 1:]
            ).sum(1)
        has = torch.tensor([k < len(some) for some in tails], device=loaded.device)
        scores[:, k] = score.masked_fill(~has, -torch.inf)
    return scores


def _taken(loaded: Loaded, paths: list[list[int]], cache: DynamicCache) -> tuple[DynamicCache, torch.Tensor]:
    """A cache of the keys and values of each path, padded on the left, and the mask of what is not padding."""
    places, mask = (t.to(loaded.device) for t in pad(paths, 0, "left"))
    own = DynamicCache()
    for n, layer in enumerate(cache.layers):
        own.update(*(states[0][:, places].transpose(0, 1) for states in (layer.keys, layer.values)), n)
    return own, mask


def until(rows: torch.Tensor, end: int) -> list[list[int]]:
    """Each row of token ids up to its first end mark, without it."""
    return [t[: t.index(end)] if end in t else t for t in rows.tolist()]
