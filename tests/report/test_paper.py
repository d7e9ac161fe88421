"""The page on the paper has every claim that the method lists, and says of each what our tables say."""

from pathlib import Path

from coupling import files
from coupling.report import figures, paper

ROOT = Path(__file__).parents[2]


def test_the_committed_page_is_the_one_that_the_tables_give(monkeypatch):
    monkeypatch.delenv("COUPLING_FIGURES")
    monkeypatch.chdir(ROOT)
    assert (ROOT / "docs/paper.md").read_text() == paper.page() + "\n"


def test_every_claim_has_a_line_with_the_verdicts_of_its_primary_tests(monkeypatch):
    monkeypatch.delenv("COUPLING_FIGURES")
    monkeypatch.chdir(ROOT)
    lines = {
        line.split(" | ")[0].strip("| "): line for line in paper.page().splitlines() if line.startswith("| ")
    }
    rows = figures.study_table("claims")
    primary = rows[rows["primary"].astype(bool)]
    assert set(primary["claim"]) <= set(lines) >= {str(number) for number in range(1, 12)}
    for _, row in primary.iterrows():
        said = f"{row['verdict']} ({row['task']}, {row['profile']})"
        assert (said in lines[row["claim"]]) == (row["verdict"] != "not tested")


def test_an_experiment_links_to_figures_that_are_there(monkeypatch):
    monkeypatch.delenv("COUPLING_FIGURES")
    monkeypatch.chdir(ROOT)
    named = [figure for _, _, ours in paper._EXPERIMENTS for figure in ours]
    there = {
        path.relative_to(files.figures_dir()).with_suffix("") for path in files.figures_dir().rglob("*.png")
    }
    missing = [one for one in named if not any(path.match(one) for path in there)]
    assert missing == []
