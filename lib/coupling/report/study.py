"""The study as its YAML files state it: sweeps that have been checked whole."""

import pkgutil
import re
from pathlib import Path

from coupling import files
from coupling.analysis import claims
from coupling.spec import SpecError, suggest
from coupling.sweep import Sweep, read_sweep, sweep_names

FIGURES = Path(__file__).parent / "figures"
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
    return sweep


def load_all() -> list[Sweep]:
    """Read and check all sweeps of the study."""
    return [load(name) for name in sweep_names()]


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
