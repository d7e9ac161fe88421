"""Generate docs/claims.md: a grid of verdicts, then each claim with the paper's statement and its rows."""

import re
from pathlib import Path

import pandas as pd

from coupling import files
from coupling.analysis.claims import VERDICTS
from coupling.analysis.tables.committed import SIZES
from coupling.report.claims_text import (
    NOT_TESTED,
    capital,
    claim_name,
    claims_table,
    counted_verdicts,
    effect_text,
    markdown_table,
    read_claims,
)
from coupling.report.results_page import anchor, claim_title

HEAD = """# Claims

This page is generated from the table of claims, figures/data/claims.parquet. No number on it is typed. Each
verdict is decided by a rule that is written in [PLAN.md](../notebooks/PLAN.md), in the words of
[method.md](method.md#statistics). [results.md](results.md) has the same runs by question, and
[reanalysis.md](reanalysis.md) the first verdict of each row beside that of today."""
EXPLORATIONS = (
    "A row marked *exploration* was written down after its data had been seen, or is decided by a rule that "
    "was. It confirms nothing and is never replicated: it says where to look."
)
GRID = (
    "A line is a claim, a column a task and a profile (a size of the study). A cell has the verdicts of all "
    "rows there, with their number where there are several. The verdict of a primary test is bold; where a "
    "claim has two, the planned one decides. A row that has not been run is shown only where no row of its "
    "cell has. An empty cell has no row."
)
_LISTED = {"replicated": "What replicated", "not replicated": "What did not replicate"}
_SUPPORTED = "What explorations support, without confirming it"
_STATEMENT = re.compile(r"^\| (\d+) \| (.+) \| (.+) \|$", re.MULTILINE)


def write() -> None:
    """Write docs/claims.md from the table of claims, where there is a table and a page."""
    page = files.root() / "docs" / "claims.md"
    if page.exists() and (files.tables_dir() / "claims.parquet").exists():
        files.write_text(page, text() + "\n")


def text() -> str:
    """Return the whole page as Markdown."""
    rows = read_claims()
    numbers = list(dict.fromkeys(rows["claim"]))
    said = paper_statements(files.root() / "docs" / "method.md")
    parts = [HEAD, counted_verdicts(rows), *([EXPLORATIONS] if rows["exploration"].any() else [])]
    parts += ["## Verdicts by task and size", GRID, grid(rows), *_lists(rows)]
    for number in sorted(numbers, key=lambda number: (number == "own", len(number), number)):
        parts += _claim(number, rows[rows["claim"] == number], said.get(number, ""))
    return "\n\n".join(parts)


def paper_statements(method: Path) -> dict[str, str]:
    """Return what the paper claims, by number of the claim, with the grade of each statement.

    Args:
        method: The page of the method, whose table of the paper's claims is read. Without the page there are
            no statements.
    """
    if not method.exists():
        return {}
    section = method.read_text().partition("## What the paper claims")[2].partition("\n## ")[0]
    return {number: f"{said}. Grade: {grade}." for number, said, grade in _STATEMENT.findall(section)}


def grid(rows: pd.DataFrame) -> str:
    """Return the grid of verdicts: claims by task and profile."""
    tested = rows[rows["verdict"] != NOT_TESTED]
    places = sorted(dict.fromkeys(zip(tested["profile"], tested["task"], strict=True)), key=_place)
    numbers = sorted(dict.fromkeys(rows["claim"]), key=lambda number: (number == "own", len(number), number))
    header = ["claim", *(f"{task.replace('+', ', ')} ({profile})" for profile, task in places)]
    lines = []
    for number in numbers:
        mine = rows[rows["claim"] == number]
        title = claim_title(number)
        cells = [
            _cell(mine[(mine["profile"] == profile) & (mine["task"] == task)]) for profile, task in places
        ]
        if not any(cells):
            cells[0] = NOT_TESTED
        lines.append([f"[{title}](#{anchor(title)})", *cells])
    return markdown_table(header, lines)


def _place(names: tuple[str, str]) -> tuple:
    """The order of the columns: small profiles first, and single tasks before pooled ones."""
    profile, task = names
    size = SIZES.index(profile) if profile in SIZES else len(SIZES)
    return size, "+" in task, task


def _cell(rows: pd.DataFrame) -> str:
    """Return the verdicts of some rows, that of the primary test first."""
    rows = rows[rows["verdict"] != NOT_TESTED]
    primary = rows["primary"].astype(bool)
    others = rows.loc[~primary, "verdict"].value_counts()
    counted = [
        f"{verdict} ×{others[verdict]}" if others[verdict] > 1 else verdict
        for verdict in VERDICTS
        if verdict in others
    ]
    return ", ".join([*(f"**{verdict}**" for verdict in rows.loc[primary, "verdict"]), *counted])


def _lists(rows: pd.DataFrame) -> list[str]:
    """Return the rows that were decided, by verdict, and the explorations that have all that is asked for."""
    supported = rows["supported"].astype(bool) & rows["exploration"].astype(bool)
    parts = []
    for verdict, title in _LISTED.items():
        found = [_line(row) for _, row in rows[rows["verdict"] == verdict].iterrows()]
        parts += [f"## {title}", "\n".join(found) or "Nothing."]
        if verdict == "replicated" and supported.any():
            lines = [_line(row) for _, row in rows[supported].iterrows()]
            parts += [f"## {_SUPPORTED}", "\n".join(lines)]
    return parts


def _line(row: pd.Series) -> str:
    """Return one decided row as a list item, with its effect and interval."""
    return f"- {claim_name(row)}: {row['measure']} {effect_text(row)}."


def _claim(number: str, rows: pd.DataFrame, said: str) -> list[str]:
    """Return the section of one claim: the paper's statement, the forest plot, and the rows by text."""
    parts = [f"## {claim_title(number)}"]
    if said:
        parts.append(f"The paper ([what the grades mean](method.md#what-the-paper-claims)): {said}")
    folder = files.figures_dir() / "claims"  # a long claim goes on in claim-<number>-2.png
    drawn = [*folder.glob(f"claim-{number}.png"), *sorted(folder.glob(f"claim-{number}-[2-9].png"))]
    shows = f"effect and interval of every row of {claim_title(number)}"
    parts += [f"![{shows}](../figures/claims/{path.name})" for path in drawn]
    ran = rows["verdict"] != NOT_TESTED
    for words, some in rows[ran].groupby("text", sort=False):
        shown = claims_table(some).drop(columns=["claim", "what is claimed"])
        parts += [f"**{capital(words)}**", markdown_table(list(shown), shown.to_numpy().tolist())]
    planned = [_planned(row) for _, row in rows[~ran].iterrows()]
    return [*parts, *(["**Not tested**", "\n".join(planned)] if planned else [])]


def _planned(row: pd.Series) -> str:
    """Return one row that has not been run as a list item."""
    part = "" if pd.isna(row["part"]) else f"part {row['part']:.0f}"
    about = [row["task"], part, "primary" if row["primary"] else ""]
    return f"- {capital(row['text'])} ({', '.join(filter(None, about))})"
