"""The check of a model with its tokenizer and its items, before anything is computed.

What is measured must be what was asked: every label must come back from the tokenizer as itself, every choice
must have tokens of its own, and every text must fit into the positions that the model was made for. Otherwise
numbers would be wrong without a word. `check` finds all of this from token ids alone.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from coupling.errors import StudyError
from coupling.measure.behaviours import REPLY_TOKENS, behaviour_seams, behaviour_texts
from coupling.measure.explanations import as_said, most_tokens, request
from coupling.measure.wording import possible_labels
from coupling.models import Loaded, TemplateError, encode
from coupling.models.adapter import adapter_share
from coupling.models.template import opens_thought
from coupling.tasks import Item

SHOWN = 5  # of several problems so many are shown
MOST_WEIGHTS = 0.9  # where an adapter covers a smaller share of the weights, a warning says so


class CheckError(StudyError, ValueError):
    """A model cannot be asked these items; the message names the items and what is wrong with each."""


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Attributes:
        items: The number of items that were checked.
        labels: The number of different label texts that come back from the tokenizer as they should.
        altered: How many of these the tokenizer alters, so that the altered text counts as the label.
        longest: The most tokens that the model is given at once, with what it then says.
        positions: The most tokens that the model was made for; None if nothing limits them.
        adapter_share: The share of the weights between embeddings and output head that gets an adapter.
        warnings: What does not forbid a run but should be known.
    """

    items: int
    labels: int
    altered: int
    longest: int
    positions: int | None
    adapter_share: float
    warnings: tuple[str, ...]


def check(loaded: Loaded, items: Sequence[Item], label_formats: Collection[str]) -> Checked:
    """Check that a model can be asked some items.

    Args:
        loaded: The model.
        items: The items.
        label_formats: What labels call choices: "letter", "content" or both.

    Returns:
        What was found.

    Raises:
        CheckError: If a choice or label of an item cannot be told from another by its tokens, or if a text is
            longer than the model allows.
    """
    positions = getattr(loaded.model.config.get_text_config(), "max_position_embeddings", None)
    limits = {name: most_tokens(loaded, items, name) for name in label_formats} if items else {}
    problems: list[str] = []
    longest = 0
    for item in items:
        problems += [f"item {item.id}: {found}" for found in _wrong_labels(loaded, item, label_formats)]
        try:
            tokens = _tokens(loaded, item, max(limits.values()))
        except TemplateError as error:
            problems.append(f"item {item.id}: {error}")
            continue
        longest = max(longest, tokens)
        if positions and tokens > positions:
            problems.append(
                f"item {item.id}: {tokens} tokens with the answer, but the model was made for "
                f"max_position_embeddings={positions}; shorten the prompt"
            )
    if problems:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise CheckError("; ".join(problems[:SHOWN]) + more)
    labels = {label for i in items for name in label_formats for label in possible_labels(i, name)}
    share = adapter_share(loaded.model)
    return Checked(
        items=len(items),
        labels=len(labels),
        altered=sum(as_said(loaded.tokenizer, label) != " ".join(label.split()) for label in labels),
        longest=longest,
        positions=positions,
        adapter_share=share,
        warnings=tuple(_warnings(loaded, items, share)),
    )


def _wrong_labels(loaded: Loaded, item: Item, label_formats: Collection[str]) -> Iterator[str]:
    """Yield what is wrong with an item's labels as the tokenizer gives them back."""
    tokenizer = loaded.tokenizer
    for name in label_formats:
        said: dict[str, str] = {}
        for label in possible_labels(item, name):
            text = as_said(tokenizer, label)
            if text in said:
                pair = f"{said[text]!r} and {label!r}"
                yield f"the tokenizer gives {pair} back as one text, {text!r}; rename one"
                return
            said[text] = label
            if _unknown(tokenizer) in encode(tokenizer, f" {label}"):
                yield f"the tokenizer does not know all of {label!r} and gives {text!r} back; rename it"
                return


def _tokens(loaded: Loaded, item: Item, limit: int) -> int:
    """Return the most tokens that the model reads or says at once for an item.

    Args:
        loaded: The model.
        item: The item.
        limit: How many tokens are generated for an explanation.

    Raises:
        TemplateError: If the item's choices have no tokens of their own.
    """
    if item.replies:
        behaviour = [len(encode(loaded.tokenizer, t)) + REPLY_TOKENS for t in behaviour_texts(loaded, item)]
    else:
        behaviour = [len(s.prefix) + len(t) for s in behaviour_seams(loaded, item) for t in s.tails]
    return max(*behaviour, len(encode(loaded.tokenizer, request(loaded, item))) + limit)


def _warnings(loaded: Loaded, items: Sequence[Item], share: float) -> Iterator[str]:
    if share < MOST_WEIGHTS:
        yield (
            f"an adapter covers {share:.0%} of the weights between embeddings and output head: weights "
            "outside linear layers, such as those of experts, are not trained"
        )
    if opens_thought(loaded):
        yield (
            "the chat template begins the model's turn within a thought and cannot be told not to, so "
            "answers are written into the thought; take a template that closes it"
        )
    unknown = _unknown(loaded.tokenizer)
    if some := next((i.id for i in items if unknown in encode(loaded.tokenizer, request(loaded, i))), None):
        yield f"the tokenizer does not know all words of prompts, for instance of item {some}"


def _unknown(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the token that stands for an unknown word and for nothing else; -1 where there is none."""
    unknown = tokenizer.unk_token_id
    marks = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    return -1 if unknown is None or unknown in marks else unknown
