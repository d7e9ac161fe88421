"""Redraw the study's figures and pages from the committed tables. Nothing is trained."""

from pathlib import Path

from coupling import files
from coupling.analysis import tables
from coupling.report import figures, pages, study
from coupling.report.execute import Job, execute_side_by_side
from coupling.spec import SpecError, suggest

SCHEMATIC = "schematic"
OF_ALL_SWEEPS = (
    "claims",
    "scale",
    "gate",
)  # figures of the study whose tables are made from those of all sweeps


def build(only: str = "") -> Path:
    """Redraw all figures, or one figure, and write the generated pages anew.

    A figure is drawn by executing its notebook, so that the executed notebooks under results/ show what is
    under figures/. A figure of the study that has no notebook of its own is drawn without one.

    Args:
        only: Name of a figure that alone is drawn, in every sweep that has it. "" draws all.

    Returns:
        The page that lists the figures.

    Raises:
        SpecError: For a name that is no figure.
        StoreError: Where the table of the named figure is missing, or there is no study here.
    """
    files.check_place("COUPLING_FIGURES", files.tables_dir())
    known = [SCHEMATIC, *figures.sweep_figures(), *figures.study_figures()]
    if only and only not in known:
        raise SpecError(f"unknown figure {only!r}: {suggest(only, known)}")
    if only in ("", SCHEMATIC):
        figures.schematic_figure()
    if only in ("", *OF_ALL_SWEEPS):
        figures.write_study_tables()
        figures.write_claims()
    execute_side_by_side(notebook_jobs(only))
    for name in _of_study(only):
        if not _has_notebook(name):
            figures.study_figure(name)
    pages.write_readme()
    return pages.write_index()


def notebook_jobs(only: str = "") -> list[Job]:
    """List the notebooks that draw all figures, or one figure.

    Every sweep with committed tables has the figures that its YAML file names for the profile. The whole
    study has every figure whose table is there.

    Raises:
        StoreError: Where a figure of the whole study is asked for and its table is missing.
    """
    jobs = []
    for profile, sweep in tables.collected():
        for name in study.load(sweep).at(profile).figures:
            if only in ("", name):
                notebook = study.notebook_of(name)
                out = files.results_dir() / profile / f"{sweep}-{notebook}.ipynb"
                jobs.append(Job(_source(notebook), out, {"profile": profile, "sweep": sweep}))
    for name in filter(_has_notebook, _of_study(only)):
        notebook = study.notebook_of(name)
        jobs.append(Job(_source(notebook), files.results_dir() / f"{notebook}.ipynb", {}))
    return jobs


def _of_study(only: str) -> list[str]:
    """Return the figures of the whole study that are to be drawn: those with a table, or the named one."""
    if not only:
        return [name for name in figures.study_figures() if figures.has_table(name)]
    if only not in figures.study_figures():
        return []
    if not figures.has_table(only):
        raise files.StoreError(f"figure {only!r} has no table yet: run `make study` or `make bench` first")
    return [only]


def _has_notebook(figure: str) -> bool:
    return any((files.root() / "notebooks").glob(f"[1-9][0-9]_{figure}.ipynb"))


def _source(notebook: str) -> Path:
    return files.root() / "notebooks" / f"{notebook}.ipynb"
