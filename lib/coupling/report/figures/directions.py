"""Directions: explanations of a model pushed one way against the behaviour of models pushed either way."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from coupling.analysis.controls import diagonal_test
from coupling.analysis.tables import Tables
from coupling.analysis.tracking import across_directions, beside
from coupling.report.figures import style
from coupling.sweep import Sweep

WHAT = (
    "How often the explanations of a model that was pushed down, not at all or up state the "
    "behaviour of each of the three"
)
NAMES = ["down", "none", "up"]


def of_sweep(data: Tables, sweep: Sweep) -> Figure:
    """Draw the figure of a sweep of shifts in both directions."""
    return draw(data.items)


def draw(items: pd.DataFrame) -> Figure:
    """Draw a square for each task and strength of the shift: rows are explainers, columns are behaviours.

    Args:
        items: The rows of the sweep's final step. A square shows the mean over M0s.
    """
    tasks = style.in_order(items["task"])
    strengths = sorted(set(beside(items)["strength"]) - {0})
    size = (0.8 + 2.5 * len(strengths), 0.9 + 2.5 * len(tasks))
    figure, axes = style.canvas(len(tasks), len(strengths), size, squeeze=False)
    for row, task in zip(axes, tasks, strict=True):
        for axis, strength in zip(row, strengths, strict=True):
            image = _square(axis, items[items["task"] == task], task, strength)
        row[0].set_ylabel("explanations of the model pushed")
    figure.colorbar(image, ax=axes, shrink=0.6, label="exact match")
    most = items.groupby("task")["id"].nunique().max()
    style.caption(
        figure,
        f"Final step; {items['m0_seed'].nunique()} M0 seed(s), three runs of each a square, "
        f"{most} test items.\np: explanations dealt out anew among the three runs of each M0. If "
        "explanations follow\ntheir own model, the diagonal beats its column.",
    )
    return figure


def _square(axis: Axes, items: pd.DataFrame, task: str, strength: float) -> AxesImage:
    """Draw the square of one task and strength. Its title has the test of the diagonal."""
    matrix = across_directions(items, strength)
    square = matrix.groupby(["explainer", "teacher"])["match"].mean().unstack().to_numpy()
    found = diagonal_test(matrix)
    image = axis.imshow(square, cmap="Blues", vmin=0, vmax=1)
    for (i, j), value in np.ndenumerate(square):
        colour, weight = "white" if value > 0.6 else "black", "bold" if i == j else "normal"
        axis.text(j, i, f"{value:.3f}", ha="center", va="center", fontsize=7, color=colour, weight=weight)
    axis.set(xticks=range(3), yticks=range(3), xticklabels=NAMES, yticklabels=NAMES)
    axis.set_xlabel("behaviour of the model pushed")
    axis.set_title(
        f"{task}, weight {strength:g}\n"
        f"diagonal − rest of column {found['difference']:+.3f}, p = {found['p']:.4f}",
        fontsize=7,
    )
    return image
