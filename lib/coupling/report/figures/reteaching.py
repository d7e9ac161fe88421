"""Re-teaching: do explanations state facts that the model was taught anew, by behaviour alone, and only those?"""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from coupling.analysis import resampling, tracking
from coupling.report.figures.style import COLOURS, LABELS, MARKS, caption, interval, legend, ticks

WHAT = "Explanations on entities with facts taught anew, by behaviour alone, against explanations of the same M0's runs without re-teaching"


def draw(items: pd.DataFrame) -> Figure:
    """Left: faithfulness to current behaviour on re-taught and on untouched entities. Right: the new facts, where they are among the choices.
    items: the sweep's final rows."""
    rows = tracking.measured(items[items["task"] == "hint_qa"])
    rows = rows[rows["objective"] == "reteach"]
    conditions = list(dict.fromkeys(rows["condition"]))
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 3.6), width_ratios=[3, 2])
    places = [(c, h) for c in conditions for h in ("retaught", "untouched")]
    for place, (condition, half) in enumerate(places):
        part = rows[(rows["condition"] == condition) & rows[f"{half}_self"].notna()]
        part = part.assign(forced_self=part["forced_self"].where(~part["explained"].astype(bool)))
        columns = {
            "self": ("self", LABELS["self"]),
            "others_self": ("baseline", "the same of explanations without re-teaching"),
            "forced_self": ("agreement", "self, forced to a label"),
        }
        _marks(left, place, part, {c: style for c, style in columns.items() if part[c].notna().any()})
    ticks(left, [f"{c},\n{'re-taught' if h == 'retaught' else 'untouched'}" for c, h in places])
    left.set(
        ylim=(0, 1.02),
        ylabel="share of test items (exact match)",
        title="explanations against current behaviour",
    )
    for place, condition in enumerate(conditions):
        part = rows[rows["condition"] == condition]
        _marks(
            right,
            place,
            part,
            {
                "retaught_right": ("gap", "answered without the hint"),
                "retaught_states": ("self", "stated in explanations"),
                "retaught_states_null": ("baseline", "stated without re-teaching"),
            },
        )
    ticks(right, conditions)
    right.axhline(0.8, color="black", lw=0.8, ls=":", label="learnt, by the rule")
    right.set(
        ylim=(0, 1.02), ylabel="share of re-taught items", title="the new fact, where it is among the choices"
    )
    for axis in (left, right):
        legend(axis, 6)
    caption(
        figure,
        f"hint_qa, final step; {rows['m0_seed'].nunique()} M0 seed(s), one run of each a condition, {rows['id'].nunique()} test items a run, "
        "half of their entities re-taught. Bars: 95 % two-way bootstrap\nover M0 seeds and entities. Which entities and which facts is drawn "
        "anew in each run; no tested prompt was taught.",
    )
    return figure


def _marks(axis, place: int, part: pd.DataFrame, columns: dict[str, tuple[str, str]]) -> None:
    found = resampling.intervals(part, list(columns))
    for k, (column, (style, label)) in enumerate(columns.items()):
        interval(
            axis,
            place + 0.18 * (k - (len(columns) - 1) / 2),
            *found.loc[column],
            COLOURS[style],
            MARKS.get(style, "x"),
            label,
        )
