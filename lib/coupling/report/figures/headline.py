"""Headline: self- against target-faithfulness at the final step, and the excess gap, by condition."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from coupling.report.figures.style import COLOURS, LABELS, MARKS, caption, interval, legend, seeds_of, span

WHAT = "Self- and target-faithfulness with and without the KL term, and the excess gap"


def draw(summary: pd.DataFrame, runs: pd.DataFrame, title: str) -> Figure:
    """Means with 95 % intervals, runs as small points, and what knows nothing of the model's inside as dashes.

    summary: rows of `tables.summary`, one task or more; runs: rows of `tables.runs`, of which the final step is shown; title: of the sweep.
    """
    tasks, conditions = (list(dict.fromkeys(summary[c])) for c in ("task", "condition"))
    figure, axes = plt.subplots(
        len(tasks), 2, figsize=(7.2, 0.4 + 2.9 * len(tasks)), squeeze=False, width_ratios=[3, 2]
    )
    final = runs[
        runs["step"] == runs.groupby(["task", "condition", "m0_seed", "seed"])["step"].transform("max")
    ]
    for (left, right), task in zip(axes, tasks, strict=True):
        rows = summary[summary["task"] == task].sort_values(
            "condition", key=lambda names: names.map(conditions.index), ignore_index=True
        )
        for place, row in rows.iterrows():
            mine = final[(final["task"] == task) & (final["condition"] == row["condition"])]
            for shift, measure in ((-0.17, "self"), (0.17, "target")):
                _mark(
                    left,
                    place + shift,
                    measure,
                    row[measure],
                    row[f"{measure}_low"],
                    row[f"{measure}_high"],
                    mine[measure],
                )
            for shift, measure in ((-0.17, "gap"), (0.17, "excess")):
                _mark(
                    right,
                    place + shift,
                    measure,
                    row[measure],
                    row[f"{measure}_low"],
                    row[f"{measure}_high"],
                    mine[measure],
                )
                if np.isfinite(row[measure]):
                    right.annotate(
                        f"{row[measure]:+.3f}",
                        (place + shift, row[measure]),
                        xytext=(0, 12),
                        textcoords="offset points",
                        ha="center",
                        fontsize=6,
                        color=COLOURS[measure],
                    )
            for name, dash in (("best_constant", ":"), ("gold", "--")):
                left.hlines(
                    row[name],
                    place - 0.4,
                    place + 0.4,
                    colors=COLOURS["baseline"],
                    linestyles=dash,
                    lw=1.2,
                    label={"best_constant": "best constant label", "gold": "gold answer (content match)"}[
                        name
                    ],
                )
        for axis in (left, right):
            axis.set_xticks(range(len(rows)), rows["condition"])
            axis.set_xlim(-0.6, len(rows) - 0.4)
            legend(axis, 7)
        left.set(
            ylim=(0, 1.02),
            ylabel="share of test items (exact match)",
            title=f"{task}: explanations against behaviour and labels",
        )
        right.axhline(0, color="black", lw=0.8)
        right.set(ylabel="difference (fraction)", title="gap, and gap beyond shared drift")
        right.margins(y=0.25)
    first = summary.iloc[0]
    collapsed = ", ".join(f"{r['task']} {r['condition']} {r['collapsed']}" for _, r in summary.iterrows())
    caption(
        figure,
        f"{title}. Final step; {first['seeds']} M0 seed(s), {span(summary['runs'])} run(s) a condition, {first['items']} test items a run. "
        f"Bars: 95 % two-way bootstrap over {seeds_of(first['seeds'])} and groups; small points: runs.\n"
        f"Runs flagged as collapsed: {collapsed}.",
    )
    return figure


def _mark(axis, x: float, measure: str, mean: float, low: float, high: float, points: pd.Series) -> None:
    """One mean with its interval, and its runs beside it."""
    if not np.isfinite(mean):
        axis.text(x, axis.get_ylim()[0], "needs\n2 runs", ha="center", va="bottom", fontsize=6)
        return
    colour = COLOURS[measure]
    interval(axis, x, mean, low, high, colour, MARKS[measure], LABELS[measure])
    spread = np.linspace(-0.03, 0.03, len(points)) if len(points) > 1 else np.zeros(len(points))
    axis.scatter(x + 0.09 + spread, points, s=7, color=colour, alpha=0.5, linewidths=0)
