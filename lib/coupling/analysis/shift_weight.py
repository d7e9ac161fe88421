"""The weight of a push: how hard confirmation pushes behaviour (notebooks/PLAN.md, twelfth part).

A push must move behaviour, and must leave labels in agreement with it. In a cell, which is a task and a
direction, a weight is fit if, as means over M0s,

- agreement of labels with current behaviour, on kinds with labels, is at least AGREEMENT at every evaluation;
- the rate of the behaviour, on pushed kinds, has moved by at least MOVED in the direction of the push.

A weight counts only where each M0 would meet the premise of the claim: in no cell may agreement fall below
PREMISE in any of them, at the evaluations that confirmation has. Of the weights that count, the one that is
fit in most cells is taken, and of equals the largest. What explanations say plays no part.

    python -m coupling.analysis.shift_weight

reads the committed tables. With --own it reads those of your own runs.
"""

import argparse

import pandas as pd

from coupling.analysis import tables

SWEEP = "shift_weight"
PROFILE = "tiny"
AGREEMENT = 0.75
MOVED = 0.1
PREMISE = 0.7
EVERY = 150  # steps between two evaluations of the confirmation
_CELL = ["strength", "task", "direction"]


def cells(runs: pd.DataFrame, shift: pd.DataFrame) -> pd.DataFrame:
    """Measure what the rule asks of each weight.

    Args:
        runs: The table `runs` of the sweep; see `coupling.analysis.tables.Tables`.
        shift: The table `shift` of the sweep.

    Returns:
        One row a strength (the weight), task and direction. float64: agreement (the lowest of all
            evaluations), moved (by how much the rate moved in the direction of the push) and least (the
            lowest agreement of a single M0 at the evaluations of the confirmation). bool: fit, and premise
            (whether least meets the premise).
    """
    pushed = shift[(shift["direction"] != "") & shift["pushed"]]
    sign = pushed["direction"].map({"up": 1, "down": -1})
    moved = pushed.assign(moved=sign * pushed["shift"] * pushed["items"])
    sums = moved.groupby([*_CELL, "m0_seed", "seed"])[["moved", "items"]].sum()
    out = (sums["moved"] / sums["items"]).groupby(_CELL).mean().to_frame("moved")
    names = pushed[["task", "condition", *_CELL[::2]]].drop_duplicates()
    steps = runs.merge(names, on=["task", "condition"])
    by_step = steps.groupby([*_CELL, "step"])["agreement_labelled"].mean()
    out["agreement"] = by_step.groupby(_CELL).min()
    out["fit"] = (out["agreement"] >= AGREEMENT) & (out["moved"] >= MOVED)
    looked_at = steps[steps["step"] % EVERY == 0]
    by_m0 = looked_at.groupby([*_CELL, "m0_seed", "step"])["agreement_labelled"].mean()
    out["least"] = by_m0.groupby(_CELL).min()
    out["premise"] = out["least"] >= PREMISE
    return out.reset_index()


def choose(found: pd.DataFrame) -> float:
    """Return the weight that is fit in most cells, of equals the largest; see `cells`.

    A weight that misses the premise in a cell does not count. Where all of them do, the smallest is returned.
    """
    by_weight = found.groupby("strength")
    fit = by_weight["fit"].sum()[by_weight["premise"].all()]
    return float(fit[fit == fit.max()].index.max() if len(fit) else found["strength"].min())


def main() -> None:
    """Print what each weight does in each cell, and which one is chosen."""
    parser = argparse.ArgumentParser(
        prog="python -m coupling.analysis.shift_weight", description=main.__doc__
    )
    parser.add_argument(
        "--own", action="store_true", help="read the tables of your own runs, not the committed ones"
    )
    found = tables.read(PROFILE, SWEEP, parser.parse_args().own)
    rows = cells(found.runs, found.shift)
    print(rows.to_string(index=False, float_format="{:.3f}".format))
    print(f"chosen: {choose(rows):g}")


if __name__ == "__main__":
    main()
