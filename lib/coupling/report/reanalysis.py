"""The page of the re-analysis: the first verdicts beside those of today, row by row, and why they differ.

The first table of claims is kept as it was decided (figures/data/claims_before.parquet). Every number on the
page comes from the two tables and from the committed tables of the sweeps.
"""

import pandas as pd

from coupling import files
from coupling.analysis import preference, tables
from coupling.report import figures
from coupling.report.claims_text import effect_text, markdown_table

BEFORE = "claims_before"
KEY = ["claim", "text", "profile", "task", "measure"]
# Words of the first table that mean something else today.
_RENAMED = {"in the primary measure": "in the excess gap"}
_INTRODUCTION = """\
# Re-analysis of the committed runs

This page is generated from the committed tables. **All of it is exploration.** The rules of today
([method.md](method.md#statistics)) were written after the data below had been seen. So no row can be
"replicated", however clear it is. A row that has all that "replicated" asks for says so. What is to be
confirmed, and how, stands in the ninth part of [PLAN.md](../notebooks/PLAN.md)."""
_RULES = """\
What changed in the rules:

- The primary measure is preference. It replaces the excess gap, which is zero by construction wherever two
  runs moved alike.
- An interval is t over M0 means. Before, it was a bootstrap over five clusters, which covers too little.
- Each claim of the paper has one primary test, and these eleven are one family. Before, some ninety rows were
  one.
- "Not replicated" means that the interval ends below what would matter. Before, it meant an interval at or
  below zero.
- Claims 1, 3 and 5 have a premise: labels must agree with current behaviour. Before, they were decided
  without it.
- Runs that have not learnt the flag, and collapsed runs, decide nothing.
- An item whose reply is no choice has no label. Before, it counted as an unfaithful explanation.
- A control that asks for no effect is an equivalence test. Before, it passed where nothing was found."""


def page() -> str:
    """Return the page as Markdown."""
    before, now = figures.study_table(BEFORE), figures.study_table("claims")
    before = before.assign(text=before["text"].replace(_RENAMED, regex=True))
    both = before.merge(now, on=KEY, how="left", suffixes=("_before", ""), validate="one_to_one")
    added = now.merge(before[KEY], on=KEY, how="left", indicator=True)
    added = added[added["_merge"] == "left_only"]
    changed = (both["verdict_before"] != both["verdict"]).sum()
    parts = [
        *(_INTRODUCTION, _RULES, "## Verdicts, before and now"),
        f"{changed} of {len(both)} verdicts changed. A line is a first verdict, a column a verdict of today.",
        _counts(both),
        *("## Row by row", _row_table(both)),
        "## Rows that the first table did not have",
        markdown_table(
            ["claim", "what is claimed", "where", "effect", "value", "p alone", "p", "verdict", "why"],
            [[*_names(row), *_numbers(row), row["verdict"], row["why"]] for _, row in added.iterrows()],
        ),
        *_preferences(),
        *_flags(),
    ]
    return "\n\n".join(parts) + "\n"


def _counts(both: pd.DataFrame) -> str:
    """Return how many rows went from which verdict to which."""
    counts = pd.crosstab(both["verdict_before"], both["verdict"])
    rows = [[name, *(str(n or "") for n in line)] for name, line in counts.iterrows()]
    return markdown_table(["before", *counts.columns], rows)


def _row_table(both: pd.DataFrame) -> str:
    """Return one line for each row of the first table."""
    header = ["claim", "what is claimed", "where", "effect", "before", "now", "what changed it"]
    lines = []
    for _, row in both.iterrows():
        old = row[KEY].to_dict() | {
            name: row[f"{name}_before"] for name in ("effect", "low", "high", "p", "verdict")
        }
        lines.append([*_names(row), _decided(old), _decided(row.to_dict()), reason(old, row.to_dict())])
    return markdown_table(header, lines)


def reason(before: dict, now: dict) -> str:
    """Say what changed the verdict of a row, or that nothing did.

    Args:
        before: The row as it was decided first.
        now: The row of today.
    """
    if before["verdict"] == now["verdict"] and not now["supported"]:
        return "unchanged" + (f" ({now['why']})" if now["why"] else "")
    causes = []
    if now["verdict"] == "premise not met":
        causes.append("the premise of the claim does not hold")
    elif now["verdict"] == "not replicated":
        causes.append("an upper end below what would matter decides now")
    elif now["supported"]:
        causes.append(_supported(before, now))
    elif now["verdict"] == "inconclusive" and before["verdict"] == "not computable":
        causes.append("it can be computed from the rows now")
    elif before["verdict"] == "replicated" and before["low"] > 0 >= now["low"]:
        causes.append("the t interval is wider than the bootstrap interval was")
    if now["why"] and not now["supported"]:
        causes.append(now["why"])
    return ": ".join(causes) or "unchanged"


def _supported(before: dict, now: dict) -> str:
    """Say what changed a row that has all that "replicated" asks for."""
    if before["verdict"] == "replicated":
        return "it is an exploration under the new rules; all that “replicated” asks for is there"
    family = f"p was {before['p']:.4f} over all rows and is {now['p']:.4f} over its own family"
    return f"all that “replicated” asks for is there, but it is an exploration; {family}"


def _names(row: pd.Series) -> list[str]:
    primary = " (primary)" if row["primary"] else ""
    return [f"{row['claim']}{primary}", row["text"], f"{row['task']}, {row['profile']}", row["measure"]]


def _numbers(row: pd.Series) -> list[str]:
    ps = ["" if pd.isna(row[name]) else f"{row[name]:.4f}" for name in ("p_alone", "p")]
    return [effect_text(row), *ps]


def _decided(row: dict) -> str:
    """Return effect, p and verdict of one row in one cell."""
    p = "" if pd.isna(row["p"]) else f"p {row['p']:.4f}"
    return "; ".join(text for text in (effect_text(row), p, row["verdict"]) if text)


def _preferences() -> list[str]:
    """Return preference with and without the KL term by task, and the exact tests of all tasks together."""
    rows, pooled = [], {}
    for profile, sweep, conditions in (
        ("tiny", "headline", ("KL on", "KL off")),
        ("medium", "headline", ("KL on", "KL off")),
        ("medium", "content", ("by content",)),
        ("medium", "content_again", ("by content",)),
    ):
        items = tables.read(profile, sweep).items
        for condition in conditions:
            of = items[items["condition"] == condition]
            for task, part in of.groupby("task", sort=False):
                units = list(preference.units(part).values())
                pooled.setdefault((profile, condition == "KL off"), []).append(units)
                rows.append([f"{task}, {profile} {sweep}, {condition}", *_dealt([units])])
    for (profile, off), units in pooled.items():
        rows.append([f"all of {profile}, {'KL off' if off else 'KL on'}", *_dealt(units)])
    return [
        "## Preference, with and without the KL term",
        "p is exact and one-sided: the share of ways of dealing the explanations out among the runs of each "
        "M0 that reach the observed preference. It is not corrected.",
        markdown_table(["runs", "preference", "ways", "p"], rows),
    ]


def _dealt(units: list[list[preference.Unit]]) -> list[str]:
    found = preference.deal(units)
    return [f"{found.preference:.3f}", f"{found.ways:,}", f"{found.p:.5f}"]


def _flags() -> list[str]:
    """Return answer and flag apart, and items without a label, for the headline of every profile."""
    rows = []
    for profile, sweep in tables.collected():
        if sweep != "headline":
            continue
        for _, line in tables.read(profile, sweep).summary.iterrows():
            rows.append(
                [
                    f"{line['task']}, {profile}, {line['condition']}",
                    *(f"{line[name]:+.3f}" for name in ("gap", "gap_content_mean", "gap_flag_mean")),
                    *(f"{line[name]:.3f}" for name in ("target_stays", "target_changes", "flag_balanced")),
                    f"{line['flag_not_learnt']} of {line['runs']}",
                    f"{line['no_label_share']:.3f}",
                ]
            )
    header = [
        "runs",
        "gap",
        "gap of answers",
        "gap of flags",
        "target where S stays",
        "target where S changes",
    ]
    header += ["flag, balanced accuracy", "runs with the flag not learnt", "items without a label"]
    return ["## Answer and flag apart", markdown_table(header, rows)]


def write() -> None:
    """Write docs/reanalysis.md. Without both tables of claims nothing is written."""
    names = (BEFORE, "claims")
    if all((files.tables_dir() / f"{name}.parquet").exists() for name in names):
        files.write_text(files.root() / "docs" / "reanalysis.md", page())
