"""What explanations state on divergent items: there alone label source and current model can be told apart.

An item of a run is divergent if L(M_t) is not L(S) (docs/method.md, "Divergent items and agreement"). On such
an item an explanation states the current model, or the label source, or neither. What the other explainers of
the same M0 say there about this run's behaviour shows how much of it anybody could state.
"""

from collections.abc import Callable

import pandas as pd

from coupling.analysis import measures, tracking
from coupling.analysis.resampling import flattened, intervals

STATED = {"self": "self_div", "target": "target_div", "others": "others_div"}
BEYOND = {"beyond_target": ("self", "target"), "beyond_others": ("self", "others")}
COLUMNS = [f"{name}{end}" for name in (*STATED, *BEYOND) for end in ("", "_low", "_high")]


def of_items(items: pd.DataFrame) -> pd.DataFrame:
    """Measure every task and condition of a sweep on divergent items.

    The other explainers of a run are those of the same condition and M0. In a sweep of shifts they are the
    runs of the same M0 without the shift, or with the opposite one (`tracking.measured`).

    Args:
        items: The rows of a sweep's final step, as `coupling.analysis.tables.Tables.items` holds them.

    Returns:
        task, and the columns of `summarise`, in the order of `items`.
    """
    parts = []
    for task, rows in items.groupby("task", sort=False):
        measured = tracking.measured(rows) if "objective" in rows else measures.with_measures(rows)
        ordered = measured.sort_values("condition", key=_places(rows["condition"]), kind="stable")
        parts.append(summarise(ordered).assign(task=task))
    found = pd.concat(parts, ignore_index=True)
    return found[["task", *(name for name in found if name != "task")]]


def summarise(frame: pd.DataFrame) -> pd.DataFrame:
    """Average what explanations state on divergent items, over the runs of each M0 and then over M0s.

    Args:
        frame: Rows of `measures.with_measures` of one task, one evaluation of each run.

    Returns:
        One row a condition, with

        - condition; m0s (int64): the number of M0s; runs (int64); divergent (float64): how many divergent
          items a run has, as a mean.
        - self, target, others (float64): the shares of divergent items on which the explanation states
          L(M_t), on which it states L(S), and on which those of other explainers state this run's L(M_t).
        - beyond_target, beyond_others (float64): self less target, and self less others.
        - *_low, *_high of each: the 95 % t interval over M0s, or over explainers where there is one M0.

        A value is NaN where it has no meaning: others without a second explainer, an interval of one value.
    """
    found = []
    for condition, rows in frame.groupby("condition", sort=False):
        runs = rows.groupby(["m0_seed", "seed"])[list(STATED.values())].mean().set_axis(list(STATED), axis=1)
        for name, (one, other) in BEYOND.items():
            runs[name] = runs[one] - runs[other]
        names = list(runs)
        about = {"condition": condition, "m0s": rows["m0_seed"].nunique(), "runs": len(runs)}
        count = rows.groupby(["m0_seed", "seed"])["divergent"].sum().mean()
        found.append(about | {"divergent": count} | flattened(intervals(runs.reset_index(), names), names))
    return pd.DataFrame(found)


def _places(names: pd.Series) -> Callable[[pd.Series], pd.Series]:
    """Return what maps names to the places of their first occurrence in `names`."""
    places = {name: place for place, name in enumerate(names.unique())}
    return lambda column: column.map(places)
