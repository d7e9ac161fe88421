"""The commands about figures, notebooks, claims and summaries: what they print and how they fail."""

import json
import sys
from pathlib import Path

import pytest
from coupling import cli, files
from coupling.analysis import claims, tables
from typer.testing import CliRunner

ROOT = Path(__file__).parents[1]


@pytest.fixture
def committed():
    """Committed tables of one sweep, where the commands look for them."""
    (files.tables_dir() / "tiny").mkdir(parents=True)
    (files.tables_dir() / "tiny" / "rank").symlink_to(ROOT / "figures/data/tiny/rank")


def said(*arguments):
    """What a command prints."""
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 0, done.exception
    return done.stdout


def test_figures_names_the_page_that_lists_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said("figures", "--only", "schematic").strip().endswith(str(files.figures_dir() / "README.md"))


def test_an_error_of_the_study_is_one_line_and_exit_code_2(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["coupling", "figures", "--only", "headlin"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    line = capsys.readouterr().err
    assert line.startswith("error: unknown figure 'headlin': did you mean 'headline'")
    assert line.count("\n") == 1


def test_claims_and_summaries_are_printed_for_programs(committed):
    rows = json.loads(said("claims", "--json"))
    assert {tuple(row) for row in rows} == {tuple(claims.COLUMNS)}
    assert any(row["profile"] == "tiny" and row["seeds"] == 5 for row in rows)
    rows = json.loads(said("summary", "--sweep", "rank", "--json"))
    assert [list(row) for row in rows] == [tables.SUMMARY] * 3
    assert [row["gap"] for row in rows] == pytest.approx(tables.read("tiny", "rank").summary["gap"])


def test_a_summary_is_the_committed_one_unless_the_own_one_is_asked_for(committed):
    text = said("summary", "--sweep", "rank")
    assert "excess_high" in text
    assert text.startswith(str(tables.folder("tiny", "rank")))
    done = CliRunner().invoke(cli.app, ["summary", "--sweep", "rank", "--own"])
    assert "make study PROFILE=tiny SWEEP=rank" in str(done.exception)
    where = tables.folder("tiny", "rank", own=True)
    where.parent.mkdir(parents=True)
    where.symlink_to(ROOT / "figures/data/tiny/rank")
    assert said("summary", "--sweep", "rank", "--own").startswith(str(where))
