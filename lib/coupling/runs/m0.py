"""M0: prepared by behaviour training where the spec says so, and the one M0 that is held in memory."""

import gc
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
from transformers.utils import logging

from coupling import files
from coupling.models import Loaded, load_from, locate, merged
from coupling.progress import quiet
from coupling.runs import folders
from coupling.runs.graph import Node
from coupling.runs.result import WORK, manifest_of
from coupling.spec import Spec
from coupling.training.preparation import prepare


class Models:
    """The models in memory: one at the most, since large ones do not fit beside each other under the memory ceiling.

    Pass one object to calls that work on the same M0, and it is loaded once.
    """

    def __init__(self) -> None:
        self._asked: tuple | None = None
        self._held: Loaded | None = None

    def load(self, spec: Spec) -> Loaded:
        """M0 of the spec: as it is, as it was prepared (wholly or in part), or as explanation training left it.

        What it is loaded from must be complete (see `coupling.runs.graph`).
        """
        adapter = folders.run_folder(spec.explained) / "adapter" if spec.explainer >= 0 else None
        if not spec.m0_steps:
            return replace(self._load(locate(spec), spec.dtype, spec.revision, adapter), system=spec.system)
        folder = folders.m0_folder(spec)
        kept = folder / "model" if spec.m0_checkpoint == 1 else _checkpoint(folder, spec.m0_checkpoint)
        return self._load(kept, spec.dtype, None, adapter)

    def let_go(self) -> None:
        """Forget the model that is held, and what refers to itself in it."""
        self._asked = self._held = None
        gc.collect()

    def _load(self, source: str | Path, dtype: str, revision: str | None, adapter: Path | None) -> Loaded:
        asked = (source, dtype, revision, adapter)
        if asked != self._asked:
            self.let_go()
            loaded = load_from(source, dtype, revision)
            self._held = merged(loaded, adapter) if adapter else loaded
            self._asked = asked
        return self._held


def _checkpoint(folder: Path, share: float) -> Path:
    """The kept checkpoint of a prepared M0 that is nearest to this share of its steps."""
    kept = {int(p.name): p for p in (folder / "checkpoints").iterdir()}
    wanted = share * files.read_json(folder / "manifest.json")["steps"]
    return kept[min(kept, key=lambda step: (abs(step - wanted), step))]


def make_m0(node: Node, models: Models) -> None:
    """Prepare M0 by behaviour training.

    The folder gets model/, history.parquet (one row a step), checkpoints/ by step if the spec keeps any, and the
    manifest. Interrupted, the preparation goes on from its last checkpoint.
    """
    spec, folder = node.spec, node.folder
    models.let_go()
    start = time.monotonic()
    if quiet():
        logging.disable_progress_bar()

    def keep(where: Path, loaded: Loaded) -> None:
        loaded.model.save_pretrained(where)
        loaded.tokenizer.save_pretrained(where)

    (folder / WORK).mkdir(exist_ok=True)
    m0, history = prepare(
        spec, folder / WORK, lambda step, loaded: keep(folder / "checkpoints" / str(step), loaded)
    )
    keep(folder / "model", m0)
    files.write_table(folder / "history.parquet", pd.DataFrame(history))
    about = {"steps": len(history), "regime": history[-1], "seconds": {"prepare": time.monotonic() - start}}
    folders.finish(folder, manifest_of(spec, "m0", m0) | about)
