"""What the figure of sizes says."""

import pandas as pd

from coupling.analysis.tables import Tables
from coupling.report.answers.answer import Answer
from coupling.report.answers.words import HALF, cases, interval, share, sides
from coupling.report.figures import size as figures


def size(data: Tables) -> Answer:
    """Preference, gap, flag and answer by size of the model, and on kinds without labels."""
    rows = data.summary
    table = pd.DataFrame(
        {
            "task": rows["task"],
            "size and arm": rows["condition"],
            "M0s": rows["seeds"].astype(str),
            "runs": rows["runs"].astype(str),
            "divergent": rows["divergent_share"].map(share),
            "gap": [interval(row, "gap") for _, row in rows.iterrows()],
            "preference": [interval(row, "preference", share) for _, row in rows.iterrows()],
            "flag": rows["flag_balanced"].map(share),
            "answer": rows["self_content"].map(share),
        }
    )
    arm = rows["condition"].str.rpartition(", ")[2]
    whole = rows[~arm.isin([figures.HALF, figures.FACTS])]
    apart = data.regions[data.regions["region"] == "held out"]
    apart = apart[apart["condition"].str.endswith(f", {figures.HALF}")]
    return Answer(
        table,
        [
            *sides("The preference", cases(whole, "preference"), HALF),
            *sides("The gap", cases(whole, "gap")),
            *sides("On kinds without labels, the preference", cases(apart, "preference"), HALF),
        ],
    )
