"""Curve: faithfulness against what a sweep varies."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from coupling.report.figures.style import COLOURS, LABELS, MARKS, caption, legend, seeds_of, span

WHAT = "Self- and target-faithfulness, gap, excess gap and agreement against what the sweep varies"
PANELS = (("self", "target"), ("gap", "excess"), ("agreement",))
DASHES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
FAR = 20  # a range of so many times is drawn on a logarithmic axis


def draw(summary: pd.DataFrame, axis: str, places: dict[str, float] | None) -> Figure:
    """A row of three panels a task; means with 95 % intervals. axis: what is varied; places: where each condition stands on it, or None
    where that is measured and stands in the column `axis`. Conditions that differ in kind (the part of their name before a comma) are lines of
    their own."""
    tasks = list(dict.fromkeys(summary["task"]))
    at = summary["condition"].map(places) if places else summary[f"{axis}_mean"]
    measured = places is None
    summary = summary.assign(
        at=at,
        kind=summary["condition"].str.split(",").str[0].where(summary["condition"].str.contains(","), ""),
    )
    apart = (summary["source_agreement_mean"] < 1).any()  # where S is M0, base and target are one
    panels = (PANELS[0], (*PANELS[1], "self_base") if apart else PANELS[1], PANELS[2])
    log = at.min() > 0 and at.max() / at.min() > FAR
    figure, axes = plt.subplots(len(tasks), 3, figsize=(9.6, 0.5 + 2.7 * len(tasks)), squeeze=False)
    for row, task in zip(axes, tasks, strict=True):
        for panel, measures in zip(row, panels, strict=True):
            kinds = summary[summary["task"] == task].groupby("kind", sort=False)
            for dash, (k, (kind, rows)) in zip(DASHES, enumerate(kinds), strict=False):
                rows = rows.sort_values("at")
                for j, m in enumerate(measures):
                    low, high = (rows[f"{m}_{k}"] for k in ("low", "high"))
                    mean = rows[m] if m in rows else rows[f"{m}_mean"]
                    places = _beside(
                        rows["at"],
                        at,
                        0.012 * (j - (len(measures) - 1) / 2) + (0 if measured else 0.02 * k),
                        log,
                    )
                    panel.errorbar(
                        places,
                        mean,
                        [(mean - low).clip(lower=0), (high - mean).clip(lower=0)],
                        color=COLOURS[m],
                        marker=MARKS[m],
                        ms=4,
                        ls=dash,
                        lw=1,
                        capsize=2,
                        label=LABELS[m],
                    )
                    if len(kinds) > 1 and j == 0:  # a line has one name, and a condition of no kind its own
                        for name, x, y in (
                            [(kind, places.iloc[-1], mean.iloc[-1])]
                            if kind
                            else zip(rows["condition"], places, mean, strict=True)
                        ):
                            side = (
                                {"xytext": (5, 3)}
                                if x == places.iloc[-1]
                                else {"xytext": (-5, 3), "ha": "right"}
                            )  # to the right there may be a mark
                            panel.annotate(name, (x, y), textcoords="offset points", fontsize=6, **side)
            panel.set(
                xlabel="agreement of L(S) and L(M0)" if measured else axis.replace("_", " "),
                xscale="log" if log else "linear",
            )
            panel.margins(x=0.2 if len(kinds) > 1 else 0.05)
            legend(panel, 6)
        row[0].set(ylim=(0, 1.05), ylabel="share of test items", title=f"{task}: self and target")
        row[1].axhline(0, color="black", lw=0.8)
        row[1].set(ylabel="difference (fraction)", title="gap, and gap beyond shared drift")
        row[2].set(ylim=(0, 1.05), ylabel="share of test items", title="agreement of L(S) and L(M_t)")
    first = summary.iloc[0]
    fallen = "; ".join(
        f"{r['condition']}: {r['collapsed']} of {r['runs']}" for _, r in summary.iterrows() if r["collapsed"]
    )
    caption(
        figure,
        f"Final step; {first['seeds']} M0 seed(s), {span(summary['runs'])} run(s) a point, {first['items']} test items a run. Bars: 95 % two-way "
        f"bootstrap over {seeds_of(first['seeds'])} and groups; no excess gap where one run stands for an M0.\n"
        f"Marks at one place stand side by side. Collapsed runs: {fallen or 'none'}.",
    )
    return figure


def _beside(at: pd.Series, all_of: pd.Series, by: float, log: bool) -> pd.Series:
    """Places a little beside `at`, by a share of the axis, so that marks at one place do not hide one another."""
    if log:
        return at * (all_of.max() / all_of.min()) ** by
    return at + by * (all_of.max() - all_of.min())
