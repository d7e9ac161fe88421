"""Circuits: at which sites a patch moves behaviour and explanation, and how alike these maps are."""

import itertools

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.gridspec import SubplotSpec

from coupling.analysis import circuits
from coupling.analysis.tables import Tables
from coupling.report.figures import marks, style
from coupling.report.figures.marks import Look
from coupling.sweep import Sweep

WHAT = "Where states of another item change behaviour and explanation, and how alike these places are"
TITLES = {
    "cf": "behaviour without the cue",
    "answer": "stated answer",
    "x": "behaviour with the cue",
    "flag": "stated flag",
}
SIMILARITY = {
    "answers": Look(marks.BLUE, "o", "without the cue, and the stated answer"),
    "flags": Look(marks.VERMILION, "s", "with the cue, and the stated flag", filled=False),
    "whole": Look(marks.DARK, "^", "both behaviours, and the whole explanation"),
}
# How the conditions are told apart beside the preference, in the order of the sweep.
_CONDITIONS = ((marks.GREEN, "D"), (marks.ORANGE, "v"), (marks.PURPLE, "X"), (marks.SKY, "P"))
_PARTS = {"mlp": "MLP", "attention": "attention", "residual": "residual"}  # from the bottom up
_COLUMNS = 12  # of the grid: a multiple of the four maps and of one to three tasks
_GROUPS = ("question", "options", "cue", "request", "last")


def of_sweep(data: Tables, sweep: Sweep) -> style.StudyFigure:
    """Draw the figure of a sweep with patched items."""
    return draw(data.circuits, data.similarity, data.preference)


def draw(maps: pd.DataFrame, similarity: pd.DataFrame, preferences: pd.DataFrame) -> style.StudyFigure:
    """Draw the maps of each task, below them how alike they are, and that beside the preference.

    The maps are those of the first condition. Their similarity is drawn for each condition.

    Args:
        maps: Rows of `circuits.maps`.
        similarity: Rows of `circuits.similarity`.
        preferences: Rows of `preference.by_pair` with task and region.
    """
    found = circuits.summary(similarity)
    tasks, condition = style.in_order(maps["task"]), maps["condition"].iloc[0]
    shown = maps[(maps["condition"] == condition) & maps["trained"] & (maps["way"] == "other")]
    heights = [max(1.2, 0.045 * _rows(shown))] * len(tasks)
    heights += [0.4 + 0.22 * found.groupby("task").size().max(), 1.3]
    figure = style.StudyFigure(figsize=(style.PAGE, sum(heights) + 0.8))
    grid = figure.add_gridspec(len(heights), _COLUMNS, height_ratios=heights)
    for k, task in enumerate(tasks):
        row = _across(grid[k, :], len(TITLES))
        draw_maps(row, shown[shown["task"] == task], groups_of(shown))
        row[0].set_ylabel(task, weight="bold")
        if k < len(tasks) - 1:
            for axis in row:
                axis.set_xticklabels([])
        style.panels(row, list(TITLES.values()), 420 / len(TITLES), len(TITLES) * k)
    row, drawn = _across(grid[-2, :], len(tasks)), len(TITLES) * len(tasks)
    for k, (axis, task) in enumerate(zip(row, tasks, strict=True)):
        _similarities(axis, found[found["task"] == task], named=k == 0)
    style.panels(row, [f"{task}: similarity of maps" for task in tasks], 380 / len(tasks), drawn)
    beside = circuits.beside_preference(similarity, preferences)
    (last,) = _across(grid[-1, :], 1)
    _against_preference(last, beside)
    style.panels([last], [_predicted(beside)], 380, drawn + len(tasks))
    return style.finish(figure, _found(found, condition), _caption(similarity, shown))


def _across(row: SubplotSpec, panels: int) -> np.ndarray:
    """Make panels of one width side by side in a row of _COLUMNS columns."""
    grid, first = row.get_gridspec(), row.rowspan.start
    ends = [_COLUMNS * k // panels for k in range(panels + 1)]
    figure = grid.figure
    return np.array([figure.add_subplot(grid[first, a:b]) for a, b in itertools.pairwise(ends)])


def _rows(maps: pd.DataFrame) -> int:
    return len(maps[["part", "layer"]].drop_duplicates())


def groups_of(maps: pd.DataFrame) -> list[str]:
    """Return the groups of tokens that maps have, in the order of the text."""
    return [group for group in _GROUPS if (maps["group"] == group).any()]


def draw_maps(axes: np.ndarray, maps: pd.DataFrame, groups: list[str]) -> None:
    """Draw the map of each output: parts and layers against groups of tokens.

    Args:
        axes: Four axes.
        maps: Rows of `circuits.maps` of one task and condition and of the way "other".
        groups: The groups of tokens to show. One that the maps lack is grey.
    """
    layers = sorted(maps["layer"].unique())
    order = pd.MultiIndex.from_product([_PARTS, layers])
    for number, (axis, output) in enumerate(zip(axes, TITLES, strict=True)):
        wide = maps.assign(weighted=maps[output] * maps["items"]).pivot_table(
            index=["part", "layer"], columns="group", values=["weighted", "items"], aggfunc="sum"
        )
        cells = (wide["weighted"] / wide["items"]).reindex(index=order, columns=groups).to_numpy()
        axis.imshow(cells, cmap="Blues", vmin=0, vmax=np.nanmax(cells), origin="lower", aspect="auto")
        axis.set_facecolor("#DDDDDD")  # shows where there is no site
        axis.set_xticks(range(len(groups)), groups, rotation=90)
        middle = [len(layers) * (k + 0.5) - 0.5 for k in range(len(_PARTS))]
        axis.set_yticks(middle, list(_PARTS.values()) if number == 0 else [""] * len(_PARTS))
        for k in range(1, len(_PARTS)):
            axis.axhline(k * len(layers) - 0.5, color="black", lw=0.5)
        axis.tick_params(length=0)


def _similarities(axis: Axes, found: pd.DataFrame, named: bool) -> None:
    """Draw the similarity of the maps of each condition and region, M0 itself first; named or not."""
    found = found.iloc[(found["condition"] != circuits.UNTRAINED).argsort(kind="stable")]
    several = found["region"].nunique() > 1
    names = [f"{row['condition']}{_kinds(row) if several else ''}" for _, row in found.iterrows()]
    series = [
        (look, [marks.ends(row, measure) for _, row in found.iterrows()])
        for measure, look in SIMILARITY.items()
    ]
    marks.rows(axis, series, [style.fitted(name, 95) if named else "" for name in names])
    marks.null(axis, lying=True)
    axis.set(xlim=(-0.5, 1.02), xlabel="rank correlation over sites")


def _against_preference(axis: Axes, beside: pd.DataFrame) -> None:
    """Draw a mark for each task, condition and M0."""
    for k, condition in enumerate(style.in_order(beside["condition"])):
        colour, mark = _CONDITIONS[k % len(_CONDITIONS)]
        rows = beside[beside["condition"] == condition]
        axis.plot(rows["answers"], rows["preference"], mark, color=colour, ms=3.5, label=condition)
    axis.axhline(0.5, color="black", lw=0.7, zorder=0.5)
    axis.set(xlabel="similarity of answers", ylabel="preference\nfor own behaviour")


def _predicted(beside: pd.DataFrame) -> str:
    """Say how similarity and preference go together."""
    value, low, high = circuits.predicts(beside)
    if np.isnan(value):
        return "similarity and preference"
    ends = "" if np.isnan(low) else f" ({low:.2f} to {high:.2f}, M0s drawn anew)"
    return (
        f"similarity and preference, one mark a task, condition and M0: rank correlation within tasks "
        f"{value:.2f}{ends}"
    )


def _kinds(row: pd.Series) -> str:
    return "" if row["region"] == "labelled" else f", {row['region']} kinds"


def _found(found: pd.DataFrame, condition: str) -> str:
    """Say how alike the maps are, over tasks, with coupling and in the other conditions."""
    means = found[found["region"] == "labelled"].groupby("condition", sort=False)["answers"].mean()
    others = [f"{value:.2f} {name}" for name, value in means.drop(condition).items()]
    beside = f" ({', '.join(others)})" if others else ""
    return (
        f"Sites of behaviour without the cue and of the stated answer: rank correlation "
        f"{means[condition]:.2f} with {condition}{beside}"
    )


def _caption(similarity: pd.DataFrame, shown: pd.DataFrame) -> str:
    m0s = similarity["m0_seed"].nunique()
    runs = similarity.groupby(["task", "condition"]).apply(
        lambda part: len(part[["m0_seed", "seed"]].drop_duplicates()), include_groups=False
    )
    over = "t over M0s" if m0s > 1 else "over items, of a single explainer"
    return (
        f"Maps: {shown['condition'].iloc[0]}, states of another item put at one part, layer and group of "
        "tokens; the darker, the more the log-odds of what the model said fall, as a share of the most of "
        "each map; grey: no such tokens. In each band the layers go up. Similarity: over sites at question, "
        "options, cue and last tokens; "
        f"{style.number(m0s, 'M0')}, {style.span(runs)} run(s) a condition. Bars: 95 %, {over}."
    )
