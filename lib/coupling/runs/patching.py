"""Circuits of an explainer: which sites of the trained model decide what it does and what it says."""

import time
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file

from coupling import files
from coupling.measure.circuits import CircuitError, by_site, effects, prepared
from coupling.measure.interventions import interventions
from coupling.measure.token_groups import Prompted
from coupling.models import Loaded
from coupling.models.sites import sites
from coupling.runs import folders, graph
from coupling.runs.explainers import trained
from coupling.runs.graph import Node
from coupling.runs.m0 import Models
from coupling.runs.result import items_of, manifest_of
from coupling.spec import Spec
from coupling.tasks import Item

FOLDS = 5  # parts that the items are dealt into, for intervals over items


def make_circuits(node: Node, models: Models) -> None:
    """Patch the sites of the model that an explainer trained, and of its M0 beside the first explainer.

    The folder gets effects.parquet with one row for each item and patch, said.parquet with what the model
    said without any patch, sites.parquet with means over items, interventions.parquet with what the trained
    model said on every second item while it was changed, and the manifest. Where the run diverged, or where
    its replies are hardly ever choices, the tables are empty, and the status in the manifest is "diverged" or
    "nothing to patch".

    Raises:
        SiteError: Where the model cannot be patched.
        GroupError: Where the tokens of an item cannot be put into groups.
    """
    spec, folder = node.spec, node.folder
    start = time.monotonic()
    status = folders.read_manifest(folders.run_folder(spec))["status"]
    train, test = items_of(spec)
    items = [i for task in spec.tasks for i in _of_task(test, task)[: spec.patched_items]]
    tables = dict.fromkeys(("effects", "said", "sites", "interventions"), pd.DataFrame())
    with trained(spec, models) as loaded:
        if status == "complete":
            try:
                tables = _patched(spec, loaded, items, train)
            except CircuitError as error:
                status = "nothing to patch"
                files.say(f"{folder}: {error}")
        about = manifest_of(spec, "circuits", loaded)
    for name, frame in tables.items():
        files.write_table(folder / f"{name}.parquet", frame)
    seconds = {"patch": time.monotonic() - start}
    folders.finish(folder, about | {"status": status, "items": len(items), "seconds": seconds})


def _of_task(items: Sequence[Item], task: str) -> list[Item]:
    return [item for item in items if item.task == task.split(":")[0]]


def _patched(
    spec: Spec, loaded: Loaded, items: Sequence[Item], train: Sequence[Item]
) -> dict[str, pd.DataFrame]:
    """The tables of a trained model, and of its M0 where it is the first explainer."""
    found, other, under = _of_model(spec, loaded, items), _another(spec), []
    for made, rows, _ in found:
        task = rows["task"].iloc[0]
        every_second = {item.id for item in _of_task(items, task)[::2]}
        under.append(interventions(loaded, made, rows, every_second, spec.seed, other).assign(task=task))
    rows, said = _joined(found)
    if spec.seed == graph.FIRST:  # beside the others it would be the same
        with loaded.model.disable_adapter():
            before, said_before = _joined(_of_model(spec, loaded, items))
        rows = pd.concat([rows.assign(trained=True), before.assign(trained=False)], ignore_index=True)
        said = pd.concat([said.assign(trained=True), said_before.assign(trained=False)], ignore_index=True)
    else:
        rows, said = rows.assign(trained=True), said.assign(trained=True)
    labelled = {(i.task, i.kind) for i in train}
    about = pd.DataFrame(
        {
            "id": [i.id for i in items],
            "task": [i.task for i in items],
            "held_out": [spec.held_out > 0 and (i.task, i.kind) not in labelled for i in items],
            "fold": np.arange(len(items), dtype=np.int8) % FOLDS,
        }
    )
    flips = said.assign(changed=said["x"] != said["cf"])[["task", "id", "trained", "changed"]]
    rows = rows.merge(about, on=["task", "id"]).merge(flips, on=["task", "id", "trained"])
    return {
        "effects": rows,
        "said": said,
        "sites": by_site(rows),
        "interventions": pd.concat(under).merge(about[["id", "task", "held_out"]], on=["task", "id"]),
    }


_Found = tuple[list[Prompted], pd.DataFrame, pd.DataFrame]  # of a task: its items, effects, what was said


def _of_model(spec: Spec, loaded: Loaded, items: Sequence[Item]) -> list[_Found]:
    """What `effects` finds on the items of each task."""
    chosen, found = _layers(loaded, spec.patched_layers), []
    for task in dict.fromkeys(item.task for item in items):
        made = prepared(loaded, _of_task(items, task), spec.label_format)
        # Ids are unique within a task alone.
        found.append((made, *(frame.assign(task=task) for frame in effects(loaded, made, chosen))))
    return found


def _joined(found: Sequence[_Found]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The effects of all tasks, and what was said."""
    _, rows, said = zip(*found, strict=True)
    return pd.concat(rows, ignore_index=True), pd.concat(said, ignore_index=True)


def _another(spec: Spec) -> dict[str, torch.Tensor] | None:
    """The adapter of the first explainer of the same M0, if it is another one."""
    first = graph.first_explainer(spec)
    if first is None:
        return None
    return load_file(folders.verified(folders.run_folder(first), "adapter") / "adapter_model.safetensors")


def _layers(loaded: Loaded, number: int) -> list[int]:
    """The layers that are patched: all, or so many of them, evenly spaced with the last among them."""
    last = max(site.layer for site in sites(loaded.model))
    if not 0 < number <= last:
        return list(range(last + 1))
    return sorted({last - round(k * (last + 1) / number) for k in range(number)})
