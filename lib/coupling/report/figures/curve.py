"""Curve: what explanations state, against what a sweep varies."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from coupling.analysis.tables import Tables
from coupling.report.figures import marks, style
from coupling.report.figures.marks import DIFFERENCE, LOOKS, SHARE
from coupling.sweep import Sweep

WHAT = (
    "Self- and target-faithfulness, gap, excess gap, preference and agreement against what the sweep varies"
)
MEASURED = "source_agreement"  # the axis that no spec fixes: it is measured in each run
MEASURED_NAME = "agreement of label source and M0"
MEASURED_LABEL = "source and M0 agree"  # the same, below an axis
PANELS = {  # titles by the first measure of a panel
    "self": "what explanations state",
    "gap": "gap and excess gap",
    "preference": "preference",
    "agreement": "labels and behaviour",
}
AGREEMENT, DECIDED = "share that agrees", "share of decided"
WIDTH = 450  # points that all panels of a row have together
NAMED = 3  # so many conditions at most are named in a title


def of_sweep(data: Tables, sweep: Sweep) -> style.StudyFigure:
    """Draw the figure of a sweep that has an axis."""
    places = None if sweep.axis == MEASURED else sweep.places(data.keys["profile"])
    return draw(data.summary, sweep.axis, places)


def draw(summary: pd.DataFrame, axis: str, places: dict[str, float] | None) -> style.StudyFigure:
    """Draw self and target, the gaps, preference and agreement, with 95 % intervals.

    Without two explainers of an M0 there is no preference, and no panel of it.

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
        figure = _lines(summary, MEASURED_LABEL if places is None else called, measured=places is None)
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
    """Draw a line for each measure, a row of panels a task."""
    tasks, shown = style.in_order(summary["task"]), _measures(summary)
    figure, axes = style.canvas(len(tasks), len(shown), (style.PAGE, 1.75 * len(tasks)), squeeze=False)
    for k, (row, task) in enumerate(zip(axes, tasks, strict=True)):
        mine = summary[summary["task"] == task].sort_values("at")
        x = mine["at"] if measured else range(len(mine))
        for panel, measures in zip(row, shown, strict=True):
            for measure in measures:
                if mine[measure if measure in mine else f"{measure}_mean"].notna().any():
                    mean = "" if measure in mine else "_mean"
                    marks.line(panel, x, mine, measure, LOOKS[measure], mean)
            panel.set_xlabel(called if k == len(tasks) - 1 else "")
            if not measured:
                panel.set_xticks(range(len(mine)), [f"{value:g}" for value in mine["at"]])
                panel.margins(x=0.08)
            _dress(panel, measures[0])
        _name(row, shown, task if len(tasks) > 1 else "", k, WIDTH)
    return figure


def _measures(rows: pd.DataFrame) -> list[tuple[str, ...]]:
    """The measures of each panel. Where S is M0, base and target are the same."""
    apart = (rows["source_agreement_mean"] < 1).any()
    gaps = ["gap", *(["excess"] if rows["excess"].notna().any() else []), *(["self_base"] if apart else [])]
    preference = [("preference",)] if rows["preference"].notna().any() else []
    return [("self", "target"), tuple(gaps), *preference, ("agreement",)]


def _dress(panel: Axes, measure: str, lying: bool = False) -> None:
    """Give a panel the scale of its first measure, upright or lying."""
    along, label = ("xlim", "xlabel") if lying else ("ylim", "ylabel")
    if measure == "gap":
        marks.null(panel, lying=lying)
        panel.set(**{label: DIFFERENCE})
        return
    if measure == "preference":
        marks.null(panel, 0.5, lying=lying)
    named = {"self": SHARE, "preference": DECIDED, "agreement": AGREEMENT}
    panel.set(**{along: (0, 1.02), label: named[measure]})


def _name(row: Sequence[Axes], shown: Sequence[tuple[str, ...]], task: str, k: int, width: float) -> None:
    """Write the titles of the k-th row of panels; task: what stands in front of the first, if anything."""
    titles = [PANELS[measures[0]] for measures in shown]
    first = f"{task}: {titles[0]}" if task else titles[0]
    style.panels(row, [first, *titles[1:]], width / len(shown), len(shown) * k)


def _grid(summary: pd.DataFrame, called: str) -> style.StudyFigure:
    """Draw a column of two panels for each kind, over the values of the axis."""
    kinds, shown = style.in_order(summary["kind"]), _measures(summary)[:-1]  # agreement has no room
    size = (style.PAGE, 1.5 * len(shown))
    figure, axes = style.canvas(len(shown), len(kinds), size, squeeze=False, sharex=True, sharey="row")
    for column, kind in zip(axes.T, kinds, strict=True):
        mine = summary[summary["kind"] == kind].sort_values("at")
        for panel, measures in zip(column, shown, strict=True):
            for measure in measures:
                marks.line(
                    panel, range(len(mine)), mine, measure, LOOKS[measure], "" if measure in mine else "_mean"
                )
            panel.set_xticks(range(len(mine)), [f"{value:g}" for value in mine["at"]])
            panel.margins(x=0.12)
    for row, measures in zip(axes, shown, strict=True):
        for panel in row:
            _dress(panel, measures[0])
            panel.label_outer()
    axes[-1, len(kinds) // 2].set_xlabel(called)
    style.panels(axes.flat, [*kinds, *[""] * (len(kinds) * (len(shown) - 1))], 90)
    return figure


def _rows(summary: pd.DataFrame) -> style.StudyFigure:
    """Draw a row for each condition, in the order of agreement where that differs, some panels a task."""
    tasks, shown = style.in_order(summary["task"]), _measures(summary)
    count = summary.groupby("task").size().max()
    size = (style.PAGE, len(tasks) * (0.55 + 0.24 * count))
    figure, axes = style.canvas(len(tasks), len(shown), size, squeeze=False, sharey="row")
    for k, (row, task) in enumerate(zip(axes, tasks, strict=True)):
        mine = summary[summary["task"] == task]
        if mine["source_agreement_mean"].nunique() > 1:
            mine = mine.sort_values("source_agreement_mean", ascending=False)
        for panel, measures in zip(row, shown, strict=True):
            series = [(LOOKS[m], _ends(mine, m)) for m in measures]
            marks.rows(panel, series, list(mine["condition"]))
            _dress(panel, measures[0], lying=True)
        _name(row, shown, task if len(tasks) > 1 else "", k, 345)
    return figure


def _ends(rows: pd.DataFrame, measure: str) -> list[marks.Ends]:
    mean = "" if measure in rows else "_mean"
    return [marks.ends(row, measure, mean) for _, row in rows.iterrows()]


def _found(summary: pd.DataFrame, called: str) -> str:
    """Say how the gap goes along the axis, or in how many conditions it is above zero.

    The ends of the axis are conditions without a collapsed run, if a task has two of these.
    """
    if summary["kind"].nunique() == 1 and not _unnamed(summary["condition"], None):
        form = ".2f" if called == MEASURED_NAME else "g"
        parts = []
        for task, rows in summary.groupby("task", sort=False):
            whole = rows[rows["collapsed"] == 0]
            rows = whole if len(whole) > 1 else rows
            least, most = (rows.loc[place] for place in (rows["at"].idxmin(), rows["at"].idxmax()))
            ends = [
                f"{style.signed(row['gap'])} ({style.signed(row['gap_low'])} to "
                f"{style.signed(row['gap_high'])}) "
                f"at {row['at']:{form}}"
                for row in (least, most)
            ]
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
        f"Intervals: 95 %, {style.interval_of(first['seeds'], summary['runs'])}."
        f"{' No excess gap and no preference where one run stands for an M0.' if lacking else ''} "
        f"Collapsed runs: {fallen or 'none'}."
    )
