"""Order: a shift beside explanation training, after it and before it, and what each is compared with."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from coupling.analysis import resampling
from coupling.report.figures.style import COLOURS, LABELS, MARKS, caption, interval, legend, ticks

WHAT = "Shift of behaviour, of what explanations imply, and faithfulness, by the order of a shift and of explanation training, with controls"
PANELS = (
    (
        {
            "shift": ("behaviour", "baseline", "X"),
            "said_shift": ("what explanations imply", "self_base", "P"),
        },
        "shift from M0's rate (fraction)",
    ),
    (
        {m: (LABELS[m], m, MARKS[m]) for m in ("self", "target")}
        | {"forced_self": ("self, forced to a label", "agreement", "v")},
        "share of test items",
    ),
    ({m: (LABELS[m], m, MARKS[m]) for m in ("gap", "excess")}, "difference (fraction)"),
)


def draw(shift: pd.DataFrame) -> Figure:
    """Three panels over the conditions of one strength, for each task with a shift that does not stand beside explanation training. shift: the
    sweep's table of runs."""
    orders = shift[~shift["objective"].isin(["reteach"])]
    tasks = list(dict.fromkeys(orders.loc[orders["order"].isin(["after", "before"]), "task"]))
    rows = orders[orders["task"].isin(tasks)]
    strength = rows.loc[rows["order"] == "after", "strength"].iloc[0]
    rows = rows[rows["strength"].isin([0, strength])].assign(group=0)
    figure, axes = plt.subplots(3 * len(tasks), 1, figsize=(8.6, 0.6 + 7.4 * len(tasks)), squeeze=False)
    for k, task in enumerate(tasks):
        mine = rows[rows["task"] == task]
        conditions = list(dict.fromkeys(mine["condition"]))
        for axis, (measures, what) in zip(axes[3 * k : 3 * k + 3, 0], PANELS, strict=True):
            for place, condition in enumerate(conditions):
                part = mine[mine["condition"] == condition]
                known = [m for m in measures if part[m].notna().any()]
                found = resampling.intervals(part, known)
                for j, m in enumerate(known):
                    label, colour, mark = measures[m]
                    x = place + 0.16 * (j - (len(known) - 1) / 2)
                    interval(axis, x, *found.loc[m], COLOURS[colour], mark, label)
                    axis.scatter(
                        [x + 0.06] * len(part), part[m], s=7, color=COLOURS[colour], alpha=0.5, linewidths=0
                    )
            ticks(axis, conditions)
            axis.axhline(0, color="black", lw=0.8)
            axis.set(ylabel=what)
            legend(axis, 6)
        axes[3 * k, 0].set_title(f"{task}: shifts of weight {strength:g}")
    fallen = rows[rows["collapsed"] != ""].groupby("condition", sort=False).size()
    caption(
        figure,
        f"Final step; {rows['m0_seed'].nunique()} M0 seed(s), one run of each a condition, {rows['items'].max()} test items a run. "
        "Bars: 95 % bootstrap over M0 seeds; small points: runs.\nExcess gap: beyond what explanations of the same M0's runs without the "
        "shift, and with the opposite one of its kind, show on the same items.\nRuns flagged as collapsed, whose gaps say little: "
        + ("; ".join(f"{c} {n}" for c, n in fallen.items()) or "none")
        + ".",
    )
    return figure
