"""B(M): what a model does on x and on x without its cue.

Mostly its choice after "Answer:", as log-probabilities over the item's choices; for items with `replies`, what its own
greedy reply does, as a detector reads it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from coupling.models import Loaded, Seam, continuation_logprobs, encode, generated, render, seam
from coupling.tasks import OPENING, Item
from coupling.tasks.detector import detect

CONDITIONS = ("x", "cf")  # x, and x without its cue (the counterfactual)
REPLY_TOKENS = 32  # of a reply that is judged


@dataclass(frozen=True)
class Behaviours:
    """Log-probabilities of each choice after "Answer:", as the model gives them (not renormalised).

    ids: the items'. x, cf: float32 [items, most choices], -inf where an item has fewer. A judged reply has no
    probabilities: 0 for what it is and -inf elsewhere, -inf everywhere if it is none of the choices.
    """

    ids: tuple[str, ...]
    x: np.ndarray
    cf: np.ndarray

    def choice(self, condition: str) -> np.ndarray:
        """The most likely choice on "x" or "cf", -1 where a reply is none; int64 [items]."""
        values = getattr(self, condition)
        return np.where(np.isfinite(values).any(axis=1), values.argmax(axis=1), -1)

    def mass(self, condition: str) -> np.ndarray:
        """The probability that falls on the choices at all; of a reply, whether it is one of them. float32 [items]."""
        return np.exp(getattr(self, condition)).sum(axis=1)

    def distribution(self, condition: str) -> np.ndarray:
        """Log-probabilities renormalised over the choices; float32 [items, choices], NaN where a reply was judged."""
        values = getattr(self, condition)
        judged = ~(np.isfinite(values) & (values < 0)).any(
            axis=1, keepdims=True
        )  # of two real choices one is below 0
        top = np.where(judged, 0, values.max(axis=1, keepdims=True))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(
                judged, np.nan, values - (top + np.log(np.exp(values - top).sum(axis=1, keepdims=True)))
            )

    def known(self) -> np.ndarray:
        """Whether what the model does is one of the choices on x and without the cue, so that a label exists; bool [items]."""
        return (self.choice("x") >= 0) & (self.choice("cf") >= 0)

    def take(self, which: Sequence[int] | slice) -> "Behaviours":
        """Those of some items, by index."""
        return Behaviours(tuple(np.array(self.ids, dtype=object)[which]), self.x[which], self.cf[which])

    def frame(self) -> pd.DataFrame:
        """One row an item: id, x_0, x_1, ..., cf_0, cf_1, ..."""
        columns = {f"{c}_{i}": v for c in CONDITIONS for i, v in enumerate(getattr(self, c).T)}
        return pd.DataFrame({"id": list(self.ids)} | columns)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> "Behaviours":
        """The inverse of `frame`."""
        wide = [frame[[c for c in frame if c.startswith(f"{k}_")]].to_numpy(np.float32) for k in CONDITIONS]
        return cls(tuple(frame["id"]), *wide)


def joined(a: Behaviours, b: Behaviours) -> Behaviours:
    """The behaviours on two lists of items, one behind the other."""
    width = max(a.x.shape[1], b.x.shape[1])
    wide = [
        np.concatenate([np.pad(v, ((0, 0), (0, width - v.shape[1])), constant_values=-np.inf) for v in pair])
        for pair in ((a.x, b.x), (a.cf, b.cf))
    ]
    return Behaviours(a.ids + b.ids, *wide)


def behaviour_texts(loaded: Loaded, item: Item) -> tuple[str, str]:
    """x and x without its cue as the model reads them; a reply has no opening, a choice follows "Answer:"."""
    opening = "" if item.replies else OPENING
    return render(loaded, item.prompt, opening), render(loaded, item.counterfactual_prompt, opening)


def behaviour_seams(loaded: Loaded, item: Item) -> tuple[Seam, Seam]:
    """Where the choices follow x, and where they follow x without its cue."""
    continuations = tuple(f" {c}" for c in item.choices)
    return tuple(seam(loaded.tokenizer, text, continuations) for text in behaviour_texts(loaded, item))


def batches(n: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` that cover range(n) in order."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def alike(items: Sequence[Item], size: int) -> Iterator[list[int]]:
    """Indices of items in batches of at most `size` whose behaviours are read in the same way: choices first, then replies."""
    for replies in (False, True):
        which = [k for k, i in enumerate(items) if i.replies == replies]
        yield from (which[part] for part in batches(len(which), size))


def empty(items: Sequence[Item]) -> np.ndarray:
    """Room for the log-probabilities of both conditions; float32 [2, items, most choices] of -inf."""
    return np.full((2, len(items), max(len(i.choices) for i in items)), -np.inf, dtype=np.float32)


def judged(loaded: Loaded, replies: Sequence[Sequence[int]], choices: int) -> np.ndarray:
    """Replies (token ids) as log-probabilities: 0 for what the detector reads, -inf elsewhere; float32 [replies, choices]."""
    out = np.full((len(replies), choices), -np.inf, dtype=np.float32)
    for row, text in zip(
        out, loaded.tokenizer.batch_decode(list(replies), skip_special_tokens=True), strict=True
    ):
        if (what := detect(text)) is not None:
            row[what] = 0.0
    return out


@torch.no_grad()
def behaviours(loaded: Loaded, items: Sequence[Item], batch: int) -> Behaviours:
    """B(M) on items, `batch` at a time; an item's x and counterfactual share a pass and so its shape."""
    both = empty(items)
    for which in alike(items, batch):
        part = [items[k] for k in which]
        if part[0].replies:
            prompts = [encode(loaded.tokenizer, text) for i in part for text in behaviour_texts(loaded, i)]
            scores = judged(loaded, generated(loaded, prompts, REPLY_TOKENS), both.shape[2]).reshape(
                len(part), 2, -1
            )
        else:
            scores = (
                continuation_logprobs(loaded, [behaviour_seams(loaded, item) for item in part]).cpu().numpy()
            )
        both[:, which, : scores.shape[2]] = scores.swapaxes(0, 1)
    return Behaviours(tuple(i.id for i in items), both[0], both[1])


def health(items: Sequence[Item], b: Behaviours, labels: Sequence[str]) -> dict[str, float]:
    """What regime the behaviours show, as fractions: no-cue accuracy, adoption of hints that are wrong, changed share,
    share of the commonest label string, its entropy in bits, and the mean probability on the choices (of replies: the share
    that is one of them). NaN where the items have no gold answer or no hinted choice."""
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
    return float(np.mean(values)) if len(values) else float("nan")
