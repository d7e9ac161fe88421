"""What is made already and need not be made again: a whole batch, and the figures over all sweeps.

Each answer takes less than a second. So a batch that is done starts neither the batch engine nor a kernel.
"""

from collections.abc import Iterable
from pathlib import Path

import coupling
from coupling import checksums, files
from coupling.analysis import tables
from coupling.report import overview, status, study
from coupling.runs import folders, graph
from coupling.spec import key

ENTERED = ("claims", "scale")  # the figures of the whole study that a batch of any sweep can change
_STATE = "figures-of-all-sweeps.json"  # among the results


def batch_is_done(profile: str, sweep: str, task: str = "", m0_seeds: int = 0) -> bool:
    """Tell whether the batch engine would find nothing to do; see `overview.plans` for the arguments.

    These are the rules of notebooks/Snakefile without published records: every run and every base is
    complete, and tables and executed notebooks are whole and no older than what they are made from.
    """
    plans = list(overview.plans(profile, sweep, task, m0_seeds))
    specs = dict.fromkeys(spec for _, plan in plans for _, spec in plan)
    nodes = [node for spec in specs for node in (graph.base(spec), graph.explainer(spec))]
    if not all(map(folders.complete, dict.fromkeys(node.folder for node in nodes))):
        return False
    for name, plan in plans:
        keys = tables.folder(profile, name) / "keys.json"
        manifests = [folders.run_folder(spec) / folders.MANIFEST for _, spec in plan]
        if not _no_older(keys, manifests) or keys.name not in files.read_sums(keys.parent):
            return False
        try:
            found = [run["key"] for run in tables.read_keys(profile, name)["runs"]]
        except files.StoreError:
            return False
        if found != [key(spec, "explain") for _, spec in plan]:
            return False
        if not all(_executed(drawn, keys) for drawn in status.drawn(profile, name)):
            return False
    return True


def _no_older(made: Path, of: Iterable[Path]) -> bool:
    """Whether a file is there and no older than what it is made from."""
    return made.exists() and made.stat().st_mtime >= max(path.stat().st_mtime for path in of)


def _executed(notebook: Path, of: Path) -> bool:
    """Whether a notebook was executed to its end, as papermill notes it, since `of` was made."""
    if not _no_older(notebook, [of]):
        return False
    try:
        noted = files.read_json(notebook)["metadata"]["papermill"]
        return bool(noted["end_time"]) and not noted["exception"]
    except (files.StoreError, KeyError, TypeError):
        return False


def figures_are_drawn() -> bool:
    """Tell whether the figures of ENTERED are those that would be drawn now, by the content of all files."""
    path = files.results_dir() / _STATE
    return path.exists() and files.read_json(path) == _state()


def note_figures() -> None:
    """Note what the figures of ENTERED have just been drawn from, for `figures_are_drawn`."""
    files.write_json(files.results_dir() / _STATE, _state())


def _state() -> dict[str, str]:
    """Return the checksums of all tables, of the library, and of figures, notebooks and generated pages."""
    code = Path(coupling.__file__).parent
    paths = [path for path in code.rglob("*") if path.suffix in (".py", ".yaml")]
    paths += [path for path in files.tables_dir().glob("*/*/*") if path.is_file()]
    paths += files.tables_dir().glob("*.*")
    paths += [files.root() / page for page in ("README.md", "docs/results.md", "docs/claims.md")]
    paths.append(files.figures_dir() / "README.md")
    for name in ENTERED:
        notebook = study.notebook_of(name)
        paths += [files.root() / "notebooks" / f"{notebook}.ipynb", files.results_dir() / f"{notebook}.ipynb"]
        paths += files.figures_dir().glob(f"{name}.*")
    return {str(path): checksums.sha256(path) for path in sorted(paths) if path.is_file()}
