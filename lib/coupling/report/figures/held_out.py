"""Held-out region: faithfulness where explanations had labels, and where they had none."""

import pandas as pd
from matplotlib.figure import Figure

from coupling.analysis.tables import Tables
from coupling.report.figures import style
from coupling.report.figures.style import DIFFERENCE, GAPS, SHARE
from coupling.sweep import Sweep

WHAT = (
    "Self- and target-faithfulness and excess gap on kinds of input that explanation labels "
    "cover, and on kinds that they do not"
)
REGIONS = ["labelled", "held out"]
ASIDE = 0.13  # how far the two measures of a panel stand from the place of their condition


def of_sweep(data: Tables, sweep: Sweep) -> Figure:
    """Draw the figure of a sweep that keeps labels from some kinds of input."""
    return draw(data.regions, data.summary)


def draw(regions: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """Draw two panels a task: self and target by condition and region, and the gaps.

    Args:
        regions: Means and intervals of each task, condition and region.
        summary: The summary of the sweep, for the caption.
    """
    tasks = style.in_order(regions["task"])
    figure, axes = style.canvas(len(tasks), 2, (8.6, 0.5 + 3.0 * len(tasks)), squeeze=False)
    for (left, right), task in zip(axes, tasks, strict=True):
        rows = regions[regions["task"] == task]
        rows = rows.iloc[rows["region"].map(REGIONS.index).argsort(kind="stable")]
        rows = rows.sort_values("condition", kind="stable", ignore_index=True)
        names = [f"{c},\n{r} kinds" for c, r in zip(rows["condition"], rows["region"], strict=True)]
        for axis, measures in ((left, ("self", "target")), (right, ("gap", "excess"))):
            for place, row in rows.iterrows():
                for aside, measure in zip((-ASIDE, ASIDE), measures, strict=True):
                    style.measure_interval(axis, place + aside, row, measure)
            style.ticks(axis, names)
            style.legend(axis, 6)
        left.set(ylim=(0, 1.02), ylabel=SHARE, title=f"{task}: self and target")
        style.zero(right)
        right.set(ylabel=DIFFERENCE, title=GAPS)
    first = summary.iloc[0]
    style.caption(
        figure,
        f"Final step; {first['seeds']} M0 seed(s), {first['runs']} run(s) a condition; the same kinds are "
        "called held out in both conditions. Bars: 95 % two-way bootstrap over M0 seeds and groups.",
    )
    return figure
