"""Training items and test items: how many there are, what they are drawn by, and what they must not share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from coupling.tasks.items import Item, TaskError

if TYPE_CHECKING:
    from coupling.spec import Spec

Splits = tuple[list[Item], list[Item]]


@dataclass(frozen=True)
class Part:
    """The training part or the test part of a task's items.

    Attributes:
        name: "train" or "test".
        size: How many items the spec asks for.
        rng: The generator that draws them.
    """

    name: str
    size: int
    rng: np.random.Generator


def parts(spec: Spec) -> tuple[Part, Part]:
    """Return the training part, drawn by `seed` (or `items_seed`), and the test part, drawn by `world_seed`.

    The test part does not depend on `seed`. All explainers of a world are therefore tested on the same items.
    """
    return (
        Part("train", spec.train_items, np.random.default_rng([spec.draw, 1])),
        Part("test", spec.test_items, np.random.default_rng([spec.world_seed, 2])),
    )


def dealt_in_half(of: Any, spec: Spec) -> dict[str, np.ndarray]:
    """Deal values out to the two parts, half to each, in an order that `world_seed` draws.

    Args:
        of: The values, or their number. For a number, the parts are indices.
        spec: The spec whose items are made.

    Returns:
        The values of each part, by the part's name. Of an odd number, training gets one more.
    """
    mixed = np.random.default_rng([spec.world_seed, 0]).permutation(of)
    return {"test": mixed[: len(mixed) // 2], "train": mixed[len(mixed) // 2 :]}


def held_out_kinds(kinds: Iterable[str], spec: Spec) -> set[str]:
    """Return the kinds of items that get no labels: a share `held_out` of all kinds.

    Every run of the same world holds out the same kinds.

    Raises:
        TaskError: If the share comes to no kind, or to all of them.
    """
    named = sorted(set(kinds))
    count = round(spec.held_out * len(named))
    if spec.held_out and not 0 < count < len(named):
        raise TaskError(
            f"held_out={spec.held_out:g}: of {len(named)} kinds ({', '.join(named) or 'none'}) this holds "
            f"out {count}; give a share that leaves kinds on both sides, items of more kinds, or 0"
        )
    mixed = np.random.default_rng([spec.world_seed, 6]).permutation(named)
    return {str(kind) for kind in mixed[:count]}


def balanced(rng: np.random.Generator, n: int, among: int) -> np.ndarray:
    """Return n integers below `among` in random order, each equally often, to within one; int64 [n]."""
    return rng.permutation(np.arange(n) % among)


def check_splits(train: Iterable[Item], test: Iterable[Item]) -> None:
    """Check that training and test items share nothing, so that no model is tested on what it was taught.

    Raises:
        TaskError: If a group or an item id stands in both.
    """
    train, test = list(train), list(test)
    for what, of in (("group", lambda i: i.group), ("item id", lambda i: i.id)):
        if shared := {of(i) for i in train} & {of(i) for i in test}:
            raise TaskError(
                f"{len(shared)} {what}s stand in training and in test, for instance {sorted(shared)[0]!r}: "
                "splits must not share any"
            )
