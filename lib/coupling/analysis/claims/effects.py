"""Effects with their intervals, and controls beside them (docs/method.md, "Statistics")."""

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import pandas as pd

from coupling.analysis import resampling
from coupling.analysis.claims.ref import Ref

NAN = float("nan")
UNITS = {"m0_seed": "M0s", "seed": "explainers"}
MATTERS = 0.02  # the smallest difference of shares that would matter
WHY = {"excess": "the excess gap needs a second run with the same M0 and the same labels"}


class Missing(StrEnum):
    """Why a control has no outcome."""

    NOT_RUN = "not run"
    NOT_COMPUTABLE = "not computable"


Control = bool | Missing  # whether a control was passed, or why that is not known


@dataclass(frozen=True)
class Effect:
    """A measured number with the interval that decides.

    Attributes:
        value: The number; NaN where it cannot be computed.
        low: Lower end of its 95 % interval: t over the means of M0s (or of explainers, of a model that is
            taken as it is). With one seed it is a bootstrap interval over groups, which decides no claim.
        high: Upper end of the interval.
        p: p value against `null`, not corrected for other tests. NaN where it cannot be computed.
        seeds: Number of seeds behind the effect.
        null: The value that the effect is compared with.
        seeds_above: How many seeds lie above the null by themselves. None where that is not known.
        unit: What the seeds are of: "M0s", or "explainers" of a model that is taken as it is.
        why: Why a number is NaN, or empty.
        matters: The smallest effect that would matter. None: the null and 0.02.
        upper: Upper end of the one-sided 95 % interval, for tests that there is no effect.
        drawn: The two-way bootstrap interval, for display.
        least: The smallest p that so few seeds can give; 0 for a t test, which has no such limit.
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
    matters: float | None = None
    upper: float = NAN
    drawn: tuple[float, float] = (NAN, NAN)
    least: float = 0.0

    @property
    def above(self) -> bool:
        """Whether the whole interval lies above the null."""
        return self.low > self.null

    @property
    def margin(self) -> float:
        """The value below which the whole interval must lie for "not replicated"."""
        return self.null + MATTERS if self.matters is None else self.matters


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
        rests_on: The conditions whose explanations the effect is measured on. If most of their runs are
            collapsed, or have not learnt the flag, nothing is decided.
        of_flags: Whether the effect depends on what explanations say about the flag.
    """

    measure: str
    effect: Effect
    controls: dict[str, Control] = field(default_factory=dict)
    tests: dict[str, tuple[float, bool]] = field(default_factory=dict)
    within: tuple[float, float] | None = None
    rests_on: tuple[Ref, ...] = ()
    of_flags: bool = True


def judged(passed: bool, *numbers: float) -> Control:
    """Return whether a control was passed, which cannot be said where a number behind it is NaN."""
    return Missing.NOT_COMPUTABLE if any(map(np.isnan, numbers)) else bool(passed)


def above(effect: Effect) -> Control:
    """Return whether the interval of an effect lies above the null."""
    return judged(effect.above, effect.low)


def no_effect(effect: Effect, margin: float | None = None) -> Control:
    """Return whether an effect is too small to matter: an equivalence test at 5 %, on the side that matters.

    An effect on the other side of the null would not give a claim away. So only the upper side is tested.

    Args:
        effect: The effect.
        margin: What the upper end of its one-sided 95 % interval must lie below. None: the effect's own.
    """
    return judged(effect.upper < (effect.margin if margin is None else margin), effect.upper)


def effect_of(frame: pd.DataFrame, column: str, null: float = 0.0, matters: float | None = None) -> Effect:
    """Return the mean of a column as an effect.

    Args:
        frame: Rows with the columns m0_seed and seed, and `group` if both seeds and groups are drawn anew;
            without it only seeds are (see `resampling.resampled`).
        column: The column. Rows without a number there are left out.
        null: The value that the effect is compared with.
        matters: See `Effect`.

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
    return over_seeds(each, UNITS[factor], null, matters, draws)


def over_seeds(
    each: pd.Series | np.ndarray,
    unit: str = "M0s",
    null: float = 0.0,
    matters: float | None = None,
    draws: np.ndarray | None = None,
) -> Effect:
    """Return the mean over seeds as an effect, with its t interval.

    Args:
        each: The values of the seeds.
        unit: What the seeds are of.
        null: See `Effect`.
        matters: See `Effect`.
        draws: Resampled values of the effect, for the interval that is shown, and for the one that stands in
            where there is one seed. None: seeds are drawn anew.
    """
    each = np.asarray(each, float)
    each = each[np.isfinite(each)]
    if not len(each):
        return Effect(NAN, NAN, NAN, NAN, 0, null, unit=unit, why="no seed has a number")
    if draws is None:
        frame = pd.DataFrame({"m0_seed": np.arange(len(each)), "seed": 0, "group": 0, "v": each})
        draws = resampling.resampled(frame, ["v"])["v"]
    drawn = resampling.interval(draws)
    low, high, p = resampling.t_interval(each, null)
    upper = resampling.t_interval(each, null, 0.9)[1]
    if len(each) == 1:
        (low, high), upper = drawn, resampling.interval(draws, 0.9)[1]
    mean, above = float(each.mean()), int((each > null).sum())
    return Effect(mean, low, high, p, len(each), null, above, unit, matters=matters, upper=upper, drawn=drawn)


def difference(a: pd.DataFrame, b: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return a column of a less that of b, paired where both have a row.

    Args:
        a: Rows with the columns m0_seed and seed, and group and id where rows are items.
        b: Rows of another condition, with the same columns.
        column: The column to compare.

    Returns:
        One row a pair of equal M0 seed, explainer seed and, where there are any, item.
    """
    by = [c for c in ("task", "m0_seed", "seed", "group", "id") if c in a and c in b]
    both = pd.merge(
        *(f[[*by, column]].astype({column: float}) for f in (a, b)), on=by, suffixes=("", "_of_b")
    )
    both[column] -= both.pop(f"{column}_of_b")
    return both


def contrast(a: pd.DataFrame, b: pd.DataFrame, column: str) -> Effect:
    """Return the mean of a column over some items less that over other items of the same M0s."""
    if a.empty or b.empty:
        return Effect(NAN, NAN, NAN, NAN, 0, why="one of the two sets of items is empty")
    factor = resampling.first_factor(pd.concat([a, b]))
    each = [end[column].astype(float).groupby(end[factor]).mean() for end in (a, b)]
    draws = [resampling.resampled(end, [column])[column] for end in (a, b)]
    return over_seeds((each[0] - each[1]).dropna(), UNITS[factor], draws=draws[0] - draws[1])


def runs_above(runs: pd.DataFrame, a: str, b: str) -> Control:
    """Return whether column a stands above column b over the runs, their seeds drawn anew.

    Args:
        runs: One row a run, with m0_seed and seed.
        a: The column that should be higher.
        b: The column that should be lower.
    """
    return above(effect_of(runs.assign(over=runs[a] - runs[b])[["m0_seed", "seed", "over"]], "over"))
