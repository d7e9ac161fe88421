"""Teacher matrix: explanations of every run against the behaviour of every run from the same label source."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from coupling.analysis.tables import Tables
from coupling.report.figures import style
from coupling.sweep import Sweep

WHAT = "How often the explanations of run i state the behaviour of run j, beyond what either does on the mean"


def of_sweep(data: Tables, sweep: Sweep) -> Figure:
    """Draw the figure of a sweep with several explainers of each M0."""
    return draw(data.teacher, data.summary)


def draw(teacher: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """Draw a square for each task, condition and M0 seed: rows are explainers i, columns are behaviours j.

    Colour is the match of i with j, less the mean of i and the mean of j. Explainers that are better
    throughout can thus not hide the diagonal.

    Args:
        teacher: The match of each explainer with each behaviour.
        summary: The summary of the sweep, for the test of the diagonal in the caption.
    """
    lines = style.in_order(zip(teacher["task"], teacher["condition"], strict=True))
    seeds = sorted(teacher["m0_seed"].unique())
    squares = {
        names: _interaction(rows.pivot(index="explainer", columns="teacher", values="match"))
        for names, rows in teacher.groupby(["task", "condition", "m0_seed"])
    }
    most = max(float(np.abs(square.to_numpy()).max()) for square in squares.values())
    size = (0.8 + 1.9 * len(seeds), 0.9 + 1.9 * len(lines))
    figure, axes = style.canvas(len(lines), len(seeds), size, squeeze=False)
    for row, (task, condition) in zip(axes, lines, strict=True):
        for axis, seed in zip(row, seeds, strict=True):
            square = squares[task, condition, seed]
            image = axis.imshow(square, cmap="PuOr_r", vmin=-most, vmax=most)
            axis.set(xticks=range(len(square)), yticks=range(len(square)))
            axis.set(xlabel="behaviour of run j", title=f"M0 {seed}")
            axis.tick_params(labelsize=6)
        row[0].set_ylabel(f"{task}, {condition}\nexplanations of run i", fontsize=7)
    figure.colorbar(image, ax=axes, shrink=0.8, label="match, less row and column means")
    style.caption(figure, _caption(summary))
    return figure


def _interaction(match: pd.DataFrame) -> pd.DataFrame:
    """Take the means of its row and of its column from every match, and add the mean of all."""
    values = match.to_numpy()
    return match - values.mean(0, keepdims=True) - values.mean(1, keepdims=True) + values.mean()


def _caption(summary: pd.DataFrame) -> str:
    first = summary.iloc[0]
    found = "; ".join(
        f"{row['task']}, {row['condition']}: diagonal above the rest of its column by "
        f"{row['teacher_difference']:+.3f}, p = {row['teacher_p']:.4f}"
        for _, row in summary.iterrows()
    )
    return (
        f"Exact match on {first['items']} test items, final step; {first['seeds']} M0 seed(s), "
        f"{first['teacher_runs']:.0f} runs of each.\n{found} (permutations within each M0)."
    )
