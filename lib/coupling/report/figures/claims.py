"""Claims: the effect behind each verdict."""

import textwrap

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from coupling.report.figures.style import caption, legend, span

WHAT = "The effect of every claim that was tested, with its interval, its controls and its verdict"
VERDICTS = {
    "replicated": ("#009E73", "o"),
    "inconclusive": ("#666666", "D"),
    "not replicated": ("#D55E00", "s"),
}


def draw(claims: pd.DataFrame) -> Figure:
    """The paper's claims on the left, our own on the right; a line a row of the table: effect with 95 % interval, coloured and marked by verdict, and how
    many controls it passed."""
    tested = claims[claims["verdict"].isin(VERDICTS)]
    halves = [tested[tested["claim"] != "own"], tested[tested["claim"] == "own"]]
    figure, axes = plt.subplots(1, 2, figsize=(17, 1.2 + 0.36 * max(map(len, halves))))
    for axis, rows, title in zip(axes, halves, ("claims of the paper", "our own"), strict=True):
        _lines(axis, rows.reset_index(drop=True), title)
    over = "; ".join(
        f"{profile}: {span(rows['seeds'])} {unit}"
        for (profile, unit), rows in tested.groupby(["profile", "unit"], sort=False)
    )
    caption(
        figure,
        f"Seeds: {over}. Bars: 95 % two-way bootstrap over these and groups; "
        "p Holm-corrected (PLAN.md); linear within ±0.02, logarithmic beyond.",
    )
    return figure


def _lines(axis, rows: pd.DataFrame, title: str) -> None:
    for place, row in rows.iterrows():
        colour, mark = VERDICTS[row["verdict"]]
        span = [[max(row["effect"] - row["low"], 0)], [max(row["high"] - row["effect"], 0)]]
        axis.errorbar(
            row["effect"], place, xerr=span, fmt=mark, color=colour, ms=5, capsize=2, label=row["verdict"]
        )
        passed = sum(c.endswith(": passed") for c in row["controls"])
        note = f"{row['effect']:+.3f}   {passed} of {len(row['controls'])} controls"
        axis.annotate(note, (1.01, place), xycoords=("axes fraction", "data"), fontsize=6, va="center")
    texts = [
        f"{r['claim']}, {r['profile']} {r['task']}: {r['text']}. {r['measure'][:1].upper()}{r['measure'][1:]}"
        for _, r in rows.iterrows()
    ]
    names = [textwrap.fill(text, 84) for text in texts]
    axis.set_yticks(range(len(rows)), names, fontsize=6)
    axis.set(
        ylim=(len(rows) - 0.5, -0.5),
        xlabel="effect (difference of fractions; of onsets the agreement itself)",
        title=title,
    )
    axis.set_xscale("symlog", linthresh=0.02)
    axis.axvline(0, color="black", lw=0.8)
    legend(axis, 7)
