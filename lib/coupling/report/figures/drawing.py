"""Find the figures by their files, draw them, and save them beside a list of the runs behind them."""

import pkgutil
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from coupling import files
from coupling.analysis import tables
from coupling.report import notebooks, study
from coupling.report.figures import schematic, style
from coupling.spec import SpecError, suggest

_PACKAGE = __name__.rpartition(".")[0]


def sweep_figures() -> list[str]:
    """Return the names of the figures that are drawn from the tables of a sweep."""
    return _names("of_sweep")


def study_figures() -> list[str]:
    """Return the names of the figures that are drawn from a table of the whole study."""
    return _names("of_study")


def what(name: str) -> str:
    """Return what a figure shows, in one sentence without a full stop."""
    return _module(name, "WHAT").WHAT


def schematic_figure() -> Figure:
    """Draw the method on one page. `save_schematic` saves it too."""
    with style.styled():
        return _described(schematic.draw(), "schematic")


def save_schematic() -> None:
    """Draw the method on one page and save it as figures/schematic."""
    with style.styled():
        style.save(_described(schematic.draw(), "schematic"), files.figures_dir() / "schematic")


def figure(name: str, profile: str, sweep: str, own: bool = False) -> Figure:
    """Draw one figure from the tables of a sweep, and save it beside a list of the runs behind it.

    Args:
        name: Name of the figure, one of `sweep_figures()`.
        profile: Name of the profile.
        sweep: Name of a sweep of the study, or the path of a user's own YAML file.
        own: Whether it is drawn from the tables of the user's own runs, and not from the committed ones.

    Returns:
        The figure. It is also saved as .png, .pdf and .json at the place that `study.figure_place` names.

    Raises:
        SpecError: For a name that is no figure of a sweep, and where there is no such sweep.
        StoreError: Where the sweep has no tables. The message names the command that makes them.
    """
    module = _module(name, "of_sweep")
    of = study.load(sweep).at(profile)
    data = tables.read(profile, sweep, own)
    path = study.figure_place(name, profile, sweep, own)
    with style.styled():
        drawn = _described(module.of_sweep(data, of), name)
        style.save(drawn, path)
    _write_runs(path, name, [run["key"] for run in data.keys["runs"]])
    return drawn


def study_figure(name: str) -> Figure:
    """Draw one figure of the whole study, and save it as figures/<name> beside a list of the runs behind it.

    Args:
        name: Name of the figure, one of `study_figures()`.

    Raises:
        SpecError: For a name that is no figure of the whole study.
        StoreError: Where its table is missing.
    """
    module = _module(name, "of_study")
    frame = study_table(module.TABLE)
    path = files.figures_dir() / name
    with style.styled():
        drawn = _described(module.of_study(frame), name)
        style.save(drawn, path)
        for part, of_part in (module.parts(frame) if hasattr(module, "parts") else {}).items():
            style.save(of_part, path / part)
    if hasattr(module, "rests_on"):
        behind = [(profile, sweep) for profile, sweep in tables.collected() if module.rests_on(sweep)]
        keys = {f"{p}/{s}": [run["key"] for run in tables.read_keys(p, s)["runs"]] for p, s in behind}
        _write_runs(path, name, keys)
    return drawn


def study_table(name: str) -> pd.DataFrame:
    """Read a table of the whole study, figures/data/<name>.parquet.

    Raises:
        StoreError: Where it is missing or damaged.
    """
    return files.read_table(files.tables_dir() / f"{name}.parquet")


def _described(drawn: Figure, name: str) -> Figure:
    """Put what the figure shows before what it found, for those who cannot see it."""
    drawn.alt = f"{what(name)}. {drawn.alt}".strip()
    return drawn


def has_table(name: str) -> bool:
    """Return whether the table of a figure of the whole study is there."""
    return (files.tables_dir() / f"{_module(name, 'of_study').TABLE}.parquet").exists()


def report(notebook: str, **parameters: Any) -> None:
    """Print the command that reproduces the notebook of a figure, and how many runs the figure reads.

    Args:
        notebook: Name of the notebook.
        parameters: Arguments of `figure` without its name. Nothing for a figure of the whole study.
    """
    reused = len(tables.read_keys(**parameters)["runs"]) if parameters else 0
    notebooks.report(notebook, parameters, 0, reused)


def _write_runs(path: Path, name: str, runs: list[str] | dict[str, list[str]]) -> None:
    """Write the keys of the runs behind a figure into a JSON file beside it."""
    files.write_json(path.with_name(f"{path.name}.json"), {"figure": name, "shows": what(name), "runs": runs})


def _names(has: str) -> list[str]:
    return sorted(name for name, module in _modules().items() if hasattr(module, has))


def _module(name: str, has: str) -> ModuleType:
    module = _modules().get(name)
    if not hasattr(module, has):
        raise SpecError(f"unknown figure {name!r}: {suggest(name, _names(has))}")
    return module


def _modules() -> dict[str, ModuleType]:
    folders = import_module(_PACKAGE).__path__
    return {m.name: import_module(f"{_PACKAGE}.{m.name}") for m in pkgutil.iter_modules(folders)}
