"""From the circuits of finished runs to the tables of a sweep with patched items."""

from typing import Any

import pandas as pd

from coupling import files
from coupling.analysis import circuits, interventions
from coupling.analysis.measures import region_name
from coupling.runs import folders, records
from coupling.spec import Spec


def circuit_tables(runs: list[tuple[Spec, dict[str, Any]]], items: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Make the tables that only a sweep with patched items has, of complete runs that could be patched.

    Args:
        runs: Each run's spec, and the columns that name it within its task.
        items: The rows of the final step of these runs.

    Returns:
        The tables by name; none where no run could be patched.

    Raises:
        StoreError: Where the circuits of a run are neither there nor published.
    """
    found, under = [], []
    for spec, names in runs:
        folder = folders.circuits_folder(spec)
        if not (place := records.find(folder)):
            raise files.StoreError(f"the circuits of a run are missing: {records.why_not(folder)}")
        sites = files.read_table(place / "sites.parquet")
        if len(sites):
            found.append(sites.assign(**names, region=sites["held_out"].map(region_name)))
            under.append(files.read_table(place / "interventions.parquet").assign(**names))
    if not found:
        return {}
    sites = pd.concat(found, ignore_index=True)
    return {
        "circuits": circuits.maps(sites),
        "similarity": circuits.similarity(sites),
        "interventions": interventions.by_m0(pd.concat(under, ignore_index=True), items),
    }
