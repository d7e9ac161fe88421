"""Preference as an effect, of one condition or of two compared (docs/method.md, "Preference")."""

from dataclasses import replace

import numpy as np
import pandas as pd

from coupling.analysis import preference
from coupling.analysis.claims.effects import NAN, Effect, over_seeds
from coupling.analysis.claims.evidence import Evidence
from coupling.analysis.claims.ref import Ref
from coupling.analysis.measures import over_tasks

MATTERS = 0.05  # the smallest preference beyond 0.5 that would matter, and the smallest difference of two
_WHY = "preference needs two explainers of one M0 and items that just one of them left"


def prefers(evidence: Evidence, task: str, condition: Ref) -> Effect:
    """Return the preference of a condition, tested against 0.5 by dealing the explanations out.

    Its interval is t over M0 means, or over the explainers of a single M0 by the jackknife.

    Args:
        evidence: The tables.
        task: Name of the task, or of several joined by +, whose M0 means are averaged.
        condition: The condition.
    """
    seeds = evidence.rows(condition, task)["m0_seed"].nunique()
    units = [list(found.values()) for found in evidence.units(condition, task)]
    return _tested(units, evidence.pairs(condition, task), seeds)


def prefers_in(rows: pd.DataFrame) -> Effect:
    """Return the preference in some rows of one condition, with the columns that `preference.units` takes."""
    units, pairs = _dealt(rows)
    return _tested(units, pairs, rows["m0_seed"].nunique())


def pairs_in(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `preference.of_units`, with task, of some rows of one condition."""
    return _dealt(rows)[1]


def _dealt(rows: pd.DataFrame) -> tuple[list[list[preference.Unit]], pd.DataFrame]:
    """Units of each task, and the pairs of all tasks."""
    units = {task: preference.units(part) for task, part in rows.groupby("task")}
    pairs = [preference.of_units(found).assign(task=task) for task, found in units.items()]
    return [list(found.values()) for found in units.values()], pd.concat(pairs, ignore_index=True)


def _tested(units: list[list[preference.Unit]], pairs: pd.DataFrame, seeds: int) -> Effect:
    null, matters = preference.NULL, preference.NULL + MATTERS
    tested = preference.deal(units)
    values, unit = by_seed(pairs)
    if not len(values):
        return Effect(NAN, NAN, NAN, NAN, seeds, null, matters=matters, why=_WHY)
    effect = over_seeds(values, unit, null, matters)
    return replace(effect, value=tested.preference, p=tested.p, least=1 / tested.ways)


def prefers_more(evidence: Evidence, task: str, one: Ref, other: Ref) -> Effect:
    """Return the preference of one condition less that of another, by paired t over M0 means.

    Args:
        evidence: The tables.
        task: Name of the task, or of several joined by +.
        one: The condition that should have the higher preference.
        other: The other condition, with the same M0s.
    """
    (ours, unit), (theirs, _) = (by_seed(evidence.pairs(ref, task)) for ref in (one, other))
    both = (ours - theirs).dropna()
    if not len(both):
        return Effect(NAN, NAN, NAN, NAN, len(ours), matters=MATTERS, why=_WHY)
    return over_seeds(both, unit, 0.0, MATTERS)


def by_seed(pairs: pd.DataFrame) -> tuple[pd.Series, str]:
    """Return one preference an M0, the mean over its tasks; of a single M0 one an explainer.

    An M0 that has no preference on one of several tasks has none.

    Args:
        pairs: Rows of `preference.of_units` with the column task.

    Returns:
        The preferences, float64, by M0 seed or explainer seed, and what they are of ("M0s", "explainers").
    """
    pairs = pairs.assign(preference=pairs["preference"].astype(float))
    each = over_tasks(pairs, "preference")
    if pairs["m0_seed"].nunique() > 1 or pairs.empty:
        return each, "M0s"
    parts = [preference.over_explainers(part) for _, part in pairs.groupby("task")]
    if not all(len(part) for part in parts):
        return each, "M0s"
    runs = sorted({*pairs["first"], *pairs["second"]})
    return pd.Series(np.mean(parts, axis=0), index=runs), "explainers"
