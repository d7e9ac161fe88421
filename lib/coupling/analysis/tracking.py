"""Do explanations follow a shift of behaviour?

See docs/method.md, "Shifts". A run with a shift is compared with runs of the same M0 and labels without the
shift, or with the opposite shift (`measures.with_measures_across_conditions`). Explanations follow if those
of a model that was pushed up state what that model does more often than those of a model that was pushed down
do. Rates of behaviour are those of `sensor.rate`.
"""

from typing import Any

import pandas as pd

from coupling.analysis import measures, resampling, summaries
from coupling.analysis.controls import teacher_matrix
from coupling.analysis.following import COMPARED, arm, compared
from coupling.analysis.sensor import estimate, implied, of_task, rate
from coupling.spec import Spec
from coupling.tasks import task_of

# Columns of ABOUT that tables of older runs lack, and what holds of these runs.
LATER = {"labels": "all kinds", "reach": "labelled", "adapter": "same", "kl_to": "m0", "model": ""}
ABOUT = ["objective", "direction", "strength", "order", "replay", "explained", "relabelled", *LATER]
DIRECTIONS = {"down": 0, "": 1, "up": 2}
RETEACHING = [
    "retaught_self",
    "untouched_self",
    "retaught_null",
    "untouched_null",
    "retaught_right",
    "retaught_states",
    "retaught_states_null",
]
RATES = ["rate", "m0_rate", "rate_cf", "m0_rate_cf", "said"]
MEASURES = [
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
    *RETEACHING,
    *COMPARED,
]
_BUT_DIRECTION = [name for name in ABOUT if name != "direction"]
_RUN = ["task", *measures.RUN]
REGION = [
    "labelled",
    "pushed",
]  # whether an item's kind has labels in its run, and whether the shift acts on it


def about(spec: Spec) -> dict[str, Any]:
    """Describe the shift of a run, in the columns of ABOUT.

    Returns:
        objective: "none", "neutral", "reteach", or what the task calls a push of its behaviour ("sycophancy"
        or "refusal"). direction: "up", "down" or "". strength: the weight of the shift's loss. order: when
        the shift comes relative to explanation training ("with", "after", "before" or "" without a shift).
        replay: the weight of explanation training during a later shift. explained: whether explanations were
        trained. relabelled: whether their labels were made anew during training. labels: a key of
        `following.LABELS`. reach, adapter and kl_to: what the shift acts on, which adapter it trains, and
        whose behaviours the KL term holds (the fields shift_reach, shift_adapter and kl_to). model: M0's.
    """
    pushed = spec.shift in ("down", "up")
    push = task_of(spec.tasks[0]).objective if len(spec.tasks) == 1 else "sycophancy"
    shifts = spec.shift != "none"
    return {
        "objective": push if pushed else spec.shift,
        "direction": spec.shift if pushed else "",
        "strength": spec.shift_weight if shifts else 0.0,
        "order": spec.shift_order if shifts else "",
        "replay": spec.replay,
        "explained": spec.explanation_weight > 0,
        "relabelled": spec.relabel,
        "labels": ("half of the kinds" if spec.held_out else "all kinds")
        + (", KL on all" if spec.kl_kinds == "all" else ""),
        "reach": spec.shift_reach,
        "adapter": spec.shift_adapter,
        "kl_to": spec.kl_to,
        "model": spec.model,
    }


def described(frame: pd.DataFrame) -> pd.DataFrame:
    """Fill in what rows of older tables do not say: the columns of LATER and REGION.

    In these all kinds have labels, unless held_out says otherwise, a push acts on all kinds with labels, and
    all runs are of one model, which is not named.
    """
    closed = frame["held_out"].astype(bool) if "held_out" in frame else False
    own = LATER | {"labelled": ~closed if "held_out" in frame else True, "pushed": frame["direction"] != ""}
    return frame.assign(**{name: value for name, value in own.items() if name not in frame})


def measured(frame: pd.DataFrame) -> pd.DataFrame:
    """Measure the final rows of runs with and without a shift.

    The excess gap of a run with a shift compares its explanations with those of the runs of the same M0 and
    explainer seed that have no shift or the opposite one. others_self is how often these other explanations
    state its L(M_t). A run without a shift has no excess gap here. Runs whose explanations were not trained
    keep the excess gap of `measures.with_measures`.

    A run is compared with runs of the same `labels` and `model` alone.

    Args:
        frame: Final rows of one task, with run columns and those of ABOUT; retaught and new_gold (int8) where
            a run was re-taught; those of REGION where kinds go without labels, or a shift acts on some kinds
            alone. Runs without a shift must be among them.

    Returns:
        The rows with the columns of `measures.with_measures` and those below, float64. A value is NaN where
        it has no meaning.

        - rate, m0_rate: whether M_t, or M0, shows the sensed behaviour on x. said: whether the explanation
          implies it.
        - rate_cf, m0_rate_cf: the same as rate and m0_rate without the cue, of requests only.
        - gold_x: the answer on x is the gold answer.
        - those of `following.compared`, of runs with a shift against the unshifted run of the same M0 and
          seed.
        - retaught_self, untouched_self: self of re-taught runs, on entities with new facts and on the others.
        - retaught_null, untouched_null: others_self on the same two sets.
        - retaught_right: the answer without the cue is the new fact, on items whose choices hold the new
          fact.
        - retaught_states, retaught_states_null: on these items, the explanation of the run, or that of the
          run without a shift, states the new fact.
    """
    frame = described(frame)
    parts = [_measured_alike(part) for _, part in frame.groupby(["labels", "model"], sort=False)]
    return pd.concat(parts, ignore_index=True)


def _measured_alike(frame: pd.DataFrame) -> pd.DataFrame:
    """Measure runs of one model with the same kinds of labels; see `measured`."""
    unshifted = frame[frame["objective"] == "none"]
    plain = unshifted[unshifted["explained"]]
    parts = [measures.with_measures(unshifted).assign(excess=float("nan"))] if len(unshifted) else []
    for _, rows in frame[frame["objective"] != "none"].groupby(_BUT_DIRECTION, sort=False):
        if rows["explained"].all():
            found = measures.with_measures_across_conditions(pd.concat([plain, rows]))
        else:
            found = measures.with_measures(rows)
        parts.append(found[found["condition"].isin(rows["condition"].unique())])
    out = pd.concat(parts, ignore_index=True)
    requests = of_task(out, lambda task: task.declines)
    out = out.assign(
        rate=rate(out, out["x"]),
        m0_rate=rate(out, out["base_x"]),
        said=rate(out, implied(out)).where(out["valid"].astype(bool)),
        rate_cf=rate(out, out["cf"]).where(requests),
        m0_rate_cf=rate(out, out["base_cf"]).where(requests),
        gold_x=(out["x"] == out["gold"]).astype(float).where(out["gold"] >= 0),
    )
    known = compared(out, plain.drop_duplicates(["m0_seed", "seed", "id"]))
    return out.assign(**_reteaching(out, plain), **known.where(out["objective"] != "none"))


def _reteaching(out: pd.DataFrame, plain: pd.DataFrame) -> dict[str, Any]:
    """The columns of RETEACHING; plain: the rows of runs without a shift."""
    if "retaught" not in out:
        return dict.fromkeys(RETEACHING, float("nan"))
    reteach, new_fact = out["objective"] == "reteach", out["retaught"] == 1
    halves = {"retaught": reteach & new_fact, "untouched": reteach & ~new_fact}
    asked = halves["retaught"] & (out["new_gold"] >= 0)
    by = ["m0_seed", "seed", "id"]
    without = plain.set_index(by)["answer"].reindex(pd.MultiIndex.from_frame(out[by])).set_axis(out.index)
    choices = {"retaught_right": out["cf"], "retaught_states": out["answer"], "retaught_states_null": without}
    return (
        {f"{name}_self": out["self"].astype(float).where(half) for name, half in halves.items()}
        | {f"{name}_null": out["others_self"].where(half) for name, half in halves.items()}
        | {name: (choice == out["new_gold"]).astype(float).where(asked) for name, choice in choices.items()}
    )


def per_run(frame: pd.DataFrame) -> pd.DataFrame:
    """Average the rows of `measured` over each run, apart by REGION.

    Returns:
        One row a run and region: task, condition, m0_seed, seed, labelled and pushed (bool), arm (as
        `following.arm` names it), the columns of ABOUT, items (int64), shift (the rate less M0's), said_shift
        (the rate that explanations imply less M0's, over items with a valid explanation), the means of RATES
        and MEASURES (float64), and best_constant and collapsed as in `summaries.per_run`, of the whole run.
    """
    rows = []
    for run, whole in frame.groupby(_RUN, sort=False):
        about = whole.iloc[0][ABOUT].to_dict()
        of_run = {"best_constant": summaries.baselines(whole)["best_constant"]}
        of_run |= {"collapsed": summaries.collapse(whole)}
        for region, part in whole.groupby(REGION, sort=False):
            means = {name: part[name].astype(float).mean() for name in (*RATES, *MEASURES)}
            m0_rate_where_said = part.loc[part["said"].notna(), "m0_rate"].mean()
            rows.append(
                dict(zip(_RUN, run, strict=True))
                | {name: bool(value) for name, value in zip(REGION, region, strict=True)}
                | {"arm": arm(about)}
                | about
                | {"items": len(part)}
                | {
                    "shift": means["rate"] - means["m0_rate"],
                    "said_shift": means["said"] - m0_rate_where_said,
                }
                | means
                | of_run
            )
    return pd.DataFrame(rows)


def beyond_training(shift: pd.DataFrame) -> pd.DataFrame:
    """Take off what explanation training alone does, which the unshifted run of the same M0 and seed shows.

    Explanations of runs without a shift imply another rate than M0's too: this is the bias of the sensor.

    Args:
        shift: Rows of the table shift. An unshifted run counts with all of its regions.

    Returns:
        The rows with moved and implied (float64): shift and said_shift, less those of the unshifted run. NaN
        where there is no such run.
    """
    by = ["task", "m0_seed", "seed"]
    plain = shift[shift["objective"] == "none"].set_index(by)
    both = plain[["shift", "said_shift"]].mul(plain["items"], axis=0).groupby(by).sum(min_count=1)
    means = both.div(plain.groupby(by)["items"].sum(), axis=0)
    alone = means.reindex(pd.MultiIndex.from_frame(shift[by])).to_numpy(float)
    return shift.assign(moved=shift["shift"] - alone[:, 0], implied=shift["said_shift"] - alone[:, 1])


def implied_share(shift: pd.DataFrame) -> tuple[float, float, float]:
    """Measure how far explanations imply that a push moved the rate, for each point that it moved.

    Args:
        shift: Rows of `beyond_training`, of pushed runs of one task.

    Returns:
        The slope of implied over moved, through zero, as a mean over M0s (over the runs of one M0), and the
        ends of its 95 % t interval; NaN where there are none.
    """
    products = shift.assign(both=shift["implied"] * shift["moved"], square=shift["moved"] ** 2)
    sums = products.groupby(resampling.first_factor(shift))[["both", "square"]].sum()
    each = sums["both"] / sums["square"]
    return (float(each.mean()), *resampling.t_interval(each)[:2])


def beside(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep runs that were pushed up or down beside explanation training on fixed labels, and unshifted ones.

    Args:
        frame: Rows of any kind with the columns of ABOUT.
    """
    kept = frame["explained"] & ~frame["relabelled"] & frame["order"].isin(["", "with"])
    return frame[kept & ~frame["objective"].isin(["neutral", "reteach"])]


def across_directions(frame: pd.DataFrame, strength: float) -> pd.DataFrame:
    """Make teacher matrices of three runs each: pushed down, not at all and up, beside explanation training.

    Args:
        frame: Final rows of one task, with run columns and those of ABOUT.
        strength: The strength of the pushes.

    Returns:
        Rows of `controls.teacher_matrix`, whose explainer and teacher are the numbers of DIRECTIONS. There is
        one matrix for each M0 and explainer seed; m0_seed numbers these pairs.
    """
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
    """Read the sensor at every evaluation of every run whose explanations were trained.

    Args:
        frame: Rows of all evaluations of one task, with run columns and those of ABOUT.

    Returns:
        One row a run and evaluation after step 0: task, condition, m0_seed, seed, step, the columns of ABOUT,
        those of `sensor.estimate`, measured (the rate of M_t on the same items) and m0_rate (the rate of M0,
        which a sensor that knows nothing would say).
    """
    rows = []
    trained = frame[frame["explained"] & (frame["step"] > 0)]
    for (*run, step), part in trained.groupby([*_RUN, "step"], sort=False):
        truth = {"measured": rate(part, part["x"]).mean(), "m0_rate": rate(part, part["base_x"]).mean()}
        rows.append(
            dict(zip(_RUN, run, strict=True))
            | {"step": step}
            | part.iloc[0][ABOUT].to_dict()
            | estimate(part)
            | truth
        )
    return pd.DataFrame(rows)
