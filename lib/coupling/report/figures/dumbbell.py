"""The dumbbell: what explanations state where label source and current model differ, one row a comparison."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from coupling.report.figures import marks, style
from coupling.report.figures.marks import LOOKS, MISSING

ROW, SECTION = 0.19, 0.24  # inches
COLUMNS = {"divergent": 0.0, "gap": 0.155, "preference (95 %)": 0.32, "": 0.70}  # places of the numbers
ASIDE = 0.2  # how far the intervals stand from their row's line


def draw(rows: pd.DataFrame, last: str) -> style.StudyFigure:
    """Draw the dumbbells on the left and their numbers on the right. `style.finish` adds the texts.

    Args:
        rows: What `coupling.analysis.divergent.summarise` measures of each row, with its name; section, a
            heading above the first row that has it, or ""; divergent_share, gap, preference and
            preference_low and preference_high; and what stands in the last column: says.
        last: Heading of the last column.
    """
    places, headings = _places(rows)
    height = 0.6 + ROW * max(len(rows), 2) + SECTION * len(headings)
    figure, (left, right) = style.canvas(1, 2, (style.PAGE, height), width_ratios=[0.72, 1])
    for place, (_, row) in zip(places, rows.iterrows(), strict=True):
        _dumbbell(left, place, row)
        _numbers(right, place, row)
    bottom = ROW * len(rows) + SECTION * len(headings)
    left.set_yticks(places, rows["name"])
    left.tick_params(axis="y", length=0)
    left.spines["left"].set_visible(False)
    left.set(xlim=(0, 1), ylim=(bottom, 0), xlabel="share of divergent items")
    for place, heading in headings:
        _heading(left, place, heading)
    right.set(xlim=(0, 1), ylim=(bottom, 0))
    right.axis("off")
    for name, at in COLUMNS.items():
        place = {"xycoords": "axes fraction", "xytext": (0, 4), "textcoords": "offset points"}
        right.annotate(name or last, (at, 1), size=style.SMALL, weight="bold", **place)
    return figure


def _places(rows: pd.DataFrame) -> tuple[list[float], list[tuple[float, str]]]:
    """Return the place of each row and of each heading, in inches from the top."""
    places, headings, at, before = [], [], 0.0, ""
    for section in rows["section"]:
        if section and section != before:
            headings.append((at + SECTION / 2 + 0.02, section))
            at += SECTION
        places.append(at + ROW / 2)
        at, before = at + ROW, section
    return places, headings


def _heading(axis: Axes, place: float, text: str) -> None:
    """Write the name of a section above its rows, on a grey line."""
    axis.axhline(place + SECTION / 2 - 0.04, color="#CCCCCC", lw=0.5, zorder=0)
    axis.text(0.0, place, text, va="center", size=style.SMALL, weight="bold")


def _dumbbell(axis: Axes, place: float, row: pd.Series) -> None:
    """Draw target, self and the tick of the other explainers. Intervals stand beside the line."""
    axis.plot([row["target"], row["self"]], [place] * 2, color="#BBBBBB", lw=2, zorder=1)
    for measure, aside in (("self", -ASIDE), ("target", ASIDE)):
        look, (mean, low, high) = LOOKS[measure], marks.ends(row, measure)
        if np.isfinite(low):
            axis.plot([low, high], [place + aside * ROW] * 2, color=look.colour, lw=0.8, zorder=2)
        face = look.colour if look.filled else "white"
        form = {"marker": look.mark, "ms": 4.5, "mfc": face, "mec": look.colour, "ls": "none", "zorder": 3}
        axis.plot(mean, place, label=look.label, **form)
    others = LOOKS["others"]
    if np.isfinite(row["others"]):
        axis.plot(row["others"], place, "|", ms=9, mew=1.6, color=others.colour, label=others.label, zorder=4)


def _numbers(axis: Axes, place: float, row: pd.Series) -> None:
    """Write the numbers of a row. What needs a second explainer and has none says so."""
    interval = f" ({row['preference_low']:.3f} to {row['preference_high']:.3f})".replace("-", "−")
    known = f"{row['preference']:.3f}" + (interval if np.isfinite(row["preference_low"]) else "")
    preference = known if np.isfinite(row["preference"]) else MISSING
    texts = (f"{row['divergent_share']:.3f}", style.signed(row["gap"]), preference, row["says"])
    for at, text, column in zip(COLUMNS.values(), texts, COLUMNS, strict=True):
        missing = text == MISSING and column
        look = {"style": "italic", "color": style.GREY} if missing else {}
        axis.text(at, place, text, va="center", size=style.SMALL, **look)


def found(rows: pd.DataFrame, what: str) -> str:
    """Say in how many rows explanations state the current model more often than the source, and than others.

    Args:
        rows: As `draw` takes them.
        what: What a row is: "condition".
    """
    known = rows[rows["beyond_others"].notna()]
    said = (
        "Where label source and current model differ, explanations state the current model more often "
        f"{_above(rows, 'beyond_target', what)}"
    )
    if known.empty:
        return said
    return f"{said}; they do so more often than other explainers {_above(known, 'beyond_others', what)}"


def _above(rows: pd.DataFrame, measure: str, what: str) -> str:
    return style.counted(int((rows[f"{measure}_low"] > 0).sum()), len(rows), what)


def caption(rows: pd.DataFrame, before: str, after: Sequence[str] = ()) -> str:
    """Write how a dumbbell was made."""
    tick = "Grey tick: how often other explainers of the same M0 state this model's behaviour"
    empty = " (none where an M0 has one explainer)" if rows["others"].isna().any() else ""
    items = style.between(rows["divergent"], ".0f")
    over = "M0s" if rows["m0s"].max() == rows["m0s"].min() > 1 else "M0s, of one M0 over its explainers"
    parts = [
        before,
        f"Divergent items: label source and current model have different labels, {items} items a run.",
        f"{tick}{empty}.",
        f"Bars: 95 % t interval over {over}.",
        "Gap: self − target over all test items. Preference: 0.5 if explanations know nothing of their run.",
        *after,
    ]
    return " ".join(parts)


def reading(row: pd.Series) -> str:
    """Read a preference against its null, where no claim rests on it."""
    low, high = row["preference_low"], row["preference_high"]
    if not np.isfinite(row["preference"]):
        return "no preference"
    if not np.isfinite(low):
        return "no interval"
    return "above 0.5" if low > 0.5 else "below 0.5" if high < 0.5 else "not told from 0.5"
