"""What the figures of shifts say: tracking, following, directions, order, re-taught facts and the sensor."""

from itertools import starmap

import pandas as pd

from coupling.analysis import following as pushes
from coupling.analysis import resampling
from coupling.analysis.claims import holm
from coupling.analysis.controls import diagonal_test
from coupling.analysis.measures import RUN
from coupling.analysis.sensor import reliability
from coupling.analysis.tables import Tables
from coupling.analysis.tracking import across_directions, beside, beyond_training
from coupling.report.answers.answer import Answer
from coupling.report.answers.words import (
    Pair,
    cases,
    count,
    difference,
    interval,
    listed,
    more_often,
    named,
    pairs,
    share,
    sides,
)

ALPHA = 0.05
_TRACKED = [
    "shift",
    "said_shift",
    "self",
    "target",
    "agreement",
    "flipped_own",
    "flipped_other",
    "flipped_gain",
]
_RETAUGHT = ["retaught_right", "retaught_states", "retaught_states_null"]
_HALVES = ["retaught_self", "retaught_null", "untouched_self", "untouched_null"]
_BEYOND = ["moved", "implied"]  # the shift and what explanations imply, beyond the unshifted run
_BY = ("by more than", "by less than", "neither clearly by more nor clearly by less than")
_FOLLOWED = 0.5  # explanations that imply this share of a shift are said to follow it


def tracking(data: Tables) -> Answer:
    """How far behaviour moved and how far explanations imply that it moved, beside explanation training."""
    runs = beyond_training(beside(data.shift))
    rows = _by_condition(runs, [*_TRACKED, *_BEYOND])
    table = _moves(rows).assign(
        **{
            "agreement": rows["agreement"].map(share),
            "of flipped items, stated by own": rows["flipped_own"].map(share),
            "by the unshifted run": rows["flipped_other"].map(share),
            "difference": [interval(row, "flipped_gain") for _, row in rows.iterrows()],
            "collapsed": _collapsed(rows),
        }
    )
    found = []
    for task, part in rows.groupby("task", sort=False):
        most = part.loc[part["moved"].abs().idxmax()]
        found.append(
            f"On {task} behaviour moved most with `{most['condition']}`: its rate by "
            f"{interval(most, 'moved')}, and what explanations imply by {interval(most, 'implied')}, both "
            "beyond the unshifted run of the same M0."
        )
    what = (
        "On flipped items, the share of explanations that state their own run's behaviour, less the share of "
        "those of the unshifted run that do,"
    )
    return Answer(table, [*found, *sides(what, cases(rows, "flipped_gain"))])


def following(data: Tables) -> Answer:
    """What explanations know of a push beyond a changed prior, and what it consists of, arm by arm."""
    found = pushes.by_arm(data.shift)
    asked = pushes.asked(data.shift)
    sign = asked["direction"].map({"up": 1, "down": -1})
    pushed = asked.assign(moved=asked["shift"] * sign)[asked["pushed"]]
    of_run = pushed.groupby(["task", "arm"])[["moved", "agreement"]].mean()
    rows = []
    for (task, arm), part in found.groupby(["task", "arm"], sort=False):
        row = {"task": task, "condition": arm, "M0s": str(part["m0_seed"].nunique())}
        for name in (*pushes.TERMS, "following", "beyond_drift"):
            low, high, _ = resampling.t_interval(part[name])
            row |= {name: part[name].mean(), f"{name}_low": low, f"{name}_high": high}
        rows.append(row | of_run.loc[(task, arm)].to_dict())
    frame = pd.DataFrame(rows)
    table = pd.DataFrame(
        {
            "task": frame["task"],
            "arm": frame["condition"],
            "M0s": frame["M0s"],
            "moved as pushed": frame["moved"].map(difference),
            "agreement there": frame["agreement"].map(share),
            "taken": frame["taken"].map(difference),
            "spared": frame["spared"].map(difference),
            "spared elsewhere": frame["spared_elsewhere"].map(difference),
            "following": [interval(row, "following") for _, row in frame.iterrows()],
            "beyond drift": [interval(row, "beyond_drift") for _, row in frame.iterrows()],
        }
    )
    return Answer(table, sides("Following", cases(frame, "following")))


def directions(data: Tables) -> Answer:
    """How far the diagonal stands above its columns, among models pushed down, not at all and up."""
    rows = []
    for task, items in data.items.groupby("task", sort=False):
        for strength in sorted(set(beside(items)["strength"]) - {0}):
            found = diagonal_test(across_directions(items, strength))
            rows.append({"task": task, "strength": strength} | found)
    table = pd.DataFrame(
        {
            "task": [row["task"] for row in rows],
            "weight of the shift": [f"{row['strength']:g}" for row in rows],
            "diagonal − rest of column": [difference(row["difference"]) for row in rows],
            "p": ["" if pd.isna(row["p"]) else f"{row['p']:.4f}" for row in rows],
        }
    )
    corrected = holm([row["p"] for row in rows])
    above = [
        f"{row['task']} at weight {row['strength']:g} ({difference(row['difference'])})"
        for row, p in zip(rows, corrected, strict=True)
        if p < ALPHA and row["difference"] > 0
    ]
    said = (
        "Explanations state the behaviour of their own direction more often than those of the other "
        f"directions do, with p below {ALPHA} after Holm's correction, for {listed(above) or 'none'}: "
        f"{len(above)} of {len(rows)} squares. The table has p as it is before this correction."
    )
    return Answer(table, [said])


def order(data: Tables) -> Answer:
    """Which part of a shift explanations imply, by when the shift comes."""
    rows = data.shift[data.shift["objective"] != "reteach"]
    late = rows[rows["order"].isin(["after", "before"])]
    rows = rows[rows["task"].isin(late["task"]) & rows["strength"].isin([0, *late["strength"]])]
    means = _by_condition(beyond_training(rows), ["shift", "said_shift", "self", "target", "valid", *_BEYOND])
    table = _moves(means).assign(valid=means["valid"].map(share), collapsed=_collapsed(means))
    pushed = means[means["condition"].isin(rows.loc[rows["direction"] != "", "condition"])]
    known = pushed[pushed["implied"].notna()]
    part = known["implied"] / known["moved"]
    texts = [f"{name} ({share(value)})" for name, value in zip(named(known), part, strict=True)]
    kept = listed(text for text, follows in zip(texts, part >= _FOLLOWED, strict=True) if follows)
    less = listed(text for text, follows in zip(texts, part >= _FOLLOWED, strict=True) if not follows)
    found = [
        f"Explanations imply at least half of the shift for {kept or 'no condition'}, and less for "
        f"{less or 'none'}. In brackets stands the share of the shift that they imply, both beyond the "
        "unshifted run of the same M0."
    ]
    fallen = [f"{n} ({c})" for n, c in zip(named(means), _collapsed(means), strict=True) if c]
    if fallen:
        found.append(f"Collapsed, so that they explain little at all, are runs of {listed(fallen)}.")
    return Answer(table, found)


def reteaching(data: Tables) -> Answer:
    """Whether new facts are answered and stated, on re-taught entities and on the others."""
    runs = data.shift[data.shift["objective"] == "reteach"]
    rows = _by_condition(runs, [*_RETAUGHT, *_HALVES])
    table = pd.DataFrame(
        {
            "condition": rows["condition"],
            "runs": rows["runs"].astype(str),
            "new fact answered": rows["retaught_right"].map(share),
            "new fact stated": rows["retaught_states"].map(share),
            "stated without re-teaching": rows["retaught_states_null"].map(share),
            "self, re-taught": rows["retaught_self"].map(share),
            "without re-teaching": rows["retaught_null"].map(share),
            "self, untouched": rows["untouched_self"].map(share),
            "untouched, without re-teaching": rows["untouched_null"].map(share),
        }
    )
    found = [
        f"For `{row['condition']}`, the new fact is answered on {share(row['retaught_right'])} of the "
        f"re-taught items that offer it. Explanations state it on {share(row['retaught_states'])}, those "
        f"of the run without re-teaching on {share(row['retaught_states_null'])}."
        for _, row in rows.iterrows()
    ]
    for half, name in (("retaught", "re-taught"), ("untouched", "untouched")):
        found += more_often(
            f"On {name} entities, explanations state current behaviour {{}} those of the run without "
            "re-teaching for",
            pairs(runs, f"{half}_self", f"{half}_null"),
        )
    return Answer(table, found)


def sensor(data: Tables) -> Answer:
    """How far rates that are read off explanations are from measured ones, beside M0's rate."""
    rows = reliability(beside(data.sensor))
    table = pd.DataFrame(
        {
            "task": rows["task"],
            "estimates": rows["estimates"].astype(str),
            "error": [interval(row, "error", share) for _, row in rows.iterrows()],
            "error of M0's rate": [interval(row, "trivial", share) for _, row in rows.iterrows()],
            "interval holds the measured rate": rows["covered"].map(share),
            "false alarms": rows["false_alarms"].map(share),
            "smallest shift detected": [share(value) or "none" for value in rows["smallest"]],
        }
    )
    compared = rows[["task", "trivial", "error", "gained_low", "gained_high"]].itertuples(index=False)
    found = more_often("Always saying M0's rate errs {} the sensor on", starmap(Pair, compared), _BY)
    missed = list(rows.loc[rows["smallest"].isna(), "task"])
    if missed:
        found.append(f"No size of a shift is detected reliably on {listed(missed)}.")
    return Answer(table, found)


def _by_condition(runs: pd.DataFrame, measures: list[str]) -> pd.DataFrame:
    """Average runs, one row a task and condition.

    Returns:
        task, condition, runs, collapsed (how many), and each measure with the ends of its 95 % interval over
        M0s (`_low`, `_high`).
    """
    rows = [
        {"task": task, "condition": condition, "runs": len(part.drop_duplicates(RUN))}
        | {"collapsed": int((part.drop_duplicates(RUN)["collapsed"] != "").sum())}
        | resampling.flattened(resampling.intervals(part, measures), measures)
        for (task, condition), part in runs.groupby(["task", "condition"], sort=False)
    ]
    return pd.DataFrame(rows)


def _moves(rows: pd.DataFrame) -> pd.DataFrame:
    """Write the columns that every table of shifts begins with."""
    return pd.DataFrame(
        {
            "task": rows["task"],
            "condition": rows["condition"],
            "behaviour moved": [interval(row, "shift") for _, row in rows.iterrows()],
            "explanations imply": [interval(row, "said_shift") for _, row in rows.iterrows()],
            "self": rows["self"].map(share),
            "target": rows["target"].map(share),
        }
    )


def _collapsed(rows: pd.DataFrame) -> list[str]:
    return [count(*pair) for pair in zip(rows["collapsed"], rows["runs"], strict=True)]
