"""Tracking: does what explanations say move with what the model does, when another objective pushes that?"""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from coupling.analysis import resampling
from coupling.analysis.tracking import beside
from coupling.report.figures.style import COLOURS, LABELS, MARKS, caption, interval, legend, seeds_of, ticks
from coupling.tasks import task_of

WHAT = "Shifts of behaviour against shifts of what explanations imply, and self- and target-faithfulness, by strength and direction"
DIRECTIONS = {"down": ("#D55E00", "v"), "": ("#666666", "o"), "up": ("#0072B2", "^")}
SIGN = {"down": -1, "": 0, "up": 1}


def draw(shift: pd.DataFrame) -> Figure:
    """A column of three panels a task. shift: the sweep's table of runs; shown are those with the shift beside explanation training, and without any."""
    rows = beside(shift)
    rows = rows.assign(place=rows["direction"].map(SIGN) * rows["strength"], group=0)
    tasks = list(dict.fromkeys(rows["task"]))
    figure, axes = plt.subplots(3, len(tasks), figsize=(0.6 + 3.1 * len(tasks), 8.4), squeeze=False)
    for (top, middle, bottom), task in zip(axes.T, tasks, strict=True):
        mine = rows[rows["task"] == task]
        places = sorted(mine["place"].unique())
        for place, part in mine.groupby("place"):
            colour, mark = DIRECTIONS[part["direction"].iloc[0]]
            found = resampling.intervals(part, ["shift", "said_shift", "self", "target", "gap", "excess"])
            top.scatter(part["shift"], part["said_shift"], s=8, color=colour, alpha=0.4, linewidths=0)
            x, y = found.loc["shift"], found.loc["said_shift"]
            bars = [[[max(m["mean"] - m["low"], 0)], [max(m["high"] - m["mean"], 0)]] for m in (y, x)]
            name = f"pushed {part['direction'].iloc[0]}" if place else "no shift"
            top.errorbar(
                x["mean"], y["mean"], *bars, fmt=mark, color=colour, ms=5, capsize=2, lw=1, label=name
            )
            top.annotate(
                f"{abs(place):g}" if place else "",
                (x["mean"], y["mean"]),
                xytext=(5, 4),
                textcoords="offset points",
                fontsize=6,
            )
            for axis, measures in ((middle, ("self", "target")), (bottom, ("gap", "excess"))):
                for aside, m in zip((-0.12, 0.12), measures, strict=True):
                    if found.loc[m].notna().all():
                        interval(
                            axis, places.index(place) + aside, *found.loc[m], COLOURS[m], MARKS[m], LABELS[m]
                        )
        ends = [*top.get_xlim(), *top.get_ylim()]
        line = [min(ends), max(ends)]
        top.plot(line, line, color="black", lw=0.8, ls="--", label="explanations follow wholly")
        top.axhline(0, color="black", lw=0.8, ls=":", label="explanations stay")
        what = task_of(task).sensed
        top.set(
            title=task,
            xlabel=f"shift of behaviour\n({what}, M_t less M0)",
            ylabel=f"shift that explanations imply\n({what}, less M0)",
        )
        legend(top, 6)
        for axis in (middle, bottom):
            ticks(axis, [f"{'up' if p > 0 else 'down'}\n{abs(p):g}" if p else "no\nshift" for p in places])
            axis.set_xlabel("direction and weight of the shift")
            legend(axis, 6)
        middle.set(ylim=(0, 1.05), ylabel="share of test items")
        bottom.axhline(0, color="black", lw=0.8)
        bottom.set(ylabel="difference (fraction)")
    seeds = seeds_of(rows["m0_seed"].nunique())
    caption(
        figure,
        f"Final step, shift beside explanation training; {rows[resampling.first_factor(rows)].nunique()} {seeds}, one run of each a point, "
        f"{rows['items'].max()} test items a run. Bars: 95 % bootstrap over these seeds; small points: runs.\nExcess gap: beyond what explanations "
        "of the same M0's runs without the shift, and with the opposite one where there is one, show on the same items.",
    )
    return figure
