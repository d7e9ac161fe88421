"""Tracking: does what explanations say move with what the model does, when another objective pushes that?"""

import pandas as pd
from matplotlib.axes import Axes

from coupling.analysis import resampling
from coupling.analysis.tables import Tables
from coupling.analysis.tracking import beside, beyond_training, implied_share
from coupling.report.figures import marks, style
from coupling.report.figures.marks import BLUE, DARK, LOOKS, MIDDLE, ORANGE, SKY, VERMILION, Look
from coupling.sweep import Sweep
from coupling.tasks import task_of

WHAT = (
    "Shifts of behaviour against shifts of what explanations imply, self- and target-faithfulness, and "
    "flipped items, by strength and direction"
)
DIRECTIONS = {
    "down": Look(VERMILION, "<", "pushed down"),
    "": Look(DARK, "p", "no shift"),
    "up": Look(BLUE, ">", "pushed up"),
}
SIGN = {"down": -1, "": 0, "up": 1}
FLIPPED = {
    "flipped_own": Look(SKY, "P", "stated by the run's own explanations"),
    "flipped_other": Look(ORANGE, "X", "stated by those of the run without the shift"),
}
BELOW = (  # label of the y axis, its limits, and the measures
    (marks.SHARE, (0, 1.05), {measure: LOOKS[measure] for measure in ("self", "target")}),
    (marks.DIFFERENCE, None, {measure: LOOKS[measure] for measure in ("gap", "excess")}),
    ("share of flipped items", (0, None), FLIPPED),
)
MEASURES = ["shift", "said_shift", *(measure for _, _, of in BELOW for measure in of)]


def of_sweep(data: Tables, sweep: Sweep) -> style.StudyFigure:
    """Draw the figure of a sweep of shifts."""
    return draw(data.shift)


def draw(shift: pd.DataFrame) -> style.StudyFigure:
    """Draw four panels a task, one below the other: the shifts, faithfulness, the gaps, and flipped items.

    They show the runs without a shift, and those with a shift beside explanation training. A single task has
    its panels in two columns.

    Args:
        shift: The sweep's table of shifted runs, one row a run.
    """
    rows = beside(shift)
    rows = rows.assign(place=rows["direction"].map(SIGN) * rows["strength"])
    tasks = style.in_order(rows["task"])
    alone = len(tasks) == 1
    shape = (2, 2, (style.PAGE, 3.8)) if alone else (4, len(tasks), (style.PAGE, 7.0))
    figure, axes = style.canvas(*shape, squeeze=False)
    columns = [list(axes.flat)] if alone else list(axes.T)
    for panels, task in zip(columns, tasks, strict=True):
        mine = rows[rows["task"] == task]
        found = {place: resampling.intervals(part, MEASURES) for place, part in mine.groupby("place")}
        _shifts(panels[0], found, task)
        for axis, (label, limits, measures) in zip(panels[1:], BELOW, strict=True):
            _measures(axis, found, measures)
            if limits:
                axis.set_ylim(*limits)
            else:
                marks.null(axis)
            if panels is columns[0]:
                axis.set_ylabel(label)
    columns[0][0].set_ylabel("shift of what\nexplanations imply")
    for panels in columns:
        panels[-1].set_xlabel("direction and weight of the shift")
    titles = ("shift of behaviour", "what explanations state", "gap and excess gap", "flipped items")
    if alone:
        style.panels(columns[0], titles, 200)
    else:
        style.panels(axes.flat, [f"{task}: {title}" for title in titles for task in tasks], 140)
    return style.finish(figure, _found(rows), _caption(rows))


def _found(rows: pd.DataFrame) -> str:
    """Say how much of a push explanations imply, in each task, beyond what they imply without it."""
    said = []
    pushed = beyond_training(rows)
    for task, part in pushed[pushed["place"] != 0].groupby("task", sort=False):
        slope, *ends = (style.signed(value, 2) for value in implied_share(part))
        said.append(f"{slope} ({' to '.join(ends)}) on {task}")
    return f"For each point that behaviour is pushed, explanations move by {', '.join(said)}"


def _caption(rows: pd.DataFrame) -> str:
    m0s, runs = rows["m0_seed"].nunique(), rows.groupby(["task", "place"]).size()
    return (
        f"Final step, shift beside explanation training; {style.number(m0s, 'M0')}, {style.span(runs)} "
        f"run(s) a point, {rows['items'].max()} test items a run. Bars: 95 %, "
        f"{style.interval_of(m0s, runs)}. Top: explanations follow wholly (dashed), or stay (dotted). Per "
        "point: slope through zero over the pushed runs, each less the unshifted run of its M0 and seed, "
        "with its interval. Excess gap: beyond what explanations of the same M0's runs without the shift, "
        "and with the opposite one where there is one, show on the same items. Flipped items: those whose "
        "label the shift changed, against the unshifted run of the same M0 and seed."
    )


def _shifts(axis: Axes, found: dict[float, pd.DataFrame], task: str) -> None:
    """Draw the shift of what explanations imply against the shift of behaviour, with both intervals."""
    for place, table in found.items():
        look = DIRECTIONS["down" if place < 0 else "up" if place > 0 else ""]
        x, y = table.loc["shift"], table.loc["said_shift"]
        axis.errorbar(
            x["mean"],
            y["mean"],
            [[max(y["mean"] - y["low"], 0)], [max(y["high"] - y["mean"], 0)]],
            [[max(x["mean"] - x["low"], 0)], [max(x["high"] - x["mean"], 0)]],
            fmt=look.mark,
            color=look.colour,
            elinewidth=0.8,
            label=look.label,
        )
    ends = [*axis.get_xlim(), *axis.get_ylim()]
    line = [min(ends), max(ends)]
    axis.plot(line, line, color="black", lw=0.7, ls="--")
    axis.axhline(0, color=MIDDLE, lw=0.7, ls=":")
    axis.set_xlabel(f"M_t less M0, {task_of(task).sensed}")


def _measures(axis: Axes, found: dict[float, pd.DataFrame], measures: dict[str, Look]) -> None:
    """Draw two measures side by side, by direction and weight of the shift."""
    for k, place in enumerate(sorted(found)):
        for aside, (measure, look) in zip((-0.14, 0.14), measures.items(), strict=True):
            marks.interval(axis, k + aside, tuple(found[place].loc[measure]), look)
    names = [
        f"{'up' if place > 0 else 'down'}\n{abs(place):g}" if place else "no\nshift"
        for place in sorted(found)
    ]
    axis.set_xticks(range(len(names)), names)
    axis.set_xlim(-0.6, len(names) - 0.4)
