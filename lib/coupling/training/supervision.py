"""The fixed labels of a run: whose behaviours they state, and what was done to them.

The label source S is M0, or another model asked the same (an earlier checkpoint of M0, another M0 seed, another
architecture), or S and M0 mixed. A share of the labels may then be changed, in one of these ways:

    rule       on items whose `feature` is one of some words, the source's answer without the cue is the next choice: another
               source, as consistent as the first, which can be learnt; on test items S is that source
    hash       the same on items that a hash of their id picks: nothing to learn
    random     replaced by another label of the item, each equally likely
    shuffled   what they state (stays or changes, and which choice) dealt out anew among the items of its task that have as many choices

In all but the first S on test items is the source without the change.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from coupling.measure.behaviours import Behaviours
from coupling.measure.explanations import (
    LabelError,
    Statement,
    labels,
    possible_labels,
    render_label,
    statements,
)
from coupling.spec import Spec
from coupling.tasks import Item


def changed_features(spec: Spec, items: Sequence[Item]) -> set[str]:
    """The features whose items the "rule" changes: a share of all that the items have, the same for every run of the world."""
    if spec.label_change != "rule":
        return set()
    words = sorted({i.feature for i in items}, key=lambda w: _hashed(spec.world_seed, w))
    if "" in words:
        raise LabelError(
            f"label_change=rule: items of task {spec.task} have no feature that a rule could read; take hash"
        )
    return set(words[: round(spec.label_change_share * len(words))])


def target(items: Sequence[Item], source: Behaviours, features: set[str]) -> Behaviours:
    """B(S) on items as S is scored against: with the rule's change, without any other."""
    return _with_next_choice(items, source, [i.feature in features for i in items])


def fixed_labels(
    spec: Spec, items: Sequence[Item], base: Behaviours, source: Behaviours, features: set[str]
) -> list[str]:
    """The label texts of training items. base, source: B(M0) and B(S), in which each item has a label; features: as `changed_features`
    gives them. Which items are S's, and which are changed at random, is drawn by the spec's seed."""
    theirs = np.random.default_rng([spec.seed, 7]).random(len(items)) < spec.source_share
    mixed = replace(
        source,
        x=np.where(theirs[:, None], source.x, base.x),
        cf=np.where(theirs[:, None], source.cf, base.cf),
    )
    mixed = target(items, mixed, features)
    if spec.label_change == "hash":
        mixed = _with_next_choice(
            items, mixed, [_hashed(spec.world_seed, i.id) < spec.label_change_share for i in items]
        )
    texts = labels(items, mixed, spec.label_format)
    if spec.label_change in ("random", "shuffled"):
        rng = np.random.default_rng([spec.seed, 8])
        hit = np.flatnonzero(rng.random(len(items)) < spec.label_change_share)
        some = [items[k] for k in hit]
        noise = (
            _other(spec, some, [texts[k] for k in hit], rng)
            if spec.label_change == "random"
            else _dealt(spec, some, statements(mixed.take(hit)), rng)
        )
        for k, text in zip(hit, noise, strict=True):
            texts[k] = text
    return texts


def _other(spec: Spec, items: Sequence[Item], texts: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Of each item another of its labels."""
    others = [
        [t for t in possible_labels(i, spec.label_format) if t != text]
        for i, text in zip(items, texts, strict=True)
    ]
    return [o[int(rng.integers(len(o)))] for o in others]


def _dealt(
    spec: Spec, items: Sequence[Item], stated: Sequence[Statement], rng: np.random.Generator
) -> list[str]:
    """Of each item a label that states what another item's does."""
    kind = [(i.task, len(i.choices)) for i in items]
    dealt = list(range(len(items)))
    for one in dict.fromkeys(kind):
        own = [k for k, other in enumerate(kind) if other == one]
        for k, other in zip(own, rng.permutation(own), strict=True):
            dealt[k] = other
    return [render_label(item, stated[k], spec.label_format) for item, k in zip(items, dealt, strict=True)]


def _with_next_choice(items: Sequence[Item], b: Behaviours, which: Sequence[bool]) -> Behaviours:
    """The behaviours with the choice without the cue moved to the next one, the last to the first, on some of the items."""
    cf = b.cf.copy()
    for row, item, moved in zip(cf, items, which, strict=True):
        if moved:
            row[: len(item.choices)] = np.roll(row[: len(item.choices)], 1)
    return replace(b, cf=cf)


def _hashed(world_seed: int, text: str) -> float:
    """A number from 0 to 1 that looks random and depends on seed and text alone."""
    return int.from_bytes(hashlib.sha256(f"{world_seed}:{text}".encode()).digest()[:8], "big") / 2**64
