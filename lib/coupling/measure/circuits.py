"""Which sites decide a model's behaviour, and which its explanations: activation patching.

The states of a site (models/sites.py) at the tokens of a group (token_groups.py) are replaced by those that
the same model has elsewhere. There are two ways:

    "other"  the states of another item, at the tokens that stand beside each other
    "cue"    the states of the same item without its cue, put into x, and those of x put into x without it

What that does is read off all outputs of one pass: the choice on x ("x"), the choice on x without the cue
("cf"), and of the explanation of x the stated answer ("answer") and whether it changes ("flag"). The effect
of a patch on an output is by how much the log-odds fall of what the model said without the patch, against all
else that it could have said. An answer's odds are summed over both flags, and a flag's over all answers.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import torch

from coupling.errors import StudyError
from coupling.measure.behaviours import REPLY_TOKENS, batches, behaviour_texts, check_finite
from coupling.measure.token_groups import GROUPS, Prompted, beside, prompted, without_cue
from coupling.models import Loaded, TailReader, encode, generated, pack
from coupling.models.sites import Patch, Site, patched_logits, read_states, sites
from coupling.tasks import Item
from coupling.tasks.detector import detect

WAYS = ("other", "cue")
OUTPUTS = ("x", "cf", "answer", "flag")
REPLY_HEAD = 6  # so many tokens of a reply are compared with those of the other reply
BLOCK = 16  # items whose states are held at once; the other item is one of them
TOKENS = 6000  # tokens of a pass
DIGITS = 4  # of an effect; what lies below is rounding


class CircuitError(StudyError, ValueError):
    """Nothing can be patched on these items; the message says why."""


class Copy(NamedTuple):
    """One patch, on a copy of an item's tree.

    Attributes:
        item: The item, by its place in the block.
        donor: The item whose states are taken.
        sites: The sites.
        pairs: The places in the item's tree, and those in the donor's tree; int64 [2, places].
    """

    item: int
    donor: int
    sites: tuple[Site, ...]
    pairs: np.ndarray


@dataclass(frozen=True)
class Said:
    """What a model chose and stated without any patch.

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
        self.said = [_said(one.item, scores) for one, scores in zip(items, self.scores, strict=True)]

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
        moved: dict[Site, list[np.ndarray]] = {}
        for k, copy in enumerate(copies):
            to, taken = copy.pairs
            where = np.stack([row.place(k, to), self._row.place(copy.donor, taken)])
            for site in copy.sites:
                moved.setdefault(site, []).append(where)
        patches = {}
        for site, where in moved.items():
            to, taken = torch.from_numpy(np.concatenate(where, 1)).to(device)
            patches[site] = Patch(to, self._states[site][taken])
        return reader.read(patched_logits(self.model, row, reader.picked, patches)).double().cpu().numpy()


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


def _said(item: Item, scores: np.ndarray) -> Said:
    choices = len(item.choices)
    label = int(scores[2, : 2 * choices].argmax())
    x, cf = (int(scores[k, :choices].argmax()) for k in (0, 1))
    return Said(x, cf, label % choices, label // choices)


def odds(item: Item, said: Said, scores: np.ndarray) -> np.ndarray:
    """Compute the log-odds of what a model said, against all else that it could have said.

    Args:
        item: The item.
        said: What the model said.
        scores: Log-probabilities of choices and labels, [..., texts, most tails].

    Returns:
        The log-odds of each of OUTPUTS, float64 [..., outputs].
    """
    choices = len(item.choices)
    labels = scores[..., 2, : 2 * choices].reshape(*scores.shape[:-2], 2, choices)
    answers = np.logaddexp(labels[..., 0, :], labels[..., 1, :])
    flags = np.logaddexp.reduce(labels, -1)
    chances = (scores[..., 0, :choices], scores[..., 1, :choices], answers, flags)
    chosen = (said.x, said.cf, said.answer, said.flag)
    each = [
        some[..., k] - np.logaddexp.reduce(np.delete(some, k, -1), -1)
        for some, k in zip(chances, chosen, strict=True)
    ]
    return np.stack(each, -1)


def donors(items: Sequence[Prompted]) -> list[int]:
    """Choose for each item another one that gives its states: the next of its layout, if there is one."""
    of_layout: dict[tuple, list[int]] = {}
    for k, one in enumerate(items):
        of_layout.setdefault(one.layout, []).append(k)
    chosen = [(k + 1) % len(items) for k in range(len(items))]
    for alike in of_layout.values():
        if len(alike) > 1:
            for k, other in zip(alike, [*alike[1:], alike[0]], strict=True):
                chosen[k] = other
    return chosen


def pairs_of(
    items: Sequence[Prompted], item: int, donor: int, way: Literal["other", "cue"], groups: Sequence[str]
) -> np.ndarray:
    """Return the places of `Copy` for some groups; int64 [2, places], empty where nothing is replaced."""
    one = items[item]
    found = beside(one, items[donor], groups) if way == "other" else without_cue(one, groups)
    return np.array([list(found), list(found.values())], np.int64).reshape(2, -1)


@torch.no_grad()
def effects(
    loaded: Loaded, items: Sequence[Item], label_format: str, layers: Sequence[int] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Patch every site of a model at every group of tokens, and measure what that does to its outputs.

    Args:
        loaded: The model. It must take prefix trees.
        items: The items.
        label_format: What labels call choices, "letter" or "content".
        layers: The layers that are patched. None: all.

    Returns:
        One row an item and patch: id, way (one of WAYS), layer, part and group, and the effect on each of
        OUTPUTS, float32. And one row an item: id and what the model said without any patch, in the columns of
        OUTPUTS, with the log-odds of it, odds_x and so on. Items whose two replies cannot be told apart are
        left out.

    Raises:
        SiteError: If the model cannot be patched.
        GroupError: If the tokens of an item cannot be put into groups.
        CircuitError: If no item, or only one, can be patched.
        NotFinite: If what the model computes are no numbers.
    """
    check_finite(loaded)
    chosen = [site for site in sites(loaded.model) if layers is None or site.layer in layers]
    made = _all_prompted(loaded, items, label_format)
    rows, about = [], []
    for part in batches(len(made), BLOCK):
        block = Block(loaded, made[part])
        for k, (one, said) in enumerate(zip(block.items, block.said, strict=True)):
            clean = odds(one.item, said, block.scores[k])
            about.append({"id": one.item.id} | vars(said) | _named("odds_", clean))
        rows.append(_of_block(block, chosen))
    return pd.concat(rows, ignore_index=True), pd.DataFrame(about)


def _named(prefix: str, values: np.ndarray) -> dict[str, float]:
    return {prefix + name: float(value) for name, value in zip(OUTPUTS, values, strict=True)}


def _all_prompted(loaded: Loaded, items: Sequence[Item], label_format: str) -> list[Prompted]:
    """Make the texts of all items. Items of one layout stand together, and no block has one item alone."""
    replies = reply_heads(loaded, [i for i in items if i.replies])
    made = [
        prompted(loaded, i, label_format, replies.get(i.id, ()))
        for i in items
        if not i.replies or i.id in replies
    ]
    if len(made) < 2:
        raise CircuitError(
            f"{len(made)} of {len(items)} items can be patched, and two are needed: give more items"
        )
    made.sort(key=lambda one: one.layout)
    return made[:-1] if len(made) % BLOCK == 1 else made


def _of_block(block: Block, chosen: Sequence[Site]) -> pd.DataFrame:
    """Patch all sites of the items of a block, at every group of tokens that has something to replace."""
    copies, names = [], []
    for item, donor in enumerate(donors(block.items)):
        for way in WAYS:
            for group in GROUPS:
                pairs = pairs_of(block.items, item, donor, way, [group])
                if pairs.size:
                    copies += [
                        Copy(item, donor if way == "other" else item, (site,), pairs) for site in chosen
                    ]
                    names += [(block.items[item].item.id, way, *site, group) for site in chosen]
    scores = block.patched(copies)
    falls = np.empty((len(copies), len(OUTPUTS)), np.float32)
    of_item = np.array([copy.item for copy in copies])
    for k, (one, said) in enumerate(zip(block.items, block.said, strict=True)):
        clean = odds(one.item, said, block.scores[k])
        falls[of_item == k] = clean - odds(one.item, said, scores[of_item == k])
    found = pd.DataFrame(names, columns=["id", "way", "layer", "part", "group"])
    return found.assign(**dict(zip(OUTPUTS, falls.round(DIGITS).T, strict=True)))


def by_site(found: pd.DataFrame) -> pd.DataFrame:
    """Average effects over the items of each fold.

    Patches of the way "cue" count on items alone whose choice changes without the cue: on others there is
    nothing to be moved.

    Args:
        found: Rows of `effects` with further columns: task, trained, held_out, fold, and changed, which says
            whether the choices on x and on x without its cue differ.

    Returns:
        One row a task, trained, held_out, fold and patch, with items (int32) and the mean of each of OUTPUTS.
    """
    kept = found[(found["way"] == "other") | found["changed"]]
    by = ["task", "trained", "held_out", "fold", "way", "layer", "part", "group"]
    groups = kept.groupby(by, sort=False, observed=True)
    means = groups[list(OUTPUTS)].mean().round(DIGITS).astype(np.float32)
    return means.assign(items=groups.size().astype(np.int32)).reset_index()


def reply_heads(loaded: Loaded, items: Sequence[Item]) -> dict[str, tuple[tuple[int, ...], ...]]:
    """Find for each item a reply that makes each choice, and return their first tokens.

    A choice that the model makes on x or on x without the cue has the model's own reply there. For another
    choice stands the commonest reply, over all items, that makes it.

    Returns:
        By the id of the item the token ids of a reply for each choice. Items for which there are none, or
        whose replies begin alike, are left out.
    """
    if not items:
        return {}
    prompts = [encode(loaded.tokenizer, text) for i in items for text in behaviour_texts(loaded, i)]
    said = []
    for part in batches(len(prompts), 128):
        said += generated(loaded, prompts[part], REPLY_TOKENS)
    choices = [detect(t) for t in loaded.tokenizer.batch_decode(said, skip_special_tokens=True)]
    heads = [tuple(reply[:REPLY_HEAD]) for reply in said]
    counts = Counter((c, head) for c, head in zip(choices, heads, strict=True) if c is not None)
    usual = {c: head for (c, head), _ in reversed(counts.most_common())}
    found = {}
    for k, item in enumerate(items):
        own = usual | {choices[j]: heads[j] for j in (2 * k + 1, 2 * k) if choices[j] is not None}
        each = tuple(own.get(c, ()) for c in range(len(item.choices)))
        if all(each) and not _begins(each):
            found[item.id] = each
    return found


def _begins(texts: Sequence[tuple[int, ...]]) -> bool:
    """Tell whether one of some texts begins another."""
    return any(a != b and b[: len(a)] == a for a in texts for b in texts) or len(set(texts)) < len(texts)
