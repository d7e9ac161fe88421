"""Shared circuits: maps of the sites that decide, and how alike they are (docs/method.md, "Circuits").

A map gives each site the mean effect that a patch has on an output. Maps of behaviour and of explanation are
compared over the sites that both can read, by Spearman's rank correlation. Intervals over items come from
drawing the folds anew that the items were dealt into.
"""

import numpy as np
import pandas as pd

from coupling.analysis.measures import over_tasks
from coupling.analysis.resampling import interval, t_interval
from coupling.measure.outputs import OUTPUTS, SHARED

SITE = ["layer", "part", "group"]
RUN = ["task", "condition", "m0_seed", "seed", "trained", "region"]
# What is compared: outputs of the behaviour, and outputs of the explanation.
COMPARED = {
    "whole": (("x", "cf"), ("answer", "flag")),
    "answers": (("cf",), ("answer",)),
    "flags": (("x",), ("flag",)),
}
TOP = 0.2  # share of the sites that count as the top ones
DRAWS = 999
UNTRAINED = "before training"  # what the rows of M0 itself are called beside the conditions


def maps(sites: pd.DataFrame) -> pd.DataFrame:
    """Average effects over folds and explainers.

    Args:
        sites: Rows of `coupling.measure.circuits.by_site` with the columns of RUN.

    Returns:
        One row a task, condition, M0, trained, region, way and site, with the mean of each of OUTPUTS over
        the items of all its runs, float64, and items, their number.
    """
    by = [*(name for name in RUN if name != "seed"), "way", *SITE]
    weighted = sites.assign(**{name: sites[name].astype(float) * sites["items"] for name in OUTPUTS})
    sums = weighted.groupby(by, sort=False)[[*OUTPUTS, "items"]].sum().reset_index()
    return sums.assign(**{name: (sums[name] / sums["items"]).round(4) for name in OUTPUTS})


def similarity(sites: pd.DataFrame) -> pd.DataFrame:
    """Compare the maps of behaviour and explanation in each run.

    Args:
        sites: Rows of `coupling.measure.circuits.by_site` with the columns of RUN.

    Returns:
        One row a run, trained and region, with what `compare` returns.
    """
    rows = sites[(sites["way"] == "other") & sites["group"].isin(SHARED)]
    found = [
        dict(zip(RUN, names, strict=True)) | compare(part) for names, part in rows.groupby(RUN, sort=False)
    ]
    return pd.DataFrame(found)


def compare(part: pd.DataFrame) -> dict[str, float]:
    """Compare the maps of one run.

    Args:
        part: Its rows of `by_site`, of one way and of the groups that both outputs can read.

    Returns:
        sites: their number. For each of COMPARED the rank correlation of the two maps over sites, with the
        ends of its 95 % interval over items (_low and _high). overlap: of the top sites for the behaviour,
        the share that are top sites for the explanation. For each of COMPARED reliable_*: the rank
        correlation of a map on half of the folds with the same map on the others, the lower one of behaviour
        and explanation. Numbers that cannot be computed are NaN.
    """
    values, counts = _arrays(part)
    weights = np.random.default_rng(0).multinomial(
        counts.shape[1], np.full(counts.shape[1], 1 / counts.shape[1]), DRAWS
    )
    means = _means(values, counts, np.ones((1, counts.shape[1])))
    drawn = _means(values, counts, weights)
    out: dict[str, float] = {"sites": counts.shape[0]}
    for name, ends in COMPARED.items():
        out[name] = float(_between(means, *ends)[0])
        low, high = interval(_between(drawn, *ends))
        out |= {f"{name}_low": low, f"{name}_high": high}
    behaviour, explanation = (_joined(means, names)[0] for names in COMPARED["whole"])
    out["overlap"] = _overlap(behaviour, explanation)
    half = np.arange(counts.shape[1]) % 2 == 0
    halves = [_means(values, counts, some[None].astype(float)) for some in (half, ~half)]
    for name, ends in COMPARED.items():
        again = [correlation(*(_joined(of, names) for of in halves))[0] for names in ends]
        out[f"reliable_{name}"] = float(np.min(again))
    return out


def _arrays(part: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return effects, float64 [outputs, sites, folds], and numbers of items, float64 [sites, folds]."""
    wide = part.pivot_table(
        index=SITE, columns="fold", values=[*OUTPUTS, "items"], aggfunc="sum", observed=True
    )
    counts = wide["items"].fillna(0).to_numpy(float)
    return np.stack([wide[name].fillna(0).to_numpy(float) for name in OUTPUTS]), counts


def _means(values: np.ndarray, counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average over folds with weights [draws, folds]; float64 [draws, outputs, sites]."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.einsum("osf,sf,df->dos", values, counts, weights) / (weights @ counts.T)[:, None]


def _joined(means: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Average some outputs; [draws, outputs, sites] to [draws, sites]."""
    return means[:, [OUTPUTS.index(name) for name in names]].mean(1)


def _between(means: np.ndarray, behaviour: tuple[str, ...], explanation: tuple[str, ...]) -> np.ndarray:
    return correlation(_joined(means, behaviour), _joined(means, explanation))


def correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute Spearman's rank correlation of two arrays row by row, [draws, sites] to [draws].

    It is NaN for a row with NaN.
    """
    from scipy.stats import rankdata  # takes a second to import, and reading tables needs none of it

    a, b = (ranks - ranks.mean(-1, keepdims=True) for ranks in (rankdata(a, axis=-1), rankdata(b, axis=-1)))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (a * b).sum(-1) / np.sqrt((a**2).sum(-1) * (b**2).sum(-1))


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Return the share of the top sites of one map that are top sites of the other."""
    number = max(1, round(TOP * len(a)))
    tops = [set(np.argsort(-values, kind="stable")[:number]) for values in (a, b)]
    return len(tops[0] & tops[1]) / number


def summary(found: pd.DataFrame) -> pd.DataFrame:
    """Average what `similarity` found over M0s, each with its 95 % interval.

    M0 itself, as it was patched beside the first condition, stands as a condition of its own, called
    UNTRAINED. With one M0 the interval is that over items, of a single explainer, and missing where there are
    several.

    Returns:
        One row a task, condition and region, with m0s and, for each of COMPARED, its mean, _low and _high;
        and the means of overlap and of reliable_answers.
    """
    found = found[found["trained"] | (found["condition"] == found["condition"].iloc[0])]
    named = found.assign(condition=found["condition"].where(found["trained"], UNTRAINED))
    rows = []
    for names, part in named.groupby(["task", "condition", "region"], sort=False):
        row = dict(zip(("task", "condition", "region"), names, strict=True))
        row |= {
            "m0s": part["m0_seed"].nunique(),
            "overlap": part["overlap"].mean(),
            "reliable": part["reliable_answers"].mean(),
        }
        for measure in COMPARED:
            each = over_tasks(part, measure)
            low, high, _ = t_interval(each)
            if len(part) == 1:
                low, high = part[f"{measure}_low"].iloc[0], part[f"{measure}_high"].iloc[0]
            row |= {measure: each.mean(), f"{measure}_low": low, f"{measure}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def beside_preference(found: pd.DataFrame, preferences: pd.DataFrame) -> pd.DataFrame:
    """Put the similarity of answers beside the preference for own behaviour.

    Args:
        found: Rows of `similarity`.
        preferences: Rows of `preference.by_pair` with task and region.

    Returns:
        One row a task, condition and M0 that has both, with answers and preference, at the last evaluation
        and over the items whose kinds have labels, where the condition has kinds without labels.
    """
    by = ["task", "condition", "m0_seed"]
    alike = (
        found[found["trained"] & (found["region"] == "labelled")].groupby(by, sort=False)["answers"].mean()
    )
    last = preferences["step"] == preferences.groupby("task")["step"].transform("max")
    pairs = preferences[last & preferences["preference"].notna()]
    some = pd.MultiIndex.from_frame(found.loc[found["region"] == "held out", by[:2]])
    apart = pd.MultiIndex.from_frame(pairs[by[:2]]).isin(some)
    own = pairs[pairs["region"] == np.where(apart, "labelled", "all")].groupby(by)["preference"].mean()
    return alike.to_frame().join(own, how="inner").reset_index()


def predicts(beside: pd.DataFrame) -> tuple[float, float, float]:
    """Compute the rank correlation of similarity and preference within tasks, with its 95 % interval.

    Ranks are taken within each task, because tasks differ in both. The interval comes from drawing M0s anew.

    Args:
        beside: Rows of `beside_preference`.

    Returns:
        The correlation and the ends of its interval; NaN where it cannot be computed.
    """
    ranks = beside.assign(
        **{name: beside.groupby("task")[name].rank(pct=True) for name in ("answers", "preference")}
    )
    parts = [part[["answers", "preference"]].to_numpy() for _, part in ranks.groupby("m0_seed")]

    def between(some: list[np.ndarray]) -> float:
        a, b = (np.concatenate(some) - np.concatenate(some).mean(0)).T
        scale = np.sqrt((a**2).sum() * (b**2).sum())
        return float((a * b).sum() / scale) if scale > 0 else float("nan")

    if not parts:
        return (float("nan"),) * 3
    rng = np.random.default_rng(0)
    drawn = [between([parts[k] for k in rng.integers(0, len(parts), len(parts))]) for _ in range(DRAWS)]
    ends = interval(np.array(drawn)) if len(parts) > 1 else (float("nan"),) * 2
    return between(parts), *ends
