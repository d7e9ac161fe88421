"""The small tables behind every figure: collected from finished runs, committed, and read back.

`figures/data/<profile>/<sweep>/` holds the committed tables of a sweep, and `results/tables/` in the same way
those of the user's own runs. The folder of a sweep has:

- items.parquet: the rows of each run's final step, with condition and seeds.
- runs.csv: every measure of each run and evaluation.
- summary.csv: one row a condition, at the final step.
- dynamics.csv: means and intervals at each evaluation, over the items that all evaluations asked.
- regions.csv: means and intervals at the final step, apart for kinds of items with and without labels.
- lead_lag.csv: who moves from one evaluation to the next.
- preference.csv: whose behaviour explanations state, one row a pair of runs, evaluation and region.
- teacher.csv: the explanations of each run against the behaviour of each run from the same label source.
- base.csv: one row a task and M0, with the health of the M0.
- shift.parquet and sensor.parquet, of sweeps with shifts: one row a run and region (kinds with and without
  labels, pushed or not), and one row a run and evaluation.
- circuits.parquet, similarity.parquet and interventions.parquet, of sweeps with patched items: the mean
  effect of each patch, how alike the maps of behaviour and explanation are, one row a run, and what ablation,
  steering and surgery do, one row an M0 and intervention.
- keys.json: the runs that the tables come from.
- SHA256SUMS: the checksums of all these, as `sha256sum -c` reads them.

The same runs give the same bytes.
"""

from coupling.analysis.tables.collecting import collect
from coupling.analysis.tables.committed import (
    COMPARED,
    SHIFT_TABLES,
    SUMMARY,
    Tables,
    collected,
    compare,
    folder,
    read,
    read_keys,
    write,
    write_study_table,
)
from coupling.analysis.tables.study import divergent, scale, write_study

__all__ = [
    "COMPARED",
    "SHIFT_TABLES",
    "SUMMARY",
    "Tables",
    "collect",
    "collected",
    "compare",
    "divergent",
    "folder",
    "read",
    "read_keys",
    "scale",
    "write",
    "write_study",
    "write_study_table",
]
