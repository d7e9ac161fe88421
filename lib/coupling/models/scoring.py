"""Log-probabilities of given texts after prompts: by one packed pass, or by plain padded passes.

To score the possible answers to many prompts, each prompt with its answers becomes a prefix tree and all
trees become one row (models/packing.py). The log-probability of an answer (a tail) is the sum of the
log-probabilities of its tokens, each read at the token before it. `TailReader` knows for each tail at which
places of the row its tokens are predicted, and sums them up. The model's output head is computed at these
places alone.

`continuation_logprobs` is the usual way in. `plain_logprobs` gives the same from padded batches: the
reference for tests, and the way of models that cannot take trees.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from coupling.models.loaded import Loaded
from coupling.models.packing import packed_logits
from coupling.models.template import Seam, pad
from coupling.models.trees import Row, Tree, pack, prefix_tree


def continuation_logprobs(loaded: Loaded, groups: Sequence[Sequence[Seam]]) -> torch.Tensor:
    """Compute the log-probability of every tail of some seams after its prefix.

    Gradients flow through.

    Args:
        loaded: The model.
        groups: Seams in groups. Those of a group become one tree, so they should share most of their
            prefixes, as x and its counterfactual do.

    Returns:
        float32 [groups, most seams, most tails], -inf where a group has fewer seams or a seam fewer tails.
    """
    if loaded.packs:
        reader, logits = read_tails(loaded, groups)
        return reader.read(logits)
    each = iter(plain_logprobs(loaded, [s for group in groups for s in group]))
    rows = [torch.stack([next(each) for _ in group]) for group in groups]
    most = max(map(len, rows))
    return torch.stack([torch.nn.functional.pad(r, (0, 0, 0, most - len(r)), value=-torch.inf) for r in rows])


def read_tails(loaded: Loaded, groups: Sequence[Sequence[Seam]]) -> tuple["TailReader", torch.Tensor]:
    """Run one packed pass over groups of seams.

    Returns:
        A reader of the tails' log-probabilities, and the logits for it, [picked, vocabulary].
    """
    return read_found(loaded, [find_tails(group) for group in groups])


def read_found(loaded: Loaded, found: Sequence["Tails"]) -> tuple["TailReader", torch.Tensor]:
    """Do what `read_tails` does for groups whose tails are found already."""
    row = pack([tails.tree for tails in found], loaded.device, loaded.shares)
    reader = TailReader(row, found)
    return reader, packed_logits(loaded, row, reader.picked)


@torch.no_grad()
def head_inputs(loaded: Loaded, groups: Sequence[Sequence[Seam]]) -> list[torch.Tensor]:
    """Compute what the output head reads where the tokens of first tails are predicted.

    The head, applied to it, gives the model's logits. So distributions over the whole vocabulary can be kept
    in little space.

    Args:
        loaded: The model.
        groups: Seams in groups, as for `continuation_logprobs`; of each seam the first tail counts.

    Returns:
        For each group the head's inputs, seam by seam, [tokens of the first tails, width].

    Raises:
        ValueError: If the model changes its logits after the head, so that the head does not give them.
    """
    head, seen = loaded.model.get_output_embeddings(), []
    handle = head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0]))
    try:
        if loaded.packs:
            reader, logits = read_tails(loaded, groups)
            inputs = seen[0][reader.picked]
            out = [
                torch.cat([inputs[reader.places(g, k)] for k in range(len(group))])
                for g, group in enumerate(groups)
            ]
        else:
            logits, inputs = zip(*(_alone(loaded, s, seen) for group in groups for s in group), strict=True)
            each = iter(inputs)
            out = [torch.cat([next(each) for _ in group]) for group in groups]
            logits, inputs = torch.cat(logits), torch.cat(inputs)
    finally:
        handle.remove()
    with loaded.precision():
        again = head(inputs[None])[0].float()
    if not torch.allclose(again, logits.float(), atol=0.05 * float(again.std())):
        raise ValueError(
            "this model changes its logits after the output head: its replies cannot be held by the KL term"
        )
    return out


def _alone(loaded: Loaded, s: Seam, seen: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Run a pass over one seam alone, for `head_inputs`.

    Args:
        loaded: The model.
        s: The seam, of which the first tail counts.
        seen: Where a hook puts what the output head reads in each pass.

    Returns:
        Logits [tokens, vocabulary] and head inputs [tokens, width] where the tail's tokens are predicted.
    """
    with loaded.precision():
        logits = loaded.model(
            input_ids=torch.tensor([fed(s)[0]], device=loaded.device), use_cache=False
        ).logits
    return logits[0, len(s.prefix) - 1 :], seen[-1][len(s.prefix) - 1 :]


def fed(s: Seam) -> list[tuple[int, ...]]:
    """Return what a model reads to score each tail: the prefix, and the tail without its last token."""
    return [s.prefix + t[:-1] for t in s.tails]


@dataclass(frozen=True)
class Tails:
    """The tails of a group of seams, found in the group's prefix tree. They depend on token ids alone.

    Attributes:
        tree: The tree of what `fed` gives for the seams, and of other sequences after them.
        tokens: For each token of each tail its id, the place in the tree where it is predicted, and the index
            of its seam and of its tail; int64 [4, tokens of all tails].
        shape: The number of seams, and the most tails that one of them has.
    """

    tree: Tree
    tokens: np.ndarray
    shape: tuple[int, int]


def find_tails(group: Sequence[Seam], further: Sequence[Sequence[int]] = ()) -> Tails:
    """Make the prefix tree of a group, and find where in it the tokens of its tails are predicted.

    A tail's token is predicted by the logits at the token before it: the first one at the last token of the
    prefix.

    Args:
        group: The seams.
        further: Token sequences that the tree holds after those of the seams.
    """
    tree = prefix_tree([*(sequence for s in group for sequence in fed(s)), *further])
    paths = iter(tree.paths)
    tokens = [
        (token, place, k, i)
        for k, s in enumerate(group)
        for i, tail in enumerate(s.tails)
        for token, place in zip(tail, next(paths)[len(s.prefix) - 1 :], strict=True)
    ]
    shape = len(group), max((len(s.tails) for s in group), default=0)
    return Tails(tree, np.array(tokens, np.int64).reshape(-1, 4).T, shape)


class TailReader:
    """Reads the log-probabilities of tails from the logits of a packed row.

    Attributes:
        picked: The places in the row whose logits are needed, each once, in ascending order; int64 [picked].
    """

    def __init__(self, row: Row, found: Sequence[Tails]):
        """Find the places in the row where tails are predicted.

        Args:
            row: The row that the trees of `found` make.
            found: The tails of each group.
        """
        shape = (len(found), *(max(sizes) for sizes in zip(*(tails.shape for tails in found), strict=True)))
        groups = np.arange(len(found)).repeat([tails.tokens.shape[1] for tails in found])
        self._tokens, places, seams, tails = np.concatenate([tails.tokens for tails in found], 1)
        # For each token of each tail the cell of the result, counted through, that is its tail's.
        self._cells = np.ravel_multi_index((groups, seams, tails), shape)
        self._real = np.zeros(shape, bool)  # which cells of the result are a tail's
        self._real.flat[self._cells] = True
        picked, self._which = np.unique(row.place(groups, places), return_inverse=True)
        self.picked = torch.from_numpy(picked).to(row.ids.device)

    def places(self, group: int, seam: int) -> np.ndarray:
        """Return which of the picked logits predict the tokens of a seam's first tail; int64 [tokens]."""
        cell = (group * self._real.shape[1] + seam) * self._real.shape[2]
        return self._which[self._cells == cell]

    def read(self, logits: torch.Tensor) -> torch.Tensor:
        """Sum up the log-probabilities of the tails.

        Args:
            logits: The logits at the picked places, [picked, vocabulary].

        Returns:
            float32 [groups, most seams, most tails], -inf where there is no tail.
        """
        logits = logits.float()
        which, tokens, cells = (
            torch.as_tensor(a, device=logits.device) for a in (self._which, self._tokens, self._cells)
        )
        each = logits[which, tokens] - logits.logsumexp(1)[which]
        sums = torch.zeros(self._real.size, device=logits.device).index_add(0, cells, each)
        real = torch.from_numpy(self._real).to(logits.device)
        return sums.view(self._real.shape).masked_fill(~real, -torch.inf)


def plain_logprobs(loaded: Loaded, seams: Sequence[Seam]) -> torch.Tensor:
    """Compute the log-probability of every tail from padded batches.

    This is the reference for `continuation_logprobs`. One pass reads the prefixes, padded on the left. If
    tails have several tokens, a second pass reads the tails after the keys and values that the first one
    kept. Gradients flow through both. A model that cannot be padded so reads every text whole.

    Returns:
        float32 [seams, most tails], -inf where a seam has fewer tails.
    """
    if not loaded.pads:
        return whole_logprobs(loaded, seams)
    model, device = loaded.model, loaded.device
    width = max(len(s.tails) for s in seams)
    longest = max(len(t) for s in seams for t in s.tails)
    ids, mask = (t.to(device) for t in pad([s.prefix for s in seams], loaded.tokenizer.pad_token_id, "left"))
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with loaded.precision():
        out = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            logits_to_keep=1,
            use_cache=longest > 1,
        )
    first = out.logits[:, -1].float().log_softmax(-1)
    starts = torch.tensor(
        [[t[0] for t in s.tails] + [0] * (width - len(s.tails)) for s in seams], device=device
    )
    missing = torch.tensor([[i >= len(s.tails) for i in range(width)] for s in seams], device=device)
    scores = first.gather(1, starts).masked_fill(missing, -torch.inf)
    if longest == 1:
        return scores
    # A seam that has fewer tails repeats its first one; its score stays -inf.
    rows = [s.tails[i] if i < len(s.tails) else s.tails[0] for s in seams for i in range(width)]
    tail, tail_mask = (t.to(device) for t in pad(rows, loaded.tokenizer.pad_token_id, "right"))
    out.past_key_values.batch_repeat_interleave(width)
    wide = mask.repeat_interleave(width, 0)
    after = wide.sum(1, keepdim=True) + torch.arange(longest, device=device)
    with loaded.precision():
        logits = model(
            input_ids=tail,
            attention_mask=torch.cat([wide, tail_mask], 1),
            position_ids=after,
            past_key_values=out.past_key_values,
        ).logits
    later = logits[:, :-1].float().log_softmax(-1).gather(2, tail[:, 1:, None])[..., 0] * tail_mask[:, 1:]
    return scores + later.sum(1).view(len(seams), width)


def whole_logprobs(loaded: Loaded, seams: Sequence[Seam]) -> torch.Tensor:
    """Compute the log-probability of every tail from passes over whole texts, one text at a time.

    No architecture can get this wrong: there is no padding, no cache, and nothing else in a pass. Gradients
    flow through.

    Returns:
        float32 [seams, most tails], -inf where a seam has fewer tails.
    """
    width, rows = max(len(s.tails) for s in seams), []
    for s in seams:
        scores = []
        for tail in s.tails:
            ids = torch.tensor([s.prefix + tail], device=loaded.device)
            with loaded.precision():
                logits = loaded.model(input_ids=ids, use_cache=False).logits[0, len(s.prefix) - 1 : -1]
            each = logits.float().log_softmax(-1).gather(1, ids[0, len(s.prefix) :, None])
            scores.append(each.sum())
        row = torch.stack(scores)
        rows.append(torch.nn.functional.pad(row, (0, width - len(scores)), value=-torch.inf))
    return torch.stack(rows)
