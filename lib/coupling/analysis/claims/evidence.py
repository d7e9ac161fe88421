"""What a row of the claims table rests on: the committed tables of a profile, and effects with their intervals."""

from dataclasses import dataclass, field
from functools import cache, partial

import numpy as np
import pandas as pd

from coupling import files
from coupling.analysis import measures, resampling, tables, tracking

RESAMPLES = 9999


@dataclass(frozen=True)
class Effect:
    """A measured number with its 95 % interval, its p against `null` (before correction; NaN where it has none), the seeds behind it, of M0s or, of
    a model that is taken as it is, of explainers (unit), and how many of them lie above the null by themselves (None where that is not known): five
    clusters are few for a bootstrap."""

    value: float
    low: float
    high: float
    p: float
    seeds: int
    null: float = 0.0
    seeds_above: int | None = None
    unit: str = "M0s"

    @property
    def above(self) -> bool:
        """Whether the interval lies above the null."""
        return self.low > self.null


@dataclass(frozen=True)
class Finding:
    """What a row rests on. measure: what the effect is. controls: name to passed, None where it was not run. tests: name to (p before correction, whether the
    difference goes the claim's way). within: a range that the effect must lie in, where that is what is claimed."""

    measure: str
    effect: Effect
    controls: dict[str, bool | None] = field(default_factory=dict)
    tests: dict[str, tuple[float, bool]] = field(default_factory=dict)
    within: tuple[float, float] | None = None


class NotMeasuredError(Exception):
    """A table, task or condition that a claim needs is not there."""


class Evidence:
    """The committed tables of one profile, each read once."""

    def __init__(self, profile: str) -> None:
        self.profile = profile
        self._tables = cache(partial(tables.read, profile))
        self.rows = cache(self._rows)
        self.shifted = cache(lambda task: tracking.measured(self.table("items", "shift", task=task)))

    def table(self, name: str, sweep: str, **where: object) -> pd.DataFrame:
        """The rows of a sweep's table in which columns have these values; NotMeasuredError without any."""
        try:
            frame = getattr(self._tables(sweep), name)
        except files.StoreError as error:
            raise NotMeasuredError(str(error)) from None
        for column, value in where.items():
            frame = frame[frame[column] == value]
        if frame.empty:
            raise NotMeasuredError(f"{self.profile} {sweep}: {where}")
        return frame

    def _rows(self, sweep: str, task: str, condition: str) -> pd.DataFrame:
        """Final rows of a condition with their measures."""
        return measures.with_measures(self.table("items", sweep, task=task, condition=condition))

    def line(self, sweep: str, task: str, condition: str) -> pd.Series:
        """The summary of a condition."""
        return self.table("summary", sweep, task=task, condition=condition).iloc[0]

    def finals(self, sweep: str, task: str, condition: str) -> pd.DataFrame:
        """A row a run, at its final step."""
        runs = self.table("runs", sweep, task=task, condition=condition)
        return runs[runs["step"] == runs["step"].max()]

    def collapsed(self, sweep: str, task: str, condition: str) -> float:
        """The share of runs that collapsed."""
        return float((self.finals(sweep, task, condition)["collapsed"] != "").mean())


def two_sided(draws: np.ndarray, null: float = 0.0) -> float:
    """Twice the share of resamples on the other side of `null`, the observed one counted among them."""
    return min(1.0, 2 * (1 + min((draws <= null).sum(), (draws >= null).sum())) / (1 + len(draws)))


def effect_of(frame: pd.DataFrame, column: str, null: float = 0.0) -> Effect:
    """The mean of a column with its bootstrap interval and p (see `resampling.resampled`); over seeds alone where rows have no group."""
    frame = frame if "group" in frame else frame.assign(group=0)
    draws = resampling.resampled(frame, [column], RESAMPLES)[column]
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        raise NotMeasuredError(f"no {column} in these rows")
    p = two_sided(draws, null)
    factor = resampling.first_factor(frame)
    each = frame.assign(value=frame[column].astype(float)).groupby(factor)["value"].mean().dropna()
    value, unit = float(frame[column].astype(float).mean()), {"m0_seed": "M0s", "seed": "explainers"}[factor]
    return Effect(value, *resampling.interval(draws), p, len(each), null, int((each > null).sum()), unit)


def difference(a: pd.DataFrame, b: pd.DataFrame, column: str) -> pd.DataFrame:
    """a - b of a column, paired by M0 seed, explainer seed and item (or without items, of rows that have none), where both have a row."""
    by = [c for c in ("m0_seed", "seed", "group", "id") if c in a and c in b]
    both = pd.merge(
        *(f[[*by, column]].astype({column: float}) for f in (a, b)), on=by, suffixes=("", "_of_b")
    )
    both[column] -= both.pop(f"{column}_of_b")
    return both


def contrast(a: pd.DataFrame, b: pd.DataFrame, column: str) -> Effect:
    """The mean of a column over rows a less that over rows b, which are other items of the same runs."""
    ends = [end.assign(over=sign * end[column].astype(float) / len(end)) for sign, end in ((1, a), (-1, b))]
    both = pd.concat(ends, ignore_index=True)
    return effect_of(
        both.assign(over=both["over"] * len(both)), "over"
    )  # so that the mean of all rows is the difference of the two means


def runs_above(runs: pd.DataFrame, a: str, b: str) -> bool:
    """Whether column a stands above b over the runs, their M0 seeds drawn anew."""
    return effect_of(runs.assign(over=runs[a] - runs[b])[["m0_seed", "seed", "over"]], "over").above
