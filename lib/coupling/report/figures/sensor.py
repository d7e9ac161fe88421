"""Sensor: the rate of a behaviour as it is read off explanations, against the rate that was measured."""

from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from coupling.analysis.resampling import intervals
from coupling.analysis.sensor import SHARE, detected, reliability
from coupling.analysis.tables import Tables
from coupling.analysis.tracking import beside
from coupling.report.figures import marks, style
from coupling.report.figures.marks import BLUE, GREEN, VERMILION, Look
from coupling.report.figures.tracking import DIRECTIONS
from coupling.sweep import Sweep
from coupling.tasks import task_of

WHAT = (
    "The behaviour sensor: rates estimated from explanations against measured rates, their error "
    "beside always saying M0's rate, and the shifts detected"
)
BINS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 1.0)  # edges of the sizes of a shift
SENSOR = Look(BLUE, "o", "sensor")
TRIVIAL = Look(VERMILION, "o", "always M0's rate", filled=False)
FOUND = Look(GREEN, "D", "told from M0's rate")


def of_sweep(data: Tables, sweep: Sweep) -> style.StudyFigure:
    """Draw the figure of a sweep of shifts."""
    return draw(data.sensor)


def draw(sensor: pd.DataFrame) -> style.StudyFigure:
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
    figure, axes = style.canvas(3, len(tasks), (style.PAGE, 5.6), squeeze=False)
    known = reliability(rows).set_index("task")
    for (top, middle, bottom), task in zip(axes.T, tasks, strict=True):
        mine = rows[rows["task"] == task]
        _estimates(top, mine, others[others["task"] == task], task)
        _by_size(middle, bottom, mine)
    for axis, label in zip(
        axes[:, 0], ("rate that explanations imply", "mean absolute error", "share of estimates"), strict=True
    ):
        axis.set_ylabel(label)
    rows_of = [known.loc[task] for task in tasks]
    titles = [*tasks, *map(_errors, rows_of), *map(_detections, rows_of)]
    style.panels(axes.flat, titles, 150)
    caption = (
        f"{len(rows)} estimates: all evaluations after the first; "
        f"{style.number(rows['m0_seed'].nunique(), 'M0')}, {rows['items'].min()} to {rows['items'].max()} "
        "items each. Top: bars are the sensor's own 95 % intervals, dashed: estimate and measured rate are "
        "the same; else 95 %, t over M0s. Bottom: share of estimates whose interval lies on "
        f"the shift's side of M0's rate; numbers are estimates; dotted: {SHARE:g}, from which on a size "
        "counts as detected."
    )
    better = sum(row["error_high"] < row["trivial_low"] for row in rows_of)
    title = f"The sensor errs less than always saying M0's rate {style.counted(better, len(tasks), 'task')}"
    return style.finish(figure, title, caption)


def _estimates(axis: Axes, rows: pd.DataFrame, others: pd.DataFrame, task: str) -> None:
    """Draw every estimate against the measured rate."""
    for direction, part in rows.groupby("direction"):
        look, estimated = DIRECTIONS[direction], part["estimated"]
        axis.errorbar(
            part["measured"],
            estimated,
            [(estimated - part["low"]).clip(lower=0), (part["high"] - estimated).clip(lower=0)],
            fmt=look.mark,
            ms=2.5,
            color=look.colour,
            lw=0.5,
            alpha=0.7,
            label=look.label,
        )
    for mark, (condition, part) in zip("sDPX", others.groupby("condition", sort=False), strict=False):
        axis.scatter(
            part["measured"],
            part["estimated"],
            s=14,
            marker=mark,
            facecolors="white",
            edgecolors="black",
            lw=0.7,
            label=condition,
        )
    ends = [rows[["measured", "low"]].min().min(), rows[["measured", "high"]].max().max()]
    axis.plot(ends, ends, color="black", lw=0.7, ls="--")
    axis.set(xlabel=f"measured rate ({task_of(task).sensed})")


def _by_size(errors: Axes, detections: Axes, rows: pd.DataFrame) -> None:
    """Draw the mean error and the share detected, by the size of the shift."""
    cut = pd.cut(rows["size"], BINS, include_lowest=True)
    for place, (_, part) in enumerate(rows.groupby(cut, observed=False)):
        if len(part):
            _mean(errors, place - 0.12, part, "error", SENSOR)
            _mean(errors, place + 0.12, part, "size", TRIVIAL)
            _mean(detections, place, part, "found", FOUND)
            detections.text(place, -0.12, f"{len(part)}", size=style.SMALL, ha="center", va="center")
    names = [f"{a:g}–\n{b:g}" for a, b in pairwise(BINS)]
    for axis in (errors, detections):
        axis.set_xticks(range(len(BINS) - 1), names)
        axis.set(xlim=(-0.6, len(BINS) - 1.4))
    detections.set(xlabel="size of the shift from M0's rate", ylim=(-0.2, 1.05))
    detections.axhline(SHARE, color="black", lw=0.7, ls=":")


def _mean(axis: Axes, x: float, part: pd.DataFrame, column: str, look: Look) -> None:
    """Draw the mean of a column with its interval over seeds."""
    found = intervals(part, [column]).loc[column]
    marks.interval(axis, x, tuple(found), look)


def _errors(known: pd.Series) -> str:
    """Say the mean error of one task."""
    return f"error {known['error']:.3f},\nalways M0's rate {known['trivial']:.3f}"


def _detections(known: pd.Series) -> str:
    """Say the smallest detected shift of one task."""
    none = np.isnan(known["smallest"])
    smallest = "no size is detected" if none else f"detected from {known['smallest']:.3f} on"
    return f"{smallest};\nfalse alarms {known['false_alarms']:.2f}"
