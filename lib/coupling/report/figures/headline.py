"""Headline: what explanations state on divergent items at the final step, by condition."""

import pandas as pd

from coupling.analysis import divergent
from coupling.analysis.tables import Tables
from coupling.report.figures import dumbbell, style
from coupling.sweep import Sweep

WHAT = (
    "On items on which label source and current model differ: how often explanations state the one and the "
    "other, beside what other explainers say, with gap and preference"
)
_NUMBERS = ["divergent_share", "gap", "preference", "preference_low", "preference_high"]


def of_sweep(data: Tables, sweep: Sweep) -> style.StudyFigure:
    """Draw the figure of a sweep."""
    return draw(data.items, data.summary, sweep.title)


def draw(items: pd.DataFrame, summary: pd.DataFrame, title: str) -> style.StudyFigure:
    """Draw a dumbbell for each task and condition, with its numbers beside it.

    Args:
        items: The rows of the sweep's final step.
        summary: The summary of the sweep, one row a task and condition.
        title: Title of the sweep, for the caption.
    """
    by = ["task", "condition"]
    rows = divergent.of_items(items).merge(summary[[*by, *_NUMBERS, "collapsed"]], on=by, how="left")
    several = rows["task"].nunique() > 1
    section = rows["task"] if several else ""
    rows = rows.assign(name=rows["condition"], section=section, says=rows.apply(dumbbell.reading, axis=1))
    if several:
        rows = rows.sort_values("task", key=_first(rows["task"]), kind="stable", ignore_index=True)
    figure = dumbbell.draw(rows, "against 0.5")
    return style.finish(figure, dumbbell.found(rows, "condition"), _caption(rows, summary, title))


def _first(names: pd.Series):
    order = style.in_order(names)
    return lambda column: column.map(order.index)


def _caption(rows: pd.DataFrame, summary: pd.DataFrame, title: str) -> str:
    """Write how the figure was made."""
    first = summary.iloc[0]
    tasks = "" if rows["task"].nunique() > 1 else f" {first['task']},"
    before = (
        f"{title};{tasks} final step. {style.number(first['seeds'], 'M0')}, "
        f"{style.span(summary['runs'])} run(s) a condition, {style.span(summary['items'])} test items a run."
    )
    fallen = [
        f"{row['task']} {row['condition']}: {row['collapsed']:.0f} of {row['runs']}"
        for _, row in rows.iterrows()
        if row["collapsed"]
    ]
    return dumbbell.caption(rows, before, [f"Collapsed runs: {'; '.join(fallen) or 'none'}."])
