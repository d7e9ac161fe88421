"""Prefix-tree packing: one pass of a model over a row of trees, without padding.

The model runs over the tokens of the trees (models/trees.py). Each token attends to its ancestors and to
nothing else, and its position is its depth. It then gets the states that it has in its own sequence alone.

Most layers of a model treat each token by itself and see the row alone. Attention is a function of our own in
transformers' attention interface, `attend`. It takes each tree by itself, with a mask, by torch's scaled dot
product attention (SDPA); on GPUs it gives FlexAttention a block mask over the whole row. So no token sees
another tree, and no time is spent on pairs of tokens of different trees. If the trees share a head, every
tree sees the keys and values of the head before its own.

`packed_logits` runs the model. `takes_trees` tests whether a model can be used so at all.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import torch
from torch.nn.attention.flex_attention import BlockMask, create_block_mask
from transformers import AttentionInterface, AttentionMaskInterface, Cache
from transformers.integrations.flex_attention import flex_attention_forward
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from coupling.models.loaded import Loaded
from coupling.models.trees import Row, pack, prefix_tree

ATTENTION = "prefix_trees"  # the name of `attend` in transformers' attention interface


def packed_logits(loaded: Loaded, row: Row, picked: torch.Tensor, cache: Cache | None = None) -> torch.Tensor:
    """Run a model over a row of trees and return the logits at some of its tokens.

    Gradients flow through.

    Args:
        loaded: The model.
        row: The row.
        picked: The places in the row whose logits are wanted, int64 [picked].
        cache: If given, it is filled with the keys and values of the row's tokens, in the row's order.

    Returns:
        The logits, in the precision that the model computes them in, [picked, vocabulary].
    """
    if loaded.model.config._attn_implementation != ATTENTION:
        loaded.model.set_attn_implementation(ATTENTION)
    with nullcontext() if loaded.picks else _picking(loaded, picked), loaded.precision():
        return loaded.model(
            input_ids=row.ids,
            position_ids=row.positions,
            attention_mask=_masks(loaded, row),
            trees=row,
            **({"picked": picked} if loaded.picks else {}),
            past_key_values=cache,
            use_cache=cache is not None,
        ).logits[0]


def _masks(loaded: Loaded, row: Row) -> torch.Tensor | BlockMask | dict[str, torch.Tensor | BlockMask]:
    """Make the attention mask of a row.

    Returns:
        One mask; or one for each kind of layer, where some layers see no further back than a window of tokens
        and the row has a sequence that is longer than it.
    """
    config, dtype = loaded.model.config, torch.float32 if loaded.device.type == "cpu" else loaded.dtype
    window, kinds = getattr(config, "sliding_window", None), set(getattr(config, "layer_types", None) or ())
    slides = window is not None and (not kinds or "sliding_attention" in kinds)
    mask = flex_mask if loaded.device.type == "cuda" else block_mask
    if not slides or int(row.positions.max()) < window:
        return mask(row, dtype)
    near = mask(row, dtype, window)
    return {"full_attention": mask(row, dtype), "sliding_attention": near} if kinds else near


def block_mask(row: Row, dtype: torch.dtype, window: int | None = None) -> torch.Tensor:
    """Make the mask for SDPA over blocks, one block a tree.

    Shorter trees are filled up to the longest. A filling token sees itself alone, and no token sees it.

    Args:
        row: The row of trees.
        dtype: The precision of the mask.
        window: If given, a token sees only this many tokens of its path, itself included.

    Returns:
        What is added to the attention scores, 0 or -inf, [trees, 1, longest tree, head + longest tree].
    """
    within = torch.arange(row.blocks.shape[1], device=row.blocks.device)
    real = torch.zeros_like(row.blocks, dtype=torch.bool)
    real.view(-1)[row.places] = True
    ends = (row.ends[0][row.blocks] - row.blocks[:, :1]).minimum(real.sum(1, keepdim=True))
    ends = ends.where(real, within + 1)
    seen = (within[:, None] >= within) & (within[:, None] < ends[:, None, :])
    depth = row.positions[0][row.blocks]
    if window is not None:
        seen &= (depth[:, :, None] - depth[:, None, :] < window) | ~real[:, None, :]
    if row.head:  # which all real tokens see before their tree, except those of the head itself
        before = depth[:, :, None] - torch.arange(row.head, device=depth.device) < (window or torch.inf)
        before &= real[:, :, None]
        before[0] = False
        seen = torch.cat([before, seen], 2)
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, -torch.inf)[:, None]


def flex_mask(row: Row, _: torch.dtype, window: int | None = None) -> BlockMask:
    """Make the mask for FlexAttention over the whole row; arguments as for `block_mask`."""
    ends, depth, tokens = row.ends[0], row.positions[0], row.ids.shape[1]

    def sees(_batch, _head, q, k):
        ancestor = (q >= k) & (q < ends[k])
        return ancestor if window is None else ancestor & (depth[q] - depth[k] < window)

    return create_block_mask(sees, None, None, tokens, tokens, device=row.ids.device)


def attend(module, query, key, value, attention_mask, trees: Row | None = None, **kwargs):
    """Compute attention within each tree alone; without trees, SDPA as transformers computes it.

    This has the form of transformers' attention interface.

    Args:
        module: The attention layer.
        query: [1, heads, tokens, head size], as are `key` and `value`, which may have fewer heads.
        key: See `query`.
        value: See `query`.
        attention_mask: What `_masks` made for this kind of layer.
        trees: The row that the tokens are.
        **kwargs: What transformers passes besides; handed on.

    Returns:
        [1, tokens, heads, head size], and None in the place of attention weights.
    """
    if trees is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    if isinstance(attention_mask, BlockMask):
        return flex_attention_forward(module, query, key, value, attention_mask, **kwargs)
    height, width = trees.blocks.shape
    blocks = trees.blocks.flatten()

    def grouped(states: torch.Tensor) -> torch.Tensor:
        """Arrange states [1, heads, tokens, size] as blocks, [trees, heads, longest tree, size]."""
        _, heads, _, size = states.shape
        tokens = states[0].transpose(0, 1).reshape(-1, heads * size)
        return (
            _Rearranged.apply(tokens, blocks, trees.places).view(height, width, heads, size).transpose(1, 2)
        )

    def behind_head(states: torch.Tensor) -> torch.Tensor:
        """Arrange keys or values as `grouped` does, with those of the head before each tree's own."""
        own = grouped(states)
        if not trees.head:
            return own
        return torch.cat([states[:, :, : trees.head].expand(height, -1, -1, -1), own], 2)

    if query.device.type == "cpu":
        # In float32, because the backward pass of torch's bfloat16 attention takes three times as long on a
        # CPU.
        with torch.autocast("cpu", enabled=False):
            query, key, value = (states.float() for states in (query, key, value))
            states = grouped(query), behind_head(key), behind_head(value)
            out, _ = sdpa_attention_forward(module, *states, attention_mask, **kwargs)
    else:
        states = grouped(query), behind_head(key), behind_head(value)
        out, _ = sdpa_attention_forward(module, *states, attention_mask, **kwargs)
    return _Rearranged.apply(out.flatten(2).flatten(0, 1), trees.places, blocks).view(
        1, -1, *out.shape[2:]
    ), None


AttentionInterface.register(ATTENTION, attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


class _Rearranged(torch.autograd.Function):
    """The rows of x in another order, [rows, width]; some rows may be there more than once.

    `order` says which row of x stands where, and `back` finds each row of x again. The gradient of a row is
    that of the one place where `back` finds it. Its copies only fill blocks up: nothing reads them, so they
    have no gradient.
    """

    @staticmethod
    def forward(ctx, x, order, back):
        ctx.back = back
        return x.index_select(0, order)

    @staticmethod
    def backward(ctx, dy):
        return dy.index_select(0, ctx.back), None, None


@contextmanager
def _picking(loaded: Loaded, picked: torch.Tensor) -> Iterator[None]:
    """Compute the output head at some tokens alone within the block, since at all of them it costs much."""
    handle = loaded.model.get_output_embeddings().register_forward_pre_hook(
        lambda _, inputs: (inputs[0].index_select(1, picked),)
    )
    try:
        yield
    finally:
        handle.remove()


@torch.no_grad()
def takes_trees(loaded: Loaded) -> str | None:
    """Test whether a model can take prefix trees, by comparing two small trees with their sequences alone.

    The trees differ in size. Some models treat a row of one tree right and yet let trees see each other, or
    give every tree the positions of the first.

    Returns:
        None if the model can take trees; its attention is then `attend`. Otherwise what went wrong; the model
        has its own attention again.
    """
    groups = [[[5, 6, 7, 8], [5, 6, 9], [5, 10, 11, 12, 13], [14, 5]], [[9, 7, 11], [9, 7, 6, 5]]]
    before = loaded.model.config._attn_implementation
    loaded = replace(loaded, dtype=loaded.model.dtype)  # compared as exactly as the weights allow
    try:
        trees = [prefix_tree(group) for group in groups]
        row = pack(trees, loaded.device)
        ends = [int(row.place(g, path[-1])) for g, tree in enumerate(trees) for path in tree.paths]
        # First the sequences alone, since a packed pass puts `attend` in the place of the model's attention.
        alone = each_alone(loaded, [sequence for group in groups for sequence in group])
        packed = packed_logits(loaded, row, torch.tensor(ends, device=loaded.device)).float()
    except Exception as error:  # whatever the code of any architecture may raise
        loaded.model.set_attn_implementation(before)
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    off = far(packed, alone)
    if off < allowed(loaded):
        return None
    loaded.model.set_attn_implementation(before)
    return f"branches see each other (logits off by {off:.2g} standard deviations)"


@torch.no_grad()
def each_alone(loaded: Loaded, sequences: Sequence[Sequence[int]]) -> torch.Tensor:
    """Return the logits after each token sequence, from a pass over it alone.

    Returns:
        float32 [sequences, vocabulary].
    """
    with loaded.precision():
        passes = [
            loaded.model(input_ids=torch.tensor([s], device=loaded.device), use_cache=False).logits[0, -1]
            for s in sequences
        ]
    return torch.stack(passes).float()


def far(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Return by how much logits [rows, vocabulary] are off, as the largest over rows.

    In a row it is the root mean square of the difference, in standard deviations of that row. If sequences
    saw each other, it would be about 1. Rounding makes far less.
    """
    return float(((found - wanted).square().mean(1).sqrt() / wanted.std(1)).max())


def allowed(loaded: Loaded) -> float:
    """Return how far logits may be off by rounding, in the precision of the model's weights."""
    return 1e-3 if loaded.model.dtype == torch.float32 else 0.2
