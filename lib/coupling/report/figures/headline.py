"""Headline: self- and target-faithfulness at the final step, both gaps and preference, by condition."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coupling.analysis.tables import Tables
from coupling.report.figures import style
from coupling.report.figures.style import COLOURS, DIFFERENCE, GAPS, LABELS
from coupling.sweep import Sweep

WHAT = "Self- and target-faithfulness with and without the KL term, the two gaps, and preference"
ASIDE = 0.17  # how far the two measures of a condition stand from its place
BASELINES = {  # measures that know nothing of the model's inside
    "best_constant": (":", "best constant label"),
    "gold": ("--", "gold answer (content match)"),
}


def of_sweep(data: Tables, sweep: Sweep) -> Figure:
    """Draw the figure of a sweep."""
    return draw(data.summary, data.runs, sweep.title)


def draw(summary: pd.DataFrame, runs: pd.DataFrame, title: str) -> Figure:
    """Draw means with 95 % intervals, single runs as small points, and baselines as dashes.

    Args:
        summary: The summary of the sweep, one row a task and condition.
        runs: The measures of each run and evaluation. The final step is shown.
        title: Title of the sweep.
    """
    tasks, conditions = (style.in_order(summary[name]) for name in ("task", "condition"))
    size = (9.4, 0.4 + 2.9 * len(tasks))
    figure, axes = style.canvas(len(tasks), 3, size, squeeze=False, width_ratios=[3, 2, 2])
    ends = runs.groupby(["task", "condition", "m0_seed", "seed"])["step"].transform("max")
    final = runs[runs["step"] == ends]
    for (left, right, last), task in zip(axes, tasks, strict=True):
        rows = summary[summary["task"] == task].sort_values(
            "condition", key=lambda names: names.map(conditions.index), ignore_index=True
        )
        mine = final[final["task"] == task]
        _panels(left, right, rows, mine)
        _preference(last, rows, mine)
        left.set(
            ylim=(0, 1.02),
            ylabel="share of test items (exact match)",
            title=f"{task}: explanations against behaviour and labels",
        )
    first = summary.iloc[0]
    fallen = ", ".join(
        f"{row['task']} {row['condition']} {row['collapsed']}" for _, row in summary.iterrows()
    )
    style.caption(
        figure,
        f"{title}. Final step; {first['seeds']} M0 seed(s), {style.span(summary['runs'])} run(s) a "
        f"condition, {first['items']} test items a run. Bars: 95 % two-way bootstrap over "
        f"{style.seeds_of(first['seeds'])} and groups, of preference t over M0 means (one M0: over "
        "explainers); small points: runs.\n"
        f"Runs flagged as collapsed: {fallen}.",
    )
    return figure


def _panels(left: Axes, right: Axes, rows: pd.DataFrame, runs: pd.DataFrame) -> None:
    """Draw one task: self and target on the left, gap and excess gap on the right."""
    for place, row in rows.iterrows():
        mine = runs[runs["condition"] == row["condition"]]
        for aside, of_share, of_gap in ((-ASIDE, "self", "gap"), (ASIDE, "target", "excess")):
            _mark(left, place + aside, row, of_share, mine)
            _mark(right, place + aside, row, of_gap, mine)
            _number(right, place + aside, row[of_gap], COLOURS[of_gap])
        for name, (dash, label) in BASELINES.items():
            left.hlines(
                row[name],
                place - 0.4,
                place + 0.4,
                colors=COLOURS["baseline"],
                linestyles=dash,
                lw=1.2,
                label=label,
            )
    for axis in (left, right):
        axis.set_xticks(range(len(rows)), _wrapped(rows["condition"]), fontsize=7)
        axis.set_xlim(-0.6, len(rows) - 0.4)
        style.legend(axis, 7)
    style.zero(right)
    right.set(ylabel=DIFFERENCE, title=GAPS)
    right.margins(y=0.25)


def _preference(axis: Axes, rows: pd.DataFrame, runs: pd.DataFrame) -> None:
    """Draw the preference of one task, with its null."""
    for place, row in rows.iterrows():
        _mark(axis, place, row, "preference", runs[runs["condition"] == row["condition"]])
        axis.annotate(
            f"{row['preference']:.3f} " if np.isfinite(row["preference"]) else "",
            (place, row["preference"]),
            xytext=(-5, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=6,
            color=COLOURS["preference"],
        )
    axis.set_xticks(range(len(rows)), _wrapped(rows["condition"]), fontsize=7)
    axis.set_xlim(-0.6, len(rows) - 0.4)
    style.one_half(axis)
    axis.set(ylabel="share of decided explanations", title=LABELS["preference"])
    axis.margins(y=0.25)


def _wrapped(names: pd.Series) -> list[str]:
    """Break names of conditions into lines, so that they stand beside one another."""
    return [textwrap.fill(name, 11) for name in names]


def _mark(axis: Axes, x: float, row: pd.Series, measure: str, runs: pd.DataFrame) -> None:
    """Draw one mean with its interval, and its runs beside it."""
    if not np.isfinite(row[measure]):
        # At the foot of the panel, wherever its limits will lie.
        at_foot = axis.get_xaxis_transform()
        axis.text(x, 0.02, "needs\n2 runs", transform=at_foot, ha="center", va="bottom", fontsize=6)
        return
    style.measure_interval(axis, x, row, measure)
    places = x + 0.09 + style.spread(len(runs), 0.03)
    style.small_points(axis, places, runs[measure], COLOURS[measure])


def _number(axis: Axes, x: float, value: float, colour: str) -> None:
    """Write a mean above its mark."""
    if np.isfinite(value):
        axis.annotate(
            f"{value:+.3f}",
            (x, value),
            xytext=(0, 12),
            textcoords="offset points",
            ha="center",
            fontsize=6,
            color=colour,
        )
