"""B(M): a model's choice on x and on x without its cue, as log-probabilities over the item's choices."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from coupling.models import Loaded, Seam, continuation_logprobs, render, seam
from coupling.tasks import OPENING, Item

CONDITIONS = ("x", "cf")  # x, and x without its cue (the counterfactual)


@dataclass(frozen=True)
class Behaviours:
    """Log-probabilities of each choice after "Answer:", as the model gives them (not renormalised).

    ids: the items'. x, cf: float32 [items, most choices], -inf where an item has fewer. choices: how many each has.
    """

    ids: tuple[str, ...]
    x: np.ndarray
    cf: np.ndarray

    def choice(self, condition: str) -> np.ndarray:
        """The most likely choice on "x" or "cf"; int64 [items]."""
        return getattr(self, condition).argmax(axis=1)

    def mass(self, condition: str) -> np.ndarray:
        """The probability that falls on the choices at all; float32 [items]."""
        return np.exp(getattr(self, condition)).sum(axis=1)

    def distribution(self, condition: str) -> np.ndarray:
        """Log-probabilities renormalised over the choices; float32 [items, choices]."""
        values = getattr(self, condition)
        top = values.max(axis=1, keepdims=True)
        return values - (top + np.log(np.exp(values - top).sum(axis=1, keepdims=True)))

    def frame(self) -> pd.DataFrame:
        """One row an item: id, x_0, x_1, ..., cf_0, cf_1, ..."""
        columns = {f"{c}_{i}": v for c in CONDITIONS for i, v in enumerate(getattr(self, c).T)}
        return pd.DataFrame({"id": list(self.ids)} | columns)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> "Behaviours":
        """The inverse of `frame`."""
        wide = [frame[[c for c in frame if c.startswith(f"{k}_")]].to_numpy(np.float32) for k in CONDITIONS]
        return cls(tuple(frame["id"]), *wide)


def behaviour_seams(loaded: Loaded, item: Item) -> tuple[Seam, Seam]:
    """Where the choices follow x, and where they follow x without its cue."""
    continuations = tuple(f" {c}" for c in item.choices)
    return tuple(
        seam(loaded.tokenizer, render(loaded.tokenizer, words, OPENING), continuations)
        for words in (item.prompt, item.counterfactual_prompt)
    )


def batches(n: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` that cover range(n) in order."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


@torch.no_grad()
def behaviours(loaded: Loaded, items: Sequence[Item], batch: int) -> Behaviours:
    """B(M) on items, `batch` at a time; an item's x and counterfactual share a pass and so its shape."""
    width = max(len(i.choices) for i in items)
    both = np.full((2, len(items), width), -np.inf, dtype=np.float32)
    for part in batches(len(items), batch):
        scores = continuation_logprobs(loaded, [behaviour_seams(loaded, item) for item in items[part]])
        both[:, part, : scores.shape[2]] = scores.transpose(0, 1).cpu().numpy()
    return Behaviours(tuple(i.id for i in items), both[0], both[1])


def health(items: Sequence[Item], b: Behaviours, labels: Sequence[str]) -> dict[str, float]:
    """What regime the behaviours show, as fractions: no-cue accuracy, adoption of hints that are wrong, changed share,
    share of the commonest label string, its entropy in bits, and the mean probability on the choices. NaN where the
    items have no gold answer or no hinted choice."""
    gold = np.array([-1 if i.gold is None else i.gold for i in items])
    hinted = np.array([-1 if i.hinted is None else i.hinted for i in items])
    x, cf = b.choice("x"), b.choice("cf")
    wrong = (gold >= 0) & (hinted >= 0) & (gold != hinted)
    share = pd.Series(labels).value_counts(normalize=True).to_numpy()
    return {
        "items": float(len(items)),
        "no_cue_accuracy": _mean((cf == gold)[gold >= 0]),
        "cue_accuracy": _mean((x == gold)[gold >= 0]),
        "wrong_cue_adoption": _mean((x == hinted)[wrong]),
        "changed_share": _mean(x != cf),
        "top_label_share": float(share[0]),
        "label_entropy_bits": float(-(share * np.log2(share)).sum()),
        "choice_mass_x": _mean(b.mass("x")),
        "choice_mass_cf": _mean(b.mass("cf")),
    }


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
