"""Scale: gap and excess gap against the size of the model."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from coupling.report.figures.style import COLOURS, LABELS, caption, interval, legend
from coupling.sweep import Scale, read_sweep, sweep_names

WHAT = "Gap and excess gap with the KL term against model size, from a million weights upwards, labels by letter and by content"
TASKS = {"hint_qa": "o", "aita": "s", "refusal": "^", "mmlu": "D"}


def shown() -> dict[str, Scale]:
    """Return how each sweep appears in the figure, of those that their YAML files put there."""
    found = {name: read_sweep(name).scale for name in sweep_names()}
    return {name: scale for name, scale in found.items() if scale}


def draw(scale: pd.DataFrame) -> Figure:
    """Two panels, gap and excess gap: a mark a model, task and sweep with its 95 % interval, open where labels are by content. scale: rows of
    `tables.scale`; those with the KL term and unchanged labels are shown."""
    sweeps = shown()
    chosen = scale["condition"] == scale["sweep"].map({name: s.condition for name, s in sweeps.items()})
    rows = scale[chosen].reset_index(drop=True)
    rows["name"] = rows["task"] + rows["sweep"].map({name: s.called for name, s in sweeps.items()})
    figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.6))
    for axis, measure in zip(axes, ("gap", "excess"), strict=True):
        for _, same in rows.groupby("parameters"):
            for place, (_, row) in zip(
                np.linspace(-0.35, 0.35, len(same)) if len(same) > 1 else (0.0,), same.iterrows(), strict=True
            ):
                at, value, low, high = (
                    row["parameters"] * 10**place,
                    row[measure],
                    row[f"{measure}_low"],
                    row[f"{measure}_high"],
                )
                if np.isfinite(value):
                    mark, filled = TASKS.get(row["task"], "P"), not sweeps[row["sweep"]].open
                    interval(axis, at, value, low, high, COLOURS[measure], mark, row["name"], filled)
        axis.axhline(0, color="black", lw=0.8)
        axis.set(
            xscale="log", xlabel="weights of the model", ylabel="difference (fraction)", title=LABELS[measure]
        )
        axis.set_xlim(rows["parameters"].min() / 6, rows["parameters"].max() * 6)
        axis.margins(y=0.15)
    legend(axes[0], 7)
    behind = "; ".join(
        f"{row['model']}, {row['name']}: {row['seeds']} M0(s), {row['runs']} runs, {row['items']} items"
        for _, row in rows.iterrows()
    )
    caption(
        figure,
        "Final step, KL on; by content at a higher learning rate where the model is the real one. Marks of one model stand side by side. "
        f"Bars: 95 % two-way bootstrap over M0 seeds (of one M0: explainer seeds) and groups. {behind}.",
    )
    return figure
