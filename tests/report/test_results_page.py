"""The page of results: questions, each with figures, sentences, tables and limits."""

import re
from pathlib import Path

import pytest
from coupling import files
from coupling.report import largest, results_page, study
from coupling.report.questions import QUESTIONS
from coupling.sweep import CLAIMS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def committed(monkeypatch):
    """The page of the committed tables."""
    monkeypatch.delenv("COUPLING_FIGURES")
    monkeypatch.chdir(ROOT)
    return results_page.results_block()


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.title)
def test_a_question_is_answered_by_figures_that_its_sweeps_have(question):
    assert set(question.claims) <= set(CLAIMS)
    for part in question.parts:
        sweep = study.load(part.sweep).at(part.profile)
        assert part.figure in sweep.figures
        assert set(part.conditions) <= set(sweep.conditions)


def test_every_figure_of_a_sweep_of_the_study_answers_a_question():
    asked = {(part.sweep, part.figure) for question in QUESTIONS for part in question.parts}
    answered = {figure for _, figure in asked}
    drawn = {figure for sweep in study.load_all() for figure in sweep.figures}
    assert drawn <= answered


def test_every_question_with_tables_is_linked_and_has_what_it_takes(committed):
    titles = re.findall(r"^## (.*)$", committed, re.MULTILINE)
    linked = re.findall(r"^- \[(.*)\]\(#(.*)\)$", committed, re.MULTILINE)
    assert linked == [(title, results_page.anchor(title)) for title in titles]
    assert len(titles) == len(set(titles)) > 10
    for text in committed.split("\n## ")[1:]:
        assert "![" in text or text.startswith(largest.TITLE), text.splitlines()[0]
        assert "\n- " in text.split("**What it does not show.**")[0]
        assert re.search(r"\*\*What it does not show\.\*\*\n\n- ", text)
        assert "\n|---|" in text


def test_every_link_and_image_of_the_page_is_there(committed):
    for target in re.findall(r"\]\(([^)#]+)", committed):
        assert (ROOT / "docs" / target).exists(), target
    claims = (ROOT / "docs" / "claims.md").read_text()
    headings = {results_page.anchor(title) for title in re.findall(r"^## (.*)$", claims, re.MULTILINE)}
    assert set(re.findall(r"claims\.md#([\w-]+)", committed)) <= headings


def test_what_a_figure_does_not_show_is_what_its_notebook_says():
    assert any("Preference leaves such a drift out" in line for line in results_page.limits_of("headline"))
    assert results_page.limits_of("nothing") == []


def test_without_tables_there_is_no_question():
    files.tables_dir().mkdir(parents=True)
    assert results_page.results_block() == ""
