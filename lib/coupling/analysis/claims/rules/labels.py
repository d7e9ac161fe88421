"""Rules about one label source: is there a gap beyond what shared drift gives (claims 1, 3 and 6)?"""

from dataclasses import replace
from typing import Literal

from coupling.analysis.claims.effects import (
    MATTERS,
    Control,
    Effect,
    Finding,
    Missing,
    above,
    difference,
    effect_of,
    no_effect,
    runs_above,
)
from coupling.analysis.claims.evidence import Evidence, NotMeasuredError
from coupling.analysis.claims.preferring import prefers
from coupling.analysis.claims.ref import Ref
from coupling.analysis.claims.rule import rule
from coupling.analysis.claims.shared import (
    Tests,
    above_constant,
    beyond_flips,
    excess_gap,
    not_collapsed,
    outcome,
)

SHUFFLED = f"shuffled labels: gap below {MATTERS:g} (equivalence)"


@rule
def prefers_own(
    evidence: Evidence,
    task: str,
    condition: Ref,
    shuffled: Ref | None = None,
    other_source: bool = False,
) -> Finding:
    """Decide whether explanations state the behaviour of their own run rather than that of another.

    Args:
        evidence: The tables.
        task: Name of the task, or of several joined by +.
        condition: The condition, with two or more explainers of each M0.
        shuffled: The same labels shuffled: they must leave no gap.
        other_source: Whether labels are of another source than M0: then self must be above base too.
    """
    controls = {"gap above zero": above(evidence.effect(condition, task, "gap"))}
    controls |= above_constant(evidence, task, condition) | not_collapsed(evidence, task, condition)
    controls |= beyond_flips(evidence, task, condition) | _beside(evidence, task, shuffled)
    if other_source:
        controls |= _self_above_base(evidence, task, condition)
    return Finding("preference", prefers(evidence, task, condition), controls, rests_on=(condition,))


@rule
def own_labels(
    evidence: Evidence,
    task: str,
    condition: Ref,
    shuffled: Ref | None = None,
    content: Ref | None = None,
    default: Ref | None = None,
    text_only: Ref | None = None,
    without_gold: bool = False,
    teachers: Ref | None = None,
) -> Finding:
    """Decide whether labels of M0 leave an excess gap.

    Args:
        evidence: The tables.
        task: Name of the task.
        condition: The condition with labels of M0.
        shuffled: The same labels shuffled: they must leave no gap.
        content: Labels that name the content of an option: they must leave a gap too.
        default: What `text_only` is compared with, labels of M0 in the same sweep.
        text_only: A model that has only the text to go by: it must state L(S) less often than `default`.
        without_gold: Whether self must also be above target where neither states the gold answer.
        teachers: Several explainers of each M0, for the teacher matrix.
    """
    runs, base = evidence.finals(condition, task), evidence.table("base", condition.sweep, task=task)
    by = ["task", "m0_seed"]
    runs = runs.merge(base[[*by, "untrained_forced_choice"]].drop_duplicates(), on=by, validate="m:1")
    controls = {"untrained forced choice below self": runs_above(runs, "self", "untrained_forced_choice")}
    controls |= beyond_flips(evidence, task, condition)
    if runs["gold"].notna().any():
        controls["gold answer below self (content)"] = runs_above(runs, "self_content", "gold")
    controls |= _beside(evidence, task, shuffled, content, default, text_only)
    if without_gold:
        rows = evidence.rows(condition, task)
        over = effect_of(rows.assign(over=rows["self_div_ng"] - rows["target_div_ng"]), "over")
        controls["self above target where neither states the gold answer"] = above(over)
    tests: Tests = {}
    if teachers:
        try:
            tests = _teacher_matrix(evidence, task, teachers)
        except NotMeasuredError:
            controls["teacher matrix"] = Missing.NOT_RUN
    return excess_gap(evidence, task, condition, controls, tests)


def _beside(
    evidence: Evidence,
    task: str,
    shuffled: Ref | None = None,
    content: Ref | None = None,
    default: Ref | None = None,
    text_only: Ref | None = None,
) -> dict[str, Control]:
    """Return the controls that are runs of their own, of those that the claim names."""
    controls = {}
    if shuffled:
        controls[SHUFFLED] = outcome(lambda: no_effect(evidence.effect(shuffled, task, "gap")))
    if content:
        controls["labels by content: gap above zero"] = outcome(
            lambda: above(evidence.effect(content, task, "gap"))
        )
    if default and text_only:
        controls["text only states L(S) less often"] = outcome(
            lambda: above(_target(evidence, task, default, text_only))
        )
    return controls


def _target(evidence: Evidence, task: str, one: Ref, other: Ref) -> Effect:
    """Return target-faithfulness of one condition less that of the other."""
    rows = difference(evidence.rows(one, task), evidence.rows(other, task), "target")
    return effect_of(rows, "target")


def _teacher_matrix(evidence: Evidence, task: str, condition: Ref) -> Tests:
    line = evidence.line(condition, task)
    name = f"teacher matrix, K = {line['teacher_runs']:.0f}"
    return {name: (float(line["teacher_p"]), bool(line["teacher_difference"] > 0))}


@rule
def own_labels_plainly(evidence: Evidence, task: str, condition: Ref) -> Finding:
    """Decide whether labels of M0 leave a gap, in the paper's own measure."""
    controls = beyond_flips(evidence, task, condition) | not_collapsed(evidence, task, condition)
    controls |= above_constant(evidence, task, condition)
    return Finding("gap", evidence.effect(condition, task, "gap"), controls, rests_on=(condition,))


@rule
def other_source(evidence: Evidence, task: str, condition: Ref) -> Finding:
    """Decide whether labels of another source than M0 leave an excess gap."""
    return excess_gap(evidence, task, condition, _self_above_base(evidence, task, condition))


@rule
def other_gap(evidence: Evidence, task: str, condition: Ref) -> Finding:
    """Decide whether labels of another source than M0 leave a gap, in the paper's own measure."""
    controls = _self_above_base(evidence, task, condition)
    return Finding("gap", evidence.effect(condition, task, "gap"), controls, rests_on=(condition,))


def _self_above_base(evidence: Evidence, task: str, condition: Ref) -> dict[str, Control]:
    return {"self − base above zero": above(evidence.effect(condition, task, "self_base"))}


@rule
def noise(
    evidence: Evidence,
    task: str,
    condition: Ref,
    more: Ref,
    shuffled: Ref,
    measure: Literal["preference", "excess"] = "excess",
) -> Finding:
    """Decide whether the effect survives noisy labels.

    Args:
        evidence: The tables.
        task: Name of the task.
        condition: The condition with some noise.
        more: One with more noise, whose gap must be above zero too. Its name ends with ", " and the share of
            noise.
        shuffled: Labels without any information: they must leave no gap.
        measure: "preference" for the primary measure, "excess" for the excess gap.
    """
    share = more.condition.rpartition(", ")[2]
    above_more = {f"gap above zero at {share}": above(evidence.effect(more, task, "gap"))}
    if measure == "preference":
        found = prefers_own(evidence, task, condition, shuffled)
        return replace(found, controls=found.controls | above_more)
    controls = above_more | {SHUFFLED: no_effect(evidence.effect(shuffled, task, "gap"))}
    return excess_gap(evidence, task, condition, controls)


@rule
def by_content(evidence: Evidence, task: str, condition: Ref) -> Finding:
    """Decide whether labels that share no token with the behaviour leave an excess gap."""
    return excess_gap(evidence, task, condition)


@rule
def by_content_alone(
    evidence: Evidence, task: str, condition: Ref, shuffled: Ref, measure: Literal["excess", "gap"]
) -> Finding:
    """Decide claim 1 with labels that share no token with the behaviour.

    Args:
        evidence: The tables.
        task: Name of the task.
        condition: Labels by content.
        shuffled: The same labels shuffled: they must leave no gap.
        measure: "excess" for the primary measure, "gap" for the paper's own.
    """
    controls = {f"the same, {SHUFFLED}": no_effect(evidence.effect(shuffled, task, "gap"))}
    controls |= beyond_flips(evidence, task, condition) | not_collapsed(evidence, task, condition)
    if measure == "excess":
        return excess_gap(evidence, task, condition, controls)
    controls |= above_constant(evidence, task, condition)
    return Finding("gap", evidence.effect(condition, task, "gap"), controls, rests_on=(condition,))


@rule
def own_weights(evidence: Evidence, task: str, default: Ref, sibling: Ref, text_only: Ref) -> Finding:
    """Decide whether access to one's own weights is worth something.

    Args:
        evidence: The tables.
        task: Name of the task.
        default: Labels of M0 itself.
        sibling: Labels of another M0 seed, from the same world.
        text_only: A model that has only the text to go by: it must do less well than `default`.
    """
    controls = {"text only below default": above(_target(evidence, task, default, text_only))}
    measure = "target-faithfulness of default − of sibling"
    effect = _target(evidence, task, default, sibling)
    return Finding(measure, effect, controls, rests_on=(default, sibling))


@rule
def as_good_as_new(evidence: Evidence, task: str, fixed: Ref, anew: Ref) -> Finding:
    """Decide whether fixed labels do as well as labels made anew, with a margin of 0.02.

    Args:
        evidence: The tables.
        task: Name of the task.
        fixed: Labels that stay as they are.
        anew: Labels that are made anew from the current model during training.
    """
    over = difference(evidence.rows(fixed, task), evidence.rows(anew, task), "self")
    return Finding(
        "self of default − self of relabelled, above −0.02",
        effect_of(over, "self", null=-MATTERS, matters=-MATTERS),
        above_constant(evidence, task, anew),
        rests_on=(fixed,),
    )
