"""Speed: the engine against the plain reference and against the method's ancestor."""

import pandas as pd
from matplotlib.axes import Axes

from coupling.report.figures import marks, style
from coupling.report.figures.marks import BLUE, DARK, MIDDLE, VERMILION, Look

WHAT = (
    "Engine over plain reference and over the ancestor's way, measured side by side: throughput, share of "
    "the matrix-product peak, memory, workers"
)
TABLE = "bench"
MEASURES = {
    "train_throughput": "training",
    "eval_throughput": "evaluation",
    "gemm_share": "share of peak",
    "peak_memory": "peak memory",
    "worker_scaling": "two workers",
}
LOOKS = {
    "plain": Look(BLUE, "o", "÷ plain reference (peft and generate as they come)"),
    "ancestor": Look(VERMILION, "s", "÷ ancestor's way", filled=False),
    "one worker": Look(DARK, "D", "2 workers on 2 cores ÷ 1 on 1"),
}


def of_study(frame: pd.DataFrame) -> style.StudyFigure:
    """Draw the figure of the table of the bench."""
    return draw(frame)


def draw(bench: pd.DataFrame) -> style.StudyFigure:
    """Draw one panel a measure, a row for each model and machine, and a mark for each reference.

    Args:
        bench: The table of the bench, one row a machine, measure, model and reference.
    """
    # what the vectors of a CPU are called; or the GPU's name
    kinds = bench["machine"].str.split(", ").str[-1]
    bench = bench.assign(group=bench["model"] + "\n" + kinds)
    groups = style.in_order(bench["group"])
    measures = [measure for measure in MEASURES if measure in set(bench["measure"])]
    size = (style.PAGE, 0.6 + 0.3 * len(groups))
    figure, axes = style.canvas(1, len(measures), size, squeeze=False, sharey=True)
    for axis, measure in zip(axes[0], measures, strict=True):
        _ratios(axis, bench[bench["measure"] == measure], groups)
    axes[0, len(measures) // 2].set_xlabel("engine ÷ reference")
    style.panels(axes[0], [MEASURES[measure] for measure in measures], 80)
    units = "; ".join(sorted({unit.split(",")[0] for unit in bench["unit"]}))
    caption = (
        f"{'; '.join(style.in_order(bench['machine']))}. Medians over alternating steps and batches "
        f"({units}); beside each mark: the ratio. Share of peak: of what matrix products of 2048² reach. "
        "Peak memory: less is better."
    )
    return style.finish(figure, _title(bench), caption)


def _ratios(axis: Axes, rows: pd.DataFrame, groups: list[str]) -> None:
    """Draw the ratios of each group, one mark for each reference."""
    marks.null(axis, 1, lying=True)
    for group in style.in_order(rows["group"]):
        part = rows[rows["group"] == group]
        for aside, (_, row) in zip(style.spread(len(part), 0.22), part.iterrows(), strict=True):
            look, place = LOOKS[row["against"]], groups.index(group) + aside
            axis.plot([1, row["ratio"]], [place] * 2, color=MIDDLE, lw=0.8, zorder=1)
            face = look.colour if look.filled else "white"
            axis.plot(row["ratio"], place, look.mark, color=look.colour, mfc=face, label=look.label)
            right = row["ratio"] >= 1
            axis.annotate(
                f"{row['ratio']:.2f}×",
                (row["ratio"], place),
                xytext=(4 if right else -4, 0),
                textcoords="offset points",
                ha="left" if right else "right",
                va="center",
                size=style.SMALL,
            )
    marks.categories(axis, groups)
    most = max(1.2, rows["ratio"].max())
    axis.set_xlim(min(0.0, rows["ratio"].min() - 1), 1.55 * most)


def _title(bench: pd.DataFrame) -> str:
    """Say how much faster than the plain reference the engine is, over all models and machines."""
    plain = bench[bench["against"] == "plain"].groupby("measure")["ratio"].agg(["min", "max"])
    said = {"train_throughput": "trains", "eval_throughput": "evaluates"}
    found = [
        f"{verb} {style.between(plain.loc[measure, ['min', 'max']], '.1f')} times"
        for measure, verb in said.items()
        if measure in plain.index
    ]
    return f"The engine {' and '.join(found)} as fast as plain peft" if found else "The engine's speed"
