"""The study as its YAML files state it: sweeps that have been checked whole."""

import pkgutil
import re
from pathlib import Path

import pandas as pd

from coupling import files
from coupling.analysis import claims
from coupling.spec import SpecError, suggest
from coupling.sweep import Sweep, is_path, plan, read_sweep, stem, sweep_names

FIGURES = Path(__file__).parent / "figures"
_ROW = ["claim", "text", "profile", "task"]  # what names a row of the table of claims
_NOT_TESTED = "not tested"
OF_A_SWEEP = re.compile(r"^def of_sweep\(", re.MULTILINE)


def figure_names() -> list[str]:
    """Return the names that a sweep's `figures` may have.

    They are the modules of `coupling.report.figures` that are drawn from the tables of a sweep. Their files
    are read and not imported, because drawing needs packages that take long to load.
    """
    modules = (module.name for module in pkgutil.iter_modules([str(FIGURES)]))
    return sorted(name for name in modules if OF_A_SWEEP.search((FIGURES / f"{name}.py").read_text()))


def load(name: str) -> Sweep:
    """Read a sweep and check it whole.

    Args:
        name: Name of a sweep of the study, or the path of a YAML file. A relative path is meant from the
            working directory.

    Raises:
        SpecError: Where there is no such sweep, or something in its file is wrong. The message names file
            and key.
    """
    sweep = read_sweep(name)
    known = figure_names()
    listed = {"figures": sweep.figures}
    listed |= {f"profiles.{profile}.figures": sweep.at(profile).figures for profile in sweep.profiles}
    for key, figures in listed.items():
        for figure in figures:
            if figure not in known:
                raise SpecError(f"{sweep.file}, {key}: unknown figure {figure!r}: {suggest(figure, known)}")
    for number in range(len(sweep.claims)):
        claims.bind(sweep, number)
    for profile in sweep.profiles:
        if whole := sweep.at(profile).part_of:
            _check_part(sweep, profile, whole)
    return sweep


def _check_part(sweep: Sweep, profile: str, whole: str) -> None:
    """Check that all runs that a sweep has at a profile are runs of another sweep, too."""
    if whole not in sweep_names():
        raise SpecError(f"{sweep.file}, part_of: unknown sweep {whole!r}: {suggest(whole, sweep_names())}")
    runs = set(plan(profile, whole))
    for condition, spec in plan(profile, sweep.name):
        if (condition, spec) not in runs:
            raise SpecError(
                f"{sweep.file}, part_of: {whole} does not run {condition!r} on {spec.task} with M0 seed "
                f"{spec.m0_seed}, explainer seed {spec.seed} and these values at {profile}: make values, "
                "conditions, tasks and seeds those of a part of it"
            )


def load_all() -> list[Sweep]:
    """Read and check all sweeps of the study."""
    return [load(name) for name in sweep_names()]


def decided_claims() -> pd.DataFrame:
    """Decide the claims of all sweeps of the study anew.

    Raises:
        StoreError: Where a row of figures/data/claims.parquet was decided and would now be "not tested", for
            want of tables.
    """
    now, path = claims.table(load_all()), files.tables_dir() / "claims.parquet"
    if not path.exists():
        return now
    tested = set(now[now["verdict"] != _NOT_TESTED][_ROW].itertuples(index=False, name=None))
    before = files.read_table(path)
    before = before[(before["verdict"] != _NOT_TESTED) & before["text"].isin(now["text"])]
    lost = [row for row in before[_ROW].itertuples(index=False, name=None) if row not in tested]
    if lost:
        number, text, profile, task = lost[0]
        raise files.StoreError(
            f"{len(lost)} rows were decided and would now be {_NOT_TESTED!r}, for instance claim {number} "
            f"({text}) at {profile}, {task}: tables are missing in {files.tables_dir() / profile}; take them "
            f"back from git, or delete {path} where the runs are gone for good"
        )
    return now


def figure_place(figure: str, profile: str, sweep: str, own: bool = False) -> Path:
    """Return where a figure of a sweep is kept: in figures/, or in results/figures where it is a user's own.

    Args:
        figure: Name of the figure.
        profile: Name of the profile.
        sweep: Name of the sweep, or the path of a YAML file. The figures of the latter are always the user's.
        own: Whether the figure of the user's own runs is meant.

    Returns:
        The path without an ending, which may be .png, .pdf or .json.
    """
    top = files.results_dir() / "figures" if own or is_path(sweep) else files.figures_dir()
    return top / profile / f"{stem(sweep)}-{figure}"


def has_notebook(figure: str) -> bool:
    """Tell whether a notebook draws a figure. Some figures of the whole study are drawn without one."""
    return any((files.root() / "notebooks").glob(f"[1-9][0-9]_{figure}.ipynb"))


def notebook_of(figure: str) -> str:
    """Return the name of the notebook that draws a figure: its number, from 10 on, and the figure's name.

    Raises:
        StoreError: Where there is no such notebook, or more than one.
    """
    folder = files.root() / "notebooks"
    found = sorted(path.stem for path in folder.glob(f"[1-9][0-9]_{figure}.ipynb"))
    if len(found) != 1:
        raise files.StoreError(
            f"figure {figure!r}: expected one notebook {folder}/NN_{figure}.ipynb, found {found or 'none'}"
        )
    return found[0]
