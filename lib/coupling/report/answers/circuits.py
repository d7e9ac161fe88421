"""What the figure of circuits says."""

from dataclasses import replace

import pandas as pd

from coupling.analysis import circuits as analysis
from coupling.analysis.tables import Tables
from coupling.report.answers.answer import Answer
from coupling.report.answers.words import cases, difference, interval, listed, named, share, sides


def circuits(data: Tables) -> Answer:
    """How alike the sites of behaviour and explanation are, by condition, and before training."""
    answer = of_similarity(data.similarity)
    beside = analysis.beside_preference(data.similarity, data.preference)
    value, low, high = analysis.predicts(beside)
    if pd.isna(value):
        return answer
    ends = "" if pd.isna(low) else f" ({difference(low)} to {difference(high)})"
    said = (
        "Within tasks, over conditions and M0s, the similarity of answers and the preference for own "
        f"behaviour have a rank correlation of {difference(value)}{ends}."
    )
    return replace(answer, found=[*answer.found, said])


def of_similarity(similarity: pd.DataFrame) -> Answer:
    """Say how alike maps are.

    Args:
        similarity: Rows of `coupling.analysis.circuits.similarity`.
    """
    rows = analysis.summary(similarity)
    table = pd.DataFrame(
        {
            "task": rows["task"],
            "condition": rows["condition"],
            "kinds": rows["region"],
            "M0s": rows["m0s"].astype(str),
            "answers": [interval(row, "answers") for _, row in rows.iterrows()],
            "flags": [interval(row, "flags") for _, row in rows.iterrows()],
            "whole": [interval(row, "whole") for _, row in rows.iterrows()],
            "top sites in common": rows["overlap"].map(share),
            "maps of answers on two halves of the items": rows["reliable"].map(share),
        }
    )
    labelled = rows[rows["region"] == "labelled"]
    said = sides("The similarity of the maps of behaviour and stated answer", cases(labelled, "answers"))
    for less, more in (("flags", "answers"), ("answers", "flags")):
        which = labelled[labelled[more] > labelled[less]]
        if len(which):
            each = [
                f"{name} ({share(a)} against {share(b)})"
                for name, a, b in zip(named(which), which[more], which[less], strict=True)
            ]
            said.append(
                f"The similarity of the {more} is the higher of the two, as a mean, for {listed(each)}."
            )
    return Answer(table, said)
