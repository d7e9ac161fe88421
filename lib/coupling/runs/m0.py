"""M0: its preparation by behaviour training, if the spec asks for one, and the model held in memory."""

import gc
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
from transformers.utils import logging

from coupling import files, seals
from coupling.models import Loaded, load_from, locate, merged
from coupling.progress import quiet
from coupling.runs import folders, graph
from coupling.runs.graph import Node
from coupling.runs.result import WORK, manifest_of
from coupling.spec import Spec
from coupling.training.checkpoints import reached
from coupling.training.imitation import imitate
from coupling.training.preparation import prepare

_Part = tuple[Path, str]  # the folder of a result, and the part of it that holds weights


class Models:
    """The model in memory.

    It is one model at the most, since two large ones do not fit under the memory ceiling. Pass the same
    object to several calls that work on one M0, and this M0 is loaded once.
    """

    def __init__(self) -> None:
        self._asked: tuple | None = None
        self._held: Loaded | None = None

    def load(self, spec: Spec) -> Loaded:
        """Load the M0 of a spec.

        It is the published model, or a checkpoint of the prepared model. Where the spec names an explainer,
        the adapter of this explainer is merged into it. The nodes that hold the weights must be complete;
        see `coupling.runs.graph`.
        """
        return self._of(
            spec, (folders.run_folder(spec.explained), "adapter") if spec.explainer >= 0 else None
        )

    def load_run(self, spec: Spec) -> Loaded:
        """Load the M0 of a spec with the adapter of its finished run merged into it."""
        return self._of(spec, (folders.run_folder(spec), "adapter"))

    def _of(self, spec: Spec, adapter: _Part | None) -> Loaded:
        """The M0 of a spec with an adapter, if there is one, merged into it."""
        if not spec.m0_steps:
            return replace(self._load(locate(spec), spec.dtype, spec.revision, adapter), system=spec.system)
        folder = folders.m0_folder(spec)
        kept = "model" if spec.m0_checkpoint == 1 else _checkpoint(folder, spec.m0_checkpoint)
        return self._load((folder, kept), spec.dtype, None, adapter)

    def let_go(self) -> None:
        """Let go of the model that is held, and free its memory."""
        self._asked = self._held = None
        gc.collect()  # a model refers to itself, so its memory is not freed before

    def _load(
        self, source: str | Path | _Part, dtype: str, revision: str | None, adapter: _Part | None
    ) -> Loaded:
        """The model with these weights: the one that is held, or a newly loaded one in its place.

        Raises:
            StoreError: Where weights that a run of this study left are damaged.
        """
        asked = (source, dtype, revision, adapter)
        if asked != self._asked:
            self.let_go()
            weights = folders.verified(*source) if isinstance(source, tuple) else source
            loaded = load_from(weights, dtype, revision)
            self._held = merged(loaded, folders.verified(*adapter)) if adapter else loaded
            self._asked = asked
        return self._held


def _checkpoint(folder: Path, share: float) -> str:
    """The checkpoint of a prepared M0 that is nearest to a share of its steps; of two, the earlier."""
    manifest = folders.read_manifest(folder)
    kept = {int(name.split("/")[1]) for name in manifest["files"] if name.startswith("checkpoints/")}
    wanted = share * manifest["steps"]
    return f"checkpoints/{min(kept, key=lambda step: (abs(step - wanted), step))}"


def _weights(folder: Path, step: int) -> Path:
    """The weights of a checkpoint that the spec keeps."""
    return folder / "checkpoints" / str(step) / "model.safetensors"


def _begin_anew_where_checkpoints_are_lost(spec: Spec, folder: Path) -> None:
    """Remove the work of a preparation that is past a checkpoint of M0 which is lost or damaged."""
    past = reached(folder / WORK)
    steps = range(0, past, spec.m0_checkpoint_every) if spec.m0_checkpoint_every else ()
    if lost := [step for step in steps if not seals.intact(_weights(folder, step))]:
        files.say(f"{_weights(folder, lost[0])} is lost or damaged: the preparation begins from nothing")
        shutil.rmtree(folder / WORK)


def make_m0(node: Node, models: Models) -> None:
    """Prepare M0 by behaviour training, or teach a prepared M0 the answers of another.

    The folder gets model/, history.parquet with one row for each step, checkpoints/ with one folder for each
    checkpoint that the spec keeps, and the manifest. A preparation that was interrupted goes on from its last
    checkpoint. Teaching takes some ten minutes and begins anew.
    """
    spec, folder = node.spec, node.folder
    models.let_go()
    start = time.monotonic()
    if quiet():
        logging.disable_progress_bar()

    def keep(where: Path, loaded: Loaded) -> None:
        with files.writing(where):
            loaded.model.save_pretrained(where)
            loaded.tokenizer.save_pretrained(where)

    def keep_checkpoint(step: int, loaded: Loaded) -> None:
        weights = _weights(folder, step)
        keep(weights.parent, loaded)
        seals.seal(weights)

    if spec.m0_taught_by:
        m0, other = (Models().load(one) for one in graph.teachers(spec))
        history = imitate(spec, m0, other)
    else:
        _begin_anew_where_checkpoints_are_lost(spec, folder)
        m0, history = prepare(spec, folder / WORK, keep_checkpoint)
    keep(folder / "model", m0)
    files.write_table(folder / "history.parquet", pd.DataFrame(history))
    about = {"steps": len(history), "regime": history[-1], "seconds": {"prepare": time.monotonic() - start}}
    folders.finish(folder, manifest_of(spec, "m0", m0) | about)
