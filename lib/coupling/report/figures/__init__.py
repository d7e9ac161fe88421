"""Figures: one function `frame -> Figure` a file, drawn from committed tables alone, never from a model."""

from collections.abc import Callable

import pandas as pd
from matplotlib.figure import Figure

from coupling import files
from coupling.analysis import claims as deciding
from coupling.analysis import tables
from coupling.report import notebooks, study
from coupling.report.figures import (
    claims,
    curve,
    depth,
    directions,
    dynamics,
    headline,
    held_out,
    new_behaviour,
    order,
    reteaching,
    scale,
    schematic,
    sensor,
    speed,
    style,
    teacher_matrix,
    tracking,
)
from coupling.sweep import read_sweep

# name: (what it shows, how it is drawn from the tables of a sweep). The schematic needs none.
FIGURES: dict[str, tuple[str, Callable[[tables.Tables], Figure]]] = {
    "headline": (
        headline.WHAT,
        lambda t: headline.draw(t.summary, t.runs, read_sweep(t.keys["sweep"]).title),
    ),
    "dynamics": (dynamics.WHAT, lambda t: dynamics.draw(t.dynamics, t.runs)),
    "new_behaviour": (new_behaviour.WHAT, lambda t: new_behaviour.draw(t.summary)),
    "held_out": (held_out.WHAT, lambda t: held_out.draw(t.regions, t.summary)),
    "curve": (curve.WHAT, lambda t: _curve(t)),
    "depth": (depth.WHAT, lambda t: depth.draw(t.items, t.keys["profile"])),
    "tracking": (tracking.WHAT, lambda t: tracking.draw(t.shift)),
    "directions": (directions.WHAT, lambda t: directions.draw(t.items)),
    "order": (order.WHAT, lambda t: order.draw(t.shift)),
    "reteaching": (reteaching.WHAT, lambda t: reteaching.draw(t.items)),
    "sensor": (sensor.WHAT, lambda t: sensor.draw(t.sensor)),
    "teacher_matrix": (teacher_matrix.WHAT, lambda t: teacher_matrix.draw(t.teacher, t.summary)),
}


def _curve(data: tables.Tables) -> Figure:
    sweep = read_sweep(data.keys["sweep"])
    measured = sweep.axis == "source_agreement"
    return curve.draw(data.summary, sweep.axis, None if measured else sweep.places(data.keys["profile"]))


# The same for figures of the whole study, each drawn from the table of that name in figures/data; last whether the runs of a sweep are behind it, or None
# where no run is.
STUDY_FIGURES: dict[str, tuple[str, str, Callable[[pd.DataFrame], Figure], Callable[[str], bool] | None]] = {
    "scale": (scale.WHAT, "scale", scale.draw, lambda sweep: sweep in scale.shown()),
    "claims": (claims.WHAT, "claims", claims.draw, lambda sweep: True),
    "speed": (speed.WHAT, "bench", speed.draw, None),
    "scaling": (speed.WHAT_SCALING, "bench_scaling", speed.draw_scaling, None),
}


def schematic_figure() -> Figure:
    """The method on one page, saved as figures/schematic."""
    style.apply()
    figure = schematic.draw()
    style.save(figure, files.figures_dir() / "schematic")
    return figure


def figure(name: str, profile: str, sweep: str) -> Figure:
    """Draw one figure from the tables of a sweep and save it beside a list of the runs behind it.

    Writes figures/<profile>/<sweep>-<name>.png, .pdf and .json. Raises StoreError where there are no tables.
    """
    data = tables.read(profile, sweep)
    style.apply()
    drawn = FIGURES[name][1](data)
    path = files.figures_dir() / profile / f"{sweep}-{name}"
    style.save(drawn, path)
    files.write_json(
        path.with_suffix(".json"),
        {"figure": name, "shows": FIGURES[name][0], "runs": [r["key"] for r in data.keys["runs"]]},
    )
    return drawn


def study_figure(name: str) -> Figure:
    """Draw one figure of the whole study, saved as figures/<name>, beside a list of the runs behind it. Raises StoreError where its table is missing."""
    what, table, draw, rests_on = STUDY_FIGURES[name]
    data = study_table(table)
    style.apply()
    drawn = draw(data)
    style.save(drawn, files.figures_dir() / name)
    if rests_on:
        behind = {
            f"{p}/{s}": [r["key"] for r in tables.read_keys(p, s)["runs"]]
            for p, s in tables.collected()
            if rests_on(s)
        }
        files.write_json(
            files.figures_dir() / f"{name}.json", {"figure": name, "shows": what, "runs": behind}
        )
    return drawn


def study_table(name: str) -> pd.DataFrame:
    """A table of the whole study, figures/data/<name>.parquet. Raises StoreError where it is missing."""
    return files.read_table(files.tables_dir() / f"{name}.parquet")


def write_claims() -> None:
    """Decide the claims anew from the tables of all sweeps, into figures/data/claims.parquet."""
    with files.replacing(files.tables_dir() / "claims.parquet") as part:
        files.write_table(part, deciding.table(study.load_all()))


def write_study_tables() -> None:
    """Put tables together over all sweeps that have them, into figures/data: shift.parquet and sensor.parquet, and scale.parquet of
    those that show the size of the model."""
    tables.write_study(scale.shown())


def report(notebook: str, **parameters: str) -> None:
    """Print the command that reproduces a figure notebook; it computes no run."""
    notebooks.report(
        notebook, parameters, 0, len(tables.read(**parameters).keys["runs"]) if parameters else 0
    )
