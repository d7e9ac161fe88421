"""What a model does on x and on x without its cue: its behaviours B(M).

For most items the behaviour is the model's choice after "Answer:", kept as log-probabilities over the item's
choices. For items with `replies` it is what the model's own greedy reply does, as a detector reads it
(tasks/detector.py). Definitions: docs/method.md, "Symbols".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from coupling.errors import StudyError
from coupling.models import Loaded, Seam, continuation_logprobs, encode, generated, probed, render, seam
from coupling.tasks import OPENING, Item
from coupling.tasks.detector import detect

CONDITIONS = ("x", "cf")  # x, and the counterfactual: x without its cue
REPLY_TOKENS = 32  # so many tokens of a reply are generated and judged


class NotFinite(StudyError, RuntimeError):
    """A model's outputs are no numbers (NaN), so that it has neither behaviours nor explanations."""


@dataclass(frozen=True)
class Behaviours:
    """The behaviours of one model on some items.

    Log-probabilities are as the model gives them: they are not renormalised over the choices. A reply that
    was judged has no probabilities. It has 0 for the choice that it is and -inf for the others, or -inf for
    all if it is no choice.

    Attributes:
        ids: The ids of the items.
        x: Log-probability of each choice on x, float32 [items, most choices]; -inf where an item has fewer
            choices.
        cf: The same on x without its cue.
    """

    ids: tuple[str, ...]
    x: np.ndarray
    cf: np.ndarray

    def choice(self, condition: str) -> np.ndarray:
        """Return the likeliest choice on "x" or "cf" by index, -1 where a reply is none; int64 [items]."""
        values = getattr(self, condition)
        return np.where(np.isfinite(values).any(axis=1), values.argmax(axis=1), -1)

    def mass(self, condition: str) -> np.ndarray:
        """Return the probability on all choices together, for a reply 1 or 0; float32 [items]."""
        return np.exp(getattr(self, condition)).sum(axis=1)

    def distribution(self, condition: str) -> np.ndarray:
        """Return log-probabilities over the choices alone, NaN for replies; float32 [items, choices]."""
        values = getattr(self, condition)
        # Of two or more real choices at least one has a log-probability below 0; a judged reply has 0 and
        # -inf alone.
        judged = ~(np.isfinite(values) & (values < 0)).any(axis=1, keepdims=True)
        top = np.where(judged, 0, values.max(axis=1, keepdims=True))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(
                judged, np.nan, values - (top + np.log(np.exp(values - top).sum(axis=1, keepdims=True)))
            )

    def known(self) -> np.ndarray:
        """Return whether there is a choice on both x and cf, and so a label; bool [items]."""
        return (self.choice("x") >= 0) & (self.choice("cf") >= 0)

    def take(self, which: Sequence[int] | slice) -> "Behaviours":
        """Return the behaviours on some of the items, chosen by index."""
        return Behaviours(tuple(np.array(self.ids, dtype=object)[which]), self.x[which], self.cf[which])

    def frame(self) -> pd.DataFrame:
        """Return a table with one row an item and the columns id, x_0, x_1, ..., cf_0, cf_1, ..."""
        columns = {f"{c}_{i}": v for c in CONDITIONS for i, v in enumerate(getattr(self, c).T)}
        return pd.DataFrame({"id": list(self.ids)} | columns)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> "Behaviours":
        """Read behaviours from a table that `frame` made."""
        wide = [frame[[c for c in frame if c.startswith(f"{k}_")]].to_numpy(np.float32) for k in CONDITIONS]
        return cls(tuple(frame["id"]), *wide)


def joined(a: Behaviours, b: Behaviours) -> Behaviours:
    """Put the behaviours on two lists of items one after the other."""
    width = max(a.x.shape[1], b.x.shape[1])
    wide = [
        np.concatenate([np.pad(v, ((0, 0), (0, width - v.shape[1])), constant_values=-np.inf) for v in pair])
        for pair in ((a.x, b.x), (a.cf, b.cf))
    ]
    return Behaviours(a.ids + b.ids, *wide)


def behaviour_texts(loaded: Loaded, item: Item) -> tuple[str, str]:
    """Return x and x without its cue as the model reads them.

    They end with "Answer:", after which the model chooses, unless the behaviour is a reply.
    """
    opening = "" if item.replies else OPENING
    return render(loaded, item.prompt, opening), render(loaded, item.counterfactual_prompt, opening)


def behaviour_seams(loaded: Loaded, item: Item) -> tuple[Seam, Seam]:
    """Return the seams where the item's choices follow x, and where they follow x without its cue."""
    continuations = tuple(f" {c}" for c in item.choices)
    return tuple(seam(loaded.tokenizer, text, continuations) for text in behaviour_texts(loaded, item))


def batches(n: int, size: int) -> Iterator[slice]:
    """Yield slices of at most `size` that cover range(n) in order."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def alike(items: Sequence[Item], size: int) -> Iterator[list[int]]:
    """Yield batches of at most `size` items, by index, so that no batch mixes two kinds of behaviour.

    First come the items whose behaviour is a choice, then those whose behaviour is a reply.
    """
    for replies in (False, True):
        which = [k for k, i in enumerate(items) if i.replies == replies]
        yield from (which[part] for part in batches(len(which), size))


def empty(items: Sequence[Item]) -> np.ndarray:
    """Make an array for log-probabilities, on x and on cf; float32 [2, items, most choices], all -inf."""
    return np.full((2, len(items), max(len(i.choices) for i in items)), -np.inf, dtype=np.float32)


def measured(items: Sequence[Item], both: np.ndarray) -> Behaviours:
    """Make behaviours from measured log-probabilities.

    Args:
        items: The items.
        both: The array that `empty` made for these items, filled with what was measured.

    Raises:
        NotFinite: If one of the numbers is NaN.
    """
    if np.isnan(both).any():
        raise NotFinite("the model's outputs are not finite (NaN) on some items")
    return Behaviours(tuple(i.id for i in items), both[0], both[1])


def judged(loaded: Loaded, replies: Sequence[Sequence[int]], choices: int) -> np.ndarray:
    """Let the detector read replies.

    Args:
        loaded: The model, whose tokenizer decodes the replies.
        replies: Token ids of each reply.
        choices: The number of columns of the result.

    Returns:
        0 for the choice that the detector reads in a reply and -inf for the others; float32 [replies,
        choices].
    """
    out = np.full((len(replies), choices), -np.inf, dtype=np.float32)
    for row, text in zip(
        out, loaded.tokenizer.batch_decode(list(replies), skip_special_tokens=True), strict=True
    ):
        if (what := detect(text)) is not None:
            row[what] = 0.0
    return out


def check_finite(loaded: Loaded) -> None:
    """Check that a model computes numbers, on a few tokens.

    Raises:
        NotFinite: If it does not.
    """
    logits = probed(loaded)
    if logits is not None and logits.isnan().any():
        raise NotFinite("the model's outputs are not finite (NaN)")


@torch.no_grad()
def behaviours(loaded: Loaded, items: Sequence[Item], batch: int) -> Behaviours:
    """Compute B(M) on some items.

    Args:
        loaded: The model.
        items: The items.
        batch: How many items share a pass. An item's x and its counterfactual are always in one pass, so that
            rounding, which depends on the pass's shape, is the same for both.

    Raises:
        NotFinite: If what the model computes are no numbers.
    """
    check_finite(loaded)
    both = empty(items)
    for which in alike(items, batch):
        part = [items[k] for k in which]
        if part[0].replies:
            prompts = [encode(loaded.tokenizer, text) for i in part for text in behaviour_texts(loaded, i)]
            said = generated(loaded, prompts, REPLY_TOKENS)
            scores = judged(loaded, said, both.shape[2]).reshape(len(part), 2, -1)
        else:
            seams = [behaviour_seams(loaded, item) for item in part]
            scores = continuation_logprobs(loaded, seams).cpu().numpy()
        both[:, which, : scores.shape[2]] = scores.swapaxes(0, 1)
    return measured(items, both)


def health(items: Sequence[Item], b: Behaviours, labels: Sequence[str]) -> dict[str, float]:
    """Describe the regime that a model's behaviours are in.

    Args:
        items: The items.
        b: The model's behaviours on them.
        labels: The label text of each item; None where there is no label.

    Returns:
        items: Their number.
        no_cue_accuracy, cue_accuracy: How often the choice on cf, or on x, is the gold answer.
        wrong_cue_adoption: How often the model takes a hint that proposes a wrong choice.
        changed_share: How often the choices on x and cf differ, where both are choices.
        top_label_share: The share of the commonest label text.
        label_entropy_bits: The entropy of the label texts.
        choice_mass_x, choice_mass_cf: The mean probability on the choices; for replies, the share that is a
            choice.

        NaN where nothing can be counted, for instance without gold answers.
    """
    gold = np.array([-1 if i.gold is None else i.gold for i in items])
    hinted = np.array([-1 if i.hinted is None else i.hinted for i in items])
    x, cf = b.choice("x"), b.choice("cf")
    wrong = (gold >= 0) & (hinted >= 0) & (gold != hinted)
    share = pd.Series([text for text in labels if text]).value_counts(normalize=True).to_numpy()
    return {
        "items": float(len(items)),
        "no_cue_accuracy": _mean((cf == gold)[gold >= 0]),
        "cue_accuracy": _mean((x == gold)[gold >= 0]),
        "wrong_cue_adoption": _mean((x == hinted)[wrong]),
        "changed_share": _mean((x != cf)[b.known()]),
        "top_label_share": float(share[0]) if len(share) else float("nan"),
        "label_entropy_bits": float(-(share * np.log2(share)).sum()),
        "choice_mass_x": _mean(b.mass("x")),
        "choice_mass_cf": _mean(b.mass("cf")),
    }


def _mean(values: np.ndarray) -> float:
    """Return the mean, NaN of nothing."""
    return float(np.mean(values)) if len(values) else float("nan")
