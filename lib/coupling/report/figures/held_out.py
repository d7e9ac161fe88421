"""Held-out region: faithfulness where explanations had labels, and where they had none."""

import pandas as pd

from coupling.analysis.tables import Tables
from coupling.report.figures import marks, style
from coupling.report.figures.marks import DIFFERENCE, LOOKS, SHARE
from coupling.sweep import Sweep, plan

WHAT = (
    "Self- and target-faithfulness, gap, excess gap and preference on kinds of input that explanation "
    "labels cover, and on kinds that they do not"
)
REGIONS = ["labelled", "held out"]
MEASURES = (("self", "target"), ("gap", "excess"), ("preference",))


def of_sweep(data: Tables, sweep: Sweep) -> style.StudyFigure:
    """Draw the figure of a sweep that keeps labels from some kinds of input."""
    closed = [name for name, spec in plan(data.keys["profile"], sweep.name) if spec.held_out]
    return draw(data.regions, data.summary, set(closed))


def draw(regions: pd.DataFrame, summary: pd.DataFrame, closed: set[str]) -> style.StudyFigure:
    """Draw three panels a task: self and target by condition and region, the gaps, and preference.

    Args:
        regions: Means and intervals of each task, condition and region.
        summary: The summary of the sweep, for the caption.
        closed: The conditions in which some kinds have no labels.
    """
    tasks = style.in_order(regions["task"])
    count = regions.groupby("task").size().max()
    size = (style.PAGE, len(tasks) * (0.5 + 0.3 * count))
    figure, axes = style.canvas(len(tasks), 3, size, squeeze=False, sharey="row")
    for k, (row, task) in enumerate(zip(axes, tasks, strict=True)):
        rows = regions[regions["task"] == task]
        rows = rows.iloc[rows["region"].map(REGIONS.index).argsort(kind="stable")]
        rows = rows.sort_values("condition", kind="stable", ignore_index=True)
        names = [f"{c},\n{r} kinds" for c, r in zip(rows["condition"], rows["region"], strict=True)]
        for axis, measures in zip(row, MEASURES, strict=True):
            series = [(LOOKS[m], [marks.ends(row, m) for _, row in rows.iterrows()]) for m in measures]
            marks.rows(axis, series, names)
        marks.null(row[1], lying=True)
        marks.null(row[2], 0.5, lying=True)
        style.panels(
            row, [f"{task}: what explanations state", "gap and excess gap", "preference"], 125, 3 * k
        )
    for axis, label in zip(axes[-1], (SHARE, DIFFERENCE, "share of decided"), strict=True):
        axis.set_xlabel(label)
    return style.finish(figure, _found(regions, closed), _caption(summary))


def _found(regions: pd.DataFrame, closed: set[str]) -> str:
    """Say for how many conditions and tasks preference is above one half on kinds without labels."""
    apart = regions[(regions["region"] == "held out") & regions["condition"].isin(closed)]
    if apart.empty:
        return "Labels cover every kind"
    said = []
    for condition, rows in apart.groupby("condition", sort=False):
        above = int((rows["preference_low"] > 0.5).sum())
        where = style.counted(above, len(rows), "task")
        said.append(f"{where} ({condition})" if apart["condition"].nunique() > 1 else where)
    return f"On kinds that had no labels the preference is above one half {', '.join(said)}"


def _caption(summary: pd.DataFrame) -> str:
    first = summary.iloc[0]
    return (
        f"Final step; {style.number(first['seeds'], 'M0')}, {style.span(summary['runs'])} runs a condition; "
        "the same kinds are called held out in all conditions. Bars: 95 %, "
        f"{style.interval_of(first['seeds'], summary['runs'])}."
    )
