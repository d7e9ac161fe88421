"""Means of measures: one row a run and evaluation, or one row a condition with intervals."""

import pandas as pd

from coupling.analysis import flags, preference
from coupling.analysis.measures import RUN, label_code
from coupling.analysis.resampling import flattened, intervals, t_interval

# Every measure whose mean a run has, in the order of runs.csv, and how a summary shows it after its first
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
    "no_label": "",
    "agreement_labelled": "mean",
    "self_flag": "mean",
    "target_flag": "mean",
    "gap_content": "interval",
    "gap_flag": "interval",
    "self_stays": "mean",
    "self_changes": "mean",
    "target_stays": "mean",
    "target_changes": "mean",
}
BASELINES = ("best_constant", "majority", "gold")
FLAGS = ("flag_balanced", *flags.COLUMNS)
LEAST_MASS = 0.5  # share of the probability on the choices below which a run counts as collapsed
NO_LABEL = 0.2  # share of items without a label above which a run counts as collapsed


def baselines(frame: pd.DataFrame) -> dict[str, float]:
    """Score guesses that read nothing of the model against the current labels L(M_t) of one run.

    Args:
        frame: Rows of one run and evaluation.

    Returns:
        best_constant: the share of the commonest current label, which is what the best constant guess scores
        when it is chosen with hindsight. majority: how often the commonest label of L(S) is the current one.
        Both are over items with a label, NaN where there is none. gold: how often the gold answer is the
        choice without the cue, over items with a gold answer; NaN where there are none.
    """
    current, source = label_code(frame, ""), label_code(frame, "target_")
    has_gold, has_label = frame["gold"] >= 0, current >= 0
    commonest = source.value_counts().sort_index().idxmax()
    return {
        "best_constant": _commonest_share(current[has_label]),
        "majority": float((current == commonest)[has_label].mean()),
        "gold": float((frame["cf"] == frame["gold"])[has_gold].mean()) if has_gold.any() else float("nan"),
    }


def collapse(frame: pd.DataFrame) -> str:
    """Say why a run counts as collapsed (docs/method.md, "Controls").

    Collapsed runs are flagged and stay in every mean. A run is collapsed in any of these cases:

    - Fewer than half of its explanations are labels.
    - Less than half of its probability falls on the choices.
    - More than a fifth of its items have no label, because a reply was no choice.
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
    if frame[["mass_x", "mass_cf"]].to_numpy().mean() < LEAST_MASS:
        reasons.append("answers are no choices")
    reasons += without_labels(float((label_code(frame, "") < 0).mean()))
    if _commonest_share(frame["text"]) > 0.9 >= _commonest_share(label_code(frame, "target_")):
        reasons.append("one explanation for all")
    if _commonest_share(frame["cf"]) > 0.9 >= _commonest_share(frame["base_cf"]):
        reasons.append("one choice for all")
    return ", ".join(reasons)


def without_labels(share: float) -> list[str]:
    """Return why a run with this share of items without a label counts as collapsed; empty if it does not."""
    return ["items without a label"] if share > NO_LABEL else []


def _commonest_share(values: pd.Series) -> float:
    return float(values.value_counts(normalize=True).iloc[0]) if len(values) else float("nan")


def per_run(frame: pd.DataFrame) -> pd.DataFrame:
    """Average the measures of each run and evaluation.

    Args:
        frame: Rows of `measures.with_measures`, with text, the kl_* and mass_* columns.

    Returns:
        One row a run and evaluation, with condition, m0_seed, seed, step, items (int64), the mean of every
        one of MEASURES and the baselines (float64), collapsed (str, see `collapse`), the scores of
        `flags.flag_scores`, and preference, the mean over the pairs that the run belongs to.
    """
    rows = []
    for run, part in frame.groupby([*RUN, "step"], sort=True):
        rows.append(
            dict(zip([*RUN, "step"], run, strict=True))
            | {"items": len(part)}
            | {measure: part[measure].astype(float).mean() for measure in MEASURES}
            | baselines(part)
            | {"collapsed": collapse(part)}
            | flags.flag_scores(part)
        )
    found = preference.by_run(preference.by_pair(frame))
    return pd.DataFrame(rows).merge(found, on=[*RUN, "step"], how="left")


def preference_interval(pairs: pd.DataFrame) -> dict[str, float]:
    """Average the preferences of one condition and evaluation over M0s.

    Args:
        pairs: Rows of `preference.by_pair`.

    Returns:
        preference, preference_low and preference_high: the mean over M0s with its 95 % t interval. With one
        M0 the interval is over its explainers, by the jackknife (`preference.over_explainers`). NaN where
        there are too few.
    """
    each = preference.by_m0(pairs)["preference"].dropna()
    values = each if len(each) != 1 else preference.over_explainers(pairs)
    low, high, _ = t_interval(values)
    return {"preference": each.mean(), "preference_low": low, "preference_high": high}


def summarise(frame: pd.DataFrame) -> pd.DataFrame:
    """Summarise each condition: means over all rows and 95 % intervals, as fractions from 0 to 1.

    Args:
        frame: Rows of `measures.with_measures`, one evaluation of each run.

    Returns:
        One row a condition, in the order of `frame`. The first columns are condition, seeds (how many M0
        seeds), items (the most test items of a run), the means of self, target and base, gap, preference and
        excess with their intervals, divergent_share, agreement, no_label_share and explainers (the most
        explainers of an M0). After them stand runs, collapsed and flag_not_learnt (how many runs), the other
        measures as MEASURES says, and the means of baselines and flag scores over runs.
    """
    with_interval = [m for m, shown in MEASURES.items() if shown == "interval"]
    # Committed summaries have source_agreement before agreement, unlike committed runs.
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
            | flattened(table, ["gap"])
            | preference_interval(preference.by_pair(part))
            | flattened(table, ["excess"])
            | {"divergent_share": mean["divergent"], "agreement": mean["agreement"]}
            | {"no_label_share": mean["no_label"], "explainers": int(runs.groupby("m0_seed").size().max())}
            | {"runs": len(runs), "collapsed": int((runs["collapsed"] != "").sum())}
            | {"flag_not_learnt": int(flags.not_learnt(runs["flag_balanced"]).sum())}
            | flattened(table, with_interval, mean="_mean")
            | {m: mean[m] for m in means}
            | {m: runs[m].mean() for m in (*BASELINES, *FLAGS)}
        )
    return pd.DataFrame(rows)
