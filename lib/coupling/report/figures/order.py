"""Order: a shift beside explanation training, after it and before it, and what each is compared with."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coupling.analysis import resampling
from coupling.analysis.tables import Tables
from coupling.report.figures import style
from coupling.report.figures.style import COLOURS, DIFFERENCE, LABELS, MARKS, SHARE
from coupling.sweep import Sweep

WHAT = (
    "Shift of behaviour, of what explanations imply, and faithfulness, by the order of a shift "
    "and of explanation training, with controls"
)
PANELS = (  # label of the y axis, and what is drawn: measure to label, colour and mark
    (
        "shift from M0's rate (fraction)",
        {
            "shift": ("behaviour", COLOURS["baseline"], "X"),
            "said_shift": ("what explanations imply", COLOURS["self_base"], "P"),
        },
    ),
    (
        SHARE,
        {
            "self": (LABELS["self"], COLOURS["self"], MARKS["self"]),
            "target": (LABELS["target"], COLOURS["target"], MARKS["target"]),
            "forced_self": ("self, forced to a label", COLOURS["agreement"], "v"),
        },
    ),
    (DIFFERENCE, {m: (LABELS[m], COLOURS[m], MARKS[m]) for m in ("gap", "excess")}),
)


def of_sweep(data: Tables, sweep: Sweep) -> Figure:
    """Draw the figure of a sweep of shifts at different times."""
    return draw(data.shift)


def draw(shift: pd.DataFrame) -> Figure:
    """Draw three panels over the conditions, for each task with a shift before or after explanation training.

    All shifts have the strength of the one after explanation training. Runs without a shift are shown too.

    Args:
        shift: The sweep's table of shifted runs, one row a run.
    """
    orders = shift[shift["objective"] != "reteach"]
    tasks = style.in_order(orders.loc[orders["order"].isin(["after", "before"]), "task"])
    rows = orders[orders["task"].isin(tasks)]
    strength = rows.loc[rows["order"] == "after", "strength"].iloc[0]
    rows = rows[rows["strength"].isin([0, strength])].assign(group=0)
    figure, axes = style.canvas(3 * len(tasks), 1, (8.6, 0.6 + 7.4 * len(tasks)), squeeze=False)
    for k, task in enumerate(tasks):
        mine = rows[rows["task"] == task]
        for axis, (what, measures) in zip(axes[3 * k : 3 * k + 3, 0], PANELS, strict=True):
            _panel(axis, mine, measures)
            axis.set(ylabel=what)
        axes[3 * k, 0].set_title(f"{task}: shifts of weight {strength:g}")
    style.caption(figure, _caption(rows))
    return figure


def _panel(axis: Axes, rows: pd.DataFrame, measures: dict[str, tuple[str, str, str]]) -> None:
    """Draw the means of some measures with their intervals, and the runs beside them, by condition."""
    conditions = style.in_order(rows["condition"])
    for place, condition in enumerate(conditions):
        part = rows[rows["condition"] == condition]
        known = [measure for measure in measures if part[measure].notna().any()]
        found = resampling.intervals(part, known)
        for j, measure in enumerate(known):
            label, colour, mark = measures[measure]
            x = place + 0.16 * (j - (len(known) - 1) / 2)
            style.interval(axis, x, *found.loc[measure], colour, mark, label)
            style.small_points(axis, [x + 0.06] * len(part), part[measure], colour)
    style.ticks(axis, conditions)
    style.zero(axis)
    style.legend(axis, 6)


def _caption(rows: pd.DataFrame) -> str:
    fallen = rows[rows["collapsed"] != ""].groupby("condition", sort=False).size()
    return (
        f"Final step; {rows['m0_seed'].nunique()} M0 seed(s), one run of each a condition, "
        f"{rows['items'].max()} test items a run. Bars: 95 % bootstrap over M0 seeds; small points: runs.\n"
        "Excess gap: beyond what explanations of the same M0's runs without the shift, and with the opposite "
        "one of its kind, show on the same items.\nRuns flagged as collapsed, whose gaps say little: "
        + ("; ".join(f"{condition} {count}" for condition, count in fallen.items()) or "none")
        + "."
    )
