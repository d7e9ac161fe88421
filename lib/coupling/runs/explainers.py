"""Explainers: M0 trained to give fixed labels as explanations, and evaluated at several steps."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from peft import set_peft_model_state_dict
from safetensors.torch import load_file

from coupling import files, seals
from coupling.measure.behaviours import Behaviours, behaviours
from coupling.measure.evaluation import evaluate
from coupling.measure.explanations import labels
from coupling.measure.rows import score
from coupling.models import Loaded, adapted
from coupling.models.adapter import SECOND, stack, update_norm
from coupling.runs import folders, graph
from coupling.runs.graph import Node
from coupling.runs.m0 import Models
from coupling.runs.material import Material, kept_behaviours, make_material
from coupling.runs.result import WORK, manifest_of
from coupling.spec import Phase, Spec
from coupling.tasks import Item
from coupling.training import shift
from coupling.training.checkpoints import reached
from coupling.training.data import TrainingSet
from coupling.training.loop import Diverged, train


def make_explainer(node: Node, models: Models) -> None:
    """Train one explainer and evaluate it at each of the spec's evaluation steps.

    The folder gets rows.parquet with one row for each item and evaluation, history.parquet with one row for
    each step, adapter/ with the LoRA weights in the format of peft (safetensors), and the manifest. A run
    that was interrupted goes on from its last checkpoint. A run whose loss, weights or outputs are no longer
    finite is complete with status "diverged" and with the rows that it had by then.

    Raises:
        LabelError: Before any training, where labels are missing or nearly constant.
        StoreError: Where a file cannot be written.
    """
    spec, folder = node.spec, node.folder
    start = time.monotonic()
    material, m0 = make_material(spec, models), models.load(spec)
    loaded = time.monotonic()
    work = folder / WORK
    with adapted(m0, spec) as model:
        _begin_anew_where_rows_are_lost(spec, material, work)
        history, error = _trained(spec, model, material, work)
        looked_at = [step for step in spec.evaluation_steps if not error or step < len(history)]
        rows = [_taken(spec, material, work, step) for step in looked_at]
        files.write_table(folder / "rows.parquet", pd.concat(rows, ignore_index=True))
        files.write_table(folder / "history.parquet", pd.DataFrame(history))
        with files.writing(folder / "adapter"):
            model.model.save_pretrained(folder / "adapter")
        about = {
            "status": "diverged" if error else "complete",
            "error": error,
            "base": graph.base(spec).folder.name,
            "source": graph.base(spec.label_source).folder.name,
            "labels": material.about,
            "update_norm": update_norm(model.model),
            "seconds": {"load": loaded - start, "train_and_evaluate": time.monotonic() - loaded},
        }
        folders.finish(folder, manifest_of(spec, "explain", model) | about)


@contextmanager
def trained(spec: Spec, models: Models) -> Iterator[Loaded]:
    """Within the block, the model of a finished explainer: its M0, which must be there, with its adapter."""
    with adapted(models.load(spec), spec) as loaded:
        kept = folders.verified(folders.run_folder(spec), "adapter")
        set_peft_model_state_dict(loaded.model, load_file(kept / "adapter_model.safetensors"))
        if spec.shift_adapter == "own":
            stack(loaded, spec)
            second = load_file(kept / SECOND / "adapter_model.safetensors")
            set_peft_model_state_dict(loaded.model, second, SECOND)
        yield loaded


def _part(work: Path, step: int) -> Path:
    """Where the rows of one evaluation are kept until the run is complete."""
    return work / f"rows-{step:06d}.parquet"


def _taken(spec: Spec, material: Material, work: Path, step: int) -> pd.DataFrame:
    """The rows of one evaluation, as they are kept.

    Raises:
        StoreError: Where they are missing or damaged, or are not those of this step and of all its items.
    """
    path = _part(work, step)
    if not seals.intact(path):
        raise files.StoreError(f"{path} is missing or damaged: delete {work} and run again")
    rows = files.read_table(path)
    wanted = [(material.test[k].id, step) for k in _asked(spec, material.test, step)]
    if list(zip(rows["id"], rows["step"], strict=True)) != wanted:
        raise files.StoreError(f"{path} has rows of other items: delete {work} and run again")
    return rows


def _begin_anew_where_rows_are_lost(spec: Spec, material: Material, work: Path) -> None:
    """Remove the checkpoints of a run if they are past an evaluation whose files are lost or damaged.

    Such an evaluation can be made again from the model at its own step alone.
    """
    past = [p.start + step for p in spec.phases if (step := reached(work / f"stage-{p.number}"))]
    for step in (step for step in spec.evaluation_steps if step < max(past, default=0)):
        relabels = spec.relabel and 0 < step < spec.final_step
        try:
            _taken(spec, material, work, step)
            whole = not relabels or seals.intact(_behaviours_at(work, step))
        except files.StoreError:
            whole = False
        if not whole:
            files.say(f"{work} has no whole evaluation of step {step}: training begins from nothing")
            shutil.rmtree(work)
            return


def _behaviours_at(work: Path, step: int) -> Path:
    return work / f"behaviours-{step:06d}.parquet"


def _trained(spec: Spec, model: Loaded, material: Material, work: Path) -> tuple[list[dict], str | None]:
    """Train through all phases, with an evaluation at each evaluation step.

    Returns:
        One row for each step, and the message of a divergence, or None where the training did not diverge.
    """

    def look(step: int) -> TrainingSet | None:
        seals.kept(_part(work, step), lambda part: files.put_table(part, _rows(spec, model, material, step)))
        if spec.relabel and 0 < step < spec.final_step:
            return _relabelled(spec, model, material, _behaviours_at(work, step))
        return None

    history: list[dict] = []
    try:
        for phase in spec.phases:
            own = work / f"stage-{phase.number}"
            data = _data_of(phase, model, material, own / "behaviours.parquet")
            if phase.number and spec.shift_adapter == "own":
                stack(model, spec)
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
    items = material.train + material.held
    return data.holding(_kept(phase.spec, model, items, path)) if phase.follows_shift else data


def _relabelled(spec: Spec, model: Loaded, material: Material, path: Path) -> TrainingSet:
    """The training set with the labels that M_t has now. The behaviours of M_t are kept at `path`."""
    now = _kept(spec, model, material.train, path)
    return material.data.relabelled(model, material.train, labels(material.train, now, spec.label_format))


def _kept(spec: Spec, model: Loaded, items: list[Item], path: Path) -> Behaviours:
    """The behaviours of the model on some items. They are computed once and then read from `path`."""
    return kept_behaviours(path, lambda: behaviours(model, items, spec.eval_batch))


def _rows(spec: Spec, model: Loaded, material: Material, step: int) -> pd.DataFrame:
    """The rows of one evaluation, one for each item that it asks (see `_asked`).

    Raises:
        NotFinite: Where the model computes numbers that are none.
    """
    test, kinds = material.test, {(i.task, i.kind) for i in material.train}
    final = step == spec.final_step
    which = _asked(spec, test, step)
    some = [test[k] for k in which]
    # A model that was not trained to explain a behaviour may not give a label of its own accord. The forced
    # choice shows which label such a model would give.
    forced = final and (bool(spec.teach) or not spec.explanation_weight)
    now, said, guessed = evaluate(model, some, spec.label_format, spec.eval_batch, forced, spec.decode_batch)
    source, base = material.source.take(which), material.base.take(which)
    rows = score(some, said, spec.label_format, now, source, base, step)
    rows["held_out"] = [spec.held_out > 0 and (i.task, i.kind) not in kinds for i in some]
    if spec.shift in ("down", "up", "reteach"):
        rows["pushed"] = [material.pushed[k] for k in which]
    if spec.shift == "reteach":
        rows["retaught"], rows["new_gold"] = shift.new_gold(spec, some)
    if forced:
        truth = labels(some, now, spec.label_format)
        rows["forced_self"] = [g == t for g, t in zip(guessed, truth, strict=True)]
    return rows


def _asked(spec: Spec, test: list[Item], step: int) -> np.ndarray:
    """Indices of the test items that an evaluation asks; int64.

    The final evaluation asks all test items. The others ask the first of each task, as many as the spec says.
    """
    if step == spec.final_step:
        return np.arange(len(test))
    return _first_of_each_task(test, spec.interim_items)


def _first_of_each_task(items: list[Item], n: int) -> np.ndarray:
    """Indices of the first n items of each task; int64."""
    place = pd.Series([i.task for i in items]).to_frame("task").groupby("task").cumcount()
    return np.flatnonzero(place < n)
