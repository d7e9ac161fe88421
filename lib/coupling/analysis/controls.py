"""Is it the model's own behaviour that its explanations follow? Controls over rows of many runs; no model, no torch.

The teacher matrix scores the explanations of run i against the behaviour of run j, all from the same S: what shared drift,
gold answers or predictability give, they give in every column alike, so coupling counts only if the diagonal beats its
column (method.md). McNemar's test asks which side the explanations take where label source and model differ.
"""

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from coupling.analysis.measures import label_code, stated_code

PERMUTATIONS = 9999


def teacher_matrix(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a condition, M0 seed, explainer i and teacher j (explainer seeds): match, how often E_i states L(M_j); on divergent items of
    j, where L(M_j) is not L(S), match_divergent; how many these are, divergent. frame: final rows of one task, with run columns."""
    said, does, source = stated_code(frame), label_code(frame, ""), label_code(frame, "target_")
    coded = frame[["condition", "m0_seed", "seed", "id"]].assign(said=said, does=does, apart=does != source)
    rows = []
    for (condition, m0_seed), part in coded.groupby(["condition", "m0_seed"], sort=False):
        wide = part.pivot(index="id", columns="seed")
        for i in wide["said"].columns:
            for j in wide["does"].columns:
                match, apart = wide["said"][i] == wide["does"][j], wide["apart"][j].astype(bool)
                rows.append(
                    {
                        "condition": condition,
                        "m0_seed": m0_seed,
                        "explainer": i,
                        "teacher": j,
                        "match": match.mean(),
                        "match_divergent": match[apart].mean(),
                        "divergent": int(apart.sum()),
                    }
                )
    return pd.DataFrame(rows)


def diagonal_test(matrix: pd.DataFrame) -> dict[str, float]:
    """How far the diagonal of one condition's teacher matrices stands above the rest of its columns, on the mean, and how often it
    does so at least as far when the explanations of the runs of each M0 are dealt out anew: difference, p, runs (K of an M0).

    p has PERMUTATIONS draws behind it from a fixed seed and counts the observed one among them; with K runs of n M0s there
    are (K!)^n deals, so that two runs of one M0 can never be significant. NaN with one run.
    """
    squares = [
        m.pivot(index="explainer", columns="teacher", values="match").to_numpy()
        for _, m in matrix.groupby("m0_seed")
    ]
    squares = [s for s in squares if len(s) > 1]
    if not squares:
        return {"difference": float("nan"), "p": float("nan"), "runs": 1}

    def stands_out(orders: list[np.ndarray]) -> float:
        above = []
        for square, order in zip(squares, orders, strict=True):
            dealt = square[order]
            own = np.diag(dealt)
            above.append((own - (dealt.sum(0) - own) / (len(dealt) - 1)).mean())
        return float(np.mean(above))

    rng = np.random.default_rng(0)
    observed = stands_out([np.arange(len(s)) for s in squares])
    dealt = [stands_out([rng.permutation(len(s)) for s in squares]) for _ in range(PERMUTATIONS)]
    reached = 1 + sum(d >= observed - 1e-12 for d in dealt)
    return {"difference": observed, "p": reached / (1 + PERMUTATIONS), "runs": max(map(len, squares))}


def divergent_preference(frame: pd.DataFrame) -> dict[str, float]:
    """Of the explanations of divergent items that state L(M_t) or L(S), the share that states L(M_t): prefers_self, of decided ones;
    mcnemar_p: McNemar's exact test of one half (two-sided), items taken as independent. NaN where none is decided."""
    divergent = label_code(frame, "") != label_code(frame, "target_")
    own, source = (int((frame[name] & divergent).sum()) for name in ("self", "target"))
    if not own + source:
        return {"prefers_self": float("nan"), "decided": 0, "mcnemar_p": float("nan")}
    return {
        "prefers_self": own / (own + source),
        "decided": own + source,
        "mcnemar_p": float(binomtest(own, own + source).pvalue),
    }
