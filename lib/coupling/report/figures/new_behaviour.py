"""New behaviour: are explanations of a behaviour that was never explained in training faithful to it?"""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from coupling.report.figures.style import COLOURS, LABELS, MARKS, caption, interval, legend, ticks

WHAT = "Self-faithfulness on a behaviour that was taught by behaviour training alone, with and without explanation training on other tasks"
TASK = "jabberwocky"
BEHAVIOUR = {"cue_match": "with its mark", "gold_match": "without its mark"}


def draw(summary: pd.DataFrame) -> Figure:
    """Left: is the behaviour learnt? Right: explanations against M_t's behaviour, free and forced to a label, and against M0's."""
    rows = summary[summary["task"] == TASK].reset_index(drop=True)
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.3), width_ratios=[2, 3])
    for place, row in rows.iterrows():
        for shift, (measure, mark) in zip((-0.12, 0.12), zip(BEHAVIOUR, "^v", strict=True), strict=True):
            interval(
                left,
                place + shift,
                *(row[f"{measure}_{k}"] for k in ("mean", "low", "high")),
                COLOURS["baseline"],
                mark,
                BEHAVIOUR[measure],
            )
        for shift, (measure, style, label) in zip(
            (-0.2, 0.0, 0.2),
            (
                ("self", "self", LABELS["self"]),
                ("forced_self", "agreement", "self, forced to a label"),
                ("base", "target", "against M0's behaviour"),
            ),
            strict=True,
        ):
            interval(
                right,
                place + shift,
                *(row[f"{measure}_{k}"] for k in ("mean", "low", "high")),
                COLOURS[style],
                MARKS[style],
                label,
            )
        right.hlines(
            row["best_constant"],
            place - 0.35,
            place + 0.35,
            colors=COLOURS["baseline"],
            linestyles=":",
            label="best constant label",
        )
    for axis, title in ((left, "behaviour: sorted rightly"), (right, "explanations of it, never trained")):
        ticks(axis, rows["condition"])
        legend(axis, 6)
        axis.set(title=title, ylim=(0, 1.02))
    left.set(ylabel="share of test items")
    first = rows.iloc[0]
    caption(
        figure,
        f"{TASK}, final step; {first['seeds']} M0 seed(s), {first['runs']} run(s) a condition, {first['items']} test items a run. "
        "Bars: 95 % two-way bootstrap over M0 seeds and creatures.",
    )
    return figure
