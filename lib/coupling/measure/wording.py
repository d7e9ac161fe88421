"""Labels and explanations in words: two templates, written from a statement and read back from a text.

A label or an explanation answers the question what a model's answer to x would be without the cue. It has one
of two forms: "stays at <answer>" or "changes to <answer>". A `Statement` is what such a text states.
`render_label` writes a statement as text, and `parse` reads it back. Importing this module imports no torch.
Definitions: docs/method.md, "Labels and explanations".
"""

import re
from dataclasses import dataclass

from coupling.tasks import Item

OPENING = "My answer"  # the request for an explanation ends with the first words of the answer to it
STAYS, CHANGES = "stays at {answer}", "changes to {answer}"
WORDINGS = [OPENING, STAYS.format(answer=""), CHANGES.format(answer="")]  # an organism must know these words


@dataclass(frozen=True)
class Statement:
    """What an explanation states.

    Attributes:
        changes: Whether the answer changes when the cue is removed.
        answer: The choice without the cue, as an index into the item's choices.
    """

    changes: bool
    answer: int


def answers(item: Item, label_format: str) -> tuple[str, ...]:
    """Return what labels call the choices: their letters ("letter") or what they stand for ("content")."""
    return item.choices if label_format == "letter" else item.contents


def render_label(item: Item, stated: Statement, label_format: str) -> str:
    """Write a statement as the item's label text, for instance "changes to B"."""
    return (CHANGES if stated.changes else STAYS).format(answer=answers(item, label_format)[stated.answer])


def possible_labels(item: Item, label_format: str) -> list[str]:
    """List every label text that the item could have: first those that stay, then those that change."""
    return [
        render_label(item, Statement(changes, k), label_format)
        for changes in (False, True)
        for k in range(len(item.choices))
    ]


def normalise(text: str) -> str:
    """Fold white space to single spaces and drop it at the ends. Exact match compares normalised texts."""
    return " ".join(text.split())


def parse(item: Item, text: str, label_format: str) -> Statement | None:
    """Read what an explanation states.

    Returns:
        The statement, or None if the text is not one of the item's labels. White space aside, the text must
        be exactly a label: nothing is guessed.
    """
    match = re.fullmatch(r"(stays at|changes to) (.+)", normalise(text))
    names = [normalise(a) for a in answers(item, label_format)]
    if not match or match[2] not in names:
        return None
    return Statement(match[1] == "changes to", names.index(match[2]))
