"""Effects with their intervals, and controls beside them (docs/method.md, "Statistics")."""

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import pandas as pd

from coupling.analysis import resampling

NAN = float("nan")
UNITS = {"m0_seed": "M0s", "seed": "explainers"}
WHY = {"excess": "the excess gap needs a second run with the same M0 and the same labels"}


class Missing(StrEnum):
    """Why a control has no outcome."""

    NOT_RUN = "not run"
    NOT_COMPUTABLE = "not computable"


Control = bool | Missing  # whether a control was passed, or why that is not known


@dataclass(frozen=True)
class Effect:
    """A measured number with its 95 % interval.

    Attributes:
        value: The number; NaN where it cannot be computed.
        low: Lower end of the interval.
        high: Upper end of the interval.
        p: p value against `null`, not corrected for other tests. NaN where it cannot be computed.
        seeds: Number of seeds behind the effect.
        null: The value that the effect is compared with.
        seeds_above: How many seeds lie above the null by themselves. None where that is not known. Five
            clusters are few for a bootstrap, so this number stands beside its interval.
        unit: What the seeds are of: "M0s", or "explainers" of a model that is taken as it is.
        why: Why a number is NaN, or empty.
    """

    value: float
    low: float
    high: float
    p: float
    seeds: int
    null: float = 0.0
    seeds_above: int | None = None
    unit: str = "M0s"
    why: str = ""

    @property
    def above(self) -> bool:
        """Whether the whole interval lies above the null."""
        return self.low > self.null


@dataclass(frozen=True)
class Finding:
    """What a rule found.

    Attributes:
        measure: What the effect is, in words.
        effect: The effect that decides.
        controls: By name, whether each control was passed. The name says what is passed.
        tests: By name, the p value of a test that serves as a control, before correction, and whether its
            difference goes the claim's way.
        within: The range in which the effect must lie, where a range is what is claimed. Then no p is needed.
    """

    measure: str
    effect: Effect
    controls: dict[str, Control] = field(default_factory=dict)
    tests: dict[str, tuple[float, bool]] = field(default_factory=dict)
    within: tuple[float, float] | None = None


def judged(passed: bool, *numbers: float) -> Control:
    """Return whether a control was passed, which cannot be said where a number behind it is NaN."""
    return Missing.NOT_COMPUTABLE if any(map(np.isnan, numbers)) else bool(passed)


def above(effect: Effect) -> Control:
    """Return whether the interval of an effect lies above the null."""
    return judged(effect.above, effect.low)


def not_above(effect: Effect) -> Control:
    """Return whether the interval of an effect reaches down to the null or below it."""
    return judged(not effect.above, effect.low)


def two_sided(draws: np.ndarray, null: float = 0.0) -> float:
    """Return twice the share of resamples on the other side of the null, the observed one counted among them.

    Args:
        draws: Resampled values, float64 [resamples]. Those that are NaN are left out.
        null: The value that they are compared with.

    Returns:
        The p value, at most 1; NaN without any draw.
    """
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        return NAN
    return min(1.0, 2 * (1 + min((draws <= null).sum(), (draws >= null).sum())) / (1 + len(draws)))


def effect_of(frame: pd.DataFrame, column: str, null: float = 0.0) -> Effect:
    """Return the mean of a column as an effect.

    Args:
        frame: Rows with the columns m0_seed and seed, and `group` if both seeds and groups are drawn anew;
            without it only seeds are (see `resampling.resampled`).
        column: The column. Rows without a number there are left out.
        null: The value that the effect is compared with.

    Returns:
        The effect. Its numbers are NaN, and `why` says the reason, where no row has a number.
    """
    if frame.empty:
        return Effect(NAN, NAN, NAN, NAN, 0, null, why=f"no rows to compute {column} from")
    frame = frame if "group" in frame else frame.assign(group=0)
    factor = resampling.first_factor(frame)
    values = frame[column].astype(float)
    each = values.groupby(frame[factor]).mean().dropna()
    if each.empty:
        why = WHY.get(column, f"no row has a number for {column}")
        return Effect(NAN, NAN, NAN, NAN, frame[factor].nunique(), null, None, UNITS[factor], why)
    draws = resampling.resampled(frame, [column])[column]
    low, high = resampling.interval(draws)
    seeds_above = int((each > null).sum())
    p = two_sided(draws, null)
    return Effect(float(values.mean()), low, high, p, len(each), null, seeds_above, UNITS[factor])


def difference(a: pd.DataFrame, b: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return a column of a less that of b, paired where both have a row.

    Args:
        a: Rows with the columns m0_seed and seed, and group and id where rows are items.
        b: Rows of another condition, with the same columns.
        column: The column to compare.

    Returns:
        One row a pair of equal M0 seed, explainer seed and, where there are any, item.
    """
    by = [c for c in ("m0_seed", "seed", "group", "id") if c in a and c in b]
    both = pd.merge(
        *(f[[*by, column]].astype({column: float}) for f in (a, b)), on=by, suffixes=("", "_of_b")
    )
    both[column] -= both.pop(f"{column}_of_b")
    return both


def contrast(a: pd.DataFrame, b: pd.DataFrame, column: str) -> Effect:
    """Return the mean of a column over some items less that over other items of the same runs."""
    if a.empty or b.empty:
        return Effect(NAN, NAN, NAN, NAN, 0, why="one of the two sets of items is empty")
    # Each row is weighted so that the mean over all rows is the difference of the two means.
    ends = [end.assign(over=sign * end[column].astype(float) / len(end)) for sign, end in ((1, a), (-1, b))]
    both = pd.concat(ends, ignore_index=True)
    return effect_of(both.assign(over=both["over"] * len(both)), "over")


def runs_above(runs: pd.DataFrame, a: str, b: str) -> Control:
    """Return whether column a stands above column b over the runs, their seeds drawn anew.

    Args:
        runs: One row a run, with m0_seed and seed.
        a: The column that should be higher.
        b: The column that should be lower.
    """
    return above(effect_of(runs.assign(over=runs[a] - runs[b])[["m0_seed", "seed", "over"]], "over"))
