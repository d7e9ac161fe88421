"""Interventions: what ablation, steering and surgery on the adapter do to behaviour and explanation."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from coupling.analysis import interventions
from coupling.analysis.tables import Tables
from coupling.report.figures import marks, style
from coupling.report.figures.marks import LOOKS, SHARE, Look
from coupling.sweep import Sweep

WHAT = "What ablation, steering and surgery on the adapter do to behaviour, explanation, self and preference"
SHARES = {
    "behaviour_kept": Look(marks.ORANGE, "v", "behaviour is what it was"),
    "explanation_kept": Look(marks.GREEN, "D", "explanation is what it was", filled=False),
    "self": LOOKS["self"]._replace(label="explanation states the behaviour of now (self)"),
    "preference": LOOKS["preference"]._replace(label="preference for own behaviour, of before", filled=False),
}
RISES = {
    "rise_cf": Look(marks.ORANGE, "^", "behaviour without the cue: rise of another choice"),
    "rise_answer": Look(marks.GREEN, "s", "stated answer: rise of another choice", filled=False),
}
STEERED = "steered"  # how interventions begin that steer
ROW = 0.24  # inches


def of_sweep(data: Tables, sweep: Sweep) -> style.StudyFigure:
    """Draw the figure of a sweep with patched items."""
    return draw(data.interventions)


def draw(found: pd.DataFrame) -> style.StudyFigure:
    """Draw a column a task for the first condition: shares by intervention, and below them steering.

    Args:
        found: Rows of `interventions.by_m0`.
    """
    rows = interventions.summary(found)
    condition = rows["condition"].iloc[0]
    rows = rows[rows["condition"] == condition]
    steered = rows["intervention"].str.startswith(STEERED)
    tasks = style.in_order(rows["task"])
    heights = [part["intervention"].nunique() for part in (rows[~steered], rows[steered])]
    size = (style.PAGE, ROW * sum(heights) + 1.0)
    figure, axes = style.canvas(
        2,
        len(tasks),
        size,
        squeeze=False,
        sharey="row",
        sharex="row",
        height_ratios=[max(1, h) for h in heights],
    )
    for k, task in enumerate(tasks):
        mine = rows["task"] == task
        _panel(axes[0, k], rows[mine & ~steered], SHARES)
        _panel(axes[1, k], rows[mine & steered], RISES)
        marks.null(axes[1, k], lying=True)
        axes[0, k].set(xlim=(-0.03, 1.03), xlabel=SHARE)
        axes[1, k].set_xlabel("rise of log-odds")
    room = 380 / len(tasks)
    style.panels(axes[0], tasks, room)
    style.panels(axes[1], [f"{task}: towards another choice" for task in tasks], room, len(tasks))
    return style.finish(figure, _found(rows), _caption(rows, condition))


def _panel(axis: Axes, rows: pd.DataFrame, looks: dict[str, Look]) -> None:
    series = [
        (look, [marks.ends(row, measure) for _, row in rows.iterrows()]) for measure, look in looks.items()
    ]
    marks.rows(axis, series, _names(rows["intervention"]))


def _names(found: Sequence[str]) -> list[str]:
    return [style.fitted(name, 95) for name in found]


def _found(rows: pd.DataFrame) -> str:
    """Say how often explanations outlive the ablation of the sites of behaviour, and of random sites."""
    kept = rows.set_index(["task", "intervention"])["explanation_kept"]
    each = []
    for task in style.in_order(rows["task"]):
        most, drawn = (
            kept.get((task, f"ablated, {name}"), np.nan) for name in ("most for behaviour", "at random")
        )
        each.append(f"{most:.2f} on {task} ({drawn:.2f})")
    return (
        "Share of explanations that stay what they were without the sites that matter most for behaviour, "
        f"and without random sites: {', '.join(each)}"
    )


def _caption(rows: pd.DataFrame, condition: str) -> str:
    return (
        f"{condition}; {style.number(rows['m0s'].max(), 'M0')}; explanations as a forced choice, on every "
        "second item; sites and directions were chosen on the other items. Ablated: attention and MLP have "
        "their mean over other items at some tokens. Steered: the direction that tells items with one choice "
        "from the others is added before behaviour and explanation part; the random one is as long as in "
        "steered by 2. The other rows change the adapter. Bars: 95 %, t over M0s."
    )
