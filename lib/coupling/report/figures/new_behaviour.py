"""New behaviour: are explanations of a behaviour that was never explained in training faithful to it?"""

import pandas as pd

from coupling.analysis.tables import Tables
from coupling.report.figures import marks, style
from coupling.report.figures.marks import DARK, LOOKS, MIDDLE, SHARE, SKY, VERMILION, Look
from coupling.sweep import Sweep

WHAT = (
    "Self-faithfulness on a behaviour that was taught by behaviour training alone, with and "
    "without explanation training on other tasks"
)
TASK = "jabberwocky"
BEHAVIOUR = {
    "cue_match": Look(DARK, "^", "sorted rightly with its mark"),
    "gold_match": Look(SKY, "D", "sorted rightly without its mark", filled=False),
}
EXPLANATIONS = {
    "self": LOOKS["self"],
    "forced_self": Look(MIDDLE, "v", "self, forced to a label"),
    "base": Look(VERMILION, "s", "M0's behaviour (base)", filled=False),
}


def of_sweep(data: Tables, sweep: Sweep) -> style.StudyFigure:
    """Draw the figure of a sweep that teaches a new behaviour."""
    return draw(data.summary)


def draw(summary: pd.DataFrame) -> style.StudyFigure:
    """Draw whether the behaviour is learnt, and whether explanations state it.

    The left panel has the share of items that are sorted rightly. The right panel has explanations against
    the behaviour of M_t, once free and once forced to a label, and against the behaviour of M0.

    Args:
        summary: The summary of the sweep. Only the rows of the new task are shown.
    """
    rows = summary[summary["task"] == TASK].reset_index(drop=True)
    names = [style.fitted(name, 80) for name in rows["condition"]]
    size = (style.PAGE, 0.55 + 0.42 * len(rows))
    figure, (left, right) = style.canvas(1, 2, size, width_ratios=[2, 3], sharey=True)
    for axis, measures in ((left, BEHAVIOUR), (right, EXPLANATIONS)):
        series = [
            (look, [marks.ends(row, measure, "_mean") for _, row in rows.iterrows()])
            for measure, look in measures.items()
        ]
        marks.rows(axis, series, names)
        axis.set(xlim=(-0.02, 1.04), xlabel=SHARE)
    for place, row in rows.iterrows():
        best = [row["best_constant"]] * 2
        right.plot(best, [place - 0.4, place + 0.4], ls=":", color="black", lw=1, label="best constant label")
    style.panels((left, right), ("the behaviour", "explanations of it, never trained"), 170)
    first = rows.iloc[0]
    caption = (
        f"{TASK}, final step; {style.number(first['seeds'], 'M0')}, {first['runs']} runs a condition, "
        f"{first['items']} test items a run. Bars: 95 %, "
        f"{style.interval_of(first['seeds'], rows['runs'])}."
    )
    said = "; ".join(f"{row['self']:.3f} with {row['condition']}" for _, row in rows.iterrows())
    return style.finish(figure, f"Share of the new behaviour that free explanations state: {said}", caption)
