"""Which tokens of a prompt belong to the question, its options or story, the cue, the request and the rest.

Four texts are made of an item: x and x without its cue, each once to read a behaviour and once to ask for an
explanation. They become one prefix tree (models/trees.py). Tokens that two texts share stand in it once. But
where one text begins another, all of them have branches of their own from the root on: the token after which
one text is answered is then a token like others in the other text.

A `Prompted` item knows the place of each token in its tree, by text and by slot. A slot is a group and a
place within it, counted from its end. So the tokens of two texts, or of two items, are put beside each other
by their slots.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from transformers import PreTrainedTokenizerBase

from coupling.errors import StudyError
from coupling.measure.behaviours import behaviour_texts
from coupling.measure.explanations import request
from coupling.measure.wording import OPENING, possible_labels
from coupling.models import Loaded, Seam, Tails, encode, find_tails, render, seam
from coupling.tasks import Item

TEXTS = ("x", "cf", "ask", "ask_cf")  # behaviour on x and on x without its cue; explanation asked on each
WITHOUT = {
    "x": "cf",
    "cf": "x",
    "ask": "ask_cf",
    "ask_cf": "ask",
}  # each text with the cue put in or taken out

_APART = 2**40  # added to token ids whose texts are to share no token with others

Slot = tuple[str, int, int]  # a group, the number of a tail or -1 for the prompt, and a place


class GroupError(StudyError, ValueError):
    """The tokens of an item cannot be put into groups; the message names the item and the reason."""


@dataclass(frozen=True)
class Prompted:
    """The four texts of an item in one prefix tree.

    Attributes:
        item: The item.
        tails: The tree, and where in it the choices and labels are predicted, text by text.
        slots: By text the place in the tree of each of its tokens, by slot.
        shared: How many tokens x and x without its cue begin with that are the same.
    """

    item: Item
    tails: Tails
    slots: dict[str, dict[Slot, int]]
    shared: int

    @property
    def layout(self) -> tuple:
        """The slots of the tokens in each of TEXTS. Tokens of items of one layout correspond one to one."""
        return tuple(tuple(self.slots[text]) for text in TEXTS)


def prompted(
    loaded: Loaded, item: Item, label_format: str, replies: Sequence[tuple[int, ...]] = ()
) -> Prompted:
    """Make the four texts of an item, and put their tokens into groups.

    The groups are: "question", the first line that ends with a question mark, or else the first line;
    "options", all other lines without the cue, which are options or a story; "cue"; "request", the words that
    ask for an explanation; "last", everything after the words up to the last token after which something is
    predicted, or the last token of the words if nothing stands after them. What a chat template puts before
    the words is in no group.

    Args:
        loaded: The model.
        item: The item.
        label_format: What labels call choices.
        replies: Where the behaviour is a reply: the token ids of a reply for each choice.

    Raises:
        GroupError: Where the model reads other words than the item's, or its tokenizer tells no places.
    """
    behaviour = behaviour_texts(loaded, item)
    asked = item.prompt, item.counterfactual_prompt
    words = [*asked, *(f"{some}\n{item.request}" for some in asked)]
    texts = [*behaviour, request(loaded, item), render(loaded, words[3], OPENING)]
    labels = tuple(f" {label}" for label in possible_labels(item, label_format))
    choices = tuple(f" {choice}" for choice in item.choices)
    seams = [
        Seam(encode(loaded.tokenizer, text), tuple(replies))
        if replies and k < 2
        else seam(loaded.tokenizer, text, choices if k < 2 else labels)
        for k, text in enumerate(texts)
    ]
    tails = _tails(seams)
    paths = iter(tails.tree.paths)
    slots = {
        name: _slots(_groups(loaded.tokenizer, item, text, said, s), s, [next(paths) for _ in s.tails])
        for name, text, said, s in zip(TEXTS, texts, words, seams, strict=True)
    }
    same = np.cumprod([a == b for a, b in zip(seams[0].prefix, seams[1].prefix, strict=False)])
    return Prompted(item, tails, slots, int(same.sum()))


def _tails(seams: Sequence[Seam]) -> Tails:
    """Find the tails of the four texts in their tree. Texts of which one begins another stand apart."""
    prefixes = [s.prefix for s in seams]
    if not any(a is not b and b[: len(a)] == a for a in prefixes for b in prefixes):
        return find_tails(seams)
    found = find_tails([_moved(s, k * _APART) for k, s in enumerate(seams)])
    tokens = found.tokens.copy()
    tokens[0] %= _APART
    return replace(found, tree=replace(found.tree, ids=[i % _APART for i in found.tree.ids]), tokens=tokens)


def _moved(s: Seam, by: int) -> Seam:
    """Return a seam with other token ids, which no other seam has."""
    prefix, *tails = (tuple(i + by for i in ids) for ids in (s.prefix, *s.tails))
    return Seam(prefix, tuple(tails))


def _slots(groups: list[str], s: Seam, paths: list[list[int]]) -> dict[Slot, int]:
    """Return the place of each token of a text by its slot.

    Args:
        groups: The group of each token of the prompt; empty for none. The last token is among the last ones,
            whatever its group is.
        s: The prompt and what follows it.
        paths: For each tail the places of prompt and tail in the tree.
    """
    slots: dict[Slot, int] = {}
    counts: dict[str, int] = {}
    for place, group in zip(paths[0][len(groups) - 1 :: -1], reversed(groups), strict=True):
        counts[group] = counts.get(group, 0) + 1
        if slots:
            slots[group, -1, counts[group]] = place
        else:
            slots["last", -1, 1] = place
    for k, path in enumerate(paths):
        slots |= {("last", k, j): place for j, place in enumerate(path[len(s.prefix) :])}
    return {slot: place for slot, place in slots.items() if slot[0]}


def _groups(tokenizer: PreTrainedTokenizerBase, item: Item, text: str, words: str, s: Seam) -> list[str]:
    """Return the group of each token of a prompt: that of the character at which the token starts."""
    start = text.rfind(words)
    if start < 0:
        raise GroupError(
            f"item {item.id}: the model's template changes the words of the item, or fences them"
        )
    if not tokenizer.is_fast:
        raise GroupError(f"{type(tokenizer).__name__} does not tell at which character a token starts")
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    if tuple(found["input_ids"][: len(s.prefix)]) != s.prefix[: len(found["input_ids"])]:
        raise GroupError(f"item {item.id}: the tokenizer merges the end of the prompt with what follows it")
    of_character = ["" for _ in range(start)] + _of_words(item, words)
    of_character += ["last"] * (len(text) - len(of_character) + 1)
    groups = [of_character[first] for first, _ in found["offset_mapping"][: len(s.prefix)]]
    return groups + ["last"] * (len(s.prefix) - len(groups))


def _of_words(item: Item, words: str) -> list[str]:
    """Return the group of each character of the words that a model reads of an item."""
    plain = item.counterfactual_prompt
    lines = plain.split("\n")
    asks = next((k for k, line in enumerate(lines) if line.rstrip().endswith("?")), 0)
    groups: list[str] = []
    for k, line in enumerate(lines):  # the break before a line is the line's
        groups += ["question" if k == asks else "options"] * (len(line) + (k > 0))
    at = item.prompt.index(item.cue)
    if words.startswith(item.prompt):
        groups[at:at] = ["cue"] * len(item.cue)
    return groups + ["request"] * (len(words) - len(groups))


def beside(one: Prompted, other: Prompted, groups: Collection[str]) -> dict[int, int]:
    """Match the tokens of some groups of one item with those of another, text by text.

    Returns:
        For each place in the tree of `one`, the place in the tree of `other` with the same text and slot. A
        token without a counterpart is left out.
    """
    pairs: dict[int, int] = {}
    for text in TEXTS:
        theirs = other.slots[text]
        for slot, place in one.slots[text].items():
            if slot[0] in groups and slot in theirs:
                pairs.setdefault(place, theirs[slot])
    return pairs


def without_cue(one: Prompted, groups: Collection[str]) -> dict[int, int]:
    """Match the tokens of some groups in each text with those of the same text without its cue, or with it.

    Returns:
        For each place in the tree, the place of its counterpart there. Tokens without a counterpart are left
        out, among them those of the cue. So are the tokens that x and x without its cue share at their start,
        because their states are the same.
    """
    pairs: dict[int, int] = {}
    depths, shared = one.tails.tree.depths, one.shared
    for text, counterpart in WITHOUT.items():
        theirs = one.slots[counterpart]
        for slot, place in one.slots[text].items():
            if slot[0] not in groups or slot not in theirs:
                continue
            other = theirs[slot]
            if depths[place] != depths[other] or depths[place] >= shared:
                pairs.setdefault(place, other)
    return pairs
