"""How every figure looks: labels, colours and marks in one place, and the two files that each is saved as."""

import textwrap
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

mpl.use("Agg", force=False)

# Okabe and Ito's palette: told apart by colour-blind readers, and by lightness in grey print
COLOURS = {
    "self": "#0072B2",
    "target": "#D55E00",
    "excess": "#009E73",
    "gap": "#666666",
    "agreement": "#999999",
    "baseline": "#CC79A7",
    "self_base": "#56B4E9",
}
MARKS = {"self": "o", "target": "s", "excess": "D", "gap": "^", "agreement": "v", "self_base": "P"}
LABELS = {
    "self": "self-faithfulness",
    "target": "target-faithfulness",
    "gap": "gap (self − target)",
    "excess": "excess gap",
    "agreement": "agreement of L(S) and L(M_t)",
    "self_base": "self − base",
}


def apply() -> None:
    """Set the study's style for all figures that follow."""
    sns.set_theme(context="paper", style="ticks", font_scale=1.0)
    mpl.rcParams.update(
        {
            "figure.dpi": 120,
            "savefig.dpi": 200,
            "font.size": 9,
            "axes.titlesize": 9,
            "legend.frameon": False,
            "pdf.fonttype": 42,
            "svg.hashsalt": "coupling",
            "figure.constrained_layout.use": True,
        }
    )


def save(figure: Figure, path: Path) -> list[Path]:
    """Write `path`.png and `path`.pdf without dates, so that the same data gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    png, pdf = path.with_suffix(".png"), path.with_suffix(".pdf")
    figure.savefig(png, metadata={"Software": None})
    figure.savefig(pdf, metadata={"CreationDate": None, "Producer": None, "Creator": None})
    return [png, pdf]


def caption(figure: Figure, text: str) -> None:
    """What is plotted, over how many seeds and items, below the axes."""
    figure.supxlabel(text, fontsize=7, x=0.01, ha="left", wrap=True)


def interval(
    axis,
    x: float,
    mean: float,
    low: float,
    high: float,
    colour: str,
    mark: str,
    label: str,
    filled: bool = True,
) -> None:
    """A mean with its interval."""
    bars = [[max(mean - low, 0)], [max(high - mean, 0)]]
    axis.errorbar(
        x,
        mean,
        bars,
        fmt=mark,
        color=colour,
        markerfacecolor=colour if filled else "white",
        capsize=3,
        label=label,
    )


def legend(axis, size: int) -> None:
    """A legend that names each label once."""
    handles = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    axis.legend(handles.values(), handles.keys(), fontsize=size)


def ticks(axis, names) -> None:
    """One place on the x axis for each name, long ones on several lines."""
    axis.set_xticks(
        range(len(names)),
        ["\n".join(line for part in n.split("\n") for line in textwrap.wrap(part, 14)) for n in names],
        fontsize=7,
    )
    axis.set_xlim(-0.6, len(names) - 0.4)


def seeds_of(m0_seeds: int) -> str:
    """What the seeds are called that intervals are over: those of M0, or of a single M0's explainers."""
    return "M0 seeds" if m0_seeds > 1 else "explainer seeds of one M0"


def span(counts: pd.Series) -> str:
    """How many, where it may differ: one number, or from the least to the most."""
    return str(counts.max()) if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
