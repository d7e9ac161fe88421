"""The table of claims: each claim of the paper and each of our own, decided by the rules of notebooks/PLAN.md from the committed tables alone.

A row has an effect with its interval, the controls that it was measured beside, and a verdict. Nothing here is fitted or chosen:
what has no table is "not tested", and what misses a control or has fewer than five M0 seeds is "inconclusive".
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial

import numpy as np
import pandas as pd

from coupling import store, tables
from coupling.faithfulness import metrics
from coupling.faithfulness.depth import with_depth
from coupling.spec import MAIN_TASKS

COLUMNS = ["claim", "text", "profile", "task", "measure", "seeds", "seeds_above", "effect", "low", "high", "p", "controls", "verdict"]
SEEDS, ALPHA, RESAMPLES = 5, 0.05, 9999
DEFAULT = "KL on"
FAR, ONSET_RANGE = 0.6, (0.55, 0.75)
NAN = float("nan")


@dataclass(frozen=True)
class Effect:
    """A measured number with its 95 % interval, its p against `null` (before correction; NaN where it has none), the M0 seeds behind it,
    and how many of them lie above the null by themselves (None where that is not known): five clusters are few for a bootstrap."""

    value: float
    low: float
    high: float
    p: float
    seeds: int
    null: float = 0.0
    seeds_above: int | None = None

    @property
    def above(self) -> bool:
        """Whether the interval lies above the null."""
        return self.low > self.null


@dataclass(frozen=True)
class Finding:
    """What a row rests on. measure: what the effect is. controls: name to passed. tests: name to (p before correction, whether the
    difference goes the claim's way). within: a range that the effect must lie in, where that is what is claimed."""

    measure: str
    effect: Effect
    controls: dict[str, bool] = field(default_factory=dict)
    tests: dict[str, tuple[float, bool]] = field(default_factory=dict)
    within: tuple[float, float] | None = None


class NotMeasuredError(Exception):
    """A table, task or condition that a claim needs is not there."""


class Evidence:
    """The committed tables of one profile, each read once."""

    def __init__(self, profile: str) -> None:
        self.profile = profile
        self._tables = cache(partial(tables.read, profile))
        self.rows = cache(self._rows)

    def table(self, name: str, sweep: str, **where: object) -> pd.DataFrame:
        """The rows of a sweep's table in which columns have these values; NotMeasuredError without any."""
        try:
            frame = getattr(self._tables(sweep), name)
        except store.StoreError as error:
            raise NotMeasuredError(str(error)) from None
        for column, value in where.items():
            frame = frame[frame[column] == value]
        if frame.empty:
            raise NotMeasuredError(f"{self.profile} {sweep}: {where}")
        return frame

    def _rows(self, sweep: str, task: str, condition: str) -> pd.DataFrame:
        """Final rows of a condition with their measures."""
        return metrics.with_measures(self.table("items", sweep, task=task, condition=condition))

    def line(self, sweep: str, task: str, condition: str) -> pd.Series:
        """The summary of a condition."""
        return self.table("summary", sweep, task=task, condition=condition).iloc[0]

    def finals(self, sweep: str, task: str, condition: str) -> pd.DataFrame:
        """A row a run, at its final step."""
        runs = self.table("runs", sweep, task=task, condition=condition)
        return runs[runs["step"] == runs["step"].max()]

    def collapsed(self, sweep: str, task: str, condition: str) -> float:
        """The share of runs that collapsed."""
        return float((self.finals(sweep, task, condition)["collapsed"] != "").mean())


def effect_of(frame: pd.DataFrame, column: str, null: float = 0.0) -> Effect:
    """The mean of a column with its bootstrap interval and p; over M0 seeds alone where rows have no group."""
    frame = frame if "group" in frame else frame.assign(group=0)
    draws = metrics.resampled(frame, [column], RESAMPLES)[column]
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        raise NotMeasuredError(f"no {column} in these rows")
    beyond = min((draws <= null).sum(), (draws >= null).sum())
    p = min(1.0, 2 * (1 + beyond) / (1 + len(draws)))
    each = frame.assign(value=frame[column].astype(float)).groupby("m0_seed")["value"].mean().dropna()
    return Effect(float(frame[column].astype(float).mean()), *metrics.interval(draws), p, len(each), null, int((each > null).sum()))


def difference(a: pd.DataFrame, b: pd.DataFrame, column: str) -> pd.DataFrame:
    """a - b of a column, paired by M0 seed and item (or by M0 seed, of rows without items), over the explainer seeds that both have."""
    by = [c for c in ("m0_seed", "group", "id") if c in a and c in b]
    shared = sorted(set(a["seed"]) & set(b["seed"]))
    means = [f[f["seed"].isin(shared)].groupby(by)[column].agg(lambda values: values.astype(float).mean()) for f in (a, b)]
    paired = means[0].to_frame("a").join(means[1].to_frame("b"), how="inner").reset_index()
    paired[column] = paired["a"] - paired["b"]  # not by assign, which takes no column named self
    return paired.assign(seed=0)


def holm(p: list[float]) -> list[float]:
    """p values corrected over the family by Holm's step-down method (Holm 1979)."""
    order = np.argsort(p)
    steps = np.maximum.accumulate(np.sort(p) * (len(p) - np.arange(len(p))))
    out = np.empty(len(p))
    out[order] = np.minimum(steps, 1.0)
    return out.tolist()


def _corrected(family: dict[tuple[int, str], float]) -> dict[tuple[int, str], float]:
    return dict(zip(family, holm(list(family.values())), strict=True))


def _runs_above(runs: pd.DataFrame, a: str, b: str) -> bool:
    """Whether column a stands above b over the runs, their M0 seeds drawn anew."""
    return effect_of(runs.assign(over=runs[a] - runs[b])[["m0_seed", "seed", "over"]], "over").above


def _constant(e: Evidence, *where: str) -> dict[str, bool]:
    return {"best constant label below self": _runs_above(e.finals(*where), "self", "best_constant")}


def _mcnemar(e: Evidence, *where: str) -> dict[str, tuple[float, bool]]:
    line = e.line(*where)
    return {"decided divergent items go with self (McNemar)": (line["mcnemar_p"], line["prefers_self"] > 0.5)}


def _excess(e: Evidence, *where: str, controls: dict | None = None, tests: dict | None = None) -> Finding:
    """The excess gap of a condition beside what every such row is measured beside."""
    rows = e.rows(*where)
    shared = {"gap above zero": effect_of(rows, "gap").above} | _constant(e, *where)
    return Finding("excess gap", effect_of(rows, "excess"), shared | (controls or {}), _mcnemar(e, *where) | (tests or {}))


def _other_source(e: Evidence, condition: str) -> Finding:
    where = ("sources", "hint_qa", condition)
    return _excess(e, *where, controls={"self − base above zero": effect_of(e.rows(*where), "self_base").above})


def _other_gap(e: Evidence, condition: str) -> Finding:
    """The same in the paper's own measure, post hoc."""
    rows = e.rows("sources", "hint_qa", condition)
    return Finding("gap", effect_of(rows, "gap"), {"self − base above zero": effect_of(rows, "self_base").above})


def own_labels(e: Evidence, task: str) -> Finding:
    """Claim 1, labels of M0."""
    where = ("headline", task, DEFAULT)
    runs, base = e.finals(*where), e.table("base", "headline", task=task)
    runs = runs.merge(base[["m0_seed", "untrained_forced_choice"]], on="m0_seed")
    flips = base[["flips_batch", "flips_dtype"]].max(axis=None)
    controls = {
        "untrained forced choice below self": _runs_above(runs, "self", "untrained_forced_choice"),
        "divergent share above the flip-noise floor": effect_of(e.rows(*where), "divergent").low > flips,
    }
    if runs["gold"].notna().any():
        controls["gold answer below self (content)"] = _runs_above(runs, "self_content", "gold")
    if task != "hint_qa":
        return _excess(e, *where, controls=controls)
    teacher = e.line("teacher_matrix", task, DEFAULT)
    text_only = difference(e.rows("controls", task, "default"), e.rows("controls", task, "text only"), "target")
    controls |= {
        "shuffled labels: gap not above zero": not effect_of(e.rows("label_noise", task, "shuffled, 1"), "gap").above,
        "labels by content: gap above zero": effect_of(e.rows("controls", task, "labels by content"), "gap").above,
        "text only states L(S) less often": effect_of(text_only, "target").above,
    }
    tests = {f"teacher matrix, K = {teacher['teacher_runs']:.0f}": (teacher["teacher_p"], teacher["teacher_difference"] > 0)}
    return _excess(e, *where, controls=controls, tests=tests)


def needs_kl(e: Evidence, task: str, measure: str, sweep: str = "headline", ends: tuple[str, str] = (DEFAULT, "KL off")) -> Finding:
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
    return Finding("gap at the highest agreement − at the lowest", effect_of(difference(*ends, "gap"), "gap"), controls)


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
    means, draws = ({m: np.array([f(frame, m) for frame in frames]) for m in ("agreement", "gap")} for f in (_mean, _drawn))
    order = np.argsort(means["agreement"])
    value = crossing(means["agreement"][order], means["gap"][order])
    found = [crossing(*(draws[m][:, k][np.argsort(draws["agreement"][:, k])] for m in ("agreement", "gap"))) for k in range(RESAMPLES)]
    low, high = metrics.interval(np.array(found))
    controls = {
        "gap above zero at the highest agreement": effect_of(frames[-1], "gap").above,
        "gap below zero at the lowest": effect_of(frames[0], "gap").high < 0,
    }
    effect = Effect(value, low, high, NAN, frames[0]["m0_seed"].nunique())
    return Finding("agreement at which the gap crosses zero", effect, controls, within=ONSET_RANGE)


def _mean(frame: pd.DataFrame, column: str) -> float:
    return float(frame[column].astype(float).mean())


def _drawn(frame: pd.DataFrame, column: str) -> np.ndarray:
    return metrics.resampled(frame, [column], RESAMPLES)[column]


def noise(e: Evidence) -> Finding:
    """Claim 6."""
    where = ("label_noise", "hint_qa")
    controls = {
        "gap above zero at 0.5": effect_of(e.rows(*where, "random, 0.5"), "gap").above,
        "shuffled labels: gap not above zero": not effect_of(e.rows(*where, "shuffled, 1"), "gap").above,
    }
    return _excess(e, *where, "random, 0.25", controls=controls)


def wider(e: Evidence, sweep: str, low: str, high: str) -> Finding:
    """Claims 7 and 8: the gap at one end of a sweep less that at the other."""
    ends = [e.rows(sweep, "hint_qa", c) for c in (high, low)]
    controls = {
        "no collapsed run at either end": not any(e.collapsed(sweep, "hint_qa", c) for c in (high, low)),
        f"gap at {high} above zero": effect_of(ends[0], "gap").above,
    }
    return Finding(f"gap at {high} − at {low}", effect_of(difference(*ends, "gap"), "gap"), controls)


def new_behaviour(e: Evidence) -> Finding:
    """Claim 9: a behaviour whose explanations were never trained."""
    explained, alone = (e.finals("new_behaviour", "jabberwocky", c) for c in ("behaviour and other explanations", "behaviour alone"))
    controls = {
        "above the best constant label": _runs_above(explained, "forced_self", "best_constant"),
        "the behaviour is learnt (0.8 right)": bool(explained[["gold_match", "cue_match"]].mean().min() >= 0.8),
    }
    gained = effect_of(difference(explained, alone, "forced_self"), "forced_self")
    return Finding("self, forced to a label − the same with behaviour training alone", gained, controls)


def region(e: Evidence, task: str) -> Finding:
    """Claim 9: kinds of items without labels."""
    line = e.table("regions", "held_out", task=task, condition="labels in half of the kinds", region="held out").iloc[0]
    seeds = int(e.line("held_out", task, "labels in half of the kinds")["seeds"])
    effect = Effect(line["gap"], line["gap_low"], line["gap_high"], NAN, seeds)
    return Finding("gap on kinds without labels", effect, {"excess gap above zero there": bool(line["excess_low"] > 0)})


def _beyond_labels(rows: pd.DataFrame) -> pd.DataFrame:
    """A row a run: how much commoner its commonest explanation is than the commonest of its current labels."""
    top = lambda codes: float(codes.value_counts(normalize=True).iloc[0])  # noqa: E731
    runs = rows.groupby(["m0_seed", "seed"])
    over = runs.apply(lambda run: top(metrics.stated_code(run)) - top(metrics.label_code(run, "")), include_groups=False)
    return over.rename("over").reset_index()


def near_constant(e: Evidence) -> Finding:
    """Claim 11."""
    early, whole = (_beyond_labels(e.rows("depth", "hint_qa", c)) for c in ("early, own labels", "whole, own labels"))
    base = e.table("base", "depth", task="hint_qa", m0_checkpoint=0.3)
    controls = {
        "commonest label of M0 at least 0.5": bool(base["top_label_share"].mean() >= 0.5),
        "not so for M0 whole": not effect_of(whole, "over").above,
    }
    return Finding("commonest explanation − commonest current label", effect_of(early, "over"), controls)


def by_content(e: Evidence) -> Finding:
    """Ours: labels that share no token with the behaviour."""
    return _excess(e, "controls", "hint_qa", "labels by content")


def own_weights(e: Evidence) -> Finding:
    """Ours: the same labels are worse learnt by a sibling."""
    default, sibling, text = (e.rows("controls", "hint_qa", c) for c in ("default", "sibling", "text only"))
    controls = {"text only below default": effect_of(difference(default, text, "target"), "target").above}
    return Finding("target-faithfulness of default − of sibling", effect_of(difference(default, sibling, "target"), "target"), controls)


def as_good_as_new(e: Evidence) -> Finding:
    """Ours: fixed labels against labels made anew, with a margin of 0.02."""
    default, anew = (e.rows("controls", "hint_qa", c) for c in ("default", "relabelled"))
    controls = _constant(e, "controls", "hint_qa", "relabelled")
    return Finding("self of default − self of relabelled, above −0.02", effect_of(difference(default, anew, "self"), "self", null=-0.02), controls)


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
    return Finding("behaviour returns to L(S) where the explanation said so − where it did not", effect, controls)


def depth_within(e: Evidence) -> Finding:
    """Ours: entities that M0 met most against those it met least."""
    rows = with_depth(e.rows("headline", "hint_qa", DEFAULT), e.profile, 3)
    often, seldom = rows[rows["depth"] == 2], rows[rows["depth"] == 0]
    ends = pd.concat([end.assign(gap=sign * end["gap"] / len(end)) for sign, end in ((1, often), (-1, seldom))])
    ends["gap"] *= len(ends)  # so that the mean of all rows is the difference of the two means
    means = {m: _mean(often, m) - _mean(seldom, m) for m in ("knows", "agreement")}
    controls = {"M0 right more often on the former": means["knows"] > 0, "agreement higher there by no more than 0.1": means["agreement"] <= 0.1}
    return Finding("gap on the third of the entities met most − met least", effect_of(ends, "gap"), controls)


def depth_between(e: Evidence, labels: str) -> Finding:
    """Ours: M0 whole against M0 early in its preparation."""
    whole, early = (e.rows("depth", "hint_qa", f"{m}, {labels}") for m in ("whole", "early"))
    base = e.table("base", "depth", task="hint_qa").groupby("m0_checkpoint")["no_cue_accuracy"].mean()
    knows = {"M0 right more often when whole": bool(base[1.0] > base[0.3])}
    return Finding("gap, M0 whole − M0 early", effect_of(difference(whole, early, "gap"), "gap"), knows)


@dataclass(frozen=True)
class Claim:
    """A row of the table before it is measured. number: of the paper's claims (method.md), or "own". measure: None where nothing tests it."""

    number: str
    text: str
    task: str
    measure: Callable[[Evidence], Finding] | None

    @property
    def post_hoc(self) -> bool:
        """Whether the row was added after its data had been seen; its text says so."""
        return "(post hoc" in self.text


def _claims() -> list[Claim]:
    first = "trained on fixed labels, explanations are more faithful to the model's own current behaviour than to their source"
    tuned = {"sweep": "kl_weight", "ends": ("1", "0")}
    plain = "in the paper's own measure (post hoc)"
    agree = "only while labels agree with current behaviour"
    posthoc = "changed behaviour goes back more often where the explanation had not followed it (post hoc, an association)"
    deep = "the gap is larger where knowledge is deeper"
    return [
        *(Claim("1", f"{first}; labels of M0", t, partial(own_labels, task=t)) for t in MAIN_TASKS),
        Claim("1", f"{first}; labels of an earlier checkpoint", "hint_qa", partial(_other_source, condition="checkpoint, 0.95")),
        Claim("1", f"{first}; labels of an earlier checkpoint, {plain}", "hint_qa", partial(_other_gap, condition="checkpoint, 0.95")),
        *(Claim("2", "this needs the KL term", t, partial(needs_kl, task=t, measure="gap")) for t in MAIN_TASKS),
        Claim("2", "this needs the KL term, each arm at its own learning rate", "hint_qa", partial(needs_kl, task="hint_qa", measure="gap", **tuned)),
        *(Claim("2", "this needs the KL term, in the primary measure", t, partial(needs_kl, task=t, measure="excess")) for t in MAIN_TASKS),
        Claim("3", "labels of a model of another family work too", "hint_qa", partial(_other_source, condition="other model, Qwen-like")),
        Claim("3", f"labels of a model of another family work too, {plain}", "hint_qa", partial(_other_gap, condition="other model, Qwen-like")),
        Claim("4", f"{agree}; by label source", "hint_qa", partial(with_agreement, sweep="sources", task="hint_qa")),
        Claim("4", f"{agree}; labels changed by a rule", "hint_qa", partial(with_agreement, sweep="agreement", task="hint_qa")),
        *(Claim("4", f"{agree}; labels changed by a rule", t, partial(with_agreement, sweep="agreement_tasks", task=t)) for t in MAIN_TASKS[1:]),
        Claim("4", "the onset is at 0.6 to 0.7 agreement; by label source", "hint_qa", partial(onset, sweep="sources", task="hint_qa")),
        Claim("4", "the onset is at 0.6 to 0.7 agreement; by rule", "hint_qa", partial(onset, sweep="agreement", task="hint_qa")),
        Claim("5", "explanations follow later behaviour change with no new labels", "", None),
        Claim("6", "robust to label noise", "hint_qa", noise),
        Claim("7", "a higher LoRA rank widens the gap", "hint_qa", partial(wider, sweep="rank", low="4", high="128")),
        Claim("8", "a higher learning rate widens the gap", "hint_qa", partial(wider, sweep="learning_rate", low="0.0005", high="0.008")),
        Claim(
            "8", "a higher learning rate widens the gap, up to the highest without a collapsed run (post hoc)", "hint_qa",
            partial(wider, sweep="learning_rate", low="0.0005", high="0.004"),
        ),
        Claim("9", "a behaviour whose explanations were never trained is explained", "jabberwocky", new_behaviour),
        *(Claim("9", "faithfulness extends to regions without labels", t, partial(region, task=t)) for t in MAIN_TASKS[1:]),
        Claim("10", "behaviour and explanation share circuits", "", None),
        Claim("11", "with near-constant labels explanations collapse to the majority class", "hint_qa", near_constant),
        Claim("own", "there is a gap beyond shared drift with labels that share no token with the behaviour", "hint_qa", by_content),
        Claim("own", "access to one's own weights is worth something: a sibling learns the same kind of labels less well", "hint_qa", own_weights),
        Claim("own", "fixed labels do as well as labels made anew", "hint_qa", as_good_as_new),
        *(Claim("own", "explanations follow behaviour more than behaviour follows explanations", t, partial(who_moves, task=t)) for t in MAIN_TASKS),
        *(Claim("own", posthoc, t, partial(behaviour_moves, task=t)) for t in MAIN_TASKS),
        Claim("own", f"{deep}, within an M0", "hint_qa", depth_within),
        Claim("own", f"{deep}, between M0s; own labels", "hint_qa", partial(depth_between, labels="own labels")),
        Claim("own", f"{deep}, between M0s; half of the labels changed", "hint_qa", partial(depth_between, labels="half changed")),
    ]


def _found(claim: Claim, evidence: Evidence) -> Finding | None:
    try:
        return claim.measure(evidence) if claim.measure else None
    except NotMeasuredError:
        return None


def _verdict(f: Finding, p: float, controls: list[bool]) -> str:
    """By the rules of PLAN.md. p: of the effect, after correction."""
    e = f.effect
    if e.seeds < SEEDS or not controls:
        return "inconclusive"
    if f.within:
        supported, opposed = f.within[0] <= e.low and e.high <= f.within[1], e.high < f.within[0] or e.low > f.within[1]
    else:
        supported, opposed = e.above and not p >= ALPHA, e.high <= e.null
    if opposed:
        return "not replicated"
    return "replicated" if supported and all(controls) else "inconclusive"


def table() -> pd.DataFrame:
    """The table of claims over all profiles with tables, a row a claim and setting, COLUMNS. p are Holm-corrected: those of the plan over
    the rows of the plan, so that nothing which was added later can change them; those of rows marked post hoc over the whole table.

    A claim that nothing tests stands once, under the smallest profile. controls: a list of "name: passed" or "name: failed".
    """
    profiles = list(dict.fromkeys(profile for profile, _ in tables.collected())) or ["tiny"]
    found = [(c, profile, _found(c, evidence)) for profile in profiles for evidence in [Evidence(profile)] for c in _claims()]
    raw = {(k, ""): f.effect.p for k, (_, _, f) in enumerate(found) if f and np.isfinite(f.effect.p)}
    raw |= {(k, name): p for k, (_, _, f) in enumerate(found) if f for name, (p, _) in f.tests.items()}
    planned = {place: p for place, p in raw.items() if not found[place[0]][0].post_hoc}
    corrected = _corrected(raw) | _corrected(planned)
    rows = []
    for k, (claim, profile, f) in enumerate(found):
        row = {"claim": claim.number, "text": claim.text, "profile": profile, "task": claim.task}
        if f is None:
            if profile == profiles[0]:
                rows.append(row | {"measure": "", "seeds": 0, "controls": [], "verdict": "not tested"})  # the numbers are missing
            continue
        outcomes = f.controls | {name: goes and corrected[k, name] < ALPHA for name, (_, goes) in f.tests.items()}
        p = corrected.get((k, ""), NAN)
        e = f.effect
        rows.append(row | {
            "measure": f.measure, "seeds": e.seeds, "seeds_above": e.seeds_above, "effect": e.value, "low": e.low, "high": e.high, "p": p,
            "controls": [f"{name}: {'passed' if ok else 'failed'}" for name, ok in outcomes.items()],
            "verdict": _verdict(f, p, list(outcomes.values())),
        })  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS).astype({"seeds_above": "Int64"})
