"""Curve: what explanations state, against what a sweep varies."""

import pandas as pd
from matplotlib.axes import Axes

from coupling.analysis.tables import Tables
from coupling.report.figures import marks, style
from coupling.report.figures.marks import DIFFERENCE, LOOKS, SHARE
from coupling.sweep import Sweep

WHAT = "Self- and target-faithfulness, gap, excess gap and agreement against what the sweep varies"
MEASURED = "source_agreement"  # the axis that no spec fixes: it is measured in each run
MEASURED_NAME = "agreement of label source and M0"
PANELS = ("what explanations state", "gap and excess gap", "labels and current behaviour")
AGREEMENT = "share that agrees"
NAMED = 3  # so many conditions at most are named in a title


def of_sweep(data: Tables, sweep: Sweep) -> style.StudyFigure:
    """Draw the figure of a sweep that has an axis."""
    places = None if sweep.axis == MEASURED else sweep.places(data.keys["profile"])
    return draw(data.summary, sweep.axis, places)


def draw(summary: pd.DataFrame, axis: str, places: dict[str, float] | None) -> style.StudyFigure:
    """Draw self and target, the gaps, and agreement, with 95 % intervals.

    Conditions that differ in degree alone are joined by lines, at evenly spaced places where the values are
    those of the sweep. A grid of two fields has a panel for each value of the first. Conditions that differ
    in kind have a row each. The kind is the part of a condition's name before a comma.

    Args:
        summary: The summary of the sweep, one row a task and condition.
        axis: What is varied: the name of a field of the spec, or `MEASURED`.
        places: The value of the axis at each condition. None: the value is measured, and `<axis>_mean` in
            the summary holds it.
    """
    names = summary["condition"]
    at = names.map(places) if places else summary[f"{axis}_mean"]
    kind = names.str.split(",").str[0].where(names.str.contains(","), "")
    summary = pd.concat([summary, at.rename("at"), kind.rename("kind")], axis=1)
    called = MEASURED_NAME if places is None else _called(axis)
    if kind.nunique() > 1 and places is not None and _is_grid(summary):
        figure = _grid(summary, called)
    elif kind.nunique() > 1 or _unnamed(names, places):
        figure = _rows(summary)
    else:
        figure = _lines(summary, called, measured=places is None)
    return style.finish(figure, _found(summary, called), _caption(summary))


def _called(axis: str) -> str:
    """What a field of the spec is called in a figure."""
    return axis.replace("_", " ").replace("kl ", "KL ")


def _unnamed(names: pd.Series, places: dict[str, float] | None) -> bool:
    """Whether conditions at measured places are no numbers: they differ in kind, and have names."""
    return places is None and not names.str.fullmatch(r"[0-9.]+").all()


def _is_grid(summary: pd.DataFrame) -> bool:
    """Whether every kind has the same values of the axis, two or more."""
    values = {tuple(sorted(part["at"])) for _, part in summary.groupby(["task", "kind"])}
    return len(values) == 1 and len(next(iter(values))) > 1


def _lines(summary: pd.DataFrame, called: str, measured: bool) -> style.StudyFigure:
    """Draw a line for each measure, three panels a task."""
    tasks = style.in_order(summary["task"])
    figure, axes = style.canvas(len(tasks), 3, (style.PAGE, 1.75 * len(tasks)), squeeze=False)
    for k, (row, task) in enumerate(zip(axes, tasks, strict=True)):
        mine = summary[summary["task"] == task].sort_values("at")
        x = mine["at"] if measured else range(len(mine))
        for panel, measures in zip(row, _measures(mine), strict=True):
            for measure in measures:
                mean = "" if measure in mine else "_mean"
                marks.line(panel, x, mine, measure, LOOKS[measure], mean)
            panel.set_xlabel(called if k == len(tasks) - 1 else "")
            if not measured:
                panel.set_xticks(range(len(mine)), [f"{value:g}" for value in mine["at"]])
                panel.margins(x=0.08)
        _dress(row)
        prefix = f"{task}: " if len(tasks) > 1 else ""
        style.panels(row, [f"{prefix}{PANELS[0]}", *PANELS[1:]], 150, 3 * k)
    return figure


def _measures(rows: pd.DataFrame) -> tuple[tuple[str, ...], ...]:
    """The measures of the three panels. Where S is M0, base and target are the same."""
    apart = (rows["source_agreement_mean"] < 1).any()
    gaps = ["gap", *(["excess"] if rows["excess"].notna().any() else []), *(["self_base"] if apart else [])]
    return ("self", "target"), tuple(gaps), ("agreement",)


def _dress(row: list[Axes]) -> None:
    """Give the three panels their scales."""
    row[0].set(ylim=(0, 1.02), ylabel=SHARE)
    marks.null(row[1])
    row[1].set(ylabel=DIFFERENCE)
    row[2].set(ylim=(0, 1.02), ylabel=AGREEMENT)


def _grid(summary: pd.DataFrame, called: str) -> style.StudyFigure:
    """Draw a column of two panels for each kind, over the values of the axis."""
    kinds = style.in_order(summary["kind"])
    figure, axes = style.canvas(2, len(kinds), (style.PAGE, 3.0), squeeze=False, sharex=True, sharey="row")
    for column, kind in zip(axes.T, kinds, strict=True):
        mine = summary[summary["kind"] == kind].sort_values("at")
        for panel, measures in zip(column, _measures(mine), strict=False):
            for measure in measures:
                marks.line(
                    panel, range(len(mine)), mine, measure, LOOKS[measure], "" if measure in mine else "_mean"
                )
            panel.set_xticks(range(len(mine)), [f"{value:g}" for value in mine["at"]])
            panel.margins(x=0.12)
        marks.null(column[1])
    axes[0, 0].set(ylim=(0, 1.02), ylabel=SHARE)
    axes[1, 0].set(ylabel=DIFFERENCE)
    axes[1, len(kinds) // 2].set_xlabel(called)
    style.panels(axes.flat, [*kinds, *[""] * len(kinds)], 90)
    return figure


def _rows(summary: pd.DataFrame) -> style.StudyFigure:
    """Draw a row for each condition, in the order of agreement where that differs, three panels a task."""
    tasks = style.in_order(summary["task"])
    count = summary.groupby("task").size().max()
    size = (style.PAGE, len(tasks) * (0.55 + 0.24 * count))
    figure, axes = style.canvas(len(tasks), 3, size, squeeze=False, sharey="row")
    for k, (row, task) in enumerate(zip(axes, tasks, strict=True)):
        mine = summary[summary["task"] == task]
        if mine["source_agreement_mean"].nunique() > 1:
            mine = mine.sort_values("source_agreement_mean", ascending=False)
        for panel, measures in zip(row, _measures(mine), strict=True):
            series = [(LOOKS[m], _ends(mine, m)) for m in measures]
            marks.rows(panel, series, list(mine["condition"]))
        marks.null(row[1], lying=True)
        row[0].set(xlim=(0, 1.02), xlabel=SHARE)
        row[1].set(xlabel=DIFFERENCE)
        row[2].set(xlim=(0, 1.02), xlabel=AGREEMENT)
        prefix = f"{task}: " if len(tasks) > 1 else ""
        style.panels(row, [f"{prefix}{PANELS[0]}", *PANELS[1:]], 115, 3 * k)
    return figure


def _ends(rows: pd.DataFrame, measure: str) -> list[marks.Ends]:
    mean = "" if measure in rows else "_mean"
    return [marks.ends(row, measure, mean) for _, row in rows.iterrows()]


def _found(summary: pd.DataFrame, called: str) -> str:
    """Say how the gap goes along the axis, or in how many conditions it is above zero."""
    if summary["kind"].nunique() == 1 and not _unnamed(summary["condition"], None):
        form = ".2f" if called == MEASURED_NAME else "g"
        parts = []
        for task, rows in summary.groupby("task", sort=False):
            least, most = (rows.loc[place] for place in (rows["at"].idxmin(), rows["at"].idxmax()))
            ends = [f"{style.signed(row['gap'])} at {row['at']:{form}}" for row in (least, most)]
            where = f"{task}, " if summary["task"].nunique() > 1 else ""
            parts.append(where + " and ".join(ends))
        return f"The gap against {called}: {'; '.join(parts)}"
    above = summary[summary["gap_low"] > 0]
    named = f": {'; '.join(above['condition'])}" if 0 < len(above) <= NAMED else ""
    return f"The gap is above zero {style.counted(len(above), len(summary), 'condition')}{named}"


def _caption(summary: pd.DataFrame) -> str:
    first = summary.iloc[0]
    fallen = "; ".join(
        f"{row['condition']}: {row['collapsed']} of {row['runs']}"
        for _, row in summary.iterrows()
        if row["collapsed"]
    )
    lacking = summary["excess"].isna().any()
    return (
        f"{', '.join(style.in_order(summary['task']))}, final step; {style.number(first['seeds'], 'M0')}, "
        f"{style.span(summary['runs'])} run(s) a point, {style.span(summary['items'])} test items a run. "
        f"Intervals: 95 % two-way bootstrap over {style.seeds_of(first['seeds'])} and groups."
        f"{' No excess gap where one run stands for an M0.' if lacking else ''} "
        f"Collapsed runs: {fallen or 'none'}."
    )
