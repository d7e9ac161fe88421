"""Greedy decoding after prompts that a packed pass has already read.

A packed pass (models/packing.py) leaves the keys and values of all its tokens in a cache. The tokens of one
prompt are a path in it: a list of places. `decoded` copies the keys and values of each path into a cache of
its own, padded on the left, and goes on from there as in any padded batch. So no prompt is read twice.
`generated` is the plain way, by transformers, which `decoded` must equal.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile

import torch
from peft import PeftModel
from transformers import DynamicCache, GenerationConfig

from coupling.models.loaded import Loaded
from coupling.models.template import pad


@torch.no_grad()
def generated(loaded: Loaded, prompts: Sequence[Sequence[int]], limit: int) -> list[list[int]]:
    """Generate greedily after each prompt, by transformers, in one padded batch where the model allows it.

    Args:
        loaded: The model.
        prompts: The token ids of each prompt.
        limit: The most tokens to generate.

    Returns:
        The token ids after each prompt, without the end mark.
    """
    if not loaded.pads and len(prompts) > 1:
        return [generated(loaded, [prompt], limit)[0] for prompt in prompts]
    ids, mask = (t.to(loaded.device) for t in pad(prompts, loaded.tokenizer.pad_token_id, "left"))
    with loaded.precision(), _greedy(loaded):
        out = loaded.model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=limit)
    return until(out[:, ids.shape[1] :], loaded.ends)


@contextmanager
def _greedy(loaded: Loaded) -> Iterator[None]:
    """Let transformers generate greedily within the block, whatever the model's own configuration says.

    That configuration may ask for beams, forbid repetitions or suppress tokens. transformers takes from it
    all that a call does not say, so it is put aside as a whole.
    """
    model = loaded.model.get_base_model() if isinstance(loaded.model, PeftModel) else loaded.model
    own, pad_id = model.generation_config, loaded.tokenizer.pad_token_id
    model.generation_config = GenerationConfig(
        do_sample=False, num_beams=1, eos_token_id=list(loaded.ends), pad_token_id=pad_id
    )
    try:
        yield
    finally:
        model.generation_config = own


@dataclass(frozen=True)
class Read:
    """Prompts that one packed pass has read.

    Attributes:
        paths: The places of each prompt's tokens in the cache.
        first: The first token after each prompt, which the pass has predicted; int64 [paths].
        cache: The keys and values of the pass.
    """

    paths: list[list[int]]
    first: torch.Tensor
    cache: DynamicCache


@torch.no_grad()
def decoded(loaded: Loaded, reads: Sequence[Read], limit: int) -> list[list[int]]:
    """Generate greedily after prompts that packed passes have read, all of them in one batch.

    A step of decoding reads every weight of the model once, however many prompts share it. So many prompts
    together take hardly longer than a few.

    Args:
        loaded: The model.
        reads: The prompts of each pass.
        limit: The most tokens to generate, the first included.

    Returns:
        The token ids after each prompt, without the end mark, pass by pass.
    """
    ends = torch.tensor(loaded.ends, device=loaded.device)
    first = torch.cat([read.first for read in reads])
    own, mask = _side_by_side([_taken(loaded, read.paths, read.cache) for read in reads])
    said, done = [first], torch.isin(first, ends)
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
        done |= torch.isin(said[-1], ends)
    return until(torch.stack(said, 1), loaded.ends)


def _taken(loaded: Loaded, paths: list[list[int]], cache: DynamicCache) -> tuple[DynamicCache, torch.Tensor]:
    """Copy the keys and values of paths into a cache of a batch, padded on the left.

    Returns:
        The cache, and the mask of what is not padding, int64 [paths, longest].
    """
    places, mask = (t.to(loaded.device) for t in pad(paths, 0, "left"))
    own = DynamicCache()
    for n, layer in enumerate(cache.layers):
        own.update(*(states[0][:, places].transpose(0, 1) for states in (layer.keys, layer.values)), n)
    return own, mask


def _side_by_side(parts: list[tuple[DynamicCache, torch.Tensor]]) -> tuple[DynamicCache, torch.Tensor]:
    """Put the batches that `_taken` makes below one another, padded on the left to the longest."""
    if len(parts) == 1:
        return parts[0]
    longest = max(mask.shape[1] for _, mask in parts)

    def below(states: list[torch.Tensor], axis: int) -> torch.Tensor:
        """Join tensors along their first axis, with 0 in front along `axis`, which counts from the end."""
        beyond = (0, 0) * (axis - 1)
        pad_to = torch.nn.functional.pad
        return torch.cat([pad_to(s, (*beyond, longest - s.shape[-axis], 0)) for s in states])

    own = DynamicCache()
    for n, layers in enumerate(zip(*(cache.layers for cache, _ in parts), strict=True)):
        own.update(*(below([getattr(each, name) for each in layers], 2) for name in ("keys", "values")), n)
    return own, below([mask for _, mask in parts], 1)


def until(rows: torch.Tensor, ends: Collection[int]) -> list[list[int]]:
    """Cut each row of token ids [rows, tokens] before the first of its tokens that is an end mark."""
    return [list(takewhile(lambda token: token not in ends, row)) for row in rows.tolist()]
