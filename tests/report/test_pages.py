"""Generated pages state what the tables say, and mark explorations and rows that cannot be computed."""

import errno
import json
from pathlib import Path

import pandas as pd
import pytest
from coupling import files
from coupling.report import pages, tree
from made_claims import claim

ROOT = Path(__file__).parents[2]
RENEW = "a module, notebook, page or sweep has changed: run `python -m coupling.report.pages` and commit"


def with_claims(rows):
    """Make these rows the study's table of claims."""
    files.tables_dir().mkdir(parents=True)
    files.write_table(files.tables_dir() / "claims.parquet", pd.DataFrame(rows))


def test_pages_are_written_between_their_marks_and_nowhere_else(tmp_path, monkeypatch):
    library = tmp_path / "lib" / "coupling"
    library.mkdir(parents=True)
    (library / "one.py").write_text('"""Say one thing."""\n')
    monkeypatch.chdir(tmp_path)
    with_claims([claim("replicated")])
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
    assert "## What replicated" not in results
    assert not (tmp_path / "docs/claims.md").exists()  # a page that is not there is not begun
    assert "one.py" in architecture
    (tmp_path / "README.md").write_text("no marks")
    pages.write_readme()
    assert (tmp_path / "README.md").read_text() == "no marks"


def test_a_full_disk_leaves_the_readme_as_it_was(tmp_path, monkeypatch):
    (tmp_path / "lib" / "coupling").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with_claims([claim("replicated")])
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
        ("a.yaml", "# A profile of\n# one line. More.\nsteps: 1\n", "A profile of one line"),
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
