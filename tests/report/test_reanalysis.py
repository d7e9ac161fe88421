"""The page of the re-analysis follows from the committed tables and names what changed each row."""

import re
from pathlib import Path

import pytest
from coupling.report import figures, reanalysis

ROOT = Path(__file__).parents[2]
BEFORE = {"verdict": "replicated", "low": 0.01, "high": 0.05, "p": 0.06}
NOW = {"verdict": "inconclusive", "low": 0.01, "high": 0.05, "p": 0.01, "supported": False, "why": "w"}


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ({"verdict": "inconclusive"}, {}, "unchanged (w)"),
        ({"verdict": "not tested"}, {"verdict": "not tested", "why": ""}, "unchanged"),
        ({}, {"verdict": "premise not met"}, "the premise of the claim does not hold: w"),
        ({}, {"verdict": "not replicated"}, "an upper end below what would matter decides now: w"),
        ({}, {"supported": True}, "it is an exploration under the new rules; all that"),
        (
            {"verdict": "inconclusive"},
            {"supported": True},
            "all that .* p was 0.0600 over all rows and is 0.0100",
        ),
        ({"verdict": "not computable"}, {}, "it can be computed from the rows now: w"),
        ({}, {"low": -0.01}, "the t interval is wider than the bootstrap interval was: w"),
        ({}, {}, "^w$"),
    ],
)
def test_a_reason_names_what_changed_a_row(before, now, said):
    found = reanalysis.reason(BEFORE | before, NOW | now)
    assert re.search(said.replace("(w)", r"\(w\)"), found), found


def test_the_committed_page_is_that_of_the_committed_tables(monkeypatch):
    monkeypatch.delenv("COUPLING_FIGURES")
    page = reanalysis.page()
    assert page == (ROOT / "docs" / "reanalysis.md").read_text(), (
        "the claims have changed: run `python -m coupling.report.pages` and commit"
    )
    before = figures.study_table(reanalysis.BEFORE)
    lines = page.split("## Row by row")[1].split("##")[0].strip().split("\n")[2:]
    assert len(lines) == len(before)
    assert not any(line.endswith("|  |") for line in lines)  # each row says what changed it
