"""Regime: how far each setting of the search keeps what confirmation asks of a setting."""

import numpy as np
import pandas as pd
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from coupling.analysis import regime
from coupling.analysis.tables import Tables
from coupling.report.figures import style
from coupling.sweep import Sweep

WHAT = "What each setting keeps of the rule that the setting for confirmation is chosen by"
_TITLES = {
    "lost": "target lost",
    "agreement": "agreement\nat the end",
    "lowest": "agreement\non the way",
    "dip": "dip of self",
    "flag": "flag",
    "collapsed": "collapsed\nruns",
    "divergent": "divergent\nshare",
}


def of_sweep(data: Tables, sweep: Sweep) -> Figure:
    """Draw the figure of the sweep that searches for the regime."""
    return draw(data.runs)


def draw(runs: pd.DataFrame) -> Figure:
    """Draw a square of numbers: settings by criteria, the worst of all tasks and M0s in each cell.

    Args:
        runs: The table `runs` of the sweep.
    """
    found = regime.cells(runs)
    chosen = regime.choose(found)
    limits = chosen[1] if chosen else regime.LADDER[-1]
    by_setting = found["condition"]
    broken = (~regime.kept(found, limits)).groupby(by_setting, sort=False).sum()
    worst = regime.worst(found)[list(_TITLES)]
    cells = found.groupby("condition").size().max()
    figure, axis = style.canvas(1, 1, (7.0, 1.2 + 0.3 * len(worst)))
    shown = broken.assign(divergent=0)[list(_TITLES)].to_numpy() > 0
    axis.imshow(shown, cmap=ListedColormap(["white", "#BBBBBB"]), vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(worst.to_numpy(float)):
        name = worst.columns[column]
        text = f"{value:.0f}" if name == "collapsed" else f"{value:.3f}"
        if shown[row, column]:
            text += f"  ({broken.iloc[row][name]} of {cells})"
        is_chosen = chosen is not None and worst.index[row] == chosen[0]
        axis.text(
            column, row, text, ha="center", va="center", fontsize=7, weight="bold" if is_chosen else "normal"
        )
    axis.set_yticks(range(len(worst)), worst.index, fontsize=7)
    axis.set_xticks(range(len(_TITLES)), list(_TITLES.values()), fontsize=7)
    axis.tick_params(length=0)
    axis.set(
        title=f"{chosen[0]} is the setting for confirmation" if chosen else "no setting keeps the rule",
        ylabel="rank, learning rate, KL weight",
    )
    style.caption(
        figure,
        f"The worst of {cells} cells ({runs['task'].nunique()} tasks, {runs['m0_seed'].nunique()} M0s, one "
        "explainer each); the divergent share is their mean. Grey: the rule is broken, in so many cells. "
        f"Limits: target lost {limits.lost}, agreement {limits.agreement} at the end and "
        f"{regime.ON_THE_WAY} on the way, dip {limits.dip}, flag {regime.FLAG}.",
    )
    return figure
