"""The study as its YAML files state it: sweeps that have been checked whole, their figures and their claims."""

import pkgutil
from pathlib import Path

from coupling import files
from coupling.analysis import claims
from coupling.spec import SpecError, suggest
from coupling.sweep import Sweep, read_sweep, sweep_names

FIGURES = Path(__file__).parent / "figures"


def figure_names() -> list[str]:
    """Return the names that a sweep's `figures` may have: the modules of `coupling.report.figures`."""
    return sorted(module.name for module in pkgutil.iter_modules([str(FIGURES)]))


def load(name: str) -> Sweep:
    """Read a sweep and check it whole.

    Args:
        name: Name of a sweep of the study, or the path of a YAML file. A relative path is meant from the working
            directory.

    Raises:
        SpecError: Where there is no such sweep, or something in its file is wrong. The message names file and key.
    """
    sweep = read_sweep(name)
    for profile in (None, *sweep.profiles):
        replaced = profile is not None and "figures" in sweep.profiles[profile]
        key = f"profiles.{profile}.figures" if replaced else "figures"
        for figure in (sweep.at(profile) if profile else sweep).figures:
            if figure not in figure_names():
                hint = suggest(figure, figure_names())
                raise SpecError(f"{sweep.file}, {key}: unknown figure {figure!r}: {hint}")
    for number in range(len(sweep.claims)):
        claims.bind(sweep, number)
    return sweep


def load_all() -> list[Sweep]:
    """Read and check all sweeps of the study."""
    return [load(name) for name in sweep_names()]


def notebook_of(figure: str) -> str:
    """Return the name of the notebook that draws a figure, two digits and the figure's name.

    Raises:
        StoreError: Where there is no such notebook, or more than one.
    """
    folder = files.root() / "notebooks"
    found = sorted(path.stem for path in folder.glob(f"[0-9][0-9]_{figure}.ipynb"))
    if len(found) != 1:
        raise files.StoreError(
            f"figure {figure!r}: expected one notebook {folder}/NN_{figure}.ipynb, found {found or 'none'}"
        )
    return found[0]
