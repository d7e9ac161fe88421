"""Prefix trees: token sequences that begin alike, with each shared token once, and rows of several trees.

The prompts of an item share most of their tokens, and its possible answers share the whole prompt. A model of
causal attention gives a token the same states whatever comes after it. So the tokens that sequences share at
their start need to be computed once only. The sequences form a tree: each token has one token before it and
may have several after it. A sequence is a path from the root.

`prefix_tree` makes the tree and keeps its tokens depth first, so that the descendants of a token follow it
directly. Token j is then token i or an ancestor of it if and only if j <= i < ends[j], where ends[j] is where
the subtree of j ends. So three integers a token say everything: its id, its depth, and where its subtree
ends.

`pack` puts the trees of a pass side by side in one row of tokens. Prompts of a chat template all begin alike.
`pack` can put such a head into the row once: the row then begins with the head, and the trees stand after it
without it. models/packing.py runs a model over a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

WORTH_SHARING = 8  # a head of fewer tokens takes longer to share than to compute for each tree


@dataclass(frozen=True)
class Tree:
    """Token sequences as one prefix tree, depth first.

    Attributes:
        ids: The id of each token.
        depths: How many tokens are above it; its position in each of its sequences.
        ends: The place after the last token of its subtree.
        paths: For each sequence the places of its tokens in the tree: paths[k][d] is that of token d of
            sequence k.
    """

    ids: list[int]
    depths: list[int]
    ends: list[int]
    paths: list[list[int]]

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def table(self) -> torch.Tensor:
        """`ids`, `depths` and `ends` as rows; int64 [3, tokens]."""
        return torch.tensor([self.ids, self.depths, self.ends])


def prefix_tree(sequences: Sequence[Sequence[int]]) -> Tree:
    """Make the prefix tree of some token sequences.

    The sequences are taken in sorted order. Each one then shares its first tokens with the one before it, and
    once it leaves that one's path, no later sequence comes back to it.
    """
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
    """Trees one after the other in one row of tokens, and the same tokens arranged as one block a tree.

    Attributes:
        ids: The id of each token, int64 [1, tokens].
        positions: Its depth in its tree, int64 [1, tokens].
        ends: Where its subtree ends in the row, int64 [1, tokens].
        blocks: For each tree the places of its tokens in the row, int64 [trees, longest tree]. A shorter tree
            is filled up with the place of its first token. A head that the trees share is a tree of its own,
            the first.
        places: For each token its place in `blocks` when that is flattened, int64 [tokens].
        starts: For each packed tree, what is added to a token's place in the tree to get its place in the
            row. Tokens of the shared head keep their place.
        head: How many tokens at the start of the row all trees share.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    ends: torch.Tensor
    blocks: torch.Tensor
    places: torch.Tensor
    starts: np.ndarray
    head: int = 0

    def place(self, tree: int | np.ndarray, within: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return where tokens stand in the row.

        Args:
            tree: The index of their tree, or one for each token.
            within: Their places in the tree.
        """
        within = np.asarray(within)
        return np.where(within < self.head, within, self.starts[tree] + within)


def pack(trees: Sequence[Tree], device: torch.device, share: bool = False) -> Row:
    """Put trees side by side in one row, with its tensors on a device.

    Args:
        trees: The trees.
        device: The device.
        share: Whether tokens with which all trees begin are put into the row once, where there are at least
            WORTH_SHARING of them. This changes rounding.
    """
    head = _head(trees) if share else 0
    sizes = torch.tensor([head] * (head > 0) + [len(t) - head for t in trees])
    firsts = sizes.cumsum(0) - sizes
    starts = firsts[-len(trees) :] - head
    within = torch.arange(int(sizes.max()))
    real = within < sizes[:, None]
    ids, positions, ends = torch.cat([trees[0].table[:, :head], *(t.table[:, head:] for t in trees)], 1)
    ends[head:] += starts.repeat_interleave(sizes[-len(trees) :])
    ends[:head] = len(ends)  # every token of the row stands after the head
    blocks = firsts[:, None] + within.where(real, 0)
    places = real.flatten().nonzero()[:, 0]
    return Row(
        *(t.to(device) for t in (ids[None], positions[None], ends[None], blocks, places)),
        starts.numpy(),
        head,
    )


def _head(trees: Sequence[Tree]) -> int:
    """Return how many tokens all trees begin with and no tree branches in; 0 below WORTH_SHARING.

    Every tree keeps a token of its own.
    """
    if len(trees) < 2:
        return 0
    longest = min(map(len, trees)) - 1
    first, others = trees[0], trees[1:]
    head = next((k for k in range(longest) if any(t.ids[k] != first.ids[k] for t in others)), longest)
    # A token whose subtree is the whole rest of its tree has no token beside it.
    head = next((k for k in range(head) if any(t.ends[k] != len(t) for t in trees)), head)
    return head if head >= WORTH_SHARING else 0
