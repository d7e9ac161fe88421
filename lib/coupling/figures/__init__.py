"""Figures: one function `frame -> Figure` a file, drawn from committed tables alone, never from a model."""

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from coupling import store, tables
from coupling.figures import dynamics, headline, schematic, style

# name: (what it shows, how it is drawn from the tables of a sweep). The schematic needs none.
FIGURES: dict[str, tuple[str, Callable[[tables.Tables], Figure]]] = {
    "headline": (headline.WHAT, lambda t: headline.draw(t.summary, t.runs)),
    "dynamics": (dynamics.WHAT, lambda t: dynamics.draw(t.dynamics, t.runs)),
}


def schematic_figure() -> Figure:
    """The method on one page, saved as figures/schematic."""
    style.apply()
    figure = schematic.draw()
    style.save(figure, store.figures_dir() / "schematic")
    return figure


def figure(name: str, profile: str, sweep: str) -> Figure:
    """Draw one figure from the tables of a sweep and save it beside a list of the runs behind it.

    Writes figures/<profile>/<sweep>-<name>.png, .pdf and .json. Raises StoreError where there are no tables.
    """
    data = tables.read(profile, sweep)
    style.apply()
    drawn = FIGURES[name][1](data)
    path = store.figures_dir() / profile / f"{sweep}-{name}"
    style.save(drawn, path)
    store.write_json(path.with_suffix(".json"), {"figure": name, "shows": FIGURES[name][0], "runs": [r["key"] for r in data.keys["runs"]]})
    return drawn


def drawn_sweeps() -> list[tuple[str, str]]:
    """(profile, sweep) of every sweep that has tables."""
    return sorted((p.parent.parent.name, p.parent.name) for p in store.tables_dir().glob("*/*/keys.json"))


def write_index() -> Path:
    """Write figures/README.md: every figure there is, what it shows, and the runs behind it."""
    lines = ["# Figures", "", "Drawn by `make figures` from the tables in `data/`; this page is generated too.", ""]
    lines += [f"- [schematic](schematic.png): {schematic.WHAT}"]
    for profile, sweep in drawn_sweeps():
        for name, (what, _) in FIGURES.items():
            path = f"{profile}/{sweep}-{name}"
            if (store.figures_dir() / f"{path}.json").exists():
                runs = len(store.read_json(store.figures_dir() / f"{path}.json")["runs"])
                lines.append(f"- [{path}]({path}.png): {what}; {runs} runs, listed in [{path}.json]({path}.json)")
    index = store.figures_dir() / "README.md"
    index.write_text("\n".join(lines) + "\n")
    return index
