"""file:PATH: a user's own items, from a JSONL file."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from coupling.errors import suggest
from coupling.tasks.items import Item, TaskError
from coupling.tasks.sources import check_texts, read_jsonl
from coupling.tasks.splits import Splits
from coupling.tasks.task import Task

if TYPE_CHECKING:
    from coupling.spec import Spec

PREFIX = "file:"
TEXTS = ("id", "group", "split", "prompt", "cue")
OPTIONAL_TEXTS = ("request", "kind", "feature")
NEEDED = {*TEXTS, "choices"}
FIELDS = {"split", *(field.name for field in fields(Item))} - {"task", "replies"}


def read_items(path: Path) -> Splits:
    """Read training and test items from a JSONL file, one object a line.

    Each object has id, group, split ("train" or "test"), prompt, cue and choices. It may have contents
    (default: the choices), counterfactual_prompt (default: the prompt without the cue), hinted, gold, kind,
    feature and request (default: "Without the hint?"). `Item` says what each of them means, and
    examples/README.md explains them to users.

    Raises:
        TaskError: If a line is no item, an id stands twice, or a split is empty. The message names file and
            line.
    """
    splits: dict[str, list[Item]] = {"train": [], "test": []}
    seen: set[str] = set()

    def add(row: dict) -> None:
        item = _item(row)
        if item.id in seen:
            raise TaskError(f"id {item.id!r} stands twice in the file")
        seen.add(item.id)
        splits[_split(row, splits)].append(item)

    read_jsonl(path, add)
    for split, items in splits.items():
        if not items:
            raise TaskError(f"{path}: no items with split={split!r}")
    return splits["train"], splits["test"]


def _split(row: dict, known: dict) -> str:
    if row["split"] not in known:
        raise TaskError(f"split={row['split']!r}: expected 'train' or 'test'")
    return row["split"]


def _item(row: dict) -> Item:
    if missing := NEEDED - row.keys():
        raise TaskError(f"missing {', '.join(sorted(missing))}")
    if unknown := row.keys() - FIELDS:
        hint = suggest(sorted(unknown)[0], sorted(FIELDS))
        raise TaskError(f"unknown {', '.join(sorted(unknown))}: {hint}")
    check_texts(row, [*TEXTS, *(name for name in OPTIONAL_TEXTS if name in row)])
    values = {
        "contents": row["choices"],
        "counterfactual_prompt": row["prompt"].replace(row["cue"], ""),
    } | row
    for name in ("choices", "contents"):
        values[name] = _texts(name, values[name])
    for name in ("hinted", "gold"):
        # A table in which some rows lack the field is often written with 2.0 for 2.
        if isinstance(value := row.get(name), float) and value.is_integer():
            values[name] = int(value)
    del values["split"]
    return Item(task="file", **values)


def _texts(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise TaskError(f"{name} must be a list of strings, not {value!r}")
    return tuple(value)


def _items(spec: Spec, _: dict[str, Path]) -> Splits:
    train, test = read_items(Path(spec.task.removeprefix(PREFIX)))
    mixed = [train[i] for i in np.random.default_rng([spec.draw, 1]).permutation(len(train))]
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
