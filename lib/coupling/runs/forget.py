"""Forget results, so that the next batch computes them again."""

from collections.abc import Iterable
from pathlib import Path

from coupling import seals
from coupling.runs import folders, graph
from coupling.spec import Spec


def forget_damaged(specs: Iterable[Spec]) -> list[Path]:
    """Remove the manifest of every damaged result among these runs and what they need.

    A damaged result has a manifest and lacks a file that the manifest names, or has another file in its
    place. The batch engine looks for manifests alone and would take such a result for a finished one.

    Returns:
        The folders of the damaged results.
    """
    found = [node.folder for node in _all(specs) if folders.damaged(node.folder)]
    for folder in found:
        with folders.locked(folder):
            (folder / folders.MANIFEST).unlink(missing_ok=True)
    return found


def forget(specs: Iterable[Spec]) -> list[Path]:
    """Remove the results of these runs and of everything that they need, whoever else needs it.

    A result that another process is computing is waited for.

    Returns:
        The folders that were emptied.
    """
    specs = list(specs)
    found = [node.folder for node in _all(specs) if node.folder.exists()]
    for folder in found:
        with folders.locked(folder):
            folders.clear(folder)
    for spec in specs:
        for path in _shared(spec):
            path.unlink(missing_ok=True)
            seals.seal_file(path).unlink(missing_ok=True)
    return found


def _all(specs: Iterable[Spec]) -> list[graph.Node]:
    return graph.order(node for spec in specs for node in graph.ends(spec))


def _shared(spec: Spec) -> list[Path]:
    """The shared files of a run, of its label source, and of the items that its shift takes."""
    specs = [spec, spec.label_source]
    if spec.shift in ("down", "up"):
        from coupling.training.shift import other_items  # torch is imported for these runs alone

        specs.append(other_items(spec))
    return [path for one in specs for path in folders.shared_files(one)]
