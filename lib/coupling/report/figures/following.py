"""Following: do explanations follow a push of half of the kinds, told from a changed prior, arm by arm?"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from coupling.analysis import following, resampling
from coupling.analysis.tables import Tables
from coupling.report.figures import marks, style
from coupling.report.figures.marks import BLUE, DARK, GREEN, MIDDLE, ORANGE, PURPLE, SKY, VERMILION, Look
from coupling.sweep import Sweep
from coupling.tasks import task_of

WHAT = "Implied against measured shifts, and following of a push beyond a changed prior, by arm"
ARMS = {
    "labels on all kinds": Look(VERMILION, "s", "labels on all kinds"),
    "labels on half, KL on all": Look(ORANGE, "D", "labels on half, KL on all"),
    "labels and KL on half": Look(BLUE, "o", "labels and KL on half"),
    "explanations first": Look(GREEN, "^", "explanations first, then frozen"),
    "KL to the shift alone": Look(PURPLE, "X", "labels on all, KL to the shift alone"),
    "policy of half of the entities": Look(DARK, "v", "policy of half of the entities"),
}
BANDS = {  # positive controls, where explanations certainly can follow
    "labels made anew": (SKY, "labels made anew (band)"),
    "facts of half of the entities": (MIDDLE, "facts of half of the entities (band)"),
}


def of_sweep(data: Tables, sweep: Sweep) -> style.StudyFigure:
    """Draw the figure of a sweep whose pushes act on half of the kinds."""
    return draw(data.shift)


def draw(shift: pd.DataFrame) -> style.StudyFigure:
    """Draw two panels a task: implied against measured shifts, and following by arm with bands of the scale.

    Args:
        shift: The table shift of the sweep, one row a run and region.
    """
    found = following.by_arm(shift)
    tasks = style.in_order(found["task"])
    pushed = following.asked(shift)
    pushed = pushed[(pushed["direction"] != "") & pushed["arm"].isin(ARMS)]
    size = (style.PAGE, 4.6)
    figure, axes = style.canvas(2, len(tasks), size, squeeze=False, height_ratios=[5, 4])
    for (above, below), task in zip(axes.T, tasks, strict=True):
        _shifts(above, pushed[pushed["task"] == task], task)
        _following(below, found[found["task"] == task], names=below is axes[1, 0])
    axes[0, 0].set_ylabel("shift that explanations imply")
    titles = ("measured and implied shift", "following")
    style.panels(axes.flat, [f"{task}: {title}" for title in titles for task in tasks], 150)
    return style.finish(figure, _found(found), _caption(shift))


def _shifts(axis: Axes, rows: pd.DataFrame, task: str) -> None:
    """Draw implied against measured shifts, a point an arm, direction and half: filled where it is pushed."""
    for (arm, _, on), part in rows.groupby(["arm", "direction", "pushed"], sort=False):
        look, by_m0 = ARMS[arm], part.groupby("m0_seed")[["shift", "said_shift"]].mean()
        x, y = (_ends(by_m0[name]) for name in ("shift", "said_shift"))
        reach = [np.nan_to_num([[mean - low], [high - mean]]) for mean, low, high in (x, y)]
        axis.errorbar(
            x[0],
            y[0],
            reach[1],
            reach[0],
            fmt=look.mark,
            color=look.colour,
            markerfacecolor=look.colour if on else "white",
            elinewidth=0.6,
            label=look.label if on else None,
        )
    ends = [*axis.get_xlim(), *axis.get_ylim()]
    line = [min(ends), max(ends)]
    axis.plot(line, line, color="black", lw=0.7, ls="--")
    axis.axhline(0, color=MIDDLE, lw=0.7, ls=":")
    axis.set_xlabel(f"M_t less M0, {task_of(task).sensed}")


def _following(axis: Axes, found: pd.DataFrame, names: bool) -> None:
    """Draw following of each arm with its interval over M0s, and the positive controls as bands."""
    for arm, (colour, label) in BANDS.items():
        mean, low, high = _ends(found.loc[found["arm"] == arm, "following"])
        if np.isfinite(low):
            axis.axvspan(low, high, color=colour, alpha=0.2, lw=0, zorder=0)
        if np.isfinite(mean):
            axis.axvline(mean, color=colour, lw=1.0, label=label, zorder=0)
    for place, (arm, look) in enumerate(ARMS.items()):
        marks.interval(axis, place, _ends(found.loc[found["arm"] == arm, "following"]), look, lying=True)
    marks.categories(axis, [style.fitted(look.label, 95) if names else "" for look in ARMS.values()])
    marks.null(axis, lying=True)
    axis.set_xlabel(marks.DIFFERENCE)


def _ends(values: pd.Series) -> marks.Ends:
    """The mean of M0s with its t interval; all NaN without an M0."""
    values = values.dropna()
    low, high, _ = resampling.t_interval(values)
    return (values.mean() if len(values) else float("nan")), low, high


def _found(found: pd.DataFrame) -> str:
    """Say in how many arms and tasks following lies above zero."""
    arms = found[found["arm"].isin(ARMS)]
    lows = [_ends(part["following"])[1] for _, part in arms.groupby(["task", "arm"], sort=False)]
    above = sum(low > 0 for low in lows)
    return f"Explanations follow a push, beyond a changed prior, {style.counted(above, len(lows), 'arm')}"


def _caption(shift: pd.DataFrame) -> str:
    items = shift.groupby(["task", "condition", "m0_seed", "seed"])["items"].sum()
    explainers = shift.groupby(["task", "condition"])["seed"].nunique()
    return (
        f"Final step; {style.number(shift['m0_seed'].nunique(), 'M0')}, {style.span(explainers)} explainers "
        f"of each, {style.span(items)} test items a run. Bars and bands: 95 % t interval over M0s. The push "
        "acts on a random half of the kinds; shown are kinds without labels, or all where all have labels. "
        "Top: filled where the push acts, hollow on the other kinds; explanations follow wholly (dashed) or "
        "stay (dotted). Bottom: how often explanations say what the push asks for, beyond those of the "
        "unshifted run: on taken items, where behaviour did as pushed, less on spared items, where it did "
        "not, of pushed and of other kinds. Arms are counted task by task."
    )
