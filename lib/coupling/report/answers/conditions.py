"""What the figures of conditions say: headline, curve, depth, teacher matrix and dynamics."""

import pandas as pd

from coupling.analysis import depth as depths
from coupling.analysis import divergent, measures
from coupling.analysis.tables import Tables
from coupling.report.answers.answer import Answer
from coupling.report.answers.words import (
    HALF,
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

FIFTHS = 5


def headline(data: Tables) -> Answer:
    """Gap and preference of each condition, and what explanations state on divergent items."""
    rows = data.summary
    stated = divergent.of_items(data.items)
    ends = ["self", "target", "beyond_target_low", "beyond_target_high"]
    on_divergent = [Pair(*of) for of in zip(named(stated), *(stated[name] for name in ends), strict=True)]
    return Answer(
        _faithfulness(rows),
        [
            *sides("The preference", cases(rows, "preference"), HALF),
            *sides("The gap", cases(rows, "gap")),
            *more_often(
                "On divergent items, explanations state their own behaviour {} the label for",
                on_divergent,
            ),
            *_fit(rows),
        ],
    )


def curve(data: Tables) -> Answer:
    """The gap against what a sweep varies, and how far labels agree with behaviour meanwhile."""
    rows = data.summary
    found = [*sides("The gap", cases(rows, "gap")), *sides("The preference", cases(rows, "preference"), HALF)]
    if len(rows) > 1:
        found.append(_range("Self", rows, "self"))
        found.append(_range("The agreement of labels with current behaviour", rows, "agreement"))
    return Answer(_faithfulness(rows), [*found, *_fit(rows)])


def depth(data: Tables) -> Answer:
    """The gap of each condition, and within each on the entities that M0 met least and most."""
    rows = data.summary
    names = data.keys["profile"], data.keys["sweep"]
    items = depths.with_depth(measures.with_measures(data.items), *names, FIFTHS)
    by = items.groupby(["task", "condition", "depth"])["gap"].mean().unstack()
    ends = [(*by.loc[where][[0, FIFTHS - 1]],) for where in zip(rows["task"], rows["condition"], strict=True)]
    table = _faithfulness(rows).assign(
        **{"gap, met least": [difference(low) for low, _ in ends]},
        **{"gap, met most": [difference(high) for _, high in ends]},
    )
    deeper = [name for name, (low, high) in zip(named(rows), ends, strict=True) if high > low]
    within = (
        "Within an M0, the gap is larger on the fifth of the entities that it met most than on the fifth "
        f"that it met least for {listed(deeper) or 'no condition'}: {len(deeper)} of {len(rows)} conditions."
    )
    return Answer(table, [*sides("The gap", cases(rows, "gap")), within, *_fit(rows)])


def teacher_matrix(data: Tables) -> Answer:
    """How far the diagonal of the matrix stands above the rest of its columns, and preference beside it."""
    rows = data.summary[data.summary["teacher_difference"].notna()]
    table = _faithfulness(rows).assign(
        **{"diagonal − rest of column": [difference(value) for value in rows["teacher_difference"]]},
        p=[f"{value:.4f}" for value in rows["teacher_p"]],
    )
    found = [
        f"For {name}, the share of items on which a run's explanations state its behaviour is "
        f"{difference(row['teacher_difference'])} above the share on which other runs' explanations state it "
        f"(p = {row['teacher_p']:.4f}, by exchanging explanations among the runs of an M0 at random)."
        for name, (_, row) in zip(named(rows), rows.iterrows(), strict=True)
    ]
    return Answer(table, [*found, *sides("The preference", cases(rows, "preference"), HALF)])


def dynamics(data: Tables) -> Answer:
    """Who moves from one evaluation to the next, on divergent items whose explanation is not behaviour."""
    moves = data.lead_lag[data.lead_lag["items_divergent"] > 0]
    columns = ["behaviour_follows_divergent", "explanation_follows_divergent"]
    steps = ["task", "condition", "from_step", "to_step"]
    means = moves.groupby(steps, sort=False)[["items_divergent", *columns]].mean().reset_index()
    means = means.sort_values(steps[:3], key=_first_seen, kind="stable")
    table = pd.DataFrame(
        {
            "task": means["task"],
            "condition": means["condition"],
            "steps": [f"{a} to {b}" for a, b in zip(means["from_step"], means["to_step"], strict=True)],
            "divergent items on which the two differ": [f"{n:.0f}" for n in means["items_divergent"]],
            "behaviour follows": means[columns[0]].map(share),
            "explanation follows": means[columns[1]].map(share),
        }
    )
    found = more_often(
        "On divergent items, behaviour moves to what the explanation had said {} the explanation moves to "
        "what behaviour had been for",
        pairs(moves, *columns),
    )
    return Answer(table, [*found, *_risen(data.dynamics, data.summary)])


def _first_seen(values: pd.Series) -> pd.Series:
    """Sort texts by their first occurrence and numbers by their size."""
    if pd.api.types.is_numeric_dtype(values):
        return values
    return values.map({value: place for place, value in enumerate(values.unique())})


def _risen(dynamics: pd.DataFrame, summary: pd.DataFrame) -> list[str]:
    """Say from what to what self and agreement go after the start, unless all runs are collapsed."""
    alive = summary.loc[summary["collapsed"] < summary["runs"], ["task", "condition"]]
    later = dynamics[dynamics["step"] > 0].merge(alive)
    ends = later.groupby(["task", "condition"], sort=False).agg(["first", "last"])
    said = []
    for name, (_, row) in zip(named(ends.index.to_frame(index=False)), ends.iterrows(), strict=True):
        steps = row["step"]
        if steps["first"] < steps["last"]:
            said.append(
                f"For {name}, self goes from {share(row['self']['first'])} at step {steps['first']:.0f} to "
                f"{share(row['self']['last'])} at step {steps['last']:.0f}, and agreement from "
                f"{share(row['agreement']['first'])} to {share(row['agreement']['last'])}."
            )
    return said


def _faithfulness(rows: pd.DataFrame) -> pd.DataFrame:
    """Write the columns of a summary that matter, one line a condition."""
    return pd.DataFrame(
        {
            "task": rows["task"],
            "condition": rows["condition"],
            "runs": rows["runs"].astype(str),
            "self": rows["self"].map(share),
            "target": rows["target"].map(share),
            "divergent": rows["divergent_share"].map(share),
            "gap": [interval(row, "gap") for _, row in rows.iterrows()],
            "preference": [interval(row, "preference", share) for _, row in rows.iterrows()],
            "collapsed": [count(*pair) for pair in zip(rows["collapsed"], rows["runs"], strict=True)],
            "flag not learnt": [
                count(*pair) for pair in zip(rows["flag_not_learnt"], rows["runs"], strict=True)
            ],
        }
    )


def _range(what: str, rows: pd.DataFrame, measure: str) -> str:
    """Say where a measure is smallest and where it is largest."""
    names = named(rows)
    low, high = rows[measure].to_numpy().argmin(), rows[measure].to_numpy().argmax()
    ends = [f"{share(rows[measure].iloc[k])} ({names[k]})" for k in (low, high)]
    return f"{what} goes from {ends[0]} to {ends[1]}."


def _fit(rows: pd.DataFrame) -> list[str]:
    """Name the conditions with collapsed runs, and those whose runs have not learnt the flag."""
    said = []
    for column, text in (
        ("collapsed", "Some runs collapsed, so that their gap says little about introspection: of"),
        ("flag_not_learnt", "Some runs did not learn the flag, whether an answer stays or changes: of"),
    ):
        some = [
            f"{name} ({row[column]} of {row['runs']})"
            for name, (_, row) in zip(named(rows), rows.iterrows(), strict=True)
            if row[column]
        ]
        if some:
            said.append(f"{text} {listed(some)}.")
    return said
