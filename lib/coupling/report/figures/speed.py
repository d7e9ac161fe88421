"""Speed: the engine against the plain reference, and how the cost of a training step grows."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from coupling.report.figures.style import COLOURS, MARKS, caption

WHAT = "Engine over plain reference, measured side by side: throughput, share of the matrix-product peak, memory, workers"
WHAT_SCALING = "Seconds an item of a training step, reference and engine, against items, prompt length, rank and model size"
MEASURES = {
    "train_throughput": "training, items/s",
    "eval_throughput": "evaluation, items/s",
    "gemm_share": "share of the\nmatrix-product peak",
    "peak_memory": "peak memory",
    "worker_scaling": "2 workers on 2 cores\nover 1 on 1",
}
PAIR = {
    "reference": ("target", "plain reference"),
    "engine": ("self", "engine"),
}  # whose colour and mark each takes


def draw(bench: pd.DataFrame) -> Figure:
    """One panel a measure, one bar a model: engine over reference, with both values."""
    measures = [m for m in MEASURES if m in set(bench["measure"])]
    figure, axes = plt.subplots(1, len(measures), figsize=(2.3 * len(measures), 3.0), squeeze=False)
    for axis, measure in zip(axes[0], measures, strict=True):
        rows = bench[bench["measure"] == measure].reset_index(drop=True)
        bars = axis.bar(rows.index, rows["ratio"], color=COLOURS["self"], width=0.6)
        texts = [f"{r['ratio']:.2f}×\n{r['reference']:.3g} → {r['engine']:.3g}" for _, r in rows.iterrows()]
        axis.bar_label(bars, texts, fontsize=6, padding=2)
        axis.axhline(1, color="black", lw=0.8)
        axis.set_xticks(rows.index, rows["model"], rotation=30, ha="right", fontsize=7)
        axis.set(
            title=MEASURES[measure],
            ylim=(0, 1.35 * max(1.0, rows["ratio"].max())),
            xlim=(-0.7, max(0.7, len(rows) - 0.3)),
        )
    axes[0, 0].set(ylabel="engine ÷ plain reference")
    caption(
        figure,
        f"Medians over alternating steps and batches of one run ({'; '.join(sorted(set(bench['unit'])))}); below each ratio: reference → engine. "
        "Peak memory: less is better.",
    )
    return figure


def draw_scaling(scaling: pd.DataFrame) -> Figure:
    """One panel an axis: seconds an item of both paths, on two logarithmic scales."""
    names = list(dict.fromkeys(scaling["axis"]))
    figure, axes = plt.subplots(1, len(names), figsize=(2.7 * len(names), 2.9), squeeze=False, sharey=False)
    for axis, name in zip(axes[0], names, strict=True):
        rows = scaling[scaling["axis"] == name].sort_values("value")
        for which, (style, label) in PAIR.items():
            axis.plot(
                rows["value"], rows[which], color=COLOURS[style], marker=MARKS[style], ms=4, label=label
            )
        axis.set(
            xscale="log",
            yscale="log",
            xlabel=name,
            title=rows["model"].iloc[0] if rows["model"].nunique() == 1 else "three models",
        )
        if rows["model"].nunique() == 1:
            axis.set_xticks(rows["value"], [f"{v:g}" for v in rows["value"]])
            axis.minorticks_off()
    axes[0, 0].set(ylabel="seconds an item of a training step")
    axes[0, 0].legend(fontsize=7)
    caption(
        figure,
        "One machine, one run. Against the model's weights: medians over all steps of the throughputs, items of MMLU, of the made-up world "
        "for the smallest;\nelsewhere medians of two steps after one to warm up, items of MMLU.",
    )
    return figure
