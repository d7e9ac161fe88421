"""The generated part of the README: what came out in three sentences, a figure, one item, five results."""

import pandas as pd

from coupling import files
from coupling.analysis import tables
from coupling.analysis.claims.verdicts import FEW
from coupling.report import answers, figures, walkthrough
from coupling.report.answers.words import listed
from coupling.report.claims_text import (
    NOT_TESTED,
    capital,
    counted_verdicts,
    effect_text,
    markdown_table,
    read_claims,
    where,
)

HEADLINE = "divergent"  # the figure of the whole study
CLAIMS = ("1", "2", "4", "5", "9")  # those with a row each
# What of the method's steps on one item is shown, by how a step begins.
SHOWN = ("x, the input", "x without", "fixed label", "run 0")


def block() -> str:
    """Return the README's summary of results as Markdown; what has no table is left out."""
    parts = []
    there = (files.tables_dir() / "claims.parquet").exists()
    if there:
        parts.append(planned(read_claims()))
    if (walkthrough.PROFILE, walkthrough.SWEEP) in tables.collected():
        data = tables.read(walkthrough.PROFILE, walkthrough.SWEEP)
        parts.append(answers.of_tables("headline", data, (walkthrough.CONDITION,)).text)
    if (files.figures_dir() / f"{HEADLINE}.png").exists():
        parts.append(f"![{figures.what(HEADLINE)}](figures/{HEADLINE}.png)")
    if walkthrough.is_there():
        parts.append(one_item())
    if there:
        rows = read_claims()
        parts += [five_rows(rows), counted_verdicts(rows)]
    return "\n\n".join(parts)


def planned(rows: pd.DataFrame) -> str:
    """Say what became of the primary tests that were planned before their data."""
    tests = rows[rows["primary"].astype(bool) & ~rows["exploration"].astype(bool)]
    run = tests[tests["verdict"] != NOT_TESTED]
    left = [number for number in dict.fromkeys(tests["claim"]) if number not in set(run["claim"])]
    verdicts = [
        f"**{verdict}** for {_claims(list(dict.fromkeys(found['claim'])))}"
        for verdict, found in run.groupby("verdict", sort=False)
    ]
    said = [f"Primary tests that were planned before their data: {'; '.join(verdicts)}."] if verdicts else []
    if left:
        said.append(f"Planned, and not run yet: {_claims(left)}.")
    said += _not_all(rows[~rows["exploration"].astype(bool)], run)
    more = (
        "[The table of claims](docs/claims.md) has all tests. It marks every exploration: a test whose "
        "rule is newer than its data."
    )
    return " ".join([*said, more])


def _not_all(planned: pd.DataFrame, primary: pd.DataFrame) -> list[str]:
    """Say what the verdicts of primary tests leave out: other parts of a claim, and tests without power."""
    held = set(primary.loc[primary["verdict"] == "replicated", "claim"])
    parts = planned[planned["claim"].isin(held) & (planned["verdict"] == "not replicated")]
    said = []
    if len(parts):
        texts = parts["text"].str.replace("[,;] fresh M0s", "", regex=True)
        each = dict.fromkeys(f"“{text}” (claim {n})" for n, text in zip(parts["claim"], texts, strict=True))
        said.append(
            f"Beside a replicated primary test, these planned rows are **not replicated**: {listed(each)}."
        )
    weak = primary[primary["why"].fillna("").str.contains(FEW, regex=False)]
    if len(weak):
        said.append(
            f"For {_claims(list(weak['claim']))} no result could have been significant after correction: "
            "there were too few explainers."
        )
    return said


def _claims(numbers: list[str]) -> str:
    return f"claim{'s' if len(numbers) > 1 else ''} {listed(numbers)}"


def one_item() -> str:
    """Show one item whole, as one explainer answers and explains it."""
    found = walkthrough.example()
    steps = walkthrough.whole(found, walkthrough.telling(found))
    shown = steps[steps["step"].str.startswith(SHOWN)].replace("\n", "<br>", regex=True)
    lead = (
        "One item of a made-up world, on which an explainer (run 0) has come to differ from its label. "
        "The cue stands between « and ». S is the model that supplied the labels, here M0, and M_t is the "
        "trained model. L(M) is the label that is true of a model M, and E(M) is what M says:"
    )
    return f"{lead}\n\n{markdown_table(list(shown), shown.to_numpy().tolist())}"


def five_rows(rows: pd.DataFrame) -> str:
    """Show the primary test of some claims: one that was planned before its data, where there is one."""
    primary = rows[
        rows["primary"].astype(bool) & (rows["verdict"] != NOT_TESTED) & (rows["profile"] == "tiny")
    ]
    cells = []
    for number in CLAIMS:
        mine = primary[primary["claim"] == number].sort_values("exploration", kind="stable")
        for _, row in mine.head(1).iterrows():
            supported = "supported" if row["supported"] else row["verdict"]
            said = f"{supported} (exploration)" if row["exploration"] else row["verdict"]
            # The reason that stands first decides.
            said += f": {row['why'].split(';')[0]}" if row["why"] and not row["supported"] else ""
            measured = f"{row['measure']}: {effect_text(row)}"
            cells.append([number, capital(row["text"].split(";")[0]), where(row), measured, said])
    return markdown_table(
        ["claim", "what is claimed", "tested on", "effect, 95 % interval", "verdict"], cells
    )
