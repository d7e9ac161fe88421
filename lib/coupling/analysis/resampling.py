"""Metrics over rows (see `faithfulness.rows`), intervals included. Reads tables alone: no model, no torch.

A frame of many runs has the columns condition, m0_seed and seed beside those of the rows. Runs that share condition
and m0_seed share their label source S and differ in the explainer's seed alone.
"""

import numpy as np
import pandas as pd

RESAMPLES = 2000


LEVEL = 0.95


def first_factor(frame: pd.DataFrame) -> str:
    """What is drawn anew beside groups: "m0_seed", or of one M0 alone "seed", the explainers'."""
    return "m0_seed" if frame["m0_seed"].nunique() > 1 else "seed"


def resampled(frame: pd.DataFrame, columns: list[str], resamples: int = RESAMPLES) -> dict[str, np.ndarray]:
    """Means of each column in two-way bootstrap resamples over M0 seeds and groups (entities, subjects); float64 [resamples].

    Both factors are drawn anew with replacement and cross: a resample weights a row by the product of how often its
    M0 seed and its group were drawn (Owen 2007, the pigeonhole bootstrap). With one M0 seed, explainer seeds take its
    place. The draws come from a fixed seed: frames with the same seeds and groups are drawn alike, so that their means can be
    compared resample by resample. NaN rows of a column are left out of it; a resample without any other is NaN.
    """
    factor = first_factor(frame)
    rng = np.random.default_rng(0)
    first, second = frame[factor].nunique(), frame["group"].nunique()
    weights = [rng.multinomial(n, np.full(n, 1 / n), size=resamples) for n in (first, second)]
    codes = [pd.factorize(frame[c], sort=True)[0] for c in (factor, "group")]
    out = {}
    for column in columns:
        values = frame[column].to_numpy(float)
        real = np.isfinite(values)
        sums, counts = np.zeros((first, second)), np.zeros((first, second))
        np.add.at(sums, (codes[0][real], codes[1][real]), values[real])
        np.add.at(counts, (codes[0][real], codes[1][real]), 1.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            out[column] = np.einsum("bm,mg,bg->b", weights[0], sums, weights[1], optimize=True) / np.einsum(
                "bm,mg,bg->b", weights[0], counts, weights[1], optimize=True
            )
    return out


def intervals(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Mean of each column with the interval of its `resampled` means: one row a column, mean, low, high (95 %, percentiles). A
    column without any number is NaN throughout."""
    out = {}
    for column, draws in resampled(frame, columns).items():
        low, high = interval(draws)
        out[column] = {
            "mean": frame[column].astype(float).replace([np.inf, -np.inf], np.nan).mean(),
            "low": low,
            "high": high,
        }
    return pd.DataFrame(out).T


def interval(draws: np.ndarray) -> tuple[float, float]:
    """The 95 % interval (percentiles) of resampled values; NaN where there are none."""
    draws = draws[np.isfinite(draws)]
    tail = (1 - LEVEL) / 2
    return (
        tuple(map(float, np.quantile(draws, [tail, 1 - tail])))
        if len(draws)
        else (float("nan"), float("nan"))
    )
