"""Teacher matrix: explanations of every run against the behaviour of every run from the same label source."""

import numpy as np
import pandas as pd

from coupling.analysis.tables import Tables
from coupling.report.figures import style
from coupling.sweep import Sweep

WHAT = "How often the explanations of run i state the behaviour of run j, beyond what either does on the mean"
WIDEST = 5  # squares side by side


def of_sweep(data: Tables, sweep: Sweep) -> style.StudyFigure:
    """Draw the figure of a sweep with several explainers of each M0."""
    return draw(data.teacher, data.summary)


def draw(teacher: pd.DataFrame, summary: pd.DataFrame) -> style.StudyFigure:
    """Draw a square for each task, condition and M0 seed: rows are explainers i, columns are behaviours j.

    Colour is the match of i with j, less the mean of i and the mean of j. Explainers that are better
    throughout can thus not hide the diagonal.

    Args:
        teacher: The match of each explainer with each behaviour.
        summary: The summary of the sweep, for the test of the diagonal in the caption.
    """
    squares = {
        names: _interaction(rows.pivot(index="explainer", columns="teacher", values="match"))
        for names, rows in teacher.groupby(["task", "condition", "m0_seed"], sort=False)
    }
    most = max(float(np.abs(square.to_numpy()).max()) for square in squares.values())
    columns = min(len(squares), WIDEST)
    lines = -(-len(squares) // columns)
    figure, axes = style.canvas(lines, columns, (style.PAGE, 0.35 + 1.3 * lines), squeeze=False)
    several = teacher[["task", "condition"]].drop_duplicates().shape[0] > 1
    titles = []
    for axis, ((task, condition, seed), square) in zip(axes.flat, squares.items(), strict=False):
        image = axis.imshow(square, cmap="PuOr_r", vmin=-most, vmax=most)
        axis.set(xticks=range(len(square)), yticks=range(len(square)))
        axis.tick_params(length=0)
        titles.append(f"{task},\n{condition}, M0 {seed}" if several else f"M0 {seed}")
    for axis in axes.flat[len(squares) :]:
        axis.remove()
    style.panels(list(axes.flat)[: len(squares)], titles, 400 / columns)
    for axis in axes[:, 0]:
        axis.set_ylabel("explanations of run i")
    axes[-1, (min(columns, len(squares) - columns * (lines - 1)) - 1) // 2].set_xlabel("behaviour of run j")
    bar = figure.colorbar(image, ax=axes, shrink=0.9, aspect=12)
    bar.outline.set_linewidth(0.5)
    bar.set_label("match beyond row\nand column means")
    first = summary.iloc[0]
    caption = (
        f"Exact match on {first['items']} test items, final step; {style.number(first['seeds'], 'M0')}, "
        f"{first['teacher_runs']:.0f} runs of each. p: explanations dealt out anew within each M0."
    )
    found = "; ".join(
        f"{style.signed(row['teacher_difference'])} ({row['task']}, {row['condition']}; p = "
        f"{row['teacher_p']:.4f})"
        for _, row in summary.iterrows()
    )
    title = f"Explanations match the behaviour of their own run beyond that of other runs by {found}"
    return style.finish(figure, title, caption)


def _interaction(match: pd.DataFrame) -> pd.DataFrame:
    """Take the means of its row and of its column from every match, and add the mean of all."""
    values = match.to_numpy()
    return match - values.mean(0, keepdims=True) - values.mean(1, keepdims=True) + values.mean()
