"""Bases: what M0 does on the test items and how it explains itself, before any explanation training."""

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from coupling import files
from coupling.measure.behaviours import Behaviours, behaviours, health
from coupling.measure.evaluation import evaluate
from coupling.measure.explanations import labels
from coupling.measure.judge import compared, replies_to
from coupling.models import Loaded, fetch, locate
from coupling.runs import folders
from coupling.runs.checks import check_run
from coupling.runs.graph import Node
from coupling.runs.m0 import Models
from coupling.runs.result import items_of, manifest_of
from coupling.spec import Spec
from coupling.tasks import Item, left_out, needs


def make_base(node: Node, models: Models) -> None:
    """Measure M0 on the test items.

    The folder gets behaviours.parquet, untrained.parquet and the manifest. untrained.parquet holds the
    explanations of M0 before any training, both as a forced choice between the labels and as free text. The
    manifest holds the health of the behaviours by task, and what a judge says of replies beside it.
    """
    spec, folder = node.spec, node.folder
    if spec.judge:
        locate(judge_of(spec))  # an unknown name is an error before any compute
    _, test = items_of(spec)
    start = time.monotonic()
    m0 = models.load(spec)
    check_run(spec, m0, test)
    # M_t is evaluated later in batches of the same shapes, so that rounding does not differ.
    b0, said, guessed = evaluate(m0, test, "letter", spec.eval_batch, True, spec.decode_batch)
    files.write_table(folder / "behaviours.parquet", b0.frame())
    truth = labels(test, b0, "letter")
    files.write_table(
        folder / "untrained.parquet",
        pd.DataFrame(
            {
                "id": b0.ids,
                "task": [i.task for i in test],
                "label": truth,
                "forced_choice": guessed,
                "free": said,
            }
        ),
    )
    regimes = {task: _regime(spec, m0, test, b0, truth, guessed, task) for task in spec.tasks}
    about = manifest_of(spec, "base", m0)
    about |= {"health": regimes, "left_out": left_out(spec, {name: fetch(name) for name in needs(spec)})}
    if spec.judge:
        said = {task: replies_to(m0, some, spec.eval_batch) for task, some in _answered(spec, test).items()}
        del m0  # two large models do not fit under the memory ceiling
        for task, replies in said.items():
            regimes[task] |= compared(models.load(judge_of(spec)), replies, spec.eval_batch)
    folders.finish(folder, about | {"seconds": {"behaviours": time.monotonic() - start}})


def judge_of(spec: Spec) -> Spec:
    """The spec whose M0 is the judge of a spec: a model that is taken as it is."""
    taken = {"model": spec.judge, "revision": None, "system": "", "explainer": -1, "m0_steps": 0}
    return spec.model_copy(update=taken | {"m0_checkpoint": 1.0})


def _answered(spec: Spec, test: list[Item]) -> dict[str, list[Item]]:
    """The test items whose behaviour is a reply, by task. Tasks without such items are left out."""
    items = {task: [i for i in test if i.replies and i.task == task.split(":")[0]] for task in spec.tasks}
    return {task: some for task, some in items.items() if some}


def _regime(
    spec: Spec,
    m0: Loaded,
    test: list[Item],
    b0: Behaviours,
    truth: list[str | None],
    guessed: list[str],
    task: str,
) -> dict[str, float]:
    """The health of M0 on one task, as shares of its test items.

    Returns:
        What `coupling.measure.behaviours.health` finds. Added are "untrained_forced_choice", the share of
            items on which the forced choice is the label before any training, and "flips_<way>", the share
            of items whose label changes where only the way of computing changes. Flips are counted on the
            first interim_items items. This field enters no key of a base: the spec that comes first decides.
    """
    which = [k for k, i in enumerate(test) if i.task == task.split(":")[0]]
    found = health([test[k] for k in which], b0.take(which), [truth[k] for k in which])
    found["untrained_forced_choice"] = float(np.mean([truth[k] == guessed[k] for k in which]))
    few = which[: spec.interim_items]
    again = computed_otherwise(m0, [test[k] for k in few], spec)
    flips = {
        f"flips_{how}": float(np.mean([truth[k] != t for k, t in zip(few, texts, strict=True)]))
        for how, texts in again.items()
    }
    return found | flips


def computed_otherwise(m0: Loaded, items: list[Item], spec: Spec) -> dict[str, list[str]]:
    """Labels of M0 where nothing but the way of computing differs.

    They tell how often rounding alone changes a label. A change that is no more frequent means nothing.

    Returns:
        The labels by way of computing. "batch" puts an eighth as many items into a forward pass. "dtype"
            computes products in bfloat16; a model that is not in float32 goes without it.
    """
    ways = {"batch": (m0, max(1, spec.eval_batch // 8))}
    if m0.dtype == torch.float32:
        ways["dtype"] = (replace(m0, dtype=torch.bfloat16), spec.eval_batch)
    return {
        how: labels(items, behaviours(model, items, batch), "letter") for how, (model, batch) in ways.items()
    }
