"""What came out, in words: for every figure a table of the columns that matter, and sentences made from it.

`of_sweep` and `of_study` look for a function of the figure's name in the modules of this package. Notebooks
and docs/results.md show what they return, so that both say the same. No number is typed: sentences are made
from the tables by `words`.
"""

from dataclasses import replace
from typing import Any

import pandas as pd

from coupling.analysis import tables
from coupling.report import study as sweeps
from coupling.report.answers import circuits, conditions, interventions, regions, shifts, size, study
from coupling.report.answers.answer import Answer
from coupling.spec import SpecError, suggest

__all__ = ["Answer", "of_study", "of_sweep", "of_tables"]

_OF_SWEEP = {
    function.__name__: function
    for function in (
        conditions.headline,
        conditions.curve,
        conditions.depth,
        conditions.teacher_matrix,
        conditions.dynamics,
        shifts.tracking,
        shifts.following,
        shifts.directions,
        shifts.order,
        shifts.reteaching,
        shifts.sensor,
        regions.new_behaviour,
        regions.held_out,
        circuits.circuits,
        interventions.interventions,
        size.size,
        study.regime,
    )
}
_OF_STUDY = {function.__name__: function for function in (study.claims, study.scale, study.speed)}


def of_sweep(
    figure: str, profile: str, sweep: str, conditions: tuple[str, ...] = (), own: bool = False
) -> Answer:
    """Say what a figure of a sweep shows.

    Args:
        figure: Name of the figure.
        profile: Name of the profile.
        sweep: Name of a sweep of the study, or the path of a user's own YAML file.
        conditions: The conditions that are wanted. None: all of the sweep.
        own: Whether the tables of the user's own runs are meant, and not the committed ones.

    Raises:
        SpecError: For a figure that has nothing to say, and where there is no such sweep.
        StoreError: Where the sweep has no tables.
    """
    sweeps.load(sweep)
    return of_tables(figure, tables.read(profile, sweep, own), conditions)


def of_tables(figure: str, data: tables.Tables, conditions: tuple[str, ...] = ()) -> Answer:
    """Say what a figure shows of these tables; see `of_sweep`."""
    function = _known(figure, _OF_SWEEP)
    return function(_only(data, conditions) if conditions else data)


def of_study(figure: str, table: pd.DataFrame) -> Answer:
    """Say what a figure of the whole study shows.

    Args:
        figure: Name of the figure.
        table: The table that it is drawn from.

    Raises:
        SpecError: For a figure that has nothing to say.
    """
    return _known(figure, _OF_STUDY)(table)


def _known(figure: str, functions: dict[str, Any]) -> Any:
    if figure not in functions:
        raise SpecError(f"unknown figure {figure!r}: {suggest(figure, list(functions))}")
    return functions[figure]


def _only(data: tables.Tables, conditions: tuple[str, ...]) -> tables.Tables:
    """Return tables with the rows of some conditions alone."""
    kept = {
        name: frame[frame["condition"].isin(conditions)]
        for name, frame in vars(data).items()
        if isinstance(frame, pd.DataFrame) and "condition" in frame
    }
    return replace(data, **kept)
