"""The page of faults says what its table says, and the committed page is that of the committed table."""

from pathlib import Path

import pandas as pd
from coupling.report import faults

ROOT = Path(__file__).parents[2]
COLUMNS = ["fault", "tries", "survived", "lost_rows", "false_completions", "error"]


def test_the_page_counts_all_injections_and_keeps_every_error_in_its_cell():
    rows = [("SIGKILL", 40, 40, 0, 0, ""), ("disk full", 3, 2, 5, 1, "error: `a` | b\nc")]
    page = faults.page(pd.DataFrame(rows, columns=COLUMNS))
    assert "43 injections of 2 kinds: 42 ended in" in page
    assert "Rows lost: 5. Results with wrong rows that were taken for complete: 1." in page
    assert "| disk full | 3 | 2 | 5 | 1 | `error: a / b c` |" in page
    assert "| SIGKILL | 40 | 40 | 0 | 0 |  |" in page


def test_the_committed_page_is_that_of_the_committed_table_and_nothing_was_lost(monkeypatch):
    monkeypatch.delenv("COUPLING_FIGURES")
    monkeypatch.chdir(ROOT)
    table = faults.read()
    assert list(table) == COLUMNS
    assert table["tries"].sum() >= 150
    assert (table["survived"] == table["tries"]).all()
    assert not table[["lost_rows", "false_completions"]].to_numpy().any()
    assert not table["error"].str.contains("NOT CLEAR").any()
    page = (ROOT / "docs" / "faults.md").read_text()
    assert faults.page(table) == page, "run `python -m coupling.report.pages` and commit"
