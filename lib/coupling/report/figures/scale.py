"""Scale: preference, gap and excess gap against the size of the model."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coupling.report.figures import style
from coupling.report.figures.style import COLOURS, DIFFERENCE, LABELS
from coupling.sweep import Scale, read_sweep, sweep_names

WHAT = (
    "Preference, gap and excess gap with the KL term against model size, from a million weights upwards, "
    "labels by letter and by content"
)
TABLE = "scale"
TASKS = {"hint_qa": "o", "aita": "s", "refusal": "^", "mmlu": "D"}
OTHER = "P"  # the mark of any other task


def shown() -> dict[str, Scale]:
    """Return how each sweep appears in the figure, for the sweeps whose YAML files say so."""
    found = {name: read_sweep(name).scale for name in sweep_names()}
    return {name: scale for name, scale in found.items() if scale}


def rests_on(sweep: str) -> bool:
    """Return whether the runs of a sweep are behind the figure."""
    return read_sweep(sweep).scale is not None


def of_study(frame: pd.DataFrame) -> Figure:
    """Draw the figure with the sweeps whose YAML files put them there."""
    return draw(frame, shown())


def draw(scale: pd.DataFrame, sweeps: Mapping[str, Scale]) -> Figure:
    """Draw preference, gap and excess gap, one mark for each model, task and sweep, with 95 % intervals.

    Args:
        scale: Rows of `coupling.analysis.tables.scale`. Of each sweep, one condition is shown.
        sweeps: By name of the sweep, how it appears.
    """
    chosen = scale["condition"] == scale["sweep"].map({name: of.condition for name, of in sweeps.items()})
    rows = scale[chosen].reset_index(drop=True)
    rows["name"] = rows["task"] + rows["sweep"].map({name: of.called for name, of in sweeps.items()})
    rows["open"] = rows["sweep"].map({name: of.open for name, of in sweeps.items()})
    figure, axes = style.canvas(1, 3, (11.4, 3.6))
    for axis, measure in zip(axes, ("preference", "gap", "excess"), strict=True):
        _panel(axis, rows, measure)
    style.legend(axes[1], 7)  # its upper left is empty
    behind = "; ".join(
        f"{row['model']}, {row['name']}: {row['seeds']} M0(s), {row['runs']} runs, {row['items']} items"
        for _, row in rows.iterrows()
    )
    style.caption(
        figure,
        "Final step, KL on; by content at a higher learning rate where the model is the real one. Marks of "
        "one model stand side by side. Bars: 95 % two-way bootstrap over M0 seeds (of one M0: explainer "
        f"seeds) and groups, of preference t over these seeds. {behind}.",
    )
    return figure


def _panel(axis: Axes, rows: pd.DataFrame, measure: str) -> None:
    """Draw one measure against the number of weights. Marks of one model stand side by side."""
    for _, same in rows.groupby("parameters"):
        for aside, (_, row) in zip(style.spread(len(same), 0.35), same.iterrows(), strict=True):
            if np.isfinite(row[measure]):
                style.interval(
                    axis,
                    row["parameters"] * 10**aside,
                    row[measure],
                    row[f"{measure}_low"],
                    row[f"{measure}_high"],
                    COLOURS[measure],
                    TASKS.get(row["task"], OTHER),
                    row["name"],
                    not row["open"],
                )
    if measure == "preference":
        style.one_half(axis)
    else:
        style.zero(axis)
    what = "share of decided explanations" if measure == "preference" else DIFFERENCE
    axis.set(xscale="log", xlabel="weights of the model", ylabel=what, title=LABELS[measure])
    axis.set_xlim(rows["parameters"].min() / 6, rows["parameters"].max() * 6)
    axis.margins(y=0.15)
