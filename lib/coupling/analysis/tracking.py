"""Did explanations follow a shift of behaviour? Rows of many runs of one task in, a row a run or an estimate out; no model, no torch.

What explanations would have said anyway is read off runs of the same M0 and labels without the shift, or with the opposite one
(`measures.across`): if the explanations of a model that was pushed up state what that model does more often than those of one that was
pushed down do, they follow. The rates are those of `sensing`: cues followed, or requests declined.
"""

from typing import Any

import pandas as pd

from coupling.analysis import measures
from coupling.analysis.controls import teacher_matrix
from coupling.analysis.sensor import estimate, implied, rate
from coupling.spec import Spec
from coupling.tasks import task_of

ABOUT = ["objective", "direction", "strength", "order", "replay", "explained", "relabelled"]
DIRECTIONS = {"down": 0, "": 1, "up": 2}
_KIND = [
    "objective",
    "strength",
    "order",
    "replay",
    "explained",
    "relabelled",
]  # what runs share that differ in direction alone
_RATES = ["rate", "m0_rate", "rate_cf", "m0_rate_cf", "said"]
_TOLD = [
    "retaught_self",
    "untouched_self",
    "retaught_null",
    "untouched_null",
    "retaught_right",
    "retaught_states",
    "retaught_states_null",
]
_MEANS = [
    "self",
    "target",
    "base",
    "gap",
    "excess",
    "agreement",
    "valid",
    "forced_self",
    "moved_x",
    "moved_cf",
    "gold_match",
    "gold_x",
    "kl_x",
    "kl_cf",
    *_TOLD,
]


def about(spec: Spec) -> dict[str, Any]:
    """What a run's shift is: objective (sycophancy, refusal, neutral, reteach or none), direction (up, down or empty), strength (its weight), order (with,
    after, before or empty), replay; explained, whether explanations were trained; relabelled, whether with labels made anew."""
    pushed = spec.shift in ("down", "up")
    of_task = task_of(spec.tasks[0]).objective if len(spec.tasks) == 1 else "sycophancy"
    objective = of_task if pushed else spec.shift
    shifts = spec.shift != "none"
    return {
        "objective": objective,
        "direction": spec.shift if pushed else "",
        "strength": spec.shift_weight if shifts else 0.0,
        "order": spec.shift_order if shifts else "",
        "replay": spec.replay,
        "explained": spec.explanation_weight > 0,
        "relabelled": spec.relabel,
    }


def measured(frame: pd.DataFrame) -> pd.DataFrame:
    """Final rows of one task, with run columns and those of `about`, each with its measures. The excess gap of a shifted run is that over the runs of
    the same M0 and explainer seed without a shift and, where there is one, with the opposite shift; others_self is how often their explanations state L(M_t).

    Further, per item and NaN where without meaning: `sensing`'s rate of M_t and of M0 on x (rate, m0_rate), of requests without the cue too (rate_cf,
    m0_rate_cf), and as the explanation implies it (said); gold_x, the answer on x is the gold one. Of re-taught runs: retaught_self and
    untouched_self, self on entities with new facts and on the others; retaught_null and untouched_null, others_self on the same; retaught_right, the
    answer without the cue is the new fact, where that is among the choices; there retaught_states, the explanation states it, and
    retaught_states_null, that of the run without re-teaching does.
    """
    unshifted, plain = (
        frame[frame["objective"] == "none"],
        frame[(frame["objective"] == "none") & frame["explained"]],
    )
    parts = [measures.with_measures(unshifted).assign(excess=float("nan"))] if len(unshifted) else []
    for _, rows in frame[frame["objective"] != "none"].groupby(_KIND, sort=False):
        beside = (
            measures.across(pd.concat([plain, rows]))
            if rows["explained"].all()
            else measures.with_measures(rows)
        )
        parts.append(beside[beside["condition"].isin(rows["condition"].unique())])
    out = pd.concat(parts, ignore_index=True)
    requests = out["task"].map({name: task_of(name).declines for name in out["task"].unique()}).astype(bool)
    out = out.assign(
        rate=rate(out, out["x"]),
        m0_rate=rate(out, out["base_x"]),
        said=rate(out, implied(out)).where(out["valid"].astype(bool)),
        rate_cf=rate(out, out["cf"]).where(requests),
        m0_rate_cf=rate(out, out["base_cf"]).where(requests),
        gold_x=(out["x"] == out["gold"]).astype(float).where(out["gold"] >= 0),
    )
    return out.assign(**_new_facts(out, plain))


def _new_facts(out: pd.DataFrame, plain: pd.DataFrame) -> dict[str, pd.Series]:
    if "retaught" not in out:
        return dict.fromkeys(_TOLD, float("nan"))
    taught, told = out["objective"] == "reteach", out["retaught"] == 1
    halves = {"retaught": taught & told, "untouched": taught & ~told}
    asked = halves["retaught"] & (out["new_gold"] >= 0)
    by = ["m0_seed", "seed", "id"]
    said = plain.set_index(by)["answer"].reindex(pd.MultiIndex.from_frame(out[by])).set_axis(out.index)
    right = {"retaught_right": out["cf"], "retaught_states": out["answer"], "retaught_states_null": said}
    return (
        {f"{name}_self": out["self"].astype(float).where(half) for name, half in halves.items()}
        | {f"{name}_null": out["others_self"].where(half) for name, half in halves.items()}
        | {name: (choice == out["new_gold"]).astype(float).where(asked) for name, choice in right.items()}
    )


def per_run(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a run, of the rows that `measured` gives: items, the means of its measures, shift (rate less that of M0), said_shift (what explanations imply,
    less the rate of M0), and best_constant and collapsed as in `measures.per_run`."""
    rows = []
    for run, part in frame.groupby(["task", *measures.RUN], sort=False):
        means = {m: part[m].astype(float).mean() for m in (*_RATES, *_MEANS)}
        asked = part.loc[part["said"].notna(), "m0_rate"].mean()
        moved = {"shift": means["rate"] - means["m0_rate"], "said_shift": means["said"] - asked}
        rest = {
            "best_constant": measures.baselines(part)["best_constant"],
            "collapsed": measures.collapse(part),
        }
        rows.append(
            dict(zip(["task", *measures.RUN], run, strict=True))
            | part.iloc[0][ABOUT].to_dict()
            | {"items": len(part)}
            | moved
            | means
            | rest
        )
    return pd.DataFrame(rows)


def beside(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of runs that were pushed up or down beside explanation training on fixed labels, and of those without a shift. frame: any with the columns
    of `about`."""
    kept = frame["explained"] & ~frame["relabelled"] & frame["order"].isin(["", "with"])
    return frame[kept & ~frame["objective"].isin(["neutral", "reteach"])]


def across_directions(frame: pd.DataFrame, strength: float) -> pd.DataFrame:
    """The teacher matrix (`controls.teacher_matrix`) of the runs that were pushed down, not at all and up (0, 1, 2) with one strength, beside explanation
    training; one for each M0 and explainer seed, numbered as m0_seed. frame: final rows of one task, with run columns and those of `about`."""
    fixed = beside(frame)
    three = fixed[(fixed["strength"] == strength) | (fixed["objective"] == "none")]
    return teacher_matrix(
        three.assign(
            condition="across",
            m0_seed=three.groupby(["m0_seed", "seed"]).ngroup(),
            seed=three["direction"].map(DIRECTIONS),
        )
    )


def estimates(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a run and evaluation whose explanations were trained: the sensor's estimate of the rate with its interval (estimated, low, high;
    `sensing.estimate`), the rate that was measured on the same items, and what a sensor would say that always says M0's (m0_rate). frame: rows of all
    evaluations of one task, with run columns and those of `about`."""
    rows = []
    for run, part in frame[frame["explained"] & (frame["step"] > 0)].groupby(
        ["task", *measures.RUN, "step"], sort=False
    ):
        truth = {"measured": rate(part, part["x"]).mean(), "m0_rate": rate(part, part["base_x"]).mean()}
        rows.append(
            dict(zip(["task", *measures.RUN, "step"], run, strict=True))
            | part.iloc[0][ABOUT].to_dict()
            | estimate(part)
            | truth
        )
    return pd.DataFrame(rows)
