"""Order: a shift beside explanation training, after it and before it, and what each is compared with."""

import pandas as pd

from coupling.analysis import resampling
from coupling.analysis.tables import Tables
from coupling.analysis.tracking import beyond_training
from coupling.report.figures import marks, style
from coupling.report.figures.marks import DARK, DIFFERENCE, LOOKS, MIDDLE, ORANGE, SHARE, Look
from coupling.sweep import Sweep

WHAT = (
    "Shift of behaviour, of what explanations imply, and faithfulness, by the order of a shift "
    "and of explanation training, with controls"
)
PANELS = {  # title: what its x axis is, and the measures
    "shift from M0's rate": (
        "difference of rates",
        {"shift": Look(DARK, "X", "behaviour"), "said_shift": Look(ORANGE, "P", "what explanations imply")},
    ),
    "what explanations state": (
        SHARE,
        {
            "self": LOOKS["self"],
            "target": LOOKS["target"],
            "forced_self": Look(MIDDLE, "v", "self, forced to a label"),
        },
    ),
    "gap and excess gap": (DIFFERENCE, {measure: LOOKS[measure] for measure in ("gap", "excess")}),
}


def of_sweep(data: Tables, sweep: Sweep) -> style.StudyFigure:
    """Draw the figure of a sweep of shifts at different times."""
    return draw(data.shift)


def draw(shift: pd.DataFrame) -> style.StudyFigure:
    """Draw three panels of rows, one a condition, for each task with a shift before or after training.

    All shifts have the strength of the one after explanation training. Runs without a shift are shown too.

    Args:
        shift: The sweep's table of shifted runs, one row a run.
    """
    orders = shift[shift["objective"] != "reteach"]
    tasks = style.in_order(orders.loc[orders["order"].isin(["after", "before"]), "task"])
    rows = orders[orders["task"].isin(tasks)]
    strength = rows.loc[rows["order"] == "after", "strength"].iloc[0]
    rows = rows[rows["strength"].isin([0, strength])]
    conditions = style.in_order(rows["condition"])
    size = (style.PAGE, len(tasks) * (0.5 + 0.3 * len(conditions)))
    figure, axes = style.canvas(len(tasks), 3, size, squeeze=False, sharey="row")
    for k, (line, task) in enumerate(zip(axes, tasks, strict=True)):
        mine = rows[rows["task"] == task]
        names = style.in_order(mine["condition"])
        parts = [mine[mine["condition"] == name] for name in names]
        for axis, (what, measures) in zip(line, PANELS.values(), strict=True):
            found = [resampling.intervals(part, list(measures)) for part in parts]
            series = [
                (look, [tuple(table.loc[measure, ["mean", "low", "high"]]) for table in found])
                for measure, look in measures.items()
            ]
            marks.rows(axis, series, [style.fitted(name, 80) for name in names])
            axis.set_xlabel(what)
            if what != SHARE:
                marks.null(axis, lying=True)
        style.panels(line, list(PANELS), 125, 3 * k)
    title = "; ".join(f"{task}, {_found(rows[rows['task'] == task])}" for task in tasks)
    return style.finish(figure, title, _caption(rows, strength))


def _found(rows: pd.DataFrame) -> str:
    """Say how far behaviour and explanations moved where the shift came after training, and beside it."""
    pushed = beyond_training(rows)
    pushed = pushed[pushed["explained"] & ~pushed["relabelled"] & (pushed["direction"] == "down")]
    said = []
    for order in ("with", "after"):
        part = pushed[(pushed["order"] == order) & (pushed["replay"] == 0)]
        whole = part[part["collapsed"] == ""]
        if 2 * len(whole) > len(part):  # what is left where most runs are collapsed says little
            where = "beside" if order == "with" else order
            moved, implied = (style.signed(whole[name].mean(), 2) for name in ("moved", "implied"))
            said.append(f"{where} training: behaviour moved by {moved}, explanations by {implied}")
    return "; ".join(said)


def _caption(rows: pd.DataFrame, strength: float) -> str:
    fallen = rows[rows["collapsed"] != ""].groupby("condition", sort=False).size()
    return (
        f"Final step; shifts of weight {strength:g}; {style.number(rows['m0_seed'].nunique(), 'M0')}, one "
        f"run of each a condition, {rows['items'].max()} test items a run. Bars: 95 %, t over "
        "M0s. Excess gap: beyond what explanations of the same M0's runs without the shift, and with the "
        "opposite one of its kind, show on the same items. Title: runs that are not collapsed, each less the "
        "unshifted run of its M0. Runs flagged as collapsed, whose gaps say little: "
        + ("; ".join(f"{condition} {count}" for condition, count in fallen.items()) or "none")
        + "."
    )
