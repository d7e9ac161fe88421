"""The tables of the whole study, put together from the tables of all sweeps."""

from collections.abc import Collection

import pandas as pd

from coupling.analysis.tables.committed import SHIFT_TABLES, Tables, collected, read, write_study_table


def scale(found: list[Tables]) -> pd.DataFrame:
    """Join the summaries of several sweeps, with each task's model and parameters (its number of weights)."""
    models = [tables.base.groupby("task")[["model", "parameters"]].first() for tables in found]
    summaries = [
        tables.summary.merge(model, left_on="task", right_index=True)
        for tables, model in zip(found, models, strict=True)
    ]
    return pd.concat(summaries, ignore_index=True)


def write_study(of_sizes: Collection[str]) -> None:
    """Put tables together over all sweeps that have them, into figures/data.

    Writes shift.parquet and sensor.parquet, with the rows of every sweep that has such a table, and
    scale.parquet, as `scale` makes it. A table without any row is not written.

    Args:
        of_sizes: The sweeps that enter scale.parquet, in every profile.
    """
    found = [read(*names) for names in collected()]
    whole = {}
    for name in SHIFT_TABLES:
        if frames := [frame for tables in found if (frame := getattr(tables, name)) is not None]:
            whole[name] = pd.concat(frames, ignore_index=True)
    if sized := [tables for tables in found if tables.keys["sweep"] in of_sizes]:
        whole["scale"] = scale(sized)
    for name, frame in whole.items():
        write_study_table(name, frame)
