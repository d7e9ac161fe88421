"""A finished result, and what every kind of run does around its computing: lock, threads, memory ceiling, manifest."""

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
from coupling.models.memory import forget_peak, memory_ceiling, peak_memory_gb
from coupling.runs import folders
from coupling.spec import SCHEMA_VERSION, Spec, key, section_versions
from coupling.tasks import Item, load_items, load_taught, needs

WORK = ".work"  # what a run needs to go on after it was stopped


@dataclass(frozen=True)
class Result:
    """A finished run. computed: False if it was there already. frames are read when asked for."""

    spec: Spec
    folder: Path
    computed: bool

    @property
    def manifest(self) -> dict[str, Any]:
        return files.read_json(self.folder / "manifest.json")

    def table(self, name: str) -> pd.DataFrame:
        """One of the run's tables: "rows" and "history" of an explainer, "behaviours" and "history" of a base model."""
        return files.read_table(self.folder / f"{name}.parquet")


def items_of(spec: Spec) -> tuple[list[Item], list[Item]]:
    """Training and test items of the spec, fetching what they are read from; those of a taught behaviour are tested too."""
    train, test = load_items(spec, {name: fetch(name) for name in needs(spec)})
    return train, test + load_taught(spec)[1]


def manifest_of(spec: Spec, stage: str, loaded: Loaded) -> dict[str, Any]:
    return {
        "schema": SCHEMA_VERSION,
        "sections": section_versions(spec, stage),
        "stage": stage,
        "key": key(spec, stage),
        "spec": spec.model_dump(),
        "model": loaded.description(),
        "licence": PACKAGES[spec.model].licence if spec.model in PACKAGES else None,
        "peak_memory_gb": peak_memory_gb(),
    }


@contextmanager
def working(folder: Path, spec: Spec, force: bool) -> Iterator[bool]:
    """Yield whether the folder must be computed, and hold it, with the spec's threads and memory ceiling, meanwhile."""
    if folders.complete(folder) and not force:
        yield False
        return
    folder.mkdir(parents=True, exist_ok=True)
    threads = torch.get_num_threads()
    with folders.locked(folder):
        if folders.complete(folder) and not force:  # somebody else made it while we waited
            yield False
            return
        if force:
            folders.clear(folder)
        torch.set_num_threads(spec.threads)
        device()  # whose memory the ceiling is about
        forget_peak()
        try:
            with memory_ceiling(spec.memory_gb):
                yield True
        finally:
            torch.set_num_threads(threads)
        shutil.rmtree(folder / WORK, ignore_errors=True)
