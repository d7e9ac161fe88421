"""Rules that compare the conditions of a sweep (claims 2, 4, 7 and 8)."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from coupling.analysis import resampling
from coupling.analysis.claims.effects import (
    MATTERS,
    NAN,
    Effect,
    Finding,
    above,
    difference,
    effect_of,
    judged,
    no_effect,
    over_seeds,
)
from coupling.analysis.claims.evidence import Evidence, NotMeasuredError
from coupling.analysis.claims.preferring import prefers, prefers_more
from coupling.analysis.claims.ref import Ref
from coupling.analysis.claims.rule import OwnSweep, rule

NEAR, FAR = 0.8, 0.6  # agreement from which on there must be a gap, and below which there must be none
ONSET_RANGE = (0.55, 0.75)
VARIES = 0.1  # by how much agreement must differ between conditions for a row about agreement


@rule
def needs_kl(
    evidence: Evidence,
    task: str,
    with_kl: Ref,
    without_kl: Ref,
    measure: Literal["preference", "gap", "gap_content", "excess"],
) -> Finding:
    """Decide whether an effect needs the KL term.

    Args:
        evidence: The tables.
        task: Name of the task, or of several joined by +.
        with_kl: The condition with the KL term.
        without_kl: The condition without it.
        measure: "preference" for the primary measure, "gap" for the paper's own, "gap_content" for the gap of
            the stated answers alone, "excess" for the excess gap.
    """
    name = {"gap_content": "gap of answers", "excess": "excess gap"}.get(measure, measure)
    if measure == "preference":
        ends = [prefers(evidence, task, condition) for condition in (with_kl, without_kl)]
        effect, null = prefers_more(evidence, task, with_kl, without_kl), "one half"
    else:
        ends = [evidence.effect(condition, task, measure) for condition in (with_kl, without_kl)]
        over = difference(evidence.rows(with_kl, task), evidence.rows(without_kl, task), measure)
        effect, null = effect_of(over, measure, matters=ends[0].matters), "zero"
    margin = MATTERS if measure == "excess" else ends[1].margin
    controls = {
        f"{name} above {null} with KL": above(ends[0]),
        f"{name} without KL below {margin:g} (equivalence)": no_effect(ends[1], margin),
        "no more than half of the runs without KL collapsed": evidence.collapsed(without_kl, task) <= 0.5,
    }
    return Finding(
        f"{name} with KL − without",
        effect,
        controls,
        rests_on=(with_kl, without_kl),
        of_flags=measure != "gap_content",
    )


@rule
def wider(evidence: Evidence, task: str, low: Ref, high: Ref) -> Finding:
    """Decide whether the gap at one end of a sweep is larger than that at the other.

    Args:
        evidence: The tables.
        task: Name of the task.
        low: The condition that should have the smaller gap.
        high: The condition that should have the larger gap.
    """
    controls = {
        "no collapsed run at either end": not any(evidence.collapsed(end, task) for end in (high, low)),
        f"gap at {high.condition} above zero": above(evidence.effect(high, task, "gap")),
    }
    over = difference(evidence.rows(high, task), evidence.rows(low, task), "gap")
    measure = f"gap at {high.condition} − at {low.condition}"
    return Finding(measure, effect_of(over, "gap"), controls, rests_on=(low, high))


def _by_agreement(evidence: Evidence, sweep: str, task: str, without: Ref | None) -> pd.DataFrame:
    """Return the summary of a sweep, ordered by how well labels agree with current behaviour, least first."""
    lines = evidence.table("summary", sweep, task=task)
    if without:
        lines = lines[lines["condition"] != without.condition]
    if len(lines) < 2:
        raise NotMeasuredError(f"{sweep} has one condition with tables: there is nothing to compare")
    return lines.sort_values("agreement", ignore_index=True)


def _alike(lines: pd.DataFrame) -> str:
    """Say that agreement is too much alike in all conditions to tell anything of it, or return no text."""
    low, high = lines["agreement"].min(), lines["agreement"].max()
    if high - low >= VARIES:
        return ""
    return (
        f"agreement with current behaviour is {low:.3f} to {high:.3f} in all conditions, so that nothing "
        f"depends on it here; a row about it asks for a difference of {VARIES:g}"
    )


@rule
def with_agreement(evidence: Evidence, task: str, sweep: OwnSweep, without: Ref | None = None) -> Finding:
    """Decide whether the gap is there where labels agree with current behaviour, and only there.

    The condition `without` is left out. It is for one that differs from the others in more than agreement.
    """
    lines = _by_agreement(evidence, sweep, task, without)
    measure = "gap at the highest agreement − at the lowest"
    if why := _alike(lines):
        return Finding(measure, Effect(NAN, NAN, NAN, NAN, 0, why=why))
    least, most = (evidence.rows(Ref(sweep, lines["condition"].iloc[k]), task) for k in (0, len(lines) - 1))
    lows = lines[["gap_low", "self_base_low"]]
    coupled = (lows > 0).all(axis=1)
    near, far = lines["agreement"] >= NEAR, lines["agreement"] < FAR
    controls = {
        f"gap and self − base above zero wherever agreement is {NEAR} or more": judged(
            near.any() and coupled[near].all(), *lows[near].to_numpy().ravel()
        ),
        f"nowhere below {FAR}": judged(far.any() and not coupled[far].any(), *lows[far].to_numpy().ravel()),
    }
    effect = effect_of(difference(most, least, "gap"), "gap")
    ends = tuple(Ref(sweep, lines["condition"].iloc[k]) for k in (0, len(lines) - 1))
    return Finding(measure, effect, controls, rests_on=ends)


def crossings(agreement: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """Return the agreement at which the gap crosses zero for the last time, as agreement rises.

    Args:
        agreement: Agreement of each condition, in any order, float64 [draws, conditions].
        gap: Gap of each condition, float64 [draws, conditions].

    Returns:
        The agreement, float64 [draws], interpolated between the last condition whose gap is at most zero and
        the next one. If all gaps are above zero, it is the lowest agreement. If the gap at the highest
        agreement is not above zero, it is the highest agreement. It is NaN if any gap is NaN.
    """
    order = np.argsort(agreement, axis=1)
    agreement, gap = (np.take_along_axis(values, order, axis=1) for values in (agreement, gap))
    draws, end, below = np.arange(len(gap)), gap.shape[1] - 1, gap <= 0
    last = end - np.argmax(below[:, ::-1], axis=1)  # the last condition whose gap is not above zero
    after = np.minimum(last + 1, end)
    (here, there), (low, high) = ((v[draws, last], v[draws, after]) for v in (gap, agreement))
    with np.errstate(invalid="ignore", divide="ignore"):
        between = low + (high - low) * -here / (there - here)
    found = np.where(last == end, agreement[:, -1], between)
    found = np.where(below.any(axis=1), found, agreement[:, 0])
    return np.where(np.isnan(gap).any(axis=1), NAN, found)


@rule
def onset(evidence: Evidence, task: str, sweep: OwnSweep, without: Ref | None = None) -> Finding:
    """Decide whether the gap turns positive at 0.6 to 0.7 agreement, with 0.05 more on either side.

    The condition `without` is left out; see `with_agreement`.
    """
    lines = _by_agreement(evidence, sweep, task, without)
    measure = "agreement at which the gap crosses zero"
    if why := _alike(lines):
        return Finding(measure, Effect(NAN, NAN, NAN, NAN, 0, why=why), within=ONSET_RANGE)
    names = list(lines["condition"])
    frames = [evidence.rows(Ref(sweep, name), task) for name in names]
    columns = ["agreement", "gap"]
    drawn = [resampling.resampled(frame, columns) for frame in frames]
    agreements, gaps = (np.stack([draw[column] for draw in drawn], axis=1) for column in columns)
    by_m0 = [
        frame.astype(dict.fromkeys(columns, float)).groupby("m0_seed")[columns].mean() for frame in frames
    ]
    m0s = by_m0[0].index
    each = crossings(*(np.stack([means.loc[m0s, c] for means in by_m0], axis=1) for c in columns))
    ends = [evidence.effect(Ref(sweep, names[k]), task, "gap") for k in (-1, 0)]
    controls = {
        "gap above zero at the highest agreement": above(ends[0]),
        "gap below zero at the lowest": judged(ends[1].high < 0, ends[1].high),
    }
    effect = replace(over_seeds(each, draws=crossings(agreements, gaps)), p=NAN)
    return Finding(measure, effect, controls, within=ONSET_RANGE)
