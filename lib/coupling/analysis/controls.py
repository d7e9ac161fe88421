"""Controls that ask whether explanations follow their own model (docs/method.md, "Controls").

Explanations can agree with a model's current behaviour for reasons that have nothing to do with that model:
all runs drift the same way, or a good guesser would say the same. The teacher matrix scores the explanations
of every run against the behaviour of every run from the same label source. Such reasons raise a whole column
of the matrix alike. Only explanations that follow their own model raise its diagonal. McNemar's test asks
which side explanations take on items where label source and current model differ.
"""

from functools import lru_cache

import numpy as np
import pandas as pd

from coupling.analysis.measures import label_code, stated_code
from coupling.analysis.resampling import RESAMPLES

_TIE = 1e-12  # shuffles whose difference is this close to the observed one count as equal to it


def teacher_matrix(frame: pd.DataFrame) -> pd.DataFrame:
    """Score the explanations of each run against the behaviour of each run from the same M0 and label source.

    Args:
        frame: Final rows of one task, with the columns condition, m0_seed and seed.

    Returns:
        One row a condition, m0_seed, explainer i and teacher j, which are explainer seeds. match (float64) is
        the share of items, of those with L(M_j), on which E(M_i) states it. match_divergent is the same share
        on the divergent items of j, where L(M_j) is not L(S), and divergent (int64) is how many these are.
    """
    coded = frame[["condition", "m0_seed", "seed", "id"]].assign(
        stated=stated_code(frame),
        current=label_code(frame, ""),
        divergent=(label_code(frame, "") >= 0) & (label_code(frame, "") != label_code(frame, "target_")),
    )
    rows = []
    for (condition, m0_seed), part in coded.groupby(["condition", "m0_seed"], sort=False):
        wide = part.pivot(index="id", columns="seed")
        for i in wide["stated"].columns:
            for j in wide["current"].columns:
                match = (wide["stated"][i] == wide["current"][j]).astype(float)
                match = match.where(wide["current"][j] >= 0)
                divergent = wide["divergent"][j].astype(bool)
                rows.append(
                    {
                        "condition": condition,
                        "m0_seed": m0_seed,
                        "explainer": i,
                        "teacher": j,
                        "match": match.mean(),
                        "match_divergent": match[divergent].mean(),
                        "divergent": int(divergent.sum()),
                    }
                )
    return pd.DataFrame(rows)


def diagonal_test(matrix: pd.DataFrame) -> dict[str, float]:
    """Test whether the diagonal of teacher matrices stands above the rest of its columns.

    The statistic is the mean, over columns and M0s, of the diagonal's match less the mean match of the
    column's other entries. Under the null the explanations of the runs of one M0 can be exchanged. The test
    therefore shuffles the explanations among the runs of each M0, RESAMPLES times from a fixed seed, and
    counts how often the statistic reaches the observed one. The observed order counts as one of the shuffles.

    n M0s with K runs each have (K!)^n orders, so that two runs of one M0 can never be significant.

    Args:
        matrix: Rows of `teacher_matrix` of one condition.

    Returns:
        difference: the observed statistic; p: one-sided; runs: the largest K. difference and p are NaN where
        no M0 has two runs.
    """
    squares = [
        one.pivot(index="explainer", columns="teacher", values="match").to_numpy()
        for _, one in matrix.groupby("m0_seed")
    ]
    squares = [square for square in squares if len(square) > 1]
    if not squares:
        return {"difference": float("nan"), "p": float("nan"), "runs": 1}

    above = np.zeros(1 + RESAMPLES)
    for square, ordered in zip(squares, _orders(tuple(map(len, squares))), strict=True):
        own = square[ordered, np.arange(len(square))]
        above += (own - (square.sum(0) - own) / (len(square) - 1)).mean(1)
    above /= len(squares)
    observed = float(above[0])
    reached = int((above >= observed - _TIE).sum())
    return {"difference": observed, "p": reached / (1 + RESAMPLES), "runs": max(map(len, squares))}


@lru_cache(maxsize=4)
def _orders(sizes: tuple[int, ...]) -> list[np.ndarray]:
    """For each M0, by its number of runs, the orders of its explanations; int64 [1 + RESAMPLES, runs].

    The observed order is the first. The orders depend on these numbers alone, so that they are kept.
    """
    rng = np.random.default_rng(0)
    orders = [[np.arange(runs) for runs in sizes]]
    orders += [[rng.permutation(runs) for runs in sizes] for _ in range(RESAMPLES)]
    return [np.stack(ordered) for ordered in zip(*orders, strict=True)]


def decided_divergent(frame: pd.DataFrame) -> dict[str, float]:
    """Count which side explanations take on divergent items, where L(M_t) differs from L(S).

    An item is decided if its explanation states L(M_t) or L(S). Items without L(M_t) are left out.

    Args:
        frame: Final rows of one condition.

    Returns:
        decided_self: the share of decided divergent items whose explanation states L(M_t); decided: how many
        these are; mcnemar_p: McNemar's exact two-sided test of a share of one half, which takes items as
        independent. The share and p are NaN where no item is decided.
    """
    stated, current, source = stated_code(frame), label_code(frame, ""), label_code(frame, "target_")
    divergent = (current >= 0) & (current != source)
    own, target = (int((divergent & (stated == label)).sum()) for label in (current, source))
    if not own + target:
        return {"decided_self": float("nan"), "decided": 0, "mcnemar_p": float("nan")}
    from scipy.stats import binomtest  # takes a second to import, and reading tables needs none of it

    return {
        "decided_self": own / (own + target),
        "decided": own + target,
        "mcnemar_p": float(binomtest(own, own + target).pvalue),
    }
