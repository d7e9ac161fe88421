"""What a model says about its own behaviour: explanations E(M), and labels L(M), which are the true ones.

The texts of both are those of `wording`. `statements` gives the statements that a model's behaviours make
true, `labels` their texts. `generate` and `forced_choice` ask a model for its explanations. Definitions:
docs/method.md, "Labels and explanations".
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from coupling.errors import StudyError
from coupling.measure.behaviours import Behaviours, batches
from coupling.measure.wording import (
    CHANGES,
    OPENING,
    Statement,
    answers,
    normalise,
    parse,
    possible_labels,
    render_label,
)
from coupling.models import Loaded, Seam, completion, continuation_logprobs, encode, generated, render, seam
from coupling.tasks import Item


class LabelError(StudyError, ValueError):
    """Labels cannot be trained on; the message says what they look like."""


def statements(b: Behaviours) -> list[Statement | None]:
    """Return the statement that is true of the behaviour on each item; None where a reply is no choice."""
    pairs = zip(b.choice("x"), b.choice("cf"), strict=True)
    return [Statement(bool(x != cf), int(cf)) if min(x, cf) >= 0 else None for x, cf in pairs]


def labels(items: Sequence[Item], b: Behaviours, label_format: str) -> list[str | None]:
    """Write L(M), the label text of each item, from B(M); None where a reply is no choice."""
    return [
        stated and render_label(i, stated, label_format)
        for i, stated in zip(items, statements(b), strict=True)
    ]


def check_labels(texts: Sequence[str], allow_constant: bool) -> None:
    """Check that labels can be trained on. Near-constant labels would teach the majority and nothing else.

    Args:
        texts: The label texts.
        allow_constant: Whether labels may be near-constant all the same.

    Raises:
        LabelError: If there are no labels, or if one label text is more than 90 % of them and this is not
            allowed.
    """
    if not texts:
        raise LabelError(
            "no training item has a label: none of M0's replies is one of the choices; "
            "take another model or other items"
        )
    values, counts = np.unique(np.array(texts, dtype=object).astype(str), return_counts=True)
    top = counts.argmax()
    if counts[top] > 0.9 * len(texts) and not allow_constant:
        raise LabelError(
            f"label {str(values[top])!r} is {counts[top]} of {len(texts)} labels, more than 90 %: "
            "explanations would learn the majority. Take a model or items with more varied behaviour, or set "
            "allow_constant_labels=true"
        )


def request(loaded: Loaded, item: Item) -> str:
    """Return the text that asks for an explanation on x; it ends with OPENING, the answer's first words."""
    return render(loaded, f"{item.prompt}\n{item.request}", OPENING)


def explanation_seam(loaded: Loaded, item: Item, label: str) -> Seam:
    """Return the seam where a label, with the end mark after it, follows the explanation request."""
    prefix, answer = completion(loaded.tokenizer, request(loaded, item), f" {label}")
    return Seam(prefix, (answer,))


def most_tokens(loaded: Loaded, items: Sequence[Item], label_format: str) -> int:
    """Return how many tokens are generated for an explanation.

    There are two more than the longest label of the items has with its end mark. A longer text is no label.
    """
    named = {CHANGES.format(answer=a) for i in items for a in answers(i, label_format)}
    return 2 + max(len(completion(loaded.tokenizer, OPENING, f" {text}")[1]) for text in named)


@torch.no_grad()
def generate(loaded: Loaded, items: Sequence[Item], label_format: str, batch: int) -> list[str]:
    """Generate E(M): the model's explanations, decoded greedily by transformers in padded batches.

    This is the reference for the faster way of `evaluation.evaluate`.

    Args:
        loaded: The model.
        items: The items to explain.
        label_format: What labels call choices (see `answers`); it limits the length.
        batch: How many items share a batch.

    Returns:
        One normalised text an item, up to the end mark.
    """
    texts: list[str] = []
    limit = most_tokens(loaded, items, label_format)
    for part in batches(len(items), batch):
        prompts = [encode(loaded.tokenizer, request(loaded, i)) for i in items[part]]
        texts += as_texts(loaded, items[part], label_format, generated(loaded, prompts, limit))
    return texts


def as_texts(
    loaded: Loaded, items: Sequence[Item], label_format: str, rows: Sequence[Sequence[int]]
) -> list[str]:
    """Decode explanations to normalised texts without special tokens.

    A tokenizer may alter a text when it encodes it: some write all letters small, some compose accents. A
    model then cannot say a label as it is written, but only as the tokenizer gives it back (`as_said`). A
    text that is exactly this is taken for the label.

    Args:
        loaded: The model.
        items: The items that are explained.
        label_format: What labels call choices (see `answers`).
        rows: The token ids of each item's explanation.
    """
    texts = []
    decoded = loaded.tokenizer.batch_decode(rows, skip_special_tokens=True)
    for item, text in zip(items, map(normalise, decoded), strict=True):
        if parse(item, text, label_format) is None:
            labels_of = possible_labels(item, label_format)
            text = next((normalise(t) for t in labels_of if as_said(loaded.tokenizer, t) == text), text)
        texts.append(text)
    return texts


@lru_cache(maxsize=2**14)
def as_said(tokenizer: PreTrainedTokenizerBase, label: str) -> str:
    """Return a label as the tokenizer gives it back: encoded after OPENING, decoded and normalised."""
    tail = completion(tokenizer, OPENING, f" {label}")[1][:-1]
    return normalise(tokenizer.decode(tail, skip_special_tokens=True))


@torch.no_grad()
def forced_choice(loaded: Loaded, items: Sequence[Item], label_format: str, batch: int) -> list[str]:
    """Choose the likeliest of each item's possible labels, what the model would say if it had to say one.

    Args:
        loaded: The model.
        items: The items to explain.
        label_format: What labels call choices (see `answers`).
        batch: How many items share a pass.

    Returns:
        One label text an item.
    """
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
