"""Speed: the engine against the plain reference."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coupling.report.figures import style
from coupling.report.figures.style import COLOURS

WHAT = (
    "Engine over plain reference, measured side by side: throughput, share of the matrix-product "
    "peak, memory, workers"
)
TABLE = "bench"
MEASURES = {
    "train_throughput": "training, items/s",
    "eval_throughput": "evaluation, items/s",
    "gemm_share": "share of the\nmatrix-product peak",
    "peak_memory": "peak memory",
    "worker_scaling": "2 workers on 2 cores\nover 1 on 1",
}


def of_study(frame: pd.DataFrame) -> Figure:
    """Draw the figure of the table of the bench."""
    return draw(frame)


def draw(bench: pd.DataFrame) -> Figure:
    """Draw one panel a measure and one bar a model: engine over reference, with both values.

    Args:
        bench: The table of the bench, one row a measure and model.
    """
    measures = [measure for measure in MEASURES if measure in set(bench["measure"])]
    figure, axes = style.canvas(1, len(measures), (2.3 * len(measures), 3.0), squeeze=False)
    for axis, measure in zip(axes[0], measures, strict=True):
        _bars(axis, bench[bench["measure"] == measure].reset_index(drop=True))
        axis.set(title=MEASURES[measure])
    axes[0, 0].set(ylabel="engine ÷ plain reference")
    style.caption(
        figure,
        "Medians over alternating steps and batches of one run "
        f"({'; '.join(sorted(set(bench['unit'])))}); below each ratio: reference → engine. "
        "Peak memory: less is better.",
    )
    return figure


def _bars(axis: Axes, rows: pd.DataFrame) -> None:
    """Draw the ratio of each model as a bar, with the two values over it."""
    bars = axis.bar(rows.index, rows["ratio"], color=COLOURS["self"], width=0.6)
    texts = [
        f"{row['ratio']:.2f}×\n{row['reference']:.3g} → {row['engine']:.3g}" for _, row in rows.iterrows()
    ]
    axis.bar_label(bars, texts, fontsize=6, padding=2)
    axis.axhline(1, color="black", lw=0.8)
    axis.set_xticks(rows.index, rows["model"], rotation=30, ha="right", fontsize=7)
    axis.set(ylim=(0, 1.35 * max(1.0, rows["ratio"].max())), xlim=(-0.7, max(0.7, len(rows) - 0.3)))
