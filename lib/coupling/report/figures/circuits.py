"""Circuits: at which sites a patch moves behaviour and explanation, and how alike these maps are."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

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
_GROUPS = ("question", "options", "cue", "request", "last")


def of_sweep(data: Tables, sweep: Sweep) -> style.StudyFigure:
    """Draw the figure of a sweep with patched items."""
    return draw(data.circuits, data.similarity, data.preference)


def draw(maps: pd.DataFrame, similarity: pd.DataFrame, preferences: pd.DataFrame) -> style.StudyFigure:
    """Draw a row of panels a task, and below them the similarity of answers beside the preference.

    The panels of a task are the maps of the first condition, and the similarity of each condition.

    Args:
        maps: Rows of `circuits.maps`.
        similarity: Rows of `circuits.similarity`.
        preferences: Rows of `preference.by_pair` with task and region.
    """
    found = circuits.summary(similarity)
    tasks, condition = style.in_order(maps["task"]), maps["condition"].iloc[0]
    shown = maps[(maps["condition"] == condition) & maps["trained"] & (maps["way"] == "other")]
    heights = [max(1.5, 0.045 * _rows(shown), 0.27 * (found["task"] == task).sum()) for task in tasks]
    figure, axes = style.canvas(
        len(tasks) + 1,
        5,
        (style.PAGE, sum(heights) + 0.5 * len(tasks) + 1.5),
        squeeze=False,
        gridspec_kw={"width_ratios": [1, 1, 1, 1, 1.7], "height_ratios": [*heights, 1.2]},
    )
    for k, (row, task) in enumerate(zip(axes, tasks, strict=False)):
        draw_maps(row[:4], shown[shown["task"] == task])
        _similarities(row[4], found[found["task"] == task])
        titles = [*TITLES.values(), "similarity of maps"]
        style.panels(row, [f"{task}: {titles[0]}", *titles[1:]], 75, 5 * k)
    axes[-2, 4].set_xlabel("rank correlation over sites")
    for axis in axes[-1]:
        axis.remove()
    last = figure.add_subplot(axes[0, 0].get_gridspec()[-1, :])
    beside = circuits.beside_preference(similarity, preferences)
    _against_preference(last, beside)
    style.panels([last], [_predicted(beside)], 440, 5 * len(tasks))
    return style.finish(figure, _found(found, condition), _caption(similarity, shown))


def _rows(maps: pd.DataFrame) -> int:
    return len(maps[["part", "layer"]].drop_duplicates())


def draw_maps(axes: np.ndarray, maps: pd.DataFrame) -> None:
    """Draw the map of each output: parts and layers against groups of tokens.

    Args:
        axes: Four axes.
        maps: Rows of `circuits.maps` of one task and condition and of the way "other".
    """
    groups = [group for group in _GROUPS if (maps["group"] == group).any()]
    layers = sorted(maps["layer"].unique())
    order = pd.MultiIndex.from_product([_PARTS, layers])
    for number, (axis, output) in enumerate(zip(axes, TITLES, strict=True)):
        wide = maps.assign(weighted=maps[output] * maps["items"]).pivot_table(
            index=["part", "layer"], columns="group", values=["weighted", "items"], aggfunc="sum"
        )
        cells = (wide["weighted"] / wide["items"]).reindex(index=order, columns=groups).to_numpy()
        axis.imshow(cells, cmap="Blues", vmin=0, vmax=np.nanmax(cells), origin="lower", aspect="auto")
        axis.set_xticks(range(len(groups)), groups, rotation=60)
        middle = [len(layers) * (k + 0.5) - 0.5 for k in range(len(_PARTS))]
        axis.set_yticks(middle, list(_PARTS.values()) if number == 0 else [""] * len(_PARTS))
        for k in range(1, len(_PARTS)):
            axis.axhline(k * len(layers) - 0.5, color="black", lw=0.5)
        axis.tick_params(length=0)


def _similarities(axis: Axes, found: pd.DataFrame) -> None:
    """Draw the similarity of the maps of each condition and region, M0 itself first."""
    found = found.iloc[(found["condition"] != circuits.UNTRAINED).argsort(kind="stable")]
    several = found["region"].nunique() > 1
    names = [
        style.fitted(f"{row['condition']}{_kinds(row) if several else ''}", 70) for _, row in found.iterrows()
    ]
    series = [
        (look, [marks.ends(row, measure) for _, row in found.iterrows()])
        for measure, look in SIMILARITY.items()
    ]
    marks.rows(axis, series, names)
    marks.null(axis, lying=True)
    axis.set_xlim(right=1.02)


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
    ends = "" if np.isnan(low) else f" ({low:.2f} to {high:.2f})"
    return f"similarity and preference, one mark a task, condition and M0: rank correlation {value:.2f}{ends}"


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
        "each map. In each band the layers go up. Similarity: over sites at question, options, cue and last "
        "tokens; "
        f"{style.number(m0s, 'M0')}, {style.span(runs)} run(s) a condition. Bars: 95 %, {over}."
    )
