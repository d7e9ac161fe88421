"""Size: what grows with the number of weights, and what does not."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from coupling import files
from coupling import sweep as sweeps
from coupling.analysis import resampling, tables, tracking
from coupling.analysis.tables import Tables
from coupling.report.figures import marks, style
from coupling.report.figures.marks import DIFFERENCE, LOOKS, SHARE, Look
from coupling.sweep import Sweep

WHAT = "Preference, gap, divergent share, flag and answer, and new facts stated, by size of the model"
HALF, FACTS = "half", "facts"  # how the arms of a size are called after its name
REAL = ("medium", "content")  # the profile and sweep of the real model that stands beside the organisms
ROW = 0.27  # inches
PREFERENCE = {
    "all": LOOKS["preference"]._replace(label="preference, labels on all kinds"),
    "held out": LOOKS["preference"]._replace(label="preference on kinds without labels", filled=False),
}
DIVERGENT = Look(marks.DARK, "d", "divergent items")
PARTS = {
    "flag_balanced": Look(marks.ORANGE, "P", "stated flag (balanced accuracy against the label)"),
    "self_content": Look(marks.SKY, "h", "stated answer (share that is true now)", filled=False),
}
NEW_FACTS = {
    "retaught_states": Look(marks.BLUE, "<", "new fact stated"),
    "retaught_states_null": Look(marks.MIDDLE, ">", "new fact stated without re-teaching", filled=False),
}


def of_sweep(data: Tables, sweep: Sweep) -> style.StudyFigure:
    """Draw the figure of a sweep whose conditions are models of several sizes."""
    try:
        real = tables.read(*REAL)
    except files.StoreError:
        real = None
    return draw(data, sizes(data.keys["profile"], sweep), real)


def sizes(profile: str, sweep: Sweep) -> dict[str, str]:
    """Return the model of each condition that stands for a size, in the order of the sweep.

    Conditions with other arms of a size (`HALF`, `FACTS`) are left out.
    """
    plan = sweeps.plan(profile, sweep.name)
    return {name: spec.model for name, spec in plan if name.rpartition(", ")[2] not in (HALF, FACTS)}


def draw(data: Tables, models: dict[str, str], real: Tables | None = None) -> style.StudyFigure:
    """Draw a row for each size and five panels, for each task, and a real model below them.

    Args:
        data: The tables of the sweep.
        models: The model of each size, by the name of its condition, from the smallest to the largest.
        real: The tables of a real model, whose first condition is shown.
    """
    weights = data.base.groupby("model")["parameters"].first()
    called = {name: f"{name} ({weights[model] / 1e6:.1f})" for name, model in models.items()}
    lines = [(data, task, called) for task in style.in_order(data.summary["task"])]
    if real is not None:
        about = real.base.iloc[0]
        name = f"{about['model']} ({about['parameters'] / 1e6:.0f})"
        shown = {real.summary["condition"].iloc[0]: style.fitted(name, 70)}
        lines.append((real, real.summary["task"].iloc[0], shown))
    counts = [len(of) for _, _, of in lines]
    size = (style.PAGE, ROW * sum(counts) + 0.6 * len(lines))
    figure, axes = style.canvas(
        len(lines), 5, size, squeeze=False, sharex="col", sharey="row", height_ratios=counts
    )
    for k, (panels, (of, task, names)) in enumerate(zip(axes, lines, strict=True)):
        _line(panels, of, task, names)
        titles = ["preference", "gap", "divergent share", "flag and answer", "facts taught anew"]
        style.panels(panels, [f"{task}: {titles[0]}", *titles[1:]], 80, 5 * k)
    for panel, label in zip(axes[-1], ("share of decided", DIFFERENCE, SHARE, SHARE, SHARE), strict=True):
        panel.set_xlabel(style.fitted(label, 75))
    return style.finish(figure, _found(data.summary, list(models)), _caption(data.summary, models, real))


def _line(panels: Sequence[Axes], data: Tables, task: str, called: dict[str, str]) -> None:
    """Draw the five panels of a task, with a row for each condition that is called something."""
    names = list(called)
    rows = data.summary[data.summary["task"] == task].set_index("condition").reindex(names)
    series = (
        [
            (PREFERENCE["all"], _ends(rows, "preference")),
            (PREFERENCE["held out"], _held_out(data.regions, task, names)),
        ],
        [(LOOKS["gap"], _ends(rows, "gap"))],
        [(DIVERGENT, _by_run(data.runs, task, names, "divergent"))],
        [(look, _by_run(data.runs, task, names, measure)) for measure, look in PARTS.items()],
        _facts(data.items, task, names),
    )
    for panel, shown in zip(panels, series, strict=True):
        marks.rows(panel, shown, list(called.values()))
        panel.tick_params(labelbottom=True)
    marks.null(panels[0], 0.5, lying=True)
    panels[0].set_xlim(-0.03, 1.03)
    marks.null(panels[1], lying=True)


def _ends(rows: pd.DataFrame, measure: str) -> list[marks.Ends]:
    return [marks.ends(row, measure) for _, row in rows.iterrows()]


def _held_out(regions: pd.DataFrame, task: str, names: list[str]) -> list[marks.Ends]:
    """Preference on kinds without labels, where labels stand on half of the kinds."""
    apart = regions[(regions["task"] == task) & (regions["region"] == "held out")].set_index("condition")
    return _ends(apart.reindex([f"{name}, {HALF}" for name in names]), "preference")


def _by_run(runs: pd.DataFrame, task: str, names: list[str], measure: str) -> list[marks.Ends]:
    """A measure of whole runs at their last step, with its interval over M0s."""
    mine = runs[runs["task"] == task]
    last = mine[mine["step"] == mine["step"].max()]
    return [_interval(last[last["condition"] == name], measure) for name in names]


def _facts(items: pd.DataFrame, task: str, names: list[str]) -> list[tuple[Look, list[marks.Ends]]]:
    """How often explanations state new facts, on items that have the new fact among their choices."""
    mine = items[items["task"] == task]
    taught = mine[mine["condition"].isin([f"{name}, {FACTS}" for name in names])]
    if taught.empty:
        return [(look, [(np.nan,) * 3] * len(names)) for look in NEW_FACTS.values()]
    rows = tracking.measured(mine)
    parts = [rows[rows["condition"] == f"{name}, {FACTS}"] for name in names]
    return [(look, [_interval(part, measure) for part in parts]) for measure, look in NEW_FACTS.items()]


def _interval(rows: pd.DataFrame, measure: str) -> marks.Ends:
    if rows.empty or rows[measure].isna().all():
        return (np.nan,) * 3
    return tuple(resampling.intervals(rows, [measure]).loc[measure, ["mean", "low", "high"]])


def _found(summary: pd.DataFrame, names: list[str]) -> str:
    """Say how large the preference is at each size, over tasks."""
    means = summary.groupby("condition")["preference"].mean()
    said = [f"{means[name]:.2f} at {name}" for name in names if np.isfinite(means[name])]
    return f"Preference for own behaviour by number of weights: {', '.join(said)}"


def _caption(summary: pd.DataFrame, models: dict[str, str], real: Tables | None) -> str:
    mine = summary[summary["condition"].isin(models)]
    m0s = mine["seeds"].max()
    differs = ""
    if real is not None:
        row = real.summary.iloc[0]
        differs = (
            f" The real model is asked {row['task']}, has labels {row['condition']}, and has one M0, so that "
            f"its bars are over explainers; {row['flag_not_learnt']} of its {row['runs']} runs have not "
            "learnt the flag."
        )
    return (
        f"Final step; {style.number(m0s, 'M0')} and {style.span(mine['runs'])} runs a task and size; in "
        "brackets the million weights. Deep: more and narrower layers. Open marks of preference: labels on "
        "half of the kinds, and the other kinds. Bars: 95 %, "
        f"{style.interval_of(m0s, mine['runs'])}.{differs}"
    )
