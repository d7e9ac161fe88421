"""The generated part of the README."""

import pandas as pd
from coupling.report import readme
from coupling.report.claims_text import NOT_TESTED
from made_claims import claim, unmeasured


def rows(*given):
    frame = pd.DataFrame(given)
    missing = {"exploration": False, "primary": True, "supported": False, "why": ""}
    return frame.assign(**{name: value for name, value in missing.items() if name not in frame})


def test_a_test_that_was_planned_stands_before_an_exploration():
    found = readme.five_rows(
        rows(
            claim("inconclusive", text="seen before", exploration=True, supported=True),
            claim("replicated", text="planned", exploration=False, supported=True),
            unmeasured(NOT_TESTED, text="not run", exploration=False, supported=False),
        )
    )
    assert "| 1 | Planned |" in found
    assert "replicated |" in found
    assert "seen before" not in found.lower()
    assert "not run" not in found.lower()


def test_what_was_planned_and_run_is_told_from_what_was_not_run_and_from_explorations():
    tests = (
        claim("replicated", exploration=False),
        claim("not replicated", claim="2", exploration=True),
        unmeasured(NOT_TESTED, claim="3", exploration=False),
        unmeasured(NOT_TESTED, claim="4", exploration=False),
    )
    said = readme.planned(rows(*tests))
    assert (
        "planned before their data: **replicated** for claim 1. Planned, and not run yet: claims 3 and 4."
        in said
    )
    assert readme.planned(rows(tests[2])).startswith("Planned, and not run yet: claim 3.")


def test_an_exploration_is_called_one():
    found = readme.five_rows(
        rows(
            claim("inconclusive", exploration=True, supported=True),
            claim("inconclusive", claim="2", exploration=True, supported=False, why="a control failed; more"),
            claim("replicated", claim="4", primary=False),
        )
    )
    assert "supported (exploration) |" in found
    assert "inconclusive (exploration): a control failed |" in found
    assert "| 4 |" not in found


def test_one_item_is_shown_whole_with_both_ticks(monkeypatch):
    monkeypatch.delenv("COUPLING_FIGURES")
    shown = readme.one_item().splitlines()
    assert "✓ |" in shown[-2]
    assert "✗ |" in shown[-1]
    assert any("«" in line and "»" in line for line in shown)
    assert all(line.startswith("|") for line in shown[2:])
