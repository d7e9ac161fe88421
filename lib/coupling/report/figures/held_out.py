"""Held-out region: faithfulness where explanations had labels, and where they had none."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from coupling.report.figures.style import COLOURS, LABELS, MARKS, caption, interval, legend, ticks

WHAT = "Self- and target-faithfulness and excess gap on kinds of input that explanation labels cover, and on kinds that they do not"


def draw(regions: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """One row a task: self and target by condition and region, and the excess gap."""
    tasks = list(dict.fromkeys(regions["task"]))
    figure, axes = plt.subplots(len(tasks), 2, figsize=(8.6, 0.5 + 3.0 * len(tasks)), squeeze=False)
    for (left, right), task in zip(axes, tasks, strict=True):
        rows = regions[regions["task"] == task]
        rows = rows.iloc[
            rows["region"].map(["labelled", "held out"].index).argsort(kind="stable")
        ].sort_values("condition", kind="stable", ignore_index=True)
        for axis, measures in ((left, ("self", "target")), (right, ("gap", "excess"))):
            for place, row in rows.iterrows():
                for shift, m in zip((-0.13, 0.13), measures, strict=True):
                    interval(
                        axis,
                        place + shift,
                        row[m],
                        row[f"{m}_low"],
                        row[f"{m}_high"],
                        COLOURS[m],
                        MARKS[m],
                        LABELS[m],
                    )
            ticks(axis, [f"{c},\n{r} kinds" for c, r in zip(rows["condition"], rows["region"], strict=True)])
            legend(axis, 6)
        left.set(ylim=(0, 1.02), ylabel="share of test items", title=f"{task}: self and target")
        right.axhline(0, color="black", lw=0.8)
        right.set(ylabel="difference (fraction)", title="gap, and gap beyond shared drift")
    first = summary.iloc[0]
    caption(
        figure,
        f"Final step; {first['seeds']} M0 seed(s), {first['runs']} run(s) a condition; the same kinds are called held out in both conditions. "
        "Bars: 95 % two-way bootstrap over M0 seeds and groups.",
    )
    return figure
