"""Directions: explanations of a model pushed one way against the behaviour of models pushed either way."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from coupling.analysis.claims import holm
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
ALPHA = 0.05


def of_sweep(data: Tables, sweep: Sweep) -> style.StudyFigure:
    """Draw the figure of a sweep of shifts in both directions."""
    return draw(data.items)


def draw(items: pd.DataFrame) -> style.StudyFigure:
    """Draw a square for each task and strength of the shift: rows are explainers, columns are behaviours.

    Args:
        items: The rows of the sweep's final step. A square shows the mean over M0s.
    """
    tasks = style.in_order(items["task"])
    strengths = sorted(set(beside(items)["strength"]) - {0})
    size = (style.PAGE, 1.95 * len(tasks))
    figure, axes = style.canvas(len(tasks), len(strengths), size, squeeze=False)
    tests = []
    for k, (row, task) in enumerate(zip(axes, tasks, strict=True)):
        titles = []
        for axis, strength in zip(row, strengths, strict=True):
            matrix = across_directions(items[items["task"] == task], strength)
            found = diagonal_test(matrix)
            tests.append(found)
            image = _square(axis, matrix)
            titles.append(
                f"{task}, weight {strength:g}\ndiagonal {style.signed(found['difference'])}, p = "
                f"{found['p']:.4f}"
            )
        style.panels(row, titles, 140, len(strengths) * k)
        row[0].set_ylabel("explanations of\nthe model pushed")
    for axis in axes[-1]:
        axis.set_xlabel("behaviour of the model pushed")
    bar = figure.colorbar(image, ax=axes, shrink=0.5, label="exact match")
    bar.outline.set_linewidth(0.5)
    most = items.groupby("task")["id"].nunique().max()
    caption = (
        f"Final step; {style.number(items['m0_seed'].nunique(), 'M0')}, three runs of each a square, "
        f"{most} test items. Diagonal: mean of the diagonal (bold) less the rest of its column, which is "
        "above zero if explanations follow their own model. p, not corrected: explanations dealt out anew "
        "among the three runs of each M0."
    )
    p = holm([found["p"] for found in tests])
    above = [
        found["difference"]
        for found, of in zip(tests, p, strict=True)
        if found["difference"] > 0 and of < ALPHA
    ]
    much = f", by {style.between(above, '+.3f')}" if above else ""
    title = (
        "Explanations state the behaviour of their own model more than that of a model pushed otherwise "
        f"{style.counted(len(above), len(tests), 'square')}{much} (p < {ALPHA:g}, corrected by Holm)"
    )
    return style.finish(figure, title, caption)


def _square(axis: Axes, matrix: pd.DataFrame) -> AxesImage:
    """Draw the square of one task and strength."""
    square = matrix.groupby(["explainer", "teacher"])["match"].mean().unstack().to_numpy()
    image = axis.imshow(square, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (i, j), value in np.ndenumerate(square):
        colour, weight = "white" if value > 0.6 else "black", "bold" if i == j else "normal"
        axis.text(
            j, i, f"{value:.3f}", ha="center", va="center", size=style.PLAIN, color=colour, weight=weight
        )
    axis.set(xticks=range(3), yticks=range(3), xticklabels=NAMES, yticklabels=NAMES)
    axis.tick_params(length=0)
    return image
