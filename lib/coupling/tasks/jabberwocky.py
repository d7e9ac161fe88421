"""jabberwocky: nonsense creatures are sorted by nonsense features. No M0 has this behaviour.

A run teaches it by behaviour alone (`teach`), never its explanations. A creature has three features of two
values each. The value that two of the three have makes its sort. The cue is a fourth sentence, a mark that
some creatures bear. A mark turns the sort of creatures whose first feature goes with it. The counterfactual
prompt lacks the mark.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from coupling.tasks.items import Item
from coupling.tasks.splits import Part, Splits, balanced, dealt_in_half, held_out_kinds, parts
from coupling.tasks.task import Task

if TYPE_CHECKING:
    import numpy as np

    from coupling.spec import Spec

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

_ONSETS = ("gim", "bor", "mom", "jab", "cal", "tum", "bril", "gal", "out", "whif")
_CODAS = ("ble", "go", "wock", "loo", "lig", "umph", "fle", "grab")


def names() -> list[str]:
    """Return all creatures' names."""
    return [(onset + coda).capitalize() for onset in _ONSETS for coda in _CODAS]


def sort_of(features: tuple[int, ...], mark: int | None) -> int:
    """Return the sort of a creature, as an index into CHOICES.

    Args:
        features: The value of each of the three features, 0 or 1.
        mark: An index into MARKS, or None without a mark. Even marks turn the sort of creatures whose first
            feature is 0, odd marks that of creatures whose first feature is 1.
    """
    sort = int(sum(features) >= 2)
    return 1 - sort if mark is not None and mark % 2 == features[0] else sort


def item(id: str, name: str, features: int, mark: int) -> Item:
    """Make the item of a creature.

    Args:
        id: See `Item`.
        name: The creature's name.
        features: The values of its three features as the bits of a number.
        mark: An index into MARKS.
    """
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


def _make(part: Part, creatures: np.ndarray, closed: set[str]) -> list[Item]:
    """Make the items of one part about these creatures. Marks and features are balanced."""
    open_marks = [k for k, text in enumerate(MARKS) if text not in closed]
    marks, features = balanced(part.rng, part.size, len(open_marks)), balanced(part.rng, part.size, 8)
    who = part.rng.choice(creatures, size=part.size)
    return [
        item(f"{part.name}-{i}", str(who[i]), int(features[i]), open_marks[int(marks[i])])
        for i in range(part.size)
    ]


def _items(spec: Spec, _: dict[str, Path]) -> Splits:
    half = dealt_in_half(names(), spec)
    train, test = parts(spec)
    return _make(train, half["train"], held_out_kinds(MARKS, spec)), _make(test, half["test"], set())


WORDINGS = (
    *CHOICES,
    *CONTENTS,
    QUESTION,
    REQUEST,
    *MARKS,
    *(word for pair in FEATURES for word in pair),
    "is and .",
    " ".join(names()),
)

TASK = Task(
    name="jabberwocky",
    sources=("made up",),
    choices=CHOICES,
    cues=MARKS,
    items=_items,
    wordings=WORDINGS,
    order=4,
)
