"""Depth: the gap by how well M0 knows an entity, and by how far labels agree with current behaviour."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from coupling.analysis import measures, resampling
from coupling.analysis.depth import with_depth
from coupling.report.figures.style import caption, span, ticks

WHAT = "The gap and the agreement of labels with current behaviour, by depth of knowledge and by condition"
PARTS = 5
PANELS = {
    "knows": "M0 right without the cue",
    "agreement": "L(S) agrees with L(M_t)",
    "gap": "gap (self − target)",
    "self_base": "self − base",
}


def draw(items: pd.DataFrame, profile: str) -> Figure:
    """Four squares of numbers with 95 % intervals: rows are fifths of the entities by how often M0 met them, columns the conditions,
    those whose labels agree most with current behaviour first."""
    rows = with_depth(measures.with_measures(items), profile, PARTS)
    conditions = list(rows.groupby("condition")["agreement"].mean().sort_values(ascending=False).index)
    cells = {
        (d, c): resampling.intervals(part, list(PANELS))
        for (d, c), part in rows.groupby(["depth", "condition"])
    }
    figure, axes = plt.subplots(2, 2, figsize=(1.4 + 2.1 * len(conditions), 7.2))
    for axis, (measure, title) in zip(axes.flat, PANELS.items(), strict=True):
        values = np.array([[cells[d, c].loc[measure, "mean"] for c in conditions] for d in range(PARTS)])
        signed = measure in ("gap", "self_base")
        most = np.abs(values).max()
        colours = (
            {"cmap": "PuOr_r", "vmin": -most, "vmax": most}
            if signed
            else {"cmap": "Greys", "vmin": 0, "vmax": 1}
        )
        image = axis.imshow(values, origin="lower", aspect="auto", **colours)
        for (d, k), value in np.ndenumerate(values):
            low, high = (cells[d, conditions[k]].loc[measure, end] for end in ("low", "high"))
            red, green, blue, _ = image.cmap(image.norm(value))
            dark = 0.3 * red + 0.6 * green + 0.1 * blue < 0.5
            text = (
                f"{value:+.3f}\n({low:+.3f}, {high:+.3f})"
                if signed
                else f"{value:.2f}\n({low:.2f}, {high:.2f})"
            )
            axis.text(k, d, text, ha="center", va="center", fontsize=6, color="white" if dark else "black")
        ticks(axis, conditions)
        axis.set(title=title, xlabel="condition", xlim=(-0.5, len(conditions) - 0.5))
        axis.set_yticks(range(PARTS), ["met least", *[""] * (PARTS - 2), "met most"])
        axis.tick_params(axis="y", labelrotation=90)
    runs = items.groupby("condition")[["m0_seed", "seed"]].apply(lambda r: len(r.drop_duplicates()))
    caption(
        figure,
        f"{', '.join(dict.fromkeys(items['task']))}, final step; {items['m0_seed'].nunique()} M0 seed(s), {span(runs)} run(s) a condition, "
        f"{items['id'].nunique()} test items a run in fifths of the entities; in brackets 95 % two-way bootstrap over M0 seeds and entities.",
    )
    return figure
