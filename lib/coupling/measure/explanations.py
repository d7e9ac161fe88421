"""L(S) and E(M_t): what a model says its answer would be without the cue.

Two templates: the answer stays, or it changes. `render_label` writes them, `parse` is their exact inverse.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from coupling.errors import StudyError
from coupling.measure.behaviours import Behaviours, batches
from coupling.models import Loaded, Seam, completion, continuation_logprobs, encode, generated, render, seam
from coupling.tasks import Item

OPENING = "My answer"
STAYS, CHANGES = "stays at {answer}", "changes to {answer}"
WORDINGS = [OPENING, STAYS.format(answer=""), CHANGES.format(answer="")]


class LabelError(StudyError, ValueError):
    """Labels that cannot be trained on; the message says what they look like."""


@dataclass(frozen=True)
class Statement:
    """What an explanation states: whether the answer changes, and to (or at) which choice, by index."""

    changes: bool
    answer: int


def answers(item: Item, label_format: str) -> tuple[str, ...]:
    """How labels name the item's choices: by "letter", or by "content"."""
    return item.choices if label_format == "letter" else item.contents


def render_label(item: Item, stated: Statement, label_format: str) -> str:
    """The label text of a claim, for instance "changes to B"."""
    return (CHANGES if stated.changes else STAYS).format(answer=answers(item, label_format)[stated.answer])


def possible_labels(item: Item, label_format: str) -> list[str]:
    """Every label text that the item could have."""
    return [
        render_label(item, Statement(changes, k), label_format)
        for changes in (False, True)
        for k in range(len(item.choices))
    ]


def normalise(text: str) -> str:
    """White space folded to single spaces, none at the ends. Exact match compares such strings."""
    return " ".join(text.split())


def parse(item: Item, text: str, label_format: str) -> Statement | None:
    """The claim that `text` states, or None if it is not exactly one of the item's labels (white space aside)."""
    match = re.fullmatch(r"(stays at|changes to) (.+)", normalise(text))
    names = [normalise(a) for a in answers(item, label_format)]
    if not match or match[2] not in names:
        return None
    return Statement(match[1] == "changes to", names.index(match[2]))


def statements(b: Behaviours) -> list[Statement | None]:
    """What each item's behaviours make true: the choice on x against that without the cue. None where a reply is no choice."""
    pairs = zip(b.choice("x"), b.choice("cf"), strict=True)
    return [Statement(bool(x != cf), int(cf)) if min(x, cf) >= 0 else None for x, cf in pairs]


def labels(items: Sequence[Item], b: Behaviours, label_format: str) -> list[str | None]:
    """L(M) from B(M), one text an item; None where a reply is no choice, so that there is no label."""
    return [c and render_label(i, c, label_format) for i, c in zip(items, statements(b), strict=True)]


def check_labels(texts: Sequence[str], allow_constant: bool) -> None:
    """Raise LabelError if there are no labels, or one whole label string exceeds 90 % of them: constant labels teach the majority."""
    if not texts:
        raise LabelError(
            "no training item has a label: none of M0's replies is one of the choices; take another model or other items"
        )
    values, counts = np.unique(np.array(texts, dtype=object).astype(str), return_counts=True)
    top = counts.argmax()
    if counts[top] > 0.9 * len(texts) and not allow_constant:
        raise LabelError(
            f"label {str(values[top])!r} is {counts[top]} of {len(texts)} labels, more than 90 %: explanations would learn the majority. "
            "Take a model or items with more varied behaviour, or set allow_constant_labels=true"
        )


def request(loaded: Loaded, item: Item) -> str:
    """The rendered text that asks for the explanation of x and has begun the answer."""
    return render(loaded, f"{item.prompt}\n{item.request}", OPENING)


def explanation_seam(loaded: Loaded, item: Item, label: str) -> Seam:
    """Where the label, with the end mark behind it, follows the explanation request."""
    prefix, answer = completion(loaded.tokenizer, request(loaded, item), f" {label}")
    return Seam(prefix, (answer,))


def most_tokens(loaded: Loaded, items: Sequence[Item], label_format: str) -> int:
    """How many tokens an explanation of these items may have: those of their longest label, and two. What runs on is no label."""
    named = {CHANGES.format(answer=a) for i in items for a in answers(i, label_format)}
    return 2 + max(len(completion(loaded.tokenizer, OPENING, f" {text}")[1]) for text in named)


@torch.no_grad()
def generate(loaded: Loaded, items: Sequence[Item], label_format: str, batch: int) -> list[str]:
    """E(M): the model's explanations, decoded greedily up to the end mark, normalised; by transformers, in padded batches."""
    texts: list[str] = []
    limit = most_tokens(loaded, items, label_format)
    for part in batches(len(items), batch):
        texts += as_texts(
            loaded,
            generated(loaded, [encode(loaded.tokenizer, request(loaded, i)) for i in items[part]], limit),
        )
    return texts


def as_texts(loaded: Loaded, rows: Sequence[Sequence[int]]) -> list[str]:
    """Generated token ids as normalised text, without the end mark and what stands behind it."""
    return [normalise(t) for t in loaded.tokenizer.batch_decode(rows, skip_special_tokens=True)]


@torch.no_grad()
def forced_choice(loaded: Loaded, items: Sequence[Item], label_format: str, batch: int) -> list[str]:
    """The likeliest of each item's possible labels: what the model would say if it could say nothing but a label."""
    chosen: list[str] = []
    for part in batches(len(items), batch):
        options = [possible_labels(i, label_format) for i in items[part]]
        seams = [
            (seam(loaded.tokenizer, request(loaded, i), tuple(f" {t}" for t in texts)),)
            for i, texts in zip(items[part], options, strict=True)
        ]
        best = continuation_logprobs(loaded, seams)[:, 0].argmax(1).tolist()
        chosen += [texts[k] for texts, k in zip(options, best, strict=True)]
    return chosen
