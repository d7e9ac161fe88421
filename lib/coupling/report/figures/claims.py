"""Claims: the effect behind each verdict."""

import textwrap

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coupling.report.figures import style

WHAT = "The effect of every claim that was tested, with its interval, its controls and its verdict"
TABLE = "claims"
VERDICTS = {
    "replicated": ("#009E73", "o"),
    "inconclusive": ("#666666", "D"),
    "not replicated": ("#D55E00", "s"),
    "premise not met": ("#56B4E9", "v"),
}
HALF = 0.5  # the null of a preference, which is drawn as its distance from it


def rests_on(sweep: str) -> bool:
    """Return whether the runs of a sweep are behind the figure. Those of every sweep are."""
    return True


def of_study(frame: pd.DataFrame) -> Figure:
    """Draw the figure of the study's table of claims."""
    return draw(frame)


def draw(claims: pd.DataFrame) -> Figure:
    """Draw the effect of each row of the table with its 95 % interval, coloured and marked by verdict.

    Claims of the paper stand on the left, those of this study on the right. Beside each effect stands how
    many controls it passed.

    Args:
        claims: The table of claims. Rows without a verdict of VERDICTS are left out.
    """
    tested = claims[claims["verdict"].isin(VERDICTS)]
    away = HALF * (tested["measure"].str.startswith("preference") & ~tested["measure"].str.contains("−"))
    ends = ["effect", "low", "high"]
    tested = tested.assign(**{end: tested[end] - away for end in ends})
    halves = [tested[tested["claim"] != "own"], tested[tested["claim"] == "own"]]
    figure, axes = style.canvas(1, 2, (17, 1.2 + 0.36 * max(map(len, halves))))
    for axis, rows, title in zip(axes, halves, ("claims of the paper", "our own"), strict=True):
        _lines(axis, rows.reset_index(drop=True), title)
    over = "; ".join(
        f"{profile}: {style.span(rows['seeds'])} {unit}"
        for (profile, unit), rows in tested.groupby(["profile", "unit"], sort=False)
    )
    style.caption(
        figure,
        f"Seeds: {over}. Bars: 95 % t interval over these, of a single seed bootstrap over groups. Of a "
        "preference its distance from 0.5 is shown. Linear within ±0.02, logarithmic beyond.",
    )
    return figure


def _lines(axis: Axes, rows: pd.DataFrame, title: str) -> None:
    """Draw one half: a line for each row of the table."""
    for place, row in rows.iterrows():
        colour, mark = VERDICTS[row["verdict"]]
        bars = style.reach(row["effect"], row["low"], row["high"])
        label = row["verdict"]
        axis.errorbar(row["effect"], place, xerr=bars, fmt=mark, color=colour, ms=5, capsize=2, label=label)
        passed = sum(control.endswith(": passed") for control in row["controls"])
        note = f"{row['effect']:+.3f}   {passed} of {len(row['controls'])} controls"
        axis.annotate(note, (1.01, place), xycoords=("axes fraction", "data"), fontsize=6, va="center")
    names = [textwrap.fill(_name(row), 84) for _, row in rows.iterrows()]
    axis.set_yticks(range(len(rows)), names, fontsize=6)
    axis.set(
        ylim=(len(rows) - 0.5, -0.5),
        xlabel="effect (difference of fractions; of onsets the agreement itself)",
        title=title,
    )
    axis.set_xscale("symlog", linthresh=0.02)
    axis.axvline(0, color="black", lw=0.8)
    style.legend(axis, 7)


def _name(row: pd.Series) -> str:
    measure = f"{row['measure'][:1].upper()}{row['measure'][1:]}"
    exploration = " (exploration)" if row["exploration"] else ""
    return f"{row['claim']}, {row['profile']} {row['task']}{exploration}: {row['text']}. {measure}"
