"""Means of measures: one row a run and evaluation, or one row a condition with intervals."""

import pandas as pd

from coupling.analysis.measures import RUN, label_code
from coupling.analysis.resampling import flattened, intervals

# Every measure whose mean a run has, in the order of runs.csv, and how a summary shows it behind its first
# columns: "interval" as its mean with an interval, "mean" as its mean alone, "" not at all.
MEASURES = {
    "self": "interval",
    "target": "interval",
    "base": "interval",
    "gap": "",
    "excess": "",
    "null_gap": "mean",
    "self_base": "interval",
    "agreement": "interval",
    "source_agreement": "interval",
    "divergent": "",
    "valid": "mean",
    "self_content": "mean",
    "target_content": "mean",
    "base_content": "",
    "self_div": "interval",
    "target_div": "interval",
    "others_div": "interval",
    "divergent_ng": "mean",
    "self_div_ng": "interval",
    "target_div_ng": "interval",
    "moved_x": "interval",
    "moved_cf": "interval",
    "kl_x": "mean",
    "kl_cf": "mean",
    "mass_x": "mean",
    "mass_cf": "mean",
    "gold_match": "interval",
    "cue_match": "interval",
    "forced_self": "interval",
}
BASELINES = ("best_constant", "majority", "gold")


def baselines(frame: pd.DataFrame) -> dict[str, float]:
    """Score guesses that read nothing of the model against the current labels L(M_t) of one run.

    Args:
        frame: Rows of one run and evaluation.

    Returns:
        best_constant: the share of the commonest current label, which is what the best constant guess scores
        when it is chosen with hindsight. majority: how often the commonest label of L(S) is the current one.
        gold: how often the gold answer is the choice without the cue, over items with a gold answer; NaN
        where there are none.
    """
    current, source = label_code(frame, ""), label_code(frame, "target_")
    has_gold = frame["gold"] >= 0
    return {
        "best_constant": _commonest_share(current),
        "majority": float((current == source.value_counts().sort_index().idxmax()).mean()),
        "gold": float((frame["cf"] == frame["gold"])[has_gold].mean()) if has_gold.any() else float("nan"),
    }


def collapse(frame: pd.DataFrame) -> str:
    """Say why a run counts as collapsed (docs/method.md, "Controls").

    Collapsed runs are flagged and stay in every mean. A run is collapsed in any of these cases:

    - Fewer than half of its explanations are labels.
    - Less than half of its probability falls on the choices.
    - More than 90 % of its explanations are one text, although no label of L(S) is that common.
    - More than 90 % of its choices without the cue are one choice, although none of M0's choices is that
      common.

    Args:
        frame: Rows of one run and evaluation, with text, mass_x and mass_cf.

    Returns:
        The reasons, separated by commas, or "" for a run that has not collapsed.
    """
    reasons = []
    if frame["valid"].mean() < 0.5:
        reasons.append("explanations are no labels")
    if frame[["mass_x", "mass_cf"]].to_numpy().mean() < 0.5:
        reasons.append("answers are no choices")
    if _commonest_share(frame["text"]) > 0.9 >= _commonest_share(label_code(frame, "target_")):
        reasons.append("one explanation for all")
    if _commonest_share(frame["cf"]) > 0.9 >= _commonest_share(frame["base_cf"]):
        reasons.append("one choice for all")
    return ", ".join(reasons)


def _commonest_share(values: pd.Series) -> float:
    return float(values.value_counts(normalize=True).iloc[0])


def per_run(frame: pd.DataFrame) -> pd.DataFrame:
    """Average the measures of each run and evaluation.

    Args:
        frame: Rows of `measures.with_measures`, with text, the *_content, kl_* and mass_* columns.

    Returns:
        One row a run and evaluation, with condition, m0_seed, seed, step, items (int64), the mean of every
        one of MEASURES and the baselines (float64), and collapsed (str, see `collapse`).
    """
    rows = []
    for run, part in frame.groupby([*RUN, "step"], sort=True):
        rows.append(
            dict(zip([*RUN, "step"], run, strict=True))
            | {"items": len(part)}
            | {measure: part[measure].astype(float).mean() for measure in MEASURES}
            | baselines(part)
            | {"collapsed": collapse(part)}
        )
    return pd.DataFrame(rows)


def summarise(frame: pd.DataFrame) -> pd.DataFrame:
    """Summarise each condition: means over all rows and 95 % intervals, as fractions from 0 to 1.

    Args:
        frame: Rows of `measures.with_measures`, one evaluation of each run.

    Returns:
        One row a condition, in the order of `frame`. The first columns are condition, seeds (how many M0
        seeds), items (the most test items of a run), the means of self, target and base, gap and excess with
        their intervals, divergent_share and agreement. Behind them stand runs, collapsed (how many runs), the
        other measures as MEASURES says, and the means of the baselines over runs.
    """
    with_interval = [m for m, shown in MEASURES.items() if shown == "interval"]
    # Committed summaries have these two in this order, unlike committed runs.
    at = with_interval.index("agreement")
    with_interval[at : at + 2] = ["source_agreement", "agreement"]
    means = [m for m, shown in MEASURES.items() if shown == "mean"]
    rows = []
    for condition, part in frame.groupby("condition", sort=False):
        table = intervals(part, list(MEASURES))
        mean, runs = table["mean"], per_run(part)
        rows.append(
            {"condition": condition, "seeds": part["m0_seed"].nunique(), "items": int(runs["items"].max())}
            | {m: mean[m] for m in ("self", "target", "base")}
            | flattened(table, ["gap", "excess"])
            | {"divergent_share": mean["divergent"], "agreement": mean["agreement"]}
            | {"runs": len(runs), "collapsed": int((runs["collapsed"] != "").sum())}
            | flattened(table, with_interval, mean="_mean")
            | {m: mean[m] for m in means}
            | {m: runs[m].mean() for m in BASELINES}
        )
    return pd.DataFrame(rows)
