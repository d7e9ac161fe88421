"""Teacher matrix: the explanations of every run against the behaviour of every run from the same label source."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from coupling.report.figures.style import caption

WHAT = "How often the explanations of run i state the behaviour of run j, beyond what either does on the mean"


def draw(teacher: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """A square for each task, condition and M0 seed: rows are explainers i, columns behaviours j, colour the match less what explainer i and
    behaviour j have on the mean, so that explainers who are better throughout do not hide the diagonal."""
    lines = list(dict.fromkeys(zip(teacher["task"], teacher["condition"], strict=True)))
    seeds = sorted(teacher["m0_seed"].unique())
    figure, axes = plt.subplots(
        len(lines), len(seeds), figsize=(0.8 + 1.9 * len(seeds), 0.9 + 1.9 * len(lines)), squeeze=False
    )
    squares = {
        (line, seed): rows.pivot(index="explainer", columns="teacher", values="match").pipe(_interaction)
        for line in lines
        for seed, rows in teacher[(teacher["task"] == line[0]) & (teacher["condition"] == line[1])].groupby(
            "m0_seed"
        )
    }
    most = max(float(np.abs(s.to_numpy()).max()) for s in squares.values())
    for row, line in zip(axes, lines, strict=True):
        for axis, seed in zip(row, seeds, strict=True):
            image = axis.imshow(squares[line, seed], cmap="PuOr_r", vmin=-most, vmax=most)
            axis.set(
                xticks=range(len(squares[line, seed])),
                yticks=range(len(squares[line, seed])),
                xlabel="behaviour of run j",
                title=f"M0 {seed}",
            )
            axis.tick_params(labelsize=6)
        row[0].set_ylabel(f"{line[0]}, {line[1]}\nexplanations of run i", fontsize=7)
    figure.colorbar(image, ax=axes, shrink=0.8, label="match, less row and column means")
    said = "; ".join(
        f"{r['task']}, {r['condition']}: diagonal above the rest of its column by {r['teacher_difference']:+.3f}, p = {r['teacher_p']:.4f}"
        for _, r in summary.iterrows()
    )
    first = summary.iloc[0]
    caption(
        figure,
        f"Exact match on {first['items']} test items, final step; {first['seeds']} M0 seed(s), {first['teacher_runs']:.0f} runs of each.\n"
        f"{said} (permutations within each M0).",
    )
    return figure


def _interaction(match: pd.DataFrame) -> pd.DataFrame:
    values = match.to_numpy()
    return match - values.mean(0, keepdims=True) - values.mean(1, keepdims=True) + values.mean()
