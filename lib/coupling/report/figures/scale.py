"""Scale: preference, gap and excess gap of each model that the study runs."""

from collections.abc import Mapping

import pandas as pd

from coupling.report.figures import marks, style
from coupling.report.figures.marks import DIFFERENCE, LOOKS
from coupling.sweep import Scale, read_sweep, sweep_names

WHAT = "Preference, gap and excess gap with the KL term, by model and task, labels by letter and by content"
TABLE = "scale"
MEASURES = {"preference": "share of decided explanations", "gap": DIFFERENCE, "excess": DIFFERENCE}
ROW = 0.2  # inches


def shown() -> dict[str, Scale]:
    """Return how each sweep appears in the figure, for the sweeps whose YAML files say so."""
    found = {name: read_sweep(name).scale for name in sweep_names()}
    return {name: scale for name, scale in found.items() if scale}


def rests_on(sweep: str) -> bool:
    """Return whether the runs of a sweep are behind the figure."""
    return read_sweep(sweep).scale is not None


def of_study(frame: pd.DataFrame) -> style.StudyFigure:
    """Draw the figure with the sweeps whose YAML files put them there."""
    return draw(frame, shown())


def draw(scale: pd.DataFrame, sweeps: Mapping[str, Scale]) -> style.StudyFigure:
    """Draw preference, gap and excess gap, one row for each model, task and sweep, with 95 % intervals.

    Models are categories: a row of panels each, and no axis of sizes, since few sizes were run.

    Args:
        scale: Rows of `coupling.analysis.tables.scale`. Of each sweep, one condition is shown.
        sweeps: By name of the sweep, how it appears.
    """
    chosen = scale["condition"] == scale["sweep"].map({name: of.condition for name, of in sweeps.items()})
    rows = scale[chosen & ~_replaced(scale, sweeps)].reset_index(drop=True)
    rows["unfit"] = [style.unfit(row) for _, row in rows.iterrows()]
    rows["name"] = rows["task"] + rows["sweep"].map({name: of.called for name, of in sweeps.items()})
    rows["name"] += [f" ({why})" if why else "" for why in rows["unfit"]]
    rows["open"] = rows["sweep"].map({name: of.open for name, of in sweeps.items()})
    models = style.in_order(rows.sort_values("parameters", kind="stable")["model"])
    counts = [int((rows["model"] == model).sum()) for model in models]
    size = (style.PAGE, ROW * sum(counts) + 0.55 * len(models))
    figure, axes = style.canvas(
        len(models), 3, size, squeeze=False, sharex="col", sharey="row", height_ratios=counts
    )
    for k, (line, model) in enumerate(zip(axes, models, strict=True)):
        mine = rows[rows["model"] == model]
        for panel, measure in zip(line, MEASURES, strict=True):
            for place, (_, row) in enumerate(mine.iterrows()):
                look = LOOKS[measure]._replace(filled=not row["open"], label="")
                marks.interval(panel, place, marks.ends(row, measure), look, lying=True)
            marks.categories(panel, [style.fitted(name, 110) for name in mine["name"]])
            marks.null(panel, 0.5 if measure == "preference" else 0.0, lying=True)
            panel.tick_params(labelbottom=True)
        style.panels(line, [_called(mine), *("gap (self − target)", "excess gap")], 128, 3 * k)
    for panel, (measure, what) in zip(axes[-1], MEASURES.items(), strict=True):
        panel.set_xlabel(LOOKS[measure].label if measure == "preference" else what)
    return style.finish(figure, _found(rows), _caption(rows), key=False)


def _replaced(scale: pd.DataFrame, sweeps: Mapping[str, Scale]) -> pd.Series:
    """Whether another sweep takes the place of a row's sweep, in its profile."""
    there = set(zip(scale["profile"], scale["sweep"], strict=True))
    gone = {
        (profile, of.replaces)
        for profile in scale["profile"].unique()
        for name, of in sweeps.items()
        if of.replaces and (profile, name) in there
    }
    pairs = zip(scale["profile"], scale["sweep"], strict=True)
    return pd.Series([pair in gone for pair in pairs], scale.index)


def _called(rows: pd.DataFrame) -> str:
    """What a model is called, with its size."""
    million = rows["parameters"].iloc[0] / 1e6
    size = f"{million / 1000:.1f} billion" if million >= 1000 else f"{million:.0f} million"
    return f"{rows['model'].iloc[0]}, {size} weights"


def _found(rows: pd.DataFrame) -> str:
    """Say for each model in how many rows the preference is above one half, of those that can decide it."""
    said = []
    for model, part in rows.groupby("model", sort=False):
        fit = part[part["unfit"] == ""]
        above = int((fit["preference_low"] > 0.5).sum())
        none = f"not decided by {style.number(len(part), 'row')}"
        said.append(f"{style.counted(above, len(fit), 'row') if len(fit) else none} of {model}")
    return f"Preference is above one half {', '.join(said)}"


def _caption(rows: pd.DataFrame) -> str:
    behind = "; ".join(
        f"{row['model']}, {row['name']}: {style.number(row['seeds'], 'M0')}, {row['runs']} runs, "
        f"{row['items']} items"
        for _, row in rows.iterrows()
    )
    return (
        "Final step, KL on; in brackets: why most runs of a row decide nothing; open marks: labels by "
        "content, at a higher learning rate where the model is the real one. Bars: 95 %, t over M0s, or "
        f"over the explainers of one M0. {behind}."
    )
