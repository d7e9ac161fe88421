"""The page of faults: what was done to small studies, how it ended, and what a user learns from it.

`make faults` writes the table that the page is made from (figures/data/faults.csv).
"""

import pandas as pd

from coupling import files
from coupling.report.claims_text import markdown_table

TABLE = "faults.csv"
_INTRODUCTION = """\
# Faults

What happens when a run is killed, a disk is full or a file is damaged? `make faults` asks this of small
studies. One study prepares an organism, makes labels anew and shifts its behaviour, so that it has a file of
every kind. Others have a model and items of a user, a packaged model, published records, committed tables,
and a sweep of two runs that the batch engine makes.

Each injection takes a fresh copy of such a study and does one thing to it. Then the ordinary command is given
again. Where it ends in an error, the error must be one line that names the file, and what the error asks for
is done before the command is given once more. In the end the rows and the histories of all runs must be those
of a study that nothing disturbed, to the last digit. This page is generated from
[faults.csv](../figures/data/faults.csv)."""
_COLUMNS = """\
- **survived**: how many injections ended in the numbers of the undisturbed study.
- **lost rows**: rows of the undisturbed study that were missing in the end.
- **false completions**: results that were taken for complete, at any time, and had other rows.
- **error**: the error that one of the injections ended in. Without one, the command went on by itself."""
_MEANING = """\
## What this means for a user

- Give the same command again, whatever happened. Finished runs are kept, a run that was stopped goes on from
  its last checkpoint, and a damaged result is made again.
- Where a disk is full, or a folder may not be written to, the error names the place. Make room, or make the
  folder writable, and give the same command again.
- A damaged file of your own (a model, items) and a damaged published table cannot be made again. The error
  names the file. Bring it back from where it came from.
- A bit that turns over in a file of your own before it is first read gives another file. Nothing can tell it
  from the one that you meant. Its runs have keys of their own and are never mixed with others."""


def page(table: pd.DataFrame) -> str:
    """Return the page as Markdown.

    Args:
        table: One row a kind of fault: fault, tries, survived, lost_rows, false_completions, error.
    """
    counts = ["tries", "survived", "lost_rows", "false_completions"]
    sums = table[counts].sum()
    rows = [
        [row["fault"], *(f"{row[name]}" for name in counts), _cell(row["error"])]
        for _, row in table.iterrows()
    ]
    said = (
        f"{sums['tries']} injections of {len(table)} kinds: {sums['survived']} ended in the numbers of the "
        f"undisturbed study. Rows lost: {sums['lost_rows']}. Results with wrong rows that were taken for "
        f"complete: {sums['false_completions']}."
    )
    header = [name.replace("_", " ") for name in table]
    parts = [
        _INTRODUCTION,
        "## What was done, and how it ended",
        said,
        _COLUMNS,
        markdown_table(header, rows),
    ]
    return "\n\n".join([*parts, _MEANING]) + "\n"


def _cell(text: str) -> str:
    """Return a text as it can stand in a table: in one line, without marks of Markdown."""
    return f"`{' '.join(text.split()).replace('|', '/').replace('`', '')}`" if text else ""


def read() -> pd.DataFrame:
    """Read the table of faults; an empty cell is an empty text."""
    return files.read_table(files.tables_dir() / TABLE).fillna({"error": ""})


def write() -> None:
    """Write docs/faults.md. Without the table nothing is written."""
    if (files.tables_dir() / TABLE).exists():
        files.write_text(files.root() / "docs" / "faults.md", page(read()))
