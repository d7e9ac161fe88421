"""Lead and lag: does behaviour move to what explanations say, or do explanations move to behaviour?"""

from itertools import pairwise

import pandas as pd

from coupling.analysis.measures import RUN, label_code, stated_code


def lead_lag(frame: pd.DataFrame) -> pd.DataFrame:
    """Follow each run from one evaluation to the next (docs/method.md, "Lead and lag").

    The shares behaviour_follows and explanation_follows are over items whose explanation, at the first
    evaluation, states another label than L(M_t). The same names with "_divergent" are over those of them
    whose L(M_t) differs from L(S) at the first evaluation. There, an explanation that follows behaviour does
    not merely learn its labels.

    On divergent items the KL term draws behaviour back to L(S), whatever the explanation says. returns_said
    and returns_unsaid show how often that happens.

    Args:
        frame: Rows of several evaluations with the columns condition, m0_seed and seed, which name a run.

    Returns:
        One row a run and pair of successive evaluations, over the items that both evaluations asked. The
        columns are those that name the run and:

        - from_step, to_step: the steps of the two evaluations.
        - items, items_divergent (int64): over how many items the shares are.
        - behaviour_follows: share whose next L(M_t) is the label that the explanation had stated.
        - explanation_follows: share whose next explanation states the label that L(M_t) had been.
        - behaviour_follows_divergent, explanation_follows_divergent: the same on divergent items.
        - returns_said: share of divergent items whose next L(M_t) is L(S), of those whose explanation had
          stated L(S).
        - returns_unsaid: the same share of those whose explanation had stated L(M_t).

        Items without an L(M_t) at the first evaluation are left out. Shares are float64, NaN where there is
        no item.
    """
    frame = frame.assign(
        current=label_code(frame, ""), stated=stated_code(frame), source=label_code(frame, "target_")
    )
    rows = []
    for run, part in frame.groupby(RUN, sort=True):
        steps = sorted(part["step"].unique())
        by_step = {step: part[part["step"] == step].set_index("id") for step in steps}
        for first, second in pairwise(steps):
            moved = _moved(*by_step[first].align(by_step[second], join="inner", axis=0))
            rows.append(dict(zip(RUN, run, strict=True)) | {"from_step": first, "to_step": second} | moved)
    return pd.DataFrame(rows)


def _moved(before: pd.DataFrame, after: pd.DataFrame) -> dict[str, float]:
    """The counts and shares of one pair of evaluations; both frames hold the same items in the same order."""
    known = before["current"] >= 0  # an item without a label is on nobody's side
    before, after = before[known], after[known]
    divergent = before["current"] != before["source"]
    returned = after["current"] == before["source"]
    returns = {
        "returns_said": returned[divergent & (before["stated"] == before["source"])].mean(),
        "returns_unsaid": returned[divergent & (before["stated"] == before["current"])].mean(),
    }
    apart = (before["stated"] >= 0) & (before["stated"] != before["current"])
    before, after, divergent = before[apart], after[apart], divergent[apart]
    follows = {
        "behaviour_follows": after["current"] == before["stated"],
        "explanation_follows": after["stated"] == before["current"],
    }
    return (
        {"items": len(before), "items_divergent": int(divergent.sum())}
        | {name: did.mean() for name, did in follows.items()}
        | {f"{name}_divergent": did[divergent].mean() for name, did in follows.items()}
        | returns
    )
