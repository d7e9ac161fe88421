"""Gate: how well each setting teaches a real model its labels, over the course of training."""

import pandas as pd
from matplotlib.axes import Axes

from coupling.analysis.gate import FLAG, SWEEP
from coupling.report.figures import marks, style

WHAT = "The flag and the answer of explanations against their labels, over item-steps, at each setting tried"
TABLE = "gate"
_COLOURS = (
    marks.BLUE,
    marks.VERMILION,
    marks.GREEN,
    marks.PURPLE,
    marks.SKY,
    marks.ORANGE,
    "#000000",
    "#999999",
)
_MARKS = "osD^vP*X"


def rests_on(sweep: str) -> bool:
    """Tell whether the runs of a sweep are behind the figure."""
    return sweep == SWEEP


def of_study(frame: pd.DataFrame) -> style.StudyFigure:
    """Draw the figure of the table of the gate."""
    return draw(frame)


def draw(curve: pd.DataFrame) -> style.StudyFigure:
    """Draw the flag and the answer against item-steps, one line a setting.

    Before training there are no explanations, and so no flag. The lines start at the first evaluation after
    it.

    Args:
        curve: What `coupling.analysis.gate.table` returns.
    """
    curve = curve[curve["item_steps"] > 0]
    figure, (flag, answer) = style.canvas(1, 2, (style.PAGE, 2.0), sharex=True)
    rungs = list(curve.groupby("rung", sort=False))
    widest = curve["item_steps"].max()
    for k, (rung, part) in enumerate(rungs):
        aside = 0.012 * widest * (k - (len(rungs) - 1) / 2)  # lines that coincide stand beside one another
        look = {"color": _COLOURS[k % 8], "marker": _MARKS[k % 8], "ms": 4, "lw": 1, "mew": 0.9}
        look |= {"label": f"rank, rate, item-steps: {rung}", "mfc": "white" if k % 2 else _COLOURS[k % 8]}
        reach = [part["flag"] - part["flag_low"], part["flag_high"] - part["flag"]]
        flag.errorbar(part["item_steps"] + aside, part["flag"], reach, **look)
        answer.plot(part["item_steps"] + aside, part["answer"], **look)
    _line(flag, FLAG, "fit from here on", 1.5)
    _line(flag, 0.5, "any constant answer", -11)
    flag.set(ylabel="balanced accuracy", xlabel="item-steps", ylim=(0.35, 0.95))
    answer.set(ylabel=marks.SHARE, xlabel="item-steps", ylim=(0, 1))
    style.panels((flag, answer), ("the flag of the label", "the answer of the label"), 200)
    last, before = curve[curve["final"]], curve[~curve["final"]]
    earlier = f", {style.span(before['items'])} before" if len(before) else ""
    caption = (
        f"One explainer a setting, {style.span(last['items'])} test items at the last step{earlier}. "
        "Bars: 95 % bootstrap over subjects."
    )
    return style.finish(figure, _found(curve), caption)


def _found(curve: pd.DataFrame) -> str:
    """Say which setting teaches the flag."""
    fit = curve.loc[curve["fit"], "rung"]
    tried = curve["rung"].nunique()
    return f"{fit.iloc[0]} teaches the flag" if len(fit) else f"None of {tried} settings teaches the flag"


def _line(axis: Axes, height: float, says: str, above: float) -> None:
    """Draw a dotted line and write what it means so many points above it."""
    axis.axhline(height, color="black", lw=0.6, ls=":", zorder=0)
    axis.annotate(
        says,
        (0.01, height),
        xytext=(0, above),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        size=style.SMALL,
    )
