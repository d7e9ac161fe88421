"""Re-teaching: do explanations state facts that were taught anew by behaviour alone, and only those?"""

import pandas as pd
from matplotlib.axes import Axes

from coupling.analysis import resampling, tracking
from coupling.analysis.tables import Tables
from coupling.report.figures import marks, style
from coupling.report.figures.marks import DARK, GREEN, LOOKS, MIDDLE, ORANGE, Look
from coupling.sweep import Sweep

WHAT = (
    "Explanations on entities with facts taught anew, by behaviour alone, against explanations of"
    " the same M0's runs without re-teaching"
)
TASK = "hint_qa"
LEARNT = 0.8  # share of re-taught items answered rightly from which on the facts count as learnt
HALVES = {"retaught": "re-taught entities", "untouched": "untouched entities"}
BEHAVIOUR = {
    "self": LOOKS["self"],
    "others_self": Look(MIDDLE, "D", "explanations without re-teaching", filled=False),
    "forced_self": Look(DARK, "v", "self, forced to a label"),
}
FACTS = {
    "retaught_right": Look(GREEN, "^", "new fact answered without the hint"),
    "retaught_states": Look(LOOKS["self"].colour, "P", "new fact stated in explanations"),
    "retaught_states_null": Look(ORANGE, "X", "new fact stated without re-teaching"),
}


def of_sweep(data: Tables, sweep: Sweep) -> style.StudyFigure:
    """Draw the figure of a sweep that teaches facts anew."""
    return draw(data.items)


def draw(items: pd.DataFrame) -> style.StudyFigure:
    """Draw faithfulness on re-taught and untouched entities, and whether the new facts are stated.

    The right panel takes only items that have the new fact among their choices.

    Args:
        items: The rows of the sweep's final step.
    """
    rows = tracking.measured(items[items["task"] == TASK])
    rows = rows[rows["objective"] == "reteach"]
    figure, (left, right) = style.canvas(1, 2, (style.PAGE, 2.3), width_ratios=[5, 4])
    _behaviour(left, rows)
    facts = _facts(right, rows)
    style.panels(
        (left, right), ("explanations against current behaviour", "the new fact, among the choices"), 180
    )
    caption = (
        f"{TASK}, final step; {style.number(rows['m0_seed'].nunique(), 'M0')}, one run of each a condition, "
        f"{rows['id'].nunique()} test items a run, half of their entities re-taught. Bars: 95 %, t "
        "over M0s. Dotted: the facts count as learnt. Which entities and which "
        "facts is drawn anew in each run; no tested prompt was taught."
    )
    return style.finish(figure, facts, caption)


def _behaviour(axis: Axes, rows: pd.DataFrame) -> None:
    """Draw explanations against current behaviour, on each half of the entities."""
    names, parts = [], []
    for condition in style.in_order(rows["condition"]):
        for half, called in HALVES.items():
            part = rows[(rows["condition"] == condition) & rows[f"{half}_self"].notna()]
            # Only a run without explanation training is shown with its explanations forced to a label.
            forced = part["forced_self"].where(~part["explained"].astype(bool))
            parts.append(part.assign(forced_self=forced))
            names.append(f"{condition},\n{called}")
    _rows(axis, parts, BEHAVIOUR, names)
    axis.set_xlabel(marks.SHARE)


def _facts(axis: Axes, rows: pd.DataFrame) -> str:
    """Draw how often the new facts are answered and stated; return what was found, in a sentence."""
    conditions = style.in_order(rows["condition"])
    parts = [rows[rows["condition"] == condition] for condition in conditions]
    _rows(axis, parts, FACTS, [style.fitted(name, 60) for name in conditions])
    axis.axvline(LEARNT, color="black", lw=0.7, ls=":")
    axis.set_xlabel("share of re-taught items")
    explained = [part for part in parts if part["explained"].all()]
    said = [part["retaught_states"].mean() for part in explained]
    null = [part["retaught_states_null"].mean() for part in explained]
    return (
        f"Explanations state new facts that behaviour alone was taught on {style.between(said)} of the "
        f"items, and without re-teaching on {style.between(null)}"
    )


def _rows(axis: Axes, parts: list[pd.DataFrame], measures: dict[str, Look], names: list[str]) -> None:
    """Draw the means of some measures with their intervals, one row a part."""
    found = [resampling.intervals(part, list(measures)) for part in parts]
    series = [
        (look, [tuple(table.loc[measure, ["mean", "low", "high"]]) for table in found])
        for measure, look in measures.items()
    ]
    marks.rows(axis, series, names)
    axis.set_xlim(-0.03, 1.04)
