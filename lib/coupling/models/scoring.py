"""Log-probabilities of continuations: one packed pass, and the plain passes that it must equal."""

from collections.abc import Sequence

import numpy as np
import torch

from coupling.models.loaded import Loaded
from coupling.models.packing import Row, Tree, pack, packed_logits, prefix_tree
from coupling.models.template import Seam, pad


def continuation_logprobs(loaded: Loaded, groups: Sequence[Sequence[Seam]]) -> torch.Tensor:
    """Log-probability of every tail after its prefix; float32 [groups, most seams, most tails], -inf where there are fewer.

    The seams of a group, which share most of their prefixes, are computed as one prefix tree, groups side by side in
    one packed row; or all seams as `plain_logprobs`, where the model cannot take trees. Gradients flow through.
    """
    if loaded.packs:
        reader, logits = read_tails(loaded, groups)
        return reader.read(logits)
    each = iter(plain_logprobs(loaded, [s for group in groups for s in group]))
    rows = [torch.stack([next(each) for _ in group]) for group in groups]
    most = max(map(len, rows))
    return torch.stack([torch.nn.functional.pad(r, (0, 0, 0, most - len(r)), value=-torch.inf) for r in rows])


def read_tails(loaded: Loaded, groups: Sequence[Sequence[Seam]]) -> tuple["TailReader", torch.Tensor]:
    """One packed pass over groups of seams: what reads their tails, and the logits that it reads, [picked, vocabulary]."""
    trees = [prefix_tree([sequence for s in group for sequence in fed(s)]) for group in groups]
    row = pack(trees, loaded.device)
    reader = TailReader(row, trees, groups)
    return reader, packed_logits(loaded, row, reader.picked)


@torch.no_grad()
def head_inputs(loaded: Loaded, groups: Sequence[Sequence[Seam]]) -> list[torch.Tensor]:
    """What the output head reads where it predicts the tokens of each group's first tails, seam by seam; [tokens, width] a group.

    The head applied to it gives the model's logits again, so that distributions over the whole vocabulary can be kept in
    little space. Raises ValueError for a model that changes its logits behind the head.
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
            "this model changes its logits behind the output head: its replies cannot be held by the KL term"
        )
    return out


def _alone(loaded: Loaded, s: Seam, seen: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and head inputs where the tokens of a seam's first tail are predicted, from a pass of its own."""
    with loaded.precision():
        logits = loaded.model(
            input_ids=torch.tensor([fed(s)[0]], device=loaded.device), use_cache=False
        ).logits
    return logits[0, len(s.prefix) - 1 :], seen[-1][len(s.prefix) - 1 :]


def fed(s: Seam) -> list[tuple[int, ...]]:
    """What a model must read to score each tail of a seam: the prefix, and the tail but for its last token."""
    return [s.prefix + t[:-1] for t in s.tails]


class TailReader:
    """Which logits of a packed row give the log-probabilities of which tails.

    Tree g of the row begins with the paths that `fed` gives for the seams of group g, in order; it may hold others behind
    them. picked: the places in the row whose logits are needed, each once; int64.
    """

    def __init__(self, row: Row, trees: Sequence[Tree], groups: Sequence[Sequence[Seam]]):
        self.real = np.zeros(
            (len(groups), max(map(len, groups)), max(len(s.tails) for group in groups for s in group)), bool
        )
        nodes: list[int] = []  # place of the token that predicts ...
        self.tokens: list[int] = []  # ... this token
        cells: list[int] = []  # of the tail in this cell of the result
        for g, (group, tree) in enumerate(zip(groups, trees, strict=True)):
            paths = iter(tree.paths)
            for k, s in enumerate(group):
                for i, (tail, path) in enumerate(zip(s.tails, paths, strict=False)):
                    nodes += [row.starts[g] + place for place in path[len(s.prefix) - 1 :]]
                    self.tokens += tail
                    cells += [(g * self.real.shape[1] + k) * self.real.shape[2] + i] * len(tail)
                    self.real[g, k, i] = True
        self.cells = np.array(cells)
        places, self.which = np.unique(np.array(nodes), return_inverse=True)
        self.picked = torch.from_numpy(places).to(row.ids.device)

    def places(self, group: int, seam: int) -> np.ndarray:
        """Which of the picked logits predict the tokens of this seam's first tail, in order; int64 [tokens]."""
        cell = (group * self.real.shape[1] + seam) * self.real.shape[2]
        return self.which[self.cells == cell]

    def read(self, logits: torch.Tensor) -> torch.Tensor:
        """The tails' log-probabilities from logits [picked, vocabulary]; float32 [groups, seams, tails]."""
        logits = logits.float()
        which, tokens, cells = (
            torch.as_tensor(a, device=logits.device) for a in (self.which, self.tokens, self.cells)
        )
        each = logits[which, tokens] - logits.logsumexp(1)[which]
        sums = (
            torch.zeros(self.real.size, device=logits.device).index_add(0, cells, each).view(self.real.shape)
        )
        return sums.masked_fill(~torch.from_numpy(self.real).to(logits.device), -torch.inf)


def plain_logprobs(loaded: Loaded, seams: Sequence[Seam]) -> torch.Tensor:
    """`continuation_logprobs` without packing, the reference for it; float32 [seams, most tails].

    One pass over the prefixes, padded on the left; where tails have several tokens, a second over the tails behind
    the kept keys and values. Gradients flow through both.
    """
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
