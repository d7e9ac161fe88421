"""From an item's words to the text that a model reads, and from text to token ids at a seam.

A model with a chat template gets it; one without gets the declared plain template: the words, then the start of the
answer on a line of its own, behind the tokenizer's beginning-of-text mark where it has one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
from jinja2 import TemplateError as JinjaError
from transformers import PreTrainedTokenizerBase

from coupling.errors import StudyError
from coupling.models.loaded import Loaded


class TemplateError(StudyError, ValueError):
    """A text that cannot be turned into tokens as asked; the message shows it."""


def render(loaded: Loaded, words: str, opening: str) -> str:
    """The text that asks `words` and has begun the answer with `opening`, special marks included, below the model's system message if it has one."""
    if loaded.tokenizer.chat_template:
        return chat_text(loaded.tokenizer, words, loaded.system) + opening
    return f"{bos_text(loaded.tokenizer)}{_below(loaded.system, words)}\n{opening}"


def chat_text(tokenizer: PreTrainedTokenizerBase, words: str, system: str = "") -> str:
    """The chat up to the model's turn. Templates that put in a vendor's system message of their own get an empty one, and those without a
    system turn have `system` above the words.

    Such a message (Qwen 2.5: "You are Qwen, created by ...") is no part of the study and costs 20 tokens a prompt. Models that may think aloud
    first (Qwen 3) are told not to: what is read is the answer, and the first words of a reply.
    """
    chat = partial(
        tokenizer.apply_chat_template, tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    if system:
        try:
            return chat([{"role": "system", "content": system}, {"role": "user", "content": words}])
        except JinjaError:
            words = _below(system, words)
    user = {"role": "user", "content": words}
    plain = chat([user])
    try:
        empty = chat([{"role": "system", "content": ""}, user])
    except JinjaError:  # templates without a system turn refuse it
        return plain
    return min(plain, empty, key=len)


def _below(system: str, words: str) -> str:
    return f"{system}\n{words}" if system else words


@lru_cache
def bos_text(tokenizer: PreTrainedTokenizerBase) -> str:
    """The beginning-of-text mark, if this tokenizer puts one in front of a text by itself; else nothing."""
    ids = tokenizer("a")["input_ids"]
    return (
        tokenizer.bos_token if tokenizer.bos_token_id is not None and ids[0] == tokenizer.bos_token_id else ""
    )


@lru_cache(maxsize=2**17)
def encode(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    """Token ids of a rendered text; no special token is added, those in the text are recognised. Remembered: at tiny
    sizes it took 40 % of an evaluation, and every evaluation asks the same."""
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


@dataclass(frozen=True)
class Seam:
    """A prefix and what may follow it, in tokens.

    A tokenizer may merge the start of a continuation with the end of the prefix ("(" and "A" into "(A"). So every
    whole text is encoded, the tokens that all of them share are the prefix, and what remains of each is its tail.
    """

    prefix: tuple[int, ...]
    tails: tuple[tuple[int, ...], ...]


def seam(tokenizer: PreTrainedTokenizerBase, text: str, continuations: tuple[str, ...]) -> Seam:
    """The seam between `text` and each of `continuations`.

    Raises TemplateError where the continuations cannot be told apart by their tokens.
    """
    whole = [encode(tokenizer, text + c) for c in continuations]
    shared = next(
        (i for i, ids in enumerate(zip(*whole, strict=False)) if len(set(ids)) > 1), min(map(len, whole))
    )
    tails = tuple(ids[shared:] for ids in whole)
    if not shared or not all(tails) or len(set(tails)) < len(tails):
        raise TemplateError(
            f"these continuations have no tokens of their own after {text[-40:]!r}: {continuations}"
        )
    return Seam(whole[0][:shared], tails)


def completion(
    tokenizer: PreTrainedTokenizerBase, text: str, answer: str
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Token ids of `text`, and of `answer` with the end mark behind it.

    Raises TemplateError where the tokenizer merges the two: what is trained would not be what is generated from.
    """
    prefix, whole = encode(tokenizer, text), encode(tokenizer, text + answer)
    if whole[: len(prefix)] != prefix or len(whole) == len(prefix):
        raise TemplateError(
            f"the tokenizer merges {text[-20:]!r} with {answer!r}: start the answer with a space or a new line"
        )
    return prefix, (*whole[len(prefix) :], tokenizer.eos_token_id)


def pad(rows: Sequence[Sequence[int]], value: int, side: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of ids as one int64 tensor [rows, longest], and the int64 mask of what is not padding."""
    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), value, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        place = slice(longest - len(row), longest) if side == "left" else slice(0, len(row))
        ids[i, place] = torch.tensor(row, dtype=torch.int64)
        mask[i, place] = 1
    return ids, mask
