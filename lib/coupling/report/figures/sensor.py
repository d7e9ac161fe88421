"""Sensor: the rate of a behaviour as it is read off explanations, against the rate that was measured."""

from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coupling.analysis.resampling import intervals
from coupling.analysis.sensor import SHARE, detected, reliability
from coupling.analysis.tables import Tables
from coupling.analysis.tracking import beside
from coupling.report.figures import style
from coupling.report.figures.style import COLOURS, MARKS
from coupling.report.figures.tracking import DIRECTIONS
from coupling.sweep import Sweep
from coupling.tasks import task_of

WHAT = (
    "The behaviour sensor: rates estimated from explanations against measured rates, their error "
    "beside always saying M0's rate, and the shifts detected"
)
BINS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 1.0)  # edges of the sizes of a shift


def of_sweep(data: Tables, sweep: Sweep) -> Figure:
    """Draw the figure of a sweep of shifts."""
    return draw(data.sensor)


def draw(sensor: pd.DataFrame) -> Figure:
    """Draw three panels a task, one below the other: estimates, their error, and the shifts detected.

    They show all evaluations after the first of runs whose shift, if any, stands beside explanation
    training. Open marks in the first panel are the final evaluations of runs with the shift at another time,
    or with labels made anew.

    Args:
        sensor: The sweep's estimates, one row a run and evaluation.
    """
    rows = beside(sensor)
    others = sensor[~sensor["objective"].isin(["reteach", "neutral"])].drop(rows.index)
    others = others[others["step"] == others.groupby("condition")["step"].transform("max")]
    rows = rows.assign(
        size=(rows["measured"] - rows["m0_rate"]).abs(),
        found=detected(rows),
        error=(rows["estimated"] - rows["measured"]).abs(),
    )
    tasks = style.in_order(rows["task"])
    figure, axes = style.canvas(3, len(tasks), (0.6 + 3.1 * len(tasks), 8.4), squeeze=False)
    known = reliability(rows).set_index("task")
    for (top, middle, bottom), task in zip(axes.T, tasks, strict=True):
        mine = rows[rows["task"] == task]
        _estimates(top, mine, others[others["task"] == task], task)
        _by_size(middle, bottom, mine)
        _errors(middle, known.loc[task])
        _detections(bottom, known.loc[task])
    handles = {}
    for axis in axes[0]:
        handles |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=4, fontsize=6)
    style.caption(
        figure,
        f"{len(rows)} estimates: all evaluations after the first; {rows['m0_seed'].nunique()} M0 seed(s), "
        f"{rows['items'].min()} to {rows['items'].max()} items each. Top: bars are the sensor's own 95 % "
        "intervals; else 95 % bootstrap over M0 seeds.\nBottom: share of estimates whose interval lies on "
        f"the shift's side of M0's rate; numbers are estimates; dotted: {SHARE:g}.",
    )
    return figure


def _estimates(axis: Axes, rows: pd.DataFrame, others: pd.DataFrame, task: str) -> None:
    """Draw every estimate against the measured rate."""
    for direction, part in rows.groupby("direction"):
        colour, mark = DIRECTIONS[direction]
        estimated = part["estimated"]
        axis.errorbar(
            part["measured"],
            estimated,
            [(estimated - part["low"]).clip(lower=0), (part["high"] - estimated).clip(lower=0)],
            fmt=mark,
            ms=3,
            color=colour,
            lw=0.6,
            alpha=0.7,
            label=f"pushed {direction}" if direction else "no shift",
        )
    for mark, (condition, part) in zip("sDPX", others.groupby("condition", sort=False), strict=False):
        axis.scatter(
            part["measured"],
            part["estimated"],
            s=22,
            marker=mark,
            facecolors="none",
            edgecolors="black",
            lw=0.8,
            label=condition,
        )
    ends = [rows[["measured", "low"]].min().min(), rows[["measured", "high"]].max().max()]
    axis.plot(ends, ends, color="black", lw=0.8, ls="--", label="estimate = measured")
    axis.set(
        title=task,
        xlabel=f"measured rate ({task_of(task).sensed})",
        ylabel="rate that explanations imply",
    )


def _by_size(errors: Axes, detections: Axes, rows: pd.DataFrame) -> None:
    """Draw the mean error and the share detected, by the size of the shift."""
    cut = pd.cut(rows["size"], BINS, include_lowest=True)
    for place, (_, part) in enumerate(rows.groupby(cut, observed=False)):
        if len(part):
            _mean(errors, place - 0.12, part, "error", "self", "sensor")
            _mean(errors, place + 0.12, part, "size", "target", "always M0's rate")
            _mean(detections, place, part, "found", "excess", "told from M0's rate")
            detections.annotate(f"{len(part)}", (place, -0.1), fontsize=6, ha="center", va="center")
    for axis in (errors, detections):
        axis.set_xticks(range(len(BINS) - 1), [f"{a:g}–{b:g}" for a, b in pairwise(BINS)], fontsize=6)
        axis.set(xlabel="size of the shift from M0's rate", xlim=(-0.6, len(BINS) - 1.4))


def _mean(axis: Axes, x: float, part: pd.DataFrame, column: str, look: str, label: str) -> None:
    """Draw the mean of a column with its interval over seeds, in the colour and mark of a measure."""
    found = intervals(part.assign(group=0, **{column: part[column].astype(float)}), [column]).loc[column]
    style.interval(axis, x, *found, COLOURS[look], MARKS[look], label)


def _errors(axis: Axes, known: pd.Series) -> None:
    """Write the mean error of one task over the panel of errors."""
    axis.set(
        ylabel="mean absolute error",
        title=f"error {known['error']:.3f} ({known['error_low']:.3f} to {known['error_high']:.3f}),\n"
        f"always M0's {known['trivial']:.3f} ({known['trivial_low']:.3f} to {known['trivial_high']:.3f})",
    )
    style.legend(axis, 6)


def _detections(axis: Axes, known: pd.Series) -> None:
    """Write the smallest detected shift of one task over the panel of detections."""
    smallest = (
        "none is detected" if np.isnan(known["smallest"]) else f"smallest detected: {known['smallest']:.3f}"
    )
    axis.axhline(SHARE, color="black", lw=0.8, ls=":")
    axis.set(
        ylabel="share of estimates",
        ylim=(-0.15, 1.05),
        title=f"{smallest};\nfalse alarms without a shift: {known['false_alarms']:.2f}",
    )
    style.legend(axis, 6)
