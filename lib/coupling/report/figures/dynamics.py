"""Dynamics: self, target, agreement and the gaps over the evaluations of a run."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coupling.analysis.tables import Tables
from coupling.report.figures import style
from coupling.report.figures.style import COLOURS, DIFFERENCE, LABELS, MARKS, SHARE
from coupling.sweep import Sweep

WHAT = "Self- and target-faithfulness, agreement, gap and excess gap over the steps of explanation training"
WIDEST = 5  # conditions side by side; more of them go on below


def of_sweep(data: Tables, sweep: Sweep) -> Figure:
    """Draw the figure of a sweep."""
    return draw(data.dynamics, data.runs)


def draw(dynamics: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """Draw two panels for each task and condition, one above the other, with 95 % intervals as bands.

    The upper panel has self, target and agreement. The lower one has gap and excess gap on a scale of its
    own, because without the KL term they can be a hundred times as large.

    Args:
        dynamics: Means and intervals of each task, condition and evaluation.
        runs: The same measures of each run, drawn as thin lines.
    """
    tasks, conditions = (style.in_order(dynamics[name]) for name in ("task", "condition"))
    bands, columns = -(-len(conditions) // WIDEST), min(len(conditions), WIDEST)
    size = (max(3.5 * columns, 4.2), 5.2 * len(tasks) * bands)
    figure, axes = style.canvas(2 * len(tasks) * bands, columns, size, squeeze=False, sharex=True)
    used = set()
    for (task, condition), rows in dynamics.groupby(["task", "condition"], sort=False):
        band, column = divmod(conditions.index(condition), columns)
        upper = 2 * (tasks.index(task) * bands + band)
        mine = runs[(runs["task"] == task) & (runs["condition"] == condition)]
        above, below = axes[upper, column], axes[upper + 1, column]
        _lines(above, rows, mine, ("self", "target", "agreement"))
        above.set(title=f"{task}, {condition}", ylim=(0, 1.02))
        _lines(below, rows, mine, ("gap", "excess"))
        style.zero(below)
        used |= {above, below}
    for axis in axes[-1]:
        axis.set(xlabel="step of explanation training")
    for above, below in zip(axes[::2, 0], axes[1::2, 0], strict=True):
        above.set(ylabel=SHARE)
        below.set(ylabel=DIFFERENCE)
    for axis in axes.flat:
        if axis not in used:
            axis.remove()
    axes[0, 0].legend(fontsize=7)
    axes[1, 0].legend(fontsize=7)
    each = runs.groupby(["task", "condition", "m0_seed", "seed"])
    style.caption(
        figure,
        f"{runs['m0_seed'].nunique()} M0 seed(s), {len(each)} runs in all, the same "
        f"{dynamics['items'].iloc[0]} test items at every step (thin lines: runs; the last point of a thin "
        "line is over all its items).",
    )
    return figure


def _lines(axis: Axes, rows: pd.DataFrame, runs: pd.DataFrame, measures: tuple[str, ...]) -> None:
    """Draw the mean of each measure with its band, and the runs as thin lines."""
    for measure in measures:
        colour, mark = COLOURS[measure], MARKS[measure]
        axis.plot(rows["step"], rows[measure], color=colour, marker=mark, ms=4, label=LABELS[measure])
        low, high = rows[f"{measure}_low"], rows[f"{measure}_high"]
        axis.fill_between(rows["step"], low, high, color=colour, alpha=0.18, lw=0)
        for _, run in runs.groupby(["m0_seed", "seed"]):
            axis.plot(run["step"], run[measure], color=colour, lw=0.4, alpha=0.4)
