"""Dynamics: self, target and agreement over the evaluations of a run."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from coupling.figures.style import COLOURS, LABELS, MARKS, caption

WHAT = "Self- and target-faithfulness, agreement, gap and excess gap over the steps of explanation training"


def draw(dynamics: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """One column a condition: above, self, target and agreement; below, gap and excess. Bands are 95 % intervals."""
    columns = list(dict.fromkeys(zip(dynamics["task"], dynamics["condition"], strict=True)))
    figure, axes = plt.subplots(2, len(columns), figsize=(max(3.5 * len(columns), 4.2), 5.2), squeeze=False, sharex=True, sharey="row")
    for column, (task, condition) in enumerate(columns):
        rows = dynamics[(dynamics["task"] == task) & (dynamics["condition"] == condition)]
        mine = runs[(runs["task"] == task) & (runs["condition"] == condition)]
        for axis, measures in zip(axes[:, column], (("self", "target", "agreement"), ("gap", "excess")), strict=True):
            for m in measures:
                axis.plot(rows["step"], rows[m], color=COLOURS[m], marker=MARKS[m], ms=4, label=LABELS[m])
                axis.fill_between(rows["step"], rows[f"{m}_low"], rows[f"{m}_high"], color=COLOURS[m], alpha=0.18, lw=0)
                for _, run in mine.groupby(["m0_seed", "seed"]):
                    axis.plot(run["step"], run[m], color=COLOURS[m], lw=0.4, alpha=0.4)
        axes[0, column].set(title=f"{task}, {condition}", ylim=(0, 1.02))
        axes[1, column].axhline(0, color="black", lw=0.8)
        axes[1, column].set(xlabel="step of explanation training")
    axes[0, 0].set(ylabel="share of test items")
    axes[1, 0].set(ylabel="difference (fraction)")
    axes[0, 0].legend(fontsize=7)
    axes[1, 0].legend(fontsize=7)
    first = dynamics.iloc[0]
    caption(figure, f"{runs['m0_seed'].nunique()} M0 seed(s), {len(runs.groupby(['task', 'condition', 'm0_seed', 'seed']))} runs in all, the same "
            f"{first['items']} test items at every step (thin lines: runs; the last point of a thin line is over all its items).")  # fmt: skip
    return figure
