"""Curve: faithfulness against what a sweep varies."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from coupling.figures.style import COLOURS, LABELS, MARKS, caption, legend, span

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
    summary = summary.assign(at=at, kind=summary["condition"].str.split(",").str[0].where(summary["condition"].str.contains(","), ""))
    apart = (summary["source_agreement_mean"] < 1).any()  # where S is M0, base and target are one
    panels = (PANELS[0], (*PANELS[1], "self_base") if apart else PANELS[1], PANELS[2])
    log = at.min() > 0 and at.max() / at.min() > FAR
    figure, axes = plt.subplots(len(tasks), 3, figsize=(9.6, 0.5 + 2.7 * len(tasks)), squeeze=False)
    for row, task in zip(axes, tasks, strict=True):
        for panel, measures in zip(row, panels, strict=True):
            for dash, (kind, rows) in zip(DASHES, summary[summary["task"] == task].groupby("kind", sort=False), strict=False):
                rows = rows.sort_values("at")
                for m in measures:
                    name = (kind or rows["condition"].iloc[0]) if m == "agreement" and summary["kind"].nunique() > 1 else LABELS[m]
                    low, high = (rows[f"{m}_{k}"] for k in ("low", "high"))
                    mean = rows[m] if m in rows else rows[f"{m}_mean"]
                    panel.errorbar(rows["at"], mean, [(mean - low).clip(lower=0), (high - mean).clip(lower=0)],
                                   color=COLOURS[m], marker=MARKS[m], ms=4, ls=dash, lw=1, capsize=2, label=name)  # fmt: skip
            panel.set(xlabel="agreement of L(S) and L(M0)" if places is None else axis.replace("_", " "), xscale="log" if log else "linear")
            legend(panel, 6)
        row[0].set(ylim=(0, 1.02), ylabel="share of test items", title=f"{task}: self and target")
        row[1].axhline(0, color="black", lw=0.8)
        row[1].set(ylabel="difference (fraction)", title="gap, and gap beyond shared drift")
        row[2].set(ylim=(0, 1.02), ylabel="share of test items", title="agreement of L(S) and L(M_t)")
    first = summary.iloc[0]
    fallen = ", ".join(f"{r['condition']} {r['collapsed']} of {r['runs']}" for _, r in summary.iterrows() if r["collapsed"])
    caption(figure, f"Final step; {first['seeds']} M0 seed(s), {span(summary['runs'])} run(s) a point, {first['items']} test items a run. Bars: 95 % two-way "
            f"bootstrap over M0 seeds and groups; no excess gap where one run stands for an M0.\nCollapsed runs: {fallen or 'none'}.")  # fmt: skip
    return figure
