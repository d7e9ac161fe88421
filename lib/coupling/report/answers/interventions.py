"""What the figure of interventions says."""

import pandas as pd

from coupling.analysis import interventions as analysis
from coupling.analysis.tables import Tables
from coupling.report.answers.answer import Answer
from coupling.report.answers.words import difference, interval, listed, share

_PAIRS = (
    ("ablated, most for behaviour", "ablated, at random", "explanation_kept"),
    ("ablated, most for explanation", "ablated, at random", "behaviour_kept"),
)
_CALLED = {"explanation_kept": "the explanation", "behaviour_kept": "the behaviour"}


def interventions(data: Tables) -> Answer:
    """What ablation, steering and surgery do, by task and condition."""
    rows = analysis.summary(data.interventions)
    table = pd.DataFrame(
        {
            "task": rows["task"],
            "condition": rows["condition"],
            "intervention": rows["intervention"],
            "behaviour kept": [interval(row, "behaviour_kept", share) for _, row in rows.iterrows()],
            "explanation kept": [interval(row, "explanation_kept", share) for _, row in rows.iterrows()],
            "self": [interval(row, "self", share) for _, row in rows.iterrows()],
            "target": rows["target"].map(share),
            "divergent": rows["divergent"].map(share),
            "preference": rows["preference"].map(share),
            "rise of the choice": rows["rise_cf"].map(difference),
            "rise of the stated answer": rows["rise_answer"].map(difference),
        }
    )
    first = rows[rows["condition"] == rows["condition"].iloc[0]].set_index(["task", "intervention"])
    return Answer(table, [*_ablated(first), *_steered(first)])


def _ablated(rows: pd.DataFrame) -> list[str]:
    """Say how often explanation and behaviour outlive the ablation of each other's sites."""
    said = []
    for one, other, measure in _PAIRS:
        tasks = [
            task for task in rows.index.unique("task") if {(task, one), (task, other)} <= set(rows.index)
        ]
        each = [
            f"{share(rows.loc[(task, one), measure])} of the items of {task} "
            f"(random sites: {share(rows.loc[(task, other), measure])})"
            for task in tasks
        ]
        if each:
            which = one.removeprefix("ablated, ")
            said.append(
                f"Where the sites that matter {which} are ablated, {_CALLED[measure]} is what it was on "
                f"{listed(each)}."
            )
    return said


def _steered(rows: pd.DataFrame) -> list[str]:
    """Say how far behaviour and explanation move when they are steered."""
    steered = rows[rows.index.get_level_values("intervention").str.startswith("steered")]
    each = [
        f"{task} `{name}` ({interval(row, 'rise_cf')} and {interval(row, 'rise_answer')})"
        for (task, name), row in steered.iterrows()
    ]
    if not each:
        return []
    return [
        "Steering toward a choice changes its log-odds in the behaviour without the cue and in the stated "
        f"answer. The two changes are, in this order: {listed(each)}. The random direction is as long as "
        "that of `steered by 2`."
    ]
