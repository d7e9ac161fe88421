"""Sensor: the rate of a behaviour as it is read off explanations, against the rate that was measured."""

from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from coupling.analysis.resampling import intervals
from coupling.analysis.sensor import SHARE, detected, reliability
from coupling.analysis.tracking import beside
from coupling.report.figures.style import COLOURS, MARKS, caption, interval, legend
from coupling.report.figures.tracking import DIRECTIONS
from coupling.tasks import task_of

WHAT = "The behaviour sensor: rates estimated from explanations against measured rates, their error beside always saying M0's rate, and the shifts detected"
BINS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 1.0)


def draw(sensor: pd.DataFrame) -> Figure:
    """A column of three panels a task, over all evaluations after the first of runs whose shift, if any, stands beside explanation training; hollow,
    the final ones of runs with the shift at another time, or with labels made anew. sensor: the sweep's estimates."""
    rows = beside(sensor)
    others = sensor[~sensor["objective"].isin(["reteach", "neutral"])].drop(rows.index)
    others = others[others["step"] == others.groupby("condition")["step"].transform("max")]
    rows = rows.assign(
        size=(rows["measured"] - rows["m0_rate"]).abs(),
        found=detected(rows),
        error=(rows["estimated"] - rows["measured"]).abs(),
    )
    tasks = list(dict.fromkeys(rows["task"]))
    figure, axes = plt.subplots(3, len(tasks), figsize=(0.6 + 3.1 * len(tasks), 8.4), squeeze=False)
    known = reliability(rows).set_index("task")
    for (top, middle, bottom), task in zip(axes.T, tasks, strict=True):
        mine = rows[rows["task"] == task]
        for direction, part in mine.groupby("direction"):
            colour, mark = DIRECTIONS[direction]
            bars = [
                (part["estimated"] - part["low"]).clip(lower=0),
                (part["high"] - part["estimated"]).clip(lower=0),
            ]
            name = f"pushed {direction}" if direction else "no shift"
            top.errorbar(
                part["measured"],
                part["estimated"],
                bars,
                fmt=mark,
                ms=3,
                color=colour,
                lw=0.6,
                alpha=0.7,
                label=name,
            )
        for mark, (condition, part) in zip(
            "sDPX", others[others["task"] == task].groupby("condition", sort=False), strict=False
        ):
            top.scatter(
                part["measured"],
                part["estimated"],
                s=22,
                marker=mark,
                facecolors="none",
                edgecolors="black",
                lw=0.8,
                label=condition,
            )
        ends = [mine[["measured", "low"]].min().min(), mine[["measured", "high"]].max().max()]
        top.plot(ends, ends, color="black", lw=0.8, ls="--", label="estimate = measured")
        top.set(
            title=task,
            xlabel=f"measured rate ({task_of(task).sensed})",
            ylabel="rate that explanations imply",
        )
        cut = pd.cut(mine["size"], BINS, include_lowest=True)
        for place, (_, part) in enumerate(mine.groupby(cut, observed=False)):
            if len(part):
                for aside, column, style, label in (
                    (-0.12, "error", "self", "sensor"),
                    (0.12, "size", "target", "always M0's rate"),
                ):
                    _mean(middle, place + aside, part, column, style, label)
                _mean(bottom, place, part, "found", "excess", "told from M0's rate")
                bottom.annotate(f"{len(part)}", (place, -0.1), fontsize=6, ha="center", va="center")
        for axis in (middle, bottom):
            axis.set_xticks(range(len(BINS) - 1), [f"{a:g}–{b:g}" for a, b in pairwise(BINS)], fontsize=6)
            axis.set(xlabel="size of the shift from M0's rate", xlim=(-0.6, len(BINS) - 1.4))
        line = known.loc[task]
        middle.set(
            ylabel="mean absolute error",
            title=f"error {line['error']:.3f} ({line['error_low']:.3f} to {line['error_high']:.3f}),\n"
            f"always M0's {line['trivial']:.3f} ({line['trivial_low']:.3f} to {line['trivial_high']:.3f})",
        )
        smallest = (
            "none is detected" if np.isnan(line["smallest"]) else f"smallest detected: {line['smallest']:.3f}"
        )
        bottom.axhline(SHARE, color="black", lw=0.8, ls=":")
        bottom.set(
            ylabel="share of estimates",
            ylim=(-0.15, 1.05),
            title=f"{smallest};\nfalse alarms without a shift: {line['false_alarms']:.2f}",
        )
        for axis in (middle, bottom):
            legend(axis, 6)
    handles = {
        name: handle
        for axis in axes[0]
        for handle, name in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=4, fontsize=6)
    caption(
        figure,
        f"{len(rows)} estimates: all evaluations after the first; {rows['m0_seed'].nunique()} M0 seed(s), {rows['items'].min()} to "
        f"{rows['items'].max()} items each. Top: bars are the sensor's own 95 % intervals; else 95 % bootstrap over M0 seeds.\nBottom: share of estimates "
        f"whose interval lies on the shift's side of M0's rate; numbers are estimates; dotted: {SHARE:g}.",
    )
    return figure


def _mean(axis, x: float, part: pd.DataFrame, column: str, style: str, label: str) -> None:
    found = intervals(part.assign(group=0, **{column: part[column].astype(float)}), [column]).loc[column]
    interval(axis, x, *found, COLOURS[style], MARKS[style], label)
