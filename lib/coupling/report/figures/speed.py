"""Speed: the engine against the plain reference and against the method's ancestor."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from coupling.report.figures import style
from coupling.report.figures.style import COLOURS

WHAT = (
    "Engine over plain reference and over the ancestor's way, measured side by side: throughput, share of "
    "the matrix-product peak, memory, workers"
)
TABLE = "bench"
MEASURES = {
    "train_throughput": "training, items/s",
    "eval_throughput": "evaluation, items/s",
    "gemm_share": "share of the\nmatrix-product peak",
    "peak_memory": "peak memory",
    "worker_scaling": "2 workers on 2 cores\nover 1 on 1",
}


LOOKS = {"plain": "self", "ancestor": "self_base", "one worker": "agreement"}  # reference: colour
NAMES = {"plain": "÷ plain reference", "ancestor": "÷ ancestor's way"}
WIDTH = 0.8  # of the bars of a model together


def of_study(frame: pd.DataFrame) -> Figure:
    """Draw the figure of the table of the bench."""
    return draw(frame)


def draw(bench: pd.DataFrame) -> Figure:
    """Draw one panel a measure and one bar a model, machine and reference: engine over reference.

    Args:
        bench: The table of the bench, one row a machine, measure, model and reference.
    """
    kinds = (
        bench["machine"].str.split(", ").str[-1]
    )  # what the vectors of a CPU are called; or the GPU's name
    bench = bench.assign(group=bench["model"] + "\n" + kinds)
    measures = [measure for measure in MEASURES if measure in set(bench["measure"])]
    figure, axes = style.canvas(1, len(measures), (2.3 * len(measures), 3.0), squeeze=False)
    for axis, measure in zip(axes[0], measures, strict=True):
        _bars(axis, bench[bench["measure"] == measure])
        axis.set(title=MEASURES[measure])
    axes[0, 0].set(ylabel="engine ÷ reference")
    figure.suptitle(_title(bench), fontsize=9)
    shown = [name for name in NAMES if name in set(bench["against"])]
    if len(shown) > 1:
        marks = [Patch(color=COLOURS[LOOKS[name]], label=NAMES[name]) for name in shown]
        axes[0, 0].legend(handles=marks, fontsize=6, loc="upper left")
        axes[0, 0].set(ylim=(0, 1.3 * axes[0, 0].get_ylim()[1]))  # room for the legend
    style.caption(
        figure,
        f"{'; '.join(style.in_order(bench['machine']))}. Medians over alternating steps and batches "
        f"({'; '.join(sorted(set(bench['unit'])))}); above each bar: the ratio. "
        "Peak memory: less is better.",
    )
    return figure


def _bars(axis: Axes, rows: pd.DataFrame) -> None:
    """Draw the ratios of each group as bars, one for each reference."""
    groups, references = style.in_order(rows["group"]), style.in_order(rows["against"])
    width = WIDTH / len(references)
    for k, name in enumerate(references):
        some = rows[rows["against"] == name]
        places = some["group"].map(groups.index) + (k - (len(references) - 1) / 2) * width
        bars = axis.bar(places, some["ratio"], color=COLOURS[LOOKS[name]], width=0.9 * width)
        texts = [f"{row['ratio']:.2f}×" for _, row in some.iterrows()]
        axis.bar_label(bars, texts, fontsize=6, padding=2)
    axis.axhline(1, color="black", lw=0.8)
    axis.set_xticks(range(len(groups)), groups, rotation=45, ha="right", fontsize=6)
    axis.set(ylim=(0, 1.35 * max(1.0, rows["ratio"].max())), xlim=(-0.7, max(0.7, len(groups) - 0.3)))


def _title(bench: pd.DataFrame) -> str:
    """Say how much faster than the plain reference the engine is, over all models and machines."""
    plain = bench[bench["against"] == "plain"].groupby("measure")["ratio"].agg(["min", "max"])
    said = {"train_throughput": "trains", "eval_throughput": "evaluates"}
    found = [
        f"{verb} {plain.loc[measure, 'min']:.1f} to {plain.loc[measure, 'max']:.1f} times"
        for measure, verb in said.items()
        if measure in plain.index
    ]
    return f"The engine {' and '.join(found)} as fast as plain peft" if found else "The engine's speed"
