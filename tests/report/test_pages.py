"""Generated pages state what the tables say, and mark explorations and rows that cannot be computed."""

import errno
import json
from pathlib import Path

import pandas as pd
import pytest
from coupling import files
from coupling.report import pages, tree

ROOT = Path(__file__).parents[2]
RENEW = "a module, notebook, page or sweep has changed: run `python -m coupling.report.pages` and commit"


def row(verdict, **values):
    """One row of a table of claims, as the oldest committed tables have it."""
    plain = {
        "claim": "1",
        "text": "explanations are faithful",
        "profile": "tiny",
        "task": "hint_qa",
        "measure": "gap",
        "seeds": 5,
        "unit": "M0s",
        "seeds_above": 4,
        "effect": 0.02,
        "low": 0.01,
        "high": 0.03,
        "p": 0.0125,
        "controls": ["gold answer below self: passed", "no collapsed run: failed"],
    }
    return plain | {"verdict": verdict} | values


def unmeasured(verdict, **values):
    """A row without an effect."""
    numbers = dict.fromkeys(("seeds_above", "effect", "low", "high", "p"), float("nan"))
    return row(verdict, **(numbers | {"seeds": 0, "unit": "", "measure": "", "controls": []} | values))


def block_of(rows):
    """The README's results where these rows are the study's table of claims."""
    files.tables_dir().mkdir(parents=True)
    files.write_table(files.tables_dir() / "claims.parquet", pd.DataFrame(rows))
    return pages.results_block()


def section(block, title):
    return block.split(f"### {title}\n\n")[1].split("\n\n###")[0]


def test_a_table_without_the_newer_columns_is_shown_as_before():
    block = block_of([row("replicated"), unmeasured("not tested", claim="10", task="")])
    assert "exploration" not in block
    assert "could not be computed" not in block
    assert section(block, "What replicated") == (
        "- Explanations are faithful (claim 1; hint_qa, tiny, 5 M0s): gap +0.020 (+0.010 to +0.030)."
    )
    table = section(block, "Claims")
    assert (
        "| claim | what is claimed | task | effect | value | seeds above | p | controls | verdict |" in table
    )
    assert "| 4 of 5 | 0.0125 | 1 of 2; failed: no collapsed run | replicated |" in table
    assert "0 rows are inconclusive and 1 are not tested" in block


def test_explorations_are_marked_in_lists_and_table_and_explained():
    planned = {"part": 4, "exploration": False, "why": ""}
    block = block_of(
        [
            row(
                "inconclusive",
                **(planned | {"part": 1, "exploration": True, "task": "aita", "supported": True}),
            ),
            row("not replicated", **(planned | {"supported": False, "primary": True})),
        ]
    )
    assert "*exploration* was written down after its data had been seen" in block
    assert section(block, "What replicated") == "Nothing."
    assert "(claim 1; aita, tiny, 5 M0s; exploration)" in section(
        block, "What explorations support, without confirming it"
    )
    assert "exploration" not in section(block, "What did not replicate").split("Beside these")[0]
    table = section(block, "Claims")
    assert "| part 1, exploration | inconclusive |" in table
    assert "0 rows are inconclusive and 0 are not tested" in block
    assert "| part 4, primary | not replicated |" in table


def test_a_row_that_cannot_be_computed_stands_apart_with_its_reason():
    why = "the excess gap needs two explainers"
    known = {"part": 2, "exploration": False}
    block = block_of(
        [
            unmeasured("not computable", **known, why=why, seeds=1, unit="explainers"),
            unmeasured("not tested", **known, why="", claim="10", task=""),
        ]
    )
    assert section(block, "What could not be computed").startswith(
        f"- Explanations are faithful (claim 1; hint_qa, tiny, 1 explainer): {why}."
    )
    assert f"| not computable: {why} |" in section(block, "Claims")
    assert "nan" not in block
    assert "0 rows are inconclusive and 1 are not tested" in block


def test_a_row_whose_premise_is_not_met_stands_apart_with_its_reason():
    block = block_of([row("premise not met", part=9, exploration=False, why="agreement falls to 0.5")])
    title = "Where a claim says nothing, because its premise is not met"
    assert (
        section(block, title)
        .split("\n")[0]
        .endswith("(claim 1; hint_qa, tiny, 5 M0s): agreement falls to 0.5.")
    )
    assert "| premise not met: agreement falls to 0.5 |" in block


def test_preferences_are_shares_and_differences_have_a_sign():
    shown = {"part": 9, "exploration": False, "why": "", "effect": 0.6, "low": 0.55, "high": 0.65}
    block = block_of(
        [row("replicated", **shown, measure=m) for m in ("preference", "preference with KL − without", "gap")]
    )
    assert "preference 0.600 (0.550 to 0.650)" in block
    assert "preference with KL − without +0.600 (+0.550 to +0.650)" in block
    assert "gap +0.600" in block


def test_pages_are_written_between_their_marks_and_nowhere_else(tmp_path, monkeypatch):
    library = tmp_path / "lib" / "coupling"
    library.mkdir(parents=True)
    (library / "one.py").write_text('"""Say one thing."""\n')
    monkeypatch.chdir(tmp_path)
    block_of([row("replicated")])
    for path, marks in (
        ("README.md", pages.MARKS),
        ("docs/results.md", pages.MARKS),
        ("docs/architecture.md", pages.TREE_MARKS),
    ):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(f"# Before\n{marks[0]}\nold\n{marks[1]}\nafter\n")
    pages.write_readme()
    names = ("README.md", "docs/results.md", "docs/architecture.md")
    readme, results, architecture = ((tmp_path / name).read_text() for name in names)
    for page in (readme, results, architecture):
        assert page.startswith("# Before\n")
        assert page.endswith("\nafter\n")
        assert "old" not in page
    assert "Verdicts of the 1 rows of the table of claims: 1 replicated." in readme
    assert "### What replicated" in results
    assert "one.py" in architecture
    (tmp_path / "README.md").write_text("no marks")
    pages.write_readme()
    assert (tmp_path / "README.md").read_text() == "no marks"


def test_a_full_disk_leaves_the_readme_as_it_was(tmp_path, monkeypatch):
    (tmp_path / "lib" / "coupling").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    block_of([row("replicated")])
    text = f"# Before\n{pages.MARKS[0]}\nold\n{pages.MARKS[1]}\nwritten by hand\n"
    (tmp_path / "README.md").write_text(text)

    def full(self, text, **options):
        with self.open("w") as handle:
            handle.write(text[: len(text) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(Path, "write_text", full)
        with pytest.raises((OSError, files.StoreError), match="No space left"):
            pages.write_readme()
    assert (tmp_path / "README.md").read_text() == text
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_pages_without_a_table_of_the_whole_study_are_an_error(monkeypatch):
    monkeypatch.setattr(pages.tables, "collected", lambda: [("tiny", "headline")])
    with pytest.raises(files.StoreError, match=r"claims\.parquet is missing"):
        pages.write_readme()


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.py", '"""Do this.\n\nAnd more."""\n', "Do this."),
        ("a.py", "x = 1\n", ""),
        ("a.yaml", "# why\ntitle: A question\n", "A question"),
        ("a.yaml", "# A profile.\n# More.\nsteps: 1\n", "A profile."),
        ("a.md", "\n# A page\n\n## Part\n", "A page"),
        ("a.ipynb", json.dumps({"cells": [{"source": ["# A notebook\n", "\n", "text"]}]}), "A notebook"),
        ("a.ipynb", json.dumps({"cells": []}), ""),
        ("Snakefile", "# The graph.\nimport json\n", "The graph."),
    ],
)
def test_a_file_says_what_it_is(tmp_path, name, text, line):
    (tmp_path / name).write_text(text)
    assert tree.about(tmp_path / name) == line


def test_the_tree_in_the_docs_is_that_of_the_files(monkeypatch):
    monkeypatch.chdir(ROOT)
    page = (ROOT / "docs" / "architecture.md").read_text()
    lines = page.split(pages.TREE_MARKS[0])[1].split(pages.TREE_MARKS[1])[0].strip().splitlines()
    assert lines == tree.tree().splitlines(), RENEW


def test_every_file_of_the_tree_has_its_line(monkeypatch):
    monkeypatch.chdir(ROOT)
    entries = [line.split(maxsplit=1) for line in tree.tree().splitlines()[1:-1]]
    silent = [name for name, *what in entries if not what and not name.endswith("/")]
    assert not silent, f"the first line of each of these should say what it is: {', '.join(silent)}"
