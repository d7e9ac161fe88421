"""The fixed labels of a run: whose behaviours they state, and what was done to a share of them.

The labels state the behaviours of the label source S. S is M0, or another model that was asked the same: an
earlier checkpoint of M0, an M0 of another seed, or a model of another architecture. Labels of S and of M0 can
be mixed (`source_share`).

A share of the labels may then be changed (`label_change`, `label_change_share`), in one of these ways:

- rule: on items whose `feature` is among some words, S's answer without the cue becomes the next choice. That
  is a source as consistent as S, and an explainer can learn the rule. On test items S is that source.
- hash: the same change, on items that a hash of the item's id picks. Nothing can be learnt from it.
- random: the label is replaced by another label of the item. Each other label is equally likely.
- shuffled: what the labels state (stays or changes, and which choice) is dealt out anew among the items of a
  task that have as many choices.

In all ways but the first, S on test items is the source without the change.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from coupling.measure.behaviours import Behaviours
from coupling.measure.explanations import LabelError, labels, statements
from coupling.measure.wording import Statement, possible_labels, render_label
from coupling.spec import Spec
from coupling.tasks import Item


def changed_features(spec: Spec, items: Sequence[Item]) -> set[str]:
    """Return the features whose items the way "rule" changes; none in other ways.

    Every run of a world changes the same features.

    Args:
        spec: The spec. `label_change_share` is the share of features that are changed.
        items: All training and test items.

    Raises:
        LabelError: If items have no feature, so that no rule could read it.
    """
    if spec.label_change != "rule":
        return set()
    words = sorted({item.feature for item in items}, key=lambda word: _hashed(spec.world_seed, word))
    if "" in words:
        raise LabelError(
            f"label_change=rule: items of task {spec.task} have no feature that a rule could read; take hash"
        )
    return set(words[: round(spec.label_change_share * len(words))])


def target(items: Sequence[Item], source: Behaviours, features: set[str]) -> Behaviours:
    """Return B(S) as explanations are scored against it: with a rule's change, without any other.

    Args:
        items: The items.
        source: The behaviours of the label source on them.
        features: What `changed_features` gives.
    """
    return _with_next_choice(items, source, [item.feature in features for item in items])


def fixed_labels(
    spec: Spec, items: Sequence[Item], base: Behaviours, source: Behaviours, features: set[str]
) -> list[str]:
    """Make the label texts of the training items.

    The spec's seed draws which labels are S's in a mixture, and which are changed at random.

    Args:
        spec: The spec.
        items: The training items.
        base: B(M0) on them. Every item has a label.
        source: B(S) on them. Every item has a label.
        features: What `changed_features` gives.
    """
    behaviours = target(items, _mixture(spec, base, source), features)
    if spec.label_change == "hash":
        hit = [_hashed(spec.world_seed, item.id) < spec.label_change_share for item in items]
        behaviours = _with_next_choice(items, behaviours, hit)
    texts = labels(items, behaviours, spec.label_format)
    return _with_noise(spec, items, behaviours, texts)


def _mixture(spec: Spec, base: Behaviours, source: Behaviours) -> Behaviours:
    """Take a share `source_share` of the items' behaviours from S, and the others from M0."""
    of_source = np.random.default_rng([spec.seed, 7]).random(len(source.ids)) < spec.source_share
    x, cf = (
        np.where(of_source[:, None], theirs, own)
        for theirs, own in ((source.x, base.x), (source.cf, base.cf))
    )
    return replace(source, x=x, cf=cf)


def _with_noise(spec: Spec, items: Sequence[Item], behaviours: Behaviours, texts: list[str]) -> list[str]:
    """Change a share of the labels at random, if the spec says "random" or "shuffled"."""
    if spec.label_change not in ("random", "shuffled"):
        return texts
    rng = np.random.default_rng([spec.seed, 8])
    hit = np.flatnonzero(rng.random(len(items)) < spec.label_change_share)
    some = [items[k] for k in hit]
    if spec.label_change == "random":
        noise = _other_labels(spec, some, [texts[k] for k in hit], rng)
    else:
        noise = _dealt(spec, some, statements(behaviours.take(hit)), rng)
    noisy = dict(zip(hit, noise, strict=True))
    return [noisy.get(k, text) for k, text in enumerate(texts)]


def _other_labels(
    spec: Spec, items: Sequence[Item], texts: Sequence[str], rng: np.random.Generator
) -> list[str]:
    """Draw for each item one of its labels that is not the given one."""
    chosen = []
    for item, text in zip(items, texts, strict=True):
        others = [label for label in possible_labels(item, spec.label_format) if label != text]
        chosen.append(others[int(rng.integers(len(others)))])
    return chosen


def _dealt(
    spec: Spec, items: Sequence[Item], stated: Sequence[Statement], rng: np.random.Generator
) -> list[str]:
    """Deal the statements out anew, among items of one task that have as many choices."""
    kinds = [(item.task, len(item.choices)) for item in items]
    dealt = list(range(len(items)))
    for kind in dict.fromkeys(kinds):
        alike = [k for k, other in enumerate(kinds) if other == kind]
        for k, other in zip(alike, rng.permutation(alike), strict=True):
            dealt[k] = other
    return [render_label(item, stated[k], spec.label_format) for item, k in zip(items, dealt, strict=True)]


def _with_next_choice(items: Sequence[Item], b: Behaviours, which: Sequence[bool]) -> Behaviours:
    """Move the choice without the cue to the next one on some items. The last choice becomes the first."""
    cf = b.cf.copy()
    for row, item, moved in zip(cf, items, which, strict=True):
        if moved:
            row[: len(item.choices)] = np.roll(row[: len(item.choices)], 1)
    return replace(b, cf=cf)


def _hashed(world_seed: int, text: str) -> float:
    """Return a number from 0 to 1 that looks random and depends on seed and text alone."""
    return int.from_bytes(hashlib.sha256(f"{world_seed}:{text}".encode()).digest()[:8], "big") / 2**64
