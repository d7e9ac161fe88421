"""Notebooks are thin, hold no outputs, and reject a misspelt parameter before any compute."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import SMALL
from coupling import cli, files
from coupling.analysis import tables
from coupling.report import pages

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_are_thin_and_clean(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [c for c in notebook.cells if c.cell_type == "code"]
    lines = [line for c in code for line in c.source.splitlines() if line.strip()]
    assert len(code) <= 12
    assert len(lines) <= 80
    assert not any(re.match(r"\s*(def|class|for|while|if) ", line) for line in lines)
    assert not any(c.outputs or c.execution_count for c in code)
    assert sum("parameters" in c.metadata.get("tags", []) for c in code) == 1


def papermill(source, out, **parameters):
    pairs = [w for n, v in parameters.items() for w in ("-p", n, str(v))]
    command = [
        sys.executable,
        "-m",
        "papermill",
        str(source),
        str(out),
        *pairs,
        "-k",
        "python3",
        "--cwd",
        str(ROOT / "notebooks"),
    ]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ)


def test_a_misspelt_parameter_fails_before_any_compute(tmp_path):
    done = papermill(ROOT / "notebooks" / "02_train.ipynb", tmp_path / "out.ipynb", kl_wieght=0)
    assert done.returncode
    assert "unknown parameter 'kl_wieght': did you mean 'kl_weight'?" in done.stderr
    assert not files.results_dir().exists()


def test_plain_papermill_runs_a_training_notebook(tmp_path):
    done = papermill(ROOT / "notebooks" / "02_train.ipynb", tmp_path / "out.ipynb", **SMALL)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "out.ipynb").read_text()
    assert "runs computed: 1, reused: 0" in text
    assert "coupling notebook notebooks/02_train.ipynb" in text


def test_figures_and_command_line_need_no_torch():
    code = (
        "import sys; import coupling.figures, coupling.cli, coupling.tables; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_readme_states_what_the_committed_tables_say(monkeypatch):
    monkeypatch.delenv("COUPLING_FIGURES")
    readme = (ROOT / "README.md").read_text()
    assert readme.split(pages.MARKS[0])[1].split(pages.MARKS[1])[0].strip() == pages.results_block().strip()


def test_committed_summaries_follow_from_committed_rows(monkeypatch):
    monkeypatch.delenv("COUPLING_FIGURES")
    for profile, sweep in tables.collected():
        data = tables.read(profile, sweep)
        for _, row in data.summary.iterrows():
            mine = data.items[
                (data.items["condition"] == row["condition"]) & (data.items["task"] == row["task"])
            ]
            assert row["gap"] == pytest.approx(mine["self"].mean() - mine["target"].mean(), abs=1e-12)
            assert row["self"] == pytest.approx(mine["self"].mean(), abs=1e-12)


def test_notebooks_that_share_a_kernel_see_nothing_of_each_other_and_one_may_fail(tmp_path):
    def write(name, *cells):
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(c) for c in cells],
            metadata={"language_info": {"name": "python"}},
        )
        notebook.cells[0].metadata["tags"] = ["parameters"]
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
        return [
            str(tmp_path / f"{name}.ipynb"),
            str(tmp_path / "out" / f"{name}.ipynb"),
            {"where": str(tmp_path / name)},
        ]

    note = "import os, pathlib; pathlib.Path(where).write_text(f\"{os.getpid()} {'leak' in globals()}\")"
    jobs = [
        write("first", "where = ''", "leak = 1", note),
        write("fails", "where = ''", "raise ValueError('as it should')"),
        write("dies", "where = ''", "import os; os._exit(1)"),
        write("last", "where = ''", note),
        write("again", "where = ''", note),
    ]
    done = subprocess.run(
        [sys.executable, "-c", "from coupling.cli import main; main()", "notebooks", json.dumps(jobs)],
        capture_output=True,
        text=True,
    )
    assert done.returncode
    assert "as it should" in done.stderr
    assert "dies.ipynb" in done.stderr
    first, last, again = ((tmp_path / n).read_text().split() for n in ("first", "last", "again"))
    assert [first[1], last[1], again[1]] == ["True", "False", "False"]
    assert last[0] == again[0] != first[0]  # one kernel for all, until it died


def test_a_profile_has_the_figures_of_its_own_conditions(monkeypatch):
    jobs = []
    monkeypatch.setattr(cli, "_execute", lambda *some: jobs.extend(some))
    monkeypatch.setattr(tables, "collected", lambda: [("medium", "shift")])
    monkeypatch.setattr(pages, "write_index", lambda: None)
    monkeypatch.setattr(pages, "write_readme", lambda: None)
    cli.figures("tracking")
    cli.figures("directions")
    assert [source.stem for source, *_ in jobs] == ["17_tracking"]
