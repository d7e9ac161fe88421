"""Re-teaching: do explanations state facts that were taught anew by behaviour alone, and only those?"""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coupling.analysis import resampling, tracking
from coupling.analysis.tables import Tables
from coupling.report.figures import style
from coupling.report.figures.style import COLOURS, LABELS, MARKS
from coupling.sweep import Sweep

WHAT = (
    "Explanations on entities with facts taught anew, by behaviour alone, against explanations of"
    " the same M0's runs without re-teaching"
)
TASK = "hint_qa"
LEARNT = 0.8  # share of re-taught items answered rightly from which on the facts count as learnt
HALVES = {"retaught": "re-taught", "untouched": "untouched"}
# What is drawn in each panel: measure to the name of its colour and mark, and its label.
BEHAVIOUR = {
    "self": ("self", LABELS["self"]),
    "others_self": ("baseline", "the same of explanations without re-teaching"),
    "forced_self": ("agreement", "self, forced to a label"),
}
FACTS = {
    "retaught_right": ("gap", "answered without the hint"),
    "retaught_states": ("self", "stated in explanations"),
    "retaught_states_null": ("baseline", "stated without re-teaching"),
}


def of_sweep(data: Tables, sweep: Sweep) -> Figure:
    """Draw the figure of a sweep that teaches facts anew."""
    return draw(data.items)


def draw(items: pd.DataFrame) -> Figure:
    """Draw faithfulness on re-taught and untouched entities, and whether the new facts are stated.

    The right panel takes only items that have the new fact among their choices.

    Args:
        items: The rows of the sweep's final step.
    """
    rows = tracking.measured(items[items["task"] == TASK])
    rows = rows[rows["objective"] == "reteach"]
    figure, (left, right) = style.canvas(1, 2, (9.4, 3.6), width_ratios=[3, 2])
    _behaviour(left, rows)
    _facts(right, rows)
    for axis in (left, right):
        style.legend(axis, 6)
    style.caption(
        figure,
        f"{TASK}, final step; {rows['m0_seed'].nunique()} M0 seed(s), one run of each a condition, "
        f"{rows['id'].nunique()} test items a run, half of their entities re-taught. Bars: 95 % two-way "
        "bootstrap\nover M0 seeds and entities. Which entities and which facts is drawn anew in each run; no "
        "tested prompt was taught.",
    )
    return figure


def _behaviour(axis: Axes, rows: pd.DataFrame) -> None:
    """Draw explanations against current behaviour, on each half of the entities."""
    places = [(condition, half) for condition in style.in_order(rows["condition"]) for half in HALVES]
    for place, (condition, half) in enumerate(places):
        part = rows[(rows["condition"] == condition) & rows[f"{half}_self"].notna()]
        # Only a run without explanation training is shown with its explanations forced to a label.
        part = part.assign(forced_self=part["forced_self"].where(~part["explained"].astype(bool)))
        known = {measure: look for measure, look in BEHAVIOUR.items() if part[measure].notna().any()}
        _marks(axis, place, part, known)
    style.ticks(axis, [f"{condition},\n{HALVES[half]}" for condition, half in places])
    axis.set(
        ylim=(0, 1.02),
        ylabel="share of test items (exact match)",
        title="explanations against current behaviour",
    )


def _facts(axis: Axes, rows: pd.DataFrame) -> None:
    """Draw how often the new facts are answered, and how often explanations state them."""
    conditions = style.in_order(rows["condition"])
    for place, condition in enumerate(conditions):
        _marks(axis, place, rows[rows["condition"] == condition], FACTS)
    style.ticks(axis, conditions)
    axis.axhline(LEARNT, color="black", lw=0.8, ls=":", label="learnt, by the rule")
    axis.set(
        ylim=(0, 1.02),
        ylabel="share of re-taught items",
        title="the new fact, where it is among the choices",
    )


def _marks(axis: Axes, place: int, part: pd.DataFrame, measures: dict[str, tuple[str, str]]) -> None:
    """Draw the means of some measures with their intervals, side by side."""
    found = resampling.intervals(part, list(measures))
    for k, (measure, (look, label)) in enumerate(measures.items()):
        x = place + 0.18 * (k - (len(measures) - 1) / 2)
        style.interval(axis, x, *found.loc[measure], COLOURS[look], MARKS.get(look, "x"), label)
