"""Rules about pushes of half of the kinds: is behaviour followed, or has a prior changed (claim 5)?"""

from typing import Literal

import pandas as pd

from coupling.analysis import following
from coupling.analysis.claims.effects import (
    Control,
    Finding,
    above,
    contrast,
    difference,
    effect_of,
    judged,
)
from coupling.analysis.claims.evidence import Evidence
from coupling.analysis.claims.ref import Ref
from coupling.analysis.claims.rule import rule
from coupling.analysis.claims.rules.shifts import push_controls
from coupling.analysis.claims.shared import not_collapsed
from coupling.analysis.sensor import bias, corrected

Where = Literal["labelled", "unlabelled"]  # kinds with labels, and kinds without
ALIKE = 0.5  # least share that the smaller of two numbers of flipped labels has of the larger
OFF = 0.05  # the most by which a sensor may be off without a shift
WORDS = {
    "following": "following: taken items − spared items − spared items elsewhere",
    "beyond_drift": "flipped items − flipped items elsewhere − spared items",
}


def _of_kinds(rows: pd.DataFrame, where: Where) -> pd.DataFrame:
    return rows[rows["labelled"].astype(bool) == (where == "labelled")]


@rule
def follows_push(
    evidence: Evidence,
    task: str,
    one: Ref,
    other: Ref | None = None,
    where: Where = "unlabelled",
    measure: Literal["following", "beyond_drift"] = "following",
) -> Finding:
    """Decide whether explanations follow a push, beyond what a changed prior would do.

    Args:
        evidence: The tables.
        task: Name of the task, or of several joined by +.
        one: Runs that were pushed, or re-taught, on a half of the kinds or entities.
        other: Runs that were pushed the other way. With them the two directions are pooled.
        where: The kinds that are looked at.
        measure: "following", or "beyond_drift", which takes flipped items of the other kinds off instead.
    """
    ends = (one, other) if other else (one,)
    controls, found, of_flags = {}, [], False
    for condition in ends:
        rows = _of_kinds(evidence.shifted(condition, task), where)
        controls |= push_controls(evidence, task, condition, rows)
        of_flags |= not (rows["objective"] == "reteach").all()  # of facts the answers alone are compared
        found.append(following.following(rows))
    effect = effect_of(pd.concat(found).assign(seed=0), measure)
    return Finding(WORDS[measure], effect, controls, rests_on=ends, of_flags=of_flags)


@rule
def follows_direction(
    evidence: Evidence, task: str, down: Ref, up: Ref, where: Where = "unlabelled"
) -> Finding:
    """Decide whether explanations tell the direction of a push: the same as following, down against up.

    Args:
        evidence: The tables.
        task: Name of the task, or of several joined by +.
        down: Runs that were pushed down.
        up: Runs of the same M0s and seeds that were pushed up, on the same kinds.
        where: The kinds that are looked at.
    """
    controls, found = {}, []
    for own, opposite in ((down, up), (up, down)):
        controls |= push_controls(evidence, task, own, _of_kinds(evidence.shifted(own, task), where))
        for name in task.split("+"):
            rows, reference = (_of_kinds(evidence.shifted(one, name), where) for one in (own, opposite))
            against = rows.assign(**following.compared(rows, reference))
            found.append(following.following(against))
    effect = effect_of(pd.concat(found).assign(seed=0), "following")
    return Finding(f"{WORDS['following']}; down against up", effect, controls, rests_on=(down, up))


@rule
def flips_stated(evidence: Evidence, task: str, condition: Ref) -> Finding:
    """Measure what explanations know of flipped items that no push has flipped.

    Args:
        evidence: The tables.
        task: Name of the task.
        condition: Runs with a neutral objective, which are compared with unshifted runs; or unshifted runs,
            which are compared with those of the next explainer seed.
    """
    rows = evidence.shifted(condition, task)
    if (rows["objective"] == "none").all():
        rows = following.drift(rows)
    measure = "on flipped items: own behaviour stated − stated by the run that they are compared with"
    controls = not_collapsed(evidence, task, condition)
    return Finding(measure, effect_of(rows, "flipped_gain"), controls, rests_on=(condition,))


@rule
def knowledge_over_policy(
    evidence: Evidence, task: str, knowledge: Ref, policy: Ref, part: following.Part
) -> Finding:
    """Decide whether taught facts are followed more than a taught policy, on the same entities.

    Args:
        evidence: The tables.
        task: Name of the task.
        knowledge: Runs in which facts were taught anew about a half of the tested entities.
        policy: Runs in which a push acted on the same entities.
        part: The part of the label that is compared, on items on which this part flipped.
    """
    column = f"{part}_gain"
    taught = [evidence.shifted(condition, task) for condition in (knowledge, policy)]
    taught = [rows[rows["pushed"].astype(bool)] for rows in taught]
    controls: dict[str, Control] = {}
    for name, condition in (("facts", knowledge), ("policy", policy)):
        fit = not_collapsed(evidence, task, condition)
        controls |= {f"{name}: {what}": outcome for what, outcome in fit.items()}
    counts = [float(rows[column].notna().sum()) for rows in taught]
    alike = judged(min(counts) >= ALIKE * max(*counts, 1.0))
    controls[f"of the two, the smaller number of flipped {part}s is at least {ALIKE} of the larger"] = alike
    measure = f"on flipped {part}s: stated by own − by unshifted explanations, facts − policy"
    return Finding(
        measure,
        contrast(*taught, column),
        controls,
        rests_on=(knowledge, policy),
        of_flags=part == "flag",
    )


@rule
def senses_corrected(
    evidence: Evidence, task: str, down: Ref, up: Ref, unshifted: Ref, search: Ref
) -> Finding:
    """Decide whether a sensor without its bias comes nearer to a shifted rate than M0's rate does.

    Args:
        evidence: The tables.
        task: Name of the task.
        down: Runs that were pushed down.
        up: Runs that were pushed up.
        unshifted: Runs of the same M0s without a shift.
        search: Runs of other M0s without a shift, on which the bias is measured.
    """

    def read(condition: Ref) -> pd.DataFrame:
        rows = evidence.table("sensor", condition.sweep, task=task, condition=condition.condition)
        return rows[rows["step"] == rows["step"].max()]

    by = bias(read(search))
    plain, *pushed = (corrected(read(condition), by) for condition in (unshifted, down, up))
    both = pd.concat(pushed, ignore_index=True)
    both["gained"] = (both["m0_rate"] - both["measured"]).abs() - (both["estimated"] - both["measured"]).abs()
    cells = both.groupby(["m0_seed", "seed"], as_index=False)["gained"].mean()
    off = abs((plain["estimated"] - plain["measured"]).mean())
    apart = difference(pushed[1], pushed[0], "estimated").groupby("m0_seed")["estimated"].mean()
    controls = {
        f"without a shift no further off than {OFF}, as a mean": judged(off <= OFF, off),
        "says more after up than after down, in each M0": judged((apart > 0).all(), *apart),
        **_both_pushed(evidence, task, down, up),
    }
    measure = "error of always saying M0's rate − error of the sensor without its bias"
    return Finding(measure, effect_of(cells, "gained"), controls)


def _both_pushed(evidence: Evidence, task: str, *ends: Ref) -> dict[str, Control]:
    """Return the control that the rate is higher after a push up than after a push down."""
    low, high = (evidence.shifted(condition, task) for condition in ends)
    apart = effect_of(difference(high, low, "rate"), "rate")
    return {"the rate is higher after up than after down": above(apart)}
