"""Notebooks are thin, hold no outputs, and reject a misspelt parameter before any compute."""

import ast
import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from conftest import SMALL
from coupling import files
from coupling.analysis import tables
from coupling.report import notebooks, pages, readme, results_page, study
from coupling.report.execute import Job, execute, parameters
from coupling.spec import Spec, SpecError
from own_items import FEW, own_files

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TRAINING = {"01_base_model", "02_train", "03_sensor"}
UNMADE = {"25_following", "27_size"}  # their sweeps have no tables yet
# How many figures each notebook shows.
FIGURES = {path.stem: 1 for path in NOTEBOOKS if path.stem not in UNMADE} | {
    "01_base_model": 0,
    "30_speed": 2,
    "31_explore": 0,  # the explorer is a page in a frame
}


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


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Every notebook, executed: those of figures on the committed tables, the others on the smallest runs."""
    top = tmp_path_factory.mktemp("executed")
    (top / "figures").mkdir()
    (top / "figures" / "data").symlink_to(ROOT / "figures" / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUPLING_RESULTS", str(top / "results"))
        patch.setenv("COUPLING_FIGURES", str(top / "figures"))
        patch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")  # as in JupyterLab
        made = [path for path in NOTEBOOKS if path.stem not in UNMADE]
        items, model = own_files(top)
        given = dict.fromkeys(TRAINING, SMALL)
        given["05_circuits"] = SMALL | {"patched_items": 8}
        given["04_your_data"] = FEW | {"items": str(items), "model": str(model)}
        execute([Job(path, top / path.name, given.get(path.stem, {})) for path in made])
    return {path.stem: nbformat.read(top / path.name, as_version=4) for path in made}


def shown(notebook):
    """What the code cells of an executed notebook show."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [
        output["data"] | {"about": output["metadata"]}
        for cell in code
        for output in cell.outputs
        if "data" in output
    ]


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_an_executed_notebook_shows_each_figure_once_as_an_image_with_words_for_it(executed, name):
    images = [data for data in shown(executed[name]) if "image/png" in data]
    assert len(images) == FIGURES[name]
    assert len({data["image/png"] for data in images}) == len(images)
    assert all(len(data["about"]["image/png"]["alt"]) > 20 for data in images)
    others = [data.get("text/plain", "") for data in shown(executed[name]) if "image/png" not in data]
    assert not any("Figure" in text for text in others)


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_an_executed_notebook_has_tables_that_are_whole_and_says_what_came_out(executed, name):
    pages = [data["text/html"] for data in shown(executed[name]) if "text/html" in data]
    assert pages
    assert not any("<td>...</td>" in page or "&hellip;" in page or "\u2026" in page for page in pages)
    said = [data["text/markdown"] for data in shown(executed[name]) if "text/markdown" in data]
    assert any(re.search(r"\d", text) for text in said)
    assert not any("nan" in text.lower().split() for text in said)


def test_a_table_of_any_length_is_shown_whole():
    frame = pd.DataFrame({"a": range(500), "b": ["a long text, " * 50] * 500})
    page = notebooks.whole(frame).to_html()
    assert page.count("<tr") == 501
    assert page.count("a long text, " * 50) == 500


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_teaches_in_the_same_order(path):
    notebook = nbformat.read(path, as_version=4)
    titles = re.findall(
        r"^#+ .*$", "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown"), re.MULTILINE
    )
    assert titles[0].startswith("# ")
    assert titles[1] == "## What to look for"
    assert titles[-2:] == ["## What it does not show", "## Where to go on"]


def test_the_notebooks_lead_from_one_to_the_next():
    names = sorted({path.stem for path in NOTEBOOKS} | {"04_your_data"})
    for path in NOTEBOOKS:
        last = [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "markdown"][-1]
        place = names.index(path.stem)
        for word, other in (("Previous", names[place - 1 : place]), ("Next", names[place + 1 : place + 2])):
            linked = re.findall(rf"{word}: \[.*?\]\((\w+)\.ipynb\)", last)
            assert linked == other, path.stem


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_can_be_executed_twice_in_one_kernel(path):
    """Names that the first execution leaves are no parameters of the second."""
    code = [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    stored = {
        node.id
        for cell in code
        for node in ast.walk(ast.parse(cell))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    parameters = next(cell for cell in code if "notebook_parameters" in cell or "notebook_spec" in cell)
    known = set(re.findall(r'"(\w+)"', parameters.partition("notebook_parameters")[2]))
    known |= set(Spec.model_fields) if "notebook_spec" in parameters else set()
    ours = {"parameters", "chosen", "base", "result", "answer", "pair"}  # objects of this library
    assert not {name for name in stored if not name.startswith("_")} - known - ours


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_what_a_notebook_imports_is_there_and_keeps_its_name(path):
    code = "\n".join(c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code")
    tree = ast.parse(code)
    imported = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                module = importlib.import_module(node.module)
                if hasattr(module, alias.name):
                    imported[alias.name] = getattr(module, alias.name)
                else:
                    imported[alias.name] = importlib.import_module(f"{node.module}.{alias.name}")
    assert imported
    assigned = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    assert not assigned & set(imported)
    for node in ast.walk(tree):  # what is called of an imported module is one of its public names
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported:
            assert hasattr(imported[node.value.id], node.attr), f"{node.value.id}.{node.attr}"
            assert not node.attr.startswith("_")
    uncalled = set(imported) - {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    assert not uncalled, f"imported and not used: {uncalled}"


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
        "import sys; from coupling import cli; from coupling.analysis import tables; "
        "from coupling.report import build, figures, overview; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_readme_states_what_the_committed_tables_say(monkeypatch):
    monkeypatch.delenv("COUPLING_FIGURES")
    for page, block in (
        ("README.md", readme.block()),
        ("docs/results.md", results_page.results_block()),
    ):
        written = (ROOT / page).read_text().split(pages.MARKS[0])[1].split(pages.MARKS[1])[0]
        assert written.strip() == block.strip(), page


def test_committed_summaries_follow_from_committed_rows(monkeypatch):
    monkeypatch.delenv("COUPLING_FIGURES")
    for profile, sweep in tables.collected():
        data = tables.read(profile, sweep)
        for _, row in data.summary.iterrows():
            mine = data.items[
                (data.items["condition"] == row["condition"]) & (data.items["task"] == row["task"])
            ]
            mine = mine[(mine["x"] >= 0) & (mine["cf"] >= 0)]  # the items that have a label
            runs = mine.groupby(["m0_seed", "seed"])[["self", "target"]].mean()
            found = runs.groupby("m0_seed").mean().mean()
            assert row["gap"] == pytest.approx(found["self"] - found["target"], abs=1e-12)
            assert row["self"] == pytest.approx(found["self"], abs=1e-12)


@pytest.mark.parametrize(
    "value",
    [[0], {"a": 0}, (0,), {0}, np.array([0]), np.int64(0), Path("x"), pd.DataFrame(), lambda: 0, b"0", 0j],
    ids=lambda value: type(value).__name__,
)
def test_a_name_that_is_no_field_is_an_error_whatever_its_type(value):
    with pytest.raises(SpecError, match="unknown parameter 'kl_wieght': did you mean 'kl_weight'"):
        notebooks.notebook_parameters({"kl_wieght": value}, ["kl_weight", "seed"])


def test_numpy_scalars_and_paths_are_parameters_and_what_is_imported_is_none(tmp_path):
    posts = tmp_path / "posts.jsonl"
    posts.write_text("{}")
    cells = {"pd": pd, "Path": Path, "papermill": papermill, "_own": [1], "In": [], "Out": {}}
    cells |= {"profile": np.str_("medium"), "task": "aita", "seed": np.int64(3), "posts": posts}
    spec = notebooks.notebook_spec(cells)
    assert (spec.profile, spec.seed, spec.posts) == ("medium", 3, str(posts))
    known = notebooks.notebook_parameters(cells, list(Spec.model_fields))
    again = notebooks.notebook_spec(
        cells | {"chosen": spec, "known": known}
    )  # a cell that is executed once more
    assert again == spec
    with pytest.raises(SpecError, match="'seed' is bound to <module 'pandas'"):
        notebooks.notebook_parameters({"seed": pd}, ["seed"])


def test_the_notebook_of_a_sweeps_figure_takes_the_tables_that_its_reader_asks_for():
    for name in study.figure_names():
        path = ROOT / "notebooks" / f"{study.notebook_of(name)}.ipynb"
        cells = nbformat.read(path, as_version=4).cells
        (given,) = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
        assert "own = False" in given.splitlines(), path
        assert any("`own = True`" in cell.source for cell in cells if cell.cell_type == "markdown"), path


def test_the_command_that_is_printed_can_be_pasted_into_a_shell_anywhere(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my items").mkdir()
    values = {"system": 'Be brief; it\'s "late"', "model": "my items", "revision": "3", "seed": 1}
    notebooks.report("02_train", values | {"kl_weight": 0.5, "relabel": True, "posts": ""}, 1, 0)
    words = shlex.split(capsys.readouterr().out.splitlines()[0])
    assert words[:4] == ["coupling", "notebook", "notebooks/02_train.ipynb", "out.ipynb"]
    read = parameters(words[5::2])
    assert read == values | {"kl_weight": 0.5, "relabel": True, "posts": "", "model": f"{tmp_path}/my items"}
