"""The regime: at which setting confirmation runs (notebooks/PLAN.md, tenth part).

A setting is allowed if, for each M0 and task, labels are learnt, behaviour stays near them and training ends
calmly. Among the allowed settings, that one is taken whose behaviour differs from its labels on about a tenth
of the items, so that there is something to tell apart. The gap plays no part.

    python -m coupling.analysis.regime

reads the committed tables. With --own it reads those of your own runs.
"""

import argparse
from dataclasses import dataclass

import pandas as pd

from coupling import sweep
from coupling.analysis import tables
from coupling.analysis.flags import LEARNT
from coupling.spec import Spec, make_spec

SWEEP = "regime"
PROFILE = "tiny"
REFERENCE = "32, 0.002, 1"  # the setting whose target-faithfulness the others are compared with
FLAG = LEARNT  # least balanced accuracy of the flag against L(S)
ON_THE_WAY = 0.80  # least agreement from half of the steps on
WANTED = 0.10  # the share of divergent items that is looked for
# By column of `cells`: how the worst of all tasks and M0s is found. The divergent share is their mean.
WORST = {
    "lost": "max",
    "agreement": "min",
    "lowest": "min",
    "dip": "max",
    "flag": "min",
    "collapsed": "sum",
    "divergent": "mean",
}


@dataclass(frozen=True)
class Limits:
    """What a setting may do to be allowed.

    Attributes:
        dip: The most by which self-faithfulness may lie below its final value, after half of the steps.
        lost: The most target-faithfulness that may be lost against REFERENCE.
        agreement: The least agreement of L(S) with L(M_t) at the last step.
    """

    dip: float = 0.05
    lost: float = 0.03
    agreement: float = 0.88


# Where no setting is allowed, one limit after the other is relaxed.
LADDER = (
    Limits(),
    Limits(dip=0.10),
    Limits(dip=0.10, lost=0.06),
    Limits(dip=0.10, lost=0.06, agreement=0.84),
)


def cells(runs: pd.DataFrame, wanted: pd.Series | None = None) -> pd.DataFrame:
    """Measure what the rule asks of each setting, for each task and M0.

    Args:
        runs: The table `runs` of the sweep; see `coupling.analysis.tables.Tables`.
        wanted: The target-faithfulness that settings are compared with, by task and m0_seed. None: that of
            REFERENCE.

    Returns:
        One row a setting (condition), task and m0_seed. float64: lost (the wanted target-faithfulness less
            its own), agreement, flag and divergent (each at the last step), lowest (the lowest agreement from
            half of the steps on), dip (by how much self lies below its final value at the lowest, from half
            of the steps on, at least 0). collapsed (bool): at the last step.
    """
    names = ["condition", "task", "m0_seed"]
    ends = runs.groupby(names)["step"].transform("max")
    last = runs[runs["step"] == ends].set_index(names)
    later = runs[runs["step"] >= ends / 2].groupby(names)
    wanted = last.xs(REFERENCE)["target"] if wanted is None else wanted
    reference = wanted.reindex(last.index.droplevel("condition")).to_numpy()
    found = pd.DataFrame(
        {
            "lost": reference - last["target"],
            "agreement": last["agreement"],
            "lowest": later["agreement"].min(),
            "dip": (last["self"] - later["self"].min()).clip(lower=0),
            "flag": last["flag_balanced"],
            "collapsed": last["collapsed"] != "",
            "divergent": last["divergent"],
        }
    )
    return found.reset_index()


def kept(found: pd.DataFrame, limits: Limits) -> pd.DataFrame:
    """Tell which criteria hold in each row of `cells`; bool [rows, criteria]. NaN does not hold."""
    return pd.DataFrame(
        {
            "lost": found["lost"] <= limits.lost,
            "agreement": found["agreement"] >= limits.agreement,
            "lowest": found["lowest"] >= ON_THE_WAY,
            "dip": found["dip"] <= limits.dip,
            "flag": found["flag"] >= FLAG,
            "collapsed": ~found["collapsed"],
        }
    )


def worst(found: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of WORST for each setting, from the rows of `cells`."""
    return found.groupby("condition", sort=False).agg(WORST)


def allowed(found: pd.DataFrame, limits: Limits) -> list[str]:
    """Return the settings that keep the limits for every task and M0, REFERENCE left out."""
    holds = kept(found, limits).all(axis=1).groupby(found["condition"], sort=False).all()
    return [name for name, held in holds.items() if held and name != REFERENCE]


def choose(found: pd.DataFrame, profile: str = PROFILE, of: str = SWEEP) -> tuple[str, Limits] | None:
    """Choose the setting for confirmation. The limits of LADDER are tried in order.

    Args:
        found: What `cells` returns.
        profile: Name of the profile of the search.
        of: Name of the sweep of the search, whose conditions are the settings.

    Returns:
        The setting and the limits that it keeps; None where no setting keeps any of them. Of two settings
            whose divergent share is equally near to WANTED, to three digits, the one with the KL weight
            nearer to 1 is taken, then the one with the lower learning rate, then the lower rank.
    """
    for limits in LADDER:
        if names := allowed(found, limits):
            share = found.groupby("condition")["divergent"].mean()
            ties = {name: _tie(make_spec(profile, **sweep.read_sweep(of).conditions[name])) for name in names}
            return min(names, key=lambda name: (round(abs(share[name] - WANTED), 3), *ties[name])), limits
    return None


def _tie(spec: Spec) -> tuple[float, float, int]:
    """What decides between settings that are equally good."""
    return abs(spec.kl_weight - 1), spec.learning_rate, spec.rank


def main() -> None:
    """Print how far each setting keeps each criterion, and which one is chosen."""
    parser = argparse.ArgumentParser(prog="python -m coupling.analysis.regime", description=main.__doc__)
    parser.add_argument(
        "--own", action="store_true", help="read the tables of your own runs, not the committed ones"
    )
    found = cells(tables.read(PROFILE, SWEEP, parser.parse_args().own).runs)
    print(worst(found).to_string(float_format="{:.3f}".format))
    chosen = choose(found)
    if chosen is None:
        print("no setting is allowed, at no rung of the ladder")
    else:
        print(f"chosen: {chosen[0]}, within {chosen[1]}")


if __name__ == "__main__":
    main()
