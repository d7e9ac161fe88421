"""Controls and choices of rows that several rules share."""

from collections.abc import Callable

import pandas as pd

from coupling import sweep as sweeps
from coupling.analysis.claims.effects import Control, Finding, Missing, above, judged, runs_above
from coupling.analysis.claims.evidence import Evidence, NotMeasuredError
from coupling.analysis.claims.ref import Ref
from coupling.tasks.splits import held_out_kinds

Tests = dict[str, tuple[float, bool]]


def above_constant(evidence: Evidence, task: str, condition: Ref) -> dict[str, Control]:
    """Return the control that the best single label, chosen with hindsight, does less well than self."""
    runs = evidence.finals(condition, task)
    return {"best constant label below self": runs_above(runs, "self", "best_constant")}


def not_collapsed(evidence: Evidence, task: str, condition: Ref) -> dict[str, Control]:
    """Return the control that no run of a condition collapsed."""
    return {"no collapsed run": not evidence.collapsed(condition, task)}


def beyond_flips(evidence: Evidence, task: str, condition: Ref) -> dict[str, Control]:
    """Return the control that behaviour changed more than arithmetic alone changes it.

    The floor is the largest share of behaviours of an M0 that flip when only batch shape or dtype changes.
    """
    floor = evidence.table("base", condition.sweep, task=task).filter(like="flips_").max(axis=None)
    low = evidence.effect(condition, task, "divergent").low
    return {"divergent share above the flip-noise floor": judged(low > floor, low, floor)}


def mcnemar(evidence: Evidence, task: str, condition: Ref) -> Tests:
    """Return McNemar's test on the divergent items whose explanation states one of the two behaviours."""
    line = evidence.line(condition, task)
    name = "decided divergent items go with self (McNemar)"
    return {name: (float(line["mcnemar_p"]), bool(line["decided_self"] > 0.5))}


def outcome(control: Callable[[], Control]) -> Control:
    """Return the outcome of a control whose runs are perhaps missing, without the whole claim being so."""
    try:
        return control()
    except NotMeasuredError:
        return Missing.NOT_RUN


def excess_gap(
    evidence: Evidence,
    task: str,
    condition: Ref,
    controls: dict[str, Control] | None = None,
    tests: Tests | None = None,
) -> Finding:
    """Return the excess gap of a condition beside the controls of every such row.

    Args:
        evidence: The tables.
        task: Name of the task.
        condition: The condition.
        controls: Further controls.
        tests: Further tests.
    """
    gap = {"gap above zero": above(evidence.effect(condition, task, "gap"))}
    return Finding(
        "excess gap",
        evidence.effect(condition, task, "excess"),
        gap | above_constant(evidence, task, condition) | (controls or {}),
        mcnemar(evidence, task, condition) | (tests or {}),
        rests_on=(condition,),
    )


def unlabelled(evidence: Evidence, task: str, condition: Ref) -> pd.DataFrame:
    """Return the rows of a condition on kinds without labels, by what its sweep holds out.

    Args:
        evidence: The tables.
        task: Name of the task, or of several joined by +.
        condition: A condition in which some kinds have no labels.

    Raises:
        NotMeasuredError: Where all kinds have labels.
    """
    rows, parts = evidence.rows(condition, task), []
    plan = [
        spec for name, spec in sweeps.plan(evidence.profile, condition.sweep) if name == condition.condition
    ]
    for name in task.split("+"):
        closed = [spec for spec in plan if spec.held_out and name in spec.tasks]
        if not closed:
            raise NotMeasuredError(
                f"{condition.sweep}, {condition.condition}: all kinds of {name} have labels"
            )
        mine = rows[rows["task"] == name]
        parts.append(mine[mine["kind"].isin(held_out_kinds(mine["kind"], closed[0]))])
    return pd.concat(parts, ignore_index=True)
