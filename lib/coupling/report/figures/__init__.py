"""Figures: one file each, drawn from committed tables alone and never from a model.

The figures are found by their files. A module of this package is a figure of a sweep if it has

- `WHAT`: what the figure shows, in one sentence without a full stop, and
- `of_sweep(data: Tables, sweep: Sweep) -> Figure`.

It is a figure of the whole study if it has `WHAT` and

- `TABLE`: the name of its table, figures/data/<TABLE>.parquet,
- `of_study(frame: DataFrame) -> Figure`, and
- where runs are behind it, `rests_on(sweep: str) -> bool`: whether the runs of this sweep are, and
- where it has parts, `parts(frame) -> dict[str, Figure]`: further figures, saved as figures/<name>/<part>.

A new figure is one new file. The name of the file is the name of the figure.
"""

import pkgutil
from importlib import import_module

from coupling.report.figures.drawing import (
    figure,
    has_table,
    report,
    save_schematic,
    schematic_figure,
    study_figure,
    study_figures,
    study_table,
    sweep_figures,
    what,
)
from coupling.report.figures.study_tables import write_claims, write_study_tables

__all__ = [
    "figure",
    "has_table",
    "report",
    "save_schematic",
    "schematic_figure",
    "study_figure",
    "study_figures",
    "study_table",
    "sweep_figures",
    "what",
    "write_claims",
    "write_study_tables",
]

for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
