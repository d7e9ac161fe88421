"""Executed notebooks as pages: as `make figures` executes them, or with a sentence on how to do it."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coupling import files
from coupling.report import build as drawing
from coupling.report import figures
from coupling.report.execute import Job, side_by_side
from coupling.report.site.sources import Page, linked, toctree

# Notebooks that make runs. They are shown as a batch has executed them, and never executed here.
MAKES_RUNS = re.compile(r"\bruns\.(base|explain|prepared)\(|^0[1-9]_", re.MULTILINE)
_NOT_EXECUTED = (
    "*This notebook is shown without its outputs. Either it makes runs, or the runs that it shows are not "
    "published yet. `make lab` opens it in JupyterLab.*"
)


def jobs() -> list[Job]:
    """List every notebook with the parameters that the site shows it with.

    Notebooks that make runs are left out, and those of figures without tables.
    """
    found = [*drawing.sweep_jobs(), *drawing.study_jobs()]
    of_figures = {*figures.sweep_figures(), *figures.study_figures()}
    others = [
        path
        for path in _notebooks()
        if path.stem.partition("_")[2] not in of_figures and not _makes_runs(path)
    ]
    return [*found, *(Job(path, files.results_dir() / path.name, {}) for path in others)]


def execute_stale() -> None:
    """Execute the notebooks that were not executed since they, their tables or the library changed.

    The figures that they draw are written below results/, so that no tracked file changes.
    """
    stale = [job for job in jobs() if not _current(job)]
    if stale:
        files.say(f"executing {len(stale)} notebooks")
    with _figures_apart(), side_by_side(stale):
        pass


@contextmanager
def _figures_apart() -> Iterator[None]:
    """Within the block, figures are written below results/. Their tables are read where they are."""
    apart, before = files.results_dir() / "site-figures", os.environ.get("COUPLING_FIGURES")
    apart.mkdir(parents=True, exist_ok=True)
    link = apart / "data"
    link.unlink(missing_ok=True)
    link.symlink_to(files.tables_dir().resolve())
    os.environ["COUPLING_FIGURES"] = str(apart.resolve())
    try:
        yield
    finally:
        if before is None:
            del os.environ["COUPLING_FIGURES"]
        else:
            os.environ["COUPLING_FIGURES"] = before


def _current(job: Job) -> bool:
    """Whether a notebook was executed to its end, from the cells that it has now, after all that it reads."""
    if not job.out.exists() or _sources(_read(job.out)) != _sources(_read(job.source)):
        return False
    noted = _read(job.out)["metadata"].get("papermill", {})
    if not noted.get("end_time") or noted.get("exception"):
        return False
    code = (files.root() / "lib/coupling").rglob("*.py")
    read = [*code, *files.tables_dir().glob("*.*"), *files.tables_dir().glob("*/*/keys.json")]
    return job.out.stat().st_mtime >= max(path.stat().st_mtime for path in read)


def pages() -> list[Page]:
    """Make a page of every notebook, one for each further sweep that it was executed for, and a list."""
    found, listed = [], []
    by_source: dict[Path, list[Job]] = {}
    for job in jobs():
        by_source.setdefault(job.source, []).append(job)
    for source in _notebooks():
        own = by_source.get(source, [])
        first = _own_first(source, own)
        shown = [
            (f"notebooks/{source.name}", first.out if first and first.out.exists() else _of_a_run(source))
        ]
        shown += [(f"notebooks/{j.parameters['profile']}/{j.out.name}", j.out) for j in own if j != first]
        found += [_page(source, place, out) for place, out in shown]
        listed.append(_entry(source, [Path(place).relative_to("notebooks") for place, _ in shown[1:]]))
    names = [page.place.removeprefix("notebooks/") for page in found]
    text = "# Notebooks\n\nThey tell the study in order.\n\n" + "\n".join(listed)
    return [*found, Page("notebooks/index.md", f"{text}\n\n{toctree(names, ':hidden:')}")]


def _entry(source: Path, further: list[Path]) -> str:
    """Return the line of a notebook in the list: its title, and the further pages that it has."""
    title = _title(_read(source))
    links = ", ".join(
        f"[{path.parent} {path.stem.removesuffix(f'-{source.stem}')}]({path})" for path in further
    )
    return f"- [{source.stem[:2]} {title}]({source.name})" + (f"; also for {links}" if links else "")


def _own_first(source: Path, own: list[Job]) -> Job | None:
    """Return the job that has the notebook's own parameters, or else the first one."""
    text = "".join(_sources(_read(source)))

    def has_own(job: Job) -> bool:
        return all(
            re.search(rf"^{name} = {json.dumps(value)}", text, re.MULTILINE)
            for name, value in job.parameters.items()
        )

    return next((job for job in own if has_own(job)), own[0] if own else None)


def _of_a_run(source: Path) -> Path | None:
    """Return the first notebook that a batch executed from this one, and whose cells are those of today."""
    for path in sorted(files.results_dir().glob("*/*/notebook.ipynb")):
        executed = _read(path)
        made_from = executed["metadata"].get("papermill", {}).get("input_path") or ""
        if Path(made_from).name == source.name and _sources(executed) == _sources(_read(source)):
            return path
    return None


def _page(source: Path, place: str, out: Path | None) -> Page:
    """Make the page of a notebook, with links that hold in the site and a text for each image."""
    notebook = _read(out or source)
    needs: list[str] = []
    title = _title(notebook)
    notebook["cells"] = [cell for cell in notebook["cells"] if not _repeats(cell, notebook)]
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            text, more = linked("".join(cell["source"]), f"notebooks/{source.name}", place)
            cell["source"] = text.splitlines(keepends=True)
            needs += more
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                alt = output["metadata"].get("image/png", {}).get("alt") or f"figure of: {title}"
                cell["metadata"].setdefault("mystnb", {})["image"] = {"alt": alt}
    if out is None:
        cell = {"cell_type": "markdown", "id": "not-executed", "metadata": {}, "source": [_NOT_EXECUTED]}
        notebook["cells"].insert(1, cell)
    notebook["metadata"].pop("papermill", None)
    return Page(place, json.dumps(notebook), tuple(needs))


def _repeats(cell: dict[str, Any], notebook: dict[str, Any]) -> bool:
    """Whether a cell was added by papermill and sets parameters to the values that they have already."""
    if "injected-parameters" not in cell["metadata"].get("tags", []):
        return False
    own = {line for text in _sources(notebook) for line in text.splitlines()}
    return all(line.startswith("#") or line in own for line in "".join(cell["source"]).splitlines())


def _notebooks() -> list[Path]:
    return sorted((files.root() / "notebooks").glob("*.ipynb"))


def _makes_runs(path: Path) -> bool:
    return bool(MAKES_RUNS.search("\n".join([path.name, *_sources(_read(path))])))


def _read(path: Path) -> dict[str, Any]:
    return files.read_json(path)


def _sources(notebook: dict[str, Any]) -> list[str]:
    """Return the texts of a notebook's cells, without the cell of parameters that papermill adds."""
    cells = [c for c in notebook["cells"] if "injected-parameters" not in c["metadata"].get("tags", [])]
    return ["".join(cell["source"]) for cell in cells]


def _title(notebook: dict[str, Any]) -> str:
    return next(line.lstrip("# ") for text in _sources(notebook) for line in text.splitlines() if line)
