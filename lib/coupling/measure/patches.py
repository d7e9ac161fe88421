"""Items in one pass with the states of other items, or changed ones, in the place of their own.

A `Block` holds some items with the states of all sites (models/sites.py), as the model has them. `Copy` says
what is put into a copy of one of them. Many copies run in one pass. `said` and `odds` read off the scores of
a pass what the model chose and stated.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from coupling.measure.token_groups import Prompted
from coupling.models import Loaded, TailReader, pack
from coupling.models.sites import Patch, Site, patched_logits, read_states
from coupling.tasks import Item

BLOCK = 16  # items whose states are held at once; the other items of a patch are among them
TOKENS = 6000  # tokens of a pass


class Move(NamedTuple):
    """States that are put at some tokens of an item, at some sites.

    Attributes:
        sites: The sites.
        to: The places in the item's tree; int64 [places].
        donors: The items whose states are taken, by their places in the block. Of several the mean is put.
        taken: The places in the donors' trees; int64 [donors, places].
        added: What is added to the states, float32 [places, width]. None: nothing.
    """

    sites: tuple[Site, ...]
    to: np.ndarray
    donors: tuple[int, ...]
    taken: np.ndarray
    added: torch.Tensor | None = None


class Copy(NamedTuple):
    """A copy of an item's tree with states that are not its own.

    Attributes:
        item: The item, by its place in the block.
        moves: What is put there. No two moves put states at the same site and token.
    """

    item: int
    moves: tuple[Move, ...]


@dataclass(frozen=True)
class Said:
    """What a model chose and stated.

    Attributes:
        x: Its choice on x.
        cf: Its choice on x without the cue.
        answer: The answer that its likeliest label states.
        flag: 1 if that label says that the answer changes, else 0.
    """

    x: int
    cf: int
    answer: int
    flag: int


class Block:
    """Some items with the states of all sites, as the model has them without any patch.

    Attributes:
        model: The model.
        items: The items.
        scores: Log-probabilities of choices and labels, float64 [items, texts, most tails].
        said: What the model chose and stated, item by item.
    """

    def __init__(self, model: Loaded, items: Sequence[Prompted]):
        """Run the model over the items."""
        self.model, self.items = model, list(items)
        found = [one.tails for one in items]
        self._row = pack([tails.tree for tails in found], model.device)
        reader = TailReader(self._row, found)
        logits, self._states = read_states(model, self._row, reader.picked)
        self.scores = reader.read(logits).double().cpu().numpy()
        self.said = [said(one.item, scores) for one, scores in zip(items, self.scores, strict=True)]

    def patched(self, copies: Sequence[Copy]) -> np.ndarray:
        """Run the model with patches, as many in a pass as fit into it.

        Returns:
            What `scores` holds, for each copy; float64 [copies, texts, most tails].
        """
        out = np.full((len(copies), *self.scores.shape[1:]), -np.inf)
        for part in _passes([len(self.items[copy.item].tails.tree) for copy in copies]):
            found = self._pass(copies[part])
            out[part, :, : found.shape[2]] = found
        return out

    def _pass(self, copies: Sequence[Copy]) -> np.ndarray:
        device = self.model.device
        found = [self.items[copy.item].tails for copy in copies]
        row = pack([tails.tree for tails in found], device)
        reader = TailReader(row, found)
        put: dict[Site, list[Patch]] = {}
        for k, copy in enumerate(copies):
            for move in copy.moves:
                to = torch.from_numpy(row.place(k, move.to)).to(device)
                for site in move.sites:
                    put.setdefault(site, []).append(Patch(to, self._given(site, move)))
        patches = {
            site: Patch(torch.cat([one.places for one in some]), torch.cat([one.states for one in some]))
            for site, some in put.items()
        }
        return reader.read(patched_logits(self.model, row, reader.picked, patches)).double().cpu().numpy()

    def _given(self, site: Site, move: Move) -> torch.Tensor:
        """The states that a move puts at a site, [places, width]."""
        taken = [
            self._row.place(donor, places) for donor, places in zip(move.donors, move.taken, strict=True)
        ]
        states = self._states[site][torch.from_numpy(np.stack(taken)).to(self.model.device)]
        states = states[0] if len(taken) == 1 else states.mean(0)
        return states if move.added is None else states + move.added.to(states)

    def states(self, site: Site, item: int, places: np.ndarray) -> torch.Tensor:
        """Return the states of a site at places of an item's tree, without any patch, [places, width]."""
        return self._states[site][torch.from_numpy(self._row.place(item, places)).to(self.model.device)]


def _passes(sizes: Sequence[int]) -> Iterator[slice]:
    """Cut copies of these numbers of tokens into passes."""
    start, tokens = 0, 0
    for k, size in enumerate(sizes):
        if tokens and tokens + size > TOKENS:
            yield slice(start, k)
            start, tokens = k, 0
        tokens += size
    if sizes:
        yield slice(start, len(sizes))


def said(item: Item, scores: np.ndarray) -> Said:
    """Read off the scores of an item, [texts, most tails], what the model chose and stated."""
    choices = len(item.choices)
    label = int(scores[2, : 2 * choices].argmax())
    x, cf = (int(scores[k, :choices].argmax()) for k in (0, 1))
    return Said(x, cf, label % choices, label // choices)


def odds(item: Item, what: Said, scores: np.ndarray) -> np.ndarray:
    """Compute the log-odds of what a model said, against all else that it could have said.

    Args:
        item: The item.
        what: What the model said.
        scores: Log-probabilities of choices and labels, [..., texts, most tails].

    Returns:
        The log-odds of each output (outputs.py), float64 [..., outputs].
    """
    choices = len(item.choices)
    labels = scores[..., 2, : 2 * choices].reshape(*scores.shape[:-2], 2, choices)
    answers = np.logaddexp(labels[..., 0, :], labels[..., 1, :])
    flags = np.logaddexp.reduce(labels, -1)
    chances = (scores[..., 0, :choices], scores[..., 1, :choices], answers, flags)
    chosen = (what.x, what.cf, what.answer, what.flag)
    each = [
        some[..., k] - np.logaddexp.reduce(np.delete(some, k, -1), -1)
        for some, k in zip(chances, chosen, strict=True)
    ]
    return np.stack(each, -1)
