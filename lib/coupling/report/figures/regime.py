"""Regime: how far each setting of the search keeps what confirmation asks of a setting."""

import numpy as np
import pandas as pd
from matplotlib.colors import ListedColormap

from coupling.analysis import regime
from coupling.analysis.tables import Tables
from coupling.report.figures import style
from coupling.sweep import Sweep

WHAT = "What each setting keeps of the rule that the setting for confirmation is chosen by"
_TITLES = {
    "lost": "target\nlost",
    "agreement": "agreement\nat the end",
    "lowest": "agreement\non the way",
    "dip": "dip\nof self",
    "flag": "flag",
    "collapsed": "collapsed\nruns",
    "divergent": "divergent\nshare",
}


def of_sweep(data: Tables, sweep: Sweep) -> style.StudyFigure:
    """Draw the figure of the sweep that searches for the regime."""
    return draw(data.runs)


def draw(runs: pd.DataFrame) -> style.StudyFigure:
    """Draw a square of numbers: settings by criteria, the worst of all tasks and M0s in each cell.

    Args:
        runs: The table `runs` of the sweep.
    """
    found = regime.cells(runs)
    chosen = regime.choose(found)
    limits = chosen[1] if chosen else regime.LADDER[-1]
    broken = (~regime.kept(found, limits)).groupby(found["condition"], sort=False).sum()
    worst = regime.worst(found)[list(_TITLES)]
    cells = found.groupby("condition").size().max()
    figure, axis = style.canvas(1, 1, (style.PAGE, 0.55 + 0.17 * len(worst)))
    shown = broken.assign(divergent=0)[list(_TITLES)].to_numpy() > 0
    axis.imshow(shown, cmap=ListedColormap(["white", "#CCCCCC"]), vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(worst.to_numpy(float)):
        name = worst.columns[column]
        text = f"{value:.0f}" if name == "collapsed" else f"{value:.3f}"
        if shown[row, column]:
            text += f" ({broken.iloc[row][name]} of {cells})"
        is_chosen = chosen is not None and worst.index[row] == chosen[0]
        weight = "bold" if is_chosen else "normal"
        axis.text(column, row, text, ha="center", va="center", size=style.SMALL, weight=weight)
    axis.set_yticks(range(len(worst)), worst.index)
    axis.set_xticks(range(len(_TITLES)), list(_TITLES.values()))
    axis.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axis.set(ylabel="rank, learning rate, KL weight")
    caption = (
        f"The worst of {cells} cells ({style.number(runs['task'].nunique(), 'task')}, "
        f"{style.number(runs['m0_seed'].nunique(), 'M0')}, one explainer each); the divergent share is "
        f"their mean. Grey: the rule is broken, in so many cells. Limits: target lost {limits.lost}, "
        f"agreement {limits.agreement} at the end and {regime.ON_THE_WAY} on the way, dip {limits.dip}, "
        f"flag {regime.FLAG}."
    )
    title = f"{chosen[0]} is the setting for confirmation" if chosen else "No setting keeps the rule"
    return style.finish(figure, title, caption)
