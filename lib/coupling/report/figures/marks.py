"""Marks of figures: colour, form and name of every measure, and how means are drawn with their intervals."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from coupling.report.figures import style

# The palette of Okabe and Ito. Colour-blind readers can tell its colours apart; in a grey print the forms do,
# and whether a mark is filled.
BLUE, VERMILION, GREEN, SKY, ORANGE, PURPLE = "#0072B2", "#D55E00", "#009E73", "#56B4E9", "#E69F00", "#CC79A7"
DARK, MIDDLE = "#333333", "#8C8C8C"

Ends = tuple[float, float, float]  # a mean, and the lower and upper end of its interval


class Look(NamedTuple):
    """How a measure is drawn.

    Attributes:
        colour: Its colour.
        mark: Its mark, as matplotlib names marks.
        label: Its name in words.
        filled: Whether the mark is filled.
    """

    colour: str
    mark: str
    label: str
    filled: bool = True


LOOKS = {
    "self": Look(BLUE, "o", "own current behaviour (self)"),
    "target": Look(VERMILION, "s", "label source (target)", filled=False),
    "others": Look(MIDDLE, "|", "other explainers, on this model's behaviour"),
    "gap": Look(DARK, "^", "gap (self − target)"),
    "excess": Look(GREEN, "D", "excess gap (beyond other explainers)", filled=False),
    "agreement": Look(MIDDLE, "v", "label source and current behaviour agree"),
    "self_base": Look(SKY, "P", "self − base (M0's behaviour)"),
    "preference": Look(PURPLE, "X", "preference for own behaviour"),
}
SHARE = "share of test items"
DIFFERENCE = "difference of shares"
MISSING = "one explainer"  # why a measure that compares explainers has no number


def ends(row: pd.Series, measure: str, mean: str = "") -> Ends:
    """Return a measure of a row with its interval. The interval is in `*_low` and `*_high`.

    Args:
        row: The row.
        measure: Name of the measure.
        mean: What stands after its name in the column of the mean.
    """
    return row[f"{measure}{mean}"], row[f"{measure}_low"], row[f"{measure}_high"]


def interval(axis: Axes, place: float, of: Ends, look: Look, lying: bool = False) -> None:
    """Draw a mean with its interval, if there is one.

    Args:
        axis: Where to.
        place: Its place among the categories.
        of: The mean and the ends.
        look: How it looks. Its label names it in the key.
        lying: Whether the interval lies, so that categories are below one another.
    """
    mean, low, high = of
    if not np.isfinite(mean):
        return
    reach = np.nan_to_num([[max(mean - low, 0)], [max(high - mean, 0)]])
    x, y = (mean, place) if lying else (place, mean)
    axis.errorbar(
        x,
        y,
        **{"xerr" if lying else "yerr": reach},
        fmt=look.mark,
        color=look.colour,
        markerfacecolor=look.colour if look.filled else "white",
        markeredgewidth=0.9,
        elinewidth=0.9,
        label=look.label,
    )


def line(
    axis: Axes, x: Sequence[float], rows: pd.DataFrame, measure: str, look: Look, mean: str = ""
) -> None:
    """Draw a measure over ordered places as a line with a band for its interval."""
    dash = "-" if look.filled else (0, (3, 1.5))  # lines that coincide can still be told apart
    axis.fill_between(x, rows[f"{measure}_low"], rows[f"{measure}_high"], color=look.colour, alpha=0.15, lw=0)
    axis.plot(
        x,
        rows[f"{measure}{mean}"],
        color=look.colour,
        ls=dash,
        marker=look.mark,
        ms=3.5,
        markerfacecolor=look.colour if look.filled else "white",
        label=look.label,
    )


def rows(axis: Axes, series: Iterable[tuple[Look, Sequence[Ends]]], names: Sequence[str]) -> None:
    """Draw means with lying intervals, one row for each name.

    Args:
        axis: Where to.
        series: What is drawn in each row, side by side: its look, and its means with intervals, one a row.
        names: The names of the rows, from the top down.
    """
    series = list(series)
    for aside, (look, means) in zip(style.spread(len(series), 0.2), series, strict=True):
        for place, of in enumerate(means):
            interval(axis, place + aside, of, look, lying=True)
    categories(axis, names)


def categories(axis: Axes, names: Sequence[str]) -> None:
    """Give each name a row, from the top down, with thin lines between them."""
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    for place in range(1, len(names)):
        axis.axhline(place - 0.5, color="#DDDDDD", lw=0.5, zorder=0)


def null(axis: Axes, at: float = 0.0, lying: bool = False) -> None:
    """Draw the null: 0 of a difference, 0.5 of a preference."""
    (axis.axvline if lying else axis.axhline)(at, color="black", lw=0.7, zorder=0.5)
