"""Depth: the gap by how well M0 knows an entity, and by how far labels agree with current behaviour."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coupling.analysis import measures, resampling
from coupling.analysis.depth import with_depth
from coupling.analysis.tables import Tables
from coupling.report.figures import style
from coupling.sweep import Sweep

WHAT = "The gap and the agreement of labels with current behaviour, by depth of knowledge and by condition"
PARTS = 5  # the entities are divided into so many parts by how often M0 met them
PANELS = {
    "knows": "M0 right without the cue",
    "agreement": "L(S) agrees with L(M_t)",
    "gap": "gap (self − target)",
    "self_base": "self − base",
}
SIGNED = ("gap", "self_base")  # the panels whose colours are even about zero


def of_sweep(data: Tables, sweep: Sweep) -> Figure:
    """Draw the figure of a sweep on a made-up world."""
    return draw(data.items, data.keys["profile"])


def draw(items: pd.DataFrame, profile: str) -> Figure:
    """Draw four squares of numbers with 95 % intervals.

    The rows of a square are fifths of the entities by how often M0 met them. The columns are the conditions.
    Those whose labels agree most with current behaviour come first.

    Args:
        items: The rows of the sweep's final step.
        profile: Name of the profile, whose M0s met the entities.
    """
    rows = with_depth(measures.with_measures(items), profile, PARTS)
    agreement = rows.groupby("condition")["agreement"].mean()
    conditions = list(agreement.sort_values(ascending=False).index)
    cells = {
        names: resampling.intervals(part, list(PANELS))
        for names, part in rows.groupby(["depth", "condition"])
    }
    figure, axes = style.canvas(2, 2, (1.4 + 2.1 * len(conditions), 7.2))
    for axis, (measure, title) in zip(axes.flat, PANELS.items(), strict=True):
        _square(axis, cells, conditions, measure)
        style.ticks(axis, conditions)
        axis.set(title=title, xlabel="condition", xlim=(-0.5, len(conditions) - 0.5))
        axis.set_yticks(range(PARTS), ["met least", *[""] * (PARTS - 2), "met most"])
        axis.tick_params(axis="y", labelrotation=90)
    runs = items.groupby("condition")[["m0_seed", "seed"]].apply(lambda part: len(part.drop_duplicates()))
    style.caption(
        figure,
        f"{', '.join(style.in_order(items['task']))}, final step; {items['m0_seed'].nunique()} M0 seed(s), "
        f"{style.span(runs)} run(s) a condition, {items['id'].nunique()} test items a run in fifths of the "
        "entities; in brackets 95 % two-way bootstrap over M0 seeds and entities.",
    )
    return figure


def _square(
    axis: Axes, cells: dict[tuple[int, str], pd.DataFrame], conditions: list[str], measure: str
) -> None:
    """Draw one measure: a coloured cell for each depth and condition, with mean and interval in it."""
    found = {
        (depth, k): cells[depth, condition].loc[measure]
        for depth in range(PARTS)
        for k, condition in enumerate(conditions)
    }
    values = np.array([[found[depth, k]["mean"] for k in range(len(conditions))] for depth in range(PARTS)])
    signed = measure in SIGNED
    most = np.abs(values).max()
    limits = {"cmap": "PuOr_r", "vmin": -most, "vmax": most}
    image = axis.imshow(
        values,
        origin="lower",
        aspect="auto",
        **(limits if signed else {"cmap": "Greys", "vmin": 0, "vmax": 1}),
    )
    written = "{:+.3f}\n({:+.3f}, {:+.3f})" if signed else "{:.2f}\n({:.2f}, {:.2f})"
    for (depth, k), value in np.ndenumerate(values):
        red, green, blue, _ = image.cmap(image.norm(value))
        colour = "white" if 0.3 * red + 0.6 * green + 0.1 * blue < 0.5 else "black"
        text = written.format(value, found[depth, k]["low"], found[depth, k]["high"])
        axis.text(k, depth, text, ha="center", va="center", fontsize=6, color=colour)
