"""Tracking: does what explanations say move with what the model does, when another objective pushes that?"""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coupling.analysis import resampling
from coupling.analysis.tables import Tables
from coupling.analysis.tracking import beside
from coupling.report.figures import style
from coupling.report.figures.style import COLOURS, DIFFERENCE, LABELS, MARKS, SHARE
from coupling.sweep import Sweep
from coupling.tasks import task_of

WHAT = (
    "Shifts of behaviour against shifts of what explanations imply, self- and target-faithfulness, and "
    "flipped items, by strength and direction"
)
DIRECTIONS = {"down": ("#D55E00", "v"), "": ("#666666", "o"), "up": ("#0072B2", "^")}
SIGN = {"down": -1, "": 0, "up": 1}
MEASURES = ["shift", "said_shift", "self", "target", "gap", "excess", "flipped_self", "flipped_null"]


def of_sweep(data: Tables, sweep: Sweep) -> Figure:
    """Draw the figure of a sweep of shifts."""
    return draw(data.shift)


def draw(shift: pd.DataFrame) -> Figure:
    """Draw four panels a task, one below the other: the shifts, faithfulness, the gaps, and flipped items.

    They show the runs without a shift, and those with a shift beside explanation training.

    Args:
        shift: The sweep's table of shifted runs, one row a run.
    """
    rows = beside(shift)
    rows = rows.assign(place=rows["direction"].map(SIGN) * rows["strength"], group=0)
    tasks = style.in_order(rows["task"])
    figure, axes = style.canvas(4, len(tasks), (0.6 + 3.1 * len(tasks), 11.0), squeeze=False)
    for (top, middle, bottom, last), task in zip(axes.T, tasks, strict=True):
        mine = rows[rows["task"] == task]
        found = {place: resampling.intervals(part, MEASURES) for place, part in mine.groupby("place")}
        _shifts(top, mine, found, task)
        _measures(middle, found, ("self", "target"))
        middle.set(ylim=(0, 1.05), ylabel=SHARE)
        _measures(bottom, found, ("gap", "excess"))
        style.zero(bottom)
        bottom.set(ylabel=DIFFERENCE)
        _measures(last, found, ("flipped_self", "flipped_null"))
        last.set(ylim=(0, 1.05), ylabel="of flipped items: behaviour stated")
    seeds = rows[resampling.first_factor(rows)].nunique()
    style.caption(
        figure,
        f"Final step, shift beside explanation training; {seeds} {style.seeds_of(rows['m0_seed'].nunique())}"
        f", one run of each a point, {rows['items'].max()} test items a run. Bars: 95 % bootstrap over these "
        "seeds; small points: runs.\nExcess gap: beyond what explanations of the same M0's runs without the "
        "shift, and with the opposite one where there is one, show on the same items. Flipped items: those "
        "whose label the shift changed, against the unshifted run of the same M0 and seed.",
    )
    return figure


def _shifts(axis: Axes, rows: pd.DataFrame, found: dict[float, pd.DataFrame], task: str) -> None:
    """Draw the shift of what explanations imply against the shift of behaviour, with both intervals."""
    for place, part in rows.groupby("place"):
        direction = part["direction"].iloc[0]
        colour, mark = DIRECTIONS[direction]
        axis.scatter(part["shift"], part["said_shift"], s=8, color=colour, alpha=0.4, linewidths=0)
        x, y = found[place].loc["shift"], found[place].loc["said_shift"]
        axis.errorbar(
            x["mean"],
            y["mean"],
            style.reach(*y),
            style.reach(*x),
            fmt=mark,
            color=colour,
            ms=5,
            capsize=2,
            lw=1,
            label=f"pushed {direction}" if place else "no shift",
        )
        weight = f"{abs(place):g}" if place else ""
        axis.annotate(weight, (x["mean"], y["mean"]), xytext=(5, 4), textcoords="offset points", fontsize=6)
    ends = [*axis.get_xlim(), *axis.get_ylim()]
    line = [min(ends), max(ends)]
    axis.plot(line, line, color="black", lw=0.8, ls="--", label="explanations follow wholly")
    axis.axhline(0, color="black", lw=0.8, ls=":", label="explanations stay")
    what = task_of(task).sensed
    axis.set(
        title=task,
        xlabel=f"shift of behaviour\n({what}, M_t less M0)",
        ylabel=f"shift that explanations imply\n({what}, less M0)",
    )
    style.legend(axis, 6)


def _measures(axis: Axes, found: dict[float, pd.DataFrame], measures: tuple[str, str]) -> None:
    """Draw two measures side by side, by direction and weight of the shift."""
    for k, place in enumerate(sorted(found)):
        for aside, measure in zip((-0.12, 0.12), measures, strict=True):
            ends = found[place].loc[measure]
            if ends.notna().all():
                style.interval(axis, k + aside, *ends, COLOURS[measure], MARKS[measure], LABELS[measure])
    names = [
        f"{'up' if place > 0 else 'down'}\n{abs(place):g}" if place else "no\nshift"
        for place in sorted(found)
    ]
    style.ticks(axis, names)
    axis.set_xlabel("direction and weight of the shift")
    style.legend(axis, 6)
