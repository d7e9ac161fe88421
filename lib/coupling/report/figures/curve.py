"""Curve: faithfulness against what a sweep varies."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coupling.analysis.tables import Tables
from coupling.report.figures import style
from coupling.report.figures.style import COLOURS, DIFFERENCE, GAPS, LABELS, MARKS, SHARE
from coupling.sweep import Sweep

WHAT = "Self- and target-faithfulness, gap, excess gap and agreement against what the sweep varies"
MEASURED = "source_agreement"  # the axis that no spec fixes: it is measured in each run
DASHES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
FAR = 20  # an axis whose largest value is more than so many times its smallest is logarithmic


def of_sweep(data: Tables, sweep: Sweep) -> Figure:
    """Draw the figure of a sweep that has an axis."""
    places = None if sweep.axis == MEASURED else sweep.places(data.keys["profile"])
    return draw(data.summary, sweep.axis, places)


def draw(summary: pd.DataFrame, axis: str, places: dict[str, float] | None) -> Figure:
    """Draw three panels a task: self and target, the gaps, and agreement, with 95 % intervals.

    Conditions that differ in kind have a line for each kind. The kind is the part of a condition's name
    before a comma.

    Args:
        summary: The summary of the sweep, one row a task and condition.
        axis: What is varied: the name of a field of the spec, or `MEASURED`.
        places: The value of the axis at each condition. None: the value is measured, and `<axis>_mean` in
            the summary holds it.
    """
    names = summary["condition"]
    at = names.map(places) if places else summary[f"{axis}_mean"]
    kind = names.str.split(",").str[0].where(names.str.contains(","), "")
    summary = summary.assign(at=at, kind=kind)
    apart = (summary["source_agreement_mean"] < 1).any()  # where S is M0, base and target are the same
    panels = (("self", "target"), ("gap", "excess", "self_base")[: 3 if apart else 2], ("agreement",))
    tasks = style.in_order(summary["task"])
    figure, axes = style.canvas(len(tasks), 3, (9.6, 0.5 + 2.7 * len(tasks)), squeeze=False)
    for row, task in zip(axes, tasks, strict=True):
        for panel, measures in zip(row, panels, strict=True):
            _lines(panel, summary[summary["task"] == task], measures, at, places is None)
            panel.set_xlabel("agreement of L(S) and L(M0)" if places is None else axis.replace("_", " "))
        row[0].set(ylim=(0, 1.05), ylabel=SHARE, title=f"{task}: self and target")
        style.zero(row[1])
        row[1].set(ylabel=DIFFERENCE, title=GAPS)
        row[2].set(ylim=(0, 1.05), ylabel=SHARE, title="agreement of L(S) and L(M_t)")
    style.caption(figure, _caption(summary))
    return figure


def _lines(panel: Axes, rows: pd.DataFrame, measures: tuple[str, ...], at: pd.Series, measured: bool) -> None:
    """Draw one line for each measure and kind of condition."""
    log = at.min() > 0 and at.max() / at.min() > FAR
    kinds = list(rows.groupby("kind", sort=False))
    for dash, (k, (kind, of_kind)) in zip(DASHES, enumerate(kinds), strict=False):
        of_kind = of_kind.sort_values("at")
        for j, measure in enumerate(measures):
            aside = 0.012 * (j - (len(measures) - 1) / 2) + (0 if measured else 0.02 * k)
            x = _beside(of_kind["at"], at, aside, log)
            y = of_kind[measure] if measure in of_kind else of_kind[f"{measure}_mean"]
            _line(panel, x, y, of_kind, measure, dash)
            if len(kinds) > 1 and j == 0:
                _name(panel, x, y, kind, of_kind["condition"])
    panel.set_xscale("log" if log else "linear")
    panel.margins(x=0.2 if len(kinds) > 1 else 0.05)
    style.legend(panel, 6)


def _line(panel: Axes, x: pd.Series, y: pd.Series, rows: pd.DataFrame, measure: str, dash: str) -> None:
    low, high = rows[f"{measure}_low"], rows[f"{measure}_high"]
    panel.errorbar(
        x,
        y,
        [(y - low).clip(lower=0), (high - y).clip(lower=0)],
        color=COLOURS[measure],
        marker=MARKS[measure],
        ms=4,
        ls=dash,
        lw=1,
        capsize=2,
        label=LABELS[measure],
    )


def _name(panel: Axes, x: pd.Series, y: pd.Series, kind: str, conditions: pd.Series) -> None:
    """Write the name of a line at its end. Where the conditions have no kind, each has its own name."""
    named = [(kind, x.iloc[-1], y.iloc[-1])] if kind else zip(conditions, x, y, strict=True)
    for name, across, up in named:
        last = across == x.iloc[-1]  # to the right of the others there may be a mark
        side = {"xytext": (5, 3)} if last else {"xytext": (-5, 3), "ha": "right"}
        panel.annotate(name, (across, up), textcoords="offset points", fontsize=6, **side)


def _beside(at: pd.Series, all_of: pd.Series, by: float, log: bool) -> pd.Series:
    """Move places by a share of the axis, so that marks at one place do not hide one another."""
    if log:
        return at * (all_of.max() / all_of.min()) ** by
    return at + by * (all_of.max() - all_of.min())


def _caption(summary: pd.DataFrame) -> str:
    first = summary.iloc[0]
    fallen = "; ".join(
        f"{row['condition']}: {row['collapsed']} of {row['runs']}"
        for _, row in summary.iterrows()
        if row["collapsed"]
    )
    return (
        f"Final step; {first['seeds']} M0 seed(s), {style.span(summary['runs'])} run(s) a point, "
        f"{first['items']} test items a run. Bars: 95 % two-way bootstrap over "
        f"{style.seeds_of(first['seeds'])} and groups; no excess gap where one run stands for an M0.\n"
        f"Marks at one place stand side by side. Collapsed runs: {fallen or 'none'}."
    )
