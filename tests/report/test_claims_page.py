"""The page of claims: a grid of verdicts, then each claim with its statement, its plot and its rows."""

from pathlib import Path

import pandas as pd
import pytest
from coupling import files
from coupling.report import claims_page
from made_claims import claim, unmeasured

ROOT = Path(__file__).parents[2]


def page_of(rows):
    """The page where these rows are the study's table of claims."""
    files.tables_dir().mkdir(parents=True)
    files.write_table(files.tables_dir() / "claims.parquet", pd.DataFrame(rows))
    return claims_page.text()


def section(page, title):
    return page.split(f"## {title}\n\n")[1].split("\n\n## ")[0]


def test_a_table_without_the_newer_columns_is_shown_as_before():
    page = page_of([claim("replicated"), unmeasured("not tested", claim="10", task="")])
    assert "exploration" not in page.split("Verdicts of the")[1]
    assert section(page, "What replicated") == (
        "- Explanations are faithful (claim 1; hint_qa, tiny, 5 M0s): gap +0.020 (+0.010 to +0.030)."
    )
    table = section(page, "Claim 1")
    assert "| task | effect | value | seeds above | p | controls | verdict |" in table
    assert "| 4 of 5 | 0.0125 | 1 of 2; failed: no collapsed run | replicated |" in table
    assert "Verdicts of the 2 rows of the table of claims: 1 replicated, 1 not tested." in page


def test_explorations_are_marked_in_lists_and_tables_and_explained():
    planned = {"part": 4, "exploration": False, "why": ""}
    explored = planned | {"part": 1, "exploration": True, "task": "aita", "supported": True}
    page = page_of(
        [
            claim("inconclusive", **explored),
            claim("not replicated", **(planned | {"supported": False, "primary": True})),
        ]
    )
    assert "*exploration* was written down after its data had been seen" in page
    assert section(page, "What replicated") == "Nothing."
    assert "(claim 1; aita, tiny, 5 M0s; exploration)" in section(
        page, "What explorations support, without confirming it"
    )
    assert "exploration" not in section(page, "What did not replicate")
    table = section(page, "Claim 1")
    assert "| part 1, exploration | inconclusive |" in table
    assert "| part 4, primary | not replicated |" in table


def test_the_grid_has_all_verdicts_of_a_task_and_size_that_of_the_primary_test_first():
    rows = [
        claim("inconclusive"),
        claim("premise not met", text="another"),
        claim("inconclusive", text="a third"),
        claim("not replicated", text="the primary one", primary=True),
        claim("replicated", claim="own", profile="medium", task="mmlu", primary=False),
        unmeasured("not tested", claim="10", task="", primary=True),
    ]
    grid = section(page_of([{"primary": False} | row for row in rows]), "Verdicts by task and size")
    assert grid.splitlines()[2:] == [
        "| claim | hint_qa (tiny) | mmlu (medium) |",
        "|---|---|---|",
        "| [Claim 1](#claim-1) | **not replicated**, inconclusive ×2, premise not met |  |",
        "| [Claim 10](#claim-10) | not tested |  |",
        "| [Our own claims](#our-own-claims) |  | replicated |",
    ]


def test_a_reason_stands_beside_its_verdict():
    why = "the excess gap needs two explainers"
    known = {"part": 2, "exploration": False}
    page = page_of([unmeasured("not computable", **known, why=why, seeds=1, unit="explainers")])
    assert f"| not computable: {why} |" in section(page, "Claim 1")
    assert "nan" not in page


def test_preferences_are_shares_and_differences_have_a_sign():
    shown = {"part": 9, "exploration": False, "why": "", "effect": 0.6, "low": 0.55, "high": 0.65}
    measures = ("preference", "preference with KL − without", "gap")
    page = page_of([claim("replicated", **shown, measure=m) for m in measures])
    assert "preference 0.600 (0.550 to 0.650)" in page
    assert "preference with KL − without +0.600 (+0.550 to +0.650)" in page
    assert "gap +0.600" in page


def test_a_plot_is_linked_only_where_it_has_been_drawn():
    page = page_of([claim("replicated"), claim("replicated", claim="own")])
    assert "![" not in page
    plot = files.figures_dir() / "claims" / "claim-own.png"
    plot.parent.mkdir(parents=True)
    plot.touch()
    page = claims_page.text()
    assert "(../figures/claims/claim-own.png)" in section(page, "Our own claims")
    assert "![" not in section(page, "Claim 1")


def test_every_claim_of_the_paper_has_its_statement_with_a_grade():
    found = claims_page.paper_statements(ROOT / "docs" / "method.md")
    assert set(found) == {str(number) for number in range(1, 12)}
    assert found["6"] == "It is robust to label noise. Grade: [A]."
    assert claims_page.paper_statements(ROOT / "docs" / "nothing.md") == {}


def test_the_committed_page_is_that_of_the_committed_table(monkeypatch):
    monkeypatch.delenv("COUPLING_FIGURES")
    monkeypatch.chdir(ROOT)
    assert (ROOT / "docs" / "claims.md").read_text() == claims_page.text() + "\n"


def test_a_page_is_written_only_where_there_is_one(tmp_path, monkeypatch):
    (tmp_path / "lib" / "coupling").mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path)
    page_of([claim("replicated")])
    claims_page.write()
    assert not (tmp_path / "docs" / "claims.md").exists()
    (tmp_path / "docs" / "claims.md").touch()
    claims_page.write()
    assert (tmp_path / "docs" / "claims.md").read_text().startswith("# Claims")


@pytest.mark.parametrize(
    ("title", "name"), [("Claim 1", "claim-1"), ("Who moves: a or b?", "who-moves-a-or-b")]
)
def test_a_heading_is_linked_by_its_words(title, name):
    assert claims_page.anchor(title) == name
