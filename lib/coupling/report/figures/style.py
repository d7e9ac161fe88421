"""How every figure looks: its width and texts, and the two files that it is saved as.

A figure is as wide as a column of a printed page, or as the whole page. Its title says what was found and its
caption how. No text is smaller than SMALL. Marks and their colours are in `coupling.report.figures.marks`.

Figures are made by `canvas` and never by pyplot. Importing this module therefore chooses no backend and
changes no setting of matplotlib, neither in a script nor in a notebook.
"""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.textpath import text_to_path

from coupling import files

COLUMN, PAGE = 85 / 25.4, 170 / 25.4  # widths of a column and of a page in print, in inches
TALLEST = 225 / 25.4  # what a page holds, in inches
SMALL, PLAIN, LARGE = 6, 7, 8  # sizes of text, in points
GREY = "#555555"  # of captions and notes
_FONT = "DejaVu Sans"  # comes with matplotlib, so that texts are as wide on every machine
_EDGE, _GAP = 4, 5  # points around a figure's texts, and between them
_SETTINGS = {
    "font.family": _FONT,
    "font.size": PLAIN,
    "figure.dpi": 120,
    "savefig.dpi": 254,
    "axes.titlesize": PLAIN,
    "axes.titlelocation": "left",
    "axes.titlepad": 4,
    "axes.labelsize": PLAIN,
    "axes.labelpad": 2,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "lines.linewidth": 1.0,
    "lines.markersize": 4,
    "legend.frameon": False,
    "legend.fontsize": SMALL,
    "pdf.fonttype": 42,
    "svg.hashsalt": "coupling",
    "figure.constrained_layout.use": True,
} | {
    f"{axis}tick.{name}": value
    for axis in "xy"
    for name, value in {"labelsize": SMALL, "major.width": 0.6, "major.size": 2.5, "major.pad": 2}.items()
}


@contextmanager
def styled() -> Iterator[None]:
    """Apply the style of the study to everything that is drawn or saved inside the block."""
    with mpl.rc_context(sns.axes_style("ticks") | _SETTINGS):
        yield


class StudyFigure(Figure):
    """A figure that a notebook shows as one PNG image, whatever backend the notebook has chosen.

    Attributes:
        saved: The PNG image that the figure was saved as; empty where it was not.
        alt: What the figure shows, in words, for those who cannot see it.
    """

    saved = b""
    alt = ""

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **{"layout": "constrained"} | options)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        """Return what a notebook shows for this figure, its size there, and its words.

        A figure that was saved and has not changed since is shown as it was saved, and not drawn again.
        """
        image = self.saved
        if self.stale or not image:
            drawn = io.BytesIO()
            with styled():
                self.savefig(drawn, format="png", metadata={"Software": None})
            image = drawn.getvalue()
        width, height = (round(inches * self.dpi) for inches in self.get_size_inches())
        about = {"image/png": {"width": width, "height": height} | ({"alt": self.alt} if self.alt else {})}
        return {"image/png": image, "text/plain": repr(self)}, about


def canvas(rows: int, columns: int, size: tuple[float, float], **options: Any) -> tuple[StudyFigure, Any]:
    """Make a figure with a grid of axes.

    Args:
        rows: Number of rows.
        columns: Number of columns.
        size: Width and height of the axes with their labels, in inches. The width is COLUMN or PAGE.
        options: As for `matplotlib.figure.Figure.subplots`.

    Returns:
        The figure, and what `subplots` returns: an array of axes, or a single one. `finish` adds title, key
        and caption.
    """
    figure = StudyFigure(figsize=size)
    return figure, figure.subplots(rows, columns, **options)


def finish(figure: StudyFigure, title: str, caption: str, key: bool = True) -> StudyFigure:
    """Write what was found above the axes and how below them, and name the marks.

    The figure grows by what these need, so that the axes keep their size.

    Args:
        figure: The figure, whose axes are drawn.
        title: What was found, in a sentence without a full stop.
        caption: How: steps, seeds, runs, items, intervals.
        key: Whether the marks are named between title and axes: each label of the axes once.
    """
    width, height = (72 * inches for inches in figure.get_size_inches())
    room = width - 2 * _EDGE
    head = figure.text(0, 0, fitted(title, room, LARGE, "bold"), size=LARGE, weight="bold", va="top")
    foot = figure.text(0, 0, fitted(caption, room), size=SMALL, color=GREY, va="bottom")
    named = _key(figure, room) if key else None
    above = _EDGE + _tall(head) + _GAP + (_tall(named) + _GAP if named else 0)
    below = _EDGE + _tall(foot) + _GAP
    whole = above + height + below
    figure.set_size_inches(width / 72, whole / 72)
    head.set_position((_EDGE / width, 1 - _EDGE / whole))
    foot.set_position((_EDGE / width, _EDGE / whole))
    if named:
        place = (_EDGE / width, 1 - (_EDGE + _tall(head) + _GAP) / whole)
        named.set_bbox_to_anchor(place, figure.transFigure)
    figure.get_layout_engine().set(rect=(0, below / whole, 1, height / whole))
    figure.alt = title
    return figure


def _key(figure: StudyFigure, room: float) -> Legend | None:
    """Make a legend of the whole figure, in as many columns as there is room for, or None without labels."""
    found: dict[str, Artist] = {}
    for axis in figure.axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if not found:
        return None
    widths = [text_width(label) + 26 for label in found]  # with the mark, and the space to the next one
    for columns in range(len(widths), 0, -1):
        if sum(max(part) for part in np.array_split(widths, columns)) <= room:
            break
    look = {"borderpad": 0, "borderaxespad": 0, "handletextpad": 0.5, "columnspacing": 1.5}
    look |= {"handlelength": 1.4, "labelspacing": 0.4}
    return figure.legend(found.values(), found.keys(), loc="upper left", ncols=columns, **look)


def _tall(artist: Text | Legend) -> float:
    """The height of a text or a legend in points."""
    return artist.get_window_extent().height * 72 / artist.get_figure(root=True).dpi


@lru_cache(maxsize=8192)
def text_width(text: str, size: float = SMALL, weight: str = "normal") -> float:
    """Return how wide a text is, in points."""
    font = FontProperties(family=_FONT, size=size, weight=weight)
    return text_to_path.get_text_width_height_descent(text, font, False)[0]


def fitted(text: str, room: float, size: float = SMALL, weight: str = "normal") -> str:
    """Break a text into lines that are no wider than `room`, in points, unless a single word is."""
    lines = []
    for part in text.split("\n"):
        line = ""
        for word in filter(None, part.split(" ")):
            longer = f"{line} {word}".strip()
            if line and text_width(longer, size, weight) > 0.97 * room:  # glyphs are drawn on whole dots
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return "\n".join(lines)


def panels(axes: Iterable[Axes], titles: Sequence[str], room: float, first: int = 0) -> None:
    """Write a letter and a title above each panel.

    Args:
        axes: The panels.
        titles: A title for each; it may be empty.
        room: How wide a title may be, in points. Longer ones take several lines.
        first: The place of the first letter in the alphabet.
    """
    for place, (axis, title) in enumerate(zip(axes, titles, strict=True), first):
        letter = rf"$\mathbf{{{ascii_lowercase[place % 26]}}}$"
        axis.set_title(f"{letter}  {fitted(title, room - 12, PLAIN)}".rstrip())


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


def in_order(values: Iterable[Any]) -> list[Any]:
    """Return the different values in the order of their first occurrence."""
    return list(dict.fromkeys(values))


def newest(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the machine that was measured last, which stand last in a table of the bench."""
    return frame[frame["machine"] == frame["machine"].iloc[-1]]


def spread(count: int, width: float) -> np.ndarray:
    """Return places beside 0 for some marks, from -width to width. A single mark stands at 0."""
    return np.linspace(-width, width, count) if count > 1 else np.zeros(count)


def signed(value: float, digits: int = 3) -> str:
    """Write a difference with its sign; a zero has none."""
    text = f"{value:+.{digits}f}".replace("-", "−")
    return text if text.strip("+−0.") else text[1:]


def between(values: Iterable[float], form: str = ".2f") -> str:
    """Write numbers as one, or as "least to most" where they differ as they are written."""
    ordered = sorted(values)
    least, most = format(ordered[0], form), format(ordered[-1], form)
    return least if least == most else f"{least} to {most}"


def unfit(row: Mapping[str, Any]) -> str:
    """Say why most runs of a row can decide nothing; nothing where they can.

    Args:
        row: A row of a summary, with runs, collapsed and flag_not_learnt.
    """
    reasons = {"collapsed": row["collapsed"], "flag not learnt": row["flag_not_learnt"]}
    found = [name for name, count in reasons.items() if 2 * count > row["runs"]]
    return ", ".join(found)


def interval_of(m0s: int, runs: Iterable[int]) -> str:
    """Say what the intervals of `resampling.intervals` are.

    Args:
        m0s: How many M0s there are.
        runs: How many runs each condition has.
    """
    if m0s > 1:
        return "t over M0s"
    of_one = "bootstrap over test items, where there is one run"
    several = "t over explainers of one M0"
    fewest, most = min(runs), max(runs)
    return (
        several
        if fewest > 1
        else f"{several}; {of_one}"
        if most > 1
        else "bootstrap over test items of one run"
    )


def span(counts: pd.Series) -> str:
    """Write counts as one number, or as "least to most" where they differ."""
    return str(counts.max()) if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"


def number(count: int, what: str) -> str:
    """Write how many things there are: "1 run", "3 runs"."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def counted(some: int, of: int, what: str) -> str:
    """Say of how many things something holds: "in none of 3 tasks", "in 1 of 3 tasks", "in all 3 tasks"."""
    if of == 1:
        return f"in the one {what}" if some else f"in no {what}"
    return f"in all {of} {what}s" if some == of else f"in {some or 'none'} of {of} {what}s"
