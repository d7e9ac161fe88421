"""How every figure looks: its canvas, colours, marks and labels, and the two files that it is saved as.

Figures are made by `canvas` and never by pyplot. Importing this module therefore chooses no backend and
changes no setting of matplotlib, neither in a script nor in a notebook.
"""

import io
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coupling import files

# The palette of Okabe and Ito. Colour-blind readers can tell its colours apart, and so can a grey print.
COLOURS = {
    "self": "#0072B2",
    "target": "#D55E00",
    "excess": "#009E73",
    "gap": "#666666",
    "agreement": "#999999",
    "baseline": "#CC79A7",
    "self_base": "#56B4E9",
    "preference": "#E69F00",
    "flipped_self": "#0072B2",
    "flipped_null": "#D55E00",
}
MARKS = {"self": "o", "target": "s", "excess": "D", "gap": "^", "agreement": "v", "self_base": "P"}
MARKS |= {"preference": "X", "flipped_self": "o", "flipped_null": "s"}
LABELS = {
    "self": "self-faithfulness",
    "target": "target-faithfulness",
    "gap": "gap (self − target)",
    "excess": "excess gap",
    "agreement": "agreement of L(S) and L(M_t)",
    "self_base": "self − base",
    "preference": "preference for own behaviour",
    "flipped_self": "stated by the run's own explanations",
    "flipped_null": "stated by those of the run without the shift",
}
SHARE = "share of test items"
DIFFERENCE = "difference (fraction)"
GAPS = "gap, and gap beyond shared drift"
_SETTINGS = {
    "figure.dpi": 120,
    "savefig.dpi": 200,
    "font.size": 9,
    "axes.titlesize": 9,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "svg.hashsalt": "coupling",
    "figure.constrained_layout.use": True,
}


@contextmanager
def styled() -> Iterator[None]:
    """Apply the style of the study to everything that is drawn or saved inside the block."""
    theme = sns.plotting_context("paper", font_scale=1.0) | sns.axes_style("ticks")
    with mpl.rc_context(theme | _SETTINGS):
        yield


class StudyFigure(Figure):
    """A figure that a notebook shows as one PNG image, whatever backend the notebook has chosen.

    Attributes:
        saved: The PNG image that the figure was saved as; empty where it was not.
        alt: What the image shows, in words for those who cannot see it.
    """

    saved = b""
    alt = ""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        """Return what a notebook shows for this figure, and its size there.

        A figure that was saved and has not changed since is shown as it was saved, and not drawn again.
        """
        image = self.saved
        if self.stale or not image:
            drawn = io.BytesIO()
            with styled():
                self.savefig(drawn, format="png", metadata={"Software": None})
            image = drawn.getvalue()
        width, height = (round(inches * self.dpi) for inches in self.get_size_inches())
        about = {"image/png": {"width": width, "height": height, "alt": self.alt}}
        return {"image/png": image, "text/plain": repr(self)}, about


def canvas(rows: int, columns: int, size: tuple[float, float], **options: Any) -> tuple[StudyFigure, Any]:
    """Make a figure with a grid of axes.

    Args:
        rows: Number of rows.
        columns: Number of columns.
        size: Width and height in inches.
        options: As for `matplotlib.figure.Figure.subplots`.

    Returns:
        The figure, and what `subplots` returns: an array of axes, or a single one.
    """
    figure = StudyFigure(figsize=size)
    return figure, figure.subplots(rows, columns, **options)


def save(figure: StudyFigure, path: Path) -> list[Path]:
    """Write `path`.png and `path`.pdf. Neither holds a date, so that the same data gives the same bytes.

    The layout is solved once, as the PNG has it. With a layout engine, every `savefig` would solve it anew
    and draw the figure twice. What is added to the figure later moves nothing.
    """
    undated = {
        "png": {"Software": None},
        "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    }
    _solve_layout(figure)
    with mpl.rc_context({"figure.constrained_layout.use": False}):  # else `savefig` gives it an engine again
        figure.set_layout_engine(None)
        for ending, metadata in undated.items():
            with files.replacing(path.with_name(f"{path.name}.{ending}")) as part:
                figure.savefig(part, format=ending, metadata=metadata)
                if ending == "png":
                    figure.saved = part.read_bytes()
    figure.stale = False  # a change from here on makes it stale
    return [path.with_name(f"{path.name}.{ending}") for ending in undated]


def _solve_layout(figure: Figure) -> None:
    """Place axes and texts as `savefig` does for a PNG image."""
    dpi = figure.dpi
    figure.set_dpi(mpl.rcParams["savefig.dpi"])
    if engine := figure.get_layout_engine():
        engine.execute(figure)
    figure.set_dpi(dpi)


def caption(figure: Figure, text: str) -> None:
    """Write below the axes how the figure was made: step, seeds, runs, items and intervals."""
    figure.supxlabel(text, fontsize=7, x=0.01, ha="left", wrap=True)


def reach(mean: float, low: float, high: float) -> list[list[float]]:
    """Return how far an interval reaches below and above its mean, as `Axes.errorbar` takes it."""
    return [[max(mean - low, 0)], [max(high - mean, 0)]]


def interval(
    axis: Axes,
    x: float,
    mean: float,
    low: float,
    high: float,
    colour: str,
    mark: str,
    label: str,
    filled: bool = True,
) -> None:
    """Draw a mean with its interval."""
    axis.errorbar(
        x,
        mean,
        reach(mean, low, high),
        fmt=mark,
        color=colour,
        markerfacecolor=colour if filled else "white",
        capsize=3,
        label=label,
    )


def measure_interval(axis: Axes, x: float, row: pd.Series, measure: str) -> None:
    """Draw a measure of a summary row in its own colour and mark. The interval is in `*_low` and `*_high`."""
    ends = (row[measure], row[f"{measure}_low"], row[f"{measure}_high"])
    interval(axis, x, *ends, COLOURS[measure], MARKS[measure], LABELS[measure])


def small_points(axis: Axes, x: Any, y: Any, colour: str, alpha: float = 0.5) -> None:
    """Draw single runs as small points."""
    axis.scatter(x, y, s=7, color=colour, alpha=alpha, linewidths=0)


def zero(axis: Axes) -> None:
    """Draw the null of a difference."""
    axis.axhline(0, color="black", lw=0.8)


def one_half(axis: Axes) -> None:
    """Draw the null of a preference."""
    axis.axhline(0.5, color="black", lw=0.8)


def legend(axis: Axes, size: int) -> None:
    """Draw a legend that names each label once."""
    handles = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    axis.legend(handles.values(), handles.keys(), fontsize=size)


def ticks(axis: Axes, names: Iterable[str]) -> None:
    """Give each name a place on the x axis. Long names take several lines."""
    wrapped = [
        "\n".join(line for part in name.split("\n") for line in textwrap.wrap(part, 14)) for name in names
    ]
    axis.set_xticks(range(len(wrapped)), wrapped, fontsize=7)
    axis.set_xlim(-0.6, len(wrapped) - 0.4)


def in_order(values: Iterable[Any]) -> list[Any]:
    """Return the different values in the order of their first occurrence."""
    return list(dict.fromkeys(values))


def newest(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the machine that was measured last, which stand last in a table of the bench."""
    return frame[frame["machine"] == frame["machine"].iloc[-1]]


def spread(count: int, width: float) -> np.ndarray:
    """Return places beside 0 for some marks, from -width to width. A single mark stands at 0."""
    return np.linspace(-width, width, count) if count > 1 else np.zeros(count)


def seeds_of(m0_seeds: int) -> str:
    """Name the seeds that intervals are over: M0 seeds, or the explainer seeds where there is one M0."""
    return "M0 seeds" if m0_seeds > 1 else "explainer seeds of one M0"


def span(counts: pd.Series) -> str:
    """Write counts as one number, or as "least to most" where they differ."""
    return str(counts.max()) if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
