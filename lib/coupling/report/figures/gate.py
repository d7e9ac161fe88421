"""Gate: how well each setting teaches a real model its labels, over the course of training."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coupling.analysis.gate import FLAG, SWEEP
from coupling.report.figures import style

WHAT = "The flag and the answer of explanations against their labels, over item-steps, at each setting tried"
TABLE = "gate"
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#999999")
_MARKS = "osD^vP*X"


def rests_on(sweep: str) -> bool:
    """Tell whether the runs of a sweep are behind the figure."""
    return sweep == SWEEP


def of_study(frame: pd.DataFrame) -> Figure:
    """Draw the figure of the table of the gate."""
    return draw(frame)


def draw(curve: pd.DataFrame) -> Figure:
    """Draw the flag and the answer against item-steps, one line a setting.

    Args:
        curve: What `coupling.analysis.gate.table` returns.
    """
    figure, (flag, answer) = style.canvas(1, 2, (7.4, 3.2), sharex=True)
    for k, (rung, part) in enumerate(curve.groupby("rung", sort=False)):
        look = {"color": _COLOURS[k % 8], "marker": _MARKS[k % 8], "ms": 4, "lw": 1, "label": rung}
        reach = [part["flag"] - part["flag_low"], part["flag_high"] - part["flag"]]
        flag.errorbar(part["item_steps"], part["flag"], reach, capsize=2, **look)
        answer.plot(part["item_steps"], part["answer"], **look)
    _line(flag, FLAG, "fit from here on")
    _line(flag, 0.5, "any constant answer")
    flag.set(
        title=_found(curve), ylabel="balanced accuracy of the flag", xlabel="item-steps", ylim=(0.35, 0.95)
    )
    answer.set(title="the answer is that of the label", ylabel=style.SHARE, xlabel="item-steps", ylim=(0, 1))
    answer.legend(fontsize=6, title="rank, learning rate, item-steps", title_fontsize=6)
    last = curve[curve["final"]]
    style.caption(
        figure,
        f"One explainer a setting, {style.span(last['items'])} test items at the last step, "
        f"{style.span(curve[~curve['final']]['items'])} before. Bars: 95 % bootstrap over subjects.",
    )
    return figure


def _found(curve: pd.DataFrame) -> str:
    """Say in the title what was found."""
    fit = curve.loc[curve["fit"], "rung"]
    tried = curve["rung"].nunique()
    return f"{fit.iloc[0]} teaches the flag" if len(fit) else f"none of {tried} settings teaches the flag"


def _line(axis: Axes, height: float, says: str) -> None:
    axis.axhline(height, color="black", lw=0.6, ls=":")
    axis.annotate(says, (1, height), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=6)
