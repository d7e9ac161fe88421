"""Depth: the gap by how well M0 knows an entity, and by how far labels agree with current behaviour."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from coupling.analysis import measures, resampling
from coupling.analysis.depth import with_depth
from coupling.analysis.tables import Tables
from coupling.report.figures import style
from coupling.sweep import Sweep

WHAT = "The gap and the agreement of labels with current behaviour, by depth of knowledge and by condition"
PARTS = 5  # the entities are divided into so many parts by how often M0 met them
PANELS = {
    "knows": "M0 is right without the cue",
    "agreement": "label source and current behaviour agree",
    "gap": "gap (self − target)",
    "self_base": "self − base (M0's behaviour)",
}
SIGNED = ("gap", "self_base")  # the panels whose colours are even about zero


def of_sweep(data: Tables, sweep: Sweep) -> style.StudyFigure:
    """Draw the figure of a sweep on a made-up world."""
    return draw(data.items, data.keys["profile"], sweep.name)


def draw(items: pd.DataFrame, profile: str, sweep: str) -> style.StudyFigure:
    """Draw four squares of numbers with 95 % intervals, below one another.

    The rows of a square are fifths of the entities by how often M0 met them. The columns are the conditions.
    Those whose labels agree most with current behaviour come first.

    Args:
        items: The rows of the sweep's final step.
        profile: Name of the profile, whose M0s met the entities.
        sweep: Name of the sweep, whose values say which world they are of.
    """
    rows = with_depth(measures.with_measures(items), profile, sweep, PARTS)
    agreement = rows.groupby("condition")["agreement"].mean()
    conditions = list(agreement.sort_values(ascending=False).index)
    cells = {
        names: resampling.intervals(part, list(PANELS))
        for names, part in rows.groupby(["depth", "condition"])
    }
    figure, axes = style.canvas(4, 1, (style.PAGE, 6.6), sharex=True)
    for axis, measure in zip(axes, PANELS, strict=True):
        _square(axis, cells, conditions, measure)
        axis.set_yticks(range(PARTS), ["met least", *[""] * (PARTS - 2), "met most"])
        axis.tick_params(length=0)
        for side in ("left", "bottom"):
            axis.spines[side].set_visible(False)
    style.panels(axes, list(PANELS.values()), 400)
    axes[-1].set_xticks(
        range(len(conditions)), [style.fitted(name, 360 / len(conditions)) for name in conditions]
    )
    runs = items.groupby("condition")[["m0_seed", "seed"]].apply(lambda part: len(part.drop_duplicates()))
    caption = (
        f"{', '.join(style.in_order(items['task']))}, final step; "
        f"{style.number(items['m0_seed'].nunique(), 'M0')}, {style.span(runs)} run(s) a condition, "
        f"{items['id'].nunique()} test items a run. Rows: fifths of the entities by how often M0 met them. "
        "In brackets: 95 %, t over M0s; bold: it leaves out zero."
    )
    return style.finish(figure, _found(rows[rows["condition"] == conditions[0]]), caption)


def _found(rows: pd.DataFrame) -> str:
    """Say how the gap differs between what M0 met most and least, in the rows of one condition."""
    each = rows.groupby(["m0_seed", "depth"])["gap"].mean().unstack()
    over = each[PARTS - 1] - each[0]
    low, high, _ = resampling.t_interval(over)
    return (
        f"Where labels agree best ({rows['condition'].iloc[0]}) the gap on entities that M0 met most, less "
        f"that on those that it met least, is {style.signed(over.mean())} ({style.signed(low)} to "
        f"{style.signed(high)})"
    )


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
    # no break within the brackets
    written = "{:+.3f} ({:+.3f},\u00a0{:+.3f})" if signed else "{:.2f} ({:.2f},\u00a0{:.2f})"
    for (depth, k), value in np.ndenumerate(values):
        cell = found[depth, k]
        red, green, blue, _ = image.cmap(image.norm(value))
        look = {"color": "white" if 0.3 * red + 0.6 * green + 0.1 * blue < 0.5 else "black"}
        if signed and (cell["low"] > 0 or cell["high"] < 0):
            look["weight"] = "bold"
        text = written.format(value, cell["low"], cell["high"]).replace("-", "−")
        text = style.fitted(text, 400 / len(conditions), weight="bold")
        axis.text(k, depth, text, ha="center", va="center", size=style.SMALL, linespacing=1.0, **look)
