"""Write the tables of the whole study, from the tables of all sweeps."""

from coupling.analysis import gate, tables
from coupling.report import study
from coupling.report.figures import divergent, scale


def write_claims() -> None:
    """Decide the claims of all sweeps of the study anew, into figures/data/claims.parquet."""
    tables.write_study_table("claims", study.decided_claims())


def write_study_tables() -> None:
    """Write figures/data/shift.parquet, sensor.parquet, scale.parquet, divergent.parquet and gate.parquet.

    The first two hold the rows of every sweep that has such a table. The third holds the summaries of the
    sweeps that are shown by size of the model, and the fourth what the study's headline shows. The last holds
    what the gate found at medium, where it has been run.
    """
    tables.write_study(scale.shown(), divergent.SHOWN)
    found = gate.table("medium")
    if len(found):
        tables.write_study_table("gate", found)
