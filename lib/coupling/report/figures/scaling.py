"""Scaling: how the cost of a training step grows, of the engine and of the plain reference."""

import pandas as pd
from matplotlib.axes import Axes

from coupling.report.figures import marks, style
from coupling.report.figures.marks import LOOKS

WHAT = (
    "Seconds an item of a training step, reference and engine, against items, prompt length, rank"
    " and model size"
)
TABLE = "bench_scaling"
PAIR = {  # path: how it looks
    "reference": LOOKS["target"]._replace(label="plain reference"),
    "engine": LOOKS["self"]._replace(label="engine"),
}


def of_study(frame: pd.DataFrame) -> style.StudyFigure:
    """Draw the figure of the bench's table of growing steps."""
    return draw(frame)


def draw(scaling: pd.DataFrame) -> style.StudyFigure:
    """Draw seconds an item of both paths, one panel for each thing that grows.

    What has a single value has rows in place of a curve.

    Args:
        scaling: The bench's table of growing steps, one row a machine and point. The machine that was
            measured last is drawn.
    """
    scaling = style.newest(scaling)
    names = style.in_order(scaling["axis"])
    width = style.COLUMN if len(names) < 3 else style.PAGE
    tall = 1.7 if scaling.groupby("axis")["value"].nunique().max() > 1 else 0.95
    figure, axes = style.canvas(1, len(names), (width, tall), squeeze=False)
    titles = []
    for axis, name in zip(axes[0], names, strict=True):
        rows = scaling[scaling["axis"] == name].sort_values("value")
        (_curves if len(rows) > 1 else _single)(axis, rows, name)
        titles.append(_models(rows))
    style.panels(axes[0], titles, 72 * width / len(names) - 30)
    caption = (
        f"{scaling['machine'].iloc[-1]}. Against the model's weights: medians over all steps of the "
        "throughputs, items of MMLU, of the made-up world for the smallest; elsewhere medians of two steps "
        "after one to warm up, items of MMLU."
    )
    return style.finish(figure, _found(scaling), caption)


def _found(scaling: pd.DataFrame) -> str:
    """Say how many times as fast the engine is, over all points."""
    times = style.between(scaling["reference"] / scaling["engine"], ".1f")
    return f"The engine trains {times} times as fast as the plain reference"


def _models(rows: pd.DataFrame) -> str:
    models = rows["model"].unique()
    return models[0] if len(models) == 1 else "several models"


def _single(axis: Axes, rows: pd.DataFrame, name: str) -> None:
    """Draw both paths at a single point, one row each."""
    for place, (path, look) in enumerate(PAIR.items()):
        axis.plot(
            rows[path], [place], look.mark, color=look.colour, mfc=look.colour if look.filled else "white"
        )
    marks.categories(axis, [look.label for look in PAIR.values()])
    axis.set_xlim(0, 1.1 * rows[list(PAIR)].max().max())
    axis.set_xlabel(f"seconds an item of a training step\n({name}: {rows['value'].iloc[0]:,.0f})")


def _curves(axis: Axes, rows: pd.DataFrame, name: str) -> None:
    """Draw both paths against one thing that grows; several models on two logarithmic scales."""
    for path, look in PAIR.items():
        face = look.colour if look.filled else "white"
        axis.plot(rows["value"], rows[path], color=look.colour, marker=look.mark, mfc=face, label=look.label)
    axis.set(xscale="log", xlabel=name, ylabel="seconds an item")
    if rows["model"].nunique() > 1:
        axis.set_yscale("log")
    else:
        axis.set_ylim(0, 1.1 * rows[list(PAIR)].max().max())
        axis.set_xticks(rows["value"], [f"{value:g}" for value in rows["value"]])
        axis.minorticks_off()
