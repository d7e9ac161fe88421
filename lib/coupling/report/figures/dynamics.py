"""Dynamics: self, target, agreement and the gaps over the evaluations of a run."""

import pandas as pd
from matplotlib.axes import Axes

from coupling.analysis.tables import Tables
from coupling.report.figures import marks, style
from coupling.report.figures.marks import LOOKS
from coupling.sweep import Sweep

WHAT = "Self- and target-faithfulness, agreement, gap and excess gap over the steps of explanation training"
WIDEST = 5  # conditions side by side; more of them go on below
ABOVE, BELOW = ("self", "target", "agreement"), ("gap", "excess")


def of_sweep(data: Tables, sweep: Sweep) -> style.StudyFigure:
    """Draw the figure of a sweep."""
    return draw(data.dynamics, data.runs)


def draw(dynamics: pd.DataFrame, runs: pd.DataFrame) -> style.StudyFigure:
    """Draw two panels for each task and condition, one above the other, with 95 % intervals as bands.

    The upper panel has self, target and agreement. The lower one has gap and excess gap on its own scale,
    because without the KL term they can be a hundred times as large. All points of a line are over
    the same items. Several tasks stand side by side, with their conditions below one another.

    Args:
        dynamics: Means and intervals of each task, condition and evaluation.
        runs: The same measures of each run, for the caption.
    """
    tasks, conditions = (style.in_order(dynamics[name]) for name in ("task", "condition"))
    columns = len(tasks) if len(tasks) > 1 else min(len(conditions), WIDEST)
    cells = [(task, condition) for condition in conditions for task in tasks]
    bands = -(-len(cells) // columns)
    width = style.PAGE if columns > 2 else style.COLUMN
    figure, axes = style.canvas(
        2 * bands,
        columns,
        (width, 2.05 * bands),
        squeeze=False,
        sharex=True,
        height_ratios=[1.25, 1] * bands,
    )
    for place, (task, condition) in enumerate(cells):
        band, column = divmod(place, columns)
        above, below = axes[2 * band : 2 * band + 2, column]
        rows = dynamics[(dynamics["task"] == task) & (dynamics["condition"] == condition)]
        _panel(above, rows, ABOVE)
        _panel(below, rows, BELOW)
        marks.null(below)
        name = f"{task}, {condition}" if len(tasks) > 1 else condition
        style.panels([above], [name], 72 * width / columns - 22, place)
    _dress(axes, len(cells))
    return style.finish(figure, _found(dynamics), _caption(dynamics, runs))


def _panel(axis: Axes, rows: pd.DataFrame, measures: tuple[str, ...]) -> None:
    """Draw the measures that have a number at some step after the first."""
    for measure in measures:
        if rows[measure].notna().any():
            marks.line(axis, rows["step"], rows, measure, LOOKS[measure])


def _dress(axes, count: int) -> None:
    """Name the axes at the edges, and take out the panels that have no condition."""
    columns = axes.shape[1]
    for row in axes[::2]:
        row[0].set(ylabel="share of items")
        for column, axis in enumerate(row):
            axis.set_ylim(0, 1.04)
            axis.tick_params(labelleft=column == 0)
    for row in axes[1::2]:
        row[0].set(ylabel="difference")
    for band, (upper, lower) in enumerate(zip(axes[::2], axes[1::2], strict=True)):
        for column, (above, below) in enumerate(zip(upper, lower, strict=True)):
            place = band * columns + column
            if place >= count:
                above.remove()
                below.remove()
            elif place + columns >= count:
                below.tick_params(labelbottom=True)
                below.set_xlabel("step of training")


def _found(dynamics: pd.DataFrame) -> str:
    """Say where the gap is above zero at the last step."""
    ends = dynamics[dynamics["step"] == dynamics.groupby(["task", "condition"])["step"].transform("max")]
    above = int((ends["gap_low"] > 0).sum())
    return f"At the last step the gap is above zero {style.counted(above, len(ends), 'panel')}"


def _caption(dynamics: pd.DataFrame, runs: pd.DataFrame) -> str:
    each = runs.drop_duplicates(["task", "condition", "m0_seed", "seed"])
    counts = each.groupby(["task", "condition"]).size()
    seeds = runs["m0_seed"].nunique()
    alone = dynamics.groupby(["task", "condition"])["excess"].apply(lambda part: part.isna().all()).any()
    return (
        f"{', '.join(style.in_order(dynamics['task']))}; {style.number(seeds, 'M0')}, "
        f"{len(each)} runs in all, the same {style.span(dynamics['items'])} test items at every step. "
        f"Bands: 95 %, {style.interval_of(seeds, counts)}."
        f"{' No excess gap where an M0 has one explainer.' if alone else ''}"
    )
