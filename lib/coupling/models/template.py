"""From words to the text that a model reads, and from text to tokens.

Text. A model with a chat template is asked in a chat. A model without one is asked by a plain template of
ours: the words, then the start of the answer on a line of its own, after the tokenizer's beginning-of-text
mark if it has one.

Tokens. A model's answers are scored or trained after a prompt, so it must be known which tokens belong to
the prompt and which to the answer. A tokenizer may merge the end of the one with the start of the other. A
`Seam` is the place between them, in tokens.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from itertools import pairwise

import torch
from jinja2 import TemplateError as JinjaError
from transformers import PreTrainedTokenizerBase

from coupling.errors import StudyError
from coupling.models.loaded import Loaded

# What every chat template is told: a model that may think aloud first must not, under the two names that
# templates have for it. What a template does not know it passes over.
CHAT = {"enable_thinking": False, "thinking": False}
# Some templates print today's date, by a function `strftime_now`. A prompt must be the same tomorrow, so they
# get a function of this name that knows one day alone, written in the templates' own language.
DAY = datetime(2024, 7, 26)
FIXED_DAY = "".join(
    [
        "{%- macro strftime_now(format) -%}{{ format",
        *(f"|replace('%{sign}', '{DAY:%{sign}}')" for sign in ("-d", *"aAbBdeFHIjmMpSyY")),
        " }}{%- endmacro -%}",
    ]
)
THOUGHT = re.compile(r"<\|?(think|thinking|thought|reason|reasoning)\|?>\s*$")  # opened at a text's end
BRACKETED = re.compile(r"[<\[].+[>\]]")  # how marks are written that a tokenizer does not call special
# Around words of a user that look like a mark of the tokenizer. Unicode keeps these two for such uses.
WORD_START, WORD_END = "\ufdd0", "\ufdd1"


class TemplateError(StudyError, ValueError):
    """A text cannot be turned into tokens as asked; the message shows it."""


def render(loaded: Loaded, words: str, opening: str) -> str:
    """Write the whole text of a prompt, with all special marks.

    Args:
        loaded: The model. Its `system` message, if any, stands above the words.
        words: What is asked.
        opening: The first words of the answer, with which the text ends.

    Returns:
        The text. Words of the user that look like a mark of the tokenizer are fenced, so that `encode` takes
        them for words (see `fenced`).
    """
    tokenizer = loaded.tokenizer
    words, system = fenced(tokenizer, words), fenced(tokenizer, loaded.system)
    if tokenizer.chat_template:
        return chat_text(tokenizer, words, system) + opening
    return f"{bos_text(tokenizer)}{_below(system, words)}\n{opening}"


def fenced(tokenizer: PreTrainedTokenizerBase, words: str) -> str:
    """Put a fence around what looks like a mark of the tokenizer in a user's words, such as "<|im_end|>"."""
    words = words.replace(WORD_START, "").replace(WORD_END, "")
    found = _marks(tokenizer, tokenizer.get_chat_template() if tokenizer.chat_template else "")
    return found.sub(f"{WORD_START}\\g<0>{WORD_END}", words) if found else words


@lru_cache
def _marks(tokenizer: PreTrainedTokenizerBase, template: str) -> re.Pattern | None:
    """Return what finds the marks of a tokenizer in a text: its special tokens, and marks of its template.

    Other tokens that were added to a vocabulary, such as runs of spaces, are words like any other.
    """
    added = tokenizer.added_tokens_decoder.values()
    marks = {
        str(t.content)
        for t in added
        if t.special or (t.content in template and BRACKETED.fullmatch(t.content))
    }
    longest_first = sorted(filter(None, marks), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def opens_thought(loaded: Loaded) -> bool:
    """Return whether the model's turn begins within a thought, so that an answer would be written into it."""
    return bool(THOUGHT.search(render(loaded, "words", "")))


def chat_text(tokenizer: PreTrainedTokenizerBase, words: str, system: str = "") -> str:
    """Write a chat up to where the model's turn begins.

    Some templates put in a system message of their vendor's if there is none (Qwen 2.5: "You are Qwen,
    created by ..."). It is no part of the study and costs 20 tokens a prompt, so such templates get an empty
    one. Models that may think aloud first (Qwen 3) are told not to, since what is read is the answer, and the
    first words of a reply. Templates that print today's date print a fixed one.

    Args:
        tokenizer: A tokenizer with a chat template.
        words: What the user says.
        system: The system message. If the template has no turn for it, it stands above the words.
    """
    chat = partial(apply_template, tokenizer)
    if system:
        try:
            return chat([{"role": "system", "content": system}, {"role": "user", "content": words}])
        except JinjaError:  # the template has no turn for a system message
            words = _below(system, words)
    user = {"role": "user", "content": words}
    plain = chat([user])
    try:
        empty = chat([{"role": "system", "content": ""}, user])
    except JinjaError:
        return plain
    return min(plain, empty, key=len)


def apply_template(
    tokenizer: PreTrainedTokenizerBase, turns: list[dict[str, str]], add_generation_prompt: bool = True
) -> str:
    """Write a chat by the tokenizer's template, on a fixed day and without thoughts where the template can.

    Args:
        tokenizer: A tokenizer with a chat template.
        turns: The turns of the chat, each with "role" and "content".
        add_generation_prompt: Whether the model's next turn begins after them.
    """
    template = tokenizer.get_chat_template()
    return tokenizer.apply_chat_template(
        turns,
        chat_template=FIXED_DAY + template if "strftime_now" in template else template,
        tokenize=False,
        add_generation_prompt=add_generation_prompt,
        **CHAT,
    )


def _below(system: str, words: str) -> str:
    """Put words on the line below a system message, if there is one."""
    return f"{system}\n{words}" if system else words


@lru_cache
def bos_text(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the beginning-of-text mark if the tokenizer puts one in front of a text, else nothing."""
    ids = tokenizer("a")["input_ids"]
    return (
        tokenizer.bos_token if tokenizer.bos_token_id is not None and ids[0] == tokenizer.bos_token_id else ""
    )


def turn_end(tokenizer: PreTrainedTokenizerBase, ends: Sequence[int]) -> int | None:
    """Return the mark that ends the model's turn in a chat.

    A model may have several end marks: some tokenizers name that of a whole text, and the chat template
    writes another one after a turn.

    Args:
        tokenizer: The tokenizer.
        ends: The end marks that tokenizer and model name.

    Returns:
        The first token after a turn as the chat template writes it, if it is a special token or among
        `ends`. Else the first of `ends`, or None if there are none.
    """
    first = next(iter(ends), None)
    if not tokenizer.chat_template:
        return first
    said = "said"
    turns = [{"role": "user", "content": "asked"}, {"role": "assistant", "content": said}]
    try:
        text = apply_template(tokenizer, turns, add_generation_prompt=False)
    except JinjaError:
        return first
    behind = encode(tokenizer, text.rpartition(said)[2].lstrip())
    special = {*ends, *tokenizer.all_special_ids}
    return behind[0] if behind and behind[0] in special else first


@lru_cache(maxsize=2**17)
def encode(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    """Return the token ids of a rendered text.

    Special marks in the text are recognised; none is added. Results are remembered, because every evaluation
    asks for the same ones, and for small models encoding takes much of an evaluation's time.

    What stands in a fence is encoded as words (see `fenced`).
    """
    if WORD_START not in text:
        return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
    ids: list[int] = []
    for k, part in enumerate(re.split(f"[{WORD_START}{WORD_END}]", text)):
        # A mark is split after its first character. The tokenizer takes neither piece for a mark.
        for piece in (part[:1], part[1:]) if k % 2 else (part,):
            ids += tokenizer(piece, add_special_tokens=False)["input_ids"] if piece else ()
    return tuple(ids)


@dataclass(frozen=True)
class Seam:
    """A prompt and what may follow it, in tokens.

    Attributes:
        prefix: The token ids of the prompt.
        tails: The token ids of each continuation.
    """

    prefix: tuple[int, ...]
    tails: tuple[tuple[int, ...], ...]


@lru_cache(maxsize=2**15)
def seam(tokenizer: PreTrainedTokenizerBase, text: str, continuations: tuple[str, ...]) -> Seam:
    """Find the seam between a text and each of several continuations.

    A tokenizer may merge the start of a continuation with the end of the text ("(" and "A" into "(A"). So
    every whole text is encoded. The tokens that all of them share are the prefix, and what remains of each is
    its tail.

    Where one continuation begins another, in tokens, the end mark follows each of them. Without the end mark
    the probability of the shorter one would include that of the longer one (see `ended`).

    Results are remembered, as those of `encode` are.

    Raises:
        TemplateError: If the continuations cannot be told apart by tokens of their own.
    """
    whole = ended([encode(tokenizer, text + c) for c in continuations], tokenizer.eos_token_id)
    shared = next(
        (i for i, ids in enumerate(zip(*whole, strict=False)) if len(set(ids)) > 1), min(map(len, whole))
    )
    tails = tuple(ids[shared:] for ids in whole)
    if not shared or not all(tails) or len(set(tails)) < len(tails):
        raise TemplateError(
            f"these continuations have no tokens of their own after {text[-40:]!r}: {continuations}"
        )
    return Seam(whole[0][:shared], tails)


def ended(texts: Sequence[tuple[int, ...]], end: int) -> list[tuple[int, ...]]:
    """Put the end mark after each of some texts, if one of the texts begins another.

    Args:
        texts: The token ids of each text.
        end: The end mark.

    Returns:
        The texts as they are, or each with the end mark. None of them then begins another, so that as events
        they exclude each other.
    """
    # In sorted order a text that begins another stands directly before one that it begins.
    order = sorted(set(texts))
    begins = any(b[: len(a)] == a for a, b in pairwise(order))
    return [(*t, end) for t in texts] if begins else list(texts)


def completion(
    tokenizer: PreTrainedTokenizerBase, text: str, answer: str
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the token ids of a prompt, and those of an answer with the end mark after it.

    Raises:
        TemplateError: If the tokenizer merges the two. The model would then be trained after other tokens
            than those after which it generates.
    """
    prefix, whole = encode(tokenizer, text), encode(tokenizer, text + answer)
    if whole[: len(prefix)] != prefix or len(whole) == len(prefix):
        raise TemplateError(
            f"the tokenizer merges {text[-20:]!r} with {answer!r}: "
            "start the answer with a space or a new line"
        )
    return prefix, (*whole[len(prefix) :], tokenizer.eos_token_id)


def pad(rows: Sequence[Sequence[int]], value: int, side: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Put rows of different length into one tensor.

    Args:
        rows: Rows of integers, such as token ids.
        value: What fills a row up.
        side: Where the filling stands: "left" or "right".

    Returns:
        The rows, and 1 for what is a row's and 0 for filling; int64 [rows, longest] each.
    """
    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), value, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        place = slice(longest - len(row), longest) if side == "left" else slice(0, len(row))
        ids[i, place] = torch.tensor(row, dtype=torch.int64)
        mask[i, place] = 1
    return ids, mask
