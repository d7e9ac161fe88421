"""Notebooks that are executed together: they share a kernel and nothing else, and show each figure once."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from coupling import files
from coupling.report.execute import (
    Job,
    NotebookError,
    check_plain,
    execute,
    parameters,
    side_by_side,
)
from coupling.spec import SpecError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def write(tmp_path):
    """A function that writes a notebook of some cells, the first for parameters, and returns its job."""

    def write(name, *cells):
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"language_info": {"name": "python"}},
        )
        notebook.cells[0].metadata["tags"] = ["parameters"]
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
        out = tmp_path / "out" / f"{name}.ipynb"
        return Job(tmp_path / f"{name}.ipynb", out, {"where": str(tmp_path / name)})

    return write


def test_notebooks_that_share_a_kernel_see_nothing_of_each_other_and_one_may_fail(write, tmp_path):
    note = "import os, pathlib; pathlib.Path(where).write_text(f\"{os.getpid()} {'leak' in globals()}\")"
    jobs = [
        write("first", "where = ''", "leak = 1", note),
        write("fails", "where = ''", "raise ValueError('as it should')"),
        write("nowhere", "where = ''", note)._replace(out=tmp_path / "first.ipynb" / "out.ipynb"),
        write("dies", "where = ''", "import os; os._exit(1)"),
        write("last", "where = ''", note),
        write("again", "where = ''", note),
    ]
    code = "from coupling.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "notebooks", json.dumps(jobs, default=str)],
        capture_output=True,
        text=True,
    )
    assert done.returncode
    assert "as it should" in done.stderr
    assert "first.ipynb/out.ipynb" in done.stderr  # a file has no folder in it
    assert "dies.ipynb" in done.stderr
    first, last, again = ((tmp_path / n).read_text().split() for n in ("first", "last", "again"))
    assert [first[1], last[1], again[1]] == ["True", "False", "False"]
    assert last[0] == again[0] != first[0]  # one kernel for all, until it died


def test_a_process_that_is_told_to_end_lets_its_kernel_finish_a_step_and_executes_no_more(write, tmp_path):
    train = """
import os, pathlib, signal, time
def leave(*_):
    pathlib.Path(where + ".checkpoint").write_text("")
    os._exit(1)
signal.signal(signal.SIGTERM, leave)
pathlib.Path(where).write_text("")
time.sleep(600)
"""
    jobs = [write("train", "where = ''", train), write("next", "where = ''", "open(where, 'w').close()")]
    code = "from coupling.cli import main; main()"
    command = [sys.executable, "-c", code, "notebooks", json.dumps(jobs, default=str)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        while not (tmp_path / "train").exists() and process.poll() is None:
            time.sleep(0.1)
        process.terminate()
        process.communicate()
    assert process.returncode == 143
    assert (tmp_path / "train.checkpoint").exists()
    assert not (tmp_path / "next").exists()


def test_notebooks_side_by_side_are_all_tried_and_a_failure_is_told(write, tmp_path):
    note = "import os, pathlib; pathlib.Path(where).write_text(str(os.getpid()))"
    names = ("one", "two", "fails")
    jobs = [write(n, "where = ''", note, "1 / 0" if n == "fails" else "pass") for n in names]
    with pytest.raises(NotebookError, match="ZeroDivisionError"), side_by_side(jobs):
        (tmp_path / "meanwhile").touch()
    assert (tmp_path / "meanwhile").exists()
    kernels = [(tmp_path / name).read_text() for name in names]
    assert all(job.out.is_file() for job in jobs)
    assert len(set(kernels)) == min(os.cpu_count(), len(jobs))


def test_the_notebook_of_a_figure_shows_its_figure_once_as_an_image(tmp_path, monkeypatch):
    files.figures_dir().mkdir()
    files.tables_dir().symlink_to(ROOT / "figures" / "data")
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")  # as in JupyterLab
    out = tmp_path / "out.ipynb"
    execute([Job(ROOT / "notebooks" / "15_curve.ipynb", out, {"profile": "tiny", "sweep": "rank"})])
    code = [cell for cell in nbformat.read(out, as_version=4).cells if cell.cell_type == "code"]
    shown = [output.get("data", {}) for cell in code for output in cell.outputs]
    images = [data for data in shown if "image/png" in data]
    assert len(images) == 1
    assert len(images[0]["image/png"]) > 10_000
    assert not any("Figure size" in data.get("text/plain", "") for data in shown if "image/png" not in data)
    assert (files.figures_dir() / "tiny" / "rank-curve.png").exists()


def test_a_grammar_that_no_notebook_needs_is_not_built():
    code = (
        "import pathlib, sys\nfrom coupling.report.execute import Job, execute\n"
        "execute([])\nassert 'papermill' in sys.modules\nassert 'rfc3987_syntax' not in sys.modules\n"
        "import rfc3987_syntax"  # whoever wants it has it
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_notebook_is_never_written_over(write):
    job = write("one", "where = ''")
    with pytest.raises(SpecError, match="is the notebook itself"):
        execute([job._replace(out=job.source)])


@pytest.mark.parametrize(
    "cell",
    [
        "!touch executed",
        "%%bash\ntouch executed",
        "%system touch executed",
        "x = 1\nfiles = !touch executed",
        "get_ipython().system('touch executed')",
        "f = get_ipython\nf().run_cell_magic('bash', '', 'touch executed')",
        "x = 1; !touch executed",
        "for k in range(2):\n    !touch executed",
    ],
)
def test_a_notebook_with_an_escape_to_the_shell_is_refused_before_any_cell_is_executed(write, tmp_path, cell):
    note = "import pathlib; pathlib.Path(where).touch()"
    job = write("one", "where = ''", note, cell)
    with pytest.raises(SpecError, match=r"one\.ipynb, cell 3, line \d: .* is not plain Python"):
        execute([job])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.ipynb"]


def test_what_is_no_notebook_is_refused_by_its_name(tmp_path):
    (tmp_path / "one.ipynb").write_text("no json")
    with pytest.raises(SpecError, match=r"one\.ipynb is no notebook"):
        execute([Job(tmp_path / "one.ipynb", tmp_path / "out.ipynb", {})])


def test_the_studys_own_notebooks_are_plain_python():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        check_plain(path)


def test_parameters_are_json_or_words_of_python_and_paths_are_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parameters(["a=1", "b=0.5", "c=text", "d=None", "e=True", "f=x=y", "sweep=rank"]) == {
        "a": 1,
        "b": 0.5,
        "c": "text",
        "d": None,
        "e": True,
        "f": "x=y",
        "sweep": "rank",
    }
    assert parameters(["sweep=mine.yaml"]) == {"sweep": str(tmp_path.resolve() / "mine.yaml")}
    paths = parameters(
        ["task=file:x/items.jsonl", "posts=posts.jsonl", "requests=hub:a/b/c", "model=org/name"]
    )
    assert paths == {
        "task": f"file:{tmp_path.resolve()}/x/items.jsonl",
        "posts": f"{tmp_path.resolve()}/posts.jsonl",
        "requests": "hub:a/b/c",
        "model": "org/name",  # no such folder, so it is the name of a model
    }
    (tmp_path / "m").mkdir()
    assert parameters(["source=m0_seed=1,model=m"]) == {"source": f"m0_seed=1,model={tmp_path.resolve()}/m"}


@pytest.mark.parametrize("pair", ["seed", "=3", "two words=1"])
def test_a_parameter_without_name_or_value_is_refused(pair):
    with pytest.raises(SpecError, match=f"'{pair}': expected name=value"):
        parameters([pair])
