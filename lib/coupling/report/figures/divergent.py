"""Divergent: the headline of the whole study, one dumbbell a task and model, with controls below."""

import pandas as pd

from coupling import files
from coupling.report.figures import dumbbell, style
from coupling.report.figures.drawing import study_table
from coupling.sweep import read_sweep

WHAT = (
    "Over the whole study: how often explanations state their own current behaviour and the label source "
    "where the two differ, beside what other explainers say, with controls"
)
TABLE = "divergent"
# Sweep and condition of the rows on top.
MAIN = (("confirm", "KL on"), ("headline", "KL on"))
# Of the rows below: their heading. Runs of `headline` stand there where `confirm` took their place.
CONTROLS = {
    ("confirm", "KL off"): "control: trained without the KL term",
    ("headline", "KL off"): "control: trained without the KL term",
    ("headline", "KL on"): "exploration: the first runs, at a lower rank",
    ("confirm_controls", "labels by content"): "labels by content, which share no word with the behaviour",
    ("confirm_controls", "shuffled, 1"): "control: shuffled labels",
    ("controls", "shuffled labels"): "control: shuffled labels",
    ("confirm_controls", "sibling"): "control: labels of another M0",
    ("shift", "down, 1"): "exploration: behaviour pushed down, labels fixed",
    ("shift", "up, 1"): "exploration: behaviour pushed up, labels fixed",
}
SHOWN = tuple(dict.fromkeys((*MAIN, *CONTROLS)))
_RULE = "prefers_own"  # the rule of the claims whose verdicts are shown


def rests_on(sweep: str) -> bool:
    """Return whether the runs of a sweep are behind the figure."""
    return sweep in {name for name, _ in SHOWN}


def of_study(frame: pd.DataFrame) -> style.StudyFigure:
    """Draw the figure with the verdicts of the study's table of claims, where there is one."""
    there = (files.tables_dir() / "claims.parquet").exists()
    return draw(frame, study_table("claims") if there else None)


def draw(frame: pd.DataFrame, claims: pd.DataFrame | None) -> style.StudyFigure:
    """Draw a dumbbell for each task and model, and below them those of the controls.

    Args:
        frame: Rows of `coupling.analysis.tables.divergent`.
        claims: The table of claims; None: verdicts are left out.
    """
    frame = _with_places(frame)
    by = {"main": False, "replaced": True, "order": True}  # whether in ascending order
    frame = frame.sort_values([*by], ascending=[*by.values()], kind="stable", ignore_index=True)
    verdicts = {} if claims is None else _verdicts(claims)
    rows = frame.assign(
        section=[_section(row) for _, row in frame.iterrows()],
        name=frame["task"],
        says=[_says(row, verdicts) for _, row in frame.iterrows()],
    )
    rows = _together(rows)
    figure = dumbbell.draw(rows, "verdict of claim 1")
    fit = rows.apply(style.unfit, axis=1) == ""
    main = rows[rows["main"] & fit]
    return style.finish(figure, dumbbell.found(main, "setting"), _caption(rows))


def _with_places(frame: pd.DataFrame) -> pd.DataFrame:
    """Add main (does a row stand on top?), replaced and order, and leave out controls that were run anew."""
    confirmed = frame.loc[frame["sweep"] == "confirm", "profile"]
    replaced = (frame["sweep"] == "headline") & frame["profile"].isin(confirmed)
    order = [SHOWN.index(pair) for pair in zip(frame["sweep"], frame["condition"], strict=True)]
    frame = frame.assign(replaced=replaced, order=order)
    frame["main"] = frame["order"].lt(len(MAIN)) & ~replaced
    return frame[~(replaced & (frame["condition"] == "KL off"))]


def _says(row: pd.Series, verdicts: dict[tuple[str, str, str], str]) -> str:
    """What stands in the last column: why runs decide nothing, and the verdict of a row on top."""
    verdict = verdicts.get((row["profile"], row["task"], row["sweep"]), "no claim") if row["main"] else ""
    return "\n".join(filter(None, [verdict, style.unfit(row)]))


def _section(row: pd.Series) -> str:
    """The heading of a row: its model, or what the control is."""
    return _model(row) if row["main"] else CONTROLS[row["sweep"], row["condition"]]


def _model(row: pd.Series) -> str:
    """What a model is called, with its size."""
    million = row["parameters"] / 1e6
    size = f"{million / 1000:.1f} billion" if million >= 1000 else f"{million:.0f} million"
    return f"{row['model']}, {size} weights"


def _together(rows: pd.DataFrame) -> pd.DataFrame:
    """Put rows of one heading below one another, headings in the order of their first row."""
    order = style.in_order(rows["section"])
    return rows.sort_values(
        "section", key=lambda names: names.map(order.index), kind="stable", ignore_index=True
    )


def _verdicts(claims: pd.DataFrame) -> dict[tuple[str, str, str], str]:
    """The verdict of claim 1, in preference, by profile, task and sweep, for the conditions of MAIN."""
    found = {}
    for sweep, condition in MAIN:
        for claim in read_sweep(sweep).claims:
            if claim.rule != _RULE or claim.arguments.get("condition") != condition or claim.number != "1":
                continue
            rows = claims[(claims["claim"] == claim.number) & (claims["text"] == claim.text)]
            for _, row in rows[rows["task"].isin(claim.tasks)].iterrows():
                found[row["profile"], row["task"], sweep] = _verdict(row)
    return found


def _verdict(row: pd.Series) -> str:
    """A verdict in few words. An exploration that has all that is asked for is supported, and no more."""
    return "supported" if row["exploration"] and row["supported"] else row["verdict"]


def _caption(rows: pd.DataFrame) -> str:
    sizes = "; ".join(
        f"{model}: {style.number(part['m0s'].max(), 'M0')}, {style.span(part['runs'])} runs a row"
        for model, part in rows.groupby("model", sort=False)
    )
    after = [
        "Of pushed behaviour the other explainers are those of the same M0 that were not pushed, or the "
        "other way.",
        "Collapsed, flag not learnt: so are most runs of a row, and the title leaves it out. Verdict: "
        "supported is an exploration that has all that a replication asks for.",
    ]
    return dumbbell.caption(rows, f"Final step. {sizes}.", after)
