"""Results, and what every kind of node has in common while it is made.

While a node is made, its folder is locked, torch has the spec's number of threads, and memory has the spec's
ceiling. Every manifest begins with the same entries.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from coupling import files
from coupling.models import PACKAGES, Loaded, device, fetch
from coupling.models.adapter import adapter_share
from coupling.models.memory import forget_peak, memory_ceiling, peak_memory_gb
from coupling.runs import folders
from coupling.spec import SCHEMA_VERSION, Spec, key, section_versions
from coupling.tasks import Item, load_items, load_taught, needs

# The folder of what a run needs to go on after an interruption. It is removed when the run is complete.
WORK = ".work"


@dataclass(frozen=True)
class Result:
    """A complete result. Its manifest and its tables are read from the disk each time they are asked for.

    Attributes:
        spec: What was made.
        folder: Where the result is kept.
        computed: Whether it was computed now. False means that it was complete before.
    """

    spec: Spec
    folder: Path
    computed: bool

    @property
    def manifest(self) -> dict[str, Any]:
        """What is known of the result; see `coupling.runs.folders.finish`."""
        return folders.read_manifest(self.folder)

    def table(self, name: str) -> pd.DataFrame:
        """One of the tables of the result, by name.

        An explainer has "rows" and "history", a base has "behaviours" and "untrained", a prepared M0 has
        "history", and circuits have "effects", "said", "sites" and "interventions".

        Raises:
            StoreError: Where there is no such table, or where it is damaged.
        """
        return files.read_table(folders.verified(self.folder, f"{name}.parquet"))


def items_of(spec: Spec) -> tuple[list[Item], list[Item]]:
    """The training items and the test items of a spec.

    Packages that the items are read from are fetched. The test items of a behaviour that the spec teaches
    stand after the others.

    Raises:
        TaskError: Where the items are bad.
    """
    train, test = load_items(spec, {name: fetch(name) for name in needs(spec)})
    return train, test + load_taught(spec)[1]


def manifest_of(spec: Spec, stage: str, loaded: Loaded) -> dict[str, Any]:
    """The entries of every manifest: what was made, from which model, and the peak of memory; 10^9 bytes."""
    return {
        "schema": SCHEMA_VERSION,
        "sections": section_versions(spec, stage),
        "stage": stage,
        "key": key(spec, stage),
        "spec": spec.model_dump(),
        "model": loaded.description() | {"adapter_share": adapter_share(loaded.model)},
        "licence": PACKAGES[spec.model].licence if spec.model in PACKAGES else None,
        "peak_memory_gb": peak_memory_gb(),
    }


@contextmanager
def working(folder: Path, spec: Spec, force: bool) -> Iterator[bool]:
    """Hold a folder while its result is computed. A result that is damaged is said to be, and removed.

    Args:
        folder: The folder of the result.
        spec: Says how many threads and how much memory the computation takes.
        force: Compute a complete result again. The folder is emptied first.

    Yields:
        Whether the result must be computed. If it must, the lock, the number of threads and the ceiling hold
        within the block.
    """
    if folders.complete(folder) and not force:
        yield False
        return
    threads = torch.get_num_threads()
    with folders.locked(folder):
        if folders.complete(folder) and not force:  # another process made it meanwhile
            yield False
            return
        is_damaged = (folder / folders.MANIFEST).exists() and not force
        if is_damaged:
            files.say(f"computed again: {folders.fault(folder)}")
        if is_damaged or force:
            folders.clear(folder)
        torch.set_num_threads(spec.threads)
        device()  # chosen first, because the ceiling holds for the memory of the device
        forget_peak()
        try:
            with memory_ceiling(spec.memory_gb):
                yield True
        finally:
            torch.set_num_threads(threads)
        shutil.rmtree(folder / WORK, ignore_errors=True)
