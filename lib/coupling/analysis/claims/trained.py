"""Claims 1 to 4 and 6 to 11, and our own beside them: what each rests on, by the rules of notebooks/PLAN.md."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from coupling.analysis import measures, resampling
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
)
from coupling.analysis.depth import with_depth

DEFAULT = "KL on"
SHUFFLED = {"hint_qa": ("label_noise", "shuffled, 1"), "mmlu": ("controls", "shuffled labels")}
FAR, ONSET_RANGE = 0.6, (0.55, 0.75)


def _constant(e: Evidence, *where: str) -> dict[str, bool]:
    return {"best constant label below self": runs_above(e.finals(*where), "self", "best_constant")}


def _mcnemar(e: Evidence, *where: str) -> dict[str, tuple[float, bool]]:
    line = e.line(*where)
    return {"decided divergent items go with self (McNemar)": (line["mcnemar_p"], line["prefers_self"] > 0.5)}


def _excess(e: Evidence, *where: str, controls: dict | None = None, tests: dict | None = None) -> Finding:
    """The excess gap of a condition beside what every such row is measured beside."""
    rows = e.rows(*where)
    shared = {"gap above zero": effect_of(rows, "gap").above} | _constant(e, *where)
    return Finding(
        "excess gap",
        effect_of(rows, "excess"),
        shared | (controls or {}),
        _mcnemar(e, *where) | (tests or {}),
    )


def other_source(e: Evidence, condition: str, task: str = "hint_qa") -> Finding:
    where = ("sources", task, condition)
    return _excess(
        e, *where, controls={"self − base above zero": effect_of(e.rows(*where), "self_base").above}
    )


def other_gap(e: Evidence, condition: str, task: str = "hint_qa") -> Finding:
    """The same in the paper's own measure, post hoc."""
    rows = e.rows("sources", task, condition)
    return Finding(
        "gap", effect_of(rows, "gap"), {"self − base above zero": effect_of(rows, "self_base").above}
    )


def own_labels(e: Evidence, task: str) -> Finding:
    """Claim 1, labels of M0."""
    where = ("headline", task, DEFAULT)
    runs, base = e.finals(*where), e.table("base", "headline", task=task)
    runs = runs.merge(base[["m0_seed", "untrained_forced_choice"]], on="m0_seed")
    controls = {
        "untrained forced choice below self": runs_above(runs, "self", "untrained_forced_choice"),
        "divergent share above the flip-noise floor": _beyond_flips(e, *where),
    }
    if runs["gold"].notna().any():
        controls["gold answer below self (content)"] = runs_above(runs, "self_content", "gold")
    if task in SHUFFLED:
        controls |= _beside(e, task)
    if task == "mmlu":
        rows = e.rows(*where)
        controls["self above target where neither states the gold answer"] = effect_of(
            rows.assign(over=rows["self_div_ng"] - rows["target_div_ng"]), "over"
        ).above
    if task != "hint_qa":
        return _excess(e, *where, controls=controls)
    teacher = e.line("teacher_matrix", task, DEFAULT)
    tests = {
        f"teacher matrix, K = {teacher['teacher_runs']:.0f}": (
            teacher["teacher_p"],
            teacher["teacher_difference"] > 0,
        )
    }
    return _excess(e, *where, controls=controls, tests=tests)


def _beyond_flips(e: Evidence, sweep: str, task: str, condition: str) -> bool:
    floor = e.table("base", sweep, task=task).filter(like="flips_").max(axis=None)
    return effect_of(e.rows(sweep, task, condition), "divergent").low > floor


def _beside(e: Evidence, task: str) -> dict[str, bool | None]:
    """The control runs of a task; None of those that were not run."""
    rows = partial(e.rows, "controls", task)
    tests = {
        "shuffled labels: gap not above zero": lambda: (
            not effect_of(e.rows(SHUFFLED[task][0], task, SHUFFLED[task][1]), "gap").above
        ),
        "labels by content: gap above zero": lambda: effect_of(rows("labels by content"), "gap").above,
        "text only states L(S) less often": lambda: (
            effect_of(difference(rows("default"), rows("text only"), "target"), "target").above
        ),
    }
    return {name: _outcome(test) for name, test in tests.items()}


def _outcome(test: Callable[[], bool]) -> bool | None:
    try:
        return test()
    except NotMeasuredError:
        return None


def own_labels_plainly(e: Evidence, task: str) -> Finding:
    """Claim 1 in the paper's own measure."""
    where = ("headline", task, DEFAULT)
    controls = {
        "divergent share above the flip-noise floor": _beyond_flips(e, *where),
        "no collapsed run": not e.collapsed(*where),
    }
    return Finding("gap", effect_of(e.rows(*where), "gap"), controls | _constant(e, *where))


def needs_kl(
    e: Evidence, task: str, measure: str, sweep: str = "headline", ends: tuple[str, str] = (DEFAULT, "KL off")
) -> Finding:
    """Claim 2, by the gap or by the excess gap."""
    on, off = (e.rows(sweep, task, c) for c in ends)
    name = {"gap": "gap", "excess": "excess gap"}[measure]
    controls = {
        f"{name} above zero with KL": effect_of(on, measure).above,
        f"{name} not above zero without KL": not effect_of(off, measure).above,
        "no more than half of the runs without KL collapsed": e.collapsed(sweep, task, ends[1]) <= 0.5,
    }
    return Finding(f"{name} with KL − without", effect_of(difference(on, off, measure), measure), controls)


def _by_agreement(e: Evidence, sweep: str, task: str) -> pd.DataFrame:
    """The conditions of a sweep, the one whose labels agree least with current behaviour first."""
    lines = e.table("summary", sweep, task=task)
    if len(lines) < 2:
        raise NotMeasuredError(f"{sweep} has one condition")
    return lines.sort_values("agreement", ignore_index=True)


def with_agreement(e: Evidence, sweep: str, task: str) -> Finding:
    """Claim 4: the gap is there where labels agree with current behaviour, and not where they do not."""
    lines = _by_agreement(e, sweep, task)
    ends = [e.rows(sweep, task, lines["condition"].iloc[k]) for k in (-1, 0)]
    coupled = (lines["gap_low"] > 0) & (lines["self_base_low"] > 0)
    near, far = coupled[lines["agreement"] >= 0.8], coupled[lines["agreement"] < FAR]
    controls = {
        "gap and self − base above zero wherever agreement is 0.8 or more": bool(len(near) and near.all()),
        "nowhere below 0.6": bool(len(far) and not far.any()),
    }
    return Finding(
        "gap at the highest agreement − at the lowest", effect_of(difference(*ends, "gap"), "gap"), controls
    )


def crossing(agreement: np.ndarray, gap: np.ndarray) -> float:
    """Where the gap, interpolated between conditions of ascending agreement, last comes from below zero; the lowest agreement if
    it is above zero everywhere, the highest if nowhere."""
    below = np.flatnonzero(gap <= 0)
    if not len(below):
        return float(agreement[0])
    k = int(below[-1])
    if k == len(gap) - 1:
        return float(agreement[-1])
    return float(agreement[k] + (agreement[k + 1] - agreement[k]) * -gap[k] / (gap[k + 1] - gap[k]))


def onset(e: Evidence, sweep: str, task: str) -> Finding:
    """Claim 4: the agreement at which the gap turns positive."""
    names = list(_by_agreement(e, sweep, task)["condition"])
    frames = [e.rows(sweep, task, c) for c in names]
    means, draws = (
        {m: np.array([f(frame, m) for frame in frames]) for m in ("agreement", "gap")}
        for f in (_mean, _drawn)
    )
    order = np.argsort(means["agreement"])
    value = crossing(means["agreement"][order], means["gap"][order])
    found = [
        crossing(*(draws[m][:, k][np.argsort(draws["agreement"][:, k])] for m in ("agreement", "gap")))
        for k in range(RESAMPLES)
    ]
    low, high = resampling.interval(np.array(found))
    controls = {
        "gap above zero at the highest agreement": effect_of(frames[-1], "gap").above,
        "gap below zero at the lowest": effect_of(frames[0], "gap").high < 0,
    }
    effect = Effect(value, low, high, float("nan"), frames[0]["m0_seed"].nunique())
    return Finding("agreement at which the gap crosses zero", effect, controls, within=ONSET_RANGE)


def _mean(frame: pd.DataFrame, column: str) -> float:
    return float(frame[column].astype(float).mean())


def _drawn(frame: pd.DataFrame, column: str) -> np.ndarray:
    return resampling.resampled(frame, [column], RESAMPLES)[column]


def noise(e: Evidence) -> Finding:
    """Claim 6."""
    where = ("label_noise", "hint_qa")
    controls = {
        "gap above zero at 0.5": effect_of(e.rows(*where, "random, 0.5"), "gap").above,
        "shuffled labels: gap not above zero": not effect_of(e.rows(*where, "shuffled, 1"), "gap").above,
    }
    return _excess(e, *where, "random, 0.25", controls=controls)


def wider(e: Evidence, sweep: str, low: str, high: str, task: str = "hint_qa") -> Finding:
    """Claims 7 and 8: the gap at one end of a sweep less that at the other."""
    ends = [e.rows(sweep, task, c) for c in (high, low)]
    controls = {
        "no collapsed run at either end": not any(e.collapsed(sweep, task, c) for c in (high, low)),
        f"gap at {high} above zero": effect_of(ends[0], "gap").above,
    }
    return Finding(f"gap at {high} − at {low}", effect_of(difference(*ends, "gap"), "gap"), controls)


def new_behaviour(e: Evidence) -> Finding:
    """Claim 9: a behaviour whose explanations were never trained."""
    explained, alone = (
        e.finals("new_behaviour", "jabberwocky", c)
        for c in ("behaviour and other explanations", "behaviour alone")
    )
    controls = {
        "above the best constant label": runs_above(explained, "forced_self", "best_constant"),
        "the behaviour is learnt (0.8 right)": bool(
            explained[["gold_match", "cue_match"]].mean().min() >= 0.8
        ),
    }
    gained = effect_of(difference(explained, alone, "forced_self"), "forced_self")
    return Finding("self, forced to a label − the same with behaviour training alone", gained, controls)


def region(e: Evidence, task: str) -> Finding:
    """Claim 9: kinds of items without labels."""
    line = e.table(
        "regions", "held_out", task=task, condition="labels in half of the kinds", region="held out"
    ).iloc[0]
    seeds = int(e.line("held_out", task, "labels in half of the kinds")["seeds"])
    effect = Effect(line["gap"], line["gap_low"], line["gap_high"], float("nan"), seeds)
    return Finding(
        "gap on kinds without labels", effect, {"excess gap above zero there": bool(line["excess_low"] > 0)}
    )


def _beyond_labels(rows: pd.DataFrame) -> pd.DataFrame:
    """A row a run: how much commoner its commonest explanation is than the commonest of its current labels."""
    top = lambda codes: float(codes.value_counts(normalize=True).iloc[0])
    runs = rows.groupby(["m0_seed", "seed"])
    over = runs.apply(
        lambda run: top(measures.stated_code(run)) - top(measures.label_code(run, "")), include_groups=False
    )
    return over.rename("over").reset_index()


def near_constant(e: Evidence) -> Finding:
    """Claim 11."""
    early, whole = (
        _beyond_labels(e.rows("depth", "hint_qa", c)) for c in ("early, own labels", "whole, own labels")
    )
    base = e.table("base", "depth", task="hint_qa", m0_checkpoint=0.3)
    controls = {
        "commonest label of M0 at least 0.5": bool(base["top_label_share"].mean() >= 0.5),
        "not so for M0 whole": not effect_of(whole, "over").above,
    }
    return Finding("commonest explanation − commonest current label", effect_of(early, "over"), controls)


def by_content(e: Evidence) -> Finding:
    """Ours: labels that share no token with the behaviour."""
    return _excess(e, "controls", "hint_qa", "labels by content")


def by_content_alone(e: Evidence, task: str, measure: str, sweep: str = "content") -> Finding:
    """Claim 1 with labels by content, against the same labels shuffled (`content`); in the primary measure, or by the gap."""
    where = (sweep, task, "by content")
    rows, shuffled = e.rows(*where), e.rows("content", task, "by content, shuffled")
    controls = {
        "the same labels shuffled: gap not above zero": not effect_of(shuffled, "gap").above,
        "divergent share above the flip-noise floor": _beyond_flips(e, *where),
        "no collapsed run": not e.collapsed(*where),
    }
    if measure == "excess":
        return _excess(e, *where, controls=controls)
    return Finding("gap", effect_of(rows, "gap"), controls | _constant(e, *where))


def own_weights(e: Evidence) -> Finding:
    """Ours: the same labels are worse learnt by a sibling."""
    default, sibling, text = (e.rows("controls", "hint_qa", c) for c in ("default", "sibling", "text only"))
    controls = {"text only below default": effect_of(difference(default, text, "target"), "target").above}
    return Finding(
        "target-faithfulness of default − of sibling",
        effect_of(difference(default, sibling, "target"), "target"),
        controls,
    )


def as_good_as_new(e: Evidence) -> Finding:
    """Ours: fixed labels against labels made anew, with a margin of 0.02."""
    default, anew = (e.rows("controls", "hint_qa", c) for c in ("default", "relabelled"))
    controls = _constant(e, "controls", "hint_qa", "relabelled")
    return Finding(
        "self of default − self of relabelled, above −0.02",
        effect_of(difference(default, anew, "self"), "self", null=-0.02),
        controls,
    )


def _late_moves(e: Evidence, task: str) -> pd.DataFrame:
    """Lead and lag of the headline's runs after the first quarter of their steps."""
    moves = e.table("lead_lag", "headline", task=task, condition=DEFAULT)
    return moves[moves["from_step"] >= moves["to_step"].max() / 4]


def who_moves(e: Evidence, task: str) -> Finding:
    """Ours: lead and lag."""
    late = _late_moves(e, task)
    late = late.assign(lead=late["explanation_follows_divergent"] - late["behaviour_follows_divergent"])
    return Finding(
        "explanation follows behaviour − behaviour follows explanation, divergent items",
        effect_of(late[["m0_seed", "seed", "lead"]], "lead"),
        {"excess gap above zero": effect_of(e.rows("headline", task, DEFAULT), "excess").above},
    )


def behaviour_moves(e: Evidence, task: str) -> Finding:
    """Ours, post hoc: changed behaviour returns more often where the explanation kept to L(S). Items differ in how firmly they changed."""
    late = _late_moves(e, task)
    late = late.assign(beyond=late["returns_said"] - late["returns_unsaid"])
    controls = {"excess gap above zero": effect_of(e.rows("headline", task, DEFAULT), "excess").above}
    effect = effect_of(late[["m0_seed", "seed", "beyond"]], "beyond")
    return Finding(
        "behaviour returns to L(S) where the explanation said so − where it did not", effect, controls
    )


def depth_within(e: Evidence) -> Finding:
    """Ours: entities that M0 met most against those it met least."""
    rows = with_depth(e.rows("headline", "hint_qa", DEFAULT), e.profile, 3)
    often, seldom = rows[rows["depth"] == 2], rows[rows["depth"] == 0]
    means = {m: _mean(often, m) - _mean(seldom, m) for m in ("knows", "agreement")}
    controls = {
        "M0 right more often on the former": means["knows"] > 0,
        "agreement higher there by no more than 0.1": means["agreement"] <= 0.1,
    }
    return Finding(
        "gap on the third of the entities met most − met least", contrast(often, seldom, "gap"), controls
    )


def depth_between(e: Evidence, labels: str) -> Finding:
    """Ours: M0 whole against M0 early in its preparation."""
    whole, early = (e.rows("depth", "hint_qa", f"{m}, {labels}") for m in ("whole", "early"))
    base = e.table("base", "depth", task="hint_qa").groupby("m0_checkpoint")["no_cue_accuracy"].mean()
    knows = {"M0 right more often when whole": bool(base[1.0] > base[0.3])}
    return Finding("gap, M0 whole − M0 early", effect_of(difference(whole, early, "gap"), "gap"), knows)
