"""Directions: the explanations of a model pushed one way against the behaviour of models pushed either way."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from coupling.analysis.controls import diagonal_test
from coupling.analysis.tracking import across_directions, beside
from coupling.report.figures.style import caption

WHAT = "How often the explanations of a model that was pushed down, not at all or up state the behaviour of each of the three"
NAMES = ["down", "none", "up"]


def draw(items: pd.DataFrame) -> Figure:
    """A square for each task and strength: rows are explainers, columns behaviours, the mean over M0s. items: the sweep's final rows."""
    tasks = list(dict.fromkeys(items["task"]))
    strengths = sorted(set(beside(items)["strength"]) - {0})
    figure, axes = plt.subplots(
        len(tasks),
        len(strengths),
        figsize=(0.8 + 2.5 * len(strengths), 0.9 + 2.5 * len(tasks)),
        squeeze=False,
    )
    for row, task in zip(axes, tasks, strict=True):
        for axis, strength in zip(row, strengths, strict=True):
            matrix = across_directions(items[items["task"] == task], strength)
            square = matrix.groupby(["explainer", "teacher"])["match"].mean().unstack().to_numpy()
            found = diagonal_test(matrix)
            image = axis.imshow(square, cmap="Blues", vmin=0, vmax=1)
            for (i, j), value in np.ndenumerate(square):
                colour, weight = "white" if value > 0.6 else "black", "bold" if i == j else "normal"
                axis.text(
                    j, i, f"{value:.3f}", ha="center", va="center", fontsize=7, color=colour, weight=weight
                )
            axis.set(
                xticks=range(3),
                yticks=range(3),
                xticklabels=NAMES,
                yticklabels=NAMES,
                xlabel="behaviour of the model pushed",
            )
            axis.set_title(
                f"{task}, weight {strength:g}\ndiagonal − rest of column {found['difference']:+.3f}, p = {found['p']:.4f}",
                fontsize=7,
            )
        row[0].set_ylabel("explanations of the model pushed")
    figure.colorbar(image, ax=axes, shrink=0.6, label="exact match")
    most = items.groupby("task")["id"].nunique().max()
    seeds = items["m0_seed"].nunique()
    caption(
        figure,
        f"Final step; {seeds} M0 seed(s), three runs of each a square, {most} test items.\n"
        "p: explanations dealt out anew among the three runs of each M0. If explanations "
        "follow\ntheir own model, the diagonal beats its column.",
    )
    return figure
