"""Redraw the study's figures and pages from the committed tables. Nothing is trained."""

from collections.abc import Collection
from pathlib import Path

from coupling import files
from coupling.analysis import tables
from coupling.report import figures, pages, study, walkthrough
from coupling.report.execute import Job, execute, side_by_side
from coupling.spec import SpecError, suggest

SCHEMATIC = "schematic"
METHOD = "00_method"  # the notebook that shows the method, on committed rows
# Figures of the study whose tables are made from those of all sweeps.
OF_ALL_SWEEPS = ("claims", "scale", "divergent", "gate")


def build(*only: str) -> Path:
    """Redraw all figures, or some figures, and write the generated pages anew.

    A figure is drawn by executing its notebook, so that the executed notebooks under results/ show what is
    under figures/. A figure of the study that has no notebook of its own is drawn without one.

    Args:
        only: Names of the figures that are drawn, in every sweep that has them. Without a name all are.

    Returns:
        The page that lists the figures.

    Raises:
        SpecError: For a name that is no figure.
        StoreError: Where the table of the named figure is missing, or there is no study here.
    """
    files.check_place("COUPLING_FIGURES", files.tables_dir())
    known = [SCHEMATIC, *figures.sweep_figures(), *figures.study_figures()]
    for name in only:
        if name not in known:
            raise SpecError(f"unknown figure {name!r}: {suggest(name, known)}")
    with side_by_side([*method_jobs(*only), *sweep_jobs(*only)]):  # meanwhile: what is of the whole study
        if not only or SCHEMATIC in only:
            figures.save_schematic()
        if not only or set(OF_ALL_SWEEPS) & set(only):
            figures.write_study_tables()
            figures.write_claims()
        of_study = study_jobs(*only)
        pages.write_readme()
        if of_study:
            execute(of_study)
        for name in _of_study(only):
            if not study.has_notebook(name):
                figures.study_figure(name)
    return pages.write_index()


def method_jobs(*only: str) -> list[Job]:
    """List the notebook that shows the method, unless it has no example or other figures alone are drawn."""
    if (only and SCHEMATIC not in only) or not walkthrough.is_there():
        return []
    return [Job(_source(METHOD), files.results_dir() / f"{METHOD}.ipynb", {})]


def sweep_jobs(*only: str) -> list[Job]:
    """List the notebooks that draw all figures of sweeps, or some figures.

    Every sweep with committed tables has the figures that its YAML file names for the profile.
    """
    jobs = []
    for profile, sweep in tables.collected():
        for name in study.load(sweep).at(profile).figures:
            if not only or name in only:
                notebook = study.notebook_of(name)
                out = files.results_dir() / profile / f"{sweep}-{notebook}.ipynb"
                jobs.append(Job(_source(notebook), out, {"profile": profile, "sweep": sweep}))
    return jobs


def study_jobs(*only: str) -> list[Job]:
    """List the notebooks that draw all figures of the whole study whose table is there, or some figures.

    Raises:
        StoreError: Where a figure of the whole study is asked for and its table is missing.
    """
    jobs = []
    for name in filter(study.has_notebook, _of_study(only)):
        notebook = study.notebook_of(name)
        jobs.append(Job(_source(notebook), files.results_dir() / f"{notebook}.ipynb", {}))
    return jobs


def _of_study(only: Collection[str]) -> list[str]:
    """Return the figures of the whole study that are to be drawn: those with a table, or the named ones."""
    if not only:
        return [name for name in figures.study_figures() if figures.has_table(name)]
    named = [name for name in figures.study_figures() if name in only]
    for name in named:
        if not figures.has_table(name):
            raise files.StoreError(
                f"figure {name!r} has no table yet: run `make results` or `make bench` first"
            )
    return named


def _source(notebook: str) -> Path:
    return files.root() / "notebooks" / f"{notebook}.ipynb"
