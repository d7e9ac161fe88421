"""Intervals: t over M0 means, and the bootstrap over M0s and entities (docs/method.md, "Statistics").

A frame of many runs has the columns condition, m0_seed and seed beside the columns of
`coupling.measure.rows.score`. Runs with the same condition and m0_seed learn from the same label source S and
differ in the seed of the explainer.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy import special

# Random draws behind every interval and every p value that is not exact. A p value counts the observed value
# among the draws, so that it is a multiple of 1 / 10,000.
RESAMPLES = 9999
LEVEL = 0.95


def first_factor(frame: pd.DataFrame) -> str:
    """Name the column of seeds that count: "m0_seed", or "seed" where all runs share one M0."""
    return "m0_seed" if frame["m0_seed"].nunique() > 1 else "seed"


def resampled(frame: pd.DataFrame, columns: list[str], resamples: int = RESAMPLES) -> dict[str, np.ndarray]:
    """Draw two-way bootstrap means of columns, over M0 seeds and groups (entities or subjects).

    Both factors are drawn anew with replacement, independently of each other. A resample weights each row by
    how often the row's M0 seed was drawn, times how often the row's group was drawn (Owen 2007, the
    pigeonhole bootstrap). Where all runs share one M0, explainer seeds take the place of M0 seeds.

    The random numbers start from a fixed seed. Two frames with the same seeds and groups therefore get the
    same resamples, so that their means can be compared draw by draw.

    Args:
        frame: Rows with m0_seed, seed, group and `columns`.
        columns: Columns of numbers or booleans. A row whose value is NaN or infinite is left out of that
            column.
        resamples: How many resamples to draw.

    Returns:
        For each column, one mean a resample; float64 [resamples]. NaN where a resample drew no finite value.
    """
    factor = first_factor(frame)
    (by_seed, seeds), (by_group, groups) = (pd.factorize(frame[c], sort=True) for c in (factor, "group"))
    shape, out = (len(seeds), len(groups)), {}
    for column in columns:
        values = frame[column].to_numpy(float)
        finite = np.isfinite(values)
        sums, counts = (np.zeros(shape) for _ in range(2))
        np.add.at(sums, (by_seed[finite], by_group[finite]), values[finite])
        np.add.at(counts, (by_seed[finite], by_group[finite]), 1.0)
        totals = [_totals(table.tobytes(), shape, resamples) for table in (sums, counts)]
        with np.errstate(invalid="ignore", divide="ignore"):
            out[column] = np.divide(*totals)
    return out


@lru_cache(maxsize=64)
def _totals(table: bytes, shape: tuple[int, int], resamples: int) -> np.ndarray:
    """The weighted sum of a table over seeds and groups in every resample; float64 [resamples].

    Sums are kept by what is summed, because columns and conditions with the same items have the same counts.

    Args:
        table: The content of a table, float64 [seeds, groups].
        shape: Its shape.
        resamples: How many resamples there are.
    """
    seed_weights, group_weights = _weights(*shape, resamples)
    cells = np.frombuffer(table).reshape(shape)
    found = np.einsum("bm,mg,bg->b", seed_weights, cells, group_weights, optimize=True)
    found.flags.writeable = False
    return found


@lru_cache(maxsize=4)
def _weights(seeds: int, groups: int, resamples: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each seed and each group is drawn; float64 [resamples, seeds] and [resamples, groups].

    The draws depend on these numbers alone. They are kept, because many small frames of a study share them.
    """
    rng = np.random.default_rng(0)
    both = tuple(rng.multinomial(n, np.full(n, 1 / n), size=resamples).astype(float) for n in (seeds, groups))
    for weights in both:
        weights.flags.writeable = False
    return both


def intervals(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Compute the mean of each column with its 95 % interval.

    A column is averaged over the rows of a run, then over the runs of an M0, then over M0s. The interval is t
    over M0s, or over the runs where all share one M0. Of one run it is a bootstrap interval over groups, if
    the rows have any.

    Args:
        frame: Rows with m0_seed, seed and `columns`; group where the rows are items.
        columns: Columns of numbers or booleans. NaN and infinite values are left out.

    Returns:
        One row a column of `frame`, with the columns mean, low and high (float64). All three are NaN for a
        column without a finite value, and the ends where a single one of several M0s, or runs, has one.
    """
    finite = frame[columns].astype(float).replace([np.inf, -np.inf], np.nan)
    runs = finite.groupby([frame["m0_seed"], frame["seed"]]).mean()
    each = runs.groupby(level=first_factor(frame)).mean()
    alone = len(each) == 1 and "group" in frame and frame["group"].nunique() > 1
    drawn = resampled(frame, columns) if alone else {}
    out = {}
    for column in columns:
        low, high = interval(drawn[column]) if drawn else t_interval(each[column])[:2]
        out[column] = {"mean": each[column].mean(), "low": low, "high": high}
    return pd.DataFrame(out).T


def flattened(table: pd.DataFrame, names: Sequence[str], mean: str = "") -> dict[str, float]:
    """Lay rows of an `intervals` table side by side, as columns of one wider row.

    Args:
        table: What `intervals` returned.
        names: The rows to take.
        mean: What is put after a name for its mean, for instance "_mean".

    Returns:
        For each name, in order: name + `mean`, name_low and name_high.
    """
    endings = {"mean": mean, "low": "_low", "high": "_high"}
    return {f"{name}{ending}": table.loc[name, k] for name in names for k, ending in endings.items()}


def interval(draws: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Return the percentiles that hold `level` of resampled values, or NaN twice where none is finite."""
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        return float("nan"), float("nan")
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def t_interval(
    values: pd.Series | np.ndarray, null: float = 0.0, level: float = LEVEL
) -> tuple[float, float, float]:
    """Compute the t interval of a mean, and the two-sided p of its t test.

    Args:
        values: One value a cluster, for instance the mean of each M0. NaN is left out.
        null: The value that the mean is tested against.
        level: What share of such intervals holds the true mean.

    Returns:
        Lower end, upper end and p. All are NaN with fewer than two values. Values without any spread have an
        interval without width, and p is 0, or 1 where they equal the null.
    """
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return float("nan"), float("nan"), float("nan")
    mean, error = values.mean(), values.std(ddof=1) / np.sqrt(len(values))
    if error == 0:
        return float(mean), float(mean), float(mean == null)
    return _student(mean, error, len(values) - 1, null, level)


def slope_interval(x: np.ndarray, y: np.ndarray, level: float = LEVEL) -> tuple[float, float, float, float]:
    """Fit a line by least squares. Compute the t interval of its slope, and the two-sided p against zero.

    Args:
        x: Places, float [values].
        y: One value a cluster, for instance the mean of each M0, float [values].
        level: What share of such intervals holds the true slope.

    Returns:
        Slope, lower end, upper end and p. All are NaN with fewer than three values, and where all places are
        the same. Values that lie on a line have an interval without width.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    spread = ((x - x.mean()) ** 2).sum() if len(x) else 0.0
    if len(x) < 3 or spread == 0:
        return (float("nan"),) * 4
    slope = ((x - x.mean()) * (y - y.mean())).sum() / spread
    left = y - y.mean() - slope * (x - x.mean())
    error = np.sqrt((left**2).sum() / (len(x) - 2) / spread)
    if error == 0:
        return float(slope), float(slope), float(slope), float(slope == 0)
    return float(slope), *_student(slope, error, len(x) - 2, 0.0, level)


def _student(
    value: float, error: float, freedom: int, null: float, level: float
) -> tuple[float, float, float]:
    """Return the ends of a t interval, and p against the null, of a value with its standard error."""
    # These are scipy.stats.t.ppf and .sf, without the second that importing scipy.stats takes.
    reach = special.stdtrit(freedom, (1 + level) / 2) * error
    p = 2 * special.stdtr(freedom, -abs(value - null) / error)
    return float(value - reach), float(value + reach), float(p)
