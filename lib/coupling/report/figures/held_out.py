"""Held-out region: faithfulness where explanations had labels, and where they had none."""

import pandas as pd

from coupling.analysis.tables import Tables
from coupling.report.figures import marks, style
from coupling.report.figures.marks import DIFFERENCE, LOOKS, SHARE
from coupling.sweep import Sweep

WHAT = (
    "Self- and target-faithfulness and excess gap on kinds of input that explanation labels "
    "cover, and on kinds that they do not"
)
REGIONS = ["labelled", "held out"]


def of_sweep(data: Tables, sweep: Sweep) -> style.StudyFigure:
    """Draw the figure of a sweep that keeps labels from some kinds of input."""
    return draw(data.regions, data.summary)


def draw(regions: pd.DataFrame, summary: pd.DataFrame) -> style.StudyFigure:
    """Draw two panels a task: self and target by condition and region, and the gaps.

    Args:
        regions: Means and intervals of each task, condition and region.
        summary: The summary of the sweep, for the caption.
    """
    tasks = style.in_order(regions["task"])
    count = regions.groupby("task").size().max()
    size = (style.PAGE, len(tasks) * (0.5 + 0.3 * count))
    figure, axes = style.canvas(len(tasks), 2, size, squeeze=False, sharey="row")
    for k, (pair, task) in enumerate(zip(axes, tasks, strict=True)):
        rows = regions[regions["task"] == task]
        rows = rows.iloc[rows["region"].map(REGIONS.index).argsort(kind="stable")]
        rows = rows.sort_values("condition", kind="stable", ignore_index=True)
        names = [f"{c},\n{r} kinds" for c, r in zip(rows["condition"], rows["region"], strict=True)]
        for axis, measures in zip(pair, (("self", "target"), ("gap", "excess")), strict=True):
            series = [(LOOKS[m], [marks.ends(row, m) for _, row in rows.iterrows()]) for m in measures]
            marks.rows(axis, series, names)
        marks.null(pair[1], lying=True)
        style.panels(pair, [f"{task}: what explanations state", "gap and excess gap"], 170, 2 * k)
    axes[-1, 0].set_xlabel(SHARE)
    axes[-1, 1].set_xlabel(DIFFERENCE)
    return style.finish(figure, _found(regions), _caption(summary))


def _found(regions: pd.DataFrame) -> str:
    """Say on how many kinds without labels the gap is above zero."""
    apart = regions[regions["region"] == "held out"]
    if apart.empty:
        return "Labels cover every kind"
    without = apart[apart["condition"] == apart["condition"].iloc[-1]]
    above = int((without["gap_low"] > 0).sum())
    where = style.counted(above, len(without), "task")
    return f"On kinds that had no labels ({without['condition'].iloc[0]}) the gap is above zero {where}"


def _caption(summary: pd.DataFrame) -> str:
    first = summary.iloc[0]
    return (
        f"Final step; {style.number(first['seeds'], 'M0')}, {style.span(summary['runs'])} runs a condition; "
        f"the same kinds are called held out in both conditions. Bars: 95 % two-way bootstrap over "
        f"{style.seeds_of(first['seeds'])} and groups."
    )
