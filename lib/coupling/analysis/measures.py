"""Measures of single items: what explanations state beside what models do (docs/method.md, "Faithfulness").

A frame holds rows of `coupling.measure.rows.score`, one an item and evaluation. A frame of many runs also has
the columns condition (str), m0_seed and seed (int64). Runs with the same condition and m0_seed learn from the
same label source S and differ in seed, the seed of the explainer.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

RUN = ["condition", "m0_seed", "seed"]  # what names a run within one task


def label_code(frame: pd.DataFrame, prefix: str) -> pd.Series:
    """Code the label that a model's choices make true as one number.

    Args:
        frame: Rows with the choices on x and without the cue.
        prefix: Whose choices: "" of M_t (columns x and cf), "target_" of S or "base_" of M0.

    Returns:
        2 * (choice without the cue) + (1 if the cue changes the choice, else 0); int64 [rows]. -2 where a
        reply was none of the choices, so that there is no label.
    """
    x, cf = (frame[prefix + c].to_numpy(int) for c in ("x", "cf"))
    return pd.Series(np.where((x >= 0) & (cf >= 0), 2 * cf + (x != cf), -2), frame.index)


def stated_code(frame: pd.DataFrame) -> pd.Series:
    """Code the label that an explanation states, as `label_code` codes labels; int64 [rows].

    An explanation that is no label is -1, which no label's code equals.
    """
    stated = 2 * frame["answer"].to_numpy(int) + frame["changes"].to_numpy(int)
    return pd.Series(np.where(frame["valid"].to_numpy(bool), stated, -1), frame.index)


def over_tasks(rows: pd.DataFrame, measure: str) -> pd.Series:
    """Average a measure over the rows of each M0 and task, and then over the tasks of each M0.

    Args:
        rows: Rows with task, m0_seed and the measure.
        measure: The name of the measure.

    Returns:
        float64 by m0_seed. An M0 that lacks one of the tasks is left out.
    """
    by_task = rows.groupby(["task", "m0_seed"])[measure].mean().unstack("task")
    return by_task.mean(axis=1, skipna=False).dropna()


def with_measures(frame: pd.DataFrame) -> pd.DataFrame:
    """Add measures of each item, whose means over items are the study's numbers.

    The excess gap of run i on an item, given the K runs i and j ≠ i of the same condition and M0
    (docs/method.md, "Gap and excess gap"), is

        excess_i = (EM(E_i, L(M_i)) - EM(E_i, L(S)))
                   - 1 / (K - 1) * sum over j ≠ i of (EM(E_j, L(M_i)) - EM(E_j, L(S))),

    where E are explanations, L are labels, and EM is 1 where the two are the same string and 0 otherwise. The
    first bracket is the gap. The second term, null_gap, is the gap that the explanations of other runs show
    on run i's labels.

    The excess gap has a weakness. On an item where run j drifted to the same label as run i, an explanation
    that is faithful to j is faithful to i as well. The difference between the two is then zero by
    construction, however closely each explanation follows its own model. The excess gap therefore shrinks
    where runs share their drift, just as it shrinks where explanations do not follow behaviour.

    Args:
        frame: Rows of one task with run columns. Every run of a condition and m0_seed must have been asked
            the same items at each step. forced_self, hinted, held_out and labelled may be missing; where
            labelled is, the kinds that are not held out have labels.

    Returns:
        The rows with a new index from 0 and the columns below, float64 unless said otherwise. A measure that
        has no meaning on an item is NaN there. On an item without a label, every measure that compares with
        L(M_t) is NaN: what a reply without a choice says is no matter of faithfulness.

        - no_label (bool): M_t's reply was no choice on x or without the cue, so that there is no L(M_t).
        - self: as in `frame`, NaN without a label. gap: self - target. self_base: self - base.
        - self_content, target_content, base_content: the stated answer alone, against that of L(M_t), L(S)
          and L(M0). self_flag, target_flag: the stated flag alone. gap_content, gap_flag: self less target.
        - self_stays, self_changes: self on items on which M_t's answer stays, or changes. target_stays,
          target_changes: target on items on which S's does.
        - others_self: how often the other runs' explanations state L(M_t) of this run. null_gap, excess: see
          above. All three are NaN for a run without others.
        - divergent: 1 where L(M_t) differs from L(S). agreement: 1 where it does not; agreement_labelled: the
          same on kinds that have labels. source_agreement (bool): L(S) and L(M0) agree.
        - self_div, target_div, others_div: self, target and others_self on divergent items.
        - divergent_ng (bool): a divergent item on which neither L(M_t) nor L(S) has the gold answer.
          self_div_ng, target_div_ng: self and target on these.
        - moved_x, moved_cf (bool): M_t's choice with and without the cue is not M0's.
        - cue_match: M_t chooses what the cue proposes. gold_match: M_t's choice without the cue is the gold
          answer.
    """
    frame = frame.reset_index(drop=True)
    absent = {"forced_self": np.nan, "hinted": -1, "held_out": False}
    frame = frame.assign(**{name: value for name, value in absent.items() if name not in frame})
    if "labelled" not in frame:
        frame = frame.assign(labelled=~frame["held_out"].astype(bool))
    labels = (label_code(frame, prefix).to_numpy() for prefix in ("", "target_", "base_"))
    codes = _Codes(stated_code(frame).to_numpy(), *labels)
    own, others = _own_run(frame, codes), _other_runs(frame, codes)
    null_gap = _only(others["self"] - others["target"], ~own["no_label"])
    beside = {
        "others_self": _only(others["self"], ~own["no_label"]),
        "null_gap": null_gap,
        "excess": own["gap"] - null_gap,
        "others_div": _only(others["self"], own["divergent"] == 1),
    }
    # Made in one piece: a table to which columns are added one by one takes much longer to select rows from.
    return pd.DataFrame(dict(frame.items()) | own | beside, frame.index)


class _Codes(NamedTuple):
    """What explanations state, and L(M_t), L(S) and L(M0), as `stated_code` and `label_code` code them."""

    stated: np.ndarray
    self: np.ndarray
    target: np.ndarray
    base: np.ndarray


def _only(values: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """The values as float64 [rows], NaN where they are not kept."""
    return np.where(kept, values, np.nan)


def _own_run(frame: pd.DataFrame, codes: _Codes) -> dict[str, np.ndarray]:
    """The measures of `with_measures` that no other run enters, on plain arrays, for speed."""
    columns = ("x", "cf", "base_x", "base_cf", "target_cf", "gold", "hinted")
    x, cf, base_x, base_cf, target_cf, gold, hinted = (frame[name].to_numpy() for name in columns)
    known = codes.self >= 0
    divergent = known & (codes.self != codes.target)
    no_gold = divergent & (cf != gold) & (target_cf != gold)
    em = {name: frame[name].to_numpy(float) for name in ("target", "base")}
    em["self"] = _only(frame["self"].to_numpy(float), known)
    return {
        "no_label": ~known,
        "self": em["self"],
        "gap": em["self"] - em["target"],
        "self_base": em["self"] - em["base"],
        "divergent": _only(divergent, known),
        "agreement": _only(~divergent, known),
        "agreement_labelled": _only(~divergent, known & frame["labelled"].to_numpy(bool)),
        "source_agreement": codes.target == codes.base,
        "self_div": _only(em["self"], divergent),
        "target_div": _only(em["target"], divergent),
        "divergent_ng": no_gold,
        "self_div_ng": _only(em["self"], no_gold),
        "target_div_ng": _only(em["target"], no_gold),
        "moved_x": x != base_x,
        "moved_cf": cf != base_cf,
        "cue_match": _only(x == hinted, hinted >= 0),
        "gold_match": _only(cf == gold, gold >= 0),
    } | _apart(codes, em)


def _apart(codes: _Codes, em: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The measures of `with_measures` that take answer and flag, or stays and changes, apart.

    Args:
        codes: What is stated, and the labels.
        em: Exact match with L(M_t), without a value where there is no label, with L(S) and with L(M0).
    """
    stated, out = codes.stated, {}
    for name in ("self", "target", "base"):
        label = getattr(codes, name)
        known = codes.self >= 0 if name == "self" else np.True_
        answer = (stated >= 0) & (label >= 0) & (stated // 2 == label // 2)
        flag = (stated >= 0) & (label >= 0) & (stated % 2 == label % 2)
        out[f"{name}_content"] = _only(answer, known)
        if name == "base":
            continue
        out[f"{name}_flag"] = _only(flag, known)
        out[f"{name}_stays"] = _only(em[name], (label >= 0) & (label % 2 == 0))
        out[f"{name}_changes"] = _only(em[name], (label >= 0) & (label % 2 == 1))
    return out | {f"gap_{part}": out[f"self_{part}"] - out[f"target_{part}"] for part in ("content", "flag")}


def with_measures_across_conditions(frame: pd.DataFrame) -> pd.DataFrame:
    """Measure runs that share a label source but differ in condition.

    The excess gap of a run compares its explanations with those of the other conditions that have the same M0
    and explainer seed, in place of those of other explainer seeds. It therefore shows what the explanations
    know of this run's behaviour alone.

    Args:
        frame: Final rows of one task with run columns. The final steps of conditions may differ.

    Returns:
        The rows of `frame` with the columns that `with_measures` adds.
    """
    codes, _ = pd.factorize(frame["condition"])
    # The condition takes the place of the explainer seed. Final steps may differ, so all rows get one step.
    swapped = frame.assign(seed=codes, condition=frame["seed"].astype(str), step=0)
    own = {name: frame[name].to_numpy() for name in ("condition", "seed", "step")}
    return with_measures(swapped).assign(**own)


def _other_runs(frame: pd.DataFrame, codes: _Codes) -> dict[str, np.ndarray]:
    """How often the other runs' explanations of an item state this run's L(M_t), and how often its L(S).

    Returns:
        "self" and "target", float64 [rows]; NaN for a run without others.
    """
    asked = frame.groupby(["condition", "m0_seed", "step", "id"], sort=False).ngroup().to_numpy()
    others = (np.bincount(asked) - 1)[asked]
    out = {}
    for name in ("self", "target"):
        label = getattr(codes, name)
        kinds = max(codes.stated.max(), label.max()) + 3  # the lowest code is -2
        said = np.bincount(asked * kinds + codes.stated + 2, minlength=(asked.max() + 1) * kinds)
        by_others = said[asked * kinds + label + 2] - (codes.stated == label)
        out[name] = by_others / np.where(others > 0, others, np.nan)
    return out


def region_name(held_out: bool) -> str:
    """Name the region of items by whether their kind goes without labels."""
    return "held out" if held_out else "labelled"
