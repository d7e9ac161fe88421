"""What rules read: the tables of one profile, each read and measured once."""

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import pandas as pd

from coupling import files
from coupling.analysis import measures, preference, tables, tracking
from coupling.analysis.claims.effects import Effect, effect_of
from coupling.analysis.claims.ref import Ref
from coupling.analysis.controls import diagonal_test
from coupling.errors import StudyError


class PlanError(StudyError):
    """A claim asks for what its rule cannot decide, or two rows claim to be the primary test of one claim."""


class NotMeasuredError(StudyError):
    """A table, task or condition that a rule needs has not been run."""


class Evidence:
    """The tables of one profile.

    All frames that it gives are shared between rules, so that none may change them. A task may be several,
    joined by +, whose rows are then pooled; each of them must have been run.

    Attributes:
        profile: Name of the profile.
        table: Rows of a sweep's table in which columns have some values, as (name of the table, which is a
            field of `tables.Tables`; name of the sweep, or the path of a user's own; values by column). It
            raises NotMeasuredError where the sweep has no such table, or the table no such row, and
            StoreError where the table is there but damaged.
        rows: Rows of a condition, as (ref, task): the items of the final step with their measures.
        effect: Effect of a column of such rows, as (ref, task, column).
        finals: One row a run of a condition at its final step, as (ref, task).
        units: What `preference.units` counts, as (ref, task): a dictionary for each task.
        pairs: Preferences of the pairs of runs of a condition at the final step, as (ref, task), with task.
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
        self.table = cache(self._table)
        self._measured = cache(self._measured_shifts)
        self.finals = cache(self._finals)
        self.rows = cache(self._rows)
        self.units = cache(self._units)
        self.pairs = cache(self._pairs)
        self.effect = cache(self._effect)
        self.shifted = cache(self._shifted)
        self.directions = cache(self._directions)

    def _table(self, name: str, sweep: str, **where: object) -> pd.DataFrame:
        try:
            frame = getattr(self._read(sweep), name)
        except files.StoreError as error:
            if any(tables.folder(self.profile, sweep).glob("*.*")):  # there in part, or damaged
                raise
            raise NotMeasuredError(str(error)) from None
        if frame is None:
            raise NotMeasuredError(f"{self.profile} {sweep} has no table {name}")
        tasks = str(where.pop("task")).split("+") if "task" in where else []
        kept = np.ones(len(frame), bool)
        for column, value in where.items():
            kept &= (frame[column] == value).to_numpy(bool)
        if tasks:
            kept &= frame["task"].isin(tasks).to_numpy()
        frame = frame[kept]
        if frame.empty or not set(tasks) <= set(frame["task"].unique()):
            about = where | ({"task": "+".join(tasks)} if tasks else {})
            raise NotMeasuredError(f"{self.profile} {sweep}, table {name}: no row of {about}")
        return frame

    def line(self, ref: Ref, task: str) -> pd.Series:
        """Return the summary of a condition on one task. Raises PlanError for several tasks."""
        if "+" in task:
            raise PlanError(f"{ref.sweep}, {task}: this rule takes one task; give each a claim of its own")
        return self.table("summary", ref.sweep, task=task, condition=ref.condition).iloc[0]

    def _finals(self, ref: Ref, task: str) -> pd.DataFrame:
        runs = self.runs(ref, task)
        return runs[runs["step"] == runs.groupby("task")["step"].transform("max")]

    def runs(self, ref: Ref, task: str) -> pd.DataFrame:
        """Return one row a run and evaluation of a condition."""
        return self.table("runs", ref.sweep, task=task, condition=ref.condition)

    def collapsed(self, ref: Ref, task: str) -> float:
        """Return the share of a condition's runs that collapsed."""
        return float((self.finals(ref, task)["collapsed"] != "").mean())

    def _rows(self, ref: Ref, task: str) -> pd.DataFrame:
        tasks = task.split("+")
        if len(tasks) > 1:
            return pd.concat([self.rows(ref, name) for name in tasks], ignore_index=True)
        return measures.with_measures(self.table("items", ref.sweep, task=task, condition=ref.condition))

    def _units(self, ref: Ref, task: str) -> list[dict[tuple, preference.Unit]]:
        tasks = task.split("+")
        if len(tasks) > 1:
            return [self.units(ref, name)[0] for name in tasks]
        return [preference.units(self.rows(ref, task))]

    def _pairs(self, ref: Ref, task: str) -> pd.DataFrame:
        tasks = task.split("+")
        if len(tasks) > 1:
            return pd.concat([self.pairs(ref, name) for name in tasks], ignore_index=True)
        return preference.of_units(self.units(ref, task)[0]).assign(task=task)

    def _measured_shifts(self, sweep: str, task: str) -> pd.DataFrame:
        tasks = task.split("+")
        if len(tasks) > 1:
            return pd.concat([self._measured(sweep, name) for name in tasks], ignore_index=True)
        return tracking.measured(self.table("items", sweep, task=task))

    def _effect(self, ref: Ref, task: str, column: str) -> Effect:
        # The excess gap is zero by construction where runs drift alike, so that a small one says little.
        matters = 0.0 if column == "excess" else None
        return effect_of(self.rows(ref, task), column, matters=matters)

    def _shifted(self, ref: Ref, task: str) -> pd.DataFrame:
        rows = self._measured(ref.sweep, task)
        rows = rows[rows["condition"] == ref.condition]
        if rows.empty:
            raise NotMeasuredError(f"{self.profile} {ref.sweep}: no row of {task}, {ref.condition}")
        return rows

    def _directions(self, sweep: str, task: str, strength: float) -> dict[str, float]:
        return diagonal_test(tracking.across_directions(self.table("items", sweep, task=task), strength))
