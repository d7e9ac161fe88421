"""Dynamics: self, target and agreement over the evaluations of a run."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from coupling.report.figures.style import COLOURS, LABELS, MARKS, caption

WHAT = "Self- and target-faithfulness, agreement, gap and excess gap over the steps of explanation training"
WIDEST = 5


def draw(dynamics: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """Two rows a task and a column a condition, WIDEST of them side by side: above, self, target and agreement; below, gap and excess, each on
    a scale of its own, since without the KL term they can be a hundred times as large. Bands are 95 % intervals."""
    tasks, conditions = (list(dict.fromkeys(dynamics[c])) for c in ("task", "condition"))
    bands, columns = -(-len(conditions) // WIDEST), min(len(conditions), WIDEST)  # bands of two rows a task
    size = (max(3.5 * columns, 4.2), 5.2 * len(tasks) * bands)
    figure, axes = plt.subplots(2 * len(tasks) * bands, columns, figsize=size, squeeze=False, sharex=True)
    for axis in axes.flat[
        [k for k in range(axes.size) if k // columns // 2 % bands * columns + k % columns >= len(conditions)]
    ]:
        axis.remove()
    for (task, condition), rows in dynamics.groupby(["task", "condition"], sort=False):
        band, column = divmod(conditions.index(condition), columns)
        place = 2 * (tasks.index(task) * bands + band), column
        above, below = axes[place], axes[place[0] + 1, place[1]]
        mine = runs[(runs["task"] == task) & (runs["condition"] == condition)]
        for axis, measures in ((above, ("self", "target", "agreement")), (below, ("gap", "excess"))):
            for m in measures:
                axis.plot(rows["step"], rows[m], color=COLOURS[m], marker=MARKS[m], ms=4, label=LABELS[m])
                axis.fill_between(
                    rows["step"], rows[f"{m}_low"], rows[f"{m}_high"], color=COLOURS[m], alpha=0.18, lw=0
                )
                for _, run in mine.groupby(["m0_seed", "seed"]):
                    axis.plot(run["step"], run[m], color=COLOURS[m], lw=0.4, alpha=0.4)
        above.set(title=f"{task}, {condition}", ylim=(0, 1.02))
        below.axhline(0, color="black", lw=0.8)
    for axis in axes[-1]:
        axis.set(xlabel="step of explanation training")
    for above, below in zip(axes[::2, 0], axes[1::2, 0], strict=True):
        above.set(ylabel="share of test items")
        below.set(ylabel="difference (fraction)")
    axes[0, 0].legend(fontsize=7)
    axes[1, 0].legend(fontsize=7)
    first = dynamics.iloc[0]
    caption(
        figure,
        f"{runs['m0_seed'].nunique()} M0 seed(s), {len(runs.groupby(['task', 'condition', 'm0_seed', 'seed']))} runs in all, the same "
        f"{first['items']} test items at every step (thin lines: runs; the last point of a thin line is over all its items).",
    )
    return figure
