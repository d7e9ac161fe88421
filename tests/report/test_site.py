"""The site's sources: links lead to pages, notebooks are the executed ones, and a bad page is refused."""

import json
import os
import re
from pathlib import Path

import nbformat
import pytest
from coupling import files
from coupling.report.execute import Job
from coupling.report.site import building, checking, executed, reference, sources

ROOT = Path(__file__).parents[2]


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A small study with a page, a figure, a folder of files and two notebooks."""
    monkeypatch.chdir(tmp_path)
    for folder in ("lib/coupling/tasks", "docs/schemas", "notebooks", "figures/data"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "README.md").write_text("# Study\n\n[howto](docs/howto.md#run), [all](notebooks)\n")
    (tmp_path / "docs/howto.md").write_text("# How to\n\n## Run\n")
    (tmp_path / "docs/schemas/plan.json").write_text("{}")
    (tmp_path / "figures/one.png").write_bytes(b"png")
    (tmp_path / "lib/coupling/tasks/toy.py").write_text('"""Toy."""\n')
    monkeypatch.setenv("COUPLING_FIGURES", str(tmp_path / "figures"))
    write(tmp_path / "notebooks/02_train.ipynb", "# Train\n", "result = runs.explain(chosen)")
    write(tmp_path / "notebooks/31_look.ipynb", "# Look\n\n[train](02_train.ipynb)", "1 + 1")
    return tmp_path


def write(path, *cells, image=False, **metadata):
    """Write a notebook: the first cell is text, the others are code."""
    first, *code = cells
    notebook = nbformat.v4.new_notebook(metadata=metadata)
    notebook.cells = [nbformat.v4.new_markdown_cell(first), *map(nbformat.v4.new_code_cell, code)]
    if image:
        output = nbformat.v4.new_output("display_data", {"image/png": "AAAA"})
        notebook.cells[1].outputs = [output]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


def test_links_lead_to_pages_modules_and_copies_of_files(study):
    text = (
        "[a](../README.md#x) [b](howto.md#run) ![c](../figures/one.png) [d](../lib/coupling/tasks/toy.py) "
        "[e](https://example.org) [f](#here) [g](../notebooks/31_look.ipynb) [h](schemas)\n"
        "```\n[i](nowhere.md)\n```\n"
    )
    page = sources.page_of("docs/method.md", text)
    assert page.text == (
        "[a](../index.md#x) [b](howto.md#run) ![c](../figures/one.png) [d](#coupling.tasks.toy) "
        "[e](https://example.org) [f](#here) [g](../notebooks/31_look.ipynb) [h](schemas/index.md)\n"
        "```\n[i](nowhere.md)\n```\n"
    )
    assert page.needs == ("figures/one.png", "docs/schemas")


def test_a_page_with_several_titles_stands_once_in_lists_of_pages(study):
    text = "# Plan\n\n## One\n\n# Second part\n\n```\n# code\n```\n## Two\n\nNo #title\n"
    assert sources.page_of("notebooks/PLAN.md", text).text == (
        "# Plan\n\n### One\n\n## Second part\n\n```\n# code\n```\n### Two\n\nNo #title\n"
    )
    assert sources.page_of("docs/method.md", "# A\n\n## B\n").text == "# A\n\n## B\n"


def test_links_hold_where_a_page_stands_deeper_than_its_source(study):
    text, needs = sources.linked(
        "[a](../docs/howto.md), ![b](../figures/one.png)", "notebooks/a.ipynb", "n/tiny/a.ipynb"
    )
    assert text == "[a](../../docs/howto.md), ![b](../../figures/one.png)"
    assert needs == ["figures/one.png"]


def test_a_link_that_leads_nowhere_is_named_with_its_page(study):
    with pytest.raises(files.StoreError, match=r"docs/method.md: the link 'gone.md' leads nowhere"):
        sources.page_of("docs/method.md", "[a](gone.md)")


def test_pages_are_written_with_what_they_need_and_every_page_is_listed(study, tmp_path):
    made = tmp_path / "made"
    pages = [
        *sources.study_pages(),
        sources.page_of("docs/method.md", "![c](../figures/one.png) [h](schemas)"),
    ]
    sources.write(pages, made)
    assert (made / "figures/one.png").read_bytes() == b"png"
    assert "[plan.json](plan.json)" in (made / "docs/schemas/index.md").read_text()
    first = (made / "index.md").read_text()
    assert "[howto](docs/howto.md#run), [all](notebooks/index.md)" in first
    listed = re.findall(r"^[\w/]+$", first, re.MULTILINE)
    assert {"docs/howto", "notebooks/index", "explorer", "reference/index"} <= set(listed)


def test_all_pages_of_the_study_have_links_that_lead_somewhere(monkeypatch):
    monkeypatch.delenv("COUPLING_FIGURES")
    monkeypatch.chdir(ROOT)
    pages = sources.study_pages()
    named = {name for group in sources.LISTED.values() for name in group}
    places = {page.place for page in pages} | {"explorer.md", "reference/index.md"}
    assert {"index.md", "docs/results.md", "docs/paper.md", "CHANGELOG.md"} <= places
    assert named - places <= {"docs/claims.md"}
    for page in pages:
        assert all((ROOT / name).exists() for name in page.needs), page.place


def test_no_page_of_the_study_is_left_out():
    found = {
        str(p.relative_to(ROOT))
        for f in ("docs", "notebooks", "figures", "examples")
        for p in (ROOT / f).glob("*.md")
    }
    found |= {p.name for p in ROOT.glob("*.md")} - {"README.md"}
    assert found <= {name for group in sources.LISTED.values() for name in group}


def test_notebooks_that_make_runs_are_never_executed_for_the_site(monkeypatch):
    monkeypatch.delenv("COUPLING_FIGURES")
    monkeypatch.chdir(ROOT)
    names = {job.source.stem for job in executed.jobs()}
    assert {"10_headline", "20_claims", "31_explore"} <= names
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        if path.stem[:2] in ("01", "02", "03", "04"):
            assert path.stem not in names
        text = path.read_text()
        assert path.stem not in names or not re.search(r"runs\.(explain|base|prepared)\(", text)


def test_a_notebook_without_an_executed_copy_says_so_and_one_of_a_run_is_shown(study):
    (train, *_), _ = split(executed.pages())
    assert "is shown without its outputs" in train.text
    executed_copy = study / "results/tiny/run/notebook.ipynb"
    write(
        executed_copy,
        "# Train\n",
        "result = runs.explain(chosen)",
        image=True,
        papermill={"input_path": "a/02_train.ipynb"},
    )
    (train, *_), _ = split(executed.pages())
    assert "without its outputs" not in train.text
    assert json.loads(train.text)["cells"][1]["metadata"]["mystnb"]["image"]["alt"] == "figure of: Train"
    write(executed_copy, "# Train\n", "old code", papermill={"input_path": "a/02_train.ipynb"})
    (train, *_), _ = split(executed.pages())
    assert "without its outputs" in train.text


@pytest.fixture(autouse=True)
def no_sweeps(monkeypatch, request):
    if "study" in request.fixturenames:
        monkeypatch.setattr(executed.drawing, "sweep_jobs", list)
        monkeypatch.setattr(executed.drawing, "study_jobs", list)
        monkeypatch.setenv("COUPLING_RESULTS", str(request.getfixturevalue("tmp_path") / "results"))


def split(pages):
    return [p for p in pages if p.place.endswith(".ipynb")], [p for p in pages if p.place.endswith(".md")]


def test_a_notebook_is_executed_again_where_it_the_tables_or_the_library_are_newer(study):
    source = study / "notebooks/31_look.ipynb"
    out = study / "results/31_look.ipynb"
    done = {"papermill": {"end_time": "2026", "exception": None}}
    job = Job(source, out, {})
    assert not executed._current(job)
    write(out, "# Look\n\n[train](02_train.ipynb)", "1 + 1", **done)
    later = os.stat(out).st_mtime + 10
    os.utime(out, (later, later))
    assert executed._current(job)
    os.utime(study / "lib/coupling/tasks/toy.py", (later + 10, later + 10))
    assert not executed._current(job)
    os.utime(out, (later + 20, later + 20))
    assert executed._current(job)
    (study / "figures/data/claims.parquet").write_text("")
    os.utime(study / "figures/data/claims.parquet", (later + 30, later + 30))
    assert not executed._current(job)
    write(out, "# Look\n\n[train](02_train.ipynb)", "1 + 2", **done)
    os.utime(out, (later + 99, later + 99))
    assert not executed._current(job)


def test_figures_of_executed_notebooks_lie_apart_from_the_committed_ones(study):
    with executed._figures_apart():
        assert files.figures_dir() == study / "results/site-figures"
        assert files.tables_dir().resolve() == study / "figures/data"
    assert files.figures_dir() == study / "figures"


def test_the_reference_has_every_public_module_and_function_once(monkeypatch):
    monkeypatch.chdir(ROOT)
    text = "\n".join(page.text for page in reference.pages())
    named = re.findall(r"^\((coupling\..*)\)=$", text, re.MULTILINE)
    assert len(named) == len(set(named))
    for path in (ROOT / "lib/coupling").rglob("*.py"):
        name = ".".join(path.relative_to(ROOT / "lib").with_suffix("").parts)
        if not path.name.startswith("_") and path.name != "conf.py":
            assert name in named
    assert "### call\n\n```python\ncall(function: str, *values: Any) -> str\n```\n\nWrite a call" in text
    assert "### _row" not in text
    assert "- `SpecError`: Where there is no such profile or sweep." in text


def site(folder, **pages):
    for name, text in pages.items():
        (folder / f"{name}.html").write_text(f"<html><body>{text}</body></html>")
    return folder


def test_a_site_whose_links_hold_is_taken(tmp_path):
    (tmp_path / "a.css").write_text("body { background: url(one.png) }")
    (tmp_path / "one.png").write_bytes(b"")
    checking.check(
        site(
            tmp_path,
            a='<link href="a.css" rel="stylesheet"><h1 id="x">A</h1><a href="b.html#y">b</a>',
            b='<p id="y"><a href="https://example.org"><img src="one.png"></a><a href="#y">y</a>',
        )
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '<script src="https://cdn.example/a.js"></script>',
            "a.html loads https://cdn.example/a.js from a network",
        ),
        (
            '<link rel="stylesheet" href="//cdn.example/a.css">',
            "a.html loads //cdn.example/a.css from a network",
        ),
        ('<img src="gone.png">', "a.html loads gone.png, which is not there"),
        ('<a href="gone.html">x</a>', "a.html links to gone.html, which is not there"),
        ('<a href="b.html#gone">x</a>', "a.html links to b.html#gone, and that page has no such place"),
    ],
)
def test_a_page_that_lacks_something_or_asks_a_network_is_refused(tmp_path, text, said):
    with pytest.raises(checking.SiteError, match=re.escape(said)):
        checking.check(site(tmp_path, a=text, b="<p id='y'>"))


def test_a_style_that_asks_a_network_is_refused(tmp_path):
    (tmp_path / "a.css").write_text("@font-face { src: url('https://fonts.example/a.woff2') }")
    with pytest.raises(checking.SiteError, match=r"a\.css loads something from a network"):
        checking.check(tmp_path)


def test_docstrings_are_shown_as_the_plain_text_that_they_are():
    text = "Return |a| and *b* of M_t and `c_*`, as NN_<name>.\n\n    x_    one *"
    assert reference.plain(text) == (
        r"Return \|a\| and \*b\* of M\_t and `c_*`, as NN\_\<name>." + "\n\n    x_    one *"
    )


def test_the_page_of_the_explorer_lists_what_it_holds(study, tmp_path, monkeypatch):
    (tmp_path / "figures/data").rmdir()
    (tmp_path / "figures/data").symlink_to(ROOT / "figures/data")
    monkeypatch.setattr(building.explorer, "shown", lambda: [("tiny", "rank")])
    page = building.explorer_page(tmp_path / "made")
    assert re.search(r"^\| tiny \| rank \| hint_qa \| \d+ \| 0 \| 200 \|$", page.text, re.MULTILINE)
    assert '"file":"_static/explorer/tiny-rank-hint_qa.js"' in page.text
    assert (
        (tmp_path / "made/_static/explorer/tiny-rank-hint_qa.js")
        .read_text()
        .startswith("couplingExplorer.take(0,")
    )
    assert {"explorer.js", "explorer.css"} <= {p.name for p in (tmp_path / "made/_static/explorer").iterdir()}
