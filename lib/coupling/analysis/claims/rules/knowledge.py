"""Rules about what M0 knows, and about what never had labels (claims 9 and 11, and our own on depth)."""

from typing import Literal

import pandas as pd

from coupling.analysis import measures
from coupling.analysis.claims.effects import (
    Finding,
    above,
    contrast,
    difference,
    effect_of,
    judged,
    no_effect,
    runs_above,
)
from coupling.analysis.claims.evidence import Evidence, NotMeasuredError
from coupling.analysis.claims.preferring import prefers_in
from coupling.analysis.claims.ref import Ref
from coupling.analysis.claims.rule import rule
from coupling.analysis.claims.shared import unlabelled
from coupling.analysis.depth import with_depth

LEARNT = 0.8  # share of right answers from which on a behaviour counts as learnt
CONSTANT = 0.5  # share of M0's commonest label from which on its labels count as near-constant
WHOLE = 1.0  # checkpoint of an M0 whose preparation is finished


@rule
def new_behaviour(evidence: Evidence, task: str, explained: Ref, alone: Ref) -> Finding:
    """Decide whether a behaviour is explained whose explanations were never trained.

    Args:
        evidence: The tables.
        task: Name of the task with the new behaviour.
        explained: The behaviour, taught beside explanations of other tasks.
        alone: The behaviour, taught without any explanations.
    """
    runs, silent = (evidence.finals(condition, task) for condition in (explained, alone))
    right = runs[["gold_match", "cue_match"]].mean()
    controls = {
        "above the best constant label": runs_above(runs, "forced_self", "best_constant"),
        f"the behaviour is learnt ({LEARNT} right)": judged(right.min() >= LEARNT, *right),
    }
    gained = effect_of(difference(runs, silent, "forced_self"), "forced_self")
    return Finding("self, forced to a label − the same with behaviour training alone", gained, controls)


@rule
def region(
    evidence: Evidence, task: str, condition: Ref, measure: Literal["preference", "gap"] = "gap"
) -> Finding:
    """Decide whether explanations follow behaviour on kinds of items without labels.

    Args:
        evidence: The tables.
        task: Name of the task, or of several joined by +.
        condition: The condition in which some kinds have no labels.
        measure: "preference" for the primary measure, "gap" for the paper's own.
    """
    rows = unlabelled(evidence, task, condition)
    gap = effect_of(rows, "gap")
    if measure == "preference":
        effect = prefers_in(rows)
        controls = {"gap above zero there": above(gap)}
        return Finding("preference on kinds without labels", effect, controls, rests_on=(condition,))
    controls = {"excess gap above zero there": above(effect_of(rows, "excess"))}
    return Finding("gap on kinds without labels", gap, controls, rests_on=(condition,))


def _beyond_labels(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row a run: share of its commonest explanation less that of the commonest current label."""

    def top(codes: pd.Series) -> float:
        return float(codes.value_counts(normalize=True).iloc[0])

    def beyond(run: pd.DataFrame) -> float:
        return top(measures.stated_code(run)) - top(measures.label_code(run, ""))

    over = rows.groupby(["m0_seed", "seed"]).apply(beyond, include_groups=False)
    return over.rename("over").reset_index()


@rule
def near_constant(evidence: Evidence, task: str, early: Ref, whole: Ref, early_checkpoint: float) -> Finding:
    """Decide whether explanations collapse to the commonest class where labels are nearly constant.

    Args:
        evidence: The tables.
        task: Name of the task.
        early: Labels of an M0 that is early in its preparation, which are nearly constant.
        whole: Labels of the whole M0, where the same must not be seen.
        early_checkpoint: Checkpoint of the early M0, as a share of its preparation.
    """
    excesses = {ref: effect_of(_beyond_labels(evidence.rows(ref, task)), "over") for ref in (early, whole)}
    base = evidence.table("base", early.sweep, task=task, m0_checkpoint=early_checkpoint)
    share = base["top_label_share"].mean()
    controls = {
        f"commonest label of M0 at least {CONSTANT}": judged(share >= CONSTANT, share),
        "not so for M0 whole (equivalence)": no_effect(excesses[whole]),
    }
    return Finding("commonest explanation − commonest current label", excesses[early], controls)


@rule
def depth_within(evidence: Evidence, task: str, condition: Ref) -> Finding:
    """Decide whether the gap is larger on the third of the entities met most than on the third met least."""
    rows = with_depth(evidence.rows(condition, task), evidence.profile, condition.sweep, 3)
    often, seldom = rows[rows["depth"] == 2], rows[rows["depth"] == 0]
    knows, agreement = (
        float(often[m].astype(float).mean()) - float(seldom[m].astype(float).mean())
        for m in ("knows", "agreement")
    )
    controls = {
        "M0 right more often on the former": judged(knows > 0, knows),
        "agreement higher there by no more than 0.1": judged(agreement <= 0.1, agreement),
    }
    measure = "gap on the third of the entities met most − met least"
    return Finding(measure, contrast(often, seldom, "gap"), controls, rests_on=(condition,))


@rule
def depth_between(evidence: Evidence, task: str, early: Ref, whole: Ref, early_checkpoint: float) -> Finding:
    """Decide whether the gap is larger for a whole M0 than for one that is early in its preparation.

    Args:
        evidence: The tables.
        task: Name of the task.
        early: The condition with the early M0.
        whole: The condition with the whole M0.
        early_checkpoint: Checkpoint of the early M0, as a share of its preparation.
    """
    over = difference(evidence.rows(whole, task), evidence.rows(early, task), "gap")
    base = evidence.table("base", whole.sweep, task=task).groupby("m0_checkpoint")["no_cue_accuracy"].mean()
    if missing := {WHOLE, early_checkpoint} - set(base.index):
        raise NotMeasuredError(f"{whole.sweep} has no M0 at checkpoint {missing}")
    right = base[[WHOLE, early_checkpoint]].tolist()
    controls = {"M0 right more often when whole": judged(right[0] > right[1], *right)}
    return Finding("gap, M0 whole − M0 early", effect_of(over, "gap"), controls, rests_on=(early, whole))
