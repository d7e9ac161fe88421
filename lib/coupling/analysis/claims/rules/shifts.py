"""Rules about shifts of behaviour: do explanations follow them with no new labels (claim 5 and our own)?"""

import numpy as np
import pandas as pd

from coupling.analysis import resampling
from coupling.analysis.claims.effects import (
    MATTERS,
    Control,
    Finding,
    Missing,
    above,
    contrast,
    difference,
    effect_of,
    judged,
    over_seeds,
)
from coupling.analysis.claims.evidence import Evidence
from coupling.analysis.claims.ref import Ref
from coupling.analysis.claims.rule import OwnSweep, rule
from coupling.analysis.claims.shared import above_constant, not_collapsed

SHIFTED = 0.1  # by how much a rate must have moved to count as shifted
LEARNT = 0.8  # share of right answers from which on re-taught facts count as learnt
SAID = 0.1  # the smallest share of a shift that would matter if explanations implied it
SIGNS = {"up": 1, "down": -1}


def moved(rows: pd.DataFrame) -> Control:
    """Return whether the rate has moved from M0's by more than SHIFTED, in the direction that was pushed.

    Args:
        rows: Rows of one condition with the measures of `tracking.measured`. Those of pushed kinds count.

    Returns:
        The outcome; False for runs that were not pushed at all.
    """
    direction = rows["direction"].iloc[0]
    if direction not in SIGNS:
        return False
    rows = rows[rows["pushed"].astype(bool)]
    away = rows.assign(away=SIGNS[direction] * (rows["rate"] - rows["m0_rate"]))
    return above(effect_of(away, "away", null=SHIFTED))


def _both_moved(*conditions: pd.DataFrame) -> dict[str, Control]:
    """Return the control that both of two conditions are shifted."""
    found = [moved(rows) for rows in conditions]
    unknown = [outcome for outcome in found if isinstance(outcome, Missing)]
    return {f"both shifts above {SHIFTED}": unknown[0] if unknown else all(found)}


def _pushed(evidence: Evidence, task: str, condition: Ref) -> dict[str, Control]:
    """Return the controls of every row that rests on one pushed condition."""
    return (
        {f"behaviour shifted by more than {SHIFTED}": moved(evidence.shifted(condition, task))}
        | above_constant(evidence, task, condition)
        | not_collapsed(evidence, task, condition)
    )


def push_controls(evidence: Evidence, task: str, condition: Ref, rows: pd.DataFrame) -> dict[str, Control]:
    """Return the controls of a pushed or re-taught condition, each with its direction in its name.

    Args:
        evidence: The tables.
        task: Name of the task, or of several joined by +.
        condition: The condition.
        rows: The rows of it that the effect is measured on.
    """
    way = f"pushed {rows['direction'].iloc[0]}" if (rows["direction"] != "").all() else "taught"
    runs = above_constant(evidence, task, condition) | not_collapsed(evidence, task, condition)
    if way != "taught":
        runs = {f"rate moved by more than {SHIFTED}": moved(rows)} | runs
    return {f"{way}: {name}": outcome for name, outcome in runs.items()}


@rule
def follows_flipped(evidence: Evidence, task: str, one: Ref, other: Ref | None = None) -> Finding:
    """Decide whether explanations follow a shift on the items whose label it flipped.

    Args:
        evidence: The tables.
        task: Name of the task, or of several joined by +.
        one: Runs that were pushed one way.
        other: Runs that were pushed the other way. With them the two directions are pooled.
    """
    ends = (one, other) if other else (one,)
    rows = [evidence.shifted(condition, task) for condition in ends]
    controls = {}
    for condition, found in zip(ends, rows, strict=True):
        controls |= push_controls(evidence, task, condition, found)
    both = pd.concat(rows, ignore_index=True)
    # Directions and tasks count alike, however many items each of them flips.
    cells = both.groupby(["m0_seed", "seed", "task", "condition"], as_index=False)["flipped_gain"].mean()
    measure = "on flipped items: own behaviour stated − stated by the unshifted run"
    return Finding(measure, effect_of(cells, "flipped_gain"), controls, rests_on=ends)


@rule
def follows(
    evidence: Evidence, task: str, condition: Ref, opposite: Ref | None = None, neutral: Ref | None = None
) -> Finding:
    """Decide whether explanations follow a shift, in the primary measure.

    Args:
        evidence: The tables.
        task: Name of the task.
        condition: The runs that were pushed up or down.
        opposite: Runs that were pushed the other way by as much. With them there is the test of the matrix
            across directions.
        neutral: Runs with a neutral objective: the excess gap must be above theirs.
    """
    rows = evidence.shifted(condition, task)
    controls = {"gap above zero": above(effect_of(rows, "gap"))} | _pushed(evidence, task, condition)
    if neutral:
        over = difference(rows, evidence.shifted(neutral, task), "excess")
        controls["above that beside a neutral objective"] = above(effect_of(over, "excess"))
    effect = effect_of(rows, "excess", matters=0.0)
    if not opposite:
        measure = "excess gap over the run without the shift"
        return Finding(measure, effect, controls, rests_on=(condition,))
    evidence.shifted(opposite, task)  # without these runs the matrix across directions has no meaning
    found = evidence.directions(condition.sweep, task, float(rows["strength"].iloc[0]))
    tests = {"matrix across directions": (found["p"], bool(found["difference"] > 0))}
    measure = "excess gap over runs without the shift and with the opposite one"
    return Finding(measure, effect, controls, tests, rests_on=(condition,))


@rule
def follows_plainly(evidence: Evidence, task: str, condition: Ref) -> Finding:
    """Decide whether explanations follow a shift, in the paper's own measure."""
    effect = effect_of(evidence.shifted(condition, task), "gap")
    return Finding("gap", effect, _pushed(evidence, task, condition), rests_on=(condition,))


@rule
def labels_from_before(evidence: Evidence, task: str, condition: Ref) -> Finding:
    """Decide whether explanations follow a shift that came before them, with labels from before the shift."""
    effect = effect_of(evidence.shifted(condition, task), "excess", matters=0.0)
    controls = _pushed(evidence, task, condition)
    return Finding("excess gap over the run without the shift", effect, controls, rests_on=(condition,))


@rule
def share_said(evidence: Evidence, task: str, up: Ref, down: Ref) -> Finding:
    """Decide whether explanations imply part of the difference that a shift makes to behaviour.

    Args:
        evidence: The tables.
        task: Name of the task.
        up: Runs that were pushed up.
        down: Runs that were pushed down.
    """
    ends = [evidence.shifted(condition, task) for condition in (up, down)]
    paired = difference(*ends, "rate").assign(said=difference(*ends, "said")["said"])
    draws = resampling.resampled(paired, ["rate", "said"])
    ratio = draws["said"] / draws["rate"]
    each = paired.groupby("m0_seed")[["rate", "said"]].mean()
    effect = over_seeds(each["said"] / each["rate"], matters=SAID, draws=ratio)
    differs = above(effect_of(paired, "rate", null=2 * SHIFTED))
    measure = "of the difference in rate between pushed up and down, the share that explanations imply"
    controls = {f"behaviour differs by more than {2 * SHIFTED}": differs}
    return Finding(measure, effect, controls, rests_on=(up, down))


@rule
def goes_stale(evidence: Evidence, task: str, beside: Ref, after: Ref) -> Finding:
    """Decide whether a shift after explanation training makes explanations less faithful than one beside it.

    Args:
        evidence: The tables.
        task: Name of the task.
        beside: The shift beside explanation training.
        after: The same shift after it.
    """
    ends = [evidence.shifted(condition, task) for condition in (beside, after)]
    effect = effect_of(difference(*ends, "self"), "self")
    measure = "self, shift beside explanation training − after it"
    return Finding(measure, effect, _both_moved(*ends), rests_on=(beside, after))


@rule
def replay_helps(evidence: Evidence, task: str, replayed: Ref, after: Ref) -> Finding:
    """Decide whether a replay of explanation data keeps explanations faithful through a later shift.

    Args:
        evidence: The tables.
        task: Name of the task.
        replayed: The shift after explanation training, with a replay.
        after: The same without a replay.
    """
    ends = [evidence.shifted(condition, task) for condition in (replayed, after)]
    effect = effect_of(difference(*ends, "self"), "self")
    controls = above_constant(evidence, task, replayed)
    measure = "self, shift after with replay − without"
    return Finding(measure, effect, controls, rests_on=(replayed, after))


@rule
def as_good_as_new_under_shift(evidence: Evidence, task: str, fixed: Ref, anew: Ref) -> Finding:
    """Decide whether fixed labels do as well as labels made anew under a shift, with a margin of 0.02.

    Args:
        evidence: The tables.
        task: Name of the task.
        fixed: The shift with labels that stay as they are.
        anew: The same shift with labels made anew from the current model.
    """
    ends = [evidence.shifted(condition, task) for condition in (fixed, anew)]
    effect = effect_of(difference(*ends, "self"), "self", null=-MATTERS, matters=-MATTERS)
    measure = "self with fixed labels − with labels made anew, above −0.02"
    return Finding(measure, effect, _both_moved(*ends), rests_on=(fixed,))


@rule
def retaught(evidence: Evidence, task: str, condition: Ref, silent: Ref) -> Finding:
    """Decide whether explanations follow facts that are taught anew for some entities alone.

    Args:
        evidence: The tables.
        task: Name of the task.
        condition: Runs in which facts are taught anew.
        silent: The same without explanation training: forced to a label, these runs must do less well.
    """
    rows, without = evidence.shifted(condition, task), evidence.shifted(silent, task)
    follow = rows.assign(beyond=rows["self"].astype(float) - rows["others_self"])
    told = follow["retaught_self"].notna()
    states = rows.assign(beyond=rows["retaught_states"] - rows["retaught_states_null"])
    spoken = rows[told].assign(own=rows["self"])
    guessed = without[without["retaught"] == 1].assign(own=without["forced_self"])
    right = rows["retaught_right"].mean()
    controls = {
        f"at least {LEARNT} of re-taught prompts right": judged(right >= LEARNT, right),
        "the new fact is stated more often than without re-teaching": above(effect_of(states, "beyond")),
        "re-taught without explanation training, forced to a label, states it less": above(
            effect_of(difference(spoken, guessed, "own"), "own")
        ),
    }
    measure = "self beyond explanations without re-teaching, on re-taught entities − on the others"
    effect = contrast(follow[told], follow[~told], "beyond")
    return Finding(measure, effect, controls, rests_on=(condition,))


@rule
def senses(evidence: Evidence, task: str, sweep: OwnSweep, strength: float) -> Finding:
    """Decide whether the sensor comes nearer to a shifted rate than always saying M0's rate does.

    Args:
        evidence: The tables.
        task: Name of the task.
        sweep: A sweep of shifts.
        strength: The strength at which the sensor must tell up from down.
    """
    read = evidence.table("sensor", sweep, task=task, order="with", relabelled=False)
    plain = evidence.table("sensor", sweep, task=task, objective="none")
    read, plain = (frame[frame["step"] == frame["step"].max()] for frame in (read, plain))
    pushed = read[read["direction"] != ""]
    constant = (pushed["m0_rate"] - pushed["measured"]).abs()
    sensed = (pushed["estimated"] - pushed["measured"]).abs()
    by_run = pushed.assign(gained=constant - sensed).groupby(["m0_seed", "seed"], as_index=False)
    off = (plain["estimated"] - plain["measured"]).abs().mean()
    controls = {
        "without a shift no further off than 0.05": judged(off <= 0.05, off),
        "says more after up than after down, in each M0": _tells_up_from_down(pushed, strength),
    }
    effect = effect_of(by_run["gained"].mean(), "gained")
    return Finding("error of always saying M0's rate − error of the sensor", effect, controls)


def _tells_up_from_down(pushed: pd.DataFrame, strength: float) -> Control:
    strong = pushed[pushed["strength"] == strength]
    wide = strong.pivot_table(index="m0_seed", columns="direction", values="estimated")
    if not set(SIGNS) <= set(wide.columns):
        return Missing.NOT_RUN
    return judged(np.all(wide["up"] > wide["down"]), *wide[list(SIGNS)].to_numpy().ravel())
