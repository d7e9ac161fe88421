"""What ablation, steering and surgery do to behaviour and explanation (docs/method.md, "Interventions").

Explanations are read as a forced choice. Each is compared with what the same model does under the same
intervention, with the fixed label, and with what the runs of its M0 did without any intervention.
"""

import numpy as np
import pandas as pd

from coupling.analysis import preference
from coupling.analysis.measures import label_code
from coupling.analysis.resampling import t_interval
from coupling.measure.outputs import NONE, OUTPUTS

RUN = ["task", "condition", "m0_seed", "seed"]
SHARES = ["behaviour_kept", "explanation_kept", "self", "target", "divergent"]
RISES = [f"rise_{name}" for name in OUTPUTS]
MEASURES = [*SHARES, *RISES, "preference"]


def by_m0(under: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Measure what interventions do, for each M0.

    Args:
        under: Rows of `coupling.measure.interventions.interventions` with the columns of RUN.
        items: The rows of the final step of these runs, for the labels of the label source.

    Returns:
        One row a task, condition, M0 and intervention, in the order of `under`, float64: the means over runs
        of behaviour_kept and explanation_kept (both choices, and the whole explanation, are what they were
        without the intervention); self (the explanation states the behaviour under the intervention); target
        (it states the fixed label); divergent (behaviour has left the fixed label); and RISES. preference:
        whose behaviour the explanations under the intervention state, of the behaviours without it; NaN
        where there is one explainer. items: how many items a run has, int64.
    """
    rows = _measured(under, items)
    by = ["task", "condition", "m0_seed", "intervention"]
    means = rows.groupby([*by, "seed"], sort=False)[[*SHARES, *RISES]].mean()
    counts = rows.groupby([*by, "seed"], sort=False).size().rename("items")
    found = means.join(counts).groupby(by, sort=False).mean()
    return found.join(_preferences(rows)).reset_index().astype({"items": "int64"})


def _measured(under: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """The rows with SHARES, the run's own choices without an intervention, and those of the label source."""
    name = [*RUN, "id"]
    before = under[under["intervention"] == NONE].set_index(name)[list(OUTPUTS)].add_prefix("own_")
    source = items.set_index(name)[["target_x", "target_cf"]]
    rows = under.reset_index(drop=True).join(before, on=name).join(source, on=name, how="inner")
    now, target = (label_code(rows, prefix) for prefix in ("", "target_"))
    stated, said = (2 * rows[f"{p}answer"].astype(int) + rows[f"{p}flag"] for p in ("", "own_"))
    shares = {
        "behaviour_kept": (rows["x"] == rows["own_x"]) & (rows["cf"] == rows["own_cf"]),
        "explanation_kept": stated == said,
        "self": stated == now,
        "target": stated == target,
        "divergent": now != target,
    }
    return pd.DataFrame(dict(rows.items()) | shares)


def _preferences(rows: pd.DataFrame) -> pd.Series:
    """The mean preference over pairs of explainers, by task, condition, M0 and intervention."""
    found = {}
    for (task, name), part in rows.groupby(["task", "intervention"], sort=False):
        # Explanations are those under the intervention, behaviours those without it.
        frame = part[["condition", "m0_seed", "seed", "id", "answer", "target_x", "target_cf"]].assign(
            step=0, valid=True, changes=part["flag"], x=part["own_x"], cf=part["own_cf"]
        )
        pairs = preference.of_units(preference.units(frame))
        means = pairs.groupby(["condition", "m0_seed"])["preference"].mean()
        found |= {(task, *of, name): value for of, value in means.items()}
    names = ["task", "condition", "m0_seed", "intervention"]
    index = pd.MultiIndex.from_arrays(list(zip(*found, strict=True)) or [[]] * 4, names=names)
    return pd.Series(list(found.values()), index, dtype=float, name="preference")


def summary(found: pd.DataFrame) -> pd.DataFrame:
    """Average the rows of `by_m0` over M0s, each measure with its 95 % t interval.

    Returns:
        One row a task, condition and intervention, with m0s (int64) and for each of MEASURES its mean, _low
        and _high. A measure that no M0 has is NaN.
    """
    rows = []
    for names, part in found.groupby(["task", "condition", "intervention"], sort=False):
        row = dict(zip(("task", "condition", "intervention"), names, strict=True))
        row |= {"m0s": part["m0_seed"].nunique()}
        for measure in MEASURES:
            values = part[measure].astype(float)
            low, high, _ = t_interval(values)
            row |= {measure: values.mean() if values.notna().any() else np.nan}
            row |= {f"{measure}_low": low, f"{measure}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)
