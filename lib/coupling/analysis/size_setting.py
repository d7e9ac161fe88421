"""The setting of each size: at which rank and rate an organism is trained (notebooks/PLAN.md, part 14).

The rule is that of the regime (regime.py), for each model by itself. Labels count as lost against that
setting of the model at which most of them are learnt. The gap plays no part.

    python -m coupling.analysis.size_setting

reads the committed tables. With --own it reads those of your own runs.
"""

import argparse

import pandas as pd

from coupling import sweep
from coupling.analysis import regime, tables

SWEEP = "size_setting"
PROFILE = "small"


def by_model(runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Measure what the rule asks of each setting, model by model.

    Args:
        runs: The table `runs` of the sweep; see `coupling.analysis.tables.Tables`.

    Returns:
        For each model, the rows that `regime.cells` gives of its settings.
    """
    models = runs["condition"].map(
        {name: of["model"] for name, of in sweep.read_sweep(SWEEP).conditions.items()}
    )
    found = {}
    for model, part in runs.groupby(models, sort=False):
        last = part[part["step"] == part.groupby(["condition", "task", "m0_seed"])["step"].transform("max")]
        found[model] = regime.cells(part, last.groupby(["task", "m0_seed"])["target"].max())
    return found


def choose(found: pd.DataFrame) -> tuple[str, regime.Limits] | None:
    """Choose the setting of one model among the rows that `by_model` has of it; see `regime.choose`."""
    return regime.choose(found, profile=PROFILE, of=SWEEP)


def main() -> None:
    """Print how far each setting of each model keeps each criterion, and which one is chosen."""
    parser = argparse.ArgumentParser(
        prog="python -m coupling.analysis.size_setting", description=main.__doc__
    )
    parser.add_argument(
        "--own", action="store_true", help="read the tables of your own runs, not the committed ones"
    )
    for model, found in by_model(tables.read(PROFILE, SWEEP, parser.parse_args().own).runs).items():
        print(regime.worst(found).to_string(float_format="{:.3f}".format))
        chosen = choose(found)
        said = f"{chosen[0]}, within {chosen[1]}" if chosen else "none, at no rung of the ladder"
        print(f"{model}: {said}\n")


if __name__ == "__main__":
    main()
