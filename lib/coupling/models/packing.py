"""Prefix-tree packing: sequences that begin alike are computed once, and several such trees share a row.

A tree keeps its tokens in depth-first order, so that the descendants of a token follow it directly. Then token j is
token i or one of its ancestors if and only if j <= i < ends[j], and three integers a token say everything: its id,
its depth, which is its position, and where its subtree ends. Trees stand in a row one behind the other; no token sees
another tree, and the few places that remain at the end of a row see only themselves.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from transformers import Cache

from coupling.models.loaded import Loaded

ROW_LENGTHS = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0)  # lengths of a row that are tried, in longest trees


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
        shared = next((d for d, (i, t) in enumerate(zip(path, sequence, strict=False)) if ids[i] != t), min(len(path), len(sequence)))
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
class Rows:
    """Packed trees: ids, positions and ends, int64 [rows, length]; tree k begins at starts[k] = (row, place)."""

    ids: torch.Tensor
    positions: torch.Tensor
    ends: torch.Tensor
    starts: list[tuple[int, int]]

    def flat(self, tree: int, place: int) -> int:
        """The index of a tree's token among the tokens of all rows."""
        row, start = self.starts[tree]
        return row * self.ids.shape[1] + start + place


def pack(trees: Sequence[Tree], width: int, device: torch.device) -> Rows:
    """Trees in rows of the length that costs least in a model of hidden size `width`.

    Long rows leave less room unused, but attention is computed between all tokens of a row: beside some 24 width^2
    operations of the linear layers, a token costs 4 width length there.
    """
    sizes = [len(t) for t in trees]
    order = sorted(range(len(trees)), key=lambda k: -sizes[k])
    tried = [_fill(sizes, order, round(max(sizes) * factor)) for factor in ROW_LENGTHS]
    rows = min(tried, key=lambda rows: len(rows) * (n := max(map(sum, ([sizes[k] for k in row] for row in rows)))) * (6 * width + n))
    length = max(sum(sizes[k] for k in row) for row in rows)
    ids, positions = np.zeros((2, len(rows), length), np.int64)
    ends = np.broadcast_to(np.arange(1, length + 1), ids.shape).copy()
    starts: list[tuple[int, int]] = [(0, 0)] * len(trees)
    for r, row in enumerate(rows):
        start = 0
        for k in row:
            place = slice(start, start + sizes[k])
            ids[r, place], positions[r, place] = trees[k].ids, trees[k].depths
            ends[r, place] = np.add(trees[k].ends, start)
            starts[k] = (r, start)
            start += sizes[k]
    return Rows(*(torch.from_numpy(a).to(device) for a in (ids, positions, ends)), starts)


def _fill(sizes: list[int], order: list[int], length: int) -> list[list[int]]:
    """First fit, largest first: the trees of each row."""
    rows: list[list[int]] = []
    room: list[int] = []
    for k in order:
        r = next((r for r, free in enumerate(room) if free >= sizes[k]), None)
        if r is None:
            r = len(rows)
            rows.append([])
            room.append(length)
        rows[r].append(k)
        room[r] -= sizes[k]
    return rows


def sees(rows: Rows) -> torch.Tensor:
    """Which tokens of its row each token sees: its ancestors and itself; bool [rows, length, length]."""
    places = torch.arange(rows.ids.shape[1], device=rows.ids.device)
    return (places[:, None] >= places) & (places[:, None] < rows.ends[:, None, :])


def packed_logits(
    loaded: Loaded, ids: torch.Tensor, positions: torch.Tensor, seen: torch.Tensor, key_positions: torch.Tensor,
    picked: torch.Tensor, cache: Cache | None = None,
) -> torch.Tensor:  # fmt: skip
    """Logits of the `picked` tokens alone (indices among all of `ids`), in the model's own precision; [picked, vocabulary].

    ids, positions: int64 [rows, length]; seen: bool [rows, length, keys], the keys being those in the cache and then
    the tokens themselves; key_positions: int64 [rows, keys].
    """
    with _picking(loaded, picked), loaded.precision():
        return loaded.model(
            input_ids=ids, position_ids=positions, attention_mask=_masks(loaded, seen, positions, key_positions),
            past_key_values=cache, use_cache=cache is not None,
        ).logits[0]  # fmt: skip


def _masks(loaded: Loaded, seen: torch.Tensor, positions: torch.Tensor, key_positions: torch.Tensor) -> torch.Tensor | dict[str, torch.Tensor]:
    """The attention masks of `seen`, additive, as transformers takes them: [rows, 1, length, keys], by kind of layer if need be."""
    config = loaded.model.config
    window, kinds = getattr(config, "sliding_window", None), set(getattr(config, "layer_types", None) or ())
    slides = window is not None and (not kinds or "sliding_attention" in kinds)
    if not slides or int(positions.max()) < window:
        return _additive(seen, loaded.dtype)
    near = _additive(seen & (positions[:, :, None] - key_positions[:, None, :] < window), loaded.dtype)
    return {"full_attention": _additive(seen, loaded.dtype), "sliding_attention": near} if kinds else near


def _additive(seen: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, -torch.inf)[:, None]


@contextmanager
def _picking(loaded: Loaded, picked: torch.Tensor) -> Iterator[None]:
    """Within the block, the output head is computed for these tokens alone."""
    handle = loaded.model.get_output_embeddings().register_forward_pre_hook(
        lambda _, inputs: (inputs[0].flatten(0, 1).index_select(0, picked)[None],)
    )
    try:
        yield
    finally:
        handle.remove()


@torch.no_grad()
def takes_trees(loaded: Loaded) -> str | None:
    """Try a small tree on the model: None if each branch comes out as it does alone, else what went wrong."""
    branches = [[5, 6, 7, 8], [5, 6, 9], [5, 10, 11, 12, 13], [14, 5]]
    try:
        tree = prefix_tree(branches)
        rows = pack([tree], 1, loaded.device)
        places = torch.tensor([path[-1] for path in tree.paths], device=loaded.device)
        packed = packed_logits(loaded, rows.ids, rows.positions, sees(rows), rows.positions, places).float()
        with loaded.precision():
            alone = torch.stack([loaded.model(input_ids=torch.tensor([b], device=loaded.device)).logits[0, -1].float() for b in branches])
    except (AttributeError, IndexError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    # other branches' tokens move logits by about their own spread; rounding moves them by far less
    off = float(((packed - alone).abs().amax(1) / alone.std(1)).max())
    return None if off < (1e-2 if loaded.dtype == torch.float32 else 0.3) else f"branches see each other (logits off by {off:.2g} standard deviations)"
