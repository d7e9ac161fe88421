"""Scaling: how the cost of a training step grows, of the engine and of the plain reference."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coupling.report.figures import style
from coupling.report.figures.style import COLOURS, MARKS

WHAT = (
    "Seconds an item of a training step, reference and engine, against items, prompt length, rank"
    " and model size"
)
TABLE = "bench_scaling"
PAIR = {  # path: the measure whose colour and mark it takes, and its label
    "reference": ("target", "plain reference"),
    "engine": ("self", "engine"),
}


def of_study(frame: pd.DataFrame) -> Figure:
    """Draw the figure of the bench's table of growing steps."""
    return draw(frame)


def draw(scaling: pd.DataFrame) -> Figure:
    """Draw seconds an item of both paths, one panel for each thing that grows, on two logarithmic scales.

    Args:
        scaling: The bench's table of growing steps, one row a machine and point. The machine that was
            measured last is drawn.
    """
    scaling = style.newest(scaling)
    names = style.in_order(scaling["axis"])
    figure, axes = style.canvas(1, len(names), (2.7 * len(names), 2.9), squeeze=False, sharey=False)
    for axis, name in zip(axes[0], names, strict=True):
        _curves(axis, scaling[scaling["axis"] == name].sort_values("value"))
        axis.set(xlabel=name)
    axes[0, 0].set(ylabel="seconds an item of a training step")
    axes[0, 0].legend(fontsize=7)
    style.caption(
        figure,
        f"{scaling['machine'].iloc[-1]}. Against the model's weights: medians over all steps of the "
        "throughputs, items of MMLU, of the made-up world for the smallest;\nelsewhere medians of two steps "
        "after one to warm up, items of MMLU.",
    )
    return figure


def _curves(axis: Axes, rows: pd.DataFrame) -> None:
    """Draw both paths against one thing that grows."""
    for path, (look, label) in PAIR.items():
        axis.plot(rows["value"], rows[path], color=COLOURS[look], marker=MARKS[look], ms=4, label=label)
    models = rows["model"].unique()
    axis.set(xscale="log", yscale="log", title=models[0] if len(models) == 1 else "several models")
    if len(models) == 1:
        axis.set_xticks(rows["value"], [f"{value:g}" for value in rows["value"]])
        axis.minorticks_off()
