"""Preference: of two runs that behave differently, whose behaviour does an explanation state?

Definition: docs/method.md, "Preference". `halves` counts what two runs of one M0 say on the items that just
one of them left. `by_pair` turns the counts into preferences. `deal` tests a preference by dealing the
explanations out among the runs of each M0.
"""

from dataclasses import dataclass
from itertools import combinations, permutations
from math import factorial, prod

import numpy as np
import pandas as pd

from coupling.analysis.measures import label_code, stated_code

NULL = 0.5
WAYS = 200_000  # from so many ways of dealing on, random deals take the place of all ways
DEALS = 99_999  # random deals; the observed one is counted among them
_TIE = 1e-9  # a deal whose preference is this close to the observed one counts as equal to it
_UNITS = ["condition", "m0_seed", "step"]
COLUMNS = [
    *_UNITS,
    *("first", "second", "preference", "first_half", "second_half"),
    *("first_items", "second_items", "both_items", "both"),
]


@dataclass(frozen=True)
class Unit:
    """The K explainers of one M0 that learn from the same labels, at one evaluation.

    Attributes:
        seeds: Their explainer seeds, K of them.
        pairs: Places of the two runs of each pair in `seeds`; int64 [pairs, 2].
        counts: How often each run's explanations state the two labels, int64 [pairs, halves, labels, runs].
            The first half is the items that only the pair's first run left, the second half those that only
            its second run left. The labels are L(M) of the pair's first and second run. All K runs are
            counted, so that a deal needs no second look at the rows.
        items: How many items each half has; int64 [pairs, halves].
        both: Items that both runs left, to different labels, and of them: explanations of the two runs that
            state either label, and those that state the label of their own run; int64 [pairs, 3].
    """

    seeds: list[int]
    pairs: np.ndarray
    counts: np.ndarray
    items: np.ndarray
    both: np.ndarray


def units(frame: pd.DataFrame) -> dict[tuple, Unit]:
    """Count what explanations state, for each condition, M0 and evaluation of one task.

    Args:
        frame: Rows of one task with run columns. Items on which the label source or a run of a pair has no
            label are left out of that pair.

    Returns:
        Units by (condition, m0_seed, step), of M0s with two or more explainers.
    """
    coded = frame[[*_UNITS, "seed", "id"]].assign(
        stated=stated_code(frame), own=label_code(frame, ""), source=label_code(frame, "target_")
    )
    return {
        names: _unit(part) for names, part in coded.groupby(_UNITS, sort=False) if part["seed"].nunique() > 1
    }


def _unit(part: pd.DataFrame) -> Unit:
    wide = part.pivot(index="id", columns="seed", values=["stated", "own", "source"])
    stated, own, source = (wide[name].to_numpy() for name in ("stated", "own", "source"))
    source = np.nanmax(source, axis=1)  # all runs of a unit have one label source
    pairs = list(combinations(range(own.shape[1]), 2))
    counts, items, both = [], [], []
    for i, j in pairs:
        known = (own[:, i] >= 0) & (own[:, j] >= 0) & (source >= 0)
        left = [known & (own[:, k] != source) for k in (i, j)]
        parts = [left[0] & ~left[1], left[1] & ~left[0]]
        items.append([int(half.sum()) for half in parts])
        counts.append([[(stated[half] == own[half, k][:, None]).sum(0) for k in (i, j)] for half in parts])
        apart = left[0] & left[1] & (own[:, i] != own[:, j])
        says = {(a, b): int((stated[apart, a] == own[apart, b]).sum()) for a in (i, j) for b in (i, j)}
        both.append([int(apart.sum()), sum(says.values()), says[i, i] + says[j, j]])
    return Unit(list(wide["own"].columns), np.array(pairs), np.array(counts), np.array(items), np.array(both))


def of_deals(unit: Unit, orders: np.ndarray) -> np.ndarray:
    """Compute the preference of a unit when the explanations are dealt out anew.

    Args:
        unit: The unit.
        orders: For each deal, whose explanations each run gets; int64 [deals, K].

    Returns:
        The mean over pairs of each deal's preference; float64 [deals]. A half with items but without an
        explanation that states either label counts as 0.5. A pair with a half without items is left out. NaN
        where no pair is left.
    """
    return _nanmean(_of_pairs(unit, orders), axis=1)


def _of_pairs(unit: Unit, orders: np.ndarray) -> np.ndarray:
    """The preference of each deal and pair; float64 [deals, pairs], NaN for a pair without both halves."""
    return _of_halves(unit, orders).mean(axis=2)


def _of_halves(unit: Unit, orders: np.ndarray) -> np.ndarray:
    """The share that states its own run's label; float64 [deals, pairs, halves]."""
    out = np.full((len(orders), len(unit.pairs), 2), np.nan)
    for p, pair in enumerate(unit.pairs):
        first, second = orders[:, pair[0]], orders[:, pair[1]]
        for h in range(2):
            if not unit.items[p, h]:
                continue
            of_first, of_second = unit.counts[p, h]  # who states the first and the second run's label
            own = of_first[first] + of_second[second]
            decided = own + of_second[first] + of_first[second]
            out[:, p, h] = np.divide(own, decided, out=np.full(len(orders), NULL), where=decided > 0)
    return out


def by_pair(frame: pd.DataFrame) -> pd.DataFrame:
    """Compute the preference of every pair of runs with one M0 and the same labels.

    Args:
        frame: Rows of one task, as `units` takes them.

    Returns:
        One row a condition, m0_seed, step and pair:

        - first, second: the explainer seeds of the two runs.
        - preference (float64): the mean of the two halves. NaN where a half has no items.
        - first_half, second_half (float64): the halves, over items that only the first run left and that only
          the second one left. first_items, second_items (int64): how many items these are.
        - both_items (int64), both (float64): items that both runs left, to different labels, and the share of
          decided explanations there that state their own run's label.
    """
    return of_units(units(frame))


def of_units(found: dict[tuple, Unit]) -> pd.DataFrame:
    """Compute the rows of `by_pair` from what `units` counted."""
    rows = []
    for names, unit in found.items():
        halves = _of_halves(unit, np.arange(len(unit.seeds))[None])[0]
        for p, (i, j) in enumerate(unit.pairs):
            apart, decided, own = unit.both[p]
            rows.append(
                dict(zip(_UNITS, names, strict=True))
                | {"first": unit.seeds[i], "second": unit.seeds[j], "preference": halves[p].mean()}
                | {"first_half": halves[p, 0], "second_half": halves[p, 1]}
                | {"first_items": unit.items[p, 0], "second_items": unit.items[p, 1]}
                | {"both_items": apart, "both": own / decided if decided else np.nan}
            )
    return pd.DataFrame(rows, columns=COLUMNS)


def by_run(pairs: pd.DataFrame) -> pd.DataFrame:
    """Average the preference over the pairs of each run.

    Args:
        pairs: Rows of `by_pair`.

    Returns:
        The columns condition, m0_seed, seed, step and preference.
    """
    ends = [pairs.rename(columns={end: "seed"}) for end in ("first", "second")]
    both = pd.concat(ends, ignore_index=True)
    return both.groupby(["condition", "m0_seed", "seed", "step"], as_index=False)["preference"].mean()


def by_m0(pairs: pd.DataFrame) -> pd.DataFrame:
    """Average the preference over the pairs of each M0: the columns condition, m0_seed, step, preference."""
    return pairs.groupby(_UNITS, as_index=False)["preference"].mean()


def over_explainers(pairs: pd.DataFrame) -> np.ndarray:
    """Return one value an explainer of a single M0, for an interval over explainers.

    The preference of K explainers is a mean over pairs, and every run is in K - 1 of them. So the values are
    the jackknife's: K times the mean over all pairs less K - 1 times the mean over pairs without the run.

    Args:
        pairs: Rows of `by_pair` of one condition, M0 and evaluation.

    Returns:
        float64 [K], whose mean is that over pairs; empty with fewer than three explainers, or where a pair
        has no preference.
    """
    runs = sorted({*pairs["first"], *pairs["second"]})
    if len(runs) < 3 or pairs["preference"].isna().any():
        return np.array([])
    without = [pairs[(pairs["first"] != k) & (pairs["second"] != k)]["preference"].mean() for k in runs]
    return len(runs) * pairs["preference"].mean() - (len(runs) - 1) * np.array(without)


@dataclass(frozen=True)
class Deal:
    """The test of a preference.

    Attributes:
        preference: The observed mean over pairs, M0s and tasks.
        p: One-sided p value against 0.5. NaN without a pair.
        ways: In how many ways the explanations can be dealt out, over M0s and tasks. An M0 with more than
            seven runs counts with 5,041 orders, of which 5,040 are random.
        error: Standard error of p where ways were drawn at random, else 0. It leaves out the error of orders
            that were drawn at random.
    """

    preference: float
    p: float
    ways: int
    error: float


def deal(tasks: list[list[Unit]], ways: int = WAYS, deals: int = DEALS) -> Deal:
    """Test a preference by dealing the explanations out among the runs of each M0.

    If explanations know nothing of their own run, those of the runs of one M0 can be exchanged. The test
    counts how many deals reach the observed preference. The runs of different M0s and of different tasks are
    dealt out apart, in all ways together, or at random where these are too many.

    Args:
        tasks: The units of each task.
        ways: Up to how many ways all of them are counted.
        deals: How many random deals are drawn otherwise, from a fixed seed.

    Returns:
        The preference, its p and how it was computed.
    """
    values = []  # of each M0: its preference in every deal, the observed one first, weighted for the mean
    known = [found for found in map(_every_deal, tasks) if found]
    for found in known:
        values += [every / (len(found) * len(known)) for every in found]
    if not values:
        return Deal(np.nan, np.nan, 0, 0.0)
    observed = float(sum(every[0] for every in values))
    number = prod(len(every) for every in values)
    if number <= ways:
        sums = np.zeros(1)
        for every in values:
            sums = np.add.outer(sums, every).ravel()
        return Deal(observed, float((sums >= observed - _TIE).mean()), number, 0.0)
    rng = np.random.default_rng(0)
    sums = sum(rng.choice(every, deals) for every in values)
    p = (1 + int((sums >= observed - _TIE).sum())) / (1 + deals)
    return Deal(observed, p, number, float(np.sqrt(p * (1 - p) / deals)))


def _every_deal(of: list[Unit]) -> list[np.ndarray]:
    """The preference of each unit in every order of its explanations, the observed order first."""
    found = []
    for unit in of:
        every = of_deals(unit, _orders(len(unit.seeds)))
        if np.isfinite(every[0]):
            found.append(every)
    return found


def _orders(runs: int) -> np.ndarray:
    """All orders of K runs, int64 [K!, K]; of more than seven runs 5,040 random ones after the first."""
    if factorial(runs) <= factorial(7):
        return np.array(list(permutations(range(runs))))
    rng = np.random.default_rng(0)
    return np.array([np.arange(runs), *(rng.permutation(runs) for _ in range(factorial(7)))])


def _nanmean(values: np.ndarray, axis: int) -> np.ndarray:
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=axis)
    count = known.sum(axis=axis)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
