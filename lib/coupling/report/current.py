"""Whether a whole batch is made already. Then it starts neither the batch engine nor a kernel.

The answer takes less than a second.
"""

from collections.abc import Iterable
from pathlib import Path

from coupling import files
from coupling.analysis import tables
from coupling.report import overview, status
from coupling.runs import folders, graph
from coupling.spec import key


def batch_is_done(profile: str, sweep: str, task: str = "", m0_seeds: int = 0) -> bool:
    """Tell whether the batch engine would find nothing to do; see `overview.plans` for the arguments.

    These are the rules of notebooks/Snakefile without published records: every run, its circuits and its base
    are complete, and tables and executed notebooks are whole and no older than what they are made from.
    """
    plans = list(overview.plans(profile, sweep, task, m0_seeds))
    specs = dict.fromkeys(spec for _, plan in plans for _, spec in plan)
    nodes = [node for spec in specs for node in (graph.base(spec), *graph.ends(spec))]
    if not all(map(folders.complete, dict.fromkeys(node.folder for node in nodes))):
        return False
    for name, plan in plans:
        keys = tables.folder(profile, name, own=True) / "keys.json"
        manifests = [node.folder / folders.MANIFEST for _, spec in plan for node in graph.ends(spec)]
        if not _no_older(keys, manifests) or keys.name not in files.read_sums(keys.parent):
            return False
        try:
            runs = tables.read_keys(profile, name, own=True)["runs"]
            found = [(run["condition"], run["key"]) for run in runs]
        except (files.StoreError, KeyError, TypeError):
            return False
        if found != [(condition, key(spec, "explain")) for condition, spec in plan]:
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
