"""The rule about the size of the model (own claim; docs/method.md, "Size")."""

from typing import Literal

import numpy as np
import pandas as pd

from coupling import sweep as sweeps
from coupling.analysis import preference, resampling
from coupling.analysis.claims.effects import MATTERS, Control, Effect, Finding, above, over_seeds
from coupling.analysis.claims.evidence import Evidence
from coupling.analysis.claims.preferring import MATTERS as PREFERENCE_MATTERS
from coupling.analysis.claims.preferring import by_seed, pairs_in
from coupling.analysis.claims.ref import Ref
from coupling.analysis.claims.rule import rule
from coupling.analysis.claims.shared import unlabelled
from coupling.analysis.measures import over_tasks


@rule
def grows(
    evidence: Evidence,
    task: str,
    small: Ref,
    middle: Ref,
    large: Ref,
    measure: Literal["preference", "gap"] = "preference",
    kinds: Literal["all", "held out"] = "all",
) -> Finding:
    """Decide whether coupling grows with the number of weights.

    Args:
        evidence: The tables.
        task: Name of the task, or of several joined by +, whose M0 means are averaged.
        small: The condition whose model has the fewest weights.
        middle: The condition whose model lies between.
        large: The condition whose model has the most weights.
        measure: "preference" for the primary measure, "gap" for the paper's own.
        kinds: "all" for all test items, "held out" for those on kinds without labels.
    """
    refs = (small, middle, large)
    values = [_by_m0(evidence, task, ref, measure, kinds) for ref in refs]
    sizes = np.repeat([np.log(_weights(evidence, ref)) for ref in refs], [len(part) for part in values])
    null, matters, called = {
        "preference": (preference.NULL, PREFERENCE_MATTERS, "one half"),
        "gap": (0.0, MATTERS, "zero"),
    }[measure]
    controls: dict[str, Control] = {
        "no collapsed run at any size": not any(evidence.collapsed(ref, task) for ref in refs),
        f"{measure} above {called} at {large.condition}": above(over_seeds(values[-1], null=null)),
    }
    where = "" if kinds == "all" else " on kinds without labels"
    name = f"{measure}{where} at {large.condition} − at {small.condition}, by a line over log weights"
    return Finding(name, _along(sizes, np.concatenate(values), matters), controls, rests_on=refs)


def _by_m0(evidence: Evidence, task: str, ref: Ref, measure: str, kinds: str) -> pd.Series:
    """One value an M0, the mean over its tasks."""
    if measure == "preference" and kinds == "all":
        return by_seed(evidence.pairs(ref, task))[0]
    rows = evidence.rows(ref, task) if kinds == "all" else unlabelled(evidence, task, ref)
    if measure == "preference":
        return by_seed(pairs_in(rows))[0]
    return over_tasks(rows, measure)


def _weights(evidence: Evidence, ref: Ref) -> float:
    """The number of weights of a condition's model."""
    plan = sweeps.plan(evidence.profile, ref.sweep)
    model = next(spec.model for name, spec in plan if name == ref.condition)
    return float(evidence.table("base", ref.sweep, model=model)["parameters"].iloc[0])


def _along(sizes: np.ndarray, values: np.ndarray, matters: float) -> Effect:
    """Return how far the line through the values of all M0s rises from the smallest to the largest size.

    Args:
        sizes: The logarithm of the number of weights of each M0.
        values: The value of each M0.
        matters: The smallest rise that would matter.
    """
    places = (sizes - sizes.min()) / np.ptp(sizes)
    rise, low, high, p = resampling.slope_interval(places, values)
    upper = resampling.slope_interval(places, values, 0.9)[2]
    why = "" if np.isfinite(rise) else "fewer than three M0s have a number"
    return Effect(rise, low, high, p, len(values), why=why, matters=matters, upper=upper, drawn=(low, high))
