"""file:PATH: items of one's own, from a JSONL file (see `coupling.tasks.items.read_items`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from coupling.tasks.items import read_items
from coupling.tasks.task import Splits, Task

if TYPE_CHECKING:
    from coupling.spec import Spec

PREFIX = "file:"


def _items(spec: Spec, _: dict[str, Path]) -> Splits:
    train, test = read_items(Path(spec.task.removeprefix(PREFIX)))
    mixed = [train[i] for i in np.random.default_rng([spec.seed, 1]).permutation(len(train))]
    return mixed[: spec.train_items], test[: spec.test_items]


TASK = Task(
    name="file:PATH",
    sources=("a JSONL file of items",),
    choices=("as in the file",),
    cues=("as in the file",),
    items=_items,
    source=lambda spec: spec.task,
    has_kinds=lambda spec: False,
)
