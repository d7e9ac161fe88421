"""What the figures over all sweeps say: claims, model size, the search of the regime, and speed."""

import pandas as pd

from coupling.analysis import regime as search
from coupling.analysis.tables import Tables
from coupling.report import claims_text, figures
from coupling.report.answers.answer import Answer
from coupling.report.answers.words import HALF, Case, interval, listed, share, sides

_NAMES = {
    "train_throughput": "training",
    "eval_throughput": "evaluation",
    "gemm_share": "share of the matrix-product peak",
    "peak_memory": "peak memory",
    "worker_scaling": "two workers",
}


def claims(rows: pd.DataFrame) -> Answer:
    """The verdict of every row, and how many rows have each."""
    return Answer(claims_text.claims_table(rows), claims_text.in_words(rows))


def scale(rows: pd.DataFrame) -> Answer:
    """Preference and gap by model, sweep and task, of the conditions that the figure shows."""
    conditions = {name: of.condition for name, of in figures.scale.shown().items()}
    rows = rows[rows["condition"] == rows["sweep"].map(conditions)]
    table = pd.DataFrame(
        {
            "model": rows["model"],
            "weights": [f"{number:,.0f}" for number in rows["parameters"]],
            "sweep": rows["sweep"],
            "task": rows["task"],
            "condition": rows["condition"],
            "runs": rows["runs"].astype(str),
            "divergent": rows["divergent_share"].map(share),
            "gap": [interval(row, "gap") for _, row in rows.iterrows()],
            "preference": [interval(row, "preference", share) for _, row in rows.iterrows()],
        }
    )
    names = [
        f"{row['model']}, {row['task']} `{row['condition']}` of {row['sweep']}" for _, row in rows.iterrows()
    ]
    found = []
    for what, measure, null in (("The preference", "preference", HALF), ("The gap", "gap", 0.0)):
        ends = (rows[column] for column in (measure, f"{measure}_low", f"{measure}_high"))
        each = [Case(*values) for values in zip(names, *ends, strict=True)]
        found += sides(what, [case for case in each if not pd.isna(case.mean)], null)
    return Answer(table, found)


def regime(data: Tables) -> Answer:
    """What each setting of the search keeps, and which one is chosen."""
    cells = search.cells(data.runs)
    worst = search.worst(cells).reset_index()
    chosen = search.choose(cells)
    table = pd.DataFrame(
        {
            "rank, learning rate, KL weight": worst["condition"],
            "target lost": worst["lost"].map(share),
            "agreement at the end": worst["agreement"].map(share),
            "agreement on the way": worst["lowest"].map(share),
            "dip of self": worst["dip"].map(share),
            "flag": worst["flag"].map(share),
            "collapsed": worst["collapsed"].astype(int).astype(str),
            "divergent": worst["divergent"].map(share),
        }
    )
    return Answer(table, [_chosen(*chosen) if chosen else "No setting keeps the rule."])


def _chosen(setting: str, limits: search.Limits) -> str:
    """Say which setting the rule takes, and how far its limits were relaxed for it."""
    rung, rungs = search.LADDER.index(limits), len(search.LADDER)
    relaxed = (
        f"No setting keeps the first limits. {rung} of {rungs - 1} were relaxed, in the order of the plan."
    )
    return (
        f"The rule (PLAN.md, tenth part) takes rank, learning rate and KL weight `{setting}`. "
        f"{relaxed if rung else 'This setting keeps all limits.'}"
    )


def speed(rows: pd.DataFrame) -> Answer:
    """The engine beside each reference, on every machine."""
    table = pd.DataFrame(
        {
            "machine": rows["machine"],
            "measure": rows["measure"].replace(_NAMES),
            "model": rows["model"],
            "against": rows["against"],
            "reference": [f"{value:.3g}" for value in rows["reference"]],
            "engine": [f"{value:.3g}" for value in rows["engine"]],
            "unit": rows["unit"],
            "ratio": [f"{value:.2f}" for value in rows["ratio"]],
        }
    )
    found = []
    for (measure, against), part in rows.groupby(["measure", "against"], sort=False):
        each = [f"{row['ratio']:.2f} on {row['model']} ({row['machine']})" for _, row in part.iterrows()]
        found.append(f"{_NAMES.get(measure, measure).capitalize()}, engine ÷ {against}: {listed(each)}.")
    return Answer(table, found)
