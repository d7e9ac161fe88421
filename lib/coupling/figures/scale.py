"""Scale: gap and excess gap against the size of the model."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from coupling.figures.style import COLOURS, LABELS, caption, interval, legend

WHAT = "Gap and excess gap with the KL term against model size, from a million weights upwards"
SWEEPS = ("headline", "posts", "prompts")  # KL on and off as a profile has them; the last two on real posts and prompts, where a headline has made-up ones
CONDITION = "KL on"
TASKS = {"hint_qa": "o", "aita": "s", "refusal": "^", "mmlu": "D"}


def draw(scale: pd.DataFrame) -> Figure:
    """Two panels, gap and excess gap: a mark a model and task with its 95 % interval. scale: rows of `tables.scale`; those with the KL term are shown."""
    rows = scale[scale["condition"] == CONDITION].reset_index(drop=True)
    figure, axes = plt.subplots(1, 2, figsize=(7.6, 3.2))
    for axis, measure in zip(axes, ("gap", "excess"), strict=True):
        for _, same in rows.groupby("parameters"):
            for place, (_, row) in zip(np.linspace(-0.35, 0.35, len(same)) if len(same) > 1 else (0.0,), same.iterrows(), strict=True):
                at, value, low, high = row["parameters"] * 10**place, row[measure], row[f"{measure}_low"], row[f"{measure}_high"]
                if np.isfinite(value):
                    interval(axis, at, value, low, high, COLOURS[measure], TASKS.get(row["task"], "P"), row["task"])
                    axis.annotate(f"{value:+.3f}", (at, high), xytext=(0, 3), textcoords="offset points", ha="center", fontsize=6)
        axis.axhline(0, color="black", lw=0.8)
        axis.set(xscale="log", xlabel="weights of the model", ylabel="difference (fraction)", title=LABELS[measure])
        axis.set_xlim(rows["parameters"].min() / 6, rows["parameters"].max() * 6)
        axis.margins(y=0.15)
        legend(axis, 7)
    behind = "; ".join(
        f"{row['model']}, {row['task']}: {row['seeds']} M0(s), {row['runs']} runs, {row['items']} items" for _, row in rows.iterrows()
    )
    caption(figure, f"Final step, KL on. Bars: 95 % two-way bootstrap over M0 seeds (of one M0: explainer seeds) and groups. {behind}.")
    return figure
