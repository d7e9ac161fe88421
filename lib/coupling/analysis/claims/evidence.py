"""What rules read: the tables of one profile, each read and measured once."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import pandas as pd

from coupling import files
from coupling.analysis import measures, tables, tracking
from coupling.analysis.claims.effects import Effect, effect_of
from coupling.analysis.controls import diagonal_test
from coupling.errors import StudyError


class NotMeasuredError(StudyError):
    """A table, task or condition that a rule needs has not been run."""


@dataclass(frozen=True)
class Ref:
    """A condition of a sweep.

    Attributes:
        sweep: Name of the sweep, or the path of a user's own.
        condition: Name of the condition.
    """

    sweep: str
    condition: str


class Evidence:
    """The tables of one profile.

    All frames that it gives are shared between rules, so that none may change them.

    Attributes:
        profile: Name of the profile.
        rows: Rows of a condition, as (ref, task): the items of the final step with their measures.
        effect: Effect of a column of such rows, as (ref, task, column).
        shifted: Rows of a condition of a sweep of shifts, as (ref, task), with the measures of
            `tracking.measured`.
        directions: Test of the matrix across directions, as (sweep, task, strength); see
            `tracking.across_directions`.
    """

    def __init__(self, profile: str, read: Callable[[str, str], tables.Tables] = tables.read) -> None:
        """Prepare to read the tables of a profile.

        Args:
            profile: Name of the profile.
            read: Reads the tables of (profile, sweep).
        """
        self.profile = profile
        self._read = cache(partial(read, profile))
        self._measured = cache(lambda sweep, task: tracking.measured(self.table("items", sweep, task=task)))
        self.rows = cache(self._rows)
        self.effect = cache(self._effect)
        self.shifted = cache(self._shifted)
        self.directions = cache(self._directions)

    def table(self, name: str, sweep: str, **where: object) -> pd.DataFrame:
        """Return the rows of a sweep's table in which columns have these values.

        Args:
            name: Name of the table, a field of `tables.Tables`.
            sweep: Name of the sweep, or the path of a user's own.
            **where: Values by column.

        Raises:
            NotMeasuredError: Where the sweep has no such table, or the table no such row.
            StoreError: Where the table is there but damaged.
        """
        try:
            frame = getattr(self._read(sweep), name)
        except files.StoreError as error:
            if (tables.folder(self.profile, sweep) / "keys.json").exists():
                raise
            raise NotMeasuredError(str(error)) from None
        if frame is None:
            raise NotMeasuredError(f"{self.profile} {sweep} has no table {name}")
        for column, value in where.items():
            frame = frame[frame[column] == value]
        if frame.empty:
            raise NotMeasuredError(f"{self.profile} {sweep}, table {name}: no row of {where}")
        return frame

    def line(self, ref: Ref, task: str) -> pd.Series:
        """Return the summary of a condition."""
        return self.table("summary", ref.sweep, task=task, condition=ref.condition).iloc[0]

    def finals(self, ref: Ref, task: str) -> pd.DataFrame:
        """Return one row a run of a condition, at its final step."""
        runs = self.table("runs", ref.sweep, task=task, condition=ref.condition)
        return runs[runs["step"] == runs["step"].max()]

    def collapsed(self, ref: Ref, task: str) -> float:
        """Return the share of a condition's runs that collapsed."""
        return float((self.finals(ref, task)["collapsed"] != "").mean())

    def _rows(self, ref: Ref, task: str) -> pd.DataFrame:
        return measures.with_measures(self.table("items", ref.sweep, task=task, condition=ref.condition))

    def _effect(self, ref: Ref, task: str, column: str) -> Effect:
        return effect_of(self.rows(ref, task), column)

    def _shifted(self, ref: Ref, task: str) -> pd.DataFrame:
        rows = self._measured(ref.sweep, task)
        rows = rows[rows["condition"] == ref.condition]
        if rows.empty:
            raise NotMeasuredError(f"{self.profile} {ref.sweep}: no row of {task}, {ref.condition}")
        return rows

    def _directions(self, sweep: str, task: str, strength: float) -> dict[str, float]:
        return diagonal_test(tracking.across_directions(self.table("items", sweep, task=task), strength))
