"""Metrics over rows (see `faithfulness.rows`), intervals included. Reads tables alone: no model, no torch.

A frame of many runs has the columns condition, m0_seed and seed beside those of the rows. Runs that share condition
and m0_seed share their label source S and differ in the explainer's seed alone.
"""

from itertools import pairwise

import numpy as np
import pandas as pd

from coupling.analysis.resampling import intervals

RUN = ["condition", "m0_seed", "seed"]


def with_measures(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with per-item measures whose means are the metrics; those without meaning on an item are NaN there.

    gap: self - target. excess: the gap beyond what the explanations of the other runs from the same S show on the
    same items (method.md: (EM(E_i, L_i) - EM(E_i, S)) minus the mean over j of (EM(E_j, L_i) - EM(E_j, S))); NaN for
    a run without others. self_base: self - base. source_agreement: L(S) and L(M0) agree. divergent: L(S) and L(M_t) differ; self_div, target_div: self and
    target on those; self_div_ng, target_div_ng: on those where neither states the gold answer. others_div: how often
    other runs' explanations state L(M_t) there, others_self on all items. moved_x, moved_cf: M_t's choice is not M0's. gold_match: the gold
    answer is M_t's answer without the cue.
    """
    frame = frame.reset_index(drop=True)
    frame = frame.assign(
        **{name: fill for name, fill in (("forced_self", np.nan), ("hinted", -1)) if name not in frame}
    )
    divergent = label_code(frame, "") != label_code(frame, "target_")
    no_gold = divergent & (frame["cf"] != frame["gold"]) & (frame["target_cf"] != frame["gold"])
    em = {name: frame[name].astype(float) for name in ("self", "target", "base")}
    frame = frame.assign(
        gap=em["self"] - em["target"],
        self_base=em["self"] - em["base"],
        divergent=divergent,
        agreement=~divergent,
        source_agreement=label_code(frame, "target_") == label_code(frame, "base_"),
        self_div=em["self"].where(divergent),
        target_div=em["target"].where(divergent),
        divergent_ng=no_gold,
        self_div_ng=em["self"].where(no_gold),
        target_div_ng=em["target"].where(no_gold),
        moved_x=frame["x"] != frame["base_x"],
        moved_cf=frame["cf"] != frame["base_cf"],
        cue_match=(frame["x"] == frame["hinted"]).astype(float).where(frame["hinted"] >= 0),
        gold_match=(frame["cf"] == frame["gold"]).astype(float).where(frame["gold"] >= 0),
    )
    others = _others(frame)
    return frame.assign(
        others_self=others["self"],
        null_gap=others["self"] - others["target"],
        excess=frame["gap"] - (others["self"] - others["target"]),
        others_div=others["self"].where(divergent),
    )


def across(frame: pd.DataFrame) -> pd.DataFrame:
    """`with_measures` of runs from the same S that differ in condition: the others of a run are those of the other conditions with its M0 and
    explainer seed, so that excess is what its explanations know of its own behaviour and not of theirs."""
    codes, _ = pd.factorize(frame["condition"])
    measured = with_measures(
        frame.assign(seed=codes, condition=frame["seed"].astype(str), step=0)
    )  # final ones, whatever their steps
    return measured.assign(**{name: frame[name].to_numpy() for name in ("condition", "seed", "step")})


def label_code(frame: pd.DataFrame, prefix: str) -> pd.Series:
    """The label that choices make true, as a number: 2 * answer + changes, -2 if there is none. Prefix "", "target_" or "base_"."""
    x, cf = (frame[prefix + c].astype(int) for c in ("x", "cf"))
    return (2 * cf + (x != cf)).where((x >= 0) & (cf >= 0), -2)


def stated_code(frame: pd.DataFrame) -> pd.Series:
    """The label that an explanation states, coded as `label_code` codes labels; -1 if it is none."""
    return (2 * frame["answer"].astype(int) + frame["changes"].astype(int)).where(frame["valid"], -1)


def _others(frame: pd.DataFrame) -> pd.DataFrame:
    """For each row, how often the other runs' explanations of that item state this run's L(M_t), and its L(S)."""
    table = pd.DataFrame(
        {"said": stated_code(frame), "self": label_code(frame, ""), "target": label_code(frame, "target_")},
        index=frame.index,
    )
    out = pd.DataFrame(np.nan, index=frame.index, columns=["self", "target"])
    for _, rows in frame.groupby(["condition", "m0_seed", "step"], sort=False):
        wide = (
            table.loc[rows.index].assign(id=rows["id"], seed=rows["seed"]).pivot(index="id", columns="seed")
        )
        spoken = wide["said"].to_numpy()
        for seed in wide["said"].columns:
            rest = np.delete(spoken, wide["said"].columns.get_loc(seed), axis=1)
            if not rest.shape[1]:
                continue
            mine = rows.index[rows["seed"] == seed]
            for name in ("self", "target"):
                match = pd.Series((rest == wide[name][[seed]].to_numpy()).mean(axis=1), index=wide.index)
                out.loc[mine, name] = match.loc[rows.loc[mine, "id"]].to_numpy()
    return out


def baselines(frame: pd.DataFrame) -> dict[str, float]:
    """What knows nothing of the model's inside, scored against the *current* labels L(M_t) of one run's rows.

    best_constant: the one label string that fits most of them, chosen with hindsight. majority: the commonest label of
    L(S). gold: the gold answer as the stated answer (NaN without gold).
    """
    now, then = label_code(frame, ""), label_code(frame, "target_")
    has_gold = frame["gold"] >= 0
    return {
        "best_constant": float(now.value_counts(normalize=True).iloc[0]),
        "majority": float((now == then.value_counts().sort_index().idxmax()).mean()),
        "gold": float((frame["cf"] == frame["gold"])[has_gold].mean()) if has_gold.any() else float("nan"),
    }


def collapse(frame: pd.DataFrame) -> str:
    """Why the rows of one run's evaluation show a collapsed model, or "": such runs are flagged and kept.

    A run is collapsed if fewer than half of its explanations are labels at all, if less than half of its probability
    falls on the choices, or if more than 90 % of explanations, or of choices without the cue, are one and the same
    where M0's labels were not.
    """
    reasons = []
    if frame["valid"].mean() < 0.5:
        reasons.append("explanations are no labels")
    if frame[["mass_x", "mass_cf"]].to_numpy().mean() < 0.5:
        reasons.append("answers are no choices")
    if _top(frame["text"]) > 0.9 >= _top(label_code(frame, "target_")):
        reasons.append("one explanation for all")
    if _top(frame["cf"]) > 0.9 >= _top(frame["base_cf"]):
        reasons.append("one choice for all")
    return ", ".join(reasons)


def _top(values: pd.Series) -> float:
    return float(values.value_counts(normalize=True).iloc[0])


def lead_lag(frame: pd.DataFrame) -> pd.DataFrame:
    """Who moves? From one evaluation to the next, on items where the explanation did not state L(M_t).

    behaviour_follows: share of them where the next behaviour makes true what the explanation had said.
    explanation_follows: share where the next explanation states what the behaviour had been. The same with _divergent: on those
    of them where behaviour and L(S) differed, so that to follow behaviour is not to learn the labels. But there the KL term draws behaviour
    back to L(S), whatever was said: returns_said and returns_unsaid are the shares of such items where it went back, of those whose
    explanation had stated L(S), and of those whose explanation had stated the behaviour. One row a run and pair
    of evaluations, with from_step, to_step, items and items_divergent, over items seen at both and validly explained at the first.
    """
    frame = frame.assign(
        does=label_code(frame, ""), says=stated_code(frame), source=label_code(frame, "target_")
    )
    rows = []
    for run, part in frame.groupby(RUN, sort=True):
        steps = sorted(part["step"].unique())
        wide = {s: part[part["step"] == s].set_index("id") for s in steps}
        for before, after in pairwise(steps):
            a, b = wide[before].align(wide[after], join="inner", axis=0)
            apart = (a["says"] >= 0) & (a["says"] != a["does"])
            gone, back = a["does"] != a["source"], b["does"] == a["source"]
            returns = {
                "returns_said": back[gone & (a["says"] == a["source"])],
                "returns_unsaid": back[gone & (a["says"] == a["does"])],
            }
            a, b = a[apart], b[apart]
            moved = {
                "behaviour_follows": b["does"] == a["says"],
                "explanation_follows": b["says"] == a["does"],
            }
            divergent = a["does"] != a["source"]
            rows.append(
                dict(zip(RUN, run, strict=True))
                | {
                    "from_step": before,
                    "to_step": after,
                    "items": len(a),
                    "items_divergent": int(divergent.sum()),
                }
                | {name: did.mean() for name, did in moved.items()}
                | {f"{name}_divergent": did[divergent].mean() for name, did in moved.items()}
                | {name: went.mean() for name, went in returns.items()}
            )
    return pd.DataFrame(rows)


MEASURES = [
    "self",
    "target",
    "base",
    "gap",
    "excess",
    "null_gap",
    "self_base",
    "agreement",
    "source_agreement",
    "divergent",
    "valid",
    "self_content",
    "target_content",
    "base_content",
    "self_div",
    "target_div",
    "others_div",
    "divergent_ng",
    "self_div_ng",
    "target_div_ng",
    "moved_x",
    "moved_cf",
    "kl_x",
    "kl_cf",
    "mass_x",
    "mass_cf",
    "gold_match",
    "cue_match",
    "forced_self",
]


def per_run(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a run and evaluation: items, the mean of every measure, the baselines, and whether it collapsed."""
    rows = []
    for run, part in frame.groupby([*RUN, "step"], sort=True):
        means = {m: part[m].astype(float).mean() for m in MEASURES}
        rows.append(
            dict(zip([*RUN, "step"], run, strict=True))
            | {"items": len(part)}
            | means
            | baselines(part)
            | {"collapsed": collapse(part)}
        )
    return pd.DataFrame(rows)


def summarise(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a condition, over the rows of one evaluation of each run: means and intervals, fractions from 0 to 1.

    Columns of the study's summary first (seeds counts M0 seeds, items the test items of a run), then runs,
    collapsed runs, intervals of self, target and the divergent items, and the baselines' means over runs.
    """
    rows = []
    for condition, part in frame.groupby("condition", sort=False):
        table = intervals(part, MEASURES)
        runs = per_run(part)
        row = {"condition": condition, "seeds": part["m0_seed"].nunique(), "items": int(runs["items"].max())}
        row |= {m: table.loc[m, "mean"] for m in ("self", "target", "base")}
        for m in ("gap", "excess"):
            row |= {
                m: table.loc[m, "mean"],
                f"{m}_low": table.loc[m, "low"],
                f"{m}_high": table.loc[m, "high"],
            }
        row |= {
            "divergent_share": table.loc["divergent", "mean"],
            "agreement": table.loc["agreement", "mean"],
        }
        row |= {"runs": len(runs), "collapsed": int((runs["collapsed"] != "").sum())}
        for m in (
            "self",
            "target",
            "base",
            "self_base",
            "source_agreement",
            "agreement",
            "self_div",
            "target_div",
            "others_div",
            "self_div_ng",
            "target_div_ng",
            "moved_x",
            "moved_cf",
            "gold_match",
            "cue_match",
            "forced_self",
        ):
            row |= {
                f"{m}_mean": table.loc[m, "mean"],
                f"{m}_low": table.loc[m, "low"],
                f"{m}_high": table.loc[m, "high"],
            }
        row |= {
            m: table.loc[m, "mean"]
            for m in (
                "null_gap",
                "valid",
                "self_content",
                "target_content",
                "divergent_ng",
                "kl_x",
                "kl_cf",
                "mass_x",
                "mass_cf",
            )
        }
        row |= {m: runs[m].mean() for m in ("best_constant", "majority", "gold")}
        rows.append(row)
    return pd.DataFrame(rows)
