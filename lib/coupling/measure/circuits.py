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
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
import torch

from coupling.errors import StudyError
from coupling.measure.behaviours import REPLY_TOKENS, batches, behaviour_texts, check_finite
from coupling.measure.outputs import GROUPS, OUTPUTS
from coupling.measure.patches import BLOCK, Block, Copy, Move, odds
from coupling.measure.token_groups import Prompted, beside, prompted, without_cue
from coupling.models import Loaded, encode, generated
from coupling.models.sites import Site, sites
from coupling.tasks import Item
from coupling.tasks.detector import detect

WAYS = ("other", "cue")
REPLY_HEAD = 6  # so many tokens of a reply are compared with those of the other reply
DIGITS = 4  # of an effect; what lies below is rounding


class CircuitError(StudyError, ValueError):
    """Nothing can be patched on these items; the message says why."""


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


def move_of(
    items: Sequence[Prompted],
    item: int,
    donor: int,
    way: Literal["other", "cue"],
    groups: Sequence[str],
    at: tuple[Site, ...],
) -> Move:
    """Return the move that patches an item at the tokens of some groups.

    Args:
        items: The items of a block.
        item: The item that is patched.
        donor: The item whose states are taken, if the way is "other".
        way: One of WAYS.
        groups: The groups of tokens.
        at: The sites.
    """
    one = items[item]
    found = beside(one, items[donor], groups) if way == "other" else without_cue(one, groups)
    pairs = np.array([list(found), list(found.values())], np.int64).reshape(2, -1)
    return Move(at, pairs[0], (donor if way == "other" else item,), pairs[1:])


@torch.no_grad()
def effects(
    loaded: Loaded, made: Sequence[Prompted], layers: Sequence[int] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Patch every site of a model at every group of tokens, and measure what that does to its outputs.

    Args:
        loaded: The model. It must take prefix trees.
        made: The items, as `prepared` makes them.
        layers: The layers that are patched. None: all.

    Returns:
        One row an item and patch: id, way (one of WAYS), layer, part and group, and the effect on each of
        OUTPUTS, float32. And one row an item: id and what the model said without any patch, in the columns of
        OUTPUTS, with the log-odds of it, odds_x and so on.

    Raises:
        SiteError: If the model cannot be patched.
        NotFinite: If what the model computes are no numbers.
    """
    check_finite(loaded)
    chosen = [site for site in sites(loaded.model) if layers is None or site.layer in layers]
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


def prepared(loaded: Loaded, items: Sequence[Item], label_format: str) -> list[Prompted]:
    """Make the texts of some items. Items of one layout stand together, and no block has one item alone.

    Args:
        loaded: The model. Where behaviour is a reply, its own replies are the choices.
        items: The items. Those whose two replies cannot be told apart are left out.
        label_format: What labels call choices, "letter" or "content".

    Raises:
        GroupError: If the tokens of an item cannot be put into groups.
        CircuitError: If no item, or only one, can be patched.
    """
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
                move = move_of(block.items, item, donor, way, [group], ())
                if move.to.size:
                    copies += [Copy(item, (move._replace(sites=(site,)),)) for site in chosen]
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
