"""What the figures of places without labels say: a new behaviour, and kinds that were held out."""

import pandas as pd

from coupling.analysis.tables import Tables
from coupling.report.answers.answer import Answer
from coupling.report.answers.words import HALF, cases, interval, more_often, named, pairs, share, sides

_TAUGHT = "jabberwocky"  # the task that is taught by behaviour alone
_HELD_OUT = "held out"


def new_behaviour(data: Tables) -> Answer:
    """Whether explanations state a behaviour that was taught without any explanation of it."""
    rows = data.summary[data.summary["task"] == _TAUGHT]
    table = pd.DataFrame(
        {
            "condition": rows["condition"],
            "runs": rows["runs"].astype(str),
            "sorted rightly, with the mark": rows["cue_match_mean"].map(share),
            "without it": rows["gold_match_mean"].map(share),
            "self": rows["self"].map(share),
            "self, forced to a label": rows["forced_self_mean"].map(share),
            "best constant label": rows["best_constant"].map(share),
        }
    )
    runs = data.runs[data.runs["step"] == data.runs["step"].max()]
    found = [
        f"For {name}, the new behaviour is right on {share(row['gold_match_mean'])} of the items without the "
        f"mark, and explanations state it on {share(row['self'])}."
        for name, (_, row) in zip(named(rows), rows.iterrows(), strict=True)
    ]
    found += more_often(
        "Forced to a label, explanations are right {} the best constant label for",
        pairs(runs[runs["task"] == _TAUGHT], "forced_self", "best_constant"),
    )
    return Answer(table, found)


def held_out(data: Tables) -> Answer:
    """Gap and preference on kinds with labels, and on kinds that a condition has none of."""
    rows = data.regions
    table = pd.DataFrame(
        {
            "task": rows["task"],
            "condition": rows["condition"],
            "kinds": rows["region"],
            "items": rows["items"].astype(str),
            "self": rows["self"].map(share),
            "target": rows["target"].map(share),
            "gap": [interval(row, "gap") for _, row in rows.iterrows()],
            "preference": [interval(row, "preference", share) for _, row in rows.iterrows()],
        }
    )
    closed = rows[rows["region"] == _HELD_OUT]
    return Answer(
        table,
        [
            *sides("On held-out kinds, the preference", cases(closed, "preference"), HALF),
            *sides("On held-out kinds, the gap", cases(closed, "gap")),
        ],
    )
