"""New behaviour: are explanations of a behaviour that was never explained in training faithful to it?"""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coupling.analysis.tables import Tables
from coupling.report.figures import style
from coupling.report.figures.style import COLOURS, LABELS, MARKS, SHARE
from coupling.sweep import Sweep

WHAT = (
    "Self-faithfulness on a behaviour that was taught by behaviour training alone, with and "
    "without explanation training on other tasks"
)
TASK = "jabberwocky"
BEHAVIOUR = {  # measure: colour, mark, label
    "cue_match": (COLOURS["baseline"], "^", "with its mark"),
    "gold_match": (COLOURS["baseline"], "v", "without its mark"),
}
EXPLANATIONS = {
    "self": (COLOURS["self"], MARKS["self"], LABELS["self"]),
    "forced_self": (COLOURS["agreement"], MARKS["agreement"], "self, forced to a label"),
    "base": (COLOURS["target"], MARKS["target"], "against M0's behaviour"),
}


def of_sweep(data: Tables, sweep: Sweep) -> Figure:
    """Draw the figure of a sweep that teaches a new behaviour."""
    return draw(data.summary)


def draw(summary: pd.DataFrame) -> Figure:
    """Draw whether the behaviour is learnt, and whether explanations state it.

    The left panel has the share of items that are sorted rightly. The right panel has explanations against
    the behaviour of M_t, once free and once forced to a label, and against the behaviour of M0.

    Args:
        summary: The summary of the sweep. Only the rows of the new task are shown.
    """
    rows = summary[summary["task"] == TASK].reset_index(drop=True)
    figure, (left, right) = style.canvas(1, 2, (7.2, 3.3), width_ratios=[2, 3])
    for place, row in rows.iterrows():
        _marks(left, place, row, BEHAVIOUR, (-0.12, 0.12))
        _marks(right, place, row, EXPLANATIONS, (-0.2, 0.0, 0.2))
        right.hlines(
            row["best_constant"],
            place - 0.35,
            place + 0.35,
            colors=COLOURS["baseline"],
            linestyles=":",
            label="best constant label",
        )
    for axis, title in ((left, "behaviour: sorted rightly"), (right, "explanations of it, never trained")):
        style.ticks(axis, rows["condition"])
        style.legend(axis, 6)
        axis.set(title=title, ylim=(0, 1.02))
    left.set(ylabel=SHARE)
    first = rows.iloc[0]
    style.caption(
        figure,
        f"{TASK}, final step; {first['seeds']} M0 seed(s), {first['runs']} run(s) a condition, "
        f"{first['items']} test items a run. Bars: 95 % two-way bootstrap over M0 seeds and creatures.",
    )
    return figure


def _marks(
    axis: Axes,
    place: int,
    row: pd.Series,
    measures: dict[str, tuple[str, str, str]],
    asides: tuple[float, ...],
) -> None:
    """Draw the means of one condition with their intervals, side by side."""
    for aside, (measure, look) in zip(asides, measures.items(), strict=True):
        ends = (row[f"{measure}_{end}"] for end in ("mean", "low", "high"))
        style.interval(axis, place + aside, *ends, *look)
