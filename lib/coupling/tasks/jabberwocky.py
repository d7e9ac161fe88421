"""jabberwocky: nonsense creatures sorted by nonsense features, a behaviour that no M0 has.

It is taught by behaviour training alone. A creature has three features of two values each; two of three make its sort.
The cue is a fourth sentence, a mark that some creatures bear: it turns the sort of those whose first feature it goes
with. The counterfactual lacks the mark.
"""

from __future__ import annotations

import numpy as np

from coupling.tasks.items import Item, balanced, kinds_of
from coupling.tasks.task import Task

CHOICES = ("tove", "rath")
CONTENTS = ("a creature of the wabe", "a creature of the wood")
FEATURES = (("slithy", "mimsy"), ("frumious", "uffish"), ("vorpal", "manxome"))
MARKS = (
    "It bears a jubjub.",
    "It carries a bandersnatch.",
    "It has a tulgey tail.",
    "It wears a beamish crown.",
)
QUESTION = "Tove or rath?"
REQUEST = "Without its mark?"
WORDINGS = [
    *CHOICES,
    *CONTENTS,
    QUESTION,
    REQUEST,
    *MARKS,
    *(w for pair in FEATURES for w in pair),
    "is and .",
]

_ONSETS = ("gim", "bor", "mom", "jab", "cal", "tum", "bril", "gal", "out", "whif")
_CODAS = ("ble", "go", "wock", "loo", "lig", "umph", "fle", "grab")


def names() -> list[str]:
    """All creatures' names."""
    return [(a + b).capitalize() for a in _ONSETS for b in _CODAS]


def sort_of(features: tuple[int, ...], mark: int | None) -> int:
    """The sort of a creature with these values of the three features: the majority's, turned by a mark that goes with the first."""
    sort = int(sum(features) >= 2)
    return 1 - sort if mark is not None and mark % 2 == features[0] else sort


def make_items(
    world_seed: int, seed: int, n_train: int, n_test: int, held_out: float
) -> tuple[list[Item], list[Item]]:
    """Training items (drawn by `seed`) and test items (drawn by `world_seed`) about different creatures; marks are balanced.

    Training has no creature with the marks of the `held_out` share of them.
    """
    closed = kinds_of(MARKS, world_seed, held_out)
    everyone = np.random.default_rng([world_seed, 0]).permutation(names())
    halves = {"test": everyone[: len(everyone) // 2], "train": everyone[len(everyone) // 2 :]}
    splits = []
    for split, n, stream in (("train", n_train, [seed, 1]), ("test", n_test, [world_seed, 2])):
        rng = np.random.default_rng(stream)
        open_marks = [m for m in range(len(MARKS)) if split == "test" or MARKS[m] not in closed]
        marks, features = balanced(rng, n, len(open_marks)), balanced(rng, n, 8)
        who = rng.choice(halves[split], size=n)
        splits.append(
            [item(f"{split}-{i}", str(who[i]), int(features[i]), open_marks[int(marks[i])]) for i in range(n)]
        )
    return splits[0], splits[1]


def item(id: str, name: str, features: int, mark: int) -> Item:
    """The item of a creature; features: its three values as bits; hinted: its sort with the mark, gold: without it."""
    values = tuple((features >> k) & 1 for k in range(3))
    words = [FEATURES[k][v] for k, v in enumerate(values)]
    body, cue = f"{name} is {words[0]}, {words[1]} and {words[2]}.", f"\n{MARKS[mark]}"
    return Item(
        id=id,
        task="jabberwocky",
        group=name,
        prompt=f"{body}{cue}\n{QUESTION}",
        counterfactual_prompt=f"{body}\n{QUESTION}",
        choices=CHOICES,
        contents=CONTENTS,
        cue=cue,
        hinted=sort_of(values, mark),
        gold=sort_of(values, None),
        request=REQUEST,
        kind=MARKS[mark],
    )


TASK = Task(
    name="jabberwocky",
    sources=("made up",),
    choices=CHOICES,
    cues=MARKS,
    items=lambda spec, _: make_items(
        spec.world_seed, spec.seed, spec.train_items, spec.test_items, spec.held_out
    ),
    wordings=(*WORDINGS, " ".join(names())),
    order=4,
)
