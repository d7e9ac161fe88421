"""Prefix-tree packing: sequences that begin alike are computed once, and trees stand side by side without padding.

A tree keeps its tokens in depth-first order, so that the descendants of a token follow it directly. Then token j is
token i or one of its ancestors if and only if j <= i < ends[j], and three integers a token say everything: its id,
its depth, which is its position, and where its subtree ends.

All trees of a pass make one row of tokens, which is all that the model's other layers see. For attention, a function of
our own in transformers' attention interface takes each tree by itself (SDPA with an explicit mask), or, on GPUs, leaves
what no token sees to FlexAttention's block mask. So no token sees another tree, and none is computed against it either.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch.nn.attention.flex_attention import BlockMask, create_block_mask
from transformers import AttentionInterface, AttentionMaskInterface, Cache
from transformers.integrations.flex_attention import flex_attention_forward
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from coupling.models.loaded import Loaded

ATTENTION = "prefix_trees"  # our name in transformers' attention interface


@dataclass(frozen=True)
class Tree:
    """Token sequences as one prefix tree, depth first: ids, depths and ends of its tokens, and each sequence's path.

    paths[k][d] is the place of token d of sequence k.
    """

    ids: list[int]
    depths: list[int]
    ends: list[int]
    paths: list[list[int]]

    def __len__(self) -> int:
        return len(self.ids)


def prefix_tree(sequences: Sequence[Sequence[int]]) -> Tree:
    """The prefix tree of token sequences; in sorted order each one leaves the path of the one before it just once."""
    ids: list[int] = []
    depths: list[int] = []
    ends: list[int] = []
    paths: list[list[int]] = [[]] * len(sequences)
    path: list[int] = []
    for k in sorted(range(len(sequences)), key=lambda k: tuple(sequences[k])):
        sequence = sequences[k]
        shared = next(
            (d for d, (i, t) in enumerate(zip(path, sequence, strict=False)) if ids[i] != t),
            min(len(path), len(sequence)),
        )
        for place in path[shared:]:
            ends[place] = len(ids)
        fresh = range(len(ids), len(ids) + len(sequence) - shared)
        path = [*path[:shared], *fresh]
        paths[k] = path
        ids += sequence[shared:]
        depths += range(shared, len(sequence))
        ends += [0] * len(fresh)
    for place in path:
        ends[place] = len(ids)
    return Tree(ids, depths, ends, paths)


@dataclass(frozen=True)
class Row:
    """Trees one behind the other, tree k from starts[k] on.

    ids, positions, ends: int64 [1, tokens], ends counted in the row. blocks: int64 [trees, longest tree], where in the
    row each tree's tokens stand (beyond its size, its first token's place). places: int64 [tokens], where in the blocks,
    counted through, each token stands.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    ends: torch.Tensor
    blocks: torch.Tensor
    places: torch.Tensor
    starts: list[int]


def pack(trees: Sequence[Tree], device: torch.device) -> Row:
    """Trees side by side in one row."""
    sizes = torch.tensor([len(t) for t in trees])
    starts = sizes.cumsum(0) - sizes
    within = torch.arange(int(sizes.max()))
    real = within < sizes[:, None]
    ids, positions, ends = (
        torch.tensor([v for t in trees for v in getattr(t, name)])[None].to(device)
        for name in ("ids", "depths", "ends")
    )
    ends = ends + starts.repeat_interleave(sizes).to(device)
    blocks = (starts[:, None] + within.where(real, 0)).to(device)
    return Row(ids, positions, ends, blocks, real.flatten().nonzero()[:, 0].to(device), starts.tolist())


def packed_logits(loaded: Loaded, row: Row, picked: torch.Tensor, cache: Cache | None = None) -> torch.Tensor:
    """Logits of the `picked` tokens alone (places in the row), in the model's own precision; [picked, vocabulary].

    cache: filled with the keys and values of the row's tokens, in its order. Gradients flow through.
    """
    if loaded.model.config._attn_implementation != ATTENTION:
        loaded.model.set_attn_implementation(ATTENTION)
    with _picking(loaded, picked), loaded.precision():
        return loaded.model(
            input_ids=row.ids,
            position_ids=row.positions,
            attention_mask=_masks(loaded, row),
            trees=row,
            past_key_values=cache,
            use_cache=cache is not None,
        ).logits[0]


def _masks(loaded: Loaded, row: Row) -> torch.Tensor | BlockMask | dict[str, torch.Tensor | BlockMask]:
    """The row's attention mask; one for each kind of layer where some see no further back than a window."""
    config, dtype = loaded.model.config, torch.float32 if loaded.device.type == "cpu" else loaded.dtype
    window, kinds = getattr(config, "sliding_window", None), set(getattr(config, "layer_types", None) or ())
    slides = window is not None and (not kinds or "sliding_attention" in kinds)
    mask = _flex_mask if loaded.device.type == "cuda" else _block_mask
    if not slides or int(row.positions.max()) < window:
        return mask(row, dtype)
    near = mask(row, dtype, window)
    return {"full_attention": mask(row, dtype), "sliding_attention": near} if kinds else near


def _block_mask(row: Row, dtype: torch.dtype, window: int | None = None) -> torch.Tensor:
    """What to add to the attention scores within each tree, 0 or -inf; [trees, 1, longest, longest].

    The places beyond a tree's size see themselves alone, and nobody sees them.
    """
    within = torch.arange(row.blocks.shape[1], device=row.blocks.device)
    real = torch.zeros_like(row.blocks, dtype=torch.bool)
    real.view(-1)[row.places] = True
    ends = (row.ends[0][row.blocks] - row.blocks[:, :1]).where(real, within + 1)
    seen = (within[:, None] >= within) & (within[:, None] < ends[:, None, :])
    if window is not None:
        depth = row.positions[0][row.blocks]
        seen &= (depth[:, :, None] - depth[:, None, :] < window) | ~real[:, None, :]
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, -torch.inf)[:, None]


def _flex_mask(row: Row, _: torch.dtype, window: int | None = None) -> BlockMask:
    """The same for FlexAttention, over the whole row."""
    ends, depth, tokens = row.ends[0], row.positions[0], row.ids.shape[1]

    def sees(_batch, _head, q, k):
        ancestor = (q >= k) & (q < ends[k])
        return ancestor if window is None else ancestor & (depth[q] - depth[k] < window)

    return create_block_mask(sees, None, None, tokens, tokens, device=row.ids.device)


def attend(module, query, key, value, attention_mask, trees: Row | None = None, **kwargs):
    """Attention in transformers' interface: within each of `trees` alone; without them, SDPA as it comes.

    query, key, value: [1, heads, tokens, head size]; returns [1, tokens, heads, head size] and no weights.
    """
    if trees is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    if isinstance(attention_mask, BlockMask):
        return flex_attention_forward(module, query, key, value, attention_mask, **kwargs)
    height, width = trees.blocks.shape
    blocks = trees.blocks.flatten()

    def grouped(states: torch.Tensor) -> torch.Tensor:
        _, heads, _, size = states.shape
        tokens = states[0].transpose(0, 1).reshape(-1, heads * size)
        return (
            _Rearranged.apply(tokens, blocks, trees.places).view(height, width, heads, size).transpose(1, 2)
        )

    if (
        query.device.type == "cpu"
    ):  # the backward pass of torch's bfloat16 attention takes 3 times that of float32 there
        with torch.autocast("cpu", enabled=False):
            out, _ = sdpa_attention_forward(
                module, *(grouped(s.float()) for s in (query, key, value)), attention_mask, **kwargs
            )
    else:
        out, _ = sdpa_attention_forward(module, *map(grouped, (query, key, value)), attention_mask, **kwargs)
    return _Rearranged.apply(out.flatten(2).flatten(0, 1), trees.places, blocks).view(
        1, -1, *out.shape[2:]
    ), None


AttentionInterface.register(ATTENTION, attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


class _Rearranged(torch.autograd.Function):
    """Rows of x in another order, some more than once. There is no gradient for what is there twice: nobody reads it."""

    @staticmethod
    def forward(ctx, x, order, back):
        ctx.back = back
        return x.index_select(0, order)

    @staticmethod
    def backward(ctx, dy):
        return dy.index_select(0, ctx.back), None, None


@contextmanager
def _picking(loaded: Loaded, picked: torch.Tensor) -> Iterator[None]:
    """Within the block, the output head is computed for these tokens alone."""
    handle = loaded.model.get_output_embeddings().register_forward_pre_hook(
        lambda _, inputs: (inputs[0].index_select(1, picked),)
    )
    try:
        yield
    finally:
        handle.remove()


@torch.no_grad()
def takes_trees(loaded: Loaded) -> str | None:
    """Try a small tree on the model: None if each branch comes out as it does alone, else what went wrong."""
    branches = [[5, 6, 7, 8], [5, 6, 9], [5, 10, 11, 12, 13], [14, 5]]
    before, loaded = (
        loaded.model.config._attn_implementation,
        replace(loaded, dtype=loaded.model.dtype),
    )  # as exact as its weights
    try:
        tree = prefix_tree(branches)
        packed = packed_logits(
            loaded,
            pack([tree], loaded.device),
            torch.tensor([path[-1] for path in tree.paths], device=loaded.device),
        ).float()
        with loaded.precision():
            alone = torch.stack(
                [
                    loaded.model(input_ids=torch.tensor([b], device=loaded.device)).logits[0, -1].float()
                    for b in branches
                ]
            )
    except (AttributeError, IndexError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        loaded.model.config._attn_implementation = before
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    # other branches' tokens move logits by about their own spread; rounding moves them by far less
    off = float(((packed - alone).square().mean(1).sqrt() / alone.std(1)).max())
    if off < (1e-3 if loaded.dtype == torch.float32 else 0.2):
        return None
    loaded.model.config._attn_implementation = before
    return f"branches see each other (logits off by {off:.2g} standard deviations)"
