"""The tables of the whole study, put together from the tables of all sweeps."""

from collections.abc import Collection

import pandas as pd

from coupling.analysis import divergent as on_divergent
from coupling.analysis.tables.committed import SHIFT_TABLES, Tables, collected, read, write_study_table

SHARED = ["divergent_share", "gap", "preference", "preference_low", "preference_high"]
SHARED += ["collapsed", "flag_not_learnt"]


def scale(found: list[Tables]) -> pd.DataFrame:
    """Join the summaries of several sweeps, with each task's model and parameters (its number of weights)."""
    models = [tables.base.groupby("task")[["model", "parameters"]].first() for tables in found]
    summaries = [
        tables.summary.merge(model, left_on="task", right_index=True)
        for tables, model in zip(found, models, strict=True)
    ]
    return pd.concat(summaries, ignore_index=True)


def divergent(found: list[Tables], shown: Collection[tuple[str, str]]) -> pd.DataFrame:
    """Join what explanations state on divergent items, over several sweeps.

    Args:
        found: The tables of the sweeps.
        shown: (sweep, condition) of the rows that are kept.

    Returns:
        One row a profile, sweep, task and condition of `shown`: what `analysis.divergent.summarise` measures,
        SHARED of its summary, and its task's model and parameters (its number of weights).
    """
    frames = []
    for tables in found:
        profile, sweep = tables.keys["profile"], tables.keys["sweep"]
        conditions = [condition for name, condition in shown if name == sweep]
        if not conditions:
            continue
        by = ["task", "condition"]
        rows = on_divergent.of_items(tables.items).merge(tables.summary[[*by, *SHARED]], on=by)
        rows = rows[rows["condition"].isin(conditions)]
        model = tables.base.groupby("task")[["model", "parameters"]].first()
        rows = rows.merge(model, left_on="task", right_index=True, how="left")
        frames.append(rows.assign(profile=profile, sweep=sweep))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def write_study(of_sizes: Collection[str], of_divergent: Collection[tuple[str, str]]) -> None:
    """Put tables together over all sweeps that have them, into figures/data.

    Writes shift.parquet and sensor.parquet, with the rows of every sweep that has such a table; scale.parquet
    as `scale` makes it, and divergent.parquet as `divergent` does. A table without any row is not written.

    Args:
        of_sizes: The sweeps that enter scale.parquet, in every profile.
        of_divergent: (sweep, condition) of the rows of divergent.parquet, in every profile.
    """
    found = [read(*names) for names in collected()]
    whole = {}
    for name in SHIFT_TABLES:
        if frames := [frame for tables in found if (frame := getattr(tables, name)) is not None]:
            whole[name] = pd.concat(frames, ignore_index=True)
    if sized := [tables for tables in found if tables.keys["sweep"] in of_sizes]:
        whole["scale"] = scale(sized)
    if len(apart := divergent(found, of_divergent)):
        whole["divergent"] = apart
    for name, frame in whole.items():
        write_study_table(name, frame)
