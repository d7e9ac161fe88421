"""Explainers: M0 trained to give fixed labels as explanations, and evaluated at several steps."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from coupling import files
from coupling.measure.behaviours import Behaviours, behaviours
from coupling.measure.evaluation import evaluate
from coupling.measure.explanations import labels
from coupling.measure.rows import score
from coupling.models import Loaded, adapted
from coupling.runs import folders, graph
from coupling.runs.graph import Node
from coupling.runs.m0 import Models
from coupling.runs.material import Material, make_material
from coupling.runs.result import WORK, manifest_of
from coupling.spec import Phase, Spec
from coupling.tasks import Item
from coupling.training import shift
from coupling.training.data import TrainingSet
from coupling.training.loop import Diverged, train


def make_explainer(node: Node, models: Models) -> None:
    """Train one explainer and evaluate it at each of the spec's evaluation steps.

    The folder gets rows.parquet with one row for each item and evaluation, history.parquet with one row for
    each step, adapter/ with the LoRA weights in the format of peft (safetensors), and the manifest. A run
    that was interrupted goes on from its last checkpoint. A run whose loss is no longer finite is complete
    with status "diverged" and with the rows that it had by then.

    Raises:
        LabelError: Before any training, where labels are missing or nearly constant.
    """
    spec, folder = node.spec, node.folder
    start = time.monotonic()
    material, m0 = make_material(spec, models), models.load(spec)
    loaded = time.monotonic()
    work = folder / WORK
    work.mkdir(exist_ok=True)
    with adapted(m0, spec) as model:
        history, error = _trained(spec, model, material, work)
        rows = [files.read_table(path) for path in sorted(work.glob("rows-*.parquet"))]
        files.write_table(folder / "rows.parquet", pd.concat(rows, ignore_index=True))
        files.write_table(folder / "history.parquet", pd.DataFrame(history))
        model.model.save_pretrained(folder / "adapter")
        about = {
            "status": "diverged" if error else "complete",
            "error": error,
            "base": graph.base(spec).folder.name,
            "source": graph.base(spec.label_source).folder.name,
            "labels": material.about,
            "seconds": {"load": loaded - start, "train_and_evaluate": time.monotonic() - loaded},
        }
        folders.finish(folder, manifest_of(spec, "explain", model) | about)


def _trained(spec: Spec, model: Loaded, material: Material, work: Path) -> tuple[list[dict], str | None]:
    """Train through all phases, with an evaluation at each evaluation step.

    Returns:
        One row for each step, and the message of a divergence, or None where the training did not diverge.
    """

    def look(step: int) -> TrainingSet | None:
        path = work / f"rows-{step:06d}.parquet"
        if not path.exists():
            files.write_table(path, _rows(spec, model, material, step))
        if spec.relabel and 0 < step < spec.final_step:
            return _relabelled(spec, model, material, work / f"behaviours-{step:06d}.parquet")
        return None

    history: list[dict] = []
    try:
        for phase in spec.phases:
            own = work / f"stage-{phase.number}"
            own.mkdir(exist_ok=True)
            data = _data_of(phase, model, material, own / "behaviours.parquet")
            rows = train(phase.spec, model, data, own, lambda step, phase=phase: look(phase.start + step))
            history += [row | {"step": phase.start + row["step"]} for row in rows]
    except Diverged as divergence:
        history += [row | {"step": len(history) + k} for k, row in enumerate(divergence.history, 1)]
        return history, str(divergence)
    return history, None


def _data_of(phase: Phase, model: Loaded, material: Material, path: Path) -> TrainingSet:
    """The training set of one phase.

    Texts that teach a behaviour enter only a phase that teaches one. In a phase after a shift, the KL term
    holds the model to the behaviours of the shifted model. These behaviours are kept at `path` for a run
    that is resumed.
    """
    if phase.teaches or not material.data.taught:
        return material.data
    data = replace(material.data, taught=())
    return data.holding(_kept(phase.spec, model, material, path)) if phase.follows_shift else data


def _relabelled(spec: Spec, model: Loaded, material: Material, path: Path) -> TrainingSet:
    """The training set with the labels that M_t has now. The behaviours of M_t are kept at `path`."""
    now = _kept(spec, model, material, path)
    return material.data.relabelled(model, material.train, labels(material.train, now, spec.label_format))


def _kept(spec: Spec, model: Loaded, material: Material, path: Path) -> Behaviours:
    """The behaviours of the model on the training items. They are computed once and then read from `path`."""
    if not path.exists():
        files.write_table(path, behaviours(model, material.train, spec.eval_batch).frame())
    return Behaviours.from_frame(files.read_table(path))


def _rows(spec: Spec, model: Loaded, material: Material, step: int) -> pd.DataFrame:
    """The rows of one evaluation, one for each item.

    The final evaluation takes all test items. The others take the first of each task, as many as the spec
    says.
    """
    test, kinds = material.test, {(i.task, i.kind) for i in material.train}
    final = step == spec.final_step
    which = np.arange(len(test)) if final else _first_of_each_task(test, spec.interim_items)
    some = [test[k] for k in which]
    # A model that was not trained to explain a behaviour may not give a label of its own accord. The forced
    # choice shows which label such a model would give.
    forced = final and (bool(spec.teach) or not spec.explanation_weight)
    now, said, guessed = evaluate(model, some, spec.label_format, spec.eval_batch, forced, spec.decode_batch)
    source, base = material.source.take(which), material.base.take(which)
    rows = score(some, said, spec.label_format, now, source, base, step)
    rows["held_out"] = [spec.held_out > 0 and (i.task, i.kind) not in kinds for i in some]
    if spec.shift == "reteach":
        rows["retaught"], rows["new_gold"] = shift.new_gold(spec, some)
    if forced:
        truth = labels(some, now, spec.label_format)
        rows["forced_self"] = [g == t for g, t in zip(guessed, truth, strict=True)]
    return rows


def _first_of_each_task(items: list[Item], n: int) -> np.ndarray:
    """Indices of the first n items of each task; int64."""
    place = pd.Series([i.task for i in items]).to_frame("task").groupby("task").cumcount()
    return np.flatnonzero(place < n)
