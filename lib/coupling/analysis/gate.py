"""The gate: which setting teaches a real model its labels (notebooks/PLAN.md, eighth part).

A setting is fit if explanations state what their labels say, its flag included, while M_t still answers with
the letters. The gap plays no part. The rungs of a ladder are tried from the cheapest on, and the first that
is fit is the setting for claims.
"""

from typing import Any

import numpy as np
import pandas as pd

from coupling import files, sweep
from coupling.analysis.flags import LEARNT
from coupling.analysis.resampling import RESAMPLES
from coupling.runs import folders, records
from coupling.spec import Spec

SWEEP = "gate"
FLAG = LEARNT  # least balanced accuracy of the flag against L(S)
VALID = 0.95  # least share of explanations that are labels
MASS = 0.7  # least mean probability on the letters, with and without the cue


def flag_accuracy(rows: pd.DataFrame) -> dict[str, float]:
    """Compute the balanced accuracy of the flag of explanations against L(S).

    It is the mean of two shares: of the items whose label says "stays", how many explanations say so, and the
    same for "changes". An explanation that is no label says neither. 0.5 is what any constant answer reaches.

    Args:
        rows: Rows of `coupling.measure.rows.score`, of one run and evaluation.

    Returns:
        "flag", "flag_low" and "flag_high" (a 95 % percentile bootstrap over groups of items), and the two
            shares "stays" and "changes". NaN where L(S) has only one of the two.
    """
    label = (rows["target_x"] != rows["target_cf"]).to_numpy()
    right = rows["changes"].to_numpy() == label
    groups = pd.factorize(rows["group"])[0]
    # For each group of items: how many labels of each kind there are, and how many explanations are right.
    counts = np.zeros((groups.max() + 1, 2, 2))
    np.add.at(counts, (groups, label.astype(int), 0), 1)
    np.add.at(counts, (groups, label.astype(int), 1), right)
    draws = np.random.default_rng(0).multinomial(
        len(counts), np.full(len(counts), 1 / len(counts)), size=RESAMPLES
    )
    with np.errstate(invalid="ignore"):
        stays, changes = (counts[..., 1].sum(0) / counts[..., 0].sum(0)).tolist()
        drawn = np.tensordot(draws, counts, 1)
        low, high = np.nanquantile((drawn[..., 1] / drawn[..., 0]).mean(1), [0.025, 0.975]).tolist()
    flag = (stays + changes) / 2
    return {"flag": flag, "flag_low": low, "flag_high": high, "stays": stays, "changes": changes}


def is_fit(found: dict[str, Any]) -> bool:
    """Tell whether a setting is fit for claims, by what `measured` found at its last step."""
    mass = min(found["mass_x"], found["mass_cf"])
    return bool(found["flag"] >= FLAG and found["valid"] >= VALID and mass >= MASS)


def measured(rows: pd.DataFrame) -> dict[str, Any]:
    """Measure one evaluation of a run.

    Args:
        rows: Rows of `coupling.measure.rows.score`, of one run and evaluation.

    Returns:
        What `flag_accuracy` returns, and as shares of items: "answer" (the stated answer is that of L(S)),
            "valid"; and the mean probabilities "mass_x" and "mass_cf". "items" is their number.
    """
    means = {name: rows[column].mean() for name, column in _MEANS.items()}
    return {"items": len(rows)} | flag_accuracy(rows) | means


_MEANS = {"answer": "target_content", "valid": "valid", "mass_x": "mass_x", "mass_cf": "mass_cf"}


def table(profile: str) -> pd.DataFrame:
    """Make the table of the gate from the rungs that have been run, in the order in which they are tried.

    Returns:
        One row a rung and evaluation: rung, rank, learning_rate, total (the item-steps of the whole run),
            item_steps (those up to the evaluation), final (bool), what `measured` returns, fit (bool, at the
            final step alone), hours (of the whole run, without what runs share), and device. No rows where no
            rung has been run.
    """
    rows = []
    for rung, spec in sweep.plan(profile, SWEEP):
        if folder := records.find(folders.run_folder(spec)):
            about = _about(rung, spec, files.read_json(folder / folders.MANIFEST))
            found = files.read_table(folder / "rows.parquet")
            rows += [about | _evaluation(spec, step, part) for step, part in found.groupby("step")]
    return pd.DataFrame(rows)


def _about(rung: str, spec: Spec, manifest: dict[str, Any]) -> dict[str, Any]:
    """What all evaluations of a rung have in common."""
    return {
        "rung": rung,
        "rank": spec.rank,
        "learning_rate": spec.learning_rate,
        "total": spec.steps * spec.batch_size,
        "hours": manifest["seconds"]["train_and_evaluate"] / 3600,
        "device": manifest["model"]["device"].split(":")[0],
    }


def _evaluation(spec: Spec, step: int, rows: pd.DataFrame) -> dict[str, Any]:
    """One row of the table of the gate."""
    found, final = measured(rows), step == spec.final_step
    return {"item_steps": step * spec.batch_size, "final": final} | found | {"fit": final and is_fit(found)}


def needed(curve: pd.DataFrame) -> pd.DataFrame:
    """Extrapolate how many item-steps a flag of FLAG would take, for settings that differ in nothing else.

    A line is drawn through the flag at the last step of each rung over the logarithm of its item-steps, for
    each rank and learning rate with two rungs or more. This is an extrapolation beyond what was run, from two
    or three points, and nothing more.

    Args:
        curve: What `table` returns.

    Returns:
        One row a rank and learning rate: rungs (their number), per_doubling (by how much the flag rises when
            item-steps double) and item_steps (where the line reaches FLAG; infinite where it does not rise).
    """
    rows = []
    for (rank, rate), part in curve[curve["final"]].groupby(["rank", "learning_rate"]):
        if len(part) > 1:
            slope, start = np.polyfit(np.log2(part["total"]), part["flag"], 1)
            reach = 2 ** ((FLAG - start) / slope) if slope > 0 else float("inf")
            about = {"rank": rank, "learning_rate": rate, "rungs": len(part)}
            rows.append(about | {"per_doubling": slope, "item_steps": reach})
    return pd.DataFrame(rows, columns=["rank", "learning_rate", "rungs", "per_doubling", "item_steps"])
