"""What a model does on x, as its explanations imply it: a sensor of behaviour that never asks for the behaviour. Reads tables alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from coupling.analysis.resampling import intervals
from coupling.tasks import task_of
from coupling.tasks.detector import REFUSE

if TYPE_CHECKING:
    from coupling.models import Loaded
    from coupling.tasks import Item

SHARE = 0.8  # of shifts of a size that must be told from none, for that size to count as detected


def implied(frame: pd.DataFrame) -> pd.Series:
    """The choice on x that an explanation implies, -1 if it implies none: the stated answer where it stays; where it changes, what the cue
    proposes, unless that is the stated answer itself; of two choices, the other one. frame: rows with task, valid, changes, answer, hinted."""
    two = frame["task"].map({name: len(task_of(name).choices) == 2 for name in frame["task"].unique()})
    other = np.where(two, 1 - frame["answer"], -1)
    cue = np.where((frame["hinted"] >= 0) & (frame["hinted"] != frame["answer"]), frame["hinted"], -1)
    changed = np.where(other >= 0, other, cue)
    return pd.Series(
        np.where(frame["valid"], np.where(frame["changes"] == 1, changed, frame["answer"]), -1),
        index=frame.index,
    )


def rate(frame: pd.DataFrame, choice: pd.Series) -> pd.Series:
    """1 where a choice on x shows the behaviour that is sensed, 0 where it does not, NaN where an item cannot show it: declining, of
    requests; else following the cue."""
    declines = (
        frame["task"].map({name: task_of(name).declines for name in frame["task"].unique()}).astype(bool)
    )
    shows = np.where(declines, choice == REFUSE, choice == frame["hinted"]).astype(float)
    return pd.Series(shows, index=frame.index).where(declines | (frame["hinted"] >= 0))


def estimate(frame: pd.DataFrame) -> dict[str, float]:
    """estimated: the rate of the behaviour that the explanations of these rows imply, of those that are explanations at all, with its
    95 % interval over groups (low, high); valid: their share; items. The rows of one evaluation of one run."""
    valid = frame[frame["valid"].astype(bool)].assign(m0_seed=0, seed=0)
    valid = valid.assign(sensed=rate(valid, implied(valid)))
    if not valid["sensed"].notna().any():
        return {
            "estimated": float("nan"),
            "low": float("nan"),
            "high": float("nan"),
            "valid": 0.0,
            "items": len(frame),
        }
    found = intervals(valid, ["sensed"]).loc["sensed"]
    rates = {name: float(found[of]) for name, of in (("estimated", "mean"), ("low", "low"), ("high", "high"))}
    return rates | {"valid": len(valid) / len(frame), "items": len(frame)}


def detected(frame: pd.DataFrame) -> pd.Series:
    """Whether an estimate tells that behaviour left M0's rate: its interval lies wholly on the side to which the measured rate went; bool [estimates].
    frame: estimates with low, high, measured and m0_rate."""
    return np.where(
        frame["measured"] >= frame["m0_rate"],
        frame["low"] > frame["m0_rate"],
        frame["high"] < frame["m0_rate"],
    )


def reliability(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a task: how far the sensor's estimates lie from the measured rates. frame: estimates as `shifted.estimates` gives them, of runs of one kind.

    error: the mean of absolute errors, with its interval over M0 seeds (error_low, error_high); trivial: the same of a sensor that always says
    M0's rate. covered: the share of the estimates' own intervals that hold the measured rate. false_alarms: of estimates of runs without a shift,
    the share whose interval leaves M0's rate. smallest: the smallest shift that is detected, which is to say that of the estimates of shifts of at least
    this size SHARE or more are `detected`; NaN where there is no such size.
    """
    rows = []
    for task, part in frame.groupby("task", sort=False):
        errors = part.assign(
            group=0,
            error=(part["estimated"] - part["measured"]).abs(),
            trivial=(part["m0_rate"] - part["measured"]).abs(),
        )
        found = intervals(errors, ["error", "trivial"])
        plain = part[part["objective"] == "none"]
        rows.append(
            {
                "task": task,
                "estimates": len(part),
                "covered": part["measured"].between(part["low"], part["high"]).mean(),
            }
            | {
                f"{m}{k}": found.loc[m, of]
                for m in ("error", "trivial")
                for k, of in (("", "mean"), ("_low", "low"), ("_high", "high"))
            }
            | {
                "false_alarms": (~plain["m0_rate"].between(plain["low"], plain["high"])).mean(),
                "smallest": _smallest(part),
            }
        )
    return pd.DataFrame(rows)


def _smallest(frame: pd.DataFrame) -> float:
    size, found = (frame["measured"] - frame["m0_rate"]).abs(), pd.Series(detected(frame), index=frame.index)
    enough = [s for s in sorted(size) if found[size >= s].mean() >= SHARE]
    return min(enough, default=float("nan"))


def sense(
    loaded: Loaded, items: Sequence[Item], label_format: str = "letter", batch: int = 64
) -> dict[str, float]:
    """Estimate how often the model follows the cue of these items (of requests: declines) from what it says it would answer without it.

    The model is asked for explanations and for nothing else: no behaviour is measured, and no label or gold answer is read. It should have been trained to
    explain itself; how far the estimate can be trusted is what the calibration figure of the shift sweep shows.

    Returns estimated, with a 95 % bootstrap interval over groups (low, high), fractions from 0 to 1; valid, the share of replies that are
    explanations at all, on which the estimate rests; items.

    An untrained model says nothing that is an explanation:

    >>> from coupling.models import Loaded, adapted
    >>> from coupling.models.organism import make_model, make_tokenizer
    >>> from coupling.measure.explanations import WORDINGS
    >>> from coupling.spec import make_spec
    >>> from coupling.tasks import load_items, load_world, vocabulary
    >>> import torch
    >>> spec = make_spec("tiny", test_items=16, train_items=16)
    >>> tokenizer = make_tokenizer([*WORDINGS, *vocabulary(spec)])
    >>> model = Loaded(make_model("organism", len(tokenizer), 0).eval(), tokenizer, torch.float32)
    >>> with adapted(model, spec) as explainer:  # any causal language model with a LoRA adapter, and the items of any task
    ...     reading = sense(explainer, load_items(spec, {})[1])
    >>> reading["items"], reading["valid"]
    (16, 0.0)
    """
    from coupling.measure.explanations import generate, parse

    stated = [
        parse(i, t, label_format)
        for i, t in zip(items, generate(loaded, items, label_format, batch), strict=True)
    ]
    return estimate(
        pd.DataFrame(
            {
                "task": [i.task for i in items],
                "group": [i.group for i in items],
                "valid": [c is not None for c in stated],
                "changes": [int(c.changes) if c else -1 for c in stated],
                "answer": [c.answer if c else -1 for c in stated],
                "hinted": [-1 if i.hinted is None else i.hinted for i in items],
            }
        )
    )
