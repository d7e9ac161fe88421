"""What sweeps are called: names of the study's own, paths of a user's."""

from pathlib import Path

from coupling.files import short

FOLDER = Path(__file__).parents[1] / "sweeps"


def sweep_names() -> list[str]:
    """Return the names of the study's sweeps."""
    return sorted(p.stem for p in FOLDER.glob("*.yaml"))


def is_path(sweep: str) -> bool:
    """Tell whether a sweep is given by the path of a user's own YAML file instead of by name."""
    return sweep.endswith((".yaml", ".yml"))


def stem(sweep: str) -> str:
    """Return what the files of a sweep are called: its name, or the name of its YAML file (`files.short`)."""
    return short(Path(sweep).stem) if is_path(sweep) else sweep
