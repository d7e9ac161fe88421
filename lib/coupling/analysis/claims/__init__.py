"""The table of claims: each claim of the paper and each of our own, decided by the rules of notebooks/PLAN.md from the committed tables alone.

A row has an effect with its interval, the controls that it was measured beside, and a verdict. Nothing here is fitted or chosen:
what has no table is "not tested", and what misses a control or has fewer seeds than SEEDS is "inconclusive".
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from coupling.analysis import tables
from coupling.analysis.claims import followed, trained
from coupling.analysis.claims.evidence import Evidence, Finding, NotMeasuredError
from coupling.tasks import main_tasks

COLUMNS = [
    "claim",
    "text",
    "profile",
    "task",
    "measure",
    "seeds",
    "unit",
    "seeds_above",
    "effect",
    "low",
    "high",
    "p",
    "controls",
    "verdict",
]
SEEDS = {"M0s": 5, "explainers": 3}  # the fewest of each that decide
ALPHA = 0.05
POST_HOC = 9
NAN = float("nan")
FIRST = "trained on fixed labels, explanations are more faithful to the model's own current behaviour than to their source"
NEEDS = "this needs the KL term"
FAMILY = "labels of a model of another family work too"
AGREE = "only while labels agree with current behaviour"
LATER = "explanations follow a shift of behaviour with no new labels"
RANK, RATE = "a higher LoRA rank widens the gap", "a higher learning rate widens the gap"
PLAINLY = "in the paper's own measure (post hoc)"
MOVES = "explanations follow behaviour more than behaviour follows explanations"
OUTCOMES = {True: "passed", False: "failed", None: "not run"}


def holm(p: list[float]) -> list[float]:
    """p values corrected over the family by Holm's step-down method (Holm 1979)."""
    order = np.argsort(p)
    steps = np.maximum.accumulate(np.sort(p) * (len(p) - np.arange(len(p))))
    out = np.empty(len(p))
    out[order] = np.minimum(steps, 1.0)
    return out.tolist()


def _corrected(family: dict[tuple[int, str], float]) -> dict[tuple[int, str], float]:
    return dict(zip(family, holm(list(family.values())), strict=True))


@dataclass(frozen=True)
class Claim:
    """A row of the table before it is measured. number: of the paper's claims (method.md), or "own". measure: None where nothing tests it. plan: the
    part of PLAN.md in which the row was written down before its runs, from 1 on."""

    number: str
    text: str
    task: str
    measure: Callable[[Evidence], Finding] | None
    plan: int = 1

    @property
    def family(self) -> int:
        """Which p its own are corrected with: those of rows whose number here is not higher. POST_HOC: added after its data had been seen, as its text says."""
        return POST_HOC if "(post hoc" in self.text else self.plan


def _made_up() -> list[Claim]:
    """The rows on made-up tasks."""
    tuned = {"sweep": "kl_weight", "ends": ("1", "0")}
    posthoc = "changed behaviour goes back more often where the explanation had not followed it (post hoc, an association)"
    shuffled = f"{FIRST}; labels of M0 by content, beside the same shuffled"
    deep = "the gap is larger where knowledge is deeper"
    pushed = [(t, d) for t in main_tasks() for d in followed.SIGN]
    stale = "a shift after explanation training makes explanations stale"
    read = "the rate of a shifted behaviour can be read off explanations better than by assuming M0's"
    facts = "re-taught facts are followed, by the explanations of re-taught entities and not of others"
    return [
        *(Claim("1", f"{FIRST}; labels of M0", t, partial(trained.own_labels, task=t)) for t in main_tasks()),
        Claim(
            "1", shuffled, "hint_qa", partial(trained.by_content_alone, task="hint_qa", measure="excess"), 7
        ),
        Claim(
            "1",
            f"{shuffled}, in the paper's own measure",
            "hint_qa",
            partial(trained.by_content_alone, task="hint_qa", measure="gap"),
            7,
        ),
        Claim(
            "1",
            f"{FIRST}; labels of an earlier checkpoint",
            "hint_qa",
            partial(trained.other_source, condition="checkpoint, 0.95"),
        ),
        Claim(
            "1",
            f"{FIRST}; labels of an earlier checkpoint, {PLAINLY}",
            "hint_qa",
            partial(trained.other_gap, condition="checkpoint, 0.95"),
        ),
        *(Claim("2", NEEDS, t, partial(trained.needs_kl, task=t, measure="gap")) for t in main_tasks()),
        Claim(
            "2",
            f"{NEEDS}, each arm at its own learning rate",
            "hint_qa",
            partial(trained.needs_kl, task="hint_qa", measure="gap", **tuned),
        ),
        *(
            Claim(
                "2",
                f"{NEEDS}, in the primary measure",
                t,
                partial(trained.needs_kl, task=t, measure="excess"),
            )
            for t in main_tasks()
        ),
        Claim("3", FAMILY, "hint_qa", partial(trained.other_source, condition="other model, Qwen-like")),
        Claim(
            "3",
            f"{FAMILY}, {PLAINLY}",
            "hint_qa",
            partial(trained.other_gap, condition="other model, Qwen-like"),
        ),
        Claim(
            "4",
            f"{AGREE}; by label source",
            "hint_qa",
            partial(trained.with_agreement, sweep="sources", task="hint_qa"),
        ),
        Claim(
            "4",
            f"{AGREE}; labels changed by a rule",
            "hint_qa",
            partial(trained.with_agreement, sweep="agreement", task="hint_qa"),
        ),
        *(
            Claim(
                "4",
                f"{AGREE}; labels changed by a rule",
                t,
                partial(trained.with_agreement, sweep="agreement_tasks", task=t),
            )
            for t in main_tasks()[1:]
        ),
        Claim(
            "4",
            "the onset is at 0.6 to 0.7 agreement; by label source",
            "hint_qa",
            partial(trained.onset, sweep="sources", task="hint_qa"),
        ),
        Claim(
            "4",
            "the onset is at 0.6 to 0.7 agreement; by rule",
            "hint_qa",
            partial(trained.onset, sweep="agreement", task="hint_qa"),
        ),
        *(
            Claim("5", f"{LATER}; pushed {d}", t, partial(followed.follows, task=t, direction=d), 2)
            for t, d in pushed
        ),
        *(
            Claim(
                "5",
                f"{LATER}; pushed {d}, in the paper's own measure",
                t,
                partial(followed.follows_plainly, task=t, direction=d),
                2,
            )
            for t, d in pushed
        ),
        Claim("6", "robust to label noise", "hint_qa", trained.noise),
        Claim("7", RANK, "hint_qa", partial(trained.wider, sweep="rank", low="4", high="128")),
        Claim(
            "8", RATE, "hint_qa", partial(trained.wider, sweep="learning_rate", low="0.0005", high="0.008")
        ),
        Claim(
            "8",
            f"{RATE}, up to the highest without a collapsed run (post hoc)",
            "hint_qa",
            partial(trained.wider, sweep="learning_rate", low="0.0005", high="0.004"),
        ),
        Claim(
            "9",
            "a behaviour whose explanations were never trained is explained",
            "jabberwocky",
            trained.new_behaviour,
        ),
        *(
            Claim("9", "faithfulness extends to regions without labels", t, partial(trained.region, task=t))
            for t in main_tasks()[1:]
        ),
        Claim("10", "behaviour and explanation share circuits", "", None),
        Claim(
            "11",
            "with near-constant labels explanations collapse to the majority class",
            "hint_qa",
            trained.near_constant,
        ),
        Claim(
            "own",
            "there is a gap beyond shared drift with labels that share no token with the behaviour",
            "hint_qa",
            trained.by_content,
        ),
        Claim(
            "own",
            "access to one's own weights is worth something: a sibling learns the same kind of labels less well",
            "hint_qa",
            trained.own_weights,
        ),
        Claim("own", "fixed labels do as well as labels made anew", "hint_qa", trained.as_good_as_new),
        *(Claim("own", MOVES, t, partial(trained.who_moves, task=t)) for t in main_tasks()),
        *(Claim("own", posthoc, t, partial(trained.behaviour_moves, task=t)) for t in main_tasks()),
        Claim("own", f"{deep}, within an M0", "hint_qa", trained.depth_within),
        Claim(
            "own",
            f"{deep}, between M0s; own labels",
            "hint_qa",
            partial(trained.depth_between, labels="own labels"),
        ),
        Claim(
            "own",
            f"{deep}, between M0s; half of the labels changed",
            "hint_qa",
            partial(trained.depth_between, labels="half changed"),
        ),
        *(
            Claim(
                "own",
                f"{facts}; taught {o} explanation training",
                "hint_qa",
                partial(followed.retaught, condition=c),
                2,
            )
            for o, c in followed.RETAUGHT.items()
        ),
        *(
            Claim("own", "explanations imply part of a shift", t, partial(followed.share_said, task=t), 2)
            for t in main_tasks()
        ),
        Claim("own", stale, "hint_qa", partial(followed.goes_stale, after="down, after"), 2),
        Claim(
            "own",
            f"{stale}; with a replay (post hoc)",
            "hint_qa",
            partial(followed.goes_stale, after="down, after, replay"),
            2,
        ),
        Claim("own", "a replay of explanation data keeps them fresh", "hint_qa", followed.replay_helps, 2),
        Claim(
            "own",
            f"{LATER}; explanations trained after it, on labels from before it",
            "hint_qa",
            followed.labels_from_before,
            2,
        ),
        Claim(
            "own",
            "under a shift fixed labels do as well as labels made anew",
            "hint_qa",
            followed.as_good_as_new,
            2,
        ),
        *(Claim("own", read, t, partial(followed.senses, task=t), 2) for t in main_tasks()),
    ]


def _real() -> list[Claim]:
    """The rows on real questions, of one model that is taken as it is."""
    row = partial(Claim, task="mmlu")
    of = lambda rests_on, **values: partial(rests_on, task="mmlu", **values)
    content = f"{FIRST}; labels of M0 by content, at three times the learning rate"
    again = f"{content}, on subjects dealt out anew"
    families = {f: f"other family, {f}" for f in ("Gemma", "SmolLM2")}
    return [
        row("1", f"{FIRST}; labels of M0", measure=of(trained.own_labels), plan=3),
        row(
            "1",
            f"{FIRST}; labels of M0, in the paper's own measure",
            measure=of(trained.own_labels_plainly),
            plan=3,
        ),
        row("1", content, measure=of(trained.by_content_alone, measure="excess"), plan=4),
        row(
            "1",
            f"{content}, in the paper's own measure",
            measure=of(trained.by_content_alone, measure="gap"),
            plan=4,
        ),
        row(
            "1", again, measure=of(trained.by_content_alone, measure="excess", sweep="content_again"), plan=6
        ),
        row(
            "1",
            f"{again}, in the paper's own measure",
            measure=of(trained.by_content_alone, measure="gap", sweep="content_again"),
            plan=6,
        ),
        row("2", NEEDS, measure=of(trained.needs_kl, measure="gap"), plan=3),
        row("2", f"{NEEDS}, in the primary measure", measure=of(trained.needs_kl, measure="excess"), plan=3),
        *(
            row("3", f"{FAMILY}; {f}", measure=of(trained.other_source, condition=c), plan=4)
            for f, c in families.items()
        ),
        *(
            row("3", f"{FAMILY}; {f}, {PLAINLY}", measure=of(trained.other_gap, condition=c))
            for f, c in families.items()
        ),
        row("4", f"{AGREE}; by label source", measure=of(trained.with_agreement, sweep="sources"), plan=4),
        row("5", f"{LATER}; pushed down", measure=of(followed.follows, direction="down"), plan=4),
        row(
            "5",
            f"{LATER}; pushed down, in the paper's own measure",
            measure=of(followed.follows_plainly, direction="down"),
            plan=4,
        ),
        row("7", RANK, measure=of(trained.wider, sweep="rank", low="8", high="128"), plan=4),
        *(
            row(
                "8",
                f"{RATE}; {r}",
                measure=of(trained.wider, sweep="learning_rate", low="0.0001", high=r),
                plan=4,
            )
            for r in ("0.0003", "0.001")
        ),
        row("own", MOVES, measure=of(trained.who_moves), plan=3),
    ]


def _claims() -> list[Claim]:
    """All rows, the paper's claims by number and our own behind them."""
    return sorted([*_made_up(), *_real()], key=lambda c: float("inf") if c.number == "own" else int(c.number))


def _found(claim: Claim, evidence: Evidence) -> Finding | None:
    try:
        return claim.measure(evidence) if claim.measure else None
    except NotMeasuredError:
        return None


def _verdict(f: Finding, p: float, controls: list[bool | None]) -> str:
    """By the rules of PLAN.md. p: of the effect, after correction."""
    e = f.effect
    if e.seeds < SEEDS[e.unit] or not controls:
        return "inconclusive"
    if f.within:
        supported, opposed = (
            f.within[0] <= e.low and e.high <= f.within[1],
            e.high < f.within[0] or e.low > f.within[1],
        )
    else:
        each = e.unit == "M0s" or e.seeds_above == e.seeds  # three are too few for a bootstrap alone
        supported, opposed = e.above and not p >= ALPHA and each, e.high <= e.null
    if opposed:
        return "not replicated"
    return "replicated" if supported and all(controls) else "inconclusive"


def table() -> pd.DataFrame:
    """The table of claims over all profiles with tables, a row a claim and setting, COLUMNS. p are Holm-corrected: those of a plan over the rows
    of this plan and of earlier ones, so that nothing which was added later can change them; those of rows marked post hoc over the whole table.

    A claim that nothing tests stands once, under the smallest profile. controls: a list of "name: passed" or "name: failed".
    """
    profiles = list(dict.fromkeys(profile for profile, _ in tables.collected())) or ["tiny"]
    found = [
        (c, profile, _found(c, evidence))
        for profile in profiles
        for evidence in [Evidence(profile)]
        for c in _claims()
    ]
    tested = {(c.text, c.task) for c, _, f in found if f}
    raw = {(k, ""): f.effect.p for k, (_, _, f) in enumerate(found) if f and np.isfinite(f.effect.p)}
    raw |= {(k, name): p for k, (_, _, f) in enumerate(found) if f for name, (p, _) in f.tests.items()}
    families = {place: found[place[0]][0].family for place in raw}
    corrected = {}
    for latest in sorted(
        {*families.values()}, reverse=True
    ):  # of each p, the family that it belongs to is the last to be written
        corrected |= _corrected({place: p for place, p in raw.items() if families[place] <= latest})
    rows = []
    for k, (claim, profile, f) in enumerate(found):
        row = {"claim": claim.number, "text": claim.text, "profile": profile, "task": claim.task}
        if f is None:
            if profile == profiles[0] and (claim.text, claim.task) not in tested:
                rows.append(
                    row | {"measure": "", "seeds": 0, "unit": "", "controls": [], "verdict": "not tested"}
                )  # the numbers are missing
            continue
        outcomes = f.controls | {
            name: goes and corrected[k, name] < ALPHA for name, (_, goes) in f.tests.items()
        }
        p = corrected.get((k, ""), NAN)
        e = f.effect
        rows.append(
            row
            | {
                "measure": f.measure,
                "seeds": e.seeds,
                "unit": e.unit,
                "seeds_above": e.seeds_above,
                "effect": e.value,
                "low": e.low,
                "high": e.high,
                "p": p,
                "controls": [f"{name}: {OUTCOMES[ok]}" for name, ok in outcomes.items()],
                "verdict": _verdict(f, p, list(outcomes.values())),
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS).astype({"seeds_above": "Int64"})
