"""Claim 5 and our own rows beside it: do explanations follow behaviour that another objective shifts, with labels that stay as they are?"""

import numpy as np
import pandas as pd

from coupling.analysis import resampling
from coupling.analysis.claims.evidence import (
    RESAMPLES,
    Effect,
    Evidence,
    Finding,
    NotMeasuredError,
    contrast,
    difference,
    effect_of,
    runs_above,
    two_sided,
)
from coupling.analysis.controls import diagonal_test
from coupling.analysis.tracking import across_directions

PLAIN, STRONG, SHIFTED, LEARNT = "none", "1", 0.1, 0.8
SIGN = {"up": 1, "down": -1}
RETAUGHT = {"after": "re-taught after", "beside": "re-taught with"}


def _of(e: Evidence, task: str, condition: str) -> pd.DataFrame:
    """The measured rows of a condition."""
    rows = e.shifted(task)
    rows = rows[rows["condition"] == condition]
    if rows.empty:
        raise NotMeasuredError(f"{e.profile} shift: {task}, {condition}")
    return rows


def _moved(rows: pd.DataFrame, sign: int) -> bool:
    """Whether the rate stands away from M0's, in the right direction, by SHIFTED or more."""
    away = rows.assign(away=sign * (rows["rate"] - rows["m0_rate"]))
    return effect_of(away, "away", null=SHIFTED).above


def _shared(e: Evidence, task: str, condition: str, sign: int) -> dict[str, bool]:
    runs = e.finals("shift", task, condition)
    return {
        f"behaviour shifted by more than {SHIFTED}": _moved(_of(e, task, condition), sign),
        "best constant label below self": runs_above(runs, "self", "best_constant"),
        "no collapsed run": not e.collapsed("shift", task, condition),
    }


def follows(e: Evidence, task: str, direction: str) -> Finding:
    """Claim 5 in the primary measure."""
    condition = f"{direction}, {STRONG}"
    rows = _of(e, task, condition)
    controls = {"gap above zero": effect_of(rows, "gap").above} | _shared(e, task, condition, SIGN[direction])
    if task == "hint_qa":
        controls["above that beside a neutral objective"] = effect_of(
            difference(rows, _of(e, task, "neutral, 1"), "excess"), "excess"
        ).above
    if task == "mmlu":
        return Finding("excess gap over the run without the shift", effect_of(rows, "excess"), controls)
    found = diagonal_test(across_directions(e.table("items", "shift", task=task), float(STRONG)))
    tests = {"matrix across directions": (found["p"], found["difference"] > 0)}
    return Finding(
        "excess gap over runs without the shift and with the opposite one",
        effect_of(rows, "excess"),
        controls,
        tests,
    )


def follows_plainly(e: Evidence, task: str, direction: str) -> Finding:
    """Claim 5 in the paper's own measure."""
    condition = f"{direction}, {STRONG}"
    return Finding(
        "gap", effect_of(_of(e, task, condition), "gap"), _shared(e, task, condition, SIGN[direction])
    )


def share_said(e: Evidence, task: str) -> Finding:
    """Ours: how much of the difference that a shift makes to behaviour shows in what explanations imply."""
    ends = [_of(e, task, f"{d}, {STRONG}") for d in SIGN]
    paired = difference(*ends, "rate").assign(said=difference(*ends, "said")["said"])
    draws = resampling.resampled(paired, ["rate", "said"], RESAMPLES)
    ratio = draws["said"] / draws["rate"]
    each = paired.groupby("m0_seed")[["rate", "said"]].mean()
    value = float(paired["said"].mean() / paired["rate"].mean())
    effect = Effect(
        value,
        *resampling.interval(ratio),
        two_sided(ratio),
        len(each),
        seeds_above=int((each["said"] / each["rate"] > 0).sum()),
    )
    controls = {
        f"behaviour differs by more than {2 * SHIFTED}": effect_of(paired, "rate", null=2 * SHIFTED).above
    }
    return Finding(
        "of the difference in rate between pushed up and down, the share that explanations imply",
        effect,
        controls,
    )


def retaught(e: Evidence, condition: str) -> Finding:
    """Ours: randomised re-teaching (method.md)."""
    rows, silent = _of(e, "hint_qa", condition), _of(e, "hint_qa", "re-taught, no explanations")
    follows = rows.assign(beyond=rows["self"].astype(float) - rows["others_self"])
    told = follows["retaught_self"].notna()
    states = rows.assign(beyond=rows["retaught_states"] - rows["retaught_states_null"])
    spoken, guessed = (
        rows[told].assign(own=rows["self"]),
        silent[silent["retaught"] == 1].assign(own=silent["forced_self"]),
    )
    forced = difference(spoken, guessed, "own")
    controls = {
        f"at least {LEARNT} of re-taught prompts right": bool(rows["retaught_right"].mean() >= LEARNT),
        "the new fact is stated more often than without re-teaching": effect_of(states, "beyond").above,
        "re-taught without explanation training, forced to a label, states it less": effect_of(
            forced, "own"
        ).above,
    }
    effect = contrast(follows[told], follows[~told], "beyond")
    return Finding(
        "self beyond explanations without re-teaching, on re-taught entities − on the others",
        effect,
        controls,
    )


def goes_stale(e: Evidence, after: str) -> Finding:
    """Ours: a shift after explanation training (the condition `after`), against one beside it."""
    beside, after = (_of(e, "hint_qa", c) for c in ("down, 1", after))
    controls = {f"both shifts above {SHIFTED}": _moved(beside, -1) and _moved(after, -1)}
    return Finding(
        "self, shift beside explanation training − after it",
        effect_of(difference(beside, after, "self"), "self"),
        controls,
    )


def replay_helps(e: Evidence) -> Finding:
    """Ours: explanation data played again in the second stage."""
    again, after = (_of(e, "hint_qa", c) for c in ("down, after, replay", "down, after"))
    controls = {
        "best constant label below self": runs_above(
            e.finals("shift", "hint_qa", "down, after, replay"), "self", "best_constant"
        )
    }
    return Finding(
        "self, shift after with replay − without",
        effect_of(difference(again, after, "self"), "self"),
        controls,
    )


def labels_from_before(e: Evidence) -> Finding:
    """Ours: shift first, explanation training after it on labels from before it."""
    rows = _of(e, "hint_qa", "down, before")
    return Finding(
        "excess gap over the run without the shift",
        effect_of(rows, "excess"),
        _shared(e, "hint_qa", "down, before", -1),
    )


def as_good_as_new(e: Evidence) -> Finding:
    """Ours: labels made anew as the upper reference, with a margin of 0.02."""
    fixed, anew = (_of(e, "hint_qa", c) for c in ("down, 1", "down, relabelled"))
    controls = {f"both shifts above {SHIFTED}": _moved(fixed, -1) and _moved(anew, -1)}
    effect = effect_of(difference(fixed, anew, "self"), "self", null=-0.02)
    return Finding("self with fixed labels − with labels made anew, above −0.02", effect, controls)


def senses(e: Evidence, task: str) -> Finding:
    """Ours: the sensor against one that always says M0's rate."""
    read = e.table("sensor", "shift", task=task, order="with", relabelled=False)
    read = read[read["step"] == read["step"].max()]
    plain = e.table("sensor", "shift", task=task, objective="none")
    plain = plain[plain["step"] == plain["step"].max()]
    pushed = read[read["direction"] != ""]
    errors = (
        pushed.assign(
            gained=(pushed["m0_rate"] - pushed["measured"]).abs()
            - (pushed["estimated"] - pushed["measured"]).abs()
        )
        .groupby(["m0_seed", "seed"], as_index=False)["gained"]
        .mean()
    )
    wide = pushed[pushed["strength"] == float(STRONG)].pivot(
        index="m0_seed", columns="direction", values="estimated"
    )
    controls = {
        "without a shift no further off than 0.05": bool(
            (plain["estimated"] - plain["measured"]).abs().mean() <= 0.05
        ),
        "says more after up than after down, in each M0": bool(np.all(wide["up"] > wide["down"])),
    }
    return Finding(
        "error of always saying M0's rate − error of the sensor", effect_of(errors, "gained"), controls
    )
