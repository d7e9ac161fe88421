"""The indexes of the log and the plan name all that there is, and what they say of git holds."""

import re
import subprocess
from pathlib import Path

import pytest
from coupling import files
from coupling.report.results_page import anchor
from coupling.sweep import sweep_names

ROOT = Path(__file__).parents[1]
LOG, PLAN = ((ROOT / "notebooks" / name).read_text() for name in ("LOG.md", "PLAN.md"))
ENTRY = re.compile(r"^## (\d{4}-\d\d-\d\d: .*)$", re.MULTILINE)
RULES = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PLAN.partition("## Index of the rules")[2].partition("\n# ")[0].splitlines()
    if line.startswith("| ") and not line.startswith("| part")
]
HASH = re.compile(r"\b[0-9a-f]{7}\b")


def git(*words):
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)


has_history = pytest.mark.skipif(
    git("cat-file", "-e", "c352342").returncode != 0, reason="no history of git here"
)


def test_every_link_within_the_log_leads_to_an_entry():
    headings = {anchor(title) for title in re.findall(r"^## (.*)$", LOG, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", LOG)) <= headings


def test_every_link_of_what_holds_now_leads_to_a_question():
    head = LOG.partition("## What holds now")[2].partition("## Index by sweep")[0]
    questions = {
        anchor(t) for t in re.findall(r"^## (.*)$", (ROOT / "docs/results.md").read_text(), re.MULTILINE)
    }
    linked = set(re.findall(r"results\.md#([^)]+)\)", head))
    assert linked
    assert linked <= questions
    assert not re.search(r"[-+]?\d+\.\d", head)  # numbers are made from tables, and stand there


def test_every_sweep_and_every_entry_stands_in_the_index():
    index = LOG.partition("## Index by sweep")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", index, re.MULTILINE)) == sweep_names()
    missing = [title for title in ENTRY.findall(LOG) if f"#{anchor(title)})" not in index]
    assert missing == []


def test_entries_stand_in_the_order_of_their_dates():
    dates = [title[:10] for title in ENTRY.findall(LOG)]
    assert dates == sorted(dates)


@has_history
def test_every_rule_is_fixed_by_a_commit_of_the_plan():
    for row in RULES:
        for commit in HASH.findall(row[2]):
            changed = git("show", "--stat=200", "--format=", commit).stdout
            assert "notebooks/PLAN.md" in changed, row


@has_history
def test_a_rule_that_is_said_to_be_before_its_runs_is_an_ancestor_of_them():
    decided = [row for row in RULES if row[4].startswith(("before", "no")) and row[3].count("all above") == 0]
    assert len(decided) > 20
    for part, what, fixed, made, said in decided:
        pairs = [(rule, run) for rule in HASH.findall(fixed) for run in HASH.findall(made)]
        ancestors = [git("merge-base", "--is-ancestor", *pair).returncode == 0 for pair in pairs]
        if "by the clock" not in said and "between" not in said:
            assert all(ancestors) if said.startswith("before") else not any(ancestors), (part, what)


def test_the_runs_behind_committed_tables_are_of_the_commits_that_the_plan_names():
    named = {commit for row in RULES for commit in HASH.findall(row[3])}
    for path in (ROOT / "figures" / "data").glob("*/*/keys.json"):
        made = {run["git_commit"][:7] for run in files.read_json(path)["runs"]}
        assert made <= named, path
