"""Do explanations follow a push of behaviour, or has only what they say in general changed?

See docs/method.md, "Following". A run with a shift is compared with another run of the same M0: the one
without the shift, the one that was pushed the other way, or an unshifted one of another seed. Items on which
the labels of the two differ are flipped. Where the shift asks for another label than M0's, an item is taken
if the run alone has that label, and spared if both runs have one and the same other label.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from coupling.analysis.measures import label_code, stated_code
from coupling.analysis.sensor import of_task
from coupling.tasks.detector import COMPLY, REFUSE

Part = Literal["answer", "flag"]  # of a label: the choice without the cue, and whether it changes
COMPARED = [
    "flipped",
    "flipped_own",
    "flipped_other",
    "flipped_gain",
    "taken_gain",
    "spared_gain",
    "answer_gain",
    "flag_gain",
]
TERMS = ["taken", "spared", "spared_elsewhere", "flipped", "flipped_elsewhere"]
LABELS = {  # what `tracking.about` says of the kinds with labels: the arm
    "all kinds": "labels on all kinds",
    "half of the kinds, KL on all": "labels on half, KL on all",
    "half of the kinds": "labels and KL on half",
}
_UNKNOWN = -3  # no label is coded so
_RUN = ["m0_seed", "seed", "id"]


def arm(about: Mapping[str, Any]) -> str:
    """Name the arm of a run.

    Args:
        about: What `tracking.about` says of it.

    Returns:
        The first property in which the run differs from a push beside explanation training on fixed labels.
        Where there is none, which kinds have labels and which have the KL term.
    """
    special = {
        "shift alone": not about["explained"],
        "labels made anew": about["relabelled"],
        "explanations first": about["adapter"] == "own",
        "KL to the shift alone": about["kl_to"] == "shifted",
        "neutral objective": about["objective"] == "neutral",
        "facts of half of the entities": about["objective"] == "reteach",
        "policy of half of the entities": about["reach"] == "entities",
        f"shift {about['order']}": about["order"] in ("after", "before"),
    }
    return next((name for name, holds in special.items() if holds), LABELS[about["labels"]])


def compared(rows: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """Compare runs with other runs of the same M0 and explainer seed, item by item.

    Args:
        rows: Final rows of runs of one task, with the columns of `tracking.measured`.
        reference: Final rows of the runs that they are compared with, one for each M0 and explainer seed.

    Returns:
        float64, by the index of `rows`; NaN where there is no such item.

        - flipped: whether the labels of the two runs differ, where both have one.
        - flipped_own, flipped_other: on flipped items, whether the run's explanation states its L(M_t), and
          whether that of the other run states this L(M_t). flipped_gain: the former less the latter.
        - taken_gain: the same difference on taken items. spared_gain: on spared items, whether the run's
          explanation states the label that the shift asks for, less whether that of the other run does.
          Neither run has this label. For re-taught facts "label" is the answer alone, in both.
        - answer_gain, flag_gain: on items whose answer, or flag, is flipped, whether the run's explanation
          states this part of L(M_t), less whether that of the other run does.
    """
    coded = reference[[*_RUN, "cf", "answer"]].assign(
        label=label_code(reference, ""), stated=stated_code(reference)
    )
    places = pd.MultiIndex.from_frame(rows[_RUN])
    other = coded.set_index(_RUN).reindex(places).fillna(_UNKNOWN).astype(int).set_axis(rows.index)
    label, stated = label_code(rows, ""), stated_code(rows)
    known = (label >= 0) & (other["label"] >= 0)
    flipped = known & (label != other["label"])
    out = {"flipped": flipped.astype(float).where(known)}
    out |= _stated("flipped", stated == label, other["stated"] == label, flipped)
    asked, has, same, own, theirs = _asked_for(rows, stated, other)
    taken, spared = asked & known & has & ~same, asked & known & ~has & same
    for name, where in (("taken", taken), ("spared", spared)):
        out |= _stated(name, own, theirs, where)
    for part in ("answer", "flag"):
        now, then, said, by_other = (
            _part(code, part) for code in (label, other["label"], stated, other["stated"])
        )
        gain = _stated(part, said == now, by_other == now, known & (now != then))
        out[f"{part}_gain"] = gain[f"{part}_gain"]
    return pd.DataFrame(out)[COMPARED]


def _asked_for(rows: pd.DataFrame, stated: pd.Series, other: pd.DataFrame) -> tuple[pd.Series, ...]:
    """Say where a shift asks for another label, or answer, than M0's, and who has it or states it.

    Returns:
        bool [rows] each: whether it is asked for, whether the run has it, whether the two runs have the same
        label, or answer, and whether the explanations of the run, and of the other run, state it.
    """
    wanted = wanted_code(rows)
    asked = (wanted >= 0) & (wanted != label_code(rows, "base_"))
    label = label_code(rows, "")
    has, own, theirs = (code == wanted for code in (label, stated, other["stated"]))
    same = label == other["label"]
    if "new_gold" in rows:
        told = (rows["objective"] == "reteach") & (rows["new_gold"] >= 0)
        asked |= told & (rows["base_cf"] != rows["new_gold"])
        has, own, theirs = (
            says.where(~told, answer == rows["new_gold"])
            for says, answer in ((has, rows["cf"]), (own, rows["answer"]), (theirs, other["answer"]))
        )
        same = same.where(~told, rows["cf"] == other["cf"])
    return asked, has, same, own, theirs


def _part(code: pd.Series, part: Part) -> pd.Series:
    """Take the answer or the flag from coded labels; what is no label stays what it is."""
    return (code // 2 if part == "answer" else code % 2).where(code >= 0, code)


def _stated(name: str, own: pd.Series, other: pd.Series, where: pd.Series) -> dict[str, pd.Series]:
    """Whether a label is stated by the run and by the other run, on some items, and the difference."""
    a, b = (says.astype(float).where(where) for says in (own, other))
    return {f"{name}_own": a, f"{name}_other": b, f"{name}_gain": a - b}


def wanted_code(frame: pd.DataFrame) -> pd.Series:
    """Code the label that a push asks for, as `measures.label_code` codes labels; int64 [rows].

    On x it asks for what `training.shift.wanted` says, and without the cue for M0's own choice. The code is
    below zero where it asks for nothing: without a direction, or where the cue proposes no choice.
    """
    declines = of_task(frame, lambda task: task.declines)
    own, up = frame["base_cf"].astype(int), frame["direction"] == "up"
    of_requests = np.where(up, REFUSE, COMPLY)
    x = np.where(declines, of_requests, np.where(up, frame["hinted"], own))
    asked = (frame["direction"] != "") & (own >= 0) & (x >= 0)
    return pd.Series(np.where(asked, 2 * own + (x != own), _UNKNOWN), frame.index)


def drift(rows: pd.DataFrame) -> pd.DataFrame:
    """Compare runs of one condition with those of the next explainer seed, as if that were another shift.

    Args:
        rows: Final rows of one task and of one unshifted condition, as `tracking.measured` gives them.

    Returns:
        The rows of M0s with at least two explainers, with the columns of `compared`.
    """
    parts = []
    for _, of_m0 in rows.groupby("m0_seed"):
        seeds = sorted(of_m0["seed"].unique())
        for k, seed in enumerate(seeds if len(seeds) > 1 else []):
            own = of_m0[of_m0["seed"] == seed]
            other = of_m0[of_m0["seed"] == seeds[(k + 1) % len(seeds)]].assign(seed=seed)
            parts.append(own.assign(**compared(own, other)))
    return pd.concat(parts, ignore_index=True) if parts else rows[:0]


def following(rows: pd.DataFrame) -> pd.DataFrame:
    """Measure following: what explanations know of a push beyond a changed prior.

    Args:
        rows: Rows of `tracking.measured`, or of the table shift, of pushed runs, of the kinds that are asked
            about. A half of these kinds is pushed.

    Returns:
        One row an M0, task and condition: m0_seed, task, condition, and float64, NaN where there is no such
        item:

        - TERMS: the means of taken_gain, spared_gain and flipped_gain on pushed kinds, and of the latter two
          elsewhere, on the kinds that were not pushed. Runs of an M0 count alike. Re-taught facts ask for
          nothing elsewhere, so that spared_elsewhere is 0 for them.
        - following: taken − spared − spared_elsewhere.
        - beyond_drift: flipped − flipped_elsewhere − spared.
    """
    names = ["m0_seed", "task", "condition"]
    on = rows["pushed"].astype(bool)
    terms = rows[[*names, "seed"]].assign(
        taken=rows["taken_gain"].where(on),
        spared=rows["spared_gain"].where(on),
        spared_elsewhere=rows["spared_gain"].where(~on).mask(rows["objective"] == "reteach", 0.0),
        flipped=rows["flipped_gain"].where(on),
        flipped_elsewhere=rows["flipped_gain"].where(~on),
    )
    by_run = terms.groupby([*names, "seed"], as_index=False, sort=False)[TERMS].mean()
    out = by_run.groupby(names, as_index=False, sort=False)[TERMS].mean()
    return out.assign(
        following=out["taken"] - out["spared"] - out["spared_elsewhere"],
        beyond_drift=out["flipped"] - out["flipped_elsewhere"] - out["spared"],
    )


def asked(shift: pd.DataFrame) -> pd.DataFrame:
    """Keep the kinds that following is asked of: those without labels, or all where all have labels.

    Args:
        shift: Rows of the table shift.
    """
    return shift[shift["labelled"].astype(bool) == (shift["labels"] == "all kinds")]


def by_arm(shift: pd.DataFrame) -> pd.DataFrame:
    """Average following over the directions of an arm, on the kinds that it is asked of.

    Args:
        shift: The table shift of a sweep.

    Returns:
        One row a task, arm and M0, in the order of the sweep: task, arm, m0_seed, TERMS, following and
        beyond_drift. Of runs whose explanations were trained, and that were pushed or re-taught.
    """
    rows = asked(shift)
    rows = rows[rows["explained"] & ((rows["direction"] != "") | (rows["objective"] == "reteach"))]
    arms = rows.drop_duplicates(["task", "condition"])[["task", "condition", "arm"]]
    found = following(rows).merge(arms, on=["task", "condition"])
    measured = [*TERMS, "following", "beyond_drift"]
    return found.groupby(["task", "arm", "m0_seed"], as_index=False, sort=False)[measured].mean()
